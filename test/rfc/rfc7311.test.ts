/** RFC 7311, AIGP: what is well formed, on which sessions it counts, how it decides, how it grows. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseIp, parsePrefix } from "../../src/base/ip.ts";
import { CoreRig, type Peer } from "./core-rig.ts";

const p = "198.51.100.0/24";
const q = "203.0.113.0/24";

const tlv = (metric: bigint): string => `01000b${metric.toString(16).padStart(16, "0")}`;
/** The attribute in hexadecimal. */
const attribute = (value: string, flags = "80"): string =>
  `${flags}1a${(value.length / 2).toString(16).padStart(2, "0")}${value}`;
const aigp = (metric: number | bigint): { other: string } => ({ other: attribute(tlv(BigInt(metric))) });
const inside = (rig: CoreRig, n = 5, init = {}): Peer =>
  rig.peer(`10.0.0.${n}`, { remoteAsn: 65001, ...init });
const heldBy = (peer: Peer, prefix: string): string | undefined => peer.route(prefix).other;

describe("RFC 7311 3.1", () => {
  const good: readonly (readonly [string, string, bigint])[] = [
    ["one TLV", tlv(7n), 7n],
    ["64 bits", tlv(0xffff_ffff_ffff_fffen), 0xffff_ffff_ffff_fffen],
    ["of several metrics the first counts", tlv(7n) + tlv(3n), 7n],
    ["TLVs of other types around it", `020005abcd${tlv(9n)}ff0003`, 9n],
  ];
  for (const [name, value, metric] of good) {
    test(`${name}: taken, and passed along as it stands`, () => {
      const rig = new CoreRig();
      const a = inside(rig, 5, { routeReflectorClient: true });
      const b = inside(rig, 6);
      a.announce(p, { other: attribute(value) });
      assert.equal(rig.shown(a.address, p).aigp, metric);
      assert.equal(heldBy(b, p), attribute(value));
    });
  }
  const bad: readonly (readonly [string, string])[] = [
    ["no TLV", attribute("")],
    ["no metric among the TLVs", attribute("020005abcd")],
    ["a metric's TLV that is too short", attribute("01000a00000000000001")],
    ["a metric's TLV that is too long", attribute("01000c000000000000000001")],
    ["a second metric of the wrong length", attribute(`${tlv(7n)}010003`)],
    ["a TLV that is cut off", attribute(`${tlv(7n)}0200`)],
    ["a TLV that is longer than the attribute", attribute(`${tlv(7n)}020009ab`)],
    ["a TLV of length 2", attribute(`020002${tlv(7n)}`)],
    ["the highest metric", attribute(tlv(0xffff_ffff_ffff_ffffn))],
    ["the Transitive bit", attribute(tlv(7n), "c0")],
  ];
  for (const [name, other] of bad) {
    test(`${name}: the attribute is discarded, the route is used`, () => {
      const rig = new CoreRig();
      const a = inside(rig, 5, { routeReflectorClient: true });
      const b = inside(rig, 6);
      a.announce(p, { other });
      assert.equal(rig.best(p), a.address);
      assert.equal(rig.shown(a.address, p).aigp, undefined);
      assert.equal(heldBy(b, p), undefined);
      assert.equal(rig.core.neighbors.named(a.address)!.attributeDiscard, 1);
      assert.ok(a.up);
    });
  }
});

describe("RFC 7311 3.3, AIGP_SESSION", () => {
  test("on inside the AS and the confederation, off for other neighbors unless it is asked for", () => {
    const rig = new CoreRig({ confederation: { identifier: 100, memberAses: [65002] } });
    const a = inside(rig);
    const member = rig.peer("192.0.2.2", { remoteAsn: 65002 });
    const outside = rig.peer("192.0.2.3", { remoteAsn: 300 });
    const asked = rig.peer("192.0.2.4", { remoteAsn: 400, aigpSend: true, aigpReceive: true });
    a.announce(p, aigp(7));
    assert.deepEqual(
      [member, outside, asked].map((peer) => heldBy(peer, p)),
      [attribute(tlv(7n)), undefined, attribute(tlv(8n))],
    );
    for (const peer of [outside, asked]) peer.announce(q, { path: String(peer.asn), ...aigp(9) });
    assert.equal(rig.shown(outside.address, q).aigp, undefined);
    assert.equal(rig.shown(asked.address, q).aigp, 9n);
    // Without a word: it is as if we did not know the attribute.
    assert.equal(rig.core.neighbors.named(outside.address)!.attributeDiscard, 0);
  });
  test("each direction by itself, inside too", () => {
    const rig = new CoreRig();
    const a = inside(rig, 5, { aigpReceive: false, routeReflectorClient: true });
    const b = inside(rig, 6, { aigpSend: false });
    a.announce(p, aigp(7));
    assert.equal(rig.shown(a.address, p).aigp, undefined);
    b.announce(q, aigp(7));
    assert.equal(heldBy(a, q), attribute(tlv(7n)));
    rig.neighbor({ address: b.address, remoteAsn: 65001 });
    const c = inside(rig, 7, { routeReflectorClient: true, aigpSend: false });
    assert.equal(heldBy(c, q), undefined);
    rig.neighbor({ address: c.address, remoteAsn: 65001, routeReflectorClient: true });
    assert.ok(c.up);
    assert.equal(heldBy(c, q), attribute(tlv(7n)));
  });
});

