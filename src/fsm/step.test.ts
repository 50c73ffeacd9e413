import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { events, type SessionEvent } from "./events.ts";
import { noAgreement } from "./graceful-restart.ts";
import { type Agreement, cease, type Notice } from "./negotiate.ts";
import {
  connectRetryMs,
  idleHoldMs,
  isRunning,
  newSession,
  type Session,
  type Settings,
  Timer,
  timerCount,
  timersOfState,
} from "./session.ts";
import { step } from "./step.ts";

const settings: Settings = {
  passive: false,
  connectRetryMs: 5000,
  delayOpenMs: 0,
  sendHoldMs: 480_000,
  idleHoldMs: 1000,
};

const agreement: Agreement = {
  families: 1,
  fourOctetAs: true,
  routeRefresh: true,
  enhancedRefresh: true,
  restart: noAgreement,
  addPathReceive: 0,
  addPathSend: 0,
  orfReceive: 0,
  orfSend: 0,
  extendedNextHop: 0,
  extendedMessages: false,
  maxMessageBytes: 4096,
  holdTimeS: 90,
  keepaliveS: 30,
  remoteRouterId: 2,
  remoteAsn: 65002,
  remoteCapabilities: [],
};

const notice: Notice = { code: 2, subcode: 2, data: new Uint8Array(0) };
const timer = (which: Timer): SessionEvent => ({ kind: "timer", timer: which });
const failed: SessionEvent = { kind: "tcp.failed", error: "ECONNRESET" };
const open: SessionEvent = { kind: "open", agreement };
const stopped: SessionEvent = { kind: "stop", manual: true, notice: cease.configurationChange };
const silent: SessionEvent = { ...stopped, silent: "for a restart" };
const autoStopped: SessionEvent = { kind: "stop", manual: false, notice: cease.outOfResources };
const told: SessionEvent = { kind: "notification", notice };
const toldVersion: SessionEvent = { kind: "notification", notice: { ...notice, subcode: 1 } };

/** Every kind of event, and each timer. */
const alphabet: readonly SessionEvent[] = [
  events.automaticStart,
  events.manualStart,
  { kind: "start", manual: false, inbound: true },
  stopped,
  silent,
  events.replaced,
  autoStopped,
  ...Array.from({ length: timerCount }, (_, i) => timer(i as Timer)),
  events.connected,
  failed,
  open,
  { kind: "header.error", notice },
  { kind: "open.error", notice },
  { kind: "update.error", notice },
  events.collision,
  told,
  toldVersion,
  events.keepalive,
  events.update,
  events.refresh,
  { kind: "settings", settings: { ...settings, passive: true } },
  { kind: "settings", settings },
];

/** Every setting that changes the shape of the machine, and candidates. */
const starts: readonly Session[] = [false, true].flatMap((candidate) =>
  [false, true].flatMap((passive) =>
    [0, 5000].map((delayOpenMs) => newSession({ ...settings, passive, delayOpenMs }, candidate)),
  ),
);

function run(session: Session, ...list: SessionEvent[]): [Session, string[]] {
  const actions: string[] = [];
  let now = session;
  for (const event of list) {
    const [next, done] = step(now, event);
    now = next;
    for (const action of done) actions.push(name(action));
  }
  return [now, actions];
}

function name(action: ReturnType<typeof step>[1][number]): string {
  if (action.kind === "send.notification")
    return `notification ${action.notice.code}/${action.notice.subcode}`;
  if (action.kind === "timer.start") return `start ${action.timer} ${action.ms}`;
  if (action.kind === "timer.stop") return `stop ${action.timer}`;
  return action.kind;
}

const idle = newSession(settings, false);
const passiveIdle = newSession({ ...settings, passive: true }, false);
const [connecting] = run(idle, events.automaticStart);
const [openSent] = run(connecting, events.connected);
const [openConfirm] = run(openSent, open);
const [established] = run(openConfirm, events.keepalive);
const delayed = newSession({ ...settings, delayOpenMs: 5000 }, false);

