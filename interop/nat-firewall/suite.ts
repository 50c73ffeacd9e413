/** NAT and firewall in a real kernel, by what passes through it. */
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { pause } from "../lib/lab.ts";
import { inside, type Network, outside, withNetwork } from "./network.ts";

export type Spec = Readonly<Record<string, unknown>>;

export interface Declared {
  readonly kind: string;
  readonly name: string;
  readonly spec: Spec;
}

export const base: readonly Declared[] = [
  { kind: "Interface", name: "lan", spec: { ifname: "link0" } },
  { kind: "Interface", name: "wan", spec: { ifname: "link1" } },
  { kind: "Sysctl", name: "forward4", spec: { key: "net.ipv4.ip_forward", value: "1" } },
  { kind: "Sysctl", name: "forward6", spec: { key: "net.ipv6.conf.all.forwarding", value: "1" } },
];

export const privateNetworks: Declared = {
  kind: "AddressSet",
  name: "private",
  spec: { cidrs: ["10.0.0.0/8", "192.168.0.0/16", "fc00::/7"] },
};

export const masquerade: Declared = {
  kind: "NAT44Rule",
  name: "out",
  spec: { egress_interface: "wan", source_cidrs: ["10.0.0.0/24"], exclude_destination_sets: ["private"] },
};

export const forward: Declared = {
  kind: "NAT44Rule",
  name: "web",
  spec: {
    type: "dnat",
    ingress_interface: "wan",
    protocol: "tcp",
    ports: "8080",
    target_address: inside.client,
    target_port: 80,
    hairpin_interfaces: ["lan"],
  },
};

const foreignTable = `
table ip theirs {
  set s { type ipv4_addr; elements = { 192.0.2.1 }; }
  chain pre { type filter hook prerouting priority -5; policy accept; ip saddr @s counter drop comment "theirs"; }
}
table inet cairn2 { chain x { counter accept; }; }
`;

export function yaml(declared: readonly Declared[]): string {
  return declared
    .map(({ kind, name, spec }) =>
      JSON.stringify({ apiVersion: "net.cairn/v1alpha1", kind, metadata: { name }, spec }),
    )
    .join("\n---\n");
}

/** Declares these objects and no others, and waits until the kernel has them: links and sysctls as well as rules. */
export async function declare(network: Network, declared: readonly Declared[]): Promise<void> {
  const { host } = network;
  await host.apply(yaml(declared), true);
  const wanted = Object.fromEntries(declared.map(({ kind, name }) => [`${kind}/${name}`, "applied"]));
  const kinds = [...new Set(declared.map(({ kind }) => kind))];
  await eventually("phases", wanted, () => host.phases(kinds));
}

