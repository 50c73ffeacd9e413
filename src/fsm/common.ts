/** What several states share: the draft a step works on, sending OPEN, accepting one, and the way back to Idle. */
import type { EndReason, SessionAction } from "./actions.ts";
import type { SessionEvent } from "./events.ts";
import type { Agreement, Notice } from "./negotiate.ts";
import {
  connectRetryMs,
  idleHoldMs,
  isRunning,
  openHoldMs,
  type Session,
  type Settings,
  type State,
  Timer,
  timerCount,
} from "./session.ts";

export type Step = readonly [Session, readonly SessionAction[]];
export type StateHandler = (session: Session, event: SessionEvent) => Step;

const noActions: readonly SessionAction[] = [];

/** Nothing changes. */
export function stay(session: Session): Step {
  return [session, noActions];
}

/** One step being put together; local to a single call of `step`. */
export class Draft {
  session: Session;
  readonly actions: SessionAction[] = [];

  constructor(session: Session) {
    this.session = session;
  }

  set(change: Partial<Session>): this {
    this.session = { ...this.session, ...change };
    return this;
  }

  to(state: State): this {
    return this.set({ state });
  }

  act(action: SessionAction): this {
    this.actions.push(action);
    return this;
  }

  start(timer: Timer, ms: number, jitter: boolean): this {
    this.set({ timers: this.session.timers | (1 << timer) });
    return this.act({ kind: "timer.start", timer, ms, jitter });
  }

  stop(timer: Timer): this {
    if (!isRunning(this.session, timer)) return this;
    this.set({ timers: this.session.timers & ~(1 << timer) });
    return this.act({ kind: "timer.stop", timer });
  }

  done(): Step {
    return [this.session, this.actions];
  }
}

/** Starts an attempt: Connect with its ConnectRetryTimer, which doubles with every attempt in a row. */
export function connect(draft: Draft): Draft {
  draft.set({ attempts: draft.session.attempts + 1, transport: "connecting" });
  return draft
    .start(Timer.connectRetry, connectRetryMs(draft.session), true)
    .act({ kind: "connect" })
    .to("Connect");
}

/** Waits in Active for the neighbor, and for the next attempt unless passive. */
export function listen(draft: Draft): Draft {
  closeTransport(draft).stop(Timer.delayOpen).stop(Timer.hold);
  if (draft.session.settings.passive) draft.stop(Timer.connectRetry);
  else draft.start(Timer.connectRetry, connectRetryMs(draft.session), true);
  return draft.to("Active");
}

/** TCP is up: OPEN now, or after DelayOpenTime. */
export function transportUp(session: Session): Step {
  const draft = new Draft(session).set({ transport: "up" }).stop(Timer.connectRetry);
  if (session.settings.delayOpenMs > 0) {
    return draft.start(Timer.delayOpen, session.settings.delayOpenMs, false).done();
  }
  return sendOpen(draft);
}

/** Sends OPEN and waits for the neighbor's under the large HoldTimer. */
export function sendOpen(draft: Draft): Step {
  return draft
    .stop(Timer.connectRetry)
    .stop(Timer.delayOpen)
    .act({ kind: "send.open" })
    .start(Timer.hold, openHoldMs, false)
    .to("OpenSent")
    .done();
}

/** The neighbor's OPEN is good (and ours is sent): answer with KEEPALIVE, negotiated timers, OpenConfirm. */
export function acceptOpen(draft: Draft, agreement: Agreement): Step {
  const { holdTimeS, keepaliveS } = agreement;
  draft
    .stop(Timer.delayOpen)
    .stop(Timer.connectRetry)
    .set({ holdTimeS, keepaliveS })
    .act({ kind: "agreed", agreement })
    .act({ kind: "send.keepalive" });
  if (holdTimeS > 0)
    draft.start(Timer.keepalive, keepaliveS * 1000, true).start(Timer.hold, holdTimeS * 1000, false);
  else draft.stop(Timer.hold);
  return draft.to("OpenConfirm").done();
}

