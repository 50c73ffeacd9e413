/**
 * Objects in a real kernel: brought there, kept there against another hand, over kill -9 at any moment, and taken away
 * again, while what is not cairn's stays as it is.
 */
import { seededRandom } from "../../src/base/random.ts";
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { Lab, pause } from "../lib/lab.ts";
import { Host, type KernelState } from "./host.ts";
import { type Declared, yaml } from "./many.ts";

const kinds = ["Interface", "IPv4StaticAddress", "IPv6StaticAddress", "IPv4Route", "IPv6Route", "Sysctl"];

const objects: readonly Declared[] = [
  { kind: "Interface", name: "wan", spec: { ifname: "eth0" } },
  { kind: "Interface", name: "lan", spec: { ifname: "eth1", mtu: 1400, master: "br0" } },
  { kind: "Interface", name: "br0", spec: { type: "bridge" } },
  { kind: "Interface", name: "pair", spec: { ifname: "pair0", type: "veth", peer: "pair1" } },
  { kind: "IPv4StaticAddress", name: "lan", spec: { interface: "br0", address: "10.0.0.1/24" } },
  { kind: "IPv6StaticAddress", name: "lan", spec: { interface: "br0", address: "2001:db8::1/64" } },
  {
    kind: "IPv4Route",
    name: "default",
    spec: { destination: "0.0.0.0/0", hops: [{ gateway: "192.0.2.1" }] },
  },
  {
    kind: "IPv4Route",
    name: "ecmp",
    spec: {
      destination: "198.51.100.0/24",
      hops: [
        { gateway: "192.0.2.7", interface: "wan", weight: 2 },
        { gateway: "10.0.0.9", interface: "br0" },
      ],
    },
  },
  { kind: "IPv6Route", name: "hole", spec: { destination: "2001:db8:dead::/48", type: "blackhole" } },
  { kind: "Sysctl", name: "forward", spec: { key: "net.ipv4.ip_forward", value: "1" } },
];

/** The kernel with all of `objects`, given what it was before. */
function expected(before: KernelState): KernelState {
  return {
    links: [
      "br0 bridge mtu 1400 up",
      "eth0 veth mtu 1500 up",
      "eth1 veth mtu 1400 up br0",
      "far-eth0 veth mtu 1500 up",
      "far-eth1 veth mtu 1500 up",
      "lo  mtu 65536 up",
      "pair0 veth mtu 1500 up",
      "pair1 veth mtu 1500 down",
    ],
    addresses: [...before.addresses, "br0 10.0.0.1/24", "br0 2001:db8::1/64"].sort(),
    routes: [
      ...before.routes,
      "198.51.100.0/24 proto 67 nexthop via 10.0.0.9 dev br0 weight 1 nexthop via 192.0.2.7 dev eth0 weight 2",
      "blackhole 2001:db8:dead::/48 dev lo proto 67 metric 1024",
      "default via 192.0.2.1 dev eth0 proto 67",
    ].sort(),
    forwarding: "1",
  };
}

const allApplied = Object.fromEntries(objects.map(({ kind, name }) => [`${kind}/${name}`, "applied"]));

export async function ownsItsPart(checks: Checks, folder: string): Promise<void> {
  await withHost(folder, [], async (host) => {
    const before = await host.kernel();
    await host.start();
    const file = host.lab.file("all.yaml", yaml(objects));
    const whole = expected(before);
    await checks.check("one transaction brings all of it to the kernel", async () => {
      await host.cli("apply", "-f", file);
      await eventually("kernel", whole, () => host.kernel());
      await eventually("phases", allApplied, () => host.phases(kinds));
    });
    await checks.check("the same file again changes nothing, and the kernel hears nothing", async () => {
      equal("generation", "nothing changed", (await host.cli("apply", "-f", file)).slice(0, 15));
      // Counted, not listened to: the kernel itself speaks of link-local addresses seconds after a link came up.
      const operations = await host.metric("cairn_kernel_operations_total");
      await host.cli("apply", "-f", file, "--reason", "again");
      await pause(700);
      equal("operations", operations, await host.metric("cairn_kernel_operations_total"));
    });
    await checks.check("200 changes by another hand are put right, each within a second", async () => {
      const random = seededRandom(7);
      const hands = otherHands();
      for (let i = 0; i < 200; i++) {
        const hand = hands[Math.floor(random() * hands.length)];
        await host.lab.try(host.namespace, hand);
        if (i % 10 !== 9) continue;
        // Ten at a time, so that they also meet repairs under way.
        await eventually(`kernel after ${hand.join(" ")}`, whole, () => host.kernel(), 20_000);
      }
      await eventually("phases", allApplied, () => host.phases(kinds));
    });
    await checks.check("kill -9 at any moment of a change, and the next start makes it good", async () => {
      const random = seededRandom(11);
      const some = host.lab.file("some.yaml", yaml(objects.slice(0, 2)));
      for (let i = 0; i < 6; i++) {
        const to = i % 2 === 0 ? some : file;
        void host.try("apply", "-f", to, "--prune");
        await pause(150 + random() * 250);
        await host.daemon.kill();
        await host.start();
        await host.cli("apply", "-f", file, "--prune");
        await eventually("kernel", whole, () => host.kernel());
      }
    });
    await checks.check("what is deleted leaves the kernel as it was found", async () => {
      const nothing = host.lab.file("nothing.yaml", yaml([{ kind: "PrefixSet", name: "p", spec: {} }]));
      await host.cli("apply", "-f", nothing, "--prune");
      await eventually("kernel", before, () => host.kernel());
    });
  });
}

