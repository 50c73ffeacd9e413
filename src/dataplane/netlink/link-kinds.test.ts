import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Facts } from "../artifact.ts";
import { linkFacts } from "../artifact-facts.ts";
import { readBridgePort, vlanText, writePortVlans } from "./bridge-vlans.ts";
import { bondHashPolicies, bondModes, lacpRates, linkChanges, needsNewLink } from "./link-kinds.ts";
import { readLink } from "./route-wire.ts";
import { writeLink, writeLinkChange } from "./route-write.ts";
import { eachMessage, NetlinkWriter } from "./wire.ts";

/** The facts of a link as the kernel would tell them that was asked for these. */
function told(facts: Facts, parent = 0): Facts {
  const out = new NetlinkWriter();
  writeLink(out, 1, "x0", facts, parent);
  return factsIn(out, parent);
}

function factsIn(out: NetlinkWriter, parent: number): Facts {
  let found: Facts = {};
  eachMessage(out.bytes, out.length, ({ at, end }) => {
    const link = readLink(out.bytes, at, end)!;
    assert.equal(link.parent, parent);
    // What it stands on has a name only beside the other links.
    const whole = { ...link, index: 2, parent: 0, addresses: [], vlans: undefined };
    found = linkFacts([whole])[0].observed!.facts;
  });
  return found;
}

const port = fc.integer({ min: 1, max: 65535 });
const ip = fc.constantFrom("", "192.0.2.1", "239.1.1.1", "2001:db8::1", "ff05::100");
const kinds: Readonly<Record<string, fc.Arbitrary<Facts>>> = {
  vlan: fc.record({ kind: fc.constant("vlan"), vlanId: fc.integer({ min: 1, max: 4094 }) }),
  vrf: fc.record({ kind: fc.constant("vrf"), table: fc.integer({ min: 1, max: 0xffff_ffff }) }),
  bridge: fc.record({ kind: fc.constant("bridge"), vlanFiltering: fc.constant(true) }),
  bond: fc.record({
    kind: fc.constant("bond"),
    mode: fc.constantFrom(...bondModes),
    miimonMs: fc.nat(60_000),
    upDelayMs: fc.nat(60_000),
    downDelayMs: fc.nat(60_000),
    hashPolicy: fc.constantFrom(...bondHashPolicies),
    minLinks: fc.nat(64),
    lacpRate: fc.constantFrom(...lacpRates),
  }),
  vxlan: fc.record({
    kind: fc.constant("vxlan"),
    vni: fc.integer({ min: 1, max: 0xff_ffff }),
    remote: ip,
    local: ip,
    ttl: fc.nat(255),
    learning: fc.boolean(),
    port,
  }),
};

describe("kinds of links", () => {
  for (const [kind, facts] of Object.entries(kinds)) {
    it(`${kind}: is read as it was written`, () => {
      fc.assert(fc.property(facts, (asked) => assert.deepEqual({ ...told(asked) }, { ...asked })));
    });
  }

  it("a VXLAN says by itself what it stands on, a VLAN as all other links do", () => {
    const vxlan = { kind: "vxlan", vni: 5, remote: "", local: "", ttl: 0, learning: true, port: 4789 };
    assert.deepEqual({ ...told(vxlan, 7) }, vxlan);
    assert.deepEqual({ ...told({ kind: "vlan", vlanId: 10 }, 7) }, { kind: "vlan", vlanId: 10 });
  });

  it("a change is sent alone where the kernel makes it, and takes a new link where not", () => {
    const bond = { kind: "bond", mode: "802.3ad", miimonMs: 100, hashPolicy: "layer2", lacpRate: "slow" };
    const slower = { ...bond, miimonMs: 200 };
    assert.equal(needsNewLink(bond, bond), false);
    assert.equal(needsNewLink(bond, slower), false);
    assert.equal(needsNewLink(bond, { ...slower, mode: "balance-rr" }), true);
    assert.equal(needsNewLink(bond, { kind: "bridge", vlanFiltering: false }), true);
    assert.equal(needsNewLink({ kind: "vlan", vlanId: 1 }, { kind: "vlan", vlanId: 2 }), true);
    assert.equal(needsNewLink({ kind: "vlan", parent: "a" }, { kind: "vlan", parent: "b" }), true);
    const bridge = { kind: "bridge", vlanFiltering: false };
    assert.equal(needsNewLink(bridge, { ...bridge, vlanFiltering: true }), false);
    const out = new NetlinkWriter();
    writeLinkChange(out, 1, 2, slower, linkChanges(bond, slower));
    assert.deepEqual({ ...factsIn(out, 0) }, { kind: "bond", miimonMs: 200 });
  });
});

describe("VLANs of bridge ports", () => {
  const vlan = fc.record({
    id: fc.integer({ min: 1, max: 4094 }),
    pvid: fc.boolean(),
    untagged: fc.boolean(),
  });

  it("are read as they were written", () => {
    fc.assert(
      fc.property(fc.uniqueArray(vlan, { selector: ({ id }) => id, maxLength: 50 }), (vlans) => {
        const texts = vlans.map(({ id, pvid, untagged }) => vlanText(id, pvid, untagged));
        const out = new NetlinkWriter();
        writePortVlans(out, 1, "add", 9, false, texts);
        eachMessage(out.bytes, out.length, ({ at, end }) =>
          assert.deepEqual(readBridgePort(out.bytes, at, end), { index: 9, vlans: texts }),
        );
      }),
    );
  });

  it("come in ranges", () => {
    const out = new NetlinkWriter();
    out.begin(16, 0, 1);
    for (const word of [7, 9, 0, 0]) out.u32(word);
    out.nested(26, () => {
      // 5 untagged and PVID, 10 to 13, 20 to 21 untagged: flags and number, 16 bits each.
      for (const [flags, id] of [
        [6, 5],
        [8, 10],
        [16, 13],
        [12, 20],
        [20, 21],
      ])
        out.attribute(2, new Uint8Array([flags, 0, id, 0]));
    });
    out.end();
    const vlans = ["5 pvid untagged", "10", "11", "12", "13", "20 untagged", "21 untagged"];
    eachMessage(out.bytes, out.length, ({ at, end }) =>
      assert.deepEqual(readBridgePort(out.bytes, at, end), { index: 9, vlans }),
    );
  });
});
