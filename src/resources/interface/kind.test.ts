import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import { base64Text } from "../../base/base64.ts";
import type { Link } from "../../dataplane/kernel-model.ts";
import {
  BondHash,
  BondMode,
  InterfaceSpecSchema,
  InterfaceType,
  LacpRate,
} from "../../gen/cairn/v1/link_kinds_pb.ts";
import type { Derivation, Surroundings } from "../kind.ts";
import { interfaceKind } from "./kind.ts";

type Init = MessageInitShape<typeof InterfaceSpecSchema>;

const key = (n: number): string => base64Text(new Uint8Array(32).fill(n));

function link(name: string, more: Partial<Link> = {}): Link {
  return {
    ...{ index: 1, name, enabled: true, up: true, loopback: false, operState: "up", mtu: 1500, mac: "" },
    ...{ kind: "", master: 0, parent: 0, data: {}, vlans: undefined, addresses: [] },
    ...more,
  };
}

function objectsOf(inits: readonly Init[]): Map<string, Message> {
  return new Map(inits.map((init) => [init.name!, create(InterfaceSpecSchema, init)]));
}

/** What the first of these objects asks of a kernel with these links. */
function derived(inits: readonly Init[], links: readonly Link[] = []): Derivation {
  const objects = objectsOf(inits);
  const around: Surroundings = {
    spec: (kind, name) => (kind === "Interface" ? objects.get(name) : undefined),
    names: () => objects.keys(),
    link: (ifname) => links.find(({ name }) => name === ifname),
    apiListeners: () => [],
    egress: () => undefined,
    flowRules: () => [],
  };
  return interfaceKind.derive(objects.get(inits[0].name!)!, around);
}

function asked(derivation: Derivation): Record<string, unknown> {
  return Object.fromEntries(
    derivation.artifacts.map(({ class: name, key: text, facts }) => [
      `${name} ${text}`,
      name === "link" || name === "wireguard" ? facts : facts.value,
    ]),
  );
}

/** Problems of the first of these objects: path and the beginning of what is said. */
function refused(...inits: Init[]): string[] {
  const objects = objectsOf(inits);
  const lookup = (_: string, name: string): Message | undefined => objects.get(name);
  return interfaceKind.check!(objects.get(inits[0].name!)!, lookup).map(
    ({ path, message }) => `${path}: ${message}`,
  );
}

describe("Interface: bond", () => {
  const members = ["eth0", "eth1"].map((name) => ({ name }));

  it("asks for a link with what its mode knows, and then for its members", () => {
    const bond = {
      name: "bond0",
      type: InterfaceType.BOND,
      members: ["eth0", "eth1"],
      bond: { mode: BondMode.LACP, hashPolicy: BondHash.LAYER34, lacpRate: LacpRate.FAST },
    };
    const facts = {
      ...{ kind: "bond", mode: "802.3ad", miimonMs: 100, upDelayMs: 0, downDelayMs: 0 },
      ...{ hashPolicy: "layer3+4", lacpRate: "fast", minLinks: 0 },
    };
    assert.deepEqual(asked(derived([bond, ...members])), { "link bond0": facts });
    assert.deepEqual(asked(derived([bond, ...members], [link("bond0"), link("eth0")])), {
      "link bond0": facts,
      "link-setting bond0 admin": "up",
      "link-setting eth0 master": "bond0",
    });
    assert.deepEqual(derived([bond, ...members], [link("bond0"), link("eth0")]).pending, {
      reason: "DEVICE_MISSING",
      message: "link eth1, a member, is not there",
    });
    const simple = derived([{ name: "b", type: InterfaceType.BOND, bond: { miimonMs: 0 } }]);
    assert.deepEqual(asked(simple), { "link b": { kind: "bond", mode: "active-backup", miimonMs: 0 } });
  });

  it("leaves a member alone that says itself where it belongs", () => {
    const bond = { name: "bond0", type: InterfaceType.BOND, members: ["eth0"] };
    const all = asked(derived([bond, { name: "eth0", master: "bond0" }], [link("bond0"), link("eth0")]));
    assert.equal("link-setting eth0 master" in all, false);
  });

  it("refuses what the mode does not know, and what the kernel would round", () => {
    const type = InterfaceType.BOND;
    const bond = { lacpRate: LacpRate.FAST, hashPolicy: BondHash.LAYER2, minLinks: 1, upDelayMs: 150 };
    assert.deepEqual(refused({ name: "b", type, bond }), [
      "bond.hash_policy: hash_policy is not for a bond of mode active-backup",
      "bond.lacp_rate: lacp_rate is not for a bond of mode active-backup",
      "bond.min_links: min_links is not for a bond of mode active-backup",
      "bond.up_delay_ms: 150 is no multiple of miimon_ms (100)",
    ]);
    assert.deepEqual(refused({ name: "b", type, bond: { miimonMs: 0, downDelayMs: 5 } }), [
      "bond.down_delay_ms: 5 is no multiple of miimon_ms (0)",
    ]);
    assert.deepEqual(refused({ name: "eth0", mac: "02:00:00:00:00:01", master: "b" }, { name: "b", type }), [
      "mac: a member of a bond has the hardware address of the bond",
    ]);
    assert.deepEqual(refused({ name: "b", type, members: ["b", "c", "c"] }, { name: "c", master: "d" }), [
      "members[0]: an interface cannot belong to itself",
      "members[1]: c says that it belongs to d",
      "members[2]: c is listed twice",
      "members[2]: c says that it belongs to d",
    ]);
  });
});