export async function translates(checks: Checks, folder: string): Promise<void> {
  await withNetwork(folder, async (network) => {
    const { host } = network;
    await network.nft("-f", host.lab.file("foreign.nft", foreignTable));
    const foreign = await network.foreign();
    await host.start();
    const all = [...base, privateNetworks, masquerade];
    await declare(network, all);
    await checks.check("masquerade: the server outside sees the address of the host", async () => {
      equal("source", outside.host, await network.connect("client", outside.server, 8000));
    });
    await checks.check("exclusions: a private destination sees the client's own address", async () => {
      equal("source", inside.client, await network.connect("client", outside.private, 8000));
    });
    await checks.check("tables of others are byte for byte as they were", async () => {
      equal("tables", foreign, await network.foreign());
    });
    await checks.check("a change of the set alters no rule, and counters go on", async () => {
      const rules = (): Promise<string> => network.nft("-a", "list", "chain", "inet", "cairn", "postrouting");
      const before = await rules();
      equal("counted", true, /counter packets [1-9]/.test(before));
      const wider = {
        ...privateNetworks,
        spec: { cidrs: ["10.0.0.0/8", "192.168.0.0/16", "203.0.113.9/32"] },
      };
      await declare(network, [...base, wider, masquerade]);
      equal("source", inside.client, await network.connect("client", outside.server, 8000));
      await declare(network, all);
      equal("rules", before, await rules());
    });
    await checks.check("a flushed chain, a deleted table and a strange rule are put right", async () => {
      const table = async (): Promise<string> =>
        (await network.nft("-s", "list", "table", "inet", "cairn")).trim();
      const whole = await table();
      const hands = [
        ["flush", "chain", "inet", "cairn", "postrouting"],
        ["delete", "table", "inet", "cairn"],
        ["insert", "rule", "inet", "cairn", "postrouting", "accept"],
        ["flush", "set", "inet", "cairn", "AddressSet.private.v4"],
        ["flush", "ruleset"],
      ];
      for (const hand of hands) {
        await network.nft(...hand);
        await eventually(hand.join(" "), whole, () => table().catch(() => ""));
        await pause(1000);
      }
      equal("source", outside.host, await network.connect("client", outside.server, 8000));
    });
    await checks.check("source NAT to an address, and to a pool", async () => {
      const snat = (...addresses: string[]): Declared => ({
        kind: "NAT44Rule",
        name: "out",
        spec: { type: "snat", egress_interface: "wan", source_cidrs: ["10.0.0.0/24"], addresses },
      });
      await host.ip("address", "add", "203.0.113.2/24", "dev", "link1");
      await host.ip("address", "add", "203.0.113.3/24", "dev", "link1");
      await declare(network, [...base, snat("203.0.113.2")]);
      equal("source", "203.0.113.2", await network.connect("client", outside.server, 8000));
      await declare(network, [...base, snat("203.0.113.2", "203.0.113.3")]);
      const seen = await network.connect("client", outside.server, 8000, inside.client);
      equal("of the pool", true, ["203.0.113.2", "203.0.113.3"].includes(seen));
      equal("again", seen, await network.connect("client", outside.server, 8000, inside.client));
      await host.ip("address", "del", "203.0.113.2/24", "dev", "link1");
      await host.ip("address", "del", "203.0.113.3/24", "dev", "link1");
    });
    await checks.check("a forwarded port, from outside and, by hairpin, from inside", async () => {
      await declare(network, [...base, masquerade, privateNetworks, forward]);
      equal("outside", outside.server, await network.connect("server", outside.host, 8080));
      equal("inside", inside.host, await network.connect("client", outside.host, 8080));
      equal("another port", "ECONNREFUSED", await network.connect("server", outside.host, 8079));
    });
    await checks.check("and after the outside address changed, without a change of rules", async () => {
      const rules = async (): Promise<string> =>
        (await network.nft("-a", "-s", "-t", "list", "table", "inet", "cairn")).replace(/elements.*/g, "");
      const before = await rules();
      await host.ip("address", "add", "203.0.113.77/24", "dev", "link1");
      await host.ip("address", "del", `${outside.host}/24`, "dev", "link1");
      await host.ip("address", "add", "203.0.113.77/24", "dev", "link1").catch(() => "");
      equal("outside", outside.server, await network.connect("server", "203.0.113.77", 8080));
      await eventually("inside", inside.host, () => network.connect("client", "203.0.113.77", 8080));
      equal("source", "203.0.113.77", await network.connect("client", outside.server, 8000));
      equal("rules", before, await rules());
      const status = await host.cli("get", "NAT44Rule", "--json");
      equal("counters in the status", true, /"packets"/.test(status));
    });
    await checks.check("what is deleted leaves nothing behind", async () => {
      await declare(network, base);
      await eventually("what is left", "", () =>
        network.nft("-a", "list", "table", "inet", "cairn").catch(() => ""),
      );
    });
  });
}

export const zones: readonly Declared[] = [
  { kind: "FirewallZone", name: "inside", spec: { role: "trust", interfaces: ["lan"] } },
  { kind: "FirewallZone", name: "outside", spec: { role: "untrust", interfaces: ["wan"] } },
];

/** The filter of `connect` when nothing answers. */
const silence = "timeout";