describe("RFC 7311 3.4, on the way out", () => {
  test("it stays when the next hop stays, and grows by one when we put ourselves in", () => {
    const rig = new CoreRig();
    const a = inside(rig, 5, { routeReflectorClient: true });
    const kept = inside(rig, 6);
    const asked = rig.peer("192.0.2.4", { remoteAsn: 400, aigpSend: true });
    const server = rig.peer("192.0.2.5", { remoteAsn: 500, aigpSend: true, routeServerClient: true });
    a.announce(p, aigp(7));
    assert.deepEqual(
      [kept, asked, server].map((peer) => heldBy(peer, p)),
      [7n, 8n, 7n].map((metric) => attribute(tlv(metric))),
    );
  });
  test("it ends at the highest metric", () => {
    const rig = new CoreRig();
    const a = inside(rig);
    const asked = rig.peer("192.0.2.4", { remoteAsn: 400, aigpSend: true });
    a.announce(p, aigp(0xffff_ffff_ffff_fffen));
    assert.equal(heldBy(asked, p), attribute(tlv(0xffff_ffff_ffff_ffffn)));
  });
  test("other TLVs do not change", () => {
    const rig = new CoreRig();
    const a = inside(rig);
    const asked = rig.peer("192.0.2.4", { remoteAsn: 400, aigpSend: true });
    a.announce(p, { other: attribute(`020005abcd${tlv(0xffff_ffffn)}${tlv(3n)}`) });
    assert.equal(heldBy(asked, p), attribute(`020005abcd${tlv(0x1_0000_0000n)}${tlv(3n)}`));
  });
  test("policy begins it, on routes of ours and of others", () => {
    const rig = new CoreRig();
    rig.policy({ name: "begin", statements: [{ set: { aigp: 20 }, action: 1 }] });
    const a = rig.peer("192.0.2.2", { import: ["begin"] });
    const asked = rig.peer("192.0.2.4", { remoteAsn: 400, aigpSend: true, export: ["begin"] });
    const b = inside(rig);
    rig.inject({ prefix: q });
    a.announce(p);
    assert.equal(heldBy(b, p), attribute(tlv(20n)));
    assert.equal(heldBy(asked, q), attribute(tlv(20n)));
    assert.equal(heldBy(b, q), undefined);
  });
});

describe("RFC 7311 4.1, the decision", () => {
  test("the lower metric wins over a shorter path, after local preference; one without comes last", () => {
    const rig = new CoreRig();
    const a = inside(rig, 5);
    const b = inside(rig, 6);
    const c = inside(rig, 7);
    a.announce(p, { path: "7", ...aigp(20) });
    b.announce(p, { path: "7 8 9", ...aigp(10) });
    c.announce(p, { path: "" });
    assert.equal(rig.best(p), b.address);
    b.withdraw(p);
    assert.equal(rig.best(p), a.address);
    c.announce(p, { path: "", localPref: 101 });
    assert.equal(rig.best(p), c.address);
    a.withdraw(p);
    c.announce(p, { path: "" });
    assert.equal(rig.best(p), c.address);
  });
  test("metrics beyond 32 and 53 bits are told apart", () => {
    const rig = new CoreRig();
    const a = inside(rig, 5);
    const b = inside(rig, 6);
    a.announce(p, { path: "7", ...aigp(0x8000_0000_0000_0002n) });
    b.announce(p, { path: "7 8", ...aigp(0x8000_0000_0000_0001n) });
    assert.equal(rig.best(p), b.address);
  });
  test("without tracking of next hops the way to them costs nothing; with it, its metric is added", () => {
    const rig = new CoreRig({}, undefined, "memory");
    const route = (prefix: string, metric: number) => {
      const parsed = parsePrefix(prefix);
      assert.ok(typeof parsed !== "string");
      return {
        destination: parsed,
        type: "unicast" as const,
        metric,
        gateway: parseIp("10.0.0.9")!,
        link: "eth1",
      };
    };
    const kernel = (far: number) =>
      rig.simulate({
        links: [
          { name: "eth1", up: true, addresses: [{ bytes: parseIp("10.0.0.1")!, length: 24 }] },
          { name: "eth0", up: true, addresses: [{ bytes: parseIp("192.0.2.1")!, length: 24 }] },
        ],
        routes: [route("172.16.1.0/24", 5), route("172.16.2.0/24", far)],
      });
    kernel(50);
    const a = inside(rig, 5);
    const b = inside(rig, 6);
    const asked = rig.peer("192.0.2.4", { remoteAsn: 400, aigpSend: true });
    a.announce(p, { path: "7", nextHop: "172.16.1.1", ...aigp(100) });
    b.announce(p, { path: "7", nextHop: "172.16.2.1", ...aigp(60) });
    assert.equal(rig.best(p), a.address);
    assert.equal(heldBy(asked, p), attribute(tlv(105n)));
    kernel(30);
    assert.equal(rig.best(p), b.address);
    assert.equal(heldBy(asked, p), attribute(tlv(90n)));
    // The best path stays, and its metric changes.
    kernel(20);
    assert.equal(rig.best(p), b.address);
    assert.equal(heldBy(asked, p), attribute(tlv(80n)));
  });
});
