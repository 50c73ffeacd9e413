/** Lists: every entry once, whatever the page size and whatever changes meanwhile; tokens belong to their question. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import fc from "fast-check";
import { limits } from "../base/limits.ts";
import { EventService } from "../gen/cairn/v1/event_service_pb.ts";
import { InjectionService } from "../gen/cairn/v1/injection_service_pb.ts";
import { NeighborService } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { PeerGroupService } from "../gen/cairn/v1/peer_group_service_pb.ts";
import { PolicyService } from "../gen/cairn/v1/policy_service_pb.ts";
import { RibService } from "../gen/cairn/v1/rib_service_pb.ts";
import { RouteSchema } from "../gen/cairn/v1/types_pb.ts";
import type { RouteBatch } from "../state/route-batch.ts";
import { failure, inProcess } from "./testing/harness.ts";

interface PageOf<T> {
  readonly items: readonly T[];
  readonly nextPageToken: string;
  readonly totalSize: bigint;
}

/** Walks a list to its end. */
async function walk<T>(
  page: (pageToken: string) => Promise<PageOf<T>>,
): Promise<{ items: T[]; totals: number[] }> {
  const items: T[] = [];
  const totals: number[] = [];
  for (let token = ""; ; ) {
    const { items: more, nextPageToken, totalSize } = await page(token);
    items.push(...more);
    totals.push(Number(totalSize));
    if (nextPageToken === "") return { items, totals };
    token = nextPageToken;
  }
}

test("routes: the pages make up the table, for any page size", async () => {
  const { owner, transport } = inProcess({ routes: 300 });
  const rib = createClient(RibService, transport);
  const all = owner.tables
    .order()
    .filter((prefix) => !prefix.includes(":") && owner.tables.get(prefix)?.rejectReason === "");
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 400 }), async (pageSize) => {
      const { items, totals } = await walk(async (pageToken) => {
        const { routes, ...page } = await rib.listBestRoutes({ pageSize, pageToken });
        assert.ok(routes.length <= pageSize);
        return { items: routes, ...page };
      });
      assert.deepEqual(
        items.map(({ prefix }) => prefix),
        all,
      );
      assert.ok(totals.every((total) => total >= all.length));
    }),
    { numRuns: 20 },
  );
});

test("routes: with a filter the total is known at the end only, counted over all pages", async () => {
  const { transport } = inProcess({ routes: 300 });
  const rib = createClient(RibService, transport);
  const filter = { communities: ["65000:3"] };
  const { items, totals } = await walk(async (pageToken) => {
    const { routes, ...page } = await rib.listBestRoutes({ pageSize: 7, pageToken, filter });
    return { items: routes, ...page };
  });
  assert.equal(items.length, 30);
  assert.equal(totals.pop(), 30);
  assert.ok(totals.every((total) => total === 0));
});

test("routes: what is there all the time is seen once while others come and go", async () => {
  const { owner, transport } = inProcess({ routes: 200 });
  const rib = createClient(RibService, transport);
  let round = 0;
  const { items } = await walk(async (pageToken) => {
    owner.tables.withdraw(`10.0.${round * 7}.0/24`);
    round++;
    const { routes, ...page } = await rib.listBestRoutes({ pageSize: 10, pageToken });
    return { items: routes, ...page };
  });
  const seen = items.map(({ prefix }) => prefix);
  assert.equal(new Set(seen).size, seen.length);
  const missing = owner.tables.order().filter((prefix) => {
    return !prefix.includes(":") && owner.tables.get(prefix)?.rejectReason === "" && !seen.includes(prefix);
  });
  assert.deepEqual(missing, []);
});

test("a token is refused with another question, and when it was tampered with", async () => {
  const { transport } = inProcess({ routes: 50 });
  const rib = createClient(RibService, transport);
  const { nextPageToken: pageToken } = await rib.listBestRoutes({ pageSize: 10 });
  assert.equal((await rib.listBestRoutes({ pageSize: 3, pageToken })).routes.length, 3);
  for (const other of [{ family: "ipv6-unicast" }, { allPaths: true }, { filter: { asPath: "_65001_" } }]) {
    const error = await failure(rib.listBestRoutes({ ...other, pageToken }));
    assert.match(error.message, /page_token: is not a token of this list/);
  }
  await failure(rib.listAdvertisedRoutes({ neighbor: "192.0.2.1", pageToken }));
  await fc.assert(
    fc.asyncProperty(fc.string(), async (text) => {
      if (text !== "") await failure(rib.listBestRoutes({ pageToken: text }));
    }),
  );
});

