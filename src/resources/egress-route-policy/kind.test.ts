import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import { parseIp } from "../../base/ip.ts";
import type { Link } from "../../dataplane/kernel-model.ts";
import {
  EgressHash,
  EgressMode,
  EgressRoutePolicySpecSchema,
  IpVersion,
} from "../../gen/cairn/v1/egress_service_pb.ts";
import { NAT44RuleSpecSchema, Nat44Type } from "../../gen/cairn/v1/nat_kinds_pb.ts";
import { IPv4RouteSpecSchema } from "../../gen/cairn/v1/route_kinds_pb.ts";
import type { Derivation, Surroundings } from "../kind.ts";
import { nat44RuleKind } from "../nat44-rule/kind.ts";
import { translationRules } from "../nat44-rule/translations.ts";
import { ipv4RouteKind } from "../route/kind.ts";
import { egressRoutePolicyKind } from "./kind.ts";
import { nothingChosen, type Selection } from "./selection.ts";

function link(name: string, addresses: readonly string[], up = true): Link {
  return {
    ...{
      index: 1,
      name,
      enabled: up,
      up,
      loopback: false,
      operState: up ? "up" : "down",
      mtu: 1500,
      mac: "",
    },
    ...{ kind: "", master: 0, parent: 0, data: {}, vlans: undefined },
    addresses: addresses.map((text) => {
      const [host, length] = text.split("/");
      return { address: parseIp(host)!, length: Number(length) };
    }),
  };
}

const links: Readonly<Record<string, Link>> = {
  eth0: link("eth0", ["203.0.113.2/24"]),
  wwan0: link("wwan0", ["192.0.2.2/30", "2001:db8::2/64", "fe80::1/64"]),
};

type Init = MessageInitShape<typeof EgressRoutePolicySpecSchema>;

const fiber = { name: "fiber", interface: "eth0", gateway: "203.0.113.1", weight: 3, mark: 1 } as const;
const lte = { name: "lte", interface: "wwan0", weight: 1, mark: 2 } as const;

function policy(more: Init = {}): Message {
  return create(EgressRoutePolicySpecSchema, { name: "net", candidates: [fiber, lte], ...more });
}

function chosen(names: readonly string[], usable = names): Selection {
  const members = new Map(
    ["fiber", "lte"].map((name) => [name, { ready: "yes", why: "", usable: usable.includes(name) } as const]),
  );
  return { ...nothingChosen, chosen: names, reason: "because", members };
}

function around(
  selection: Selection | undefined,
  objects: Readonly<Record<string, Message>> = { "EgressRoutePolicy/net": policy() },
): Surroundings {
  const none = {} as Surroundings;
  return {
    ...none,
    spec: (kind, name) => objects[`${kind}/${name}`],
    names: (kind) =>
      Object.keys(objects)
        .filter((id) => id.startsWith(`${kind}/`))
        .map((id) => id.slice(kind.length + 1)),
    link: (ifname) => links[ifname],
    apiListeners: () => [],
    egress: () => selection,
  };
}

function derive(spec: Message, selection: Selection | undefined): Derivation {
  return egressRoutePolicyKind.derive(spec, around(selection, { "EgressRoutePolicy/net": spec }));
}

/** Rules of nftables, in their order. */
function steering({ artifacts }: Derivation): unknown {
  return artifacts.find(({ key }) => key.startsWith("steer "))?.facts.rules;
}

function keys({ artifacts }: Derivation, className: string): string[] {
  return artifacts
    .filter((each) => each.class === className)
    .map(({ key, facts }) => `${key} -> ${JSON.stringify(facts)}`);
}

const [m1, m2] = ["0x00100000", "0x00200000"];
const clear = { [m1]: "0x801fffff", [m2]: "0x802fffff" };
const set = (what: string, mark: string): string => `${what} set ${what} & ${clear[mark]} | ${mark}`;
const has = (mark: string): string => `ct mark & 0x7ff00000 == ${mark}`;
const fresh = `ct state new ${has("0x00000000")}`;

