import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { labelsFor } from "./labels.ts";

function ascend(labels: readonly string[]): void {
  labels.forEach((label, i) => {
    assert.ok(label.length === 12 && (i === 0 || labels[i - 1] < label));
  });
}

it("rules that stay keep their labels, and new ones stand between them", () => {
  const first = labelsFor([undefined, undefined, undefined]);
  ascend(first);
  const [a, b, c] = first;
  const second = labelsFor([undefined, a, undefined, undefined, c, undefined]);
  ascend(second);
  assert.deepEqual([second[1], second[4]], [a, c]);
  assert.deepEqual(labelsFor([a, b, c]), first);
  assert.deepEqual(labelsFor([]), []);
});

it("where there is no room left, all get new ones", () => {
  const tight = ["000000000001", "000000000002"];
  const labels = labelsFor([tight[0], undefined, tight[1]]);
  ascend(labels);
  assert.notEqual(labels[0], tight[0]);
  assert.deepEqual(labelsFor(tight), tight);
});

it("whatever comes and goes, labels ascend", () => {
  const changes = fc.array(fc.tuple(fc.nat(30), fc.nat(3), fc.nat(3)), { maxLength: 60 });
  fc.assert(
    fc.property(changes, (steps) => {
      let labels: string[] = [];
      for (const [at, gone, come] of steps) {
        const place = at % (labels.length + 1);
        const rest: (string | undefined)[] = [...labels];
        rest.splice(place, gone, ...Array.from({ length: come }, () => undefined));
        labels = labelsFor(rest);
        ascend(labels);
      }
    }),
    { numRuns: 200 },
  );
});

it("always adding in front leaves the others alone some forty times", () => {
  let labels = labelsFor([undefined]);
  let renewed = 0;
  for (let i = 0; i < 100; i++) {
    const [first] = labels;
    labels = labelsFor([undefined, ...labels]);
    ascend(labels);
    if (labels[1] !== first) renewed++;
  }
  assert.ok(renewed >= 1 && renewed <= 4, String(renewed));
});
