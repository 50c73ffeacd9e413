/** The timers of one neighbor as the API shows them: what is declared, what is in force, what is left. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { connectRetryMs, idleHoldMs, isRunning, openHoldMs, stableMs, Timer } from "../fsm/session.ts";
import { type SessionTimer, SessionTimerSchema } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { type Attempt, type Peer, PeerTimer } from "./sessions-peer.ts";

/** Of the machine that is furthest. A timer that is off, or has no part in this state, has no time in force. */
export function sessionTimers(peer: Peer, nowMs: number): SessionTimer[] {
  const lead = peer.leading();
  const { agreement, session } = lead;
  const { config } = peer;
  const { settings } = session;
  const running = (timer: Timer, ms: number): number => (isRunning(session, timer) ? ms : 0);
  const timer = (
    name: string,
    configuredMs: number | undefined,
    inForceMs: number,
    deadlineMs: number,
  ): SessionTimer =>
    create(SessionTimerSchema, {
      name,
      ...(configuredMs === undefined ? {} : { configured: durationFromMs(configuredMs) }),
      ...(inForceMs > 0 ? { inForce: durationFromMs(inForceMs) } : {}),
      ...(Number.isFinite(deadlineMs)
        ? { left: durationFromMs(Math.max(0, Math.ceil(deadlineMs - nowMs))) }
        : {}),
    });
  const holdMs = agreement ? agreement.holdTimeS * 1000 : running(Timer.hold, openHoldMs);
  const keepaliveMs = (agreement?.keepaliveS ?? 0) * 1000;
  const connectMs = running(Timer.connectRetry, connectRetryMs(session));
  const deadlines = lead.deadlinesMs;
  return [
    timer("hold", config.holdTimeS * 1000, holdMs, deadlines[Timer.hold]),
    timer("keepalive", config.keepaliveTimeS * 1000 || undefined, keepaliveMs, keepaliveDueMs(lead)),
    timer("send-hold", settings.sendHoldMs, peer.up ? settings.sendHoldMs : 0, sendHoldDueMs(lead)),
    timer("connect-retry", settings.connectRetryMs, connectMs, deadlines[Timer.connectRetry]),
    timer(
      "delay-open",
      settings.delayOpenMs,
      running(Timer.delayOpen, settings.delayOpenMs),
      deadlines[Timer.delayOpen],
    ),
    timer(
      "idle-hold",
      settings.idleHoldMs,
      running(Timer.idleHold, idleHoldMs(session)),
      deadlines[Timer.idleHold],
    ),
    timer("stable", undefined, running(Timer.stable, stableMs), deadlines[Timer.stable]),
    timer("start", undefined, 0, peer.deadlinesMs[PeerTimer.start]),
  ];
}

/** Its restart with each message that is sent is only noted (see sessions-due.ts). */
function keepaliveDueMs({ session, deadlinesMs, keepaliveFromMs, keepaliveMs }: Attempt): number {
  if (!isRunning(session, Timer.keepalive)) return Number.POSITIVE_INFINITY;
  return Math.max(deadlinesMs[Timer.keepalive], keepaliveFromMs + keepaliveMs);
}

/** It only runs while something waits to be taken by the kernel. */
function sendHoldDueMs({ session, connection }: Attempt): number {
  const { sendHoldMs } = session.settings;
  const isWaiting = connection !== undefined && connection.queuedBytes > 0;
  if (!isRunning(session, Timer.sendHold) || !isWaiting || sendHoldMs === 0) return Number.POSITIVE_INFINITY;
  return connection.progressMs + sendHoldMs;
}
