/** local_asn in all its variants, as_override, allow_own_as_origin: paths in and out, what our OPEN says, explanations. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PeerGroupSpecSchema } from "../../src/gen/cairn/v1/peer_group_service_pb.ts";
import { decodeOpen } from "../../src/wire/open.ts";
import { CoreRig, Peer } from "./core-rig.ts";

const p = "198.51.100.0/24";
const q = "203.0.113.0/24";
const asnOf = (peer: Peer): number => {
  const open = decodeOpen(peer.opens.at(-1)!, 0, peer.opens.at(-1)!.length);
  assert.ok("asn" in open);
  return open.asn;
};

describe("local_asn", () => {
  /** What goes to a neighbor with local_asn and what comes from it, as a third one hears it. */
  const variants: readonly (readonly [string, object, string, string])[] = [
    ["alone", {}, "64900 65001 65002", "65001 64900 65003 7"],
    ["no prepend", { localAsNoPrepend: true }, "64900 65001 65002", "65001 65003 7"],
    ["replace", { localAsReplaceAs: true }, "64900 65002", "65001 64900 65003 7"],
    ["both", { localAsNoPrepend: true, localAsReplaceAs: true }, "64900 65002", "65001 65003 7"],
  ];
  for (const [name, change, out, through] of variants) {
    test(name, () => {
      const rig = new CoreRig();
      const a = rig.peer("192.0.2.2");
      const b = rig.peer("192.0.2.3", { remoteAsn: 65003, localAsn: 64900, ...change });
      assert.equal(asnOf(b), 64900);
      a.announce(p);
      assert.equal(b.route(p).path, out);
      b.announce(q, { path: "65003 7" });
      assert.equal(a.route(q).path, through);
      rig.inject({ prefix: "100.64.0.0/10" });
      assert.equal(b.route("100.64.0.0/10").path, out.replace(" 65002", ""));
    });
  }
  test("what was received stays as it came; policy sees it with our AS in front, and explanations say so", () => {
    const rig = new CoreRig();
    rig.policy({
      name: "long",
      statements: [{ match: { asPathLengthGe: 3 }, set: { localPref: 77 } }],
      defaultAction: 1,
    });
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, localAsn: 64900, import: ["long"] });
    const inside = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    b.announce(p, { path: "65003 7" });
    assert.deepEqual([inside.route(p).path, inside.route(p).localPref], ["64900 65003 7", 77]);
    assert.equal(rig.shown(b.address, p).asPathText, "65003 7");
    const told = rig.view.explainImport(b.address, p, 0);
    assert.ok(told.ok);
    const { gates } = told.value;
    const at = gates.findIndex(({ name }) => name === "local-as");
    assert.equal(gates[at].text, "AS 64900 is put in front of the path (local_asn)");
    assert.equal(gates[at + 1].name, "policy");
  });
  test("a path that begins with a set, and one of 255, get a segment in front", () => {
    const rig = new CoreRig();
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, localAsn: 64900, enforceFirstAs: false });
    const inside = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    b.announce(p, { path: "{65003 7}" });
    assert.equal(inside.route(p).path, "64900 {65003 7}");
    const full = Array.from({ length: 255 }, () => 65003).join(" ");
    b.announce(p, { path: full });
    assert.deepEqual([inside.route(p).path, inside.route(p).segments], [`64900 ${full}`, 2]);
  });
  test("both numbers are ours in the loop check, each counted for itself", () => {
    const rig = new CoreRig();
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, localAsn: 64900, allowOwnAs: 1 });
    for (const [path, isUsed] of [
      ["65003 64900 65001", true],
      ["65003 64900 64900", false],
      ["65003 65001 65001", false],
    ] as const) {
      b.announce(p, { path });
      assert.equal(rig.best(p) !== undefined, isUsed, path);
    }
  });
  test("the neighbor's own group: what is set there is inherited field by field", () => {
    const rig = new CoreRig();
    const spec = create(PeerGroupSpecSchema, {
      name: "g",
      remoteAsn: 65003,
      localAsn: 64900,
      localAsNoPrepend: true,
    });
    rig.mutate({ op: "put", kind: "PeerGroup", spec });
    const a = rig.peer("192.0.2.2");
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, peerGroup: "g", localAsReplaceAs: true });
    a.announce(p);
    b.announce(q, { path: "65003" });
    assert.deepEqual([b.route(p).path, a.route(q).path], ["64900 65002", "65001 65003"]);
  });
});

describe("explanations of what goes out", () => {
  const told = (rig: CoreRig, address: string): string[] => {
    const answer = rig.view.explainAdvertised(address, p);
    assert.ok(answer.ok);
    const [path] = answer.value.paths.filter(({ advertised }) => advertised);
    return path.gates.slice(-2).map(({ name, text }) => `${name}: ${text}`);
  };
  test("which AS stands in front and which one was replaced", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2");
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, localAsn: 64900, asOverride: true });
    a.announce(p, { path: "65002 65003" });
    assert.deepEqual(told(rig, b.address), [
      "as-override: AS 65003 in the path is replaced by AS 64900 (as_override)",
      "local-as: AS 64900 65001 in front (local_asn)",
    ]);
  });
  test("confederation segments and AIGP that stay behind", () => {
    const rig = new CoreRig({ confederation: { identifier: 100, memberAses: [65002] } });
    const a = rig.peer("192.0.2.2");
    const b = rig.peer("192.0.2.3", { remoteAsn: 200 });
    a.announce(p, { path: "(65002)", localPref: 100, other: "801a0b01000b0000000000000007" });
    assert.deepEqual(told(rig, b.address), [
      "confederation: confederation segments are taken out of the path (RFC 5065)",
      "aigp: AIGP is not sent to this neighbor (aigp_send)",
    ]);
  });
});

