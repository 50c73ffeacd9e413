import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PathColumns } from "./path-columns.ts";

test("attributes as received and after policy are two columns as soon as they differ, whatever grows before or after", () => {
  const step = fc.record({
    received: fc.integer({ min: 1, max: 9 }),
    changed: fc.nat(40),
    more: fc.nat(400),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const paths = new PathColumns();
      const model: [number, number][] = [];
      for (const { received, changed, more } of steps) {
        for (let i = 0; i < more; i++) {
          const path = paths.add(1, 1, 0);
          paths.setAttributes(path, received, received);
          model[path] = [received, received];
        }
        // Two in forty paths are changed by policy.
        const attr = changed < 2 ? received + 10 : received;
        const path = paths.add(1, 1, 0);
        paths.setAttributes(path, received, attr);
        model[path] = [received, attr];
      }
      for (let path = 1; path < model.length; path++) {
        const [received, attr] = model[path];
        assert.deepEqual([paths.received[path], paths.attr[path]], [received, attr]);
      }
      const differ = model.some((each) => each !== undefined && each[0] !== each[1]);
      assert.equal(paths.memoryBytes(), paths.rows * (differ ? 23 : 19));
    }),
  );
});
