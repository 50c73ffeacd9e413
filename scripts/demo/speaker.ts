/**
 * One speaker of the demo, a process of its own: cairn's session machine and encoder around made-up routes. It brings
 * its session up, announces its part of the world, and then keeps changing its mind.
 *
 *   fork("scripts/demo/speaker.ts", [NAME])      told the port through the channel to its parent; ends when that does
 */
import { ip4Bytes, type Prefix, parseIp4 } from "../../src/base/ip.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { TcpPort } from "../../src/runtime/tcp.ts";
import { Effects } from "../../src/state/effects.ts";
import type { Input } from "../../src/state/inputs.ts";
import type { Negotiated, NeighborConfig, SessionHost } from "../../src/state/session-port.ts";
import { Sessions } from "../../src/state/sessions.ts";
import { encodeBlock } from "../../src/wire/block.ts";
import { ipv4Unicast, prefixFamilies, unicastFamily } from "../../src/wire/family.ts";
import { MessageWriter } from "../../src/wire/message-writer.ts";
import type { PathAttributes } from "../../src/wire/path-attributes.ts";
import { UpdateEncoder } from "../../src/wire/update-encode.ts";
import { cairnAddress, cairnAsn, type Role, roleByName } from "./cast.ts";
import { announcements, rerouted } from "./world.ts";

/** What one speaker announces with one set of attributes, and what of it is withdrawn for now. */
interface Group {
  readonly prefixes: readonly Prefix[];
  attributes: PathAttributes;
  readonly original: PathAttributes;
  withdrawn: readonly Prefix[];
}

const neighbor = 1;
const churnEveryMs = 250;
const pumpBytes = 1 << 20;

class Speaker implements SessionHost {
  private readonly role: Role;
  private readonly random: Random;
  private readonly effects = new Effects();
  private readonly tcp: TcpPort;
  private readonly sessions: Sessions;
  private readonly groups: Group[] = [];
  private readonly encoder = new UpdateEncoder();
  private readonly block = new MessageWriter(1024);
  private session: Negotiated | undefined;
  /** Next group of the first announcement; beyond the last one it is done. */
  private next = 0;
  private timer: NodeJS.Timeout | undefined;
  private busy = false;

  constructor(role: Role) {
    this.role = role;
    this.random = seededRandom(role.asn ^ 0x5eed);
    for (const family of [4, 6] as const) {
      for (const { attributes, prefixes } of announcements(role, family)) {
        this.groups.push({ prefixes, attributes, original: attributes, withdrawn: [] });
      }
    }
    this.tcp = new TcpPort(
      (input) => this.take(input),
      () => {},
    );
    this.sessions = new Sessions(this, this.effects, Math.random);
  }

  connect(port: number): void {
    const { role } = this;
    this.sessions.add(neighbor, configOf(role, port), performance.now());
    this.settle();
    if (role.churnPerS > 0) setInterval(() => this.churn(), churnEveryMs);
    if (role.flapEveryS > 0) setInterval(() => this.flap(), role.flapEveryS * 1000);
  }

  // What sessions ask of us

  established(_neighbor: number, negotiated: Negotiated): void {
    this.session = negotiated;
    this.next = 0;
    this.announceAll();
  }

  down(): void {
    this.session = undefined;
  }

  update(): undefined {}

  refresh(): void {
    this.next = 0;
    this.announceAll();
  }

  writable(): void {
    this.announceAll();
  }

  stranger(): { readonly kind: "unknown" } {
    return { kind: "unknown" };
  }

  locate(): never {
    throw new Error("no neighbors on interfaces here");
  }

  swapLocalAs(): never {
    throw new Error("no local AS here");
  }

  identify(): string {
    return "no dynamic neighbors here";
  }

  stateChanged(): void {}

  event(): void {}

  // The loop

