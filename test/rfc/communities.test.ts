/** Communities: RFC 1997, RFC 3765, RFC 4360, RFC 8092. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CoreRig } from "./core-rig.ts";

const p = "198.51.100.0/24";
const noExport = "65535:65281";
const noAdvertise = "65535:65282";
const noExportSubconfed = "65535:65283";
const noPeer = "65535:65284";

function three() {
  const rig = new CoreRig();
  return {
    rig,
    source: rig.peer("192.0.2.2"),
    external: rig.peer("192.0.2.3", { remoteAsn: 65003 }),
    bilateral: rig.peer("192.0.2.4", { remoteAsn: 65004, bilateralPeer: true }),
    internal: rig.peer("10.0.0.5", { remoteAsn: 65001 }),
  };
}

describe("RFC 1997", () => {
  for (const [name, community, toExternal, toInternal] of [
    ["NO_EXPORT", noExport, false, true],
    ["NO_ADVERTISE", noAdvertise, false, false],
    ["NO_EXPORT_SUBCONFED", noExportSubconfed, false, true],
  ] as const) {
    test(`${name}: to external neighbors ${toExternal}, to internal ones ${toInternal}`, () => {
      const { rig, source, external, internal } = three();
      source.announce(p, { communities: `65002:1 ${community}` });
      assert.equal(rig.best(p), source.address);
      assert.deepEqual([external.has(p), internal.has(p)], [toExternal, toInternal]);
    });
    test(`${name} on a route that we originate`, () => {
      const { rig, external, internal } = three();
      rig.inject({ prefix: p, communities: [community] });
      assert.deepEqual([external.has(p), internal.has(p)], [toExternal, toInternal]);
    });
  }
  test("when the community goes, the route is announced; when it comes, withdrawn", () => {
    const { source, external } = three();
    source.announce(p);
    assert.ok(external.has(p));
    source.announce(p, { communities: noExport });
    assert.equal(external.has(p), false);
    source.announce(p);
    assert.ok(external.has(p));
  });
  test("set by import policy they hold; set by export policy they are sent", () => {
    const rig = new CoreRig();
    rig.policy({ name: "keep", statements: [{ set: { communitiesAdd: ["no-export"] }, action: 1 }] });
    const a = rig.peer("192.0.2.2", { import: ["keep"] });
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    const c = rig.peer("192.0.2.4", { remoteAsn: 65004, export: ["keep"] });
    a.announce(p);
    assert.equal(b.has(p), false);
    b.announce("203.0.113.0/24");
    assert.equal(c.route("203.0.113.0/24").communities, noExport);
  });
  test("others are passed on in both directions, as optional transitive", () => {
    const { source, external, internal } = three();
    source.announce(p, { communities: "65002:1 65002:2" });
    assert.equal(external.route(p).communities, "65002:1 65002:2");
    assert.equal(internal.route(p).communities, "65002:1 65002:2");
    assert.equal(external.updates[0].flags[8], 0xc0);
  });
});

describe("RFC 3765", () => {
  test("NOPEER is kept from a bilateral peer, and from nobody else", () => {
    const { source, external, bilateral, internal } = three();
    source.announce(p, { communities: noPeer });
    assert.deepEqual([external.has(p), bilateral.has(p), internal.has(p)], [true, false, true]);
  });
});

describe("RFC 4360", () => {
  // Route target 65002:1 (transitive), link bandwidth (0x40: not transitive across ASes), an unknown transitive one.
  const target = "0002fdea00000001";
  const bandwidth = "4004fdea47c35000";
  const unknown = "3fabfdea00000007";
  test("6: a non-transitive community stays inside the AS", () => {
    const { source, external, internal } = three();
    source.announce(p, { extended: target + bandwidth });
    assert.equal(external.route(p).extended, target);
    assert.equal(internal.route(p).extended, target + bandwidth);
  });
  test("6: with no transitive one there is no attribute at all", () => {
    const { internal, external } = three();
    internal.announce(p, { extended: bandwidth });
    assert.equal(external.route(p).extended, undefined);
  });
  test("5: unknown types are passed on", () => {
    const { source, external } = three();
    source.announce(p, { extended: unknown });
    assert.equal(external.route(p).extended, unknown);
  });
  test("the Partial bit is kept", () => {
    const { source, external } = three();
    source.announce(p, { other: `e01010${target}${bandwidth}` });
    assert.equal(external.updates[0].flags[16], 0xe0);
  });
});

describe("RFC 8092", () => {
  const one = "0000fdea0000000100000002";
  const two = "0000fdea0000000100000003";
  test("2: optional transitive, passed on in both directions", () => {
    const { source, external, internal } = three();
    source.announce(p, { large: one + two });
    assert.deepEqual([external.route(p).large, internal.route(p).large], [one + two, one + two]);
    assert.equal(external.updates[0].flags[32], 0xc0);
  });
  test("3: duplicates are not sent on", () => {
    const { source, external } = three();
    source.announce(p, { large: one + two + one });
    assert.equal(external.route(p).large, one + two);
  });
  test("5: reserved values of the global administrator are nothing special", () => {
    const { source, external } = three();
    const reserved = `00000000${"00".repeat(8)}${"ff".repeat(12)}`;
    source.announce(p, { large: reserved });
    assert.equal(external.route(p).large, reserved);
  });
});