/** What somebody else may do to what is cairn's. */
function otherHands(): string[][] {
  return [
    ["ip", "route", "del", "default"],
    // Not "replace": in the moment after a deletion that would make a route of its own, a conflict to be left alone.
    ["ip", "route", "change", "default", "via", "192.0.2.8", "proto", "67"],
    ["ip", "route", "del", "198.51.100.0/24"],
    ["ip", "-6", "route", "del", "blackhole", "2001:db8:dead::/48"],
    ["ip", "address", "del", "10.0.0.1/24", "dev", "br0"],
    ["ip", "address", "del", "2001:db8::1/64", "dev", "br0"],
    ["ip", "link", "set", "eth1", "mtu", "1300"],
    ["ip", "link", "set", "eth1", "nomaster"],
    ["ip", "link", "set", "eth1", "down"],
    ["ip", "link", "del", "br0"],
    ["ip", "link", "del", "pair0"],
    ["sysctl", "-q", "-w", "net.ipv4.ip_forward=0"],
  ];
}

export async function withoutPrivilege(checks: Checks, folder: string): Promise<void> {
  const drop = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
  await withHost(folder, drop, async (host) => {
    await host.start();
    await host.cli("apply", "-f", host.lab.file("all.yaml", yaml(objects)));
    await checks.check("without CAP_NET_ADMIN objects say so, and the daemon goes on", async () => {
      const said = async (): Promise<string> =>
        (await host.cli("explain", "IPv4Route/default")).split("\n")[0].trim();
      const sentence = "EPERM: cairnd needs the capability CAP_NET_ADMIN";
      const text = `IPv4Route/default is failed: route 254 0.0.0.0/0 0: ${sentence}`;
      await eventually("explanation", text, said);
      await host.cli("global", "set", "--asn", "65001", "--router-id", "192.0.2.2");
      equal("health", 0, (await host.try("health")).code);
    });
  });
}

export async function waitsForDevices(checks: Checks, folder: string): Promise<void> {
  await withHost(folder, [], async (host) => {
    await host.start();
    const tunnel = { kind: "Interface", name: "late", spec: { ifname: "late0" } };
    const address = {
      kind: "IPv4StaticAddress",
      name: "late",
      spec: { interface: "late", address: "10.7.0.1/24" },
    };
    const route = {
      kind: "IPv4Route",
      name: "late",
      spec: { destination: "10.8.0.0/16", hops: [{ gateway: "10.7.0.9", interface: "late" }] },
    };
    await host.cli("apply", "-f", host.lab.file("late.yaml", yaml([tunnel, address, route])));
    const ids = ["Interface/late", "IPv4StaticAddress/late", "IPv4Route/late"];
    const all = (phase: string): Record<string, string> => Object.fromEntries(ids.map((id) => [id, phase]));
    const phases = (): Promise<Record<string, string>> =>
      host.phases(["Interface", "IPv4StaticAddress", "IPv4Route"]);
    await checks.check("objects wait for a device that is not there", () =>
      eventually("phases", all("pending"), phases),
    );
    await checks.check("and follow it when it comes, goes, and comes again", async () => {
      for (let i = 0; i < 2; i++) {
        await host.ip("link", "add", "late0", "type", "veth", "peer", "name", "late1");
        await eventually("phases", all("applied"), phases);
        await host.ip("link", "del", "late0");
        await eventually("phases", all("pending"), phases);
      }
    });
  });
}

async function withHost(
  folder: string,
  prefix: readonly string[],
  body: (host: Host) => Promise<void>,
): Promise<void> {
  const lab = new Lab(folder);
  try {
    await body(await Host.open(lab, prefix));
  } finally {
    await lab.close();
  }
}
