/** The session machine: a pure, total function. It never throws; every event has an answer in every state. */
import { active } from "./active.ts";
import { applySettings, type StateHandler, type Step, stay } from "./common.ts";
import { connect } from "./connect.ts";
import { established } from "./established.ts";
import type { SessionEvent } from "./events.ts";
import { idle } from "./idle.ts";
import { openConfirm } from "./open-confirm.ts";
import { openSent } from "./open-sent.ts";
import { isRunning, type Session, type State } from "./session.ts";

const handlers: Readonly<Record<State, StateHandler>> = {
  Idle: idle,
  Connect: connect,
  Active: active,
  OpenSent: openSent,
  OpenConfirm: openConfirm,
  Established: established,
};

/**
 * @returns the next session and what to do, in order; the same session object and no actions when nothing changes
 */
export function step(session: Session, event: SessionEvent): Step {
  if (event.kind === "settings") return applySettings(session, event.settings);
  if (event.kind !== "timer") return handlers[session.state](session, event);
  // A timer that was stopped may already have been on its way: that is no error of anybody.
  if (!isRunning(session, event.timer)) return stay(session);
  return handlers[session.state]({ ...session, timers: session.timers & ~(1 << event.timer) }, event);
}