/** KeepaliveTimer ran out: one goes out and the timer starts again. */
export function sendKeepalive(session: Session): Step {
  const draft = new Draft(session).act({ kind: "send.keepalive" });
  if (session.keepaliveS > 0) draft.start(Timer.keepalive, session.keepaliveS * 1000, true);
  return draft.done();
}

/** Sends the NOTIFICATION, then ends as a failure (damped). */
export function fail(session: Session, notice: Notice): Step {
  const draft = new Draft(session);
  if (session.transport === "up") draft.act({ kind: "send.notification", notice });
  return end(draft, { kind: "sent", notice }, true);
}

/** Ends without a word from us: the transport is gone, or the neighbor said why. */
export function lose(session: Session, reason: EndReason): Step {
  // A version NOTIFICATION (event 24) is not an oscillation: the neighbor will try a lower version (RFC 4271 8.2.2).
  const versionOnly = reason.kind === "received" && reason.notice.code === 2 && reason.notice.subcode === 1;
  return end(new Draft(session), reason, !versionOnly);
}

/**
 * ManualStop ends quietly before OPEN and with a Cease after it; AutomaticStop also counts as a failure.
 * @param silent quietly also after it, and why
 */
export function stop(session: Session, manual: boolean, notice: Notice, silent?: string): Step {
  const draft = new Draft(session);
  const said = session.state !== "Connect" && session.state !== "Active";
  if (said && silent !== undefined) {
    finish(draft, { kind: "silent", text: silent });
    return draft.set({ failures: 0, attempts: 0 }).done();
  }
  if (said) draft.act({ kind: "send.notification", notice });
  if (!manual) return end(draft, { kind: "sent", notice }, true);
  finish(draft, said ? { kind: "sent", notice } : undefined);
  return draft.set({ failures: 0, attempts: 0 }).done();
}

/** RFC 4271 6.6 with the subcodes and data of RFC 6608. `messageType` 0: not a message, plain 5/0. */
export function unexpected(session: Session, messageType: number): Step {
  const subcode = { Idle: 0, Connect: 0, Active: 0, OpenSent: 1, OpenConfirm: 2, Established: 3 }[
    session.state
  ];
  const data = messageType === 0 ? new Uint8Array(0) : Uint8Array.of(messageType);
  return fail(session, { code: 5, subcode: messageType === 0 ? 0 : subcode, data });
}

/** Message type of an event that stands for a message, 0 otherwise. */
export function messageTypeOf(event: SessionEvent): number {
  switch (event.kind) {
    case "open":
    case "open.error":
      return 1;
    case "update":
    case "update.error":
      return 2;
    case "keepalive":
      return 4;
    case "refresh":
      return 5;
    default:
      return 0;
  }
}

/** Takes new settings; a change of `passive` acts at once where the machine waits or connects. */
export function applySettings(session: Session, settings: Settings): Step {
  const next = session.candidate ? { ...settings, passive: true } : settings;
  const draft = new Draft(session).set({ settings: next });
  if (next.passive && session.state === "Connect" && session.transport === "connecting")
    return listen(draft).done();
  if (next.passive && session.state === "Active") draft.stop(Timer.connectRetry);
  if (!next.passive && session.state === "Active" && session.transport === "none")
    return listen(draft).done();
  return draft.done();
}

/** To Idle. A machine that failed waits there for its IdleHoldTimer; a candidate is done. */
function end(draft: Draft, reason: EndReason, failed: boolean): Step {
  finish(draft, reason);
  if (failed) draft.set({ failures: draft.session.failures + 1 });
  if (!draft.session.candidate) draft.start(Timer.idleHold, idleHoldMs(draft.session), true);
  return draft.done();
}

function finish(draft: Draft, reason: EndReason | undefined): void {
  const { state, transport } = draft.session;
  closeTransport(draft);
  for (let timer = 0; timer < timerCount; timer++) draft.stop(timer as Timer);
  draft.set({ holdTimeS: 0, keepaliveS: 0 }).to("Idle");
  if (transport === "up" && reason)
    draft.act({ kind: "ended", established: state === "Established", reason });
}

function closeTransport(draft: Draft): Draft {
  if (draft.session.transport === "none") return draft;
  return draft.set({ transport: "none" }).act({ kind: "close" });
}
