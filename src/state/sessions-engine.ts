/**
 * Runs the machines: feeds them events from a flat queue, performs their actions, keeps timers and connections. It
 * knows neither how messages are read (sessions-intake.ts) nor who may connect (sessions-door.ts).
 */
import { assert } from "../base/assert.ts";
import { parseIp } from "../base/ip.ts";
import { limits } from "../base/limits.ts";
import type { Random } from "../base/random.ts";
import type { EndReason, SessionAction } from "../fsm/actions.ts";
import { type Contender, loser } from "../fsm/collision.ts";
import { events, type SessionEvent } from "../fsm/events.ts";
import {
  meansHardReset,
  noAgreement,
  type RestartAgreement,
  type RestartMoment,
} from "../fsm/graceful-restart.ts";
import { type Agreement, cease, localCapabilities, type Notice } from "../fsm/negotiate.ts";
import { isRunning, promoted, Timer } from "../fsm/session.ts";
import { step } from "../fsm/step.ts";
import { keepaliveBytes } from "../wire/keepalive.ts";
import { hex } from "../wire/message.ts";
import { encodeHardReset, encodeNotification } from "../wire/notification.ts";
import { encodeOpen } from "../wire/open.ts";
import type { Effects } from "./effects.ts";
import type { ConnId } from "./inputs.ts";
import type { Negotiated, NeighborConfig, NeighborId, ResetInfo, SessionHost } from "./session-port.ts";
import { Connection } from "./sessions-connection.ts";
import { type Attempt, type Peer, resetsKept } from "./sessions-peer.ts";
import { noticeText, resetInfo, transportText } from "./sessions-text.ts";
import { TimerHeap } from "./sessions-timers.ts";

/** Events about stray connections of one neighbor per minute; a flood must not wash the event ring out. */
const noisePerMinute = 10;
/** A queue in which nothing moved for this long is thrown away on close instead of waited for. */
const stuckMs = 5_000;

export class Engine {
  readonly host: SessionHost;
  readonly effects: Effects;
  readonly random: Random;
  readonly timers = new TimerHeap<Attempt | Peer>();
  readonly connections = new Map<ConnId, Connection>();
  /** Time of the call from outside that is being handled. */
  nowMs = 0;
  /** Closes do not wait for what is queued. */
  abortCloses = false;
  /** R bit of RFC 4724: the daemon has restarted, and has not told all its routes yet. */
  restarting = false;
  /** Told of each message that comes in, but for UPDATEs of Established sessions; undefined while nobody asks. */
  mirror: ((neighbor: NeighborId, bytes: Uint8Array, start: number, end: number) => void) | undefined =
    undefined;
  private readonly queue: { readonly attempt: Attempt; readonly event: SessionEvent }[] = [];
  private held = false;
  private running = false;
  private attempts = 0;
  private lastOutbound = 0;

  constructor(host: SessionHost, effects: Effects, random: Random) {
    this.host = host;
    this.effects = effects;
    this.random = random;
  }

  nextOrder(): number {
    return ++this.attempts;
  }

  /** Gives `event` to a machine, after all events that came before it. */
  dispatch(attempt: Attempt, event: SessionEvent): void {
    this.queue.push({ attempt, event });
    if (!this.held && !this.running) this.drain();
  }

  /** While the core looks at an UPDATE, events only queue: no session ends beneath it. */
  hold(): void {
    this.held = true;
  }

  release(): void {
    this.held = false;
    if (this.queue.length > 0) this.drain();
  }

  private drain(): void {
    this.running = true;
    for (let i = 0; i < this.queue.length; i++) this.run(this.queue[i].attempt, this.queue[i].event);
    this.queue.length = 0;
    this.running = false;
  }

  private run(attempt: Attempt, event: SessionEvent): void {
    if (attempt.gone) return;
    const before = attempt.session;
    const [next, actions] = step(before, event);
    attempt.session = next;
    for (const action of actions) this.perform(attempt, action);
    if (attempt.session.candidate && attempt.session.state === "Idle") this.forget(attempt);
    if (next.state !== before.state) this.show(attempt.peer);
  }

