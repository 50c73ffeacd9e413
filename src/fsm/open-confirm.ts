/** RFC 4271 8.2.2, OpenConfirm: both OPENs are good, KEEPALIVE is awaited. */
import {
  Draft,
  fail,
  lose,
  messageTypeOf,
  type StateHandler,
  sendKeepalive,
  stay,
  stop,
  unexpected,
} from "./common.ts";
import { cease, holdTimerExpired } from "./negotiate.ts";
import { stableMs, Timer } from "./session.ts";

export const openConfirm: StateHandler = (session, event) => {
  switch (event.kind) {
    case "start":
    case "settings":
    case "tcp.connected":
      return stay(session);
    case "stop":
      return stop(session, event.manual, event.notice);
    case "timer":
      if (event.timer === Timer.keepalive) return sendKeepalive(session);
      return event.timer === Timer.hold ? fail(session, holdTimerExpired) : stay(session);
    case "tcp.failed":
      return lose(session, { kind: "transport", error: event.error });
    case "keepalive": {
      const draft = new Draft(session);
      if (session.holdTimeS > 0) draft.start(Timer.hold, session.holdTimeS * 1000, false);
      if (session.settings.sendHoldMs > 0) draft.start(Timer.sendHold, session.settings.sendHoldMs, false);
      return draft
        .start(Timer.stable, stableMs, false)
        .set({ attempts: 0 })
        .to("Established")
        .act({ kind: "established" })
        .done();
    }
    case "notification":
      return lose(session, { kind: "received", notice: event.notice });
    case "header.error":
      return fail(session, event.notice);
    case "collision":
      return fail(session, cease.collision);
    case "open":
    case "open.error":
    case "update":
    case "update.error":
    case "refresh":
      return unexpected(session, messageTypeOf(event));
  }
};
