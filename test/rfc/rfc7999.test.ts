/** RFC 7999: BLACKHOLE and its scope; beside it the limits on AS paths that operators set: length and bogon ASNs. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BlackholeScope } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { CoreRig } from "./core-rig.ts";

const host = "198.51.100.7/32";
const p = "198.51.100.0/24";
const blackhole = "65535:666";

function lab(scope: BlackholeScope | undefined) {
  const rig = new CoreRig();
  return {
    rig,
    victim: rig.peer("192.0.2.2", scope === undefined ? {} : { blackhole: scope }),
    other: rig.peer("192.0.2.3", { remoteAsn: 65003 }),
    inside: rig.peer("10.0.0.5", { remoteAsn: 65001 }),
  };
}

describe("3.2: BLACKHOLE and its scope", () => {
  test("no-advertise: accepted, marked discard, told to nobody", () => {
    const { rig, victim, other, inside } = lab(BlackholeScope.NO_ADVERTISE);
    victim.announce(host, { communities: blackhole });
    assert.equal(rig.best(host), "192.0.2.2");
    assert.deepEqual([other.has(host), inside.has(host)], [false, false]);
    const told = rig.view.explainImport("192.0.2.2", host, 0);
    assert(told.ok && told.value.result);
    assert.equal(told.value.result.discard, true);
    assert.deepEqual(told.value.result.communities, ["blackhole", "no-advertise"]);
  });
  test("no-export: told inside the AS with NO_EXPORT, not outside", () => {
    const { victim, other, inside } = lab(BlackholeScope.NO_EXPORT);
    victim.announce(host, { communities: blackhole });
    assert.equal(other.has(host), false);
    assert.equal(inside.route(host).communities, "65535:666 65535:65281");
  });
  test("a scope that the neighbor asked for itself is not added twice", () => {
    const { inside, victim } = lab(BlackholeScope.NO_EXPORT);
    victim.announce(host, { communities: "65535:666 65535:65281" });
    assert.equal(inside.route(host).communities, "65535:666 65535:65281");
  });
  test("nothing is done for a neighbor with whom it was not agreed", () => {
    for (const scope of [undefined, BlackholeScope.NONE]) {
      const { rig, victim, other } = lab(scope);
      victim.announce(host, { communities: blackhole });
      assert.equal(other.route(host).communities, blackhole);
      const told = rig.view.explainImport("192.0.2.2", host, 0);
      assert(told.ok);
      assert.equal(told.value.result?.discard, false);
    }
  });
  test("routes without the community are left alone, and it ends when the community goes", () => {
    const { victim, other } = lab(BlackholeScope.NO_ADVERTISE);
    victim.announce(p);
    assert.ok(other.has(p));
    victim.announce(p, { communities: blackhole });
    assert.equal(other.has(p), false);
    victim.announce(p);
    assert.equal(other.route(p).communities, undefined);
  });
  test("import policy cannot take the scope off: the community counts as received", () => {
    const rig = new CoreRig();
    rig.policy({ name: "clean", statements: [{ set: { communitiesRemove: ["*:*"] }, action: 1 }] });
    const victim = rig.peer("192.0.2.2", { blackhole: BlackholeScope.NO_ADVERTISE, import: ["clean"] });
    const other = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    victim.announce(host, { communities: blackhole });
    assert.equal(other.has(host), false);
  });
});

describe("3.3: which routes are honoured is for policy to say", () => {
  test("only host routes inside what the neighbor may announce", () => {
    const rig = new CoreRig();
    rig.policy({
      name: "blackholes",
      statements: [
        { match: { communities: ["blackhole"], prefixes: [{ prefix: p, ge: 32, le: 32 }] }, action: 1 },
        { match: { communities: ["blackhole"] }, action: 2 },
      ],
      defaultAction: 1,
    });
    const victim = rig.peer("192.0.2.2", { blackhole: BlackholeScope.NO_EXPORT, import: ["blackholes"] });
    const inside = rig.peer("10.0.0.5", { remoteAsn: 65001 });
    for (const prefix of [host, p, "203.0.113.9/32"]) victim.announce(prefix, { communities: blackhole });
    assert.deepEqual([...inside.routes.keys()], [host]);
    assert.equal(rig.rejection("192.0.2.2", p), "policy blackholes, statement 2");
  });
});

describe("AS paths", () => {
  test("max_as_path_length: longer ones are kept and not used; sets count one", () => {
    const rig = new CoreRig();
    const peer = rig.peer("192.0.2.2", { maxAsPathLength: 3 });
    peer.announce(p, { path: "65002 65010 65011" });
    assert.equal(rig.rejection("192.0.2.2", p), "");
    peer.announce(p, { path: "65002 65010 65011 65012" });
    assert.equal(rig.rejection("192.0.2.2", p), "AS_PATH is longer than max_as_path_length");
    assert.equal(rig.best(p), undefined);
    peer.announce(p, { path: "65002 65010 {65011 65012 65013}" });
    assert.equal(rig.rejection("192.0.2.2", p), "");
    rig.neighbor({ address: "192.0.2.2", remoteAsn: 65002, maxAsPathLength: 2 });
    rig.run();
    assert.equal(rig.rejection("192.0.2.2", p), "AS_PATH is longer than max_as_path_length", "at once");
  });
  test("has_bogon_asn: a path through a number that nobody may use", () => {
    const rig = new CoreRig();
    const deny = { name: "bogons", match: { hasBogonAsn: true }, action: 2 as const };
    rig.policy({ name: "sane", statements: [deny], defaultAction: 1 });
    const peer = rig.peer("192.0.2.2", { remoteAsn: 3333, import: ["sane"] });
    const refused = "policy sane, statement 1 (bogons)";
    for (const [asn, expected] of [
      ["3356", ""],
      ["23456", refused],
      ["64496", refused],
      ["65535", refused],
      ["65551", refused],
      ["131071", refused],
      ["131072", ""],
      ["4200000000", refused],
      ["4294967295", refused],
      ["{3356 64512}", refused],
    ]) {
      peer.announce(p, { path: `3333 ${asn}` });
      assert.equal(rig.rejection("192.0.2.2", p), expected, asn);
    }
  });
});