  private take(input: Input): void {
    const now = performance.now();
    switch (input.kind) {
      case "tcp.connected":
        this.sessions.connected(input.conn, input.localAddress, input.localPort, now);
        break;
      case "tcp.bytes":
        this.sessions.bytes(input.conn, input.bytes, now);
        break;
      case "tcp.sent":
        this.sessions.sent(input.conn, input.queued, now);
        break;
      case "tcp.closed":
        this.sessions.closed(input.conn, input.error, now);
    }
    this.settle();
  }

  /** Does all that is due, and sleeps until the next timer. */
  private settle(): void {
    if (this.busy) return;
    this.busy = true;
    const now = performance.now();
    this.sessions.dueTimers(now);
    while (this.sessions.hasWork()) this.sessions.pump(now, pumpBytes);
    for (const effect of this.effects.list.splice(0)) {
      if (effect.kind.startsWith("tcp.")) this.tcp.apply(effect as Parameters<TcpPort["apply"]>[0]);
    }
    this.busy = false;
    clearTimeout(this.timer);
    const waitMs = this.sessions.nextTimerMs() - performance.now();
    if (waitMs < 2 ** 31) this.timer = setTimeout(() => this.settle(), Math.max(1, waitMs));
  }

  // Routes

  /** Goes on with the first announcement while the socket has room. */
  private announceAll(): void {
    if (!this.session || this.next > this.groups.length) return;
    while (this.next < this.groups.length) {
      if (this.sessions.room(neighbor) === 0) return;
      this.begin();
      for (let i = 0; i < 64 && this.next < this.groups.length; i++) {
        const group = this.groups[this.next++];
        this.reach(group.attributes, still(group));
      }
      this.send();
    }
    this.next++;
    this.begin();
    for (const family of prefixFamilies) this.encoder.endOfRib(family);
    this.send();
  }

  /** Withdraws, announces again, and changes paths, a little at a time. */
  private churn(): void {
    if (!this.session || this.next <= this.groups.length || this.sessions.room(neighbor) === 0) return;
    let left = (this.role.churnPerS * churnEveryMs) / 1000;
    this.begin();
    while (left > 0 && this.groups.length > 0) {
      const group = this.groups[Math.floor(this.random() * this.groups.length)];
      const dice = this.random();
      if (group.withdrawn.length > 0) {
        this.reach(group.attributes, group.withdrawn);
        left -= group.withdrawn.length;
        group.withdrawn = [];
      } else if (dice < 0.35) {
        group.withdrawn = group.prefixes.slice(0, 4);
        this.withdraw(group.withdrawn);
        left -= group.withdrawn.length;
        // Most come back: half of what is withdrawn now is announced again within a few ticks.
        setTimeout(() => this.restore(group), 2_000 + this.random() * 20_000);
      } else {
        group.attributes =
          group.attributes === group.original
            ? rerouted(group.attributes, this.role, this.random)
            : group.original;
        this.reach(group.attributes, still(group));
        left -= group.prefixes.length;
      }
    }
    this.send();
    this.settle();
  }

  private restore(group: Group): void {
    const { withdrawn } = group;
    group.withdrawn = [];
    if (!this.session || withdrawn.length === 0) return;
    this.begin();
    this.reach(group.attributes, withdrawn);
    this.send();
    this.settle();
  }

  private flap(): void {
    if (!this.session) return;
    this.sessions.hardReset(neighbor, "line card replaced", performance.now());
    this.settle();
  }

  private begin(): void {
    const { fourOctetAs, maxMessageBytes, addPathReceive: addPath } = this.session!;
    this.encoder.reset({ fourOctetAs, maxMessageBytes, addPath });
  }

  private reach(attributes: PathAttributes, prefixes: readonly Prefix[]): void {
    if (prefixes.length === 0) return;
    this.block.reset();
    encodeBlock(attributes, this.block);
    const family = unicastFamily(prefixes[0].bytes.length);
    if (family === ipv4Unicast) this.encoder.beginUpdate4(this.block.bytes, 0, this.block.at);
    else this.encoder.beginUpdateMp(family, this.block.bytes, 0, this.block.at);
    for (const { bytes, length } of prefixes) this.encoder.prefix16(bytes, 0, length);
    this.encoder.finish();
  }

