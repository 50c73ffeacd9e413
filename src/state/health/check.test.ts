import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../base/random.ts";
import type { ProbeVerdict } from "../../dataplane/probe/messages.ts";
import {
  type Check,
  type CheckAction,
  type CheckEvent,
  type CheckSettings,
  dueMs,
  newCheck,
  type RoundEnd,
  step,
} from "./check.ts";

const plain: CheckSettings = {
  intervalMs: 1000,
  timeoutMs: 300,
  rise: 2,
  fall: 3,
  jitter: 0,
  targets: 1,
  quorum: 1,
};
const why = { reason: "NOT_YET", message: "not yet" };
const down = { reason: "LINK_DOWN", message: "link eth0 is down" };

/** A check in virtual time. */
class Rig {
  check: Check;
  nowMs = 0;
  actions: CheckAction[] = [];
  /** Starts of rounds. */
  readonly starts: number[] = [];
  readonly ends: RoundEnd[] = [];
  private readonly random: () => number;

  constructor(settings: Partial<CheckSettings> = {}, random: () => number = () => 0.5) {
    this.random = random;
    this.check = newCheck({ ...plain, ...settings }, why, 0);
  }

  on(event: CheckEvent): void {
    const { check, actions, ended } = step(this.check, event, this.nowMs, this.random);
    this.check = check;
    this.actions.push(...actions);
    for (const { kind } of actions) if (kind === "probe") this.starts.push(this.nowMs);
    if (ended) this.ends.push(ended);
  }

  start(): this {
    this.on({ kind: "start" });
    return this;
  }

  /** Goes to the time at which something is due. */
  wait(): void {
    this.nowMs = Math.max(this.nowMs, dueMs(this.check));
    this.on({ kind: "time" });
  }

  answer(verdict: ProbeVerdict, target = 0, latencyMs = 10, round = this.check.rounds): void {
    const isPass = verdict === "passed";
    const told = { reason: isPass ? "" : "ECONNREFUSED", message: isPass ? "" : `target ${target} refuses` };
    this.on({ kind: "answer", round, target, answer: { verdict, latencyMs, ...told } });
  }

  /** A round with this verdict of its only target. */
  round(verdict: ProbeVerdict): void {
    this.wait();
    this.nowMs += 10;
    this.answer(verdict);
  }
}

