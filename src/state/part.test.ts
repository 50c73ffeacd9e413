import assert from "node:assert/strict";
import { test } from "node:test";
import type { RouteTable } from "../rib/route-table.ts";
import { type Part, Parts } from "./part.ts";

test("parts work in the order of their list: first what is due, then work", () => {
  const done: string[] = [];
  const part = (name: string): Part => ({
    tick: () => done.push(`${name} tick`),
    run: (micros) => done.push(`${name} ${micros}`),
  });
  new Parts([part("a"), {}, part("b")]).run(60);
  assert.deepEqual(done, ["a tick", "a 60", "b tick", "b 60"]);
});

test("an input goes to all that take its kind, on arrival or in the turn; one that nobody takes is our own fault", () => {
  const taken: string[] = [];
  const parts = new Parts([
    { inputs: { "host.addresses": () => taken.push("first") } },
    { inputs: { "host.addresses": () => taken.push("second") } },
    { arrivals: { "rtr.connected": ({ conn }) => taken.push(`conn ${conn}`) } },
  ]);
  const addresses = { kind: "host.addresses", addresses: [] } as const;
  assert.equal(parts.arrive(addresses), false, "it waits for the turn");
  parts.take(addresses);
  assert.equal(parts.arrive({ kind: "rtr.connected", conn: 3 }), true);
  assert.deepEqual(taken, ["first", "second", "conn 3"]);
  assert.throws(() => parts.take({ kind: "kernel.routes", answers: [] }), /no part takes kernel.routes/);
});

test("the core wakes for whoever is first, and works on as long as one has work", () => {
  const idle: Part = { hasWork: false, nextMs: () => Number.POSITIVE_INFINITY };
  assert.equal(new Parts([idle, {}]).nextMs(), Number.POSITIVE_INFINITY);
  assert.equal(new Parts([idle, { nextMs: () => 7 }, { nextMs: () => 5 }]).nextMs(), 5);
  assert.equal(new Parts([idle, {}]).hasWork, false);
  assert.equal(new Parts([idle, { hasWork: true }]).hasWork, true);
});

test("changes of a table are kept for the slowest reader, over the wrap of revisions too", () => {
  const table = { changes: { revision: -2147483647 } } as unknown as RouteTable;
  const reader = (revision: number): Part => ({ passed: () => revision });
  assert.equal(new Parts([{}, { passed: () => undefined }]).passed(table), -2147483647);
  assert.equal(new Parts([reader(-2147483648), reader(2147483647)]).passed(table), 2147483647);
});
