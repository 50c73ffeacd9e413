/** RFC 9234: roles, and ONLY_TO_CUSTOMER. The router is AS 65001. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BgpRole as RoleField } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import type { NeighborConfig } from "../../src/state/session-port.ts";
import { BgpRole, bgpRoleNames } from "../../src/wire/bgp-role.ts";
import type { Capability } from "../../src/wire/capabilities.ts";
import { decodeOpen, isWireError } from "../../src/wire/open.ts";
import { CoreRig, type Peer } from "./core-rig.ts";
import { peerOpen, Rig } from "./rig.ts";

const p = "198.51.100.0/24";
const names = Object.keys(BgpRole) as (keyof typeof BgpRole)[];

/** RFC 9234 4.2, table 2: the pairs that are right. */
const pairs: readonly (readonly [keyof typeof BgpRole, keyof typeof BgpRole])[] = [
  ["provider", "customer"],
  ["customer", "provider"],
  ["rs", "rsClient"],
  ["rsClient", "rs"],
  ["peer", "peer"],
];

/** How a router with this role answers an OPEN with these roles in it. */
function answer(change: Partial<NeighborConfig>, ...roles: readonly number[]): string {
  const rig = new Rig().add(change);
  const conn = rig.connect();
  const capabilities: Capability[] = [
    { kind: "multiprotocol", afi: 1, safi: 1 },
    { kind: "four-octet-as", asn: 65002 },
    ...roles.map((role): Capability => ({ kind: "role", role })),
  ];
  rig.receive(conn, peerOpen({ capabilities }));
  return rig.state() === "OpenConfirm" ? "accepted" : rig.notification(conn)!;
}

describe("4: the role capability", () => {
  for (const role of names) {
    test(`4.1: ${role} is told as ${BgpRole[role]} in a capability of code 9 and one byte`, () => {
      const rig = new Rig().add({ role: BgpRole[role] });
      const { bytes } = rig.sent(rig.connect())[0];
      const open = decodeOpen(bytes, 0, bytes.length);
      assert(!isWireError(open));
      const told = open.capabilities.filter(({ kind }) => kind === "role");
      assert.deepEqual(told, [{ kind: "role", role: BgpRole[role] }]);
      const hex = Buffer.from(bytes).toString("hex");
      assert.match(hex, new RegExp(`09010${BgpRole[role]}`));
    });
    for (const other of names) {
      const isRight = pairs.some(([ours, theirs]) => ours === role && theirs === other);
      test(`4.2: we are ${role}, the neighbor is ${other}: ${isRight ? "accepted" : "Role Mismatch, 2/11"}`, () => {
        assert.equal(answer({ role: BgpRole[role] }, BgpRole[other]), isRight ? "accepted" : "2/11");
      });
    }
  }
  test("4.2: a neighbor that tells no role is accepted, in strict mode it is not (2/11)", () => {
    assert.equal(answer({ role: BgpRole.customer }), "accepted");
    assert.equal(answer({ role: BgpRole.customer, strictRole: true }), "2/11");
    assert.equal(answer({ role: BgpRole.customer, strictRole: true }, BgpRole.provider), "accepted");
  });
  test("4.2: several roles that differ are a mismatch, the same one twice is not", () => {
    assert.equal(answer({ role: BgpRole.peer }, BgpRole.peer, BgpRole.customer), "2/11");
    assert.equal(answer({ role: BgpRole.peer }, BgpRole.peer, BgpRole.peer), "accepted");
  });
  test("4.2: a role that nobody knows is a mismatch", () => {
    assert.equal(answer({ role: BgpRole.peer }, 9), "2/11");
  });
  test("without a role of ours the neighbor's says nothing, and none is sent", () => {
    for (const role of names) assert.equal(answer({}, BgpRole[role]), "accepted");
    const rig = new Rig().add();
    const { bytes } = rig.sent(rig.connect())[0];
    const open = decodeOpen(bytes, 0, bytes.length);
    assert(!isWireError(open) && open.capabilities.every(({ kind }) => kind !== "role"));
  });
  test("roles have the names of the RFC", () => {
    assert.deepEqual(bgpRoleNames, ["provider", "rs", "rs-client", "customer", "peer"]);
  });
});

