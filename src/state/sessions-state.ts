/** One neighbor's session as the API shows it, apart from route counts. */
import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { formatIp4 } from "../base/ip.ts";
import type { RestartAgreement, RestartMoment } from "../fsm/graceful-restart.ts";
import { isNegotiated, localCapabilities } from "../fsm/negotiate.ts";
import { Timer } from "../fsm/session.ts";
import {
  type Capability,
  CapabilitySchema,
  type NeighborState,
  NeighborStateSchema,
  type RestartState,
  RestartStateSchema,
  type SessionState,
} from "../gen/cairn/v1/neighbor_service_pb.ts";
import {
  capabilityCode,
  describeCapability,
  type Capability as WireCapability,
} from "../wire/capabilities.ts";
import type { NeighborConfig } from "./session-port.ts";
import { type Attempt, type MessageTally, type Peer, PeerTimer, rank } from "./sessions-peer.ts";
import { secondsText } from "./sessions-text.ts";
import { sessionTimers } from "./sessions-timer-view.ts";

/** @param wallMs wall clock at `nowMs` */
export function neighborState(peer: Peer, nowMs: number, wallMs: number): NeighborState {
  const lead = peer.leading();
  const { config } = peer;
  const { connection, agreement, session } = lead;
  const toWall = (atMs: number): Timestamp => timestampFromMs(Math.floor(wallMs - (nowMs - atMs)));
  const left = (owner: Attempt | Peer, timer: number): Duration | undefined => {
    const deadlineMs = owner.deadlinesMs[timer];
    return Number.isFinite(deadlineMs)
      ? durationFromMs(Math.max(0, Math.ceil(deadlineMs - nowMs)))
      : undefined;
  };
  return create(NeighborStateSchema, {
    sessionState: (rank(session.state) + 1) as SessionState,
    uptime: peer.up ? durationFromMs(Math.floor(nowMs - peer.establishedAtMs)) : undefined,
    establishedAt: peer.up ? toWall(peer.establishedAtMs) : undefined,
    lastResetReason: peer.resets[0]?.text ?? "",
    resets: peer.resets.map(({ atMs, uptimeMs, ...reset }) => ({
      ...reset,
      time: toWall(atMs),
      ...(uptimeMs === undefined ? {} : { uptime: durationFromMs(Math.floor(uptimeMs)) }),
    })),
    timers: sessionTimers(peer, nowMs),
    ends: [...ends(true, peer.endsByUs), ...ends(false, peer.endsByNeighbor)],
    capabilities: capabilities(peer, lead.moment, agreement?.remoteCapabilities ?? []),
    restart: restartState(agreement?.restart ?? peer.restart, agreement?.enhancedRefresh ?? false),
    localAddress: connection?.localAddress || (config.localAddress ?? ""),
    localPort: connection?.localPort ?? 0,
    remoteAddress: connection?.remoteAddress ?? config.remote,
    interface: config.interface,
    discovery: discovery(config),
    remotePort: connection?.remotePort ?? config.port,
    remoteRouterId: agreement ? formatIp4(agreement.remoteRouterId) : "",
    remoteAsn: config.remoteAsn,
    localAsn: config.localAsn,
    sessionType: config.external ? "external" : config.confederationMember ? "confederation" : "internal",
    negotiatedHoldTime: agreement ? durationFromMs(agreement.holdTimeS * 1000) : undefined,
    keepaliveInterval: agreement ? durationFromMs(agreement.keepaliveS * 1000) : undefined,
    holdTimeLeft: left(lead, Timer.hold),
    nextConnect: nextConnect(peer, left),
    received: counts(peer.received),
    sent: counts(peer.sent),
    establishedCount: peer.establishedCount,
    outQueueBytes: BigInt(connection?.queuedBytes ?? 0),
    inQueueBytes: BigInt(connection?.inboxBytes ?? 0),
    status: status(peer, nowMs),
    maxMessageSize: agreement?.maxMessageBytes ?? 0,
    adminDown: config.shutdown,
  });
}

function ends(local: boolean, byCode: ReadonlyMap<number, number>) {
  return [...byCode].map(([code, count]) => ({ local, code, count: BigInt(count) }));
}

