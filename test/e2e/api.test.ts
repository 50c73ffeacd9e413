/** What the API promises, end to end: what a call does is seen by raw neighbors, and survives restarts. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { SegmentType } from "../../src/wire/path-attributes.ts";
import { Daemon, finallyDo, type Json, neighborToml, until } from "./harness.ts";
import { defaults, flood, Speaker } from "./speaker.ts";

const two = neighborToml("127.0.0.2", 65_002) + neighborToml("127.0.0.3", 65_003);

async function pair(t: TestContext, config = two): Promise<{ daemon: Daemon; a: Speaker; b: Speaker }> {
  const daemon = await Daemon.start(t, { config });
  const port = daemon.bgpPort;
  const a = await Speaker.establish(t, { local: "127.0.0.2", port });
  const b = await Speaker.establish(t, { local: "127.0.0.3", port, asn: 65_003, routerId: 0x0a00_0003 });
  return { daemon, a, b };
}

const changed = (answer: Json): string[] =>
  (answer.changes ?? []).map(
    ({ action, kind, name, fields }: Json) =>
      `${action.replace("ACTION_", "")} ${kind}/${name} ${(fields ?? []).map((each: Json) => `${each.path ?? "all"}:${each.impact}`).join(" ")}`,
  );

test("a neighbor's life: add, update with a mask, delete", async (t) => {
  const daemon = await Daemon.start(t);
  const spec = {
    address: "127.0.0.2",
    remoteAsn: 65_002,
    passive: true,
    description: "two",
    idleHoldTime: "0s",
  };
  const added = await daemon.call("NeighborService/AddNeighbor", { spec, reason: "new circuit" });
  assert.equal(added.generation, "2");
  assert.deepEqual(changed(added), ["CREATE Neighbor/127.0.0.2 all:none"]);
  const twice = await daemon.refused("NeighborService/AddNeighbor", { spec });
  assert.equal(twice.code, "already_exists");
  const speaker = await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort });
  // RFC 8212: nothing without policy, and the API says so.
  speaker.announce(["198.51.100.0/24"]);
  const { routes } = await until("the rejected route", async () => {
    const answer = await daemon.call("RibService/ListRejectedRoutes", { neighbor: "127.0.0.2" });
    return answer.routes ? answer : undefined;
  });
  assert.match(routes[0].rejectReason, /8212|no import policy/i);
  const status = async (): Promise<string> =>
    (await daemon.call("NeighborService/GetNeighbor", { address: "127.0.0.2" })).neighbor.state.status;
  assert.equal(await status(), "no import and export policy: RFC 8212 lets no routes through");
  const updated = await daemon.call("NeighborService/UpdateNeighbor", {
    spec: { address: "127.0.0.2", import: ["accept-all"] },
    updateMask: ["import", "description"],
  });
  assert.deepEqual(changed(updated), ["UPDATE Neighbor/127.0.0.2 description:none import[0]:policy"]);
  await until("the route", async () => (await daemon.best()).join() === "198.51.100.0/24");
  assert.equal(await status(), "no export policy: RFC 8212 lets no routes out");
  const { neighbor } = await daemon.call("NeighborService/GetNeighbor", { address: "127.0.0.2" });
  assert.equal(neighbor.spec.description, undefined, "named in the mask and absent: cleared");
  assert.equal(neighbor.spec.passive, true, "not named: kept");
  assert.equal(neighbor.metadata.generation, "3");
  assert.equal(neighbor.effective.holdTime, "90s");
  assert.equal(speaker.closed, false, "no reset for a policy change");
  await daemon.call("NeighborService/DeleteNeighbor", { address: "127.0.0.2" });
  assert.equal(await speaker.notification(), "6/3");
  assert.deepEqual(await daemon.best(), []);
  assert.equal(
    (await daemon.refused("NeighborService/DeleteNeighbor", { address: "127.0.0.2" })).code,
    "not_found",
  );
});

test("disable with a text, enable, hard reset: the neighbor sees it, and it survives a restart", async (t) => {
  const { daemon, a } = await pair(t);
  await daemon.call("NeighborService/DisableNeighbor", { address: "127.0.0.2", message: "wartung bis 6 🛠" });
  assert.match(await a.notification(), /^6\/2 /);
  assert.equal(await a.shutdownText(), "wartung bis 6 🛠");
  await daemon.stop();
  const next = await daemon.again();
  const { state } = await next.neighbor("127.0.0.2");
  assert.equal(state.adminDown, true);
  const refused = await Speaker.connect(t, { local: "127.0.0.2", port: next.bgpPort });
  assert.match(await refused.notification(), /^6\/5/);
  await next.call("NeighborService/EnableNeighbor", { address: "127.0.0.2" });
  const again = await Speaker.establish(t, { local: "127.0.0.2", port: next.bgpPort });
  await next.call("NeighborService/HardReset", { address: "127.0.0.2", message: "once more" });
  assert.match(await again.notification(), /^6\/4 /);
  assert.equal(await again.shutdownText(), "once more");
  await Speaker.establish(t, { local: "127.0.0.2", port: next.bgpPort });
});

test("soft resets: ROUTE-REFRESH on the wire, and everything once more", async (t) => {
  const { daemon, a, b } = await pair(t);
  a.announce(["198.51.100.0/24", "203.0.113.0/24"]);
  await b.sees(["198.51.100.0/24", "203.0.113.0/24"]);
  await daemon.call("NeighborService/SoftResetIn", { address: "127.0.0.2", refresh: true });
  const { bytes } = await a.next(5);
  assert.equal(Buffer.from(bytes.subarray(19)).toString("hex"), "00010001");
  b.forget();
  await daemon.call("NeighborService/SoftResetOut", { address: "127.0.0.3" });
  await b.until("everything again, and End-of-RIB", () => b.endOfRib === 1);
  assert.deepEqual(b.announced.sort(), ["198.51.100.0/24", "203.0.113.0/24"]);
  assert.deepEqual(b.withdrawn, []);
  // And when the neighbor asks.
  b.forget();
  b.send(Uint8Array.from([...Array(16).fill(255), 0, 23, 5, 0, 1, 0, 1]));
  await b.until("everything again", () => b.announced.length === 2);
  const wrong = await daemon.refused("NeighborService/SoftResetOut", {
    address: "127.0.0.3",
    families: ["ipv6-unicast"],
  });
  assert.equal(wrong.code, "failed_precondition");
});

test("peer groups: inheritance, attach and detach, no delete while referenced", async (t) => {
  const daemon = await Daemon.start(t);
  await daemon.call("PeerGroupService/SetPeerGroup", {
    spec: {
      name: "ix",
      remoteAsn: 65_002,
      passive: true,
      holdTime: "30s",
      import: ["accept-all"],
      idleHoldTime: "0s",
    },
  });
  await daemon.call("NeighborService/AddNeighbor", { spec: { address: "127.0.0.2", peerGroup: "ix" } });
  const speaker = await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort });
  assert.equal(speaker.remoteOpen.holdTimeS, 30);
  speaker.announce(["198.51.100.0/24"]);
  await until("the route", async () => (await daemon.best()).length === 1);
  const held = await daemon.refused("PeerGroupService/DeletePeerGroup", { name: "ix" });
  assert.deepEqual([held.code, held.reason], ["failed_precondition", "STILL_REFERENCED"]);
  assert.match(held.message, /127\.0\.0\.2/);
  // A policy of the group reaches its members.
  await daemon.call("PeerGroupService/SetPeerGroup", {
    spec: {
      name: "ix",
      remoteAsn: 65_002,
      passive: true,
      holdTime: "30s",
      import: ["reject-all"],
      idleHoldTime: "0s",
    },
  });
  await until("no route", async () => (await daemon.best()).length === 0);
  assert.equal(speaker.closed, false);
  const detached = await daemon.refused("PeerGroupService/DetachNeighbor", { address: "127.0.0.2" });
  assert.equal(detached.code, "invalid_argument", "it would have no remote ASN left");
  await daemon.call("NeighborService/UpdateNeighbor", {
    spec: { address: "127.0.0.2", remoteAsn: 65_002, passive: true, import: ["accept-all"] },
    updateMask: ["remote_asn", "passive", "import"],
  });
  await daemon.call("PeerGroupService/DetachNeighbor", { address: "127.0.0.2" });
  await until("the route again", async () => (await daemon.best()).length === 1);
  await daemon.call("PeerGroupService/DeletePeerGroup", { name: "ix" });
  assert.equal((await daemon.neighbor("127.0.0.2")).effective.holdTime, "90s");
});

test("a policy swap changes what the neighbor sees, and unchanged routes are not resent", async (t) => {
  const { daemon, a, b } = await pair(
    t,
    `${
      neighborToml("127.0.0.2", 65_002) +
      neighborToml("127.0.0.3", 65_003, 'import = ["accept-all"]\nexport = ["out"]')
    }
[[prefix_sets]]
name = "some"
prefixes = ["198.51.100.0/24"]
[[policies]]
name = "out"
default_action = "accept"
`,
  );
  const prefixes = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"];
  a.announce(prefixes);
  await b.sees(prefixes);
  b.forget();
  const out = (action: string, set?: Json): Json => ({
    spec: {
      name: "out",
      defaultAction: "POLICY_ACTION_ACCEPT",
      statements: [{ name: "s", match: { prefixSets: ["some"] }, action, set }],
    },
  });
  await daemon.call("PolicyService/SetPolicy", out("POLICY_ACTION_REJECT"));
  await b.sees(["192.0.2.0/24", "203.0.113.0/24"]);
  assert.deepEqual([b.announced, b.withdrawn], [[], ["198.51.100.0/24"]]);
  b.forget();
  await daemon.call("PolicyService/SetPrefixSet", {
    spec: { name: "some", prefixes: [{ prefix: "203.0.113.0/24" }] },
  });
  await b.sees(["192.0.2.0/24", "198.51.100.0/24"]);
  assert.deepEqual([b.announced, b.withdrawn], [["198.51.100.0/24"], ["203.0.113.0/24"]]);
  b.forget();
  await daemon.call(
    "PolicyService/SetPolicy",
    out("POLICY_ACTION_ACCEPT", { communitiesAdd: ["65001:9"], prepend: { count: 2 }, med: 7 }),
  );
  await b.sees(prefixes);
  assert.deepEqual([b.announced, b.withdrawn], [["203.0.113.0/24"], []]);
  const route = b.routes.get("203.0.113.0/24");
  assert.deepEqual(route?.asPath, [65_001, 65_001, 65_001, 65_002]);
  assert.deepEqual([route?.attributes.communities, route?.attributes.med], [[0xfde9_0009], 7]);
  const listed = await daemon.call("RibService/ListAdvertisedRoutes", {
    neighbor: "127.0.0.3",
    filter: { prefix: "203.0.113.0/24" },
  });
  assert.deepEqual(
    [listed.routes[0].asPathText, listed.routes[0].communities, listed.routes[0].med],
    ["65001 65001 65001 65002", ["65001:9"], 7],
  );
  // The same once more changes nothing, and sends nothing.
  b.forget();
  const same = await daemon.call(
    "PolicyService/SetPolicy",
    out("POLICY_ACTION_ACCEPT", { communitiesAdd: ["65001:9"], prepend: { count: 2 }, med: 7 }),
  );
  assert.deepEqual(changed(same), []);
  await delay(100);
  assert.deepEqual([b.announced, b.withdrawn], [[], []]);
  assert.equal(
    (await daemon.refused("PolicyService/DeletePolicy", { name: "out" })).code,
    "failed_precondition",
  );
  assert.equal(
    (await daemon.refused("PolicyService/DeletePrefixSet", { name: "some" })).code,
    "failed_precondition",
  );
});

test("an import policy swap works on what was received: no refresh is asked for", async (t) => {
  const { daemon, a, b } = await pair(t);
  a.announce(["198.51.100.0/24"], { communities: [0xfdea_0001] });
  a.announce(["203.0.113.0/24"]);
  await b.sees(["198.51.100.0/24", "203.0.113.0/24"]);
  await daemon.call("PolicyService/SetPolicy", {
    spec: {
      name: "in",
      statements: [
        { match: { communities: ["65002:1"] }, set: { localPref: 150 }, action: "POLICY_ACTION_ACCEPT" },
      ],
      defaultAction: "POLICY_ACTION_REJECT",
    },
  });
  await daemon.call("NeighborService/UpdateNeighbor", {
    spec: { address: "127.0.0.2", import: ["in"] },
    updateMask: ["import"],
  });
  await b.sees(["198.51.100.0/24"]);
  const list = (rpc: string, request: Json = {}): Promise<Json> =>
    daemon.call(`RibService/${rpc}`, { neighbor: "127.0.0.2", ...request });
  const pre = await list("ListReceivedRoutes", { prePolicy: true });
  assert.deepEqual(pre.routes.map(({ prefix, localPref }: Json) => [prefix, localPref]).sort(), [
    ["198.51.100.0/24", undefined],
    ["203.0.113.0/24", undefined],
  ]);
  assert.equal(pre.totalSize, "2");
  const post = await list("ListReceivedRoutes");
  assert.deepEqual(
    post.routes.map(({ prefix, localPref }: Json) => [prefix, localPref]),
    [["198.51.100.0/24", 150]],
  );
  const rejected = await list("ListRejectedRoutes");
  assert.deepEqual(
    rejected.routes.map(({ prefix, rejectReason }: Json) => [prefix, /in\b/.test(rejectReason)]),
    [["203.0.113.0/24", true]],
    rejected.routes[0].rejectReason,
  );
  assert.ok(!a.messages.some(({ type }) => type === 5), "no ROUTE-REFRESH");
  const { families } = (await daemon.neighbor("127.0.0.2")).state;
  const { received, accepted, rejected: count } = families[0];
  assert.deepEqual([received, accepted, count], ["2", "1", "1"]);
});

test("best path and why", async (t) => {
  const { daemon, a, b } = await pair(t);
  a.announce(["198.51.100.0/24"], { asPath: [{ type: SegmentType.sequence, asns: [65_002, 65_010] }] });
  b.announce(["198.51.100.0/24"], { asPath: [{ type: SegmentType.sequence, asns: [65_003] }] });
  await a.sees(["198.51.100.0/24"]);
  const why = await daemon.call("RibService/ExplainBestPath", { prefix: "198.51.100.0/24" });
  assert.deepEqual(
    why.candidates.map(({ route, decidedBy }: Json) => [route.neighbor, decidedBy ?? ""]),
    [
      ["127.0.0.3", ""],
      ["127.0.0.2", "as-path-length"],
    ],
  );
  assert.match(why.summary, /127\.0\.0\.3 wins by as-path-length/);
  const { prefix, routes } = await daemon.call("RibService/LookupRoute", { target: "198.51.100.77" });
  assert.deepEqual(
    [prefix, routes.map(({ neighbor }: Json) => neighbor)],
    ["198.51.100.0/24", ["127.0.0.3", "127.0.0.2"]],
  );
  b.withdraw(["198.51.100.0/24"]);
  await b.sees(["198.51.100.0/24"]);
  assert.equal(
    (await daemon.refused("RibService/ExplainBestPath", { prefix: "10.0.0.0/8" })).code,
    "not_found",
  );
});

test("injection: receipts, owners, bulk, time to live, restart", async (t) => {
  const { daemon, a, b } = await pair(t);
  const path = {
    prefix: "198.51.100.0/24",
    nextHop: "192.0.2.9",
    asPathText: "65010 {65011 65012}",
    med: 5,
    communities: ["65001:1", "no-peer"],
    largeCommunities: ["65001:1:2"],
    owner: "blackholer",
  };
  const added = await daemon.call("InjectionService/AddPath", { path });
  const { receipt } = added;
  assert.deepEqual([receipt.accepted, receipt.selected, receipt.changed], [true, true, true]);
  await a.sees(["198.51.100.0/24"]);
  await b.sees(["198.51.100.0/24"]);
  const { attributes } = a.routes.get("198.51.100.0/24")!;
  assert.deepEqual(attributes.asPath, [
    { type: SegmentType.sequence, asns: [65_001, 65_010] },
    { type: SegmentType.set, asns: [65_011, 65_012] },
  ]);
  assert.deepEqual(attributes.largeCommunities, [[65_001, 1, 2]]);
  const same = await daemon.call("InjectionService/AddPath", { path });
  assert.equal(same.receipt.changed ?? false, false);
  const listed = await until("the last receipt", async () => {
    const { paths } = await daemon.call("InjectionService/ListInjected", { owner: "blackholer" });
    return paths[0].receipt.advertisedTo?.length === 2 ? paths[0] : undefined;
  });
  assert.deepEqual(listed.receipt.advertisedTo.sort(), ["127.0.0.2", "127.0.0.3"]);
  assert.deepEqual([listed.path.med, listed.path.owner], [5, "blackholer"]);
  // Bulk: one answer for the whole stream.
  const batch = (i: number): Json => ({
    add: Array.from({ length: 500 }, (_, j) => ({
      prefix: `10.${i}.${j >> 8}.${j & 255}/32`,
      owner: "bulk",
    })),
  });
  const answers: Json[] = [];
  const batches = [
    batch(0),
    batch(1),
    { delete: [{ prefix: "10.0.0.0/32" }, { prefix: "172.16.0.0/12" }], ...batch(1) },
  ];
  for await (const answer of daemon.stream("InjectionService/InjectPaths", ...batches)) answers.push(answer);
  assert.deepEqual(answers, [{ added: "1000", deleted: "1", unchanged: "501", generation: "1" }]);
  await a.until("1,000 routes", () => a.routes.size === 1_000);
  const bulk = await daemon.call("InjectionService/ListInjected", { owner: "bulk", pageSize: 600 });
  assert.deepEqual([bulk.paths.length, bulk.totalSize ?? "0"], [600, "0"], "not known before the end");
  const rest = await daemon.call("InjectionService/ListInjected", {
    ...{ owner: "bulk", pageSize: 600, pageToken: bulk.nextPageToken },
  });
  assert.deepEqual([rest.paths.length, rest.totalSize], [399, "999"]);
  // Time to live.
  await daemon.call("InjectionService/AddPath", { path: { prefix: "203.0.113.0/24", ttl: "1s" } });
  await a.until("the route", () => a.routes.has("203.0.113.0/24"));
  await a.until("the end of the route", () => !a.routes.has("203.0.113.0/24"), 3_000);
  await daemon.call("InjectionService/AddPath", {
    path: { prefix: "203.0.113.0/24", ttl: "3600s", owner: "x" },
  });
  await daemon.stop("SIGKILL");
  const next = await daemon.again();
  const { paths, totalSize } = await next.call("InjectionService/ListInjected", { pageSize: 10_000 });
  assert.equal(totalSize, "1001");
  const kept = paths.find((each: Json) => each.path.owner === "x");
  const left = Number.parseFloat(kept.path.ttl);
  assert.ok(left > 3_500 && left <= 3_600, kept.path.ttl);
  const again = await Speaker.establish(t, { local: "127.0.0.2", port: next.bgpPort });
  await again.until("all of them", () => again.routes.size === 1_001);
  assert.deepEqual(again.routes.get("198.51.100.0/24")?.attributes, attributes);
  await next.call("InjectionService/DeletePath", { prefix: "198.51.100.0/24" });
  await again.until("its end", () => !again.routes.has("198.51.100.0/24"));
  assert.equal(
    (await next.refused("InjectionService/DeletePath", { prefix: "198.51.100.0/24" })).code,
    "not_found",
  );
});

test("dry runs change nothing, an old generation is refused, a request id works once, also over a restart", async (t) => {
  const daemon = await Daemon.start(t);
  const add = (more: Json): Json => ({
    spec: { address: "127.0.0.2", remoteAsn: 65_002, passive: true },
    ...more,
  });
  const dry = await daemon.call("NeighborService/AddNeighbor", add({ dryRun: true }));
  assert.deepEqual([dry.generation, changed(dry)], ["2", ["CREATE Neighbor/127.0.0.2 all:none"]]);
  assert.equal((await daemon.call("ControlService/GetHealth")).generation, "1");
  assert.equal(
    (await daemon.refused("NeighborService/GetNeighbor", { address: "127.0.0.2" })).code,
    "not_found",
  );
  const stale = await daemon.refused("NeighborService/AddNeighbor", add({ expectedGeneration: "7" }));
  assert.deepEqual([stale.code, stale.reason], ["aborted", "STALE_GENERATION"]);
  const first = await daemon.call(
    "NeighborService/AddNeighbor",
    add({ expectedGeneration: "1", requestId: "r1" }),
  );
  assert.deepEqual(await daemon.call("NeighborService/AddNeighbor", add({ requestId: "r1" })), first);
  const other = await daemon.refused("NeighborService/DeleteNeighbor", {
    address: "127.0.0.2",
    requestId: "r1",
  });
  assert.deepEqual([other.code, other.fields], ["invalid_argument", ["request_id"]]);
  const injected = await daemon.call("InjectionService/AddPath", {
    path: { prefix: "192.0.2.0/24" },
    requestId: "r2",
  });
  await daemon.stop("SIGKILL");
  const next = await daemon.again();
  assert.deepEqual(await next.call("NeighborService/AddNeighbor", add({ requestId: "r1" })), first);
  assert.deepEqual(
    await next.call("InjectionService/AddPath", { path: { prefix: "192.0.2.0/24" }, requestId: "r2" }),
    injected,
  );
  assert.equal((await next.call("ControlService/GetHealth")).generation, "2");
  const dryPath = await next.call("InjectionService/AddPath", {
    path: { prefix: "10.0.0.0/8" },
    dryRun: true,
  });
  assert.equal(dryPath.receipt.prefix, "10.0.0.0/8");
  assert.deepEqual(await next.best(), ["192.0.2.0/24"]);
});

test("events: filtered, in order, resumed over a restart without loss or repetition", async (t) => {
  const { daemon, a } = await pair(t);
  const filter = { topics: ["cairn.bgp.session.*"], object: "Neighbor/127.0.0.2" };
  a.close();
  const seen: string[] = [];
  const take = async (from: Daemon, fromId: string | undefined, last: RegExp): Promise<string> => {
    for await (const { events = [], lastId } of from.stream("EventService/WatchEvents", { filter, fromId })) {
      for (const { id, summary } of events) {
        assert.ok(seen.length === 0 || Number(id) > Number(seen.at(-1)!.split(" ")[0]), "in order");
        seen.push(`${id} ${summary}`);
        if (last.test(summary)) return lastId;
      }
    }
    throw new Error("the stream ended");
  };
  const lastId = await take(daemon, "0", /Established -> Idle/);
  await until(
    "idle",
    async () => (await daemon.neighbor("127.0.0.2")).state.sessionState !== "SESSION_STATE_ESTABLISHED",
  );
  await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort });
  await delay(50);
  await daemon.stop();
  const next = await daemon.again();
  await Speaker.establish(t, { local: "127.0.0.2", port: next.bgpPort });
  await take(next, lastId, /OpenConfirm -> Established/); // before the restart
  const resumed = seen.at(-1)!.split(" ")[0];
  await take(next, resumed, /OpenConfirm -> Established/); // after it
  const { events } = await next.call("EventService/ListEvents", { filter, pageSize: 10_000 });
  const all: string[] = events.map(({ id, summary }: Json) => `${id} ${summary}`);
  assert.deepEqual(seen, all.slice(0, seen.length), "what was watched is what is stored");
  const pages: string[] = [];
  for (let pageToken = ""; ; ) {
    const page = await next.call("EventService/ListEvents", { filter, pageSize: 3, pageToken });
    pages.push(...(page.events ?? []).map(({ id, summary }: Json) => `${id} ${summary}`));
    pageToken = page.nextPageToken ?? "";
    if (pageToken === "") break;
  }
  assert.deepEqual(pages.slice(0, all.length), all);
});

test("WatchRoutes: snapshot, bookmark, changes; resumes where it was; COMPACTED after a restart", async (t) => {
  const { daemon, a } = await pair(t);
  a.announce(["192.0.2.0/24", "198.51.100.0/24"]);
  await until("both", async () => (await daemon.best()).length === 2);
  const table = new Set<string>();
  const types: string[] = [];
  const follow = async (
    from: Daemon,
    resumeFrom: string,
    stop: (message: Json) => boolean,
  ): Promise<string> => {
    for await (const message of from.stream("RibService/WatchRoutes", { resumeFrom })) {
      types.push(message.type.replace("TYPE_", ""));
      if (message.type === "TYPE_COMPACTED") table.clear();
      for (const { prefix } of message.updated ?? []) table.add(prefix);
      for (const prefix of message.withdrawn ?? []) table.delete(prefix);
      if (message.type === "TYPE_BOOKMARK" && stop(message)) return message.revision;
      if (message.type === "TYPE_CHANGES" && stop(message)) return message.revision;
    }
    throw new Error("the stream ended");
  };
  let revision = await follow(daemon, "0", ({ type }) => type === "TYPE_BOOKMARK");
  assert.deepEqual(
    [types, [...table].sort()],
    [
      ["SNAPSHOT", "BOOKMARK"],
      ["192.0.2.0/24", "198.51.100.0/24"],
    ],
  );
  // What happens while nobody watches comes with the next call, and nothing else.
  a.announce(["203.0.113.0/24"]);
  await until("the change", async () => (await daemon.best()).length === 3);
  types.length = 0;
  table.clear();
  revision = await follow(daemon, revision, ({ type }) => type === "TYPE_BOOKMARK");
  assert.deepEqual([types, [...table]], [["CHANGES", "BOOKMARK"], ["203.0.113.0/24"]]);
  // While it watches, withdrawals are told too; after one that nobody saw the table comes whole.
  let live: Json;
  const watching = follow(daemon, revision, (message) => (live = message).withdrawn?.length > 0);
  await delay(50);
  a.withdraw(["192.0.2.0/24"]);
  revision = await watching;
  assert.deepEqual(live.withdrawn, ["192.0.2.0/24"]);
  a.withdraw(["203.0.113.0/24"]);
  await until("the change", async () => (await daemon.best()).join() === "198.51.100.0/24");
  await follow(daemon, revision, ({ type }) => type === "TYPE_BOOKMARK");
  assert.deepEqual([...table], ["198.51.100.0/24"]);
  await daemon.stop("SIGKILL");
  const next = await daemon.again();
  types.length = 0;
  await follow(next, revision, ({ type }) => type === "TYPE_BOOKMARK");
  assert.equal(types[0], "COMPACTED");
});

test("WatchNeighbors: snapshot, bookmark, every change of state", async (t) => {
  const daemon = await Daemon.start(t, { config: two });
  const stream = daemon.stream("NeighborService/WatchNeighbors", {});
  finallyDo(t, () => stream.return());
  const first = (await stream.next()).value as Json;
  assert.deepEqual([first.type, first.neighbors.length], ["TYPE_SNAPSHOT", 2]);
  assert.equal(((await stream.next()).value as Json).type, "TYPE_BOOKMARK");
  await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort });
  for (;;) {
    const { type, neighbors } = (await stream.next()).value as Json;
    assert.equal(type, "TYPE_CHANGED");
    if (neighbors.some(({ state }: Json) => state.sessionState === "SESSION_STATE_ESTABLISHED")) break;
  }
  await daemon.call("NeighborService/DeleteNeighbor", { address: "127.0.0.3" });
  for (;;) {
    const { type, neighbors } = (await stream.next()).value as Json;
    if (type !== "TYPE_DELETED") continue;
    assert.deepEqual(
      neighbors.map(({ spec }: Json) => spec?.address),
      ["127.0.0.3"],
    );
    return;
  }
});

test("lists page correctly while the table changes", async (t) => {
  const { daemon, a } = await pair(t);
  a.send(flood(3_000, 100, defaults(65_002)));
  await until(
    "all routes",
    async () => (await daemon.call("RibService/ListBestRoutes", { pageSize: 1 })).totalSize === "3000",
  );
  const seen = new Map<string, number>();
  let pages = 0;
  for (let pageToken = ""; ; pages++) {
    const page = await daemon.call("RibService/ListBestRoutes", { pageSize: 170, pageToken });
    for (const { prefix } of page.routes ?? []) seen.set(prefix, (seen.get(prefix) ?? 0) + 1);
    pageToken = page.nextPageToken ?? "";
    if (pageToken === "") break;
    // Between pages: routes go, come and change, none of the first 1,000.
    a.withdraw([`20.0.${4 + (pages % 7)}.0/24`].filter(() => false));
    a.send(flood(50, 10, defaults(65_002), 4_000 + pages * 50));
    a.withdraw([`20.15.${160 + pages}.0/24`]);
    await daemon.call("ControlService/GetHealth");
  }
  assert.ok(pages >= 17);
  assert.deepEqual(
    [...seen.values()].filter((count) => count !== 1),
    [],
    "none twice",
  );
  const missing = Array.from({ length: 3_000 }, (_, i) => `20.${i >> 8}.${i & 255}.0/24`).filter(
    (each) => !seen.has(each),
  );
  assert.deepEqual(missing, [], "none of those that were there all the time is missing");
  const bad = await daemon.refused("RibService/ListBestRoutes", { pageToken: "bm9uc2Vuc2U" });
  assert.deepEqual([bad.code, bad.fields], ["invalid_argument", ["page_token"]]);
  const streamed: string[] = [];
  for await (const { routes } of daemon.stream("RibService/StreamBestRoutes", {})) {
    streamed.push(...routes.map(({ prefix }: Json) => prefix));
  }
  const { totalSize } = await daemon.call("RibService/ListBestRoutes", { pageSize: 1 });
  assert.equal(streamed.length, Number(totalSize));
});
