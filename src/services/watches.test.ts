/** Watches: snapshot, bookmark, changes; honest gaps; bounded; ended by the client and by the server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { clone, create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { limits } from "../base/limits.ts";
import { EventService, WatchEventsResponse_Type as EventType } from "../gen/cairn/v1/event_service_pb.ts";
import {
  InterfaceService,
  type Link,
  LinkSchema,
  WatchLinksResponse_Type as LinkType,
} from "../gen/cairn/v1/interface_service_pb.ts";
import {
  NeighborService,
  WatchNeighborsResponse_Type as NeighborType,
} from "../gen/cairn/v1/neighbor_service_pb.ts";
import { RibService, WatchRoutesResponse_Type as RouteType } from "../gen/cairn/v1/rib_service_pb.ts";
import { RouteSchema } from "../gen/cairn/v1/types_pb.ts";
import { failure, type Harness, inProcess } from "./testing/harness.ts";

/** Reads one message after another; `end` cancels the call and waits until the server has let go of the watch. */
function reader<T>(harness: Harness, open: (signal: AbortSignal) => AsyncIterable<T>) {
  const abort = new AbortController();
  const messages = open(abort.signal)[Symbol.asyncIterator]();
  return {
    async next(): Promise<T> {
      const { value, done } = await messages.next();
      assert.ok(!done, "the watch ended");
      return value;
    },
    async end(): Promise<void> {
      abort.abort();
      await messages.next().catch(() => undefined);
      for (let i = 0; i < 100 && openWatches(harness) > 0; i++) await setImmediate();
      assert.equal(openWatches(harness), 0);
      assert.deepEqual(harness.logLines, []);
    },
  };
}

function openWatches(harness: Harness): number {
  let count = 0;
  for (const stats of harness.services.watchers.stats().values()) count += stats.count;
  return count;
}

test("routes: snapshot, bookmark, changes, and the latest state only", async () => {
  const harness = inProcess({ routes: 1_000 });
  const { owner } = harness;
  const rib = createClient(RibService, harness.transport);
  const watch = reader(harness, (signal) => rib.watchRoutes({}, { signal }));
  const prefixes = new Set<string>();
  let message = await watch.next();
  for (; message.type === RouteType.SNAPSHOT; message = await watch.next()) {
    assert.ok(message.updated.length <= limits.streamBatchRoutes);
    for (const { prefix } of message.updated) prefixes.add(prefix);
  }
  assert.equal(prefixes.size, 1_000);
  assert.equal(message.type, RouteType.BOOKMARK);
  assert.equal(Number(message.revision), owner.tables.revision);

  const route = owner.tables.get("10.0.1.0/24");
  assert.ok(route);
  for (let med = 1; med <= 50; med++) owner.tables.announce({ ...clone(RouteSchema, route), med });
  owner.tables.withdraw("10.0.2.0/24");
  message = await watch.next();
  assert.equal(message.type, RouteType.CHANGES);
  assert.deepEqual(
    message.updated.map(({ prefix, med }) => [prefix, med]),
    [["10.0.1.0/24", 50]],
  );
  assert.deepEqual(message.withdrawn, ["10.0.2.0/24"]);
  await watch.end();
  assert.equal(owner.tables.openWatches, 0);
});

test("routes: resumed from a revision, changes come before the bookmark; too old says COMPACTED", async () => {
  const harness = inProcess({ routes: 100 });
  const { owner } = harness;
  const rib = createClient(RibService, harness.transport);
  const resumeFrom = BigInt(owner.tables.revision);
  owner.tables.withdraw("10.0.5.0/24");
  const resumed = reader(harness, (signal) => rib.watchRoutes({ resumeFrom }, { signal }));
  const changes = await resumed.next();
  assert.deepEqual([changes.type, changes.withdrawn], [RouteType.CHANGES, ["10.0.5.0/24"]]);
  assert.equal((await resumed.next()).type, RouteType.BOOKMARK);
  await resumed.end();

  owner.tables.compactedTo = owner.tables.revision;
  const compacted = reader(harness, (signal) => rib.watchRoutes({ resumeFrom }, { signal }));
  assert.equal((await compacted.next()).type, RouteType.COMPACTED);
  assert.equal((await compacted.next()).type, RouteType.SNAPSHOT);
  await compacted.end();
});

test("neighbors: snapshot, bookmark, changed, deleted", async () => {
  const harness = inProcess({ routes: 0 });
  const neighbors = createClient(NeighborService, harness.transport);
  const watch = reader(harness, (signal) => neighbors.watchNeighbors({}, { signal }));
  const snapshot = await watch.next();
  assert.deepEqual([snapshot.type, snapshot.neighbors.length], [NeighborType.SNAPSHOT, 5]);
  assert.equal((await watch.next()).type, NeighborType.BOOKMARK);
  await neighbors.disableNeighbor({ address: "192.0.2.1", message: "maintenance" });
  const changed = await watch.next();
  assert.equal(changed.type, NeighborType.CHANGED);
  assert.deepEqual(
    changed.neighbors.map(({ spec }) => [spec?.address, spec?.shutdownMessage]),
    [["192.0.2.1", "maintenance"]],
  );
  await neighbors.deleteNeighbor({ address: "192.0.2.1" });
  const deleted = await watch.next();
  assert.deepEqual([deleted.type, deleted.neighbors[0].spec?.address], [NeighborType.DELETED, "192.0.2.1"]);
  await watch.end();
});

