/** A few seeds of the simulated world on every run of the tests; `npm run sim` has as many as one likes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { replay } from "./replay.ts";
import { decodeEntry, encodeEntry } from "./trace.ts";
import { runWorld } from "./world.ts";

const small = { prefixes: 60, burst: 20 };

test("ten seeds keep what must hold under faults, and come to rest", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { failure } = runWorld(seed, { minutes: 2, plan: small });
    assert.equal(failure, undefined, `seed ${seed}: ${failure?.checker}: ${failure?.message}`);
  }
});

test("a seed does the same twice, and its trace replayed does the same again", () => {
  const lines: string[] = [];
  const record = {
    minutes: 2,
    plan: small,
    record: (entry: Parameters<typeof encodeEntry>[0]) => void lines.push(encodeEntry(entry)),
  };
  const first = runWorld(3, record);
  assert.equal(runWorld(3, { minutes: 2, plan: small }).hash, first.hash);
  const again = replay(lines.map(decodeEntry));
  assert.equal(again.hash, first.hash);
  assert.equal(again.turns, first.turns);
});

test("sentinel: an UPDATE that is lost between core and socket is noticed", () => {
  let updates = 0;
  const { failure } = runWorld(2, {
    minutes: 1,
    plan: small,
    tamper: (_, effect) =>
      effect.kind === "tcp.send" && effect.bytes[18] === 2 && effect.bytes.length > 40 && ++updates % 5 === 0,
  });
  assert.equal(failure?.checker, "symmetry");
});

test("sentinel: next hops that nobody looks up are noticed", () => {
  const { failure } = runWorld(3, {
    minutes: 1,
    plan: small,
    tamper: (_, { kind }) => kind === "kernel.watch",
  });
  assert.equal(failure?.checker, "oracle");
});

test("sentinel: rows that never reach the disk are noticed", () => {
  const { failure } = runWorld(5, {
    minutes: 3,
    plan: { ...small, actions: { ...plainActions, announce: 10, crash: 3 } },
    tamper: (speaker, effect) => {
      if (effect.kind !== "store.persist" || !effect.rows.some((row) => row.table === "injected"))
        return false;
      // The answer comes, the rows do not.
      speaker.post({ kind: "store.committed", seq: effect.seq });
      return true;
    },
  });
  assert.equal(failure?.checker, "durability");
});

const plainActions = {
  announce: 0,
  withdraw: 0,
  churn: 0,
  policy: 0,
  neighbor: 0,
  "remove-neighbor": 0,
  toggle: 0,
  "hard-reset": 0,
  "soft-in": 0,
  "soft-out": 0,
  global: 0,
  kernel: 0,
  watch: 0,
  "read-watch": 0,
  partition: 0,
  "one-way": 0,
  heal: 0,
  stall: 0,
  reset: 0,
  crash: 0,
  "planned-restart": 0,
  pause: 0,
  "wall-jump": 0,
};