describe("Interface: VXLAN", () => {
  const type = InterfaceType.VXLAN;

  it("asks for a link over another one", () => {
    const vxlan = { vni: 100, local: "192.0.2.1", group: "239.0.0.1" };
    const spec = { name: "vx", type, parent: "up", vxlan };
    assert.deepEqual(
      derived([spec, { name: "up", ifname: "eth0" }]).pending?.message,
      "link eth0 is not there",
    );
    assert.deepEqual(asked(derived([spec, { name: "up", ifname: "eth0" }], [link("eth0")])), {
      "link vx": {
        ...{ kind: "vxlan", parent: "eth0", vni: 100, remote: "239.0.0.1", local: "192.0.2.1" },
        ...{ port: 4789, learning: true, ttl: 0 },
      },
    });
  });

  it("refuses ends that do not go together", () => {
    const problems = (vxlan: Init["vxlan"], parent = ""): string[] =>
      refused({ name: "vx", type, vxlan, parent });
    assert.deepEqual(problems({ vni: 1, remote: "192.0.2.1", group: "239.0.0.1" }, "eth0"), [
      "vxlan.group: a VXLAN has a remote or a group, not both",
    ]);
    assert.deepEqual(problems({ vni: 1, remote: "239.0.0.1" }), [
      "vxlan.remote: 239.0.0.1 is a multicast group",
    ]);
    assert.deepEqual(problems({ vni: 1, group: "192.0.2.1" }), [
      "vxlan.group: 192.0.2.1 is no multicast group",
      "parent: a VXLAN with a group needs parent",
    ]);
    assert.deepEqual(problems({ vni: 1, remote: "2001:db8::1", local: "192.0.2.1" }), [
      "vxlan.local: 192.0.2.1 is of another family than the other end",
    ]);
    assert.deepEqual(refused({ name: "vx", type }), ["vxlan: an interface of type vxlan needs vxlan"]);
    assert.deepEqual(refused({ name: "eth0", vxlan: { vni: 1 } }), [
      "vxlan: vxlan is not for an interface of type physical",
    ]);
  });
});