/** Our role toward a neighbor, as its object has it. */
const field: Readonly<Record<keyof typeof BgpRole, RoleField>> = {
  provider: RoleField.PROVIDER,
  rs: RoleField.RS,
  rsClient: RoleField.RS_CLIENT,
  customer: RoleField.CUSTOMER,
  peer: RoleField.PEER,
};

/** A neighbor 192.0.2.2, AS 65002, toward whom we have a role, and AS 65003 and an internal one without. */
function lab(role: keyof typeof BgpRole | undefined) {
  const rig = new CoreRig();
  const init = role === undefined ? {} : { role: field[role] };
  return {
    rig,
    neighbor: rig.peer("192.0.2.2", init),
    other: rig.peer("192.0.2.3", { remoteAsn: 65003 }),
    inside: rig.peer("10.0.0.5", { remoteAsn: 65001 }),
  };
}

const otc = (asn: number) => ({ other: `c02304${asn.toString(16).padStart(8, "0")}` });
const otcOf = (peer: Peer): number | undefined => {
  const { other } = peer.route(p);
  const [, digits] = /c02304([0-9a-f]{8})/.exec(other ?? "") ?? [];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
};
const leak = "route leak: ONLY_TO_CUSTOMER says that it must not come this way (RFC 9234)";

describe("5, ingress", () => {
  for (const [role, who] of [
    ["provider", "a customer"],
    ["rs", "a client of our route server"],
  ] as const) {
    test(`1. a route with OTC from ${who} is a leak: not eligible, whatever AS it names`, () => {
      for (const asn of [65002, 65077, 65001]) {
        const { rig, neighbor, inside } = lab(role);
        neighbor.announce(p, otc(asn));
        assert.equal(rig.rejection("192.0.2.2", p), leak);
        assert.equal(inside.has(p), false);
      }
    });
    test(`a route without OTC from ${who} is taken as it is`, () => {
      const { neighbor, inside } = lab(role);
      neighbor.announce(p);
      assert.equal(otcOf(inside), undefined);
    });
  }
  test("2. from a peer, OTC with another AS than the peer's is a leak, with the peer's it is not", () => {
    const { rig, neighbor, inside } = lab("peer");
    neighbor.announce(p, otc(65077));
    assert.equal(rig.rejection("192.0.2.2", p), leak);
    neighbor.announce(p, otc(65002));
    assert.equal(rig.rejection("192.0.2.2", p), "");
    assert.equal(otcOf(inside), 65002);
  });
  for (const [role, who] of [
    ["customer", "a provider"],
    ["peer", "a peer"],
    ["rsClient", "a route server"],
  ] as const) {
    test(`3. a route without OTC from ${who} gets the neighbor's AS`, () => {
      const { rig, neighbor, inside } = lab(role);
      neighbor.announce(p);
      assert.equal(rig.rejection("192.0.2.2", p), "");
      assert.equal(otcOf(inside), 65002);
    });
  }
  for (const [role, who] of [
    ["customer", "a provider"],
    ["rsClient", "a route server"],
  ] as const) {
    test(`OTC that is there, from ${who}, is kept as it is`, () => {
      const { neighbor, inside } = lab(role);
      neighbor.announce(p, otc(65077));
      assert.equal(otcOf(inside), 65077);
    });
  }
  test("import policy sees the route before OTC is put on, and cannot keep it off", () => {
    const { rig, neighbor, inside } = lab("customer");
    rig.policy({
      name: "plain",
      statements: [{ match: { hasAttributes: ["otc"] }, action: 2 }],
      defaultAction: 1,
    });
    rig.neighbor({ address: "192.0.2.2", remoteAsn: 65002, role: field.customer, import: ["plain"] });
    neighbor.announce(p);
    assert.equal(otcOf(inside), 65002);
  });
});