/** What must hold after every step, from whatever state. */
function checkStep(before: Session, event: SessionEvent): Session {
  const [after, actions] = step(before, event);
  for (let i = 0; i < timerCount; i++) {
    const may = timersOfState[after.state].includes(i as Timer);
    assert(may || !isRunning(after, i as Timer), `timer ${i} runs in ${after.state}`);
  }
  const { state, transport } = after;
  if (state === "Idle") assert.equal(transport, "none");
  if (state === "Active" && transport === "up") assert(isRunning(after, Timer.delayOpen));
  if (state === "Connect")
    assert(isRunning(after, transport === "up" ? Timer.delayOpen : Timer.connectRetry));
  if (state === "Active" && transport === "none" && !after.settings.passive) {
    assert(isRunning(after, Timer.connectRetry), "an active neighbor is tried again");
  }
  if (state === "OpenSent")
    assert(isRunning(after, Timer.hold), "the neighbor's OPEN is not awaited for ever");
  if (["OpenSent", "OpenConfirm", "Established"].includes(state)) assert.equal(transport, "up");
  if (state === "OpenConfirm" || state === "Established") {
    assert.equal(isRunning(after, Timer.hold), after.holdTimeS > 0);
    assert.equal(isRunning(after, Timer.keepalive), after.holdTimeS > 0);
  }
  // The bits agree with the actions: whatever starts or stops is said.
  let timers = event.kind === "timer" ? before.timers & ~(1 << event.timer) : before.timers;
  for (const action of actions) {
    if (action.kind === "timer.start") timers |= 1 << action.timer;
    if (action.kind === "timer.stop") timers &= ~(1 << action.timer);
  }
  assert.equal(after.timers, timers);
  const ups = actions.filter((action) => action.kind === "established").length;
  const downs = actions.filter((action) => action.kind === "ended" && action.established).length;
  assert.equal(ups, before.state !== "Established" && state === "Established" ? 1 : 0);
  assert.equal(downs, before.state === "Established" && state !== "Established" ? 1 : 0);
  if (before.state === "Idle") {
    for (const action of actions)
      assert(["connect", "close", "timer.start", "timer.stop"].includes(action.kind));
  }
  const sends = actions.findLastIndex((action) => action.kind.startsWith("send."));
  const close = actions.findIndex((action) => action.kind === "close");
  if (state === "Idle" && close >= 0) assert(sends < close, "nothing is sent after the close");
  return after;
}

describe("the whole machine", () => {
  test("every reachable session answers every event and keeps its invariants", () => {
    const seen = new Set<string>();
    const todo = [...starts];
    for (let session = todo.pop(); session; session = todo.pop()) {
      const key = JSON.stringify({
        ...session,
        failures: Math.min(session.failures, 2),
        attempts: Math.min(session.attempts, 2),
      });
      if (seen.has(key)) continue;
      seen.add(key);
      for (const event of alphabet) {
        const next = checkStep(session, event);
        todo.push({ ...next, failures: Math.min(next.failures, 2), attempts: Math.min(next.attempts, 2) });
      }
    }
    assert(seen.size > 50, `only ${seen.size} sessions were reached`);
  });

  test("all sequences of four events, from the start and from an established session", () => {
    const walk = (session: Session, depth: number): void => {
      if (depth === 0) return;
      for (const event of alphabet) walk(checkStep(session, event), depth - 1);
    };
    walk(idle, 4);
    walk(established, 3);
    walk(openConfirm, 3);
  });

  test("long random sequences alternate between up and down", () => {
    const sequence = fc.array(fc.constantFrom(...alphabet), { maxLength: 60 });
    fc.assert(
      fc.property(fc.constantFrom(...starts), sequence, (start, list) => {
        let session = start;
        let up = false;
        for (const event of list) {
          const [next, actions] = step(session, event);
          checkStep(session, event);
          for (const action of actions) {
            if (action.kind === "established") {
              assert(!up);
              up = true;
            }
            if (action.kind === "ended" && action.established) {
              assert(up);
              up = false;
            }
          }
          session = next;
        }
        assert.equal(up, session.state === "Established");
      }),
      { numRuns: 500 },
    );
  });

  test("a session is never changed in place", () => {
    const before = JSON.stringify(established);
    for (const event of alphabet) step(Object.freeze(established), event);
    assert.equal(JSON.stringify(established), before);
  });

  test("late timer events change nothing in any state", () => {
    for (const session of [idle, connecting, openSent, openConfirm, established]) {
      for (let i = 0; i < timerCount; i++) {
        if (isRunning(session, i as Timer)) continue;
        const [next, actions] = step(session, timer(i as Timer));
        assert.equal(next, session);
        assert.equal(actions.length, 0);
      }
    }
  });
});

describe("Idle", () => {
  test("a start connects, a passive start listens", () => {
    assert.deepEqual(run(idle, events.automaticStart)[1], ["start 0 5000", "connect"]);
    assert.equal(run(passiveIdle, events.automaticStart)[0].state, "Active");
    assert.deepEqual(run(passiveIdle, events.automaticStart)[1], []);
  });
  test("an automatic start waits for the idle hold, a manual one clears it", () => {
    const [held] = run(established, failed);
    assert.equal(step(held, events.automaticStart)[0], held);
    const [started, actions] = run(held, events.manualStart);
    assert.deepEqual([started.state, started.failures, actions[0]], ["Connect", 0, "stop 4"]);
    assert.equal(run(held, timer(Timer.idleHold))[0].state, "Connect");
  });
  test("a connection is refused", () => assert.deepEqual(run(idle, events.connected)[1], ["close"]));
  test("a manual stop ends the idle hold", () => {
    const [held] = run(established, failed);
    assert.equal(run(held, stopped)[0].timers, 0);
  });
});