describe("Interface: WireGuard", () => {
  const type = InterfaceType.WIREGUARD;

  it("asks for the keys and peers when the link is there, as the kernel tells them", () => {
    const wireguard = {
      privateKey: key(255),
      listenPort: 51820,
      peers: [
        { publicKey: key(3), allowedIps: ["10.2.0.0/16", "10.1.0.0/16"], keepaliveS: 25 },
        { publicKey: key(2), presharedKey: key(4), endpoint: "192.0.2.9:51820" },
      ],
    };
    const spec = { name: "wg0", type, wireguard };
    assert.deepEqual(asked(derived([spec])), { "link wg0": { kind: "wireguard" } });
    const clamped = new Uint8Array(32).fill(255);
    clamped[0] = 248;
    clamped[31] = 127;
    assert.deepEqual(asked(derived([spec], [link("wg0")])), {
      "link wg0": { kind: "wireguard" },
      "wireguard wg0": {
        privateKey: base64Text(clamped),
        listenPort: 51820,
        mark: 0,
        peers: [
          { publicKey: key(2), allowedIps: [], keepaliveS: 0 },
          { publicKey: key(3), allowedIps: ["10.1.0.0/16", "10.2.0.0/16"], keepaliveS: 25 },
        ],
        presharedKeys: [`${key(2)} ${key(4)}`],
        endpoints: { [key(2)]: "192.0.2.9:51820" },
      },
      "link-setting wg0 admin": "up",
    });
  });

  it("refuses a peer twice, and a network of two peers", () => {
    const peers = [
      { publicKey: key(1), allowedIps: ["10.0.0.0/8"] },
      { publicKey: key(1), allowedIps: ["10.0.0.0/8"] },
    ];
    assert.deepEqual(refused({ name: "wg0", type, wireguard: { peers } }), [
      "wireguard.private_key: private_key is missing",
      `wireguard.peers[1].public_key: peer ${key(1)} is listed twice`,
      "wireguard.peers[1].allowed_ips[0]: 10.0.0.0/8 belongs to peers[0] already",
    ]);
  });
});

describe("Interface: VLANs, hardware address, sysctls", () => {
  it("asks for the VLANs of a port when it is one, and waits until then", () => {
    const port = { name: "eth1", master: "br0", pvid: 10, taggedVlans: [30, 20], untaggedVlans: [40] };
    const bridge = { name: "br0", type: InterfaceType.BRIDGE, vlanFiltering: true };
    const links = [link("eth1"), link("br0")];
    assert.equal(derived([port, bridge], links).pending?.reason, "NO_VLANS");
    const vlans = ["1 pvid untagged"];
    const there = [link("eth1", { vlans }), link("br0")];
    assert.deepEqual(asked(derived([port, bridge], there)), {
      "link-setting eth1 admin": "up",
      "link-setting eth1 master": "br0",
      "link-setting eth1 vlans": ["10 pvid untagged", "20", "30", "40 untagged"],
    });
    assert.deepEqual(asked(derived([bridge])), { "link br0": { kind: "bridge", vlanFiltering: true } });
    assert.deepEqual(refused({ name: "eth1", taggedVlans: [5, 5], untaggedVlans: [5] }), [
      "tagged_vlans[1]: VLAN 5 is listed twice",
      "untagged_vlans[0]: VLAN 5 is in tagged_vlans as well",
    ]);
  });

  it("names the settings of a link below it, a dot in its name as a slash", () => {
    const sysctls = [
      { key: "ipv6.accept_ra", value: "2" },
      { key: "ipv4.rp_filter", value: " 0" },
    ];
    assert.deepEqual(
      asked(derived([{ name: "eth0.5", mac: "02:00:00:00:00:05", sysctls }], [link("eth0.5")])),
      {
        "link-setting eth0.5 admin": "up",
        "link-setting eth0.5 mac": "02:00:00:00:00:05",
        "sysctl net.ipv6.conf.eth0/5.accept_ra": "2",
        "sysctl net.ipv4.conf.eth0/5.rp_filter": "0",
      },
    );
    const wrong = ["net.ipv4.ip_forward", "ipv4.rp_filter", "ipv4.rp_filter"].map((each) => ({
      key: each,
      value: "1",
    }));
    assert.deepEqual(refused({ name: "eth0", sysctls: wrong, mac: "01:00:00:00:00:01" }), [
      "mac: 01:00:00:00:00:01 is the address of a group, not of a link",
      'sysctls[0].key: "net.ipv4.ip_forward" is no setting of a link',
      "sysctls[2].key: ipv4.rp_filter is listed twice",
    ]);
  });
});