describe("a health check", () => {
  it("probes at once when it may, and then once in an interval", () => {
    const rig = new Rig().start();
    for (let i = 0; i < 4; i++) rig.round("passed");
    assert.deepEqual(rig.starts, [0, 1000, 2000, 3000]);
  });

  it("does nothing before it may", () => {
    const rig = new Rig();
    assert.equal(dueMs(rig.check), Number.POSITIVE_INFINITY);
    rig.nowMs = 1e6;
    rig.on({ kind: "time" });
    assert.deepEqual(rig.actions, []);
  });

  it("is healthy after `rise` passes in a row, counted anew after each failure", () => {
    const rig = new Rig().start();
    rig.round("passed");
    assert.equal(rig.check.health, "unknown");
    rig.round("failed");
    rig.round("passed");
    assert.equal(rig.check.health, "unknown");
    rig.round("passed");
    assert.equal(rig.check.health, "healthy");
    assert.equal(rig.check.sinceMs, 3010);
  });

  it("is unhealthy after `fall` failures in a row", () => {
    const rig = new Rig({ rise: 1 }).start();
    rig.round("passed");
    rig.round("failed");
    rig.round("failed");
    rig.round("passed");
    rig.round("failed");
    rig.round("failed");
    assert.equal(rig.check.health, "healthy");
    rig.round("failed");
    assert.equal(rig.check.health, "unhealthy");
    assert.deepEqual(rig.check.trouble, { reason: "ECONNREFUSED", message: "target 0 refuses" });
  });

  it("takes no answer in time for a failure, and lets go of the probe", () => {
    const rig = new Rig({ fall: 1 }).start();
    rig.wait();
    assert.equal(dueMs(rig.check), 300);
    rig.nowMs = 299;
    rig.on({ kind: "time" });
    assert.deepEqual(rig.ends, []);
    rig.nowMs = 300;
    rig.on({ kind: "time" });
    assert.deepEqual(rig.ends, ["failed"]);
    assert.deepEqual(rig.actions.at(-1), { kind: "cancel", round: 1 });
    assert.equal(rig.check.trouble?.reason, "TIMEOUT");
    assert.equal(rig.check.health, "unhealthy");
  });

  it("passes over answers of earlier rounds, and second ones", () => {
    const rig = new Rig({ targets: 2, quorum: 2 }).start();
    rig.wait();
    rig.nowMs = 300;
    rig.on({ kind: "time" });
    rig.wait();
    rig.answer("passed", 0, 5, 1);
    rig.answer("passed", 1, 5, 1);
    assert.deepEqual(rig.ends, ["failed"]);
    rig.answer("passed", 0);
    rig.answer("passed", 0);
    assert.deepEqual(rig.ends, ["failed"]);
    rig.answer("passed", 1, 42);
    assert.deepEqual(rig.ends, ["failed", "passed"]);
    assert.equal(rig.check.latencyMs, 42);
  });

  it("ends a round as soon as enough targets have answered, or too few can", () => {
    const rig = new Rig({ targets: 3, quorum: 2, rise: 1, fall: 1 }).start();
    rig.wait();
    rig.answer("passed", 2, 7);
    rig.answer("failed", 0);
    assert.deepEqual(rig.ends, []);
    rig.answer("passed", 1, 3);
    assert.deepEqual(rig.ends, ["passed"]);
    assert.equal(rig.check.latencyMs, 7);
    rig.wait();
    rig.answer("failed", 0);
    rig.answer("failed", 2);
    assert.deepEqual(rig.ends, ["passed", "failed"]);
    assert.deepEqual(rig.actions.at(-1), { kind: "cancel", round: 2 });
  });

  it("draws no conclusion from what our own host could not send, but forgets in the end", () => {
    const rig = new Rig({ rise: 1 }).start();
    rig.round("passed");
    rig.round("blocked");
    rig.round("blocked");
    assert.equal(rig.check.health, "healthy");
    rig.round("blocked");
    assert.equal(rig.check.health, "unknown");
    assert.deepEqual(rig.ends, ["passed", "blocked", "blocked", "blocked"]);
  });

  it("blames the path where enough targets could be asked", () => {
    const rig = new Rig({ targets: 3, quorum: 2 }).start();
    rig.wait();
    rig.answer("blocked", 0);
    rig.answer("failed", 1);
    rig.answer("failed", 2);
    assert.deepEqual(rig.ends, ["failed"]);
    rig.wait();
    rig.answer("blocked", 0);
    rig.answer("failed", 1);
    rig.answer("passed", 2);
    assert.deepEqual(rig.ends, ["failed", "blocked"]);
  });

  it("rests while its link is down, and begins at once when it is up", () => {
    const rig = new Rig({ rise: 1 }).start();
    rig.round("passed");
    rig.wait();
    rig.on({ kind: "stop", health: "unhealthy", why: down });
    assert.equal(rig.check.health, "unhealthy");
    assert.deepEqual(rig.actions.at(-1), { kind: "cancel", round: 2 });
    assert.equal(dueMs(rig.check), Number.POSITIVE_INFINITY);
    rig.nowMs = 7_777;
    rig.start();
    assert.equal(rig.check.health, "unhealthy");
    rig.round("passed");
    assert.equal(rig.starts.at(-1), 7_777);
    assert.equal(rig.check.health, "healthy");
  });

  it("takes shorter intervals at once", () => {
    const rig = new Rig({ intervalMs: 60_000, rise: 1 }).start();
    rig.round("passed");
    rig.nowMs = 5_000;
    rig.on({ kind: "settings", settings: plain });
    assert.equal(dueMs(rig.check), 1_000);
    rig.wait();
    assert.equal(rig.starts.at(-1), 5_000);
    assert.equal(rig.check.health, "healthy");
  });

  it("does not make up for rounds that were slept through", () => {
    const rig = new Rig().start();
    rig.round("passed");
    rig.nowMs = 100_000;
    rig.on({ kind: "time" });
    rig.answer("passed");
    assert.deepEqual(rig.starts, [0, 100_000]);
    assert.equal(dueMs(rig.check), 101_000);
  });
});