test("page_size: 0 is the default, the most is 10,000", async () => {
  const { transport } = inProcess({ routes: 12_000 });
  const rib = createClient(RibService, transport);
  assert.equal((await rib.listBestRoutes({})).routes.length, limits.pageSizeDefault);
  const page = await rib.listBestRoutes({ pageSize: limits.pageSizeMax });
  assert.ok(page.routes.length <= limits.pageSizeMax && page.nextPageToken !== "");
});

test("per-neighbor tables keep to their neighbor and stage", async () => {
  const { transport } = inProcess({ routes: 300 });
  const rib = createClient(RibService, transport);
  const neighbor = "192.0.2.1";
  const pre = await rib.listReceivedRoutes({ neighbor, prePolicy: true });
  const post = await rib.listReceivedRoutes({ neighbor });
  const rejected = await rib.listRejectedRoutes({ neighbor });
  assert.equal(pre.routes.length, post.routes.length + rejected.routes.length);
  assert.ok(rejected.routes.length > 0 && rejected.routes.every((route) => route.rejectReason !== ""));
  const advertised = await rib.listAdvertisedRoutes({ neighbor });
  assert.ok(advertised.routes.length > 0 && advertised.routes.every((route) => route.neighbor !== neighbor));
});

test("streams bring the same routes as lists, in bounded batches", async () => {
  const { owner, transport } = inProcess({ routes: 2_000 });
  const rib = createClient(RibService, transport);
  const prefixes: string[] = [];
  for await (const { routes } of rib.streamBestRoutes({})) {
    assert.ok(routes.length > 0 && routes.length <= limits.streamBatchRoutes);
    for (const { prefix } of routes) prefixes.push(prefix);
  }
  const all = owner.tables
    .order()
    .filter((prefix) => !prefix.includes(":") && owner.tables.get(prefix)?.rejectReason === "");
  assert.deepEqual(prefixes, all);
  const count = async (stream: AsyncIterable<{ routes: unknown[] }>): Promise<number> => {
    let total = 0;
    for await (const { routes } of stream) total += routes.length;
    return total;
  };
  const neighbor = "192.0.2.1";
  const { totalSize } = await rib.listAdvertisedRoutes({ neighbor, pageSize: 1 });
  assert.ok((await count(rib.streamAdvertisedRoutes({ neighbor }))) <= Number(totalSize));
  assert.ok((await count(rib.streamReceivedRoutes({ neighbor, prePolicy: true }))) > 0);
});

test("a long list lets the event loop run", async () => {
  const { transport } = inProcess({ routes: 20_000 });
  const rib = createClient(RibService, transport);
  let turns = 0;
  let going = true;
  const spin = (): void => {
    turns++;
    if (going) setImmediate(spin);
  };
  setImmediate(spin);
  await rib.listBestRoutes({ pageSize: 10_000, filter: { asPath: "_64501_" } });
  going = false;
  assert.ok(turns > 3, `the loop ran ${turns} times`);
});

test("neighbors: in the order of addresses, by words of filter, over pages", async () => {
  const { transport } = inProcess({ routes: 0 });
  const neighbors = createClient(NeighborService, transport);
  for (const address of ["192.0.2.10", "192.0.2.9", "2001:db8::1"])
    await neighbors.addNeighbor({ spec: { address } });
  const { items, totals } = await walk(async (pageToken) => {
    const { neighbors: items, ...page } = await neighbors.listNeighbors({ pageSize: 3, pageToken });
    return { items, ...page };
  });
  assert.deepEqual(
    items.map(({ spec }) => spec?.address),
    [
      ...["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.9", "192.0.2.10"],
      ...["2001:db8::1", "2001:db8::5"],
    ],
  );
  assert.deepEqual(totals, [8, 8, 8]);
  const find = async (filter: string): Promise<(string | undefined)[]> => {
    const page = await neighbors.listNeighbors({ filter });
    assert.equal(Number(page.totalSize), page.neighbors.length);
    return page.neighbors.map(({ spec }) => spec?.address);
  };
  assert.deepEqual(await find("TRANSIT established"), ["192.0.2.1", "192.0.2.2"]);
  assert.deepEqual(await find("maintenance"), ["192.0.2.4"]);
  assert.deepEqual(await find("idle"), ["192.0.2.4"]);
  assert.deepEqual(await find("nothing like it"), []);
});