  private perform(attempt: Attempt, action: SessionAction): void {
    switch (action.kind) {
      case "connect":
        this.connect(attempt);
        return;
      case "close":
        this.close(attempt);
        return;
      case "send.open":
        attempt.peer.sent.opens++;
        attempt.moment = this.momentOf(attempt.peer);
        attempt.toldAsn = attempt.peer.config.localAsn;
        attempt.sentOpen = openBytes(attempt.peer, attempt.moment);
        this.transmit(attempt, attempt.sentOpen);
        return;
      case "send.keepalive":
        attempt.peer.sent.keepalives++;
        this.transmit(attempt, keepaliveBytes);
        return;
      case "send.notification":
        this.notify(attempt, action.notice);
        return;
      case "timer.start":
        this.startTimer(attempt, action.timer, action.ms, action.jitter);
        return;
      case "timer.stop":
        this.timers.set(attempt, action.timer, Number.POSITIVE_INFINITY);
        return;
      case "agreed":
        attempt.agreement = action.agreement;
        return;
      case "established":
        this.established(attempt);
        return;
      case "ended":
        this.ended(attempt, action.established, action.reason);
        return;
    }
  }

  /** What an OPEN that is sent now says of restarts. What was forwarded for a session of this run is forwarded still. */
  momentOf(peer: Peer): RestartMoment {
    const { restarting } = this;
    return { restarting, forwarding: peer.config.preserveForwarding || peer.establishedCount > 0 };
  }

  /** Queues bytes on the machine's connection. */
  transmit(attempt: Attempt, bytes: Uint8Array): void {
    const { connection } = attempt;
    if (!connection || connection.closed) return;
    if (connection.queuedBytes === 0) connection.progressMs = this.nowMs;
    connection.queuedBytes += bytes.length;
    attempt.peer.sent.bytes += bytes.length;
    this.effects.push({ kind: "tcp.send", conn: connection.id, bytes });
  }

  private notify(attempt: Attempt, notice: Notice): void {
    const { peer } = attempt;
    const { code, subcode, data } = notice;
    const told = asSent(attempt, notice);
    peer.sent.notifications++;
    this.transmit(attempt, (told.hardReset ? encodeHardReset : encodeNotification)(code, subcode, data));
    if (!this.audible(attempt)) return;
    this.host.event(
      "cairn.bgp.notification.sent",
      peer.object,
      2,
      `sent ${noticeText(told)}`,
      noticeFacts(told),
    );
  }

  private connect(attempt: Attempt): void {
    const { config } = attempt.peer;
    // Ids of connections that we open are positive, so they never meet the negative ones of accepted connections.
    const id = ++this.lastOutbound;
    const connection = new Connection(id, true, config.remote, config.port, this.nowMs);
    connection.attempt = attempt;
    attempt.connection = connection;
    this.connections.set(id, connection);
    this.effects.push({
      kind: "tcp.connect",
      conn: id,
      remoteAddress: config.remote,
      remotePort: config.port,
      localAddress: config.localAddress,
      ttl: outgoingTtl(config),
      minTtl: config.minTtl,
    });
  }

  /** Options of an accepted connection, once it is known whose it is. */
  configure({ id }: Connection, config: NeighborConfig): void {
    const { minTtl } = config;
    this.effects.push({ kind: "tcp.configure", conn: id, ttl: outgoingTtl(config), minTtl });
  }

  private close(attempt: Attempt): void {
    const { connection } = attempt;
    if (!connection) return;
    attempt.connection = undefined;
    this.drop(connection);
  }

