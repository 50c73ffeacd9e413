/**
 * All sessions of all neighbors. Synchronous, called inside a turn; time is monotonic milliseconds and comes with each
 * call. What is to be done on the outside leaves as effects, what concerns routes goes to the `SessionHost`.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { RestartAgreement } from "../fsm/graceful-restart.ts";
import { cease, type Notice } from "../fsm/negotiate.ts";
import type { NeighborState } from "../gen/cairn/v1/neighbor_service_pb.ts";
import type { Family } from "../wire/family.ts";
import { noData } from "../wire/message.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import { CeaseSubcode, encodeShutdownMessage } from "../wire/notification.ts";
import { encodeRefresh, RefreshSubtype } from "../wire/refresh.ts";
import type { Effects } from "./effects.ts";
import type { ConnId } from "./inputs.ts";
import type {
  NeighborConfig,
  NeighborId,
  PrefixLimitConfig,
  SessionHost,
  SessionOpening,
} from "./session-port.ts";
import { Connection } from "./sessions-connection.ts";
import { Door } from "./sessions-door.ts";
import { runDueTimers } from "./sessions-due.ts";
import { Engine } from "./sessions-engine.ts";
import { Intake } from "./sessions-intake.ts";
import { Peer, PeerTimer, rank, settingsOf } from "./sessions-peer.ts";
import { neighborState } from "./sessions-state.ts";

/** Many neighbors that are added together start spread over this much per neighbor, at most over the second value. */
const startSpreadMs = 2;
const startSpreadMaxMs = 5_000;
/** So few start at once. */
const startAtOnce = 16;

export class Sessions {
  private readonly engine: Engine;
  private readonly intake: Intake;
  private readonly door: Door;
  private readonly peers: (Peer | undefined)[] = [];
  private readonly byAddress = new Map<string, Peer>();
  private ending = false;

  constructor(host: SessionHost, effects: Effects, random: Random) {
    this.engine = new Engine(host, effects, random);
    this.intake = new Intake(this.engine);
    this.door = new Door(this.engine);
  }

  // Configuration

  /**
   * A new neighbor; unless shut down it starts, spread in time when there are many.
   * @param gate see `gate`
   */
  add(neighbor: NeighborId, config: NeighborConfig, nowMs: number, gate = ""): void {
    this.engine.nowMs = nowMs;
    assert(!this.peers[neighbor], "the neighbor id is in use");
    assert(!this.byAddress.has(config.address), "the neighbor address is in use");
    const peer = new Peer(neighbor, config, this.engine.nextOrder());
    peer.gate = gate;
    this.peers[neighbor] = peer;
    this.byAddress.set(config.address, peer);
    if (!config.shutdown) this.start(peer);
  }

  /**
   * New settings. What needs no reset takes effect at once or with the next session.
   * @param reset end a running session with Cease / Other Configuration Change, so that the new settings are negotiated
   */
  update(neighbor: NeighborId, config: NeighborConfig, nowMs: number, reset: boolean): void {
    this.engine.nowMs = nowMs;
    const peer = this.peer(neighbor);
    const was = peer.config;
    assert(config.address === was.address, "the address is the neighbor's name");
    if (config.shutdown && !was.shutdown) {
      // The text belongs to the new settings, what is negotiated to the old ones until the session has ended.
      this.stop(peer, administrative(CeaseSubcode.administrativeShutdown, config.shutdownMessage));
      peer.hold = undefined;
    } else if (reset && !config.shutdown) {
      this.stop(peer, cease.configurationChange);
    }
    peer.config = config;
    for (const attempt of peer.attempts()) {
      this.engine.dispatch(attempt, { kind: "settings", settings: settingsOf(config) });
    }
    if (keysDiffer(was, config) && !reset && !config.shutdown) this.dialAgain(peer);
    if (isFound(was, config) && !reset && !config.shutdown) this.dialNow(peer);
    const restarts = reset || was.shutdown;
    if (!config.shutdown && restarts && !peer.hold) this.begin(peer);
    this.engine.host.stateChanged(neighbor);
  }

  /** The neighbor is no longer configured: Cease / Peer De-configured, and everything about it is forgotten. */
  remove(neighbor: NeighborId, nowMs: number): void {
    this.engine.nowMs = nowMs;
    const peer = this.peer(neighbor);
    this.stop(peer, cease.peerDeconfigured);
    this.engine.timers.clear(peer.main);
    peer.main.gone = true;
    this.peers[neighbor] = undefined;
    this.byAddress.delete(peer.config.address);
  }

