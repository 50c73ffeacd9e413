/** RFC 8955, 8956 and 9117 through the core: rules come in, are held against unicast routes, and go out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { InjectedFlowSpecSchema } from "../../src/gen/cairn/v1/injection_service_pb.ts";
import type { FlowSpecRoute } from "../../src/gen/cairn/v1/types_pb.ts";
import type { StoredInjection } from "../../src/state/rows.ts";
import type { RouteTable } from "../../src/state/view.ts";
import { type Family, ipv4Flowspec, ipv6Flowspec } from "../../src/wire/family.ts";
import { update } from "../support/wire.ts";
import { CoreRig, type Peer } from "./core-rig.ts";

const both = ["ipv4-unicast", "ipv4-flowspec"];
const all = [...both, "ipv6-unicast", "ipv6-flowspec"];
const drop = "8006000000000000";

/** dst 203.0.113.0/24 proto udp, and the same for one address of it. */
const web = "flow4 0118cb0071038111";
const host = "flow4 0120cb007101038111";
/** proto tcp, without a destination. */
const tcp = "flow4 038106";

function rules(rig: CoreRig, table: RouteTable, family: Family = ipv4Flowspec): FlowSpecRoute[] {
  const walk = rig.view.flowWalk(table, family, undefined, "");
  if (!walk.ok) assert.fail(JSON.stringify(walk.problems));
  const routes: FlowSpecRoute[] = [];
  while (!walk.value.next(routes, 3, 2));
  return routes;
}

const best = { table: "best", paths: "best" } as const;
const texts = (routes: readonly FlowSpecRoute[]) =>
  routes.map(({ rule, actions }) => (actions === "" ? rule : `${rule} -> ${actions}`));
const rejected = (rig: CoreRig, neighbor: string) =>
  rules(rig, { table: "rejected", neighbor }).map(({ rule, route }) => `${rule}: ${route!.rejectReason}`);

function announcer(rig: CoreRig, asn = 65002): Peer {
  const peer = rig.peer("192.0.2.2", { remoteAsn: asn, families: all });
  peer.announce("203.0.113.0/24");
  return peer;
}

test("a rule that unicast routes bear out goes to everybody else, without a next hop", () => {
  const rig = new CoreRig();
  const peer = announcer(rig);
  const other = rig.peer("192.0.2.3", { remoteAsn: 65003, families: all });
  const deaf = rig.peer("192.0.2.4", { remoteAsn: 65004 });
  peer.announceRules([host, web], { extended: drop });
  rig.advance(10);
  assert.deepEqual(texts(rules(rig, best)), [
    "dst 203.0.113.1/32 proto udp -> drop",
    "dst 203.0.113.0/24 proto udp -> drop",
  ]);
  assert.equal(other.route(web).path, "65001 65002");
  assert.equal(other.route(web).extended, drop);
  assert.ok(!deaf.has(web) && !peer.has(web));
  assert.deepEqual(texts(rules(rig, { table: "advertised", neighbor: "192.0.2.3" })).length, 2);
  peer.withdrawRules([web]);
  assert.ok(!other.has(web) && other.has(host));
  peer.drop();
  assert.ok(!other.has(host), "they go with their session");
});

test("rules of IPv6 with an offset, and components that nobody knows, are carried as they came", () => {
  const rig = new CoreRig();
  const peer = rig.peer("192.0.2.2", { remoteAsn: 65002, families: all, flowspecValidation: false });
  const other = rig.peer("192.0.2.3", { remoteAsn: 65003, families: all });
  const unknown = "flow4 038106c8010203";
  const offset = "flow6 016840123456789a";
  peer.announceRules([unknown]);
  peer.announceRules([offset]);
  assert.ok(other.has(unknown) && other.has(offset));
  assert.deepEqual(texts(rules(rig, best)), ["proto tcp other 0xc8010203"]);
  assert.deepEqual(texts(rules(rig, best, ipv6Flowspec)), ["dst ::1234:5678:9a00:0/64-104"]);
});

test("validation: who announces the destination, and who announces parts of it", () => {
  const rig = new CoreRig();
  const peer = announcer(rig);
  const other = rig.peer("192.0.2.3", { remoteAsn: 65003, families: all });
  other.announceRules([web], { extended: drop });
  rig.advance(10);
  assert.match(
    rejected(rig, "192.0.2.3")[0],
    /begins with another AS .*203\.0\.113\.0\/24 from 192\.0\.2\.2, first AS 65002/,
  );
  assert.deepEqual(rules(rig, best), []);
  // The destination's best route moves over to it.
  other.announce("203.0.113.0/25", { path: "65003 65009" });
  peer.withdraw("203.0.113.0/24");
  rig.advance(10);
  assert.match(rejected(rig, "192.0.2.3")[0], /no unicast route/);
  other.announce("203.0.112.0/22");
  rig.advance(10);
  assert.deepEqual(rejected(rig, "192.0.2.3"), []);
  assert.ok(peer.has(web));
  // Somebody else announces a part of the destination.
  peer.announce("203.0.113.128/25");
  rig.advance(10);
  assert.match(rejected(rig, "192.0.2.3")[0], /a part of its destination/);
  assert.ok(!peer.has(web), "withdrawn");
  peer.withdraw("203.0.113.128/25");
  rig.advance(10);
  assert.ok(peer.has(web), "and announced again");
  // Nothing is asked any more.
  peer.announceRules([tcp]);
  rig.advance(10);
  assert.match(rejected(rig, "192.0.2.2")[0], /^proto tcp: it has no destination/);
  rig.neighbor({ address: "192.0.2.2", remoteAsn: 65002, families: all, flowspecValidation: false });
  rig.advance(10);
  assert.deepEqual(rejected(rig, "192.0.2.2"), []);
  assert.ok(other.has(tcp));
});