export async function keepsOut(checks: Checks, folder: string): Promise<void> {
  await withNetwork(folder, async (network) => {
    const { host } = network;
    await network.nft("-f", host.lab.file("foreign.nft", foreignTable));
    const foreign = await network.foreign();
    await host.start();
    await declare(network, base);
    const open = [
      await network.connect("server", inside.client6, 80),
      await network.connect("server", inside.client, 80),
    ];
    const firewall = [...base, ...zones, masquerade, privateNetworks];
    await checks.check("by default nothing from outside gets in, by IPv4 or IPv6", async () => {
      equal("without a firewall", [outside.server6, outside.server], open);
      await declare(network, firewall);
      const heard = await Promise.all([
        network.connect("server", inside.client6, 80),
        network.connect("server", inside.client, 80),
        network.connect("server", outside.host, 22),
        network.connect("server", outside.host6, 22),
      ]);
      equal("IPv6, IPv4, the host by either", [silence, silence, silence, silence], heard);
    });
    await checks.check("from inside all is reached, and answers come back", async () => {
      equal("IPv4", outside.host, await network.connect("client", outside.server, 8000));
      equal("IPv6", inside.client6, await network.connect("client", outside.server6, 8000));
      equal("the host", "ECONNREFUSED", await network.connect("client", inside.host, 22));
    });
    await checks.check("a rule lets in what it states, and no more", async () => {
      const rule: Declared = {
        kind: "FirewallRule",
        name: "web6",
        spec: {
          from_zone: "outside",
          to_zone: "inside",
          destination_cidrs: [`${inside.client6}/128`],
          protocol: "tcp",
          destination_ports: ["80"],
          action: "accept",
        },
      };
      await declare(network, [...firewall, rule]);
      equal("port 80", outside.server6, await network.connect("server", inside.client6, 80));
      const others = await Promise.all([
        network.connect("server", inside.client6, 81),
        network.connect("server", inside.client, 80),
      ]);
      equal("port 81, and IPv4", [silence, silence], others);
      const refuse: Declared = {
        kind: "FirewallPolicy",
        name: "refuse",
        spec: { from_zone: "outside", action: "reject" },
      };
      await declare(network, [...firewall, rule, refuse]);
      equal("rejected", "ECONNREFUSED", await network.connect("server", outside.host, 22));
    });
    await checks.check("forwarded ports pass without a rule", async () => {
      await declare(network, [...firewall, forward]);
      equal("outside", outside.server, await network.connect("server", outside.host, 8080));
      equal("inside", inside.host, await network.connect("client", outside.host, 8080));
    });
    await checks.check("BGP is open for neighbors, and for nobody else", async () => {
      const listen = ["0.0.0.0:1179"];
      await host.apply(yaml([...firewall, global(listen)]), true);
      await host.daemon.stop();
      await host.start();
      equal("stranger", silence, await network.connect("server", outside.host, 1179));
      const neighbor: Declared = {
        kind: "Neighbor",
        name: outside.server,
        spec: { remote_asn: 65002, passive: true },
      };
      await host.apply(yaml([...firewall, global(listen), neighbor]), true);
      const status = async (): Promise<boolean> =>
        /BGP \(tcp 1179\) from 1 neighbor /.test(await host.cli("get", "FirewallZone", "--json"));
      await eventually("said in the status", true, status);
      const connected = async (): Promise<boolean> =>
        (await network.connect("server", outside.host, 1179)) !== silence;
      await eventually("neighbor", true, connected);
    });
    await checks.check("a stream loses nothing while rules come, go and change", async () => {
      await declare(network, firewall);
      const before = await network.dropped();
      const stream = await network.stream(4000);
      for (let i = 0; stream.running; i++) {
        const noise: Declared = {
          kind: "FirewallRule",
          name: `n${i % 3}`,
          spec: { from_zone: "outside", priority: i, action: i % 2 === 0 ? "drop" : "reject" },
        };
        const declared = i % 4 === 3 ? firewall.filter(({ kind }) => kind !== "NAT44Rule") : firewall;
        await host.apply(yaml([...declared, noise]), true);
      }
      const { sent, counted } = JSON.parse(stream.log.trim()) as { sent: number; counted: number };
      equal("more than 5 MB", true, sent > 5e6);
      equal("counted by the server", sent, counted);
      equal("packets dropped", before, await network.dropped());
    });
    await checks.check(
      "tables of others are byte for byte as they were, and nothing is left behind",
      async () => {
        await declare(network, base);
        await eventually("what is left", "", () =>
          network.nft("-a", "list", "table", "inet", "cairn").catch(() => ""),
        );
        equal("tables", foreign, await network.foreign());
      },
    );
  });
}

function global(listen: readonly string[]): Declared {
  return { kind: "Global", name: "global", spec: { asn: 65001, router_id: "203.0.113.1", listen } };
}
