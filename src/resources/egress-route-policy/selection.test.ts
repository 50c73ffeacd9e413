import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { nothingChosen, type Selection, type SelectionRules, type Sight, select } from "./selection.ts";

const runs = Number(process.env.CAIRN_RUNS ?? 500);

const yes: Sight = { ready: "yes", why: "" };
const no: Sight = { ready: "no", why: "link down" };
const unknown: Sight = { ready: "unknown", why: "not probed yet" };

function rules(more: Partial<SelectionRules> = {}): SelectionRules {
  return {
    mode: "highest-weight",
    candidates: [
      { name: "fiber", weight: 100, priority: 20 },
      { name: "lte", weight: 10, priority: 10 },
    ],
    ...{ upDelayMs: 10_000, downDelayMs: 0, dwellMs: 0 },
    ...more,
  };
}

/** A selection with its clock. */
class Line {
  selection: Selection = nothingChosen;
  nowMs = 0;
  pinned = "";
  readonly rules: SelectionRules;

  constructor(of: SelectionRules = rules()) {
    this.rules = of;
  }

  see(fiber: Sight, lte: Sight, atMs = this.nowMs): string {
    this.nowMs = atMs;
    const sights = new Map([
      ["fiber", fiber],
      ["lte", lte],
    ]);
    this.selection = select(this.selection, this.rules, sights, this.pinned, this.nowMs);
    return this.selection.chosen.join(" ");
  }
}