describe("5, egress", () => {
  for (const [role, who] of [
    ["provider", "a customer"],
    ["peer", "a peer"],
    ["rs", "a client of our route server"],
  ] as const) {
    test(`1. toward ${who} a route without OTC gets our AS`, () => {
      const { neighbor, other, inside } = lab(role);
      other.announce(p);
      assert.equal(otcOf(neighbor), 65001);
      assert.equal(otcOf(inside), undefined, "nobody else");
      const flags = neighbor.updates.at(-1)!.flags[35];
      assert.equal(flags, 0xc0, "optional transitive");
    });
  }
  for (const [role, who] of [
    ["customer", "a provider"],
    ["peer", "a peer"],
    ["rsClient", "a route server"],
  ] as const) {
    test(`2. a route with OTC does not go to ${who}`, () => {
      const { rig, neighbor, other } = lab(role);
      other.announce(p, otc(65003));
      assert.equal(neighbor.has(p), false);
      const told = rig.view.explainAdvertised("192.0.2.2", p);
      assert(told.ok);
      assert.match(told.value.summary, /ONLY_TO_CUSTOMER: not to a provider, peer or route server/);
      other.announce(p);
      assert.equal(neighbor.has(p), true, "without OTC it does");
    });
  }
  for (const [role, who] of [
    ["provider", "a customer"],
    ["rs", "a client of our route server"],
  ] as const) {
    test(`toward ${who} OTC that is there is kept as it is`, () => {
      const { neighbor, other } = lab(role);
      other.announce(p, otc(65003));
      assert.equal(otcOf(neighbor), 65003);
    });
  }
  test("without a role OTC is passed on as any optional transitive attribute", () => {
    const { neighbor, other } = lab(undefined);
    other.announce(p, otc(65077));
    assert.equal(otcOf(neighbor), 65077);
  });
  test("a leak between two providers is stopped: what one told us does not go to the other", () => {
    const rig = new CoreRig();
    const one = rig.peer("192.0.2.2", { role: field.customer });
    const two = rig.peer("192.0.2.3", { remoteAsn: 65003, role: field.customer });
    const below = rig.peer("192.0.2.4", { remoteAsn: 65004, role: field.provider });
    one.announce(p);
    assert.deepEqual([two.has(p), below.has(p)], [false, true]);
    assert.equal(otcOf(below), 65002);
  });
  test("routes of our own and of customers go everywhere", () => {
    const rig = new CoreRig();
    const above = rig.peer("192.0.2.2", { role: field.customer });
    const beside = rig.peer("192.0.2.3", { remoteAsn: 65003, role: field.peer });
    const below = rig.peer("192.0.2.4", { remoteAsn: 65004, role: field.provider });
    below.announce(p);
    rig.inject({ prefix: "203.0.113.0/24", nextHop: "192.0.2.1" });
    for (const peer of [above, beside]) assert.ok(peer.has(p) && peer.has("203.0.113.0/24"));
    assert.deepEqual([otcOf(above), otcOf(beside)], [undefined, 65001]);
  });
});

test("5: OTC of another length than four is treated as withdraw", () => {
  const { rig, neighbor, inside } = lab("customer");
  neighbor.announce(p);
  assert.ok(inside.has(p));
  neighbor.announce(p, { other: "c023020001" });
  assert.equal(inside.has(p), false);
  assert.ok(rig.topics().includes("cairn.bgp.update.malformed"));
});

test("a role is of external neighbors: an internal one cannot be given any, and OTC is nothing special there", () => {
  const rig = new CoreRig();
  assert.throws(
    () => rig.peer("10.0.0.6", { remoteAsn: 65001, role: field.provider }),
    /role is for eBGP only/,
  );
  const inside = rig.peer("10.0.0.5", { remoteAsn: 65001 });
  const other = rig.peer("192.0.2.3", { remoteAsn: 65003 });
  inside.announce(p, otc(65077));
  assert.equal(otcOf(other), 65077);
});