test("RFC 9117: rules of our own AS need no route of their originator", () => {
  const rig = new CoreRig();
  const peer = announcer(rig);
  const inside = rig.peer("10.0.0.4", { remoteAsn: 65001, families: all, flowspecValidation: true });
  const client = rig.peer("10.0.0.5", { remoteAsn: 65001, families: all, routeReflectorClient: true });
  inside.announceRules([web], { extended: drop });
  inside.announceRules([host], { extended: drop, path: "65002" });
  rig.advance(10);
  assert.deepEqual(texts(rules(rig, best)), ["dst 203.0.113.0/24 proto udp -> drop"]);
  assert.match(rejected(rig, "10.0.0.4")[0], /another originator/);
  assert.equal(client.route(web).originatorId, "10.1.0.4", "reflected");
  assert.ok(peer.has(web));
});

test("a rule is injected, lasts, is taken back, and comes back from the disk", () => {
  const rig = new CoreRig();
  const kept = new Map<string, StoredInjection>();
  rig.watch = (effect) => {
    for (const row of effect.kind === "store.persist" ? effect.rows : []) {
      if (row.table !== "injected") continue;
      for (const each of row.put) kept.set(each.prefix, each);
      for (const { prefix } of row.drop) kept.delete(prefix);
    }
  };
  const peer = rig.peer("192.0.2.2", { remoteAsn: 65002, families: all });
  const flowSpec = (rule: string, more = {}) => create(InjectedFlowSpecSchema, { rule, ...more });
  rig.mutate({
    op: "inject-flow",
    flowSpec: flowSpec("dst 203.0.113.0/24 proto udp -> drop", { owner: "ddos" }),
  });
  rig.mutate({
    op: "inject-flow",
    flowSpec: flowSpec("dst 2001:db8::/32 -> rate 1000", { ttl: durationFromMs(5000) }),
  });
  assert.equal(peer.route(web).extended, drop);
  assert.equal(peer.route(web).path, "65001");
  assert.deepEqual(texts(rules(rig, best, ipv6Flowspec)), ["dst 2001:db8::/32 -> rate 1000"]);
  const list = rig.view.injected("ddos", undefined, undefined, "", 10);
  assert.ok(list.ok);
  const [injected] = list.value.paths;
  assert.equal(injected.flowSpec!.rule, "dst 203.0.113.0/24 proto udp -> drop");
  assert.deepEqual(injected.receipt!.advertisedTo, ["192.0.2.2"]);
  rig.advance(6000);
  assert.deepEqual(rules(rig, best, ipv6Flowspec), [], "its time is over");
  const again = new CoreRig({}, { ...rig.stored(), injected: [...kept.values()] });
  assert.deepEqual(texts(rules(again, best)), ["dst 203.0.113.0/24 proto udp -> drop"]);
  assert.deepEqual(rules(again, best, ipv6Flowspec), []);
  rig.mutate({ op: "retract", prefix: "dst 203.0.113.0/24 proto udp", pathId: 0 });
  assert.ok(!peer.has(web));
});

test("malformed rules: the session goes on unless the lengths do not fit", () => {
  const rig = new CoreRig();
  const peer = rig.peer("192.0.2.2", { remoteAsn: 65002, families: all, flowspecValidation: false });
  peer.announceRules([tcp]);
  const wrongOrder = "flow4 058150038106";
  peer.announceRules([wrongOrder, tcp]);
  assert.equal(peer.notification, "");
  assert.deepEqual(rules(rig, best), [], "treated as withdraw");
  assert.ok(rig.topics().includes("cairn.bgp.update.malformed"));
  peer.announceRules([tcp]);
  peer.withdrawRules([wrongOrder, tcp]);
  assert.equal(peer.notification, "");
  assert.deepEqual(rules(rig, best), []);
  const largest = `flow4 ${`05${"0150".repeat(2046)}8150`.padEnd(4095 * 2, "0").slice(0, 4095 * 2)}`;
  peer.announceRules([largest.slice(0, 6 + 4000 * 2)]);
  assert.equal(peer.notification, "");
  peer.send(update("400101004002060201 0000fdea 900e0008 000185 0000 f0ff 03".replaceAll(" ", "")));
  assert.match(peer.notification, /^3\/9/);
});