describe("choice of a way out", () => {
  it("takes the highest weight, or the lowest priority, or all", () => {
    assert.equal(new Line().see(yes, yes), "fiber");
    assert.equal(new Line(rules({ mode: "priority" })).see(yes, yes), "lte");
    assert.equal(new Line(rules({ mode: "hash" })).see(yes, yes), "fiber lte");
  });

  it("lets a lower one serve until a better one is known to be well, and waits for that one's up delay", () => {
    const line = new Line();
    assert.equal(line.see(unknown, yes, 0), "lte");
    assert.equal(line.see(yes, yes, 300), "lte");
    assert.equal(line.selection.nextMs, 10_300);
    assert.equal(line.see(yes, yes, 10_299), "lte");
    assert.equal(line.see(yes, yes, 10_300), "fiber");
    assert.match(line.selection.reason, /fiber can be used, and ranks higher/);
  });

  it("does not wait for the up delay where there is no other", () => {
    const line = new Line();
    assert.equal(line.see(no, no, 0), "");
    assert.match(line.selection.reason, /fiber: link down; lte: link down/);
    assert.equal(line.see(no, yes, 5), "lte");
  });

  it("leaves one that fails after the down delay, and not before", () => {
    const line = new Line(rules({ downDelayMs: 3000 }));
    line.see(yes, yes, 0);
    line.see(yes, yes, 20_000);
    assert.equal(line.see(no, yes, 20_000), "fiber");
    assert.equal(line.selection.nextMs, 23_000);
    assert.equal(line.see(yes, yes, 22_000), "fiber");
    assert.equal(line.see(no, yes, 22_500), "fiber");
    assert.equal(line.see(no, yes, 25_499), "fiber");
    assert.equal(line.see(no, yes, 25_500), "lte");
    assert.match(line.selection.reason, /fiber cannot be used: link down/);
  });

  it("keeps a choice for the dwell time against a better one, and not against its own failure", () => {
    const line = new Line(rules({ upDelayMs: 0, dwellMs: 60_000 }));
    assert.equal(line.see(no, yes, 0), "lte");
    assert.equal(line.see(yes, yes, 1000), "lte");
    assert.equal(line.selection.nextMs, 60_000);
    assert.equal(line.see(yes, no, 2000), "fiber");
    assert.equal(line.see(no, yes, 3000), "lte");
    assert.equal(line.see(yes, yes, 62_999), "lte");
    assert.equal(line.see(yes, yes, 63_000), "fiber");
  });

  it("takes what is pinned while it can be used, at once, and lets go at once", () => {
    const line = new Line(rules({ dwellMs: 60_000 }));
    line.see(yes, yes, 0);
    line.pinned = "lte";
    assert.equal(line.see(yes, yes, 10), "lte");
    assert.equal(line.selection.reason, "pinned");
    assert.equal(line.see(yes, no, 20), "fiber");
    assert.equal(line.see(yes, yes, 40_020), "fiber");
    assert.equal(line.see(yes, yes, 60_020), "lte");
    line.pinned = "";
    assert.equal(line.see(yes, yes, 60_030), "fiber");
  });

  it("goes on after a restart with what was chosen, as long as nothing is known", () => {
    const line = new Line();
    line.selection = {
      ...nothingChosen,
      chosen: ["fiber"],
      members: new Map([["fiber", { ...unknown, usable: true }]]),
    };
    assert.equal(line.see(unknown, yes, 0), "fiber");
    assert.equal(line.see(no, yes, 50), "lte");
  });

  const sight = fc.constantFrom(yes, no, unknown);
  const step = fc.record({
    fiber: sight,
    lte: sight,
    sat: sight,
    afterMs: fc.nat(20_000),
    pin: fc.constantFrom("", "", "", "lte", "sat", "none"),
  });

  it("never chooses what cannot be used, never lacks a choice while one is ready, and wakes when it has to", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("highest-weight" as const, "priority" as const, "hash" as const),
        fc.nat(15_000),
        fc.nat(15_000),
        fc.nat(15_000),
        fc.array(step, { minLength: 1, maxLength: 30 }),
        (mode, upDelayMs, downDelayMs, dwellMs, steps) => {
          const names = ["fiber", "lte", "sat"] as const;
          const all = rules({
            ...{ mode, upDelayMs, downDelayMs, dwellMs },
            candidates: names.map((name, i) => ({ name, weight: 100 - i * 10, priority: 30 - i * 10 })),
          });
          let now: Selection = nothingChosen;
          let nowMs = 1000;
          let changedMs = 0;
          for (const { pin, afterMs, ...seen } of steps) {
            const sights = new Map<string, Sight>(names.map((name) => [name, seen[name]]));
            // Looks at every moment that was asked for, and then at the next input.
            const untilMs = nowMs + afterMs;
            for (let first = true; first || now.nextMs <= untilMs; first = false) {
              const before = now;
              if (!first) nowMs = Math.max(nowMs, now.nextMs);
              now = select(before, all, sights, pin, nowMs);
              assert.ok(now.nextMs > nowMs, "a wake-up lies in the future");
              assert.deepEqual(
                select(now, all, sights, pin, nowMs).chosen,
                now.chosen,
                "looking twice changes nothing",
              );
              for (const name of now.chosen) assert.ok(now.members.get(name)!.usable, `${name} is chosen`);
              const isReady = names.some((name) => seen[name].ready === "yes");
              if (isReady) assert.notEqual(now.chosen.length, 0, "one is ready");
              if (now.members.get(pin)?.usable && now.chosen[0] !== pin) {
                assert.ok(
                  before.pinned === pin && nowMs < before.sinceMs + dwellMs,
                  "only dwelling holds a pin up",
                );
              }
              if (now.chosen.join() === before.chosen.join()) continue;
              const failed = before.chosen.some((name) => !now.members.get(name)!.usable);
              const wasMoved = before.chosen.length === 0 || failed || before.pinned !== pin;
              assert.ok(wasMoved || nowMs - changedMs >= dwellMs, "changed for a better one before its time");
              changedMs = nowMs;
            }
            // Nothing would have changed between two moments that were asked for.
            if (untilMs > nowMs) {
              const between = nowMs + Math.floor((untilMs - nowMs) / 2);
              assert.deepEqual(select(now, all, sights, pin, between).chosen, now.chosen);
            }
            nowMs = untilMs;
          }
        },
      ),
      { numRuns: runs },
    );
  });
});