  /** Closes a connection; what was sent last still goes out unless the neighbor has stopped reading. */
  drop(connection: Connection, abort = this.abortCloses): void {
    connection.attempt = undefined;
    if (!this.connections.delete(connection.id) || connection.closed) return;
    const stuck = connection.queuedBytes > 0 && this.nowMs - connection.progressMs >= stuckMs;
    this.effects.push({ kind: "tcp.close", conn: connection.id, abort: stuck || abort });
  }

  private startTimer(attempt: Attempt, timer: Timer, ms: number, jitter: boolean): void {
    let waitMs = jitter ? ms * (0.75 + 0.25 * this.random()) : ms;
    if (timer === Timer.keepalive) {
      waitMs = Math.max(1000, waitMs); // RFC 4271 4.4: not more often than one per second
      attempt.keepaliveFromMs = this.nowMs;
      attempt.keepaliveMs = waitMs;
    }
    this.timers.set(attempt, timer, this.nowMs + waitMs);
  }

  private established(attempt: Attempt): void {
    const { peer } = attempt;
    if (attempt !== peer.main) this.promote(attempt);
    assert(peer.up === undefined, "a neighbor has two Established sessions");
    peer.up = attempt;
    peer.establishedCount++;
    peer.establishedAtMs = this.nowMs;
    peer.connectError = "";
    peer.restart = attempt.agreement!.restart;
    const negotiated = negotiatedOf(attempt);
    this.host.event("cairn.bgp.session.established", peer.object, 1, "the session is established", {
      remote_asn: String(negotiated.remoteAsn),
      hold_time_s: String(negotiated.holdTimeS),
      direction: attempt.connection!.outbound ? "outbound" : "inbound",
    });
    this.host.established(peer.id, negotiated);
  }

  private ended(attempt: Attempt, established: boolean, reason: EndReason): void {
    const { peer } = attempt;
    const restart = attempt.agreement?.restart ?? noAgreement;
    const told: EndReason =
      reason.kind === "sent" ? { kind: "sent", notice: asSent(attempt, reason.notice) } : reason;
    const info = resetInfo(told);
    attempt.agreement = undefined;
    if (attempt === peer.up) {
      peer.up = undefined;
      const kept = keepsRoutes(reason, restart);
      if (!kept) peer.restart = noAgreement;
      const uptimeMs = this.nowMs - peer.establishedAtMs;
      this.record(peer, info, uptimeMs);
      const ends = info.local ? peer.endsByUs : peer.endsByNeighbor;
      ends.set(info.code, (ends.get(info.code) ?? 0) + 1);
      this.host.event("cairn.bgp.session.lost", peer.object, 2, `the session is down: ${info.text}`, {
        reason: info.text,
        code: String(info.code),
        subcode: String(info.subcode),
        uptime_s: String(Math.floor(uptimeMs / 1000)),
        local: String(info.local),
        shutdown_message: info.shutdownMessage,
        data: hex(info.data),
        transport_error: info.transportError,
        routes_kept: String(kept),
      });
      this.host.down(peer.id, info, kept, notificationOf(told));
      return;
    }
    assert(!established, "an Established session was not the one that is up");
    if (info.code === 6 && info.subcode === cease.collision.subcode) return;
    if (reason.kind === "transport") peer.connectError = transportText(reason.error);
    if (this.audible(attempt)) this.record(peer, info, undefined);
    if (peer.config.localAsDual && attempt.toldAsn === peer.config.localAsn && isBadPeerAs(reason))
      this.swapLocalAs(peer);
  }

  /** Asked for once per refused OPEN: connections that met were told the same AS. */
  private swapLocalAs(peer: Peer): void {
    peer.config = this.host.swapLocalAs(peer.id);
    const { localAsn } = peer.config;
    const told = `the neighbor refused our AS: AS ${localAsn} is tried next (local_as_dual_as)`;
    this.host.event("cairn.bgp.session.local-as", peer.object, 1, told, { local_asn: String(localAsn) });
  }

