/**
 * Carries out due timers. Three timers restart so often (with every message or write) that the restart is only noted
 * and honoured here: hold looks at when bytes arrived, keepalive at when something was sent, send-hold at when the
 * kernel last took bytes.
 */
import { Timer, timerCount } from "../fsm/session.ts";
import type { Door } from "./sessions-door.ts";
import type { Engine } from "./sessions-engine.ts";
import type { Intake } from "./sessions-intake.ts";
import { type Attempt, Peer, PeerTimer } from "./sessions-peer.ts";

/** A core so busy that received messages wait longer than the hold time looks again after this. */
const busyRetryMs = 1000;
const sendHoldOffMs = 60_000;

export function runDueTimers(engine: Engine, intake: Intake, door: Door): void {
  const { nowMs, timers } = engine;
  for (let owner = timers.due(nowMs); owner; owner = timers.due(nowMs)) {
    if (owner instanceof Peer) peerDue(engine, owner);
    else attemptDue(engine, intake, door, owner);
  }
}

function peerDue(engine: Engine, peer: Peer): void {
  engine.timers.set(peer, PeerTimer.start, Number.POSITIVE_INFINITY);
  peer.hold = undefined;
  if (peer.gate === "") engine.dispatch(peer.main, { kind: "start", manual: true });
}

function attemptDue(engine: Engine, intake: Intake, door: Door, attempt: Attempt): void {
  for (let i = 0; i < timerCount; i++) {
    const timer = i as Timer;
    if (attempt.deadlinesMs[timer] > engine.nowMs) continue;
    const later = postponed(engine, intake, attempt, timer);
    engine.timers.set(attempt, timer, later);
    if (later !== Number.POSITIVE_INFINITY) continue;
    const { peer } = attempt;
    const inbound = timer === Timer.idleHold && peer.parked !== undefined;
    engine.dispatch(attempt, { kind: "timer", timer, inbound });
    if (inbound) {
      const connection = peer.parked!;
      door.unpark(peer);
      intake.list(connection);
    }
  }
}

/** The new deadline of a timer that was restarted in the meantime; Infinity when it has really run out. */
function postponed(engine: Engine, intake: Intake, attempt: Attempt, timer: Timer): number {
  const { connection, session } = attempt;
  const expired = Number.POSITIVE_INFINITY;
  if (!connection) return expired;
  const { nowMs } = engine;
  if (timer === Timer.keepalive) {
    const dueMs = attempt.keepaliveFromMs + attempt.keepaliveMs;
    return dueMs > nowMs ? dueMs : expired;
  }
  if (timer === Timer.sendHold) {
    // Turned off while the session is up: look again later, it may be turned on.
    if (session.settings.sendHoldMs === 0) return nowMs + sendHoldOffMs;
    const fromMs = connection.queuedBytes === 0 ? nowMs : connection.progressMs;
    const dueMs = fromMs + session.settings.sendHoldMs;
    return dueMs > nowMs ? dueMs : expired;
  }
  if (timer === Timer.hold && (connection.paused || intake.hasMessage(connection))) {
    // Alive: it is we who have not looked yet.
    return Math.max(nowMs + busyRetryMs, connection.lastArrivalMs + session.holdTimeS * 1000);
  }
  return expired;
}
