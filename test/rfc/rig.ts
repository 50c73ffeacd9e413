/**
 * A bench for sessions: `Sessions` with a recording host, a neighbor that is played by the test with raw bytes, and
 * virtual time. Nothing sleeps.
 */
import assert from "node:assert/strict";
import { parseIp } from "../../src/base/ip.ts";
import { seededRandom } from "../../src/base/random.ts";
import { states } from "../../src/fsm/session.ts";
import { type Effect, Effects } from "../../src/state/effects.ts";
import type { Negotiated, NeighborConfig, ResetInfo, UpdateResult } from "../../src/state/session-port.ts";
import { Sessions } from "../../src/state/sessions.ts";
import type { Capability } from "../../src/wire/capabilities.ts";
import { ipv4Unicast } from "../../src/wire/family.ts";
import { keepaliveBytes } from "../../src/wire/keepalive.ts";
import { decodeNotification, encodeNotification } from "../../src/wire/notification.ts";
import { encodeOpen } from "../../src/wire/open.ts";

export const peerAddress = "192.0.2.2";
export const ourAddress = "192.0.2.1";

export function config(change: Partial<NeighborConfig> = {}): NeighborConfig {
  const localAsn = change.localAsn ?? 65001;
  const remoteAsn = change.remoteAsn ?? 65002;
  const address = change.address ?? peerAddress;
  return {
    address,
    addressBytes: parseIp(address)!,
    remoteAsn,
    localAsn,
    globalAsn: 65001,
    confederation: undefined,
    confederationMember: false,
    localAsPrepends: false,
    localAsReplaces: false,
    localAsDual: false,
    asOverride: false,
    allowOwnAsOrigin: false,
    aigpSend: false,
    aigpReceive: false,
    flowspecValidation: true,
    longLivedPartial: false,
    routerId: 0x0a000001,
    clusterId: 0x0a000001,
    external: remoteAsn !== localAsn,
    localAddress: undefined,
    port: 179,
    passive: false,
    ttl: 1,
    minTtl: 0,
    password: undefined,
    keychain: "",
    keys: [],
    dynamic: undefined,
    holdTimeS: 90,
    keepaliveTimeS: 0,
    connectRetryMs: 5000,
    delayOpenMs: 0,
    sendHoldMs: 0, // the bench's socket never says that it took bytes
    idleHoldMs: 1000,
    families: [ipv4Unicast],
    description: "",
    peerGroup: "",
    shutdown: false,
    shutdownMessage: "",
    extendedMessages: true,
    strictErrors: false,
    softReconfiguration: true,
    prefixLimits: [],
    addPath: [],
    orf: [],
    damping: undefined,
    bfd: undefined,
    remote: address,
    obstacle: "",
    interface: "",
    unnumbered: false,
    learnsAsn: false,
    extendedNextHop: false,
    acceptedLimits: [],
    nextHopSelf: false,
    fastFailover: true,
    disableConnectedCheck: false,
    allowOwnAs: 0,
    removePrivateAs: "none",
    enforceFirstAs: true,
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
    gracefulRestart: "helper",
    restartTimeS: 120,
    staleTimeMs: 360_000,
    notificationRestart: true,
    longLivedStaleS: 0,
    longLivedMaxS: 0,
    preserveForwarding: false,
    enhancedRefresh: true,
    importDefault: "reject",
    exportDefault: "reject",
    importPolicies: [],
    exportPolicies: [],
    ...change,
  };
}

/** A message as sent by us. */
export interface Sent {
  readonly conn: number;
  readonly type: number;
  readonly bytes: Uint8Array;
}

export class Rig {
  readonly effects = new Effects();
  /** All effects so far. */
  readonly log: Effect[] = [];
  readonly calls: string[] = [];
  readonly events: {
    topic: string;
    object: string;
    summary: string;
    facts: Readonly<Record<string, string>>;
  }[] = [];
  readonly resets: ResetInfo[] = [];
  negotiated: Negotiated | undefined;
  updateResult: (() => UpdateResult | undefined) | undefined;
  readonly sessions: Sessions;
  nowMs = 1000;
  private accepts = 0;

  constructor(seed = 1) {
    this.sessions = new Sessions(
      {
        established: (_, negotiated) => {
          this.negotiated = negotiated;
          this.calls.push("established");
        },
        down: (_, reset) => {
          this.resets.push(reset);
          this.calls.push("down");
        },
        update: (_neighbor, _bytes, start, end) => {
          this.calls.push(`update ${end - start}`);
          return this.updateResult?.();
        },
        refresh: (_, family) => void this.calls.push(`refresh ${family.name}`),
        writable: () => void this.calls.push("writable"),
        stranger: () => ({ kind: "unknown" }),
        locate: () => assert.fail("nobody is named by an interface"),
        identify: () => "no dynamic neighbors here",
        swapLocalAs: () => config(),
        stateChanged: () => {},
        event: (topic, object, _severity, summary, facts) =>
          void this.events.push({ topic, object, summary, facts }),
      },
      this.effects,
      seededRandom(seed),
    );
  }

  /** Effects since the last call. */
  drain(): Effect[] {
    const list = this.effects.list.splice(0);
    this.log.push(...list);
    return list;
  }