  /** Attempts that fail alike, one after the other, are one entry: they must not wash out why the session was lost. */
  private record(peer: Peer, info: ResetInfo, uptimeMs: number | undefined): void {
    const { resets } = peer;
    let attempts = uptimeMs === undefined ? 1 : 0;
    if (attempts > 0 && resets[0]?.attempts > 0 && resets[0].text === info.text) {
      attempts += resets[0].attempts;
      resets.shift();
    }
    resets.unshift({ ...info, uptimeMs, attempts, atMs: this.nowMs });
    if (resets.length > resetsKept) resets.pop();
  }

  /** Makes a candidate the neighbor's own machine. The former one stays beside it while it has a connection. */
  promote(attempt: Attempt): void {
    const { peer } = attempt;
    const former = peer.main;
    if (former === attempt) return;
    peer.candidates.splice(peer.candidates.indexOf(attempt), 1);
    attempt.session = promoted(attempt.session, former.session);
    peer.main = attempt;
    if (former.session.transport === "up") {
      former.session = {
        ...former.session,
        candidate: true,
        settings: { ...former.session.settings, passive: true },
      };
      peer.candidates.push(former);
    } else {
      this.close(former);
      this.forget(former);
    }
  }

  private forget(attempt: Attempt): void {
    attempt.gone = true;
    this.timers.clear(attempt);
    const at = attempt.peer.candidates.indexOf(attempt);
    if (at >= 0) attempt.peer.candidates.splice(at, 1);
  }

  /**
   * Collision detection for a message on `fresh`: its OPEN, or the KEEPALIVE that completes it. Losers get their Cease.
   * @returns false when `fresh` lost
   */
  resolve(fresh: Attempt, remoteRouterId: number, keepalive: boolean): boolean {
    const { peer } = fresh;
    if (peer.candidates.length === 0) return true;
    const { routerId, localAsn, remoteAsn } = peer.config;
    const speakers = { localRouterId: routerId, localAsn, remoteRouterId, remoteAsn };
    for (const other of peer.attempts()) {
      if (other === fresh || other.gone) continue;
      const lost = loser(contender(fresh), contender(other), speakers, keepalive);
      if (lost === undefined) continue;
      const stays = lost === "fresh" ? other : fresh;
      const goes = lost === "fresh" ? fresh : other;
      this.host.event("cairn.bgp.session.collision", peer.object, 1, "two connections met; one was closed", {
        closed: goes.connection?.outbound ? "outbound" : "inbound",
        reason: stays.late ? "the neighbor has restarted" : "RFC 4271 6.8",
      });
      if (goes === peer.main) this.promote(stays);
      // RFC 4724 4.2: it is known to be dead, and its routes are kept; nobody reads a NOTIFICATION.
      const isDead =
        goes === other && fresh.late && goes.agreement !== undefined && goes.agreement.restart.kept !== 0;
      this.dispatch(goes, isDead ? events.replaced : events.collision);
      if (goes === fresh) return false;
    }
    return true;
  }

  /** Tells the host when the neighbor's visible state changed. */
  show(peer: Peer): void {
    const { state } = peer.leading().session;
    if (state === peer.shownState) return;
    const facts = { old: peer.shownState, new: state };
    peer.shownState = state;
    this.host.event("cairn.bgp.session.state", peer.object, 1, `${facts.old} -> ${facts.new}`, facts);
    this.host.stateChanged(peer.id);
  }

  /** False when this is about a stray connection and there was enough of that lately. */
  audible(attempt: Attempt): boolean {
    const { peer } = attempt;
    if (attempt === peer.main) return true;
    if (this.nowMs - peer.noiseFromMs >= 60_000) {
      peer.noiseFromMs = this.nowMs;
      peer.noise = 0;
    }
    return ++peer.noise <= noisePerMinute;
  }
}

/** RFC 5082 3: with GTSM every packet leaves with TTL 255. */
function outgoingTtl({ ttl, minTtl }: NeighborConfig): number {
  return minTtl > 0 ? 255 : ttl;
}

