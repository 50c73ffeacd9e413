import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { limits } from "../base/limits.ts";
import { EventFilterSchema } from "../gen/cairn/v1/event_service_pb.ts";
import { EventLog, matches } from "./event-log.ts";
import type { StoredEvent } from "./rows.ts";

const event = (topic: string, object = "", severity: 1 | 2 | 3 = 1): Omit<StoredEvent, "id"> => {
  return { time: 1, topic, object, severity, summary: topic, facts: {}, generation: 1 };
};

suite("EventLog", () => {
  test("ids go on where the last run ended, and what was stored then can be read", () => {
    const log = new EventLog(
      41,
      [40, 41].map((id) => ({ id, ...event(`old.${id}`) })),
    );
    log.add(event("new"));
    assert.deepEqual(log.range(), { first: 40, last: 42 });
    const { events, scannedTo } = log.read(0, undefined, 10);
    assert.deepEqual(
      events.map(({ id, topic }) => [Number(id), topic]),
      [
        [40, "old.40"],
        [41, "old.41"],
        [42, "new"],
      ],
    );
    assert.equal(scannedTo, 42);
    assert.deepEqual(
      log.takePending().map(({ id }) => id),
      [42],
    );
    assert.deepEqual(log.takePending(), []);
  });

  test("the ring keeps the newest; a reader that was lapped starts at the first that is left", () => {
    const log = new EventLog(0, []);
    for (let i = 0; i < limits.eventRingMax + 5; i++) log.add(event(`e.${i}`));
    assert.deepEqual(log.range(), { first: 6, last: limits.eventRingMax + 5 });
    const { events, scannedTo } = log.read(2, undefined, 2);
    assert.deepEqual(
      events.map(({ id }) => Number(id)),
      [6, 7],
    );
    assert.equal(scannedTo, 7);
    assert.deepEqual(log.read(scannedTo, undefined, 0), { events: [], scannedTo });
  });

  test("filters by topic, object and severity; scannedTo moves over what does not match", () => {
    const log = new EventLog(0, []);
    log.add(event("cairn.bgp.session.up", "Neighbor/10.0.0.1"));
    log.add(event("cairn.bgp.session.down", "Neighbor/10.0.0.2", 3));
    log.add(event("cairn.config.generation.committed"));
    const read = (filter: object): number[] =>
      log.read(0, create(EventFilterSchema, filter), 10).events.map(({ id }) => Number(id));
    assert.deepEqual(read({ topics: ["cairn.bgp"] }), [1, 2]);
    assert.deepEqual(read({ topics: ["cairn.b"] }), []);
    assert.deepEqual(read({ topics: ["*.down", "cairn.config.*"] }), [2, 3]);
    assert.deepEqual(read({ object: "Neighbor/10.0.0.1" }), [1]);
    assert.deepEqual(read({ minSeverity: 2 }), [2]);
    assert.equal(log.read(0, create(EventFilterSchema, { topics: ["none"] }), 10).scannedTo, 3);
  });

  test("categories are areas or subjects of topics, types their ends", () => {
    const passes = (filter: { categories?: string[]; types?: string[] }): boolean =>
      matches({ id: 1, ...event("cairn.bgp.session.down") }, create(EventFilterSchema, filter));
    assert(passes({ categories: ["route", "session"] }) && passes({ categories: ["bgp"] }));
    assert(!passes({ categories: ["cairn"] }) && !passes({ categories: ["down"] }));
    assert(passes({ types: ["down"] }) && passes({ types: ["established", "session.down"] }));
    assert(!passes({ types: ["own"] }) && !passes({ types: ["session"] }));
    assert(!passes({ categories: ["config"], types: ["down"] }));
  });

  test("a pattern with several stars matches its parts in order, without overlap", () => {
    const passes = (pattern: string, topic: string): boolean =>
      matches({ id: 1, ...event(topic) }, create(EventFilterSchema, { topics: [pattern] }));
    assert(passes("a*b*c", "a.b.c") && passes("*", "x") && passes("a*a", "aa"));
    assert(!passes("a*a", "a") && !passes("ab*bc", "abc") && !passes("a*b*c", "a.c.b"));
  });
});
