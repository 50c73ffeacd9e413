/**
 * Packets that rules log, as events. Asked for while an object logs; what the shell tells comes bounded, and what came
 * besides is counted and told now and then.
 */
import type { Message } from "@bufbuild/protobuf";
import { formatIp } from "../base/ip.ts";
import { protocolText } from "../base/ip-protocols.ts";
import { limits } from "../base/limits.ts";
import type { Link } from "../dataplane/kernel-model.ts";
import { packetLogGroup, parseLogPrefix } from "../dataplane/logged-packet.ts";
import type { LoggedPacket } from "../dataplane/netlink/packet-log-wire.ts";
import { devicesOf } from "../resources/firewall/zone.ts";
import type { Surroundings } from "../resources/kind.ts";
import type { Effects } from "./effects.ts";
import type { Dataplane } from "./kernel-watch.ts";
import type { Touched } from "./objects.ts";
import type { Inputs, Part } from "./part.ts";
import type { SessionHost } from "./session-port.ts";

export interface FirewallLogHost {
  readonly dataplane: Dataplane;
  readonly effects: Effects;
  readonly event: SessionHost["event"];
  nowMs(): number;
  /** Specs of all objects of a kind. */
  specs(kind: string): Iterable<Message>;
  /** What kinds may look at, as it is. */
  around(): Surroundings;
  link(index: number): Link | undefined;
}

/** How logging fares. */
export interface FirewallLogState {
  /** An object logs. */
  readonly wanted: boolean;
  readonly group: number;
  /** Why no packets come; empty when all is well. */
  readonly failure: string;
  /** Packets that became events since the start, and others. */
  readonly told: number;
  readonly dropped: number;
}

const loggingKinds = ["FirewallZone", "FirewallPolicy", "FirewallRule"] as const;
/** What decides which zone a link is in. */
const zoneKinds: ReadonlySet<string> = new Set(["FirewallZone", "Interface"]);

/** One event in this time tells of packets that were not told. */
const quietMs = 10_000;

const verbs: Readonly<Record<string, string>> = { accept: "accepted", drop: "dropped", reject: "rejected" };

export class FirewallLog implements Part {
  private readonly host: FirewallLogHost;
  private wanted = false;
  private failure = "";
  private told = 0;
  private dropped = 0;
  /** Of `dropped`, those that an event has told of. */
  private droppedTold = 0;
  private quietUntilMs = Number.NEGATIVE_INFINITY;
  /** Zones by link; undefined when they may have changed. */
  private zones: ReadonlyMap<string, string> | undefined;

  readonly inputs: Inputs = {
    "firewall.logged": ({ packets, dropped }) => this.logged(packets, dropped),
    "firewall.log-failed": ({ why }) => this.failed(why),
  };

  constructor(host: FirewallLogHost) {
    this.host = host;
  }

  start(): void {
    this.look();
  }

  apply(touched: readonly Touched[]): void {
    if (touched.some(({ kind }) => zoneKinds.has(kind))) this.zones = undefined;
    if (touched.some(({ kind }) => (loggingKinds as readonly string[]).includes(kind))) this.look();
  }

  private look(): void {
    if (this.host.dataplane !== "linux") return;
    const wanted = loggingKinds.some((kind) => {
      for (const spec of this.host.specs(kind)) if ((spec as Message & { log: boolean }).log) return true;
      return false;
    });
    if (wanted === this.wanted) return;
    this.wanted = wanted;
    this.failure = "";
    this.host.effects.push({ kind: "firewall.log", wanted });
  }

  private failed(why: string): void {
    this.failure = why;
    const summary = why === "" ? "logged packets are heard of again" : `logged packets are not told: ${why}`;
    const topic = `cairn.firewall.log.${why === "" ? "restored" : "failed"}`;
    this.host.event(topic, "", why === "" ? 1 : 2, summary, { reason: why });
  }

  private logged(packets: readonly LoggedPacket[], dropped: number): void {
    this.dropped += dropped;
    for (const packet of packets) this.tell(packet);
    const untold = this.dropped - this.droppedTold;
    const nowMs = this.host.nowMs();
    if (untold === 0 || nowMs < this.quietUntilMs) return;
    this.quietUntilMs = nowMs + quietMs;
    this.droppedTold = this.dropped;
    const summary = `${untold} logged packets were not told: at most ${limits.loggedPacketsPerS} are, a second`;
    this.host.event("cairn.firewall.packet.untold", "", 2, summary, { packets: String(untold) });
  }

  private tell(packet: LoggedPacket): void {
    const mark = parseLogPrefix(packet.prefix);
    // Another program may log to the group.
    if (!mark || packet.source.length === 0) return;
    this.told++;
    const protocol = protocolText(packet.protocol);
    const link = this.nameOf(packet.inIndex);
    const leaves = this.nameOf(packet.outIndex);
    const zone = this.zoneOf(link);
    const hasPorts = packet.sourcePort !== 0 || packet.destinationPort !== 0;
    const isIcmp = protocol === "icmp" || protocol === "icmpv6";
    const end = (address: Uint8Array, port: number): string => {
      if (!hasPorts || isIcmp) return formatIp(address);
      return address.length === 4 ? `${formatIp(address)}:${port}` : `[${formatIp(address)}]:${port}`;
    };
    const [source, destination] = [
      end(packet.source, packet.sourcePort),
      end(packet.destination, packet.destinationPort),
    ];
    const from = zone === "" ? link : `${zone} (${link})`;
    const to = leaves === "" ? "the host" : leaves;
    const summary = `${mark.owner} ${verbs[mark.action]} ${protocol} ${source} to ${destination}, from ${from} to ${to}`;
    const details: Record<string, string> = isIcmp
      ? { icmp_type: String(packet.sourcePort), icmp_code: String(packet.destinationPort) }
      : hasPorts
        ? { source_port: String(packet.sourcePort), destination_port: String(packet.destinationPort) }
        : {};
    this.host.event("cairn.firewall.packet.logged", mark.owner, 1, summary, {
      action: mark.action,
      rule: mark.owner,
      zone,
      in: link,
      out: leaves,
      protocol,
      source: formatIp(packet.source),
      destination: formatIp(packet.destination),
      ...details,
      bytes: String(packet.length),
    });
  }

  private nameOf(index: number): string {
    return index === 0 ? "" : (this.host.link(index)?.name ?? String(index));
  }

  private zoneOf(link: string): string {
    if (!this.zones) {
      const around = this.host.around();
      const zones = new Map<string, string>();
      for (const name of [...around.names("FirewallZone")].sort().reverse())
        for (const device of devicesOf(name, around)) zones.set(device, name);
      this.zones = zones;
    }
    return this.zones.get(link) ?? "";
  }

  state(): FirewallLogState {
    const { wanted, failure, told, dropped } = this;
    return { wanted, group: packetLogGroup, failure, told, dropped };
  }
}