const settings: fc.Arbitrary<CheckSettings> = fc
  .record({
    intervalMs: fc.integer({ min: 100, max: 60_000 }),
    timeoutShare: fc.double({ min: 0.01, max: 1, noNaN: true }),
    rise: fc.integer({ min: 1, max: 5 }),
    fall: fc.integer({ min: 1, max: 5 }),
    jitter: fc.double({ min: 0, max: 0.5, noNaN: true }),
    targets: fc.integer({ min: 1, max: 8 }),
    quorumShare: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ timeoutShare, quorumShare, ...rest }) => ({
    ...rest,
    timeoutMs: rest.intervalMs * timeoutShare,
    quorum: Math.max(1, Math.round(rest.targets * quorumShare)),
  }));

type Move =
  | { readonly kind: "wait" }
  | {
      readonly kind: "answer";
      readonly verdict: ProbeVerdict;
      readonly target: number;
      readonly old: boolean;
    }
  | { readonly kind: "link"; readonly state: "up" | "down" | "gone" };

const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Move>({ kind: "wait" }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("answer" as const),
      verdict: fc.constantFrom<ProbeVerdict>("passed", "failed", "blocked"),
      target: fc.nat(7),
      old: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("link" as const),
      state: fc.constantFrom("up" as const, "down" as const, "gone" as const),
    }),
  },
);

describe("any health check", () => {
  it("changes only by so many rounds in a row, or by its link; rounds keep their distance", () => {
    const runs = Number(process.env.CAIRN_HEALTH_RUNS ?? 1000);
    fc.assert(
      fc.property(settings, fc.array(move, { maxLength: 120 }), fc.nat(), (given, moves, seed) => {
        const rig = new Rig(given, seededRandom(seed));
        rig.start();
        // The book: what the health must be, kept from the ends of rounds and the link alone.
        let health = "unknown";
        let row: { end: RoundEnd; count: number } | undefined;
        let seen = 0;
        let startedAfterRest = true;
        for (const each of moves) {
          const startsBefore = rig.starts.length;
          const lastStart = rig.starts.at(-1);
          if (each.kind === "wait") {
            if (dueMs(rig.check) !== Number.POSITIVE_INFINITY) rig.wait();
          } else if (each.kind === "answer") {
            if (each.target >= given.targets) continue;
            rig.answer(each.verdict, each.target, 1, rig.check.rounds - Number(each.old));
          } else if (each.state === "up") rig.on({ kind: "start" });
          else {
            health = each.state === "down" ? "unhealthy" : "unknown";
            rig.on({ kind: "stop", health: health as "unhealthy" | "unknown", why: down });
            row = undefined;
            startedAfterRest = true;
          }
          for (const end of rig.ends.slice(seen)) {
            row = row?.end === end ? { end, count: row.count + 1 } : { end, count: 1 };
            if (end === "passed" && row.count >= given.rise) health = "healthy";
            if (end === "failed" && row.count >= given.fall) health = "unhealthy";
            if (end === "blocked" && row.count >= given.fall) health = "unknown";
          }
          seen = rig.ends.length;
          assert.equal(rig.check.health, health);
          if (rig.starts.length > startsBefore) {
            assert.equal(rig.starts.length, startsBefore + 1);
            if (!startedAfterRest && lastStart !== undefined) {
              const apart = rig.starts.at(-1)! - lastStart;
              const slack = 1e-6;
              assert.ok(apart >= given.intervalMs * (1 - given.jitter) - slack, `${apart} ms apart`);
              const latest = Math.max(given.intervalMs * (1 + given.jitter), given.timeoutMs);
              assert.ok(apart <= latest + slack, `${apart} ms apart`);
            }
            startedAfterRest = false;
          }
          assert.ok(dueMs(rig.check) < Number.POSITIVE_INFINITY || rig.check.stopped);
        }
      }),
      { numRuns: runs },
    );
  });
});
