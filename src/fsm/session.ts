/**
 * What the session machine remembers: plain immutable data. Time is not in here; timers are a set of names, and the
 * executor turns their durations into deadlines.
 */

/** RFC 4271 8.2.2, spelled as there. */
export const states = ["Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"] as const;
export type State = (typeof states)[number];

/**
 * Timers by bit. The first five are RFC 4271 section 8 (and 4.4), `sendHold` is RFC 9687, `stable` ends damping: when it
 * runs out in Established, earlier failures are forgotten.
 */
export const Timer = {
  connectRetry: 0,
  hold: 1,
  keepalive: 2,
  delayOpen: 3,
  idleHold: 4,
  sendHold: 5,
  stable: 6,
} as const;
export type Timer = (typeof Timer)[keyof typeof Timer];
export const timerCount = 7;
export const timerNames = [
  "connectRetry",
  "hold",
  "keepalive",
  "delayOpen",
  "idleHold",
  "sendHold",
  "stable",
] as const;

/** Which timers may run in which state; the property tests hold the machine to it. */
export const timersOfState: Readonly<Record<State, readonly Timer[]>> = {
  Idle: [Timer.idleHold],
  Connect: [Timer.connectRetry, Timer.delayOpen],
  Active: [Timer.connectRetry, Timer.delayOpen],
  OpenSent: [Timer.hold],
  OpenConfirm: [Timer.hold, Timer.keepalive],
  Established: [Timer.hold, Timer.keepalive, Timer.sendHold, Timer.stable],
};

/** Session attributes of RFC 4271 8.1.1 that a neighbor may set. Changes reach the machine as an event. */
export interface Settings {
  /** PassiveTcpEstablishment: never connect, only accept. */
  readonly passive: boolean;
  /** First wait between attempts; doubles up to 16 times this value. */
  readonly connectRetryMs: number;
  /** DelayOpenTime; 0 is off. */
  readonly delayOpenMs: number;
  /** SendHoldTime (RFC 9687); 0 is off. */
  readonly sendHoldMs: number;
  /** Base of DampPeerOscillations: doubles with each failure up to 64 times this value. */
  readonly idleHoldMs: number;
}

/** HoldTimer before negotiation (RFC 4271 8.2.2, OpenSent: "a HoldTimer value of 4 minutes is suggested"). */
export const openHoldMs = 240_000;
/** A session that has been Established for this long is no longer oscillating. */
export const stableMs = 60_000;
/** IdleHold is never shorter, so that `idle_hold_time = 0` cannot spin. */
const idleHoldMinMs = 100;

export interface Session {
  readonly state: State;
  readonly settings: Settings;
  /** An inbound connection that stands beside the neighbor's own machine: it dies when it becomes Idle. */
  readonly candidate: boolean;
  /** "connecting" from the connect action on, "up" once TCP is there. */
  readonly transport: "none" | "connecting" | "up";
  /** Running timers, bit `1 << Timer`. */
  readonly timers: number;
  /** ConnectRetryCounter: failures since the last stable session or manual start. */
  readonly failures: number;
  /** Connection attempts in a row, for the back-off of the ConnectRetryTimer. */
  readonly attempts: number;
  /** Negotiated, in force from OpenConfirm on; 0 means no hold or keepalive timer. */
  readonly holdTimeS: number;
  readonly keepaliveS: number;
}

/** A machine at rest. A candidate is born listening, so that its TCP connection can be given to it at once. */
export function newSession(settings: Settings, candidate: boolean): Session {
  return {
    state: candidate ? "Active" : "Idle",
    settings: candidate ? { ...settings, passive: true } : settings,
    candidate,
    transport: "none",
    timers: 0,
    failures: 0,
    attempts: 0,
    holdTimeS: 0,
    keepaliveS: 0,
  };
}

/** The candidate becomes the neighbor's machine and inherits what the former one knew about failures. */
export function promoted(candidate: Session, former: Session): Session {
  return {
    ...candidate,
    candidate: false,
    settings: former.settings,
    failures: former.failures,
    attempts: former.attempts,
  };
}

export function isRunning(session: Session, timer: Timer): boolean {
  return (session.timers & (1 << timer)) !== 0;
}

/** Wait of the running attempt: base, 2, 4, 8, then 16 times base. */
export function connectRetryMs(session: Session): number {
  return session.settings.connectRetryMs * 2 ** Math.min(Math.max(session.attempts - 1, 0), 4);
}

/** IdleHoldTime after the last failure: base, 2, 4 ... 64 times base. */
export function idleHoldMs(session: Session): number {
  const base = Math.max(session.settings.idleHoldMs, idleHoldMinMs);
  return base * 2 ** Math.min(Math.max(session.failures - 1, 0), 6);
}
