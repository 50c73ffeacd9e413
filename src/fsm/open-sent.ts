/** RFC 4271 8.2.2, OpenSent: our OPEN is out, theirs is awaited. */
import {
  acceptOpen,
  Draft,
  fail,
  listen,
  lose,
  messageTypeOf,
  type StateHandler,
  stay,
  stop,
  unexpected,
} from "./common.ts";
import { cease, holdTimerExpired } from "./negotiate.ts";
import { Timer } from "./session.ts";

export const openSent: StateHandler = (session, event) => {
  switch (event.kind) {
    case "start":
    case "settings":
    case "tcp.connected":
      return stay(session);
    case "stop":
      return stop(session, event.manual, event.notice);
    case "timer":
      return event.timer === Timer.hold ? fail(session, holdTimerExpired) : stay(session);
    case "tcp.failed":
      if (session.candidate) return lose(session, { kind: "transport", error: event.error });
      return listen(new Draft(session)).done();
    case "open":
      return acceptOpen(new Draft(session), event.agreement);
    case "header.error":
    case "open.error":
      return fail(session, event.notice);
    case "collision":
      return fail(session, cease.collision);
    case "notification":
      // The RFC's text would answer with an FSM error; section 6.4 forbids answering a NOTIFICATION.
      return lose(session, { kind: "received", notice: event.notice });
    case "keepalive":
    case "update":
    case "update.error":
    case "refresh":
      return unexpected(session, messageTypeOf(event));
  }
};
