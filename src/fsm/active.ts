/** RFC 4271 8.2.2, Active: listening. The ConnectRetryTimer (not for passive neighbors) leads to the next attempt. */
import { connect as attempt, Draft, lose, type StateHandler, stay } from "./common.ts";
import { connect } from "./connect.ts";
import { Timer } from "./session.ts";

export const active: StateHandler = (session, event) => {
  switch (event.kind) {
    case "timer":
      if (event.timer === Timer.connectRetry) return attempt(new Draft(session)).done();
      return connect(session, event);
    case "tcp.failed":
      // A connection that fails while DelayOpen runs; there is nothing to fail before one exists.
      if (session.transport === "none") return stay(session);
      return lose({ ...session }, { kind: "transport", error: event.error });
    default:
      return connect(session, event);
  }
};
