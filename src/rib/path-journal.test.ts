/** The ring of changed paths against a plain list. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../base/random.ts";
import { PathJournal } from "./path-journal.ts";

test("entries are what was noted, through growth, release and the lap", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed);
    const any = (below: number): number => Math.floor(random() * below);
    const max = 1 << 14;
    const journal = new PathJournal(max);
    const noted: number[] = [];
    for (let step = 0; step < 300; step++) {
      for (let i = any(400); i > 0; i--) {
        const value = any(60_000);
        noted.push(value);
        journal.note(value, value * 2, value * 3, value & 3, value);
      }
      if (any(4) === 0) journal.release(journal.end - any(3000));
      assert.equal(journal.end, noted.length);
      assert.ok(journal.end - journal.start <= max);
      for (let i = 0; i < 20 && journal.end > journal.start; i++) {
        const entry = journal.start + any(journal.end - journal.start);
        const value = noted[entry];
        assert.deepEqual(
          [
            journal.neighborOf(entry),
            journal.prefixOf(entry),
            journal.pathIdOf(entry),
            journal.beforeOf(entry),
          ],
          [value, value * 2, value * 3, value & 3],
        );
        assert.equal(journal.passed(entry, 7), (value - 1) >>> 0);
      }
    }
    assert.equal(journal.passed(journal.end, 7), 7);
  }
});