  // Operations

  /** Cease / Administrative Reset with an RFC 9003 text; the session starts again by itself. */
  hardReset(neighbor: NeighborId, message: string, nowMs: number): void {
    this.engine.nowMs = nowMs;
    const peer = this.peer(neighbor);
    if (peer.config.shutdown || peer.hold) return;
    this.stop(peer, administrative(CeaseSubcode.administrativeReset, message));
    this.begin(peer);
  }

  /** The link that the session runs over is down: it ends as when its connection fails, and nobody is told. */
  linkDown(neighbor: NeighborId, nowMs: number): void {
    this.engine.nowMs = nowMs;
    const attempt = this.peers[neighbor]?.up;
    const connection = attempt?.connection;
    if (!attempt || !connection) return;
    // What waits in the socket would go out when the link is back, into a session that is over.
    this.engine.drop(connection, true);
    this.engine.dispatch(attempt, { kind: "tcp.failed", error: "ENETDOWN" });
    if (attempt.connection === connection) attempt.connection = undefined;
  }

  /**
   * Keeps the neighbor's session from coming up, or with an empty `why` lets it. A session that is up stays; a connection
   * of the neighbor waits unread.
   */
  gate(neighbor: NeighborId, why: string, nowMs: number): void {
    this.engine.nowMs = nowMs;
    const peer = this.peers[neighbor];
    if (!peer || peer.gate === why) return;
    const wasOpen = peer.gate === "";
    peer.gate = why;
    if (wasOpen && !peer.up) this.stop(peer, cease.bfdDown);
    if (why === "" && !peer.up && !peer.config.shutdown && !peer.hold) this.begin(peer);
    this.engine.host.stateChanged(neighbor);
  }

  /**
   * BFD holds the path to the neighbor dead: Cease / BFD Down (RFC 9384), then a new attempt, damped.
   * @param keep the neighbor's routes may outlive the session as if its control plane had restarted (RFC 5882 4.3)
   */
  bfdDown(neighbor: NeighborId, text: string, keep: boolean, nowMs: number): void {
    this.engine.nowMs = nowMs;
    const peer = this.peer(neighbor);
    const { up } = peer;
    if (!up) return;
    const restart = up.agreement?.restart;
    const notice: Notice = { ...cease.bfdDown, text };
    if (keep && restart && restart.kept !== 0 && !restart.notification) {
      // A NOTIFICATION would end what is to be kept on the other side too.
      this.stop(peer, notice, `BFD Down: ${text}`);
      this.begin(peer);
      return;
    }
    const kept: Notice = keep ? { ...notice, hardReset: false } : notice;
    for (const attempt of peer.attempts())
      this.engine.dispatch(attempt, { kind: "stop", manual: false, notice: kept });
  }

  /** Ends a prefix limit hold or an idle hold of a neighbor that is not shut down; it starts at once. */
  clearHold(neighbor: NeighborId, nowMs: number): void {
    this.engine.nowMs = nowMs;
    const peer = this.peer(neighbor);
    if (peer.config.shutdown) return;
    peer.hold = undefined;
    if (peer.main.session.state === "Idle") this.begin(peer);
    this.engine.host.stateChanged(neighbor);
  }

  /**
   * The daemon ends: Cease / Administrative Shutdown to all. `hard` does not wait for it to leave.
   * @param graceful a planned restart: neighbors that were asked to keep our routes hear nothing, or with the N bit of
   * RFC 8538 a Cease that is no hard reset
   */
  shutdownAll(message: string, hard: boolean, graceful: boolean, nowMs: number): void {
    this.engine.nowMs = nowMs;
    this.ending = true;
    this.engine.abortCloses = hard;
    const notice = administrative(CeaseSubcode.administrativeShutdown, message);
    const pause: Notice = { ...administrative(CeaseSubcode.administrativeReset, message), hardReset: false };
    for (const peer of this.peers) {
      const restart = peer?.up?.agreement?.restart;
      if (peer && graceful && restart?.offered && restart.asked !== 0) {
        this.stop(peer, pause, restart.notification ? undefined : "closed for a restart of ours");
      } else if (peer) this.stop(peer, notice);
    }
  }

