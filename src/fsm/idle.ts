/** RFC 4271 8.2.2, Idle: nothing is allocated and no connection is taken. Only a start leads on. */
import { connect, Draft, listen, type StateHandler, stay } from "./common.ts";
import { isRunning, Timer } from "./session.ts";

export const idle: StateHandler = (session, event) => {
  switch (event.kind) {
    case "start": {
      // DampPeerOscillations: an automatic start waits for the IdleHoldTimer, an operator's does not.
      if (!event.manual && isRunning(session, Timer.idleHold)) return stay(session);
      const draft = new Draft(session).stop(Timer.idleHold);
      if (event.manual) draft.set({ failures: 0, attempts: 0 });
      return (session.settings.passive || event.inbound ? listen(draft) : connect(draft)).done();
    }
    case "timer": {
      const draft = new Draft(session);
      return (session.settings.passive || event.inbound ? listen(draft) : connect(draft)).done();
    }
    case "stop":
      if (!event.manual) return stay(session);
      return new Draft(session).stop(Timer.idleHold).set({ failures: 0, attempts: 0 }).done();
    case "tcp.connected":
      return new Draft(session).act({ kind: "close" }).done();
    default:
      return stay(session);
  }
};