describe("EgressRoutePolicy", () => {
  it("gives each candidate a table with its default route, and holds its flows when that is gone", () => {
    assert.deepEqual(keys(derive(policy(), chosen(["fiber"])), "route"), [
      '67001 0.0.0.0/0 0 -> {"protocol":"cairn","type":"unicast","hops":[{"gateway":"203.0.113.1","device":"eth0","weight":1}]}',
      '67001 0.0.0.0/0 4294967294 -> {"protocol":"cairn","type":"unreachable","hops":[]}',
      '67002 0.0.0.0/0 0 -> {"protocol":"cairn","type":"unicast","hops":[{"device":"wwan0","weight":1}]}',
      '67002 0.0.0.0/0 4294967294 -> {"protocol":"cairn","type":"unreachable","hops":[]}',
    ]);
    const elsewhere = policy({ candidates: [{ ...fiber, gateway: "198.51.100.1" }] });
    assert.equal(
      keys(derive(elsewhere, chosen(["fiber"])), "route").length,
      1,
      "the kernel takes no such gateway",
    );
  });

  it("leads marks, links and addresses to the tables, behind what the main table knows beside a default route", () => {
    const [suppressed, led] = [
      '{"protocol":"cairn","table":254,"suppress":0}',
      '{"protocol":"cairn","table":67001,"suppress":-1}',
    ];
    assert.deepEqual(keys(derive(policy({ candidates: [fiber] }), chosen(["fiber"])), "rule"), [
      `ip4 6700 fwmark 0x100000/0x7ff00000 -> ${suppressed}`,
      `ip4 6701 fwmark 0x100000/0x7ff00000 -> ${led}`,
      `ip4 6700 oif eth0 -> ${suppressed}`,
      `ip4 6702 oif eth0 -> ${led}`,
      `ip4 6700 from 203.0.113.2/32 -> ${suppressed}`,
      `ip4 6703 from 203.0.113.2/32 -> ${led}`,
    ]);
  });

  it("marks flows that begin, and the later packets of each as its connection is marked", () => {
    const source = policy({ sourceCidrs: ["10.0.0.0/24"], excludeDestinationCidrs: ["10.0.0.0/8"] });
    assert.deepEqual(steering(derive(source, chosen(["fiber"], ["fiber", "lte"]))), [
      `meta nfproto ipv4 iifname "eth0" ${fresh} ${set("ct mark", m1)}`,
      `meta nfproto ipv4 iifname "wwan0" ${fresh} ${set("ct mark", m2)}`,
      `iifname != "eth0" ${has(m1)} ${set("meta mark", m1)}`,
      `iifname != "wwan0" ${has(m2)} ${set("meta mark", m2)}`,
      `ip saddr 10.0.0.0/24 ip daddr != 10.0.0.0/8 ${fresh} counter ${set("ct mark", m1)} ${set("meta mark", m1)}`,
    ]);
  });

  it("moves the flows of a candidate that fails, but for those that are translated", () => {
    const rules = steering(derive(policy(), chosen(["lte"]))) as string[];
    assert.deepEqual(rules.slice(2, 5), [
      `iifname != "eth0" ${has(m1)} ct status snat ${set("meta mark", m1)}`,
      `iifname != "eth0" ${has(m1)} ct status ! snat ${set("ct mark", m2)} ${set("meta mark", m2)}`,
      `iifname != "wwan0" ${has(m2)} ${set("meta mark", m2)}`,
    ]);
  });

  it("shares flows by weight, and gives those without ports to the first", () => {
    const hash = policy({ mode: EgressMode.HASH, hash: EgressHash.ADDRESSES });
    const rules = steering(derive(hash, chosen(["fiber", "lte"]))) as string[];
    const share = (range: string, mark: string): string =>
      `meta nfproto ipv4 ${fresh} jhash ip saddr . ip daddr mod 4 seed 0x43 ${range} counter ${set("ct mark", mark)} ${set("meta mark", mark)}`;
    assert.deepEqual(rules.slice(4), [
      share("0-2", m1),
      share("3", m2),
      `meta nfproto ipv4 ${fresh} counter ${set("ct mark", m1)} ${set("meta mark", m1)}`,
    ]);
  });

  it("does so for IPv6 as well, and without addresses of the link alone", () => {
    const six = policy({ ipVersion: IpVersion.IPV6, candidates: [{ ...lte, gateway: "fe80::9" }] });
    const derived = derive(six, chosen(["lte"]));
    assert.match(keys(derived, "route")[0], /^67002 ::\/0 1024 -> .*"gateway":"fe80::9"/);
    assert.deepEqual(
      keys(derived, "rule")
        .filter((key) => key.includes("from"))
        .map((key) => key.split(" -> ")[0]),
      ["ip6 6700 from 2001:db8::2/128", "ip6 6703 from 2001:db8::2/128"],
    );
    assert.match((steering(derived) as string[])[0], /^meta nfproto ipv6 iifname "wwan0"/);
  });

  it("takes a table that somebody else fills as it is", () => {
    const vpn = policy({ candidates: [{ name: "vpn", table: 1000, mark: 3 }] });
    const derived = derive(vpn, {
      ...chosen([]),
      chosen: ["vpn"],
      members: new Map([["vpn", { ready: "yes", why: "", usable: true }]]),
    });
    assert.deepEqual(keys(derived, "route"), []);
    assert.match(keys(derived, "rule")[1], /^ip4 6701 fwmark 0x300000\/0x7ff00000 -> .*"table":1000/);
  });

  it("waits with a reason while nothing can be chosen; tables and rules are there already", () => {
    const derived = derive(policy(), { ...chosen([]), reason: "no candidate can be used: all are down" });
    assert.deepEqual(derived.pending, {
      reason: "NO_CANDIDATE",
      message: "no candidate can be used: all are down",
    });
    assert.equal(keys(derived, "rule").length, 12);
    assert.ok(
      !(steering(derived) as string[]).some((text) => text.includes("counter")),
      "nothing is given a mark",
    );
  });

  it("refuses a number that another candidate has, by the second name", () => {
    const other = create(EgressRoutePolicySpecSchema, { name: "a", candidates: [{ ...lte, mark: 1 }] });
    const objects = { "EgressRoutePolicy/a": other, "EgressRoutePolicy/net": policy() };
    const derived = egressRoutePolicyKind.derive(policy(), around(chosen(["fiber"]), objects));
    assert.equal(derived.pending?.reason, "MARK_TAKEN");
    assert.match(derived.pending!.message, /net\/fiber and a\/lte both have number 1/);
    assert.deepEqual(
      egressRoutePolicyKind.derive(other, around(chosen(["lte"]), objects)).pending,
      undefined,
    );
  });

  it("has the first policy by name speak for a link that several have", () => {
    const other = create(EgressRoutePolicySpecSchema, { name: "a", candidates: [{ ...fiber, mark: 9 }] });
    const objects = {
      "EgressRoutePolicy/a": other,
      "EgressRoutePolicy/net": policy({ candidates: [fiber] }),
    };
    const derived = egressRoutePolicyKind.derive(
      objects["EgressRoutePolicy/net"],
      around(chosen(["fiber"]), objects),
    );
    assert.equal(keys(derived, "rule").length, 2);
  });

  it("refuses what cannot be", () => {
    const problems = (init: Init): string[] =>
      egressRoutePolicyKind.check!(policy(init), () => undefined).map(
        ({ path, message }) => `${path}: ${message}`,
      );
    assert.deepEqual(problems({}), []);
    assert.deepEqual(problems({ candidates: [] }), ["candidates: a policy needs at least one candidate"]);
    assert.deepEqual(problems({ hash: EgressHash.SOURCE }), ["hash: hash is for mode hash"]);
    assert.deepEqual(problems({ candidates: [fiber, { ...fiber }] }), [
      "candidates[1].name: candidate fiber is listed twice",
      "candidates[1].mark: mark 1 is listed twice",
    ]);
    assert.deepEqual(problems({ candidates: [{ name: "x" }] }), [
      "candidates[0].interface: a candidate needs an interface or a table",
    ]);
    assert.deepEqual(
      problems({ candidates: [{ ...fiber, gateway: "fe80::1" }], sourceCidrs: ["2001:db8::/32"] }),
      ["candidates[0].gateway: fe80::1 is not IPv4", "source_cidrs[0]: 2001:db8::/32 is not IPv4"],
    );
    assert.deepEqual(problems({ candidates: [{ ...fiber, table: 7 }] }), [
      "candidates[0].gateway: a table that somebody else fills has its own gateways",
    ]);
    assert.deepEqual(problems({ mode: 9 as EgressMode }), ["mode: there is no mode 9"]);
  });
});