describe("local_as_dual_as", () => {
  const dual = { address: "192.0.2.3", remoteAsn: 65003, localAsn: 64900, localAsDualAs: true };
  const refuse = (peer: Peer, rig: CoreRig): void => {
    peer.refuse(2, 2);
    rig.advance(5000);
  };
  test("a neighbor that refuses local_asn is told our own AS, and the other way round", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2");
    rig.neighbor(dual);
    const b = new Peer(rig, dual.address, dual.remoteAsn, {});
    refuse(b, rig);
    assert.equal(asnOf(b), 64900);
    b.connect();
    assert.equal(asnOf(b), 65001);
    a.announce(p);
    b.announce(q, { path: "65003" });
    // As without local_asn.
    assert.deepEqual([b.route(p).path, a.route(q).path], ["65001 65002", "65001 65003"]);
    assert.ok(rig.topics().includes("cairn.bgp.session.local-as"));
    b.notify(6, 4);
    rig.advance(5000);
    refuse(b, rig);
    assert.equal(asnOf(b), 65001);
    b.connect();
    assert.equal(asnOf(b), 64900);
    assert.equal(b.route(p).path, "64900 65001 65002");
  });
  test("a plan knows which of them is in use", () => {
    const rig = new CoreRig();
    rig.neighbor(dual);
    const b = new Peer(rig, dual.address, dual.remoteAsn, {});
    refuse(b, rig);
    b.connect();
    rig.neighbor({ ...dual, description: "said" });
    assert.ok(b.up);
  });
  test("without it a refusal changes nothing", () => {
    const rig = new CoreRig();
    rig.neighbor({ ...dual, localAsDualAs: false });
    const b = new Peer(rig, dual.address, dual.remoteAsn, {});
    refuse(b, rig);
    b.connect();
    assert.equal(asnOf(b), 64900);
  });
});

describe("as_override", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["the neighbor's AS", "65002 65003 7", "65001 65002 65001 7"],
    ["each copy of it", "65002 65003 65003 7 65003", "65001 65002 65001 65001 7 65001"],
    ["in sets too", "65002 {7 65003}", "65001 65002 {7 65001}"],
    ["a path without it stays", "65002 7", "65001 65002 7"],
  ];
  for (const [name, path, out] of cases) {
    test(name, () => {
      const rig = new CoreRig();
      const a = rig.peer("192.0.2.2");
      const b = rig.peer("192.0.2.3", { remoteAsn: 65003, asOverride: true });
      const c = rig.peer("192.0.2.7", { remoteAsn: 65003 });
      a.announce(p, { path });
      assert.equal(b.route(p).path, out);
      assert.equal(c.route(p).path, `65001 ${path}`);
    });
  }
  test("with local_asn that is what is put in, and private ASes go before", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", { remoteAsn: 200 });
    const b = rig.peer("192.0.2.3", {
      remoteAsn: 300,
      asOverride: true,
      localAsn: 64900,
      removePrivateAs: 3,
    });
    a.announce(p, { path: "200 64999 300" });
    assert.equal(b.route(p).path, "64900 65001 200 64900");
  });
  test("prepended copies of the neighbor's AS by policy are overridden as well", () => {
    const rig = new CoreRig();
    rig.policy({ name: "thrice", statements: [{ set: { prepend: { asn: 65003, count: 3 } }, action: 1 }] });
    const a = rig.peer("192.0.2.2");
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, asOverride: true, export: ["thrice"] });
    a.announce(p);
    assert.equal(b.route(p).path, "65001 65001 65001 65001 65002");
  });
});

describe("allow_own_as_origin", () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ["65002 65001", true],
    ["65002 65001 7 65001 65001", true],
    ["65002 65001 7", false],
    ["65002 7 {65001}", false],
  ];
  for (const [path, isUsed] of cases) {
    test(`${path} is ${isUsed ? "" : "not "}used`, () => {
      const rig = new CoreRig();
      const a = rig.peer("192.0.2.2", { allowOwnAsOrigin: true });
      a.announce(p, { path });
      assert.equal(rig.best(p) !== undefined, isUsed);
    });
  }
  test("allow_own_as counts beside it", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", { allowOwnAsOrigin: true, allowOwnAs: 1 });
    a.announce(p, { path: "65002 65001 7" });
    assert.equal(rig.best(p), a.address);
  });
  test("in a confederation the AS of the whole is ours as well", () => {
    const rig = new CoreRig({ confederation: { identifier: 100, memberAses: [65003] } });
    const a = rig.peer("192.0.2.2", { remoteAsn: 200, allowOwnAsOrigin: true });
    a.announce(p, { path: "200 100" });
    assert.equal(rig.best(p), a.address);
  });
});