  /** R bit of the OPENs that follow (RFC 4724). */
  setRestarting(restarting: boolean): void {
    this.engine.restarting = restarting;
  }

  /**
   * A prefix limit was passed: Cease / Maximum Number of Prefixes Reached (RFC 4486 section 4), then down until
   * `clearHold` or, with action restart, for `restartAfterMs`. May be called from within `SessionHost.update`.
   */
  prefixLimitReached(
    neighbor: NeighborId,
    family: Family,
    { action, max, restartAfterMs }: PrefixLimitConfig,
    nowMs: number,
  ): void {
    if (action === "warn" || action === "drop") return;
    this.engine.nowMs = nowMs;
    const peer = this.peer(neighbor);
    const out = new MessageWriter(7);
    out.u16(family.afi);
    out.u8(family.safi);
    out.u32(max);
    this.stop(peer, { code: 6, subcode: CeaseSubcode.maxPrefixes, data: out.take(), text: family.name });
    peer.hold = { family: family.name, ends: action === "restart" };
    if (action === "restart") this.engine.timers.set(peer, PeerTimer.start, nowMs + restartAfterMs);
    this.engine.host.stateChanged(neighbor);
  }

  // Inputs

  accepted(
    conn: ConnId,
    localAddress: string,
    localPort: number,
    remoteAddress: string,
    remotePort: number,
    nowMs: number,
  ): void {
    this.engine.nowMs = nowMs;
    const connection = new Connection(conn, false, remoteAddress, remotePort, nowMs);
    connection.localAddress = localAddress;
    connection.localPort = localPort;
    this.engine.connections.set(conn, connection);
    let peer = this.byAddress.get(remoteAddress) ?? this.onInterface(remoteAddress);
    if ((!peer || peer.config.dynamic) && !this.ending) {
      const verdict = this.engine.host.stranger(remoteAddress, localAddress);
      if (verdict.kind === "refused") {
        this.door.refuse(connection);
        return;
      }
      peer = this.byAddress.get(remoteAddress);
    }
    if (!peer) {
      this.door.refuseUnknown(connection);
      return;
    }
    if (this.ending) {
      this.door.refuseDown(peer, connection, "going down with the daemon");
      return;
    }
    if (peer.config.shutdown) {
      this.door.refuseDown(peer, connection, "administratively down");
      return;
    }
    if (peer.hold) {
      this.door.refuseDown(peer, connection, "held down by a prefix limit");
      return;
    }
    if (peer.gate !== "" && !peer.up) {
      this.door.park(peer, connection);
      return;
    }
    this.engine.timers.set(peer, PeerTimer.start, Number.POSITIVE_INFINITY);
    this.door.admit(peer, connection);
  }

  connected(conn: ConnId, localAddress: string, localPort: number, nowMs: number): void {
    this.engine.nowMs = nowMs;
    const connection = this.engine.connections.get(conn);
    if (!connection?.attempt) return;
    connection.localAddress = localAddress;
    connection.localPort = localPort;
    connection.lastArrivalMs = nowMs;
    this.engine.dispatch(connection.attempt, { kind: "tcp.connected" });
  }

  /** The connection ended. What it still brought is read first. */
  closed(conn: ConnId, error: string | undefined, nowMs: number): void {
    this.engine.nowMs = nowMs;
    const connection = this.engine.connections.get(conn);
    if (!connection) return;
    connection.closed = true;
    connection.closeError = error;
    if (connection.attempt) {
      if (this.intake.hasMessage(connection)) this.intake.list(connection);
      else this.intake.end(connection);
      return;
    }
    this.engine.connections.delete(conn);
    for (const peer of this.byAddress.values()) if (peer.parked === connection) peer.parked = undefined;
  }

  /** Received bytes; they are copied. */
  bytes(conn: ConnId, bytes: Uint8Array, nowMs: number): void {
    const connection = this.engine.connections.get(conn);
    if (!connection) return;
    connection.append(bytes, nowMs);
    if (!connection.paused && connection.overfull) {
      connection.paused = true;
      this.engine.effects.push({ kind: "tcp.pause", conn, paused: true });
    }
    this.intake.list(connection);
  }