  private withdraw(prefixes: readonly Prefix[]): void {
    const family = unicastFamily(prefixes[0].bytes.length);
    if (family === ipv4Unicast) this.encoder.beginWithdraw4();
    else this.encoder.beginWithdrawMp(family);
    for (const { bytes, length } of prefixes) this.encoder.prefix16(bytes, 0, length);
    this.encoder.finish();
  }

  private send(): void {
    if (this.encoder.bytes.length > 0)
      this.sessions.send(neighbor, this.encoder.bytes.slice(), performance.now());
  }
}

/** What of a group is announced now. */
function still({ prefixes, withdrawn }: Group): readonly Prefix[] {
  return withdrawn.length === 0 ? prefixes : prefixes.filter((prefix) => !withdrawn.includes(prefix));
}

/** The session toward cairnd, from this speaker's side. */
function configOf(role: Role, port: number): NeighborConfig {
  const routerId = parseIp4(role.address)!;
  return {
    address: cairnAddress,
    addressBytes: ip4Bytes(parseIp4(cairnAddress)!),
    remoteAsn: cairnAsn,
    localAsn: role.asn,
    globalAsn: role.asn,
    confederation: undefined,
    confederationMember: false,
    localAsPrepends: false,
    localAsReplaces: false,
    localAsDual: false,
    asOverride: false,
    allowOwnAsOrigin: false,
    aigpSend: false,
    aigpReceive: false,
    flowspecValidation: false,
    longLivedPartial: false,
    routerId,
    clusterId: routerId,
    external: role.asn !== cairnAsn,
    localAddress: role.address,
    port,
    passive: false,
    ttl: 0,
    holdTimeS: 30,
    keepaliveTimeS: 0,
    connectRetryMs: 500,
    delayOpenMs: 0,
    sendHoldMs: 0,
    idleHoldMs: 2_000,
    families: prefixFamilies,
    description: "",
    peerGroup: "",
    shutdown: false,
    shutdownMessage: "",
    extendedMessages: role.part === "transit",
    strictErrors: false,
    softReconfiguration: false,
    prefixLimits: [],
    addPath: [],
    orf: [],
    damping: undefined,
    bfd: undefined,
    remote: cairnAddress,
    obstacle: "",
    interface: "",
    unnumbered: false,
    learnsAsn: false,
    extendedNextHop: false,
    acceptedLimits: [],
    minTtl: 0,
    password: undefined,
    keychain: "",
    keys: [],
    dynamic: undefined,
    nextHopSelf: false,
    fastFailover: true,
    disableConnectedCheck: false,
    allowOwnAs: 0,
    removePrivateAs: "none",
    enforceFirstAs: false,
    defaultOriginate: false,
    routeReflectorClient: false,
    routeServerClient: false,
    bilateralPeer: false,
    role: undefined,
    strictRole: false,
    gracefulShutdown: false,
    honorGracefulShutdown: true,
    blackhole: "none",
    maxAsPathLength: 0,
    perClientBest: false,
    suppressFibPending: false,
    gracefulRestart: "off",
    restartTimeS: 0,
    staleTimeMs: 0,
    notificationRestart: false,
    longLivedStaleS: 0,
    longLivedMaxS: 0,
    preserveForwarding: false,
    enhancedRefresh: true,
    importDefault: "reject",
    exportDefault: "reject",
    importPolicies: [],
    exportPolicies: [],
  };
}

process.on("disconnect", () => process.exit(0));
process.on("SIGINT", () => {}); // the terminal's Ctrl-C is for the demo, which ends us through the channel
const speaker = new Speaker(roleByName(process.argv[2]));
process.on("message", ({ port }: { port: number }) => speaker.connect(port));