test("neighbors: resumed from a revision, what changed comes first; too old says COMPACTED, and so does the future", async () => {
  const harness = inProcess({ routes: 0 });
  const neighbors = createClient(NeighborService, harness.transport);
  const watching = (resumeFrom: bigint) =>
    reader(harness, (signal) => neighbors.watchNeighbors({ resumeFrom }, { signal }));
  const first = watching(0n);
  assert.equal((await first.next()).revision, 0n, "the snapshot is not complete yet");
  const { revision } = await first.next();
  assert.ok(revision > 0n);
  await first.end();

  await neighbors.disableNeighbor({ address: "192.0.2.1", message: "maintenance" });
  await neighbors.deleteNeighbor({ address: "192.0.2.2" });
  const resumed = watching(revision);
  const gone = await resumed.next();
  assert.deepEqual([gone.type, gone.revision], [NeighborType.DELETED, 0n]);
  assert.deepEqual(
    gone.neighbors.map(({ spec }) => spec?.address),
    ["192.0.2.2"],
  );
  const changed = await resumed.next();
  assert.deepEqual([changed.type, changed.neighbors.length], [NeighborType.CHANGED, 1]);
  const bookmark = await resumed.next();
  assert.deepEqual([bookmark.type, bookmark.revision], [NeighborType.BOOKMARK, changed.revision]);
  await resumed.end();

  const idle = watching(bookmark.revision);
  assert.equal((await idle.next()).type, NeighborType.BOOKMARK, "nothing has changed since");
  await idle.end();
  harness.owner.objects.compactedTo = Number(bookmark.revision) + 1;
  for (const old of [revision, bookmark.revision + 1000n]) {
    const compacted = watching(old);
    assert.equal((await compacted.next()).type, NeighborType.COMPACTED);
    assert.equal((await compacted.next()).type, NeighborType.SNAPSHOT);
    assert.ok((await compacted.next()).revision >= bookmark.revision);
    await compacted.end();
  }
});

test("neighbors: a reader for whom too much has changed is told that it lagged, and gets a snapshot", async () => {
  const harness = inProcess({ routes: 0 });
  const neighbors = createClient(NeighborService, harness.transport);
  const watch = reader(harness, (signal) => neighbors.watchNeighbors({}, { signal }));
  assert.equal((await watch.next()).type, NeighborType.SNAPSHOT);
  const { revision } = await watch.next();
  harness.owner.objects.compactedTo = Number(revision) + 1;
  await neighbors.disableNeighbor({ address: "192.0.2.1", message: "maintenance" });
  assert.equal((await watch.next()).type, NeighborType.LAGGED);
  assert.equal((await watch.next()).type, NeighborType.SNAPSHOT);
  assert.equal((await watch.next()).type, NeighborType.BOOKMARK);
  await watch.end();
});

test("events: absent means new ones only", async () => {
  const harness = inProcess({ routes: 0 });
  const events = createClient(EventService, harness.transport);
  const watch = reader(harness, (signal) => events.watchEvents({}, { signal }));
  const bookmark = await watch.next();
  assert.deepEqual([bookmark.type, bookmark.lastId], [EventType.BOOKMARK, 40n]);
  harness.owner.emit({ topic: "cairn.bgp.session.down", object: "Neighbor/192.0.2.1", summary: "down" });
  const news = await watch.next();
  assert.deepEqual(
    news.events.map(({ id, topic }) => [id, topic]),
    [[41n, "cairn.bgp.session.down"]],
  );
  await watch.end();
  assert.equal(harness.owner.events.listeners, 0);
});

test("events: 0 means all that are retained, from the archive and from memory", async () => {
  const harness = inProcess({ routes: 0, events: 1_500, eventRing: 100 });
  harness.owner.events.forgotten = 200;
  const events = createClient(EventService, harness.transport);
  const watch = reader(harness, (signal) => events.watchEvents({ fromId: 0n }, { signal }));
  const ids: number[] = [];
  let message = await watch.next();
  for (; message.type === EventType.EVENTS; message = await watch.next())
    ids.push(...message.events.map(({ id }) => Number(id)));
  assert.deepEqual(
    ids,
    Array.from({ length: 1_300 }, (_, i) => i + 201),
  );
  assert.deepEqual([message.type, message.lastId], [EventType.BOOKMARK, 1_500n]);
  await watch.end();
});

