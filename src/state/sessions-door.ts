/** Who may connect: configured neighbors, within bounds. Everyone else gets a Cease and is closed. */
import { limits } from "../base/limits.ts";
import { events } from "../fsm/events.ts";
import { cease, type Notice } from "../fsm/negotiate.ts";
import { isRunning, Timer } from "../fsm/session.ts";
import { encodeNotification } from "../wire/notification.ts";
import type { Connection } from "./sessions-connection.ts";
import type { Engine } from "./sessions-engine.ts";
import { Attempt, type Peer } from "./sessions-peer.ts";

/** One event per unknown source in this time. */
const refusalQuietMs = 60_000;
/** Sources remembered for that; when there are more, one event per second over all. */
const refusalSourcesMax = 256;

export class Door {
  private readonly engine: Engine;
  private readonly refusedAtMs = new Map<string, number>();
  private refusedUnsaid = 0;
  private refusalSaidMs = Number.NEGATIVE_INFINITY;
  /** Inbound connections whose OPEN is not read yet, apart from those that a neighbor's own machine took. */
  private readonly pending = new Set<Connection>();

  constructor(engine: Engine) {
    this.engine = engine;
  }

  /** An address that no neighbor has. */
  refuseUnknown(connection: Connection): void {
    const address = connection.remoteAddress;
    this.reject(connection, cease.connectionRejected);
    if (!this.mayMention(address)) {
      this.refusedUnsaid++;
      return;
    }
    const command = `cairnctl neighbor add ${address} --asn N`;
    const facts = { address, port: String(connection.remotePort), command, more: String(this.refusedUnsaid) };
    const summary = `refused a connection from ${address}, which is no neighbor; to add it: ${command}`;
    this.refusedUnsaid = 0;
    this.engine.effects.log("warn", summary, facts);
    this.engine.host.event("cairn.bgp.connection.refused", `Neighbor/${address}`, 2, summary, facts);
  }

  /** A range has no place for it, and has said so. */
  refuse(connection: Connection): void {
    this.reject(connection, cease.connectionRejected);
  }

  /** A configured neighbor that is not to be talked to now. */
  refuseDown(peer: Peer, connection: Connection, why: string): void {
    this.reject(connection, cease.connectionRejected);
    if (!this.mayMention(connection.remoteAddress)) return;
    const summary = `refused a connection: the neighbor is ${why}`;
    this.engine.host.event("cairn.bgp.connection.refused", peer.object, 1, summary, { reason: why });
  }

  /** Finds a machine for an inbound connection of a neighbor. */
  admit(peer: Peer, connection: Connection): void {
    const { engine } = this;
    const { session } = peer.main;
    this.sweep();
    if (session.state === "Idle" && isRunning(session, Timer.idleHold)) {
      this.park(peer, connection);
      return;
    }
    if (session.state === "Idle") engine.dispatch(peer.main, { kind: "start", manual: false, inbound: true });
    const taker = peer.main.session;
    if (taker.state === "Active" && taker.transport === "none") {
      this.give(peer.main, connection);
      return;
    }
    if (!this.makeRoom(peer)) {
      this.reject(connection, cease.outOfResources);
      return;
    }
    const candidate = new Attempt(peer, true, engine.nextOrder());
    candidate.late = peer.up !== undefined;
    peer.candidates.push(candidate);
    this.pending.add(connection);
    this.give(candidate, connection);
  }

  /** The idle hold is over: the waiting connection, if any, is taken up. */
  unpark(peer: Peer): void {
    const connection = peer.parked;
    if (!connection) return;
    peer.parked = undefined;
    this.admit(peer, connection);
  }

  /** Closes the connection that waits, if any. */
  dropParked(peer: Peer, notice: Notice): void {
    const connection = peer.parked;
    peer.parked = undefined;
    if (connection) this.reject(connection, notice);
  }

  /** RFC 4271 has Idle refuse connections. We let the newest wait for the end of the hold instead, unread. */
  park(peer: Peer, connection: Connection): void {
    this.dropParked(peer, cease.connectionRejected);
    peer.parked = connection;
  }

  private give(attempt: Attempt, connection: Connection): void {
    connection.attempt = attempt;
    attempt.connection = connection;
    this.engine.configure(connection, attempt.peer.config);
    this.engine.dispatch(attempt, events.connected);
  }

  private reject(connection: Connection, notice: Notice): void {
    const { effects } = this.engine;
    const bytes = encodeNotification(notice.code, notice.subcode, notice.data);
    if (!connection.closed) effects.push({ kind: "tcp.send", conn: connection.id, bytes });
    this.engine.drop(connection);
  }

  /** Bounds per neighbor and over all. The newest connection of a neighbor is the likeliest to be alive. */
  private makeRoom(peer: Peer): boolean {
    const unread = peer.candidates.filter((candidate) => !candidate.agreement);
    if (unread.length >= limits.pendingConnectionsPerSourceMax)
      this.engine.dispatch(unread[0], events.collision);
    this.sweep();
    return this.pending.size < limits.pendingConnectionsMax;
  }

  /** Forgets pending connections that have ended or whose OPEN was read. */
  private sweep(): void {
    if (this.pending.size < limits.pendingConnectionsPerSourceMax) return;
    for (const connection of this.pending) {
      if (!connection.attempt || connection.attempt.agreement) this.pending.delete(connection);
    }
  }

  private mayMention(address: string): boolean {
    const { nowMs } = this.engine;
    const last = this.refusedAtMs.get(address) ?? Number.NEGATIVE_INFINITY;
    if (nowMs - last < refusalQuietMs) return false;
    if (this.refusedAtMs.size >= refusalSourcesMax) {
      for (const [source, atMs] of this.refusedAtMs) {
        if (nowMs - atMs >= refusalQuietMs) this.refusedAtMs.delete(source);
      }
      if (this.refusedAtMs.size >= refusalSourcesMax && nowMs - this.refusalSaidMs < 1000) return false;
    }
    if (this.refusedAtMs.size < refusalSourcesMax) this.refusedAtMs.set(address, nowMs);
    this.refusalSaidMs = nowMs;
    return true;
  }
}