  /** The kernel took bytes; `queued` still wait in the shell. */
  sent(conn: ConnId, queued: number, nowMs: number): void {
    this.engine.nowMs = nowMs;
    const connection = this.engine.connections.get(conn);
    if (!connection) return;
    if (queued < connection.queuedBytes || queued === 0) connection.progressMs = nowMs;
    connection.queuedBytes = queued;
    if (!connection.full || queued >= limits.connOutboxBytesMax / 2) return;
    connection.full = false;
    const peer = connection.attempt?.peer;
    if (peer?.up && peer.up === connection.attempt) this.engine.host.writable(peer.id);
  }

  // Work

  /**
   * Reads messages round robin, a bounded piece per connection.
   * @param budgetBytes stop after about so many bytes of messages
   * @param expired asked between connections; true stops
   */
  pump(nowMs: number, budgetBytes: number, expired?: () => boolean): void {
    this.engine.nowMs = nowMs;
    this.intake.pump(budgetBytes, expired);
  }

  hasWork(): boolean {
    return this.intake.hasWork();
  }

  dueTimers(nowMs: number): void {
    this.engine.nowMs = nowMs;
    runDueTimers(this.engine, this.intake, this.door);
  }

  /** When `dueTimers` is wanted next, monotonic milliseconds; Infinity when no timer runs. */
  nextTimerMs(): number {
    return this.engine.timers.nextMs();
  }

  // Sending

  /**
   * Queues UPDATE messages (whole ones, any number) on an Established session. The bytes may be shared with other
   * sessions. Also restarts the KeepaliveTimer.
   */
  send(neighbor: NeighborId, bytes: Uint8Array, nowMs: number): void {
    const attempt = this.peers[neighbor]?.up;
    if (!attempt) return;
    this.engine.nowMs = nowMs;
    attempt.keepaliveFromMs = nowMs;
    attempt.peer.sent.updates += countMessages(bytes);
    this.engine.transmit(attempt, bytes);
  }

  /** Bytes the neighbor's connection may still take; 0 when it is full (`SessionHost.writable` follows) or down. */
  room(neighbor: NeighborId): number {
    const connection = this.peers[neighbor]?.up?.connection;
    if (!connection) return 0;
    const room = limits.connOutboxBytesMax - connection.queuedBytes;
    if (room > 0) return room;
    connection.full = true;
    return 0;
  }

  /** Bytes handed to the neighbor's connection and not yet taken by the kernel; 0 when it is down. */
  queuedBytes(neighbor: NeighborId): number {
    return this.peers[neighbor]?.up?.connection?.queuedBytes ?? 0;
  }

  /**
   * Sends ROUTE-REFRESH for a negotiated family: a request, or the begin or end of an answer (RFC 7313).
   * @returns false when the session is down or the neighbor did not offer it
   */
  refresh(
    neighbor: NeighborId,
    family: Family,
    nowMs: number,
    subtype: number = RefreshSubtype.request,
  ): boolean {
    const attempt = this.peers[neighbor]?.up;
    const agreement = attempt?.agreement;
    if (!attempt || !agreement?.routeRefresh || (agreement.families & (1 << family.index)) === 0)
      return false;
    this.engine.nowMs = nowMs;
    if (subtype === RefreshSubtype.request) attempt.peer.sent.refreshes++;
    this.engine.transmit(attempt, encodeRefresh(family.afi, family.safi, subtype));
    return true;
  }

  /** Sends ROUTE-REFRESH messages that carry a filter (RFC 5291). */
  sendFilter(neighbor: NeighborId, messages: readonly Uint8Array[], nowMs: number): void {
    const attempt = this.peers[neighbor]?.up;
    if (!attempt) return;
    this.engine.nowMs = nowMs;
    attempt.peer.sent.refreshes += messages.length;
    for (const bytes of messages) this.engine.transmit(attempt, bytes);
  }

  // Reading

  /** Everything of NeighborState except route counts. `wallMs` is the wall clock at `nowMs`. */
  state(neighbor: NeighborId, nowMs: number, wallMs: number): NeighborState {
    return neighborState(this.peer(neighbor), nowMs, wallMs);
  }

  /** Graceful restart as agreed on for the session, or the last one while its routes are kept. */
  restart(neighbor: NeighborId): RestartAgreement {
    return this.peer(neighbor).restart;
  }

  /** Number of the state that is shown, 1 (Idle) to 6 (Established); 1 for a neighbor that is gone. */
  stateNumber(neighbor: NeighborId): number {
    return rank(this.peers[neighbor]?.shownState ?? "Idle") + 1;
  }