describe("Connect and Active", () => {
  test("TCP up sends OPEN under the large hold timer", () => {
    assert.deepEqual(run(connecting, events.connected)[1], ["stop 0", "send.open", "start 1 240000"]);
  });
  test("with DelayOpen, OPEN waits for the timer", () => {
    const [waiting, actions] = run(delayed, events.automaticStart, events.connected);
    assert.deepEqual([waiting.state, actions.slice(2)], ["Connect", ["stop 0", "start 3 5000"]]);
    assert.deepEqual(run(waiting, timer(Timer.delayOpen))[1], ["send.open", "start 1 240000"]);
  });
  test("OPEN during DelayOpen is answered with OPEN and KEEPALIVE", () => {
    for (const start of [delayed, newSession(delayed.settings, true)]) {
      const [session, actions] = run(start, events.automaticStart, events.connected, open);
      assert.equal(session.state, "OpenConfirm");
      assert.deepEqual(actions.slice(-6), [
        "send.open",
        "stop 3",
        "agreed",
        "send.keepalive",
        "start 2 30000",
        "start 1 90000",
      ]);
    }
  });
  test("a failed attempt listens and backs off, up to 16 times the base", () => {
    let session = connecting;
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      [session] = run(session, failed);
      assert.equal(session.state, "Active");
      waits.push(connectRetryMs(session) / 1000);
      [session] = run(session, timer(Timer.connectRetry));
    }
    assert.deepEqual(waits, [5, 10, 20, 40, 80, 80, 80]);
  });
  test("the ConnectRetryTimer gives up an attempt that hangs and makes a new one", () => {
    const [session, actions] = run(connecting, timer(Timer.connectRetry));
    assert.deepEqual([session.state, actions], ["Connect", ["close", "start 0 10000", "connect"]]);
  });
  test("becoming passive ends an attempt, becoming active starts the timer", () => {
    const [listening, actions] = run(connecting, {
      kind: "settings",
      settings: { ...settings, passive: true },
    });
    assert.deepEqual([listening.state, listening.timers, actions], ["Active", 0, ["close", "stop 0"]]);
    assert(isRunning(run(listening, { kind: "settings", settings })[0], Timer.connectRetry));
  });
  test("a manual stop says nothing", () => {
    assert.deepEqual(run(connecting, stopped)[1], ["close", "stop 0"]);
    assert.deepEqual(run(delayed, events.automaticStart, events.connected, stopped)[1].slice(-2), [
      "close",
      "stop 3",
    ]);
  });
});

describe("OpenSent and OpenConfirm", () => {
  test("a good OPEN is answered with KEEPALIVE and the negotiated timers", () => {
    assert.deepEqual(run(openSent, open)[1], ["agreed", "send.keepalive", "start 2 30000", "start 1 90000"]);
  });
  test("hold time 0 runs neither hold nor keepalive timer", () => {
    const [session] = run(openSent, {
      kind: "open",
      agreement: { ...agreement, holdTimeS: 0, keepaliveS: 0 },
    });
    assert.equal(session.timers, 0);
    assert.equal(run(session, events.keepalive)[0].state, "Established");
  });
  test("a lost connection in OpenSent goes back to listening; a candidate's is its end", () => {
    assert.equal(run(openSent, failed)[0].state, "Active");
    const [candidate] = run(newSession(settings, true), events.connected, failed);
    assert.deepEqual([candidate.state, candidate.timers], ["Idle", 0]);
  });
  test("a NOTIFICATION is never answered with one", () => {
    for (const session of [openSent, openConfirm, established]) {
      assert(!run(session, told)[1].some((action) => action.startsWith("notification")));
    }
  });
  test("a version NOTIFICATION is no oscillation", () => {
    assert.equal(run(openSent, toldVersion)[0].failures, 0);
    assert.equal(run(openSent, told)[0].failures, 1);
  });
});

describe("damping", () => {
  test("idle hold doubles with each failure up to 64 times, and stability resets it", () => {
    let session = established;
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      [session] = run(session, failed);
      waits.push(idleHoldMs(session) / 1000);
      [session] = run(session, timer(Timer.idleHold), events.connected, open, events.keepalive);
      assert.equal(session.state, "Established");
    }
    assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
    [session] = run(session, timer(Timer.stable), failed);
    assert.equal(idleHoldMs(session), 1000);
  });
  test("idle hold 0 still leaves a pause", () => {
    const [session] = run(
      newSession({ ...settings, idleHoldMs: 0 }, false),
      events.automaticStart,
      events.connected,
      told,
    );
    assert.equal(idleHoldMs(session), 100);
  });
  test("an automatic stop counts and starts again, a manual stop does neither", () => {
    const [automatic] = run(established, autoStopped);
    assert.deepEqual([automatic.failures, isRunning(automatic, Timer.idleHold)], [1, true]);
    const [manual] = run(established, stopped);
    assert.deepEqual([manual.failures, manual.timers], [0, 0]);
  });
});
