/** RFC 4271 8.2.2, Established: routes flow. UPDATE and KEEPALIVE restart the HoldTimer, nothing else does. */
import { Draft, fail, lose, type StateHandler, sendKeepalive, stay, stop, unexpected } from "./common.ts";
import { cease, holdTimerExpired, sendHoldTimerExpired } from "./negotiate.ts";
import { Timer } from "./session.ts";

export const established: StateHandler = (session, event) => {
  switch (event.kind) {
    case "start":
    case "settings":
    case "tcp.connected":
    case "refresh":
      return stay(session);
    case "stop":
      return stop(session, event.manual, event.notice, event.silent);
    case "timer":
      if (event.timer === Timer.keepalive) return sendKeepalive(session);
      if (event.timer === Timer.hold) return fail(session, holdTimerExpired);
      if (event.timer === Timer.sendHold) return fail(session, sendHoldTimerExpired);
      return event.timer === Timer.stable ? new Draft(session).set({ failures: 0 }).done() : stay(session);
    case "keepalive":
    case "update":
      if (session.holdTimeS === 0) return stay(session);
      return new Draft(session).start(Timer.hold, session.holdTimeS * 1000, false).done();
    case "tcp.failed":
      return lose(session, { kind: "transport", error: event.error });
    case "notification":
      return lose(session, { kind: "received", notice: event.notice });
    case "header.error":
    case "update.error":
      return fail(session, event.notice);
    case "collision":
      // CollisionDetectEstablishedState: see collision.ts for when.
      if (event.silent)
        return lose(session, { kind: "silent", text: "the neighbor is back on another connection" });
      return fail(session, cease.collision);
    case "open":
    case "open.error":
      return unexpected(session, 1);
  }
};