function contender(attempt: Attempt): Contender {
  return {
    state: attempt.session.state,
    outbound: attempt.connection?.outbound ?? false,
    late: attempt.late,
    order: attempt.order,
  };
}

/** RFC 4724 4.2 and RFC 8538 4: whether the end of a session leaves the neighbor's routes in place. */
function keepsRoutes(reason: EndReason, restart: RestartAgreement): boolean {
  if (restart.kept === 0) return false;
  switch (reason.kind) {
    case "transport":
    case "silent":
      return true;
    case "received":
      return restart.notification && !reason.notice.hardReset;
    case "sent":
      return (
        restart.notification &&
        !(reason.notice.hardReset ?? meansHardReset(reason.notice.code, reason.notice.subcode))
      );
  }
}

/** The NOTIFICATION that ended a session, as it was on the wire; undefined when there was none. */
function notificationOf(reason: EndReason): Uint8Array | undefined {
  if (reason.kind !== "sent" && reason.kind !== "received") return undefined;
  const { code, subcode, data, hardReset } = reason.notice;
  return (hardReset ? encodeHardReset : encodeNotification)(code, subcode, data);
}

/** OPEN Message Error / Bad Peer AS: it expects another AS of us. */
function isBadPeerAs(reason: EndReason): boolean {
  return reason.kind === "received" && reason.notice.code === 2 && reason.notice.subcode === 2;
}

function openBytes({ config }: Peer, moment: RestartMoment): Uint8Array {
  const { localAsn, holdTimeS, routerId } = config;
  return encodeOpen({ asn: localAsn, holdTimeS, routerId, capabilities: localCapabilities(config, moment) });
}

function negotiatedOf(attempt: Attempt): Negotiated {
  const agreement = attempt.agreement as Agreement;
  const connection = attempt.connection!;
  return {
    families: agreement.families,
    fourOctetAs: agreement.fourOctetAs,
    routeRefresh: agreement.routeRefresh,
    enhancedRefresh: agreement.enhancedRefresh,
    restart: agreement.restart,
    extendedMessages: agreement.extendedMessages,
    maxMessageBytes: agreement.maxMessageBytes,
    addPathReceive: agreement.addPathReceive,
    addPathSend: agreement.addPathSend,
    orfReceive: agreement.orfReceive,
    orfSend: agreement.orfSend,
    extendedNextHop: agreement.extendedNextHop,
    holdTimeS: agreement.holdTimeS,
    keepaliveS: agreement.keepaliveS,
    remoteRouterId: agreement.remoteRouterId,
    remoteAsn: agreement.remoteAsn,
    external: attempt.peer.config.external,
    localAddress:
      parseIp(connection.localAddress.split("%")[0]) ??
      new Uint8Array(attempt.peer.config.addressBytes.length),
    remoteAddress: attempt.peer.config.addressBytes,
  };
}

/** A NOTIFICATION as it goes out: with the N bit, one that means the end is a hard reset (RFC 8538 4). */
function asSent(attempt: Attempt, notice: Notice): Notice {
  const agreed = attempt.agreement?.restart.notification === true;
  const hardReset = notice.hardReset ?? (agreed && meansHardReset(notice.code, notice.subcode));
  return { ...notice, hardReset };
}

export function noticeFacts(notice: Notice): Record<string, string> {
  return {
    code: String(notice.code),
    subcode: String(notice.subcode),
    text: noticeText(notice),
    shutdown_message: notice.shutdownMessage ?? "",
  };
}

/** Messages may be as long as agreed; before that, and without agreement, 4096 bytes. */
export function maxMessageBytes(attempt: Attempt): number {
  return attempt.agreement?.maxMessageBytes ?? limits.messageBytesMax;
}

/** True when an OPEN is what the machine is waiting for. */
export function awaitsOpen(attempt: Attempt): boolean {
  const { session } = attempt;
  return session.state === "OpenSent" || (session.state !== "Idle" && isRunning(session, Timer.delayOpen));
}