  /** What opened the session; undefined while it is not Established. */
  opening(neighbor: NeighborId): SessionOpening | undefined {
    const peer = this.peers[neighbor];
    const connection = peer?.up?.connection;
    if (!peer?.up || !connection) return undefined;
    const { sentOpen, receivedOpen } = peer.up;
    const { localPort, remotePort } = connection;
    return { sentOpen, receivedOpen, localPort, remotePort, establishedAtMs: peer.establishedAtMs };
  }

  /** Who is told of each message that comes in, but for UPDATEs of Established sessions. */
  setMirror(mirror: Engine["mirror"]): void {
    this.engine.mirror = mirror;
  }

  isEstablished(neighbor: NeighborId): boolean {
    return this.peers[neighbor]?.up !== undefined;
  }

  /** It has a connection, or is held down until somebody or a timer ends that. */
  isActive(neighbor: NeighborId): boolean {
    const peer = this.peers[neighbor];
    if (!peer) return false;
    return (
      peer.hold !== undefined ||
      peer.parked !== undefined ||
      peer.attempts().some(({ connection }) => connection)
    );
  }

  private peer(neighbor: NeighborId): Peer {
    const peer = this.peers[neighbor];
    assert(peer, "no such neighbor");
    return peer;
  }

  /** First start of a neighbor; with many of them not all in one instant. */
  private start(peer: Peer): void {
    const count = this.byAddress.size;
    if (count <= startAtOnce) {
      this.begin(peer);
      return;
    }
    const spreadMs = Math.min(count * startSpreadMs, startSpreadMaxMs);
    this.engine.timers.set(peer, PeerTimer.start, this.engine.nowMs + this.engine.random() * spreadMs);
  }

  private begin(peer: Peer): void {
    if (this.ending || peer.gate !== "") return;
    this.engine.timers.set(peer, PeerTimer.start, Number.POSITIVE_INFINITY);
    this.engine.dispatch(peer.main, { kind: "start", manual: true, inbound: peer.parked !== undefined });
    const { parked } = peer;
    this.door.unpark(peer);
    if (parked) this.intake.list(parked);
  }

  /** The neighbor that is named by the interface of a link-local address, unless it is known to have another one. */
  private onInterface(remoteAddress: string): Peer | undefined {
    const zone = remoteAddress.split("%")[1];
    const peer = zone === undefined ? undefined : this.byAddress.get(zone);
    if (!peer?.config.unnumbered) return undefined;
    if (peer.config.remote === "") peer.config = this.engine.host.locate(peer.id, remoteAddress);
    return peer.config.remote === remoteAddress ? peer : undefined;
  }

  /** It is known now where to connect to: without the wait that goes between attempts. */
  private dialNow(peer: Peer): void {
    if (peer.hold || peer.parked || peer.attempts().some(({ connection }) => connection)) return;
    this.stop(peer, cease.configurationChange);
    this.begin(peer);
  }

  /** With another key an attempt under way would go on sending what nobody answers. */
  private dialAgain(peer: Peer): void {
    if (peer.main.session.state !== "Connect" || peer.candidates.length > 0) return;
    this.stop(peer, cease.configurationChange);
    this.begin(peer);
  }

  private stop(peer: Peer, notice: Notice, silent?: string): void {
    this.engine.timers.set(peer, PeerTimer.start, Number.POSITIVE_INFINITY);
    for (const attempt of peer.attempts())
      this.engine.dispatch(attempt, { kind: "stop", manual: true, notice, silent });
    this.door.dropParked(peer, notice);
  }
}

/** There is somebody to connect to, and was not before, or at another address. */
function isFound(before: NeighborConfig, after: NeighborConfig): boolean {
  return after.obstacle === "" && (before.obstacle !== "" || before.remote !== after.remote);
}

function keysDiffer(a: NeighborConfig, b: NeighborConfig): boolean {
  return a.password !== b.password || JSON.stringify(a.keys) !== JSON.stringify(b.keys);
}

/** RFC 9003: Cease with a text for the operator on the other side. */
function administrative(subcode: number, message: string): Notice {
  const data = message === "" ? noData : encodeShutdownMessage(message);
  return { code: 6, subcode, data, shutdownMessage: message };
}

function countMessages(bytes: Uint8Array): number {
  let count = 0;
  for (let at = 0; at + 18 < bytes.length; count++)
    at += (bytes[at + 16] << 8) | bytes[at + 17] || bytes.length;
  return count;
}