test("events: after an id; what is forgotten is said to be missing", async () => {
  const harness = inProcess({ routes: 0, events: 300, eventRing: 100 });
  harness.owner.events.forgotten = 150;
  const events = createClient(EventService, harness.transport);
  const recent = reader(harness, (signal) => events.watchEvents({ fromId: 298n }, { signal }));
  assert.deepEqual(
    (await recent.next()).events.map(({ id }) => id),
    [299n, 300n],
  );
  await recent.end();
  const old = reader(harness, (signal) => events.watchEvents({ fromId: 100n }, { signal }));
  const gap = await old.next();
  assert.deepEqual([gap.type, gap.missedFrom, gap.missedTo], [EventType.COMPACTED, 101n, 150n]);
  assert.equal((await old.next()).events[0].id, 151n);
  await old.end();
});

test("events: a slow reader that the ring has lapped is told what it missed", async () => {
  const harness = inProcess({ routes: 0, events: 10, eventRing: 50 });
  const events = createClient(EventService, harness.transport);
  const watch = reader(harness, (signal) => events.watchEvents({}, { signal }));
  assert.equal((await watch.next()).type, EventType.BOOKMARK);
  for (let i = 0; i < 500; i++) harness.owner.emit({ topic: "cairn.test", object: "", summary: "" });
  const seen: number[] = [];
  let missed = 0;
  while (seen.at(-1) !== 510) {
    const message = await watch.next();
    seen.push(...message.events.map(({ id }) => Number(id)));
    if (message.type === EventType.LAGGED) missed += Number(message.missedTo - message.missedFrom) + 1;
  }
  assert.ok(missed > 0);
  assert.equal(missed + seen.length, 500);
  assert.match(await harness.services.metrics.text(), /cairn_watcher_lagged_total\{kind="events"\} [1-9]/);
  await watch.end();
});

test("the number of watches is bounded", async () => {
  const harness = inProcess({ routes: 0 });
  const slots = Array.from({ length: limits.watchersMax }, () =>
    harness.services.watchers.take("routes", new AbortController().signal),
  );
  const { transport } = harness;
  const signal = AbortSignal.timeout(5_000);
  const first = async <T>(stream: AsyncIterable<T>): Promise<void> => {
    for await (const _ of stream) return;
  };
  for (const open of [
    () => first(createClient(RibService, transport).watchRoutes({}, { signal })),
    () => first(createClient(NeighborService, transport).watchNeighbors({}, { signal })),
    () => first(createClient(EventService, transport).watchEvents({}, { signal })),
  ]) {
    assert.equal((await failure(open())).code, Code.ResourceExhausted);
  }
  slots.pop()?.release();
  await first(createClient(EventService, transport).watchEvents({}, { signal }));
  assert.match(await harness.services.metrics.text(), /cairn_watchers\{kind="routes"\} 255/);
});

test("links: all of them, a bookmark, then what is otherwise, and nothing twice", async () => {
  const harness = inProcess({ routes: 0 });
  const { view } = harness.owner;
  const link = (index: number, change: MessageInitShape<typeof LinkSchema> = {}): Link =>
    create(LinkSchema, { index, name: `eth${index}`, mtu: 1500, ...change });
  view.linkList = [link(0, { up: true }), link(1)];
  const interfaces = createClient(InterfaceService, harness.transport);
  const watch = reader(harness, (signal) => interfaces.watchLinks({}, { signal }));
  const first = await watch.next();
  assert.deepEqual([first.type, first.link?.name], [LinkType.SNAPSHOT, "eth0"]);
  assert.deepEqual([first.link?.counters?.rxBytes, first.link?.counters?.txBytes], [7n, 9n]);
  const second = await watch.next();
  assert.deepEqual([second.link?.name, second.link?.counters], ["eth1", undefined]);
  const bookmark = await watch.next();
  assert.deepEqual([bookmark.type, bookmark.link, bookmark.observed], [LinkType.BOOKMARK, undefined, true]);

  view.setLinks([link(0, { up: true }), link(1)]);
  view.setLinks([link(1), link(2)]);
  const gone = await watch.next();
  assert.deepEqual([gone.type, gone.link?.name, gone.link?.up], [LinkType.DELETED, "eth0", true]);
  const fresh = await watch.next();
  assert.deepEqual([fresh.type, fresh.link?.name], [LinkType.CHANGED, "eth2"]);
  view.setLinks([link(1, { mtu: 9000 }), link(2)]);
  const { type, link: changed } = await watch.next();
  assert.deepEqual([type, changed?.name, changed?.mtu], [LinkType.CHANGED, "eth1", 9000]);
  await watch.end();

  const one = reader(harness, (signal) => interfaces.watchLinks({ name: "eth1" }, { signal }));
  assert.equal((await one.next()).link?.name, "eth1");
  assert.equal((await one.next()).type, LinkType.BOOKMARK);
  // A link of another name is no longer the one that is watched.
  view.setLinks([link(1, { name: "wan" }), link(2)]);
  assert.equal((await one.next()).type, LinkType.DELETED);
  await one.end();
});
