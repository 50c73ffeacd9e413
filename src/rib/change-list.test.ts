import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { after, ChangeList } from "./change-list.ts";

/** Rows 1 to 9 are prefixes, 10 to 14 markers. */
const step = fc.oneof(
  fc.record({ what: fc.constantFrom("touch", "touch", "remove"), row: fc.integer({ min: 1, max: 9 }) }),
  fc.record({
    what: fc.constantFrom("markHead", "markTail", "markAfter", "advance", "moveAfter", "remove"),
    row: fc.integer({ min: 10, max: 14 }),
  }),
);

suite("ChangeList", () => {
  test("against an array: order, membership, and revisions that never fall from head to tail", () => {
    // Also with revisions that wrap while the test runs.
    for (const start of [0, 0xffff_ffff - 20]) {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 120, size: "max" }), fc.nat(), (steps, seed) => {
          const list = new ChangeList();
          list.revision = start;
          const model: number[] = [];
          for (const [i, { what, row }] of steps.entries()) {
            const at = model.indexOf(row);
            if (what === "touch") {
              if (at >= 0) model.splice(at, 1);
              model.push(row);
              list.touch(row);
              assert.equal(list.revisionOf[row], list.revision);
            } else if (what === "remove") {
              if (at < 0) continue;
              model.splice(at, 1);
              list.remove(row);
            } else if (at < 0) {
              const to =
                what === "markHead"
                  ? 0
                  : what === "markTail"
                    ? model.length
                    : (seed + i) % (model.length + 1);
              if (to === 0) list.markHead(row);
              else if (to === model.length) list.markTail(row);
              else list.markAfter(row, model[to - 1]);
              model.splice(to, 0, row);
            } else if (at < model.length - 1) {
              const to = what === "advance" ? at + 1 : at + 1 + ((seed + i) % (model.length - 1 - at));
              if (what === "advance") list.advance(row);
              else list.moveAfter(row, model[to]);
              model.splice(to + 1, 0, row);
              model.splice(at, 1);
            }
            checkSame(list, model);
          }
        }),
      );
    }
  });

  test("after is right over the wrap", () => {
    assert(after(1, 0xffff_ffff) && !after(0xffff_ffff, 1));
    assert(!after(5, 5) && after(0x8000_0000, 1) && !after(0x8000_0001, 1));
  });
});

function checkSame(list: ChangeList, model: readonly number[]): void {
  const rows: number[] = [];
  for (let row = list.next[0]; row !== 0; row = list.next[row]) rows.push(row);
  assert.deepEqual(rows, model);
  const back: number[] = [];
  for (let row = list.before(0); row !== 0; row = list.before(row)) back.push(row);
  assert.deepEqual(back.reverse(), model);
  for (let row = 1; row < 15; row++) assert.equal(list.has(row), model.includes(row));
  for (let i = 1; i < model.length; i++) {
    assert(!after(list.revisionOf[model[i - 1]], list.revisionOf[model[i]]), "sorted by revision");
  }
}
