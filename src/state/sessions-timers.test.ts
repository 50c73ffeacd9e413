import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { TimerHeap, TimerOwner } from "./sessions-timers.ts";

describe("TimerHeap", () => {
  test("agrees with a scan over all deadlines, whatever is set and cleared", () => {
    const owners = fc.nat(19);
    const command = fc.record({
      owner: owners,
      timer: fc.nat(2),
      ms: fc.option(fc.nat(1000)),
      clear: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
        const heap = new TimerHeap<TimerOwner>();
        const all = Array.from({ length: 20 }, () => new TimerOwner(3));
        for (const { owner, timer, ms, clear } of commands) {
          if (clear && ms === null) heap.clear(all[owner]);
          else heap.set(all[owner], timer, ms ?? Number.POSITIVE_INFINITY);
          const want = Math.min(...all.flatMap((each) => [...each.deadlinesMs]));
          assert.equal(heap.nextMs(), want);
          assert.equal(heap.size, all.filter((each) => Number.isFinite(each.dueMs)).length);
          for (const each of all) assert.equal(each.heapAt >= 0, Number.isFinite(each.dueMs));
        }
      }),
    );
  });
  test("gives due owners in order", () => {
    const heap = new TimerHeap<TimerOwner>();
    for (const ms of [5, 1, 4, 2, 3]) heap.set(new TimerOwner(1), 0, ms);
    const order: number[] = [];
    for (let owner = heap.due(4); owner; owner = heap.due(4)) {
      order.push(owner.dueMs);
      heap.set(owner, 0, Number.POSITIVE_INFINITY);
    }
    assert.deepEqual([order, heap.nextMs()], [[1, 2, 3, 4], 5]);
  });
});