  add(change: Partial<NeighborConfig> = {}, neighbor = 1): this {
    this.sessions.add(neighbor, config(change), this.nowMs);
    return this;
  }

  /** Lets time pass, running each timer when it is due. */
  advance(ms: number): this {
    const until = this.nowMs + ms;
    for (;;) {
      const next = this.sessions.nextTimerMs();
      if (next > until) break;
      this.nowMs = Math.max(this.nowMs, next);
      this.sessions.dueTimers(this.nowMs);
    }
    this.nowMs = until;
    return this;
  }

  /** Completes the attempt that is under way; its id is given back. */
  connect(): number {
    const conn = this.dialled();
    this.sessions.connected(conn, ourAddress, 40000, this.nowMs);
    return conn;
  }

  /** Id of the latest connection that we began to open. */
  dialled(): number {
    this.drain();
    const effect = this.log.findLast((each) => each.kind === "tcp.connect");
    assert(effect && effect.kind === "tcp.connect", "no attempt was made");
    return effect.conn;
  }

  /** The neighbor connects. */
  accept(from = peerAddress): number {
    const conn = --this.accepts; // as the shell numbers them: never the id of one that we open
    this.sessions.accepted(conn, ourAddress, 179, from, 50000 - conn, this.nowMs);
    return conn;
  }

  /** Bytes arrive and are worked off. */
  receive(conn: number, ...messages: Uint8Array[]): this {
    for (const bytes of messages) this.sessions.bytes(conn, bytes, this.nowMs);
    while (this.sessions.hasWork()) this.sessions.pump(this.nowMs, 1 << 20);
    return this;
  }

  close(conn: number, error?: string): this {
    this.sessions.closed(conn, error, this.nowMs);
    while (this.sessions.hasWork()) this.sessions.pump(this.nowMs, 1 << 20);
    return this;
  }

  /** From start to Established on a connection that we open. */
  establish(open: Uint8Array = peerOpen()): number {
    const conn = this.connect();
    this.receive(conn, open, keepaliveBytes);
    assert.equal(this.state(), "Established");
    return conn;
  }

  /** Messages that we sent, in order, over all connections or one. */
  sent(conn?: number): Sent[] {
    this.drain();
    return this.log.flatMap((effect) =>
      effect.kind === "tcp.send" && (conn === undefined || effect.conn === conn)
        ? [{ conn: effect.conn, type: effect.bytes[18], bytes: effect.bytes }]
        : [],
    );
  }

  types(conn?: number): number[] {
    return this.sent(conn).map((message) => message.type);
  }

  /** Last NOTIFICATION on the connection as `code/subcode`, with data in hexadecimal when there is any. */
  notification(conn?: number): string | undefined {
    const message = this.sent(conn).findLast((each) => each.type === 3);
    if (!message) return undefined;
    const { code, subcode, data } = decodeNotification(message.bytes, 0, message.bytes.length);
    return `${code}/${subcode}${data.length ? ` ${Buffer.from(data).toString("hex")}` : ""}`;
  }

  isClosed(conn: number): boolean {
    this.drain();
    return this.log.some((effect) => effect.kind === "tcp.close" && effect.conn === conn);
  }

  dials(): number {
    this.drain();
    return this.log.filter((effect) => effect.kind === "tcp.connect").length;
  }

  view(neighbor = 1) {
    return this.sessions.state(neighbor, this.nowMs, this.nowMs);
  }

  state(neighbor = 1): string {
    return states[this.view(neighbor).sessionState - 1];
  }

  topics(prefix = ""): string[] {
    return this.events
      .map((event) => event.topic.replace("cairn.bgp.", ""))
      .filter((topic) => topic.startsWith(prefix));
  }
}

const peerCapabilities: readonly Capability[] = [
  { kind: "multiprotocol", afi: 1, safi: 1 },
  { kind: "route-refresh" },
  { kind: "extended-message" },
  { kind: "four-octet-as", asn: 65002 },
];

/** The neighbor's OPEN; by default one that is acceptable. */
export function peerOpen(
  change: { asn?: number; holdTimeS?: number; routerId?: number; capabilities?: readonly Capability[] } = {},
): Uint8Array {
  const asn = change.asn ?? 65002;
  const capabilities = peerCapabilities.map((each) =>
    each.kind === "four-octet-as" ? { ...each, asn } : each,
  );
  return encodeOpen({ asn, holdTimeS: 90, routerId: 0x0a000002, capabilities, ...change });
}

export { encodeNotification, keepaliveBytes };

/** An UPDATE without content (End-of-RIB for IPv4 unicast). */
export const emptyUpdate: Uint8Array = message(2, Uint8Array.of(0, 0, 0, 0));

/** A message with this type and body. */
export function message(type: number, body: Uint8Array, length = 19 + body.length): Uint8Array {
  const bytes = new Uint8Array(19 + body.length).fill(255, 0, 16);
  bytes[16] = length >> 8;
  bytes[17] = length & 255;
  bytes[18] = type;
  bytes.set(body, 19);
  return bytes;
}

/** A changed copy: `patch(open, 19, 3)` sets the version. */
export function patch(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}