/** How the address of a neighbor that is named by its interface stands; empty for any other. */
function discovery({ unnumbered, remote, obstacle }: NeighborConfig): string {
  if (!unnumbered) return "";
  return obstacle === "" ? `found at ${remote}` : obstacle;
}

type Left = (owner: Attempt | Peer, timer: number) => Duration | undefined;

function nextConnect(peer: Peer, left: Left): Duration | undefined {
  const { state, settings } = peer.main.session;
  if (settings.passive) return undefined;
  if (state === "Active") return left(peer.main, Timer.connectRetry);
  return state === "Idle" ? (left(peer.main, Timer.idleHold) ?? left(peer, PeerTimer.start)) : undefined;
}

/** One sentence without a full stop; empty when there is nothing to say. */
function status(peer: Peer, nowMs: number): string {
  const { main, hold, config } = peer;
  if (config.shutdown) {
    return config.shutdownMessage
      ? `administratively down: ${config.shutdownMessage}`
      : "administratively down";
  }
  if (hold && !hold.ends) return `held down by the ${hold.family} prefix limit until enabled`;
  if (hold) {
    const leftMs = peer.deadlinesMs[PeerTimer.start] - nowMs;
    return `held down by the ${hold.family} prefix limit for another ${secondsText(leftMs)}`;
  }
  if (peer.up) return "";
  if (peer.gate !== "") return peer.gate;
  const why = peer.connectError ? ` (last: ${peer.connectError})` : "";
  switch (peer.leading().session.state) {
    case "Idle": {
      const leftMs = Math.min(main.deadlinesMs[Timer.idleHold], peer.deadlinesMs[PeerTimer.start]) - nowMs;
      return Number.isFinite(leftMs)
        ? `waiting ${secondsText(leftMs)} before the next attempt${why}`
        : "stopped";
    }
    case "Active": {
      const leftMs = main.deadlinesMs[Timer.connectRetry] - nowMs;
      if (config.obstacle !== "") return config.obstacle;
      if (!Number.isFinite(leftMs)) return "waiting for the neighbor to connect";
      return `waiting ${secondsText(leftMs)} before the next attempt${why}`;
    }
    case "Connect":
      return `connecting${why}`;
    case "OpenSent":
      return "connected, waiting for the neighbor's OPEN";
    default:
      return "waiting for the neighbor's KEEPALIVE";
  }
}

/** Capabilities whose values differ by side: each side has a line of its own. */
const sayTheirOwn: ReadonlySet<WireCapability["kind"]> = new Set([
  "four-octet-as",
  "graceful-restart",
  "long-lived-graceful-restart",
]);

function restartState(restart: RestartAgreement, enhancedRefresh: boolean): RestartState {
  return create(RestartStateSchema, {
    offered: restart.offered,
    remoteRestarting: restart.remoteRestarting,
    localRestarting: restart.localRestarting,
    notification: restart.notification,
    restartTime: restart.offered ? durationFromMs(restart.restartTimeS * 1000) : undefined,
    enhancedRefresh,
  });
}

/** Ours first, then what only the neighbor offers. */
function capabilities(peer: Peer, moment: RestartMoment, remote: readonly WireCapability[]): Capability[] {
  const local = localCapabilities(peer.config, moment);
  const rows = local.map((capability) => row(capability, true, isNegotiated(capability, remote)));
  for (const capability of remote) {
    if (!sayTheirOwn.has(capability.kind) && isNegotiated(capability, local)) continue;
    const negotiated = isNegotiated(capability, local);
    rows.push(row(capability, false, negotiated));
  }
  return rows;
}

function row(capability: WireCapability, local: boolean, negotiated: boolean): Capability {
  const { name, value } = describeCapability(capability);
  const code = capabilityCode(capability);
  const remote = !local || (negotiated && !sayTheirOwn.has(capability.kind));
  return create(CapabilitySchema, { code, name, value, local, remote, negotiated });
}

function counts(tally: MessageTally): Record<keyof MessageTally, bigint> {
  return {
    opens: BigInt(tally.opens),
    updates: BigInt(tally.updates),
    keepalives: BigInt(tally.keepalives),
    notifications: BigInt(tally.notifications),
    refreshes: BigInt(tally.refreshes),
    bytes: BigInt(tally.bytes),
  };
}