describe("what follows an egress policy", () => {
  it("NAT44Rule translates to the address of whichever candidate's link a flow leaves by", () => {
    const rule = create(NAT44RuleSpecSchema, {
      name: "out",
      egressPolicy: "net",
      sourceCidrs: ["10.0.0.0/24"],
    });
    const derived = nat44RuleKind.derive(rule, around(chosen(["lte"])));
    assert.deepEqual(
      derived.artifacts.map(({ facts }) => facts.rules),
      [['ip saddr 10.0.0.0/24 oifname { "eth0", "wwan0" } counter masquerade']],
    );
    assert.equal(derived.values?.selected, "lte");
    const check = (init: MessageInitShape<typeof NAT44RuleSpecSchema>): string[] =>
      nat44RuleKind.check!(create(NAT44RuleSpecSchema, { name: "x", ...init }), () => undefined).map(
        ({ path }) => path,
      );
    assert.deepEqual(check({ egressPolicy: "net" }), []);
    assert.deepEqual(check({ egressPolicy: "net", egressInterface: "eth0" }), ["egress_policy"]);
    assert.deepEqual(check({ egressPolicy: "net", type: Nat44Type.SNAT }), ["addresses"]);
  });

  it("flows are known to come of such a rule by the addresses of all candidates' links", () => {
    const rule = create(NAT44RuleSpecSchema, { name: "out", egressPolicy: "net" });
    const objects = { "EgressRoutePolicy/net": policy(), "NAT44Rule/out": rule };
    const [{ given }] = translationRules(around(chosen(["fiber"]), objects));
    assert.deepEqual([...given!], [0xc0000202, 0xc0000202, 0xcb007102, 0xcb007102]);
  });

  it("IPv4Route leads where the policy says, in shares when several are chosen", () => {
    const route = create(IPv4RouteSpecSchema, {
      name: "default",
      destination: "0.0.0.0/0",
      hops: [{ egressPolicy: "net" }],
    });
    const hops = (selection: Selection, spec = policy()): unknown =>
      ipv4RouteKind.derive(route, around(selection, { "EgressRoutePolicy/net": spec })).artifacts[0]?.facts
        .hops;
    assert.deepEqual(hops(chosen(["lte"])), [{ device: "wwan0", weight: 1 }]);
    assert.deepEqual(hops(chosen(["fiber", "lte"]), policy({ mode: EgressMode.HASH })), [
      { device: "wwan0", weight: 1 },
      { gateway: "203.0.113.1", device: "eth0", weight: 3 },
    ]);
    const none = ipv4RouteKind.derive(route, around({ ...chosen([]), reason: "all are down" }));
    assert.deepEqual(none.artifacts, []);
    assert.deepEqual(none.pending, { reason: "NO_CANDIDATE", message: "egress policy net: all are down" });
  });
});
