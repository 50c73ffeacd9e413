/** RFC 4271 8.2.2, Connect: an attempt is under way, or TCP is up and the DelayOpenTimer runs. */
import {
  acceptOpen,
  connect as attempt,
  Draft,
  fail,
  listen,
  lose,
  type StateHandler,
  sendOpen,
  stay,
  stop,
  transportUp,
} from "./common.ts";
import { isRunning, Timer } from "./session.ts";

export const connect: StateHandler = (session, event) => {
  switch (event.kind) {
    case "start":
    case "settings":
      return stay(session);
    case "stop":
      return stop(session, event.manual, event.notice);
    case "timer": {
      if (event.timer === Timer.delayOpen) return sendOpen(new Draft(session));
      if (event.timer !== Timer.connectRetry) return stay(session);
      const draft = new Draft(session).stop(Timer.delayOpen);
      return attempt(draft.set({ transport: "none" }).act({ kind: "close" })).done();
    }
    case "tcp.connected":
      return session.transport === "up" ? stay(session) : transportUp(session);
    case "tcp.failed":
      // RFC 4271 goes to Active only while DelayOpen runs and to Idle otherwise. Idle would refuse the neighbor's own
      // attempts during the wait, so a failed attempt always goes on listening; the back-off is the ConnectRetryTimer's.
      return listen(new Draft(session).set({ transport: "none" })).done();
    case "open":
      // Event 20: OPEN while DelayOpen runs; both of ours go out at once.
      if (!isRunning(session, Timer.delayOpen)) return lose(session, { kind: "transport", error: undefined });
      return acceptOpen(new Draft(session).act({ kind: "send.open" }), event.agreement);
    case "header.error":
    case "open.error":
    case "update.error":
      // SendNOTIFICATIONwithoutOPEN (RFC 4271 8.2.1.5): the neighbor learns why.
      return fail(session, event.notice);
    case "notification":
      return lose(session, { kind: "received", notice: event.notice });
    case "collision":
    case "keepalive":
    case "update":
    case "refresh":
      return lose(session, { kind: "transport", error: undefined });
  }
};