test("objects: pages, words, and members of groups", async () => {
  const { transport } = inProcess({ routes: 0 });
  const policies = createClient(PolicyService, transport);
  const first = await policies.listPolicies({ pageSize: 1 });
  const second = await policies.listPolicies({ pageSize: 1, pageToken: first.nextPageToken });
  assert.deepEqual(
    [...first.policies, ...second.policies].map(({ spec }) => spec?.name),
    ["accept-all", "transit-in"],
  );
  assert.equal(second.nextPageToken, "");
  assert.equal((await policies.listPolicies({ filter: "trans" })).totalSize, 1n);
  const groups = await createClient(PeerGroupService, transport).listPeerGroups({});
  assert.deepEqual(groups.peerGroups[0].members, ["192.0.2.1", "192.0.2.2"]);
});

test("injected paths: by owner and family, over pages", async () => {
  const { transport } = inProcess({ routes: 0 });
  const injection = createClient(InjectionService, transport);
  for (let i = 0; i < 10; i++) {
    const prefix = i % 2 === 0 ? `198.51.${i}.0/24` : `2001:db8:${i}::/48`;
    await injection.addPath({ path: { prefix, owner: i < 6 ? "a" : "b" } });
  }
  const list = (request: { owner?: string; family?: string }) =>
    walk(async (pageToken) => {
      const { paths, ...page } = await injection.listInjected({ ...request, pageSize: 2, pageToken });
      return { items: paths, ...page };
    });
  assert.equal((await list({})).items.length, 10);
  assert.equal((await list({ owner: "a" })).items.length, 6);
  assert.equal((await list({ owner: "a", family: "ipv6-unicast" })).items.length, 3);
});

for (const reverse of [false, true]) {
  test(`events: ${reverse ? "newest" : "oldest"} first, from archive and memory as one list`, async () => {
    const { transport } = inProcess({ routes: 0, events: 2_000, eventRing: 300 });
    const events = createClient(EventService, transport);
    for (const pageSize of [7, 100, 999]) {
      const { items, totals } = await walk(async (pageToken) => {
        const page = await events.listEvents({ pageSize, pageToken, reverse });
        return { items: page.events, ...page };
      });
      const ids = items.map(({ id }) => Number(id));
      const expected = Array.from({ length: 2_000 }, (_, i) => i + 1);
      assert.deepEqual(ids, reverse ? expected.reverse() : expected);
      assert.equal(totals[0], 2_000);
    }
    const filtered = await walk(async (pageToken) => {
      const filter = { object: "Neighbor/192.0.2.2" };
      const page = await events.listEvents({ pageSize: 100, pageToken, reverse, fromId: 1_000n, filter });
      return { items: page.events, ...page };
    });
    assert.equal(filtered.items.length, 250);
    assert.equal(filtered.totals.pop(), 250);
  });
}

test("a walk whose rows bring several routes, or none for long, is listed to its end", async () => {
  const { owner, transport } = inProcess({ routes: 0 });
  const { view } = owner;
  const route = create(RouteSchema, { prefix: "10.0.0.0/24", family: "ipv4-unicast" });
  view.walk = (_table, _family, _filter, position) => {
    let row = Number(position);
    const next = (out: RouteBatch, max: number, rows: number): boolean => {
      const full = out.count + max;
      for (; rows > 0 && row < 10_000 && out.count < full; rows--, row++) {
        if (row % 1_000 === 999) for (let i = 0; i < 100; i++) out.addMessage(route);
      }
      return row === 10_000;
    };
    return { ok: true, value: { next, position: () => String(row), total: () => 1_000 } };
  };
  const rib = createClient(RibService, transport);
  const { items } = await walk(async (pageToken) => {
    const { routes, ...page } = await rib.listBestRoutes({ pageSize: 150, pageToken });
    return { items: routes, ...page };
  });
  assert.equal(items.length, 1_000);
  let streamed = 0;
  for await (const { routes } of rib.streamBestRoutes({})) streamed += routes.length;
  assert.equal(streamed, 1_000);
});
