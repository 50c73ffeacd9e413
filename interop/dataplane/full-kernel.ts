/**
 * Links that the kernel here may lack, between two hosts that cairnd owns: dummy, VLAN, VRF, bond, VXLAN over a bridge that
 * keeps VLANs apart, WireGuard. Runs inside a VM (vm.ts), as root, in namespaces of its own.
 */
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Checks, equal, eventually } from "../lib/checks.ts";
import { Lab, type Namespace } from "../lib/lab.ts";
import { Host } from "./host.ts";
import { type Declared, yaml } from "./many.ts";

/** Everything is some twenty times slower without hardware support. */
const slowMs = 150_000;
const kinds = ["Interface", "IPv4StaticAddress", "IPv4Route", "SysctlProfile"];

interface Choices {
  readonly bondMode: "active-backup" | "lacp";
  readonly keepaliveS: number;
  readonly vlan: number;
}

const first: Choices = { bondMode: "active-backup", keepaliveS: 0, vlan: 10 };
const second: Choices = { bondMode: "lacp", keepaliveS: 5, vlan: 11 };

interface Keys {
  readonly secret: string;
  readonly open: string;
}

function newKeys(): Keys {
  const { privateKey } = generateKeyPairSync("x25519");
  const { d, x } = privateKey.export({ format: "jwk" });
  const text = (part: string | undefined): string => Buffer.from(part!, "base64url").toString("base64");
  return { secret: text(d), open: text(x) };
}

/** Objects of the host that is .1 or .2 on each network. */
function objectsOf(self: 1 | 2, keys: readonly Keys[], chosen: Choices): Declared[] {
  const other = 3 - self;
  const link = (name: string, spec: Record<string, unknown>): Declared => ({ kind: "Interface", name, spec });
  const address = (on: string, text: string): Declared => ({
    ...{ kind: "IPv4StaticAddress", name: on, spec: { interface: on, address: text } },
  });
  const peer = {
    public_key: keys[other - 1].open,
    allowed_ips: ["10.50.0.0/24", `198.51.100.${other}/32`],
    keepalive_s: chosen.keepaliveS,
    // The other one is found by what it sends.
    ...(self === 1 && { endpoint: "192.0.2.2:51820" }),
  };
  return [
    { kind: "SysctlProfile", name: "router", spec: { profile: "router" } },
    link("wan", { ifname: "link0", sysctls: [{ key: "ipv4.rp_filter", value: "2" }] }),
    link("port1", { ifname: "link1" }),
    link("port2", { ifname: "link2" }),
    link("lo1", { type: "dummy" }),
    address("lo1", `198.51.100.${self}/32`),
    link("v10", { type: "vlan", parent: "wan", vlan_id: 110, mac: `02:00:00:00:10:0${self}` }),
    address("v10", `10.10.0.${self}/24`),
    // The same network in a routing domain of its own.
    link("red", { type: "vrf", table: 100 }),
    link("v20", { type: "vlan", parent: "wan", vlan_id: 120, master: "red" }),
    address("v20", `10.10.0.${self}/24`),
    link("bond0", { type: "bond", members: ["port1", "port2"], bond: { mode: chosen.bondMode } }),
    address("bond0", `10.30.0.${self}/24`),
    link("br0", { type: "bridge", vlan_filtering: true, tagged_vlans: [chosen.vlan] }),
    link("vx100", {
      ...{ type: "vxlan", parent: "wan", master: "br0", tagged_vlans: [chosen.vlan] },
      vxlan: { vni: 100, local: `192.0.2.${self}`, remote: `192.0.2.${other}` },
    }),
    link("inner", { ifname: "br0.v", type: "vlan", parent: "br0", vlan_id: chosen.vlan }),
    address("inner", `10.40.0.${self}/24`),
    link("wg0", {
      type: "wireguard",
      wireguard: { private_key: keys[self - 1].secret, listen_port: 51820, peers: [peer] },
    }),
    address("wg0", `10.50.0.${self}/24`),
    {
      kind: "IPv4Route",
      name: "through-wg",
      spec: { destination: `198.51.100.${other}/32`, hops: [{ interface: "wg0" }] },
    },
  ];
}

class Pair {
  readonly hosts: readonly [Host, Host];
  readonly keys: readonly Keys[];
  private readonly labs: readonly Lab[];

  private constructor(labs: readonly Lab[], namespaces: readonly Namespace[]) {
    this.labs = labs;
    this.hosts = [Host.in(labs[0], namespaces[0]), Host.in(labs[1], namespaces[1])];
    this.keys = [newKeys(), newKeys()];
  }

  static async open(folder: string): Promise<Pair> {
    const labs = ["a", "b"].map((name) => new Lab(path.join(folder, name)));
    const [a, b] = [await labs[0].namespace("a"), await labs[1].namespace("b")];
    await labs[0].link(a, ["192.0.2.1/24"], b, ["192.0.2.2/24"]);
    for (let i = 0; i < 2; i++) await labs[0].link(a, [], b, []);
    return new Pair(labs, [a, b]);
  }

  declared(chosen: Choices): readonly [Declared[], Declared[]] {
    return [objectsOf(1, this.keys, chosen), objectsOf(2, this.keys, chosen)];
  }

  async apply(chosen: Choices): Promise<void> {
    const declared = this.declared(chosen);
    for (const [i, host] of this.hosts.entries()) await host.apply(yaml(declared[i]));
  }

  /** All objects are applied, and packets pass over every link. */
  async works(chosen: Choices): Promise<void> {
    for (const [i, host] of this.hosts.entries()) {
      const objects = this.declared(chosen)[i].map(({ kind, name }) => [`${kind}/${name}`, "applied"]);
      await eventually(
        `phases of host ${i + 1}`,
        sorted(objects),
        async () => sorted(Object.entries(await host.phases(kinds))),
        slowMs,
      );
    }
    const [host] = this.hosts;
    for (const [what, ...command] of [
      ["VLAN", "10.10.0.2"],
      ["VRF", "10.10.0.2", "red"],
      ["bond", "10.30.0.2"],
      ["VXLAN", "10.40.0.2"],
      ["WireGuard", "10.50.0.2"],
      ["dummy through WireGuard", "198.51.100.2"],
    ]) {
      await eventually(what, "answered", () => echo(host, command[0], command[1]), slowMs);
    }
  }

  async close(): Promise<void> {
    for (const lab of [...this.labs].reverse()) await lab.close();
  }
}

/** An echo request (RFC 792) and its answer. @param device that it must leave by */
async function echo(host: Host, to: string, device = ""): Promise<string> {
  const { code } = await host.lab.try(host.namespace, ["python3", "-c", echoScript, to, device]);
  return code === 0 ? "answered" : "no answer";
}

const echoScript = `
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
if sys.argv[2]: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[2].encode())
s.settimeout(3)
head = struct.pack('>BBHHH', 8, 0, 0, 77, 1)
total = sum(struct.unpack('>4H', head))
s.sendto(struct.pack('>BBHHH', 8, 0, ~(total + (total >> 16)) & 0xffff, 77, 1), (sys.argv[1], 0))
while True:
    answer, (source, _) = s.recvfrom(2000)
    if source == sys.argv[1] and answer[20] == 0: break
`;

function sorted(entries: readonly string[][]): string[] {
  return entries.map(([id, phase]) => `${id} ${phase}`).sort();
}

/** What the kernel's own tools say of links, without what comes and goes by itself. */
async function detailsOf(host: Host, ifname: string): Promise<string> {
  return host.ip("-d", "-o", "link", "show", ifname);
}

async function fullKernel(checks: Checks, folder: string): Promise<void> {
  const pair = await Pair.open(folder);
  const [host, far] = pair.hosts;
  try {
    const before = await Promise.all(pair.hosts.map((each) => each.kernel()));
    for (const each of pair.hosts) await each.start();
    await checks.check(
      "dummy, VLAN, VRF, bond, VXLAN, bridge VLANs and WireGuard carry packets",
      async () => {
        await pair.apply(first);
        await pair.works(first);
        const told =
          (await detailsOf(host, "bond0")) +
          (await detailsOf(host, "vx100")) +
          (await detailsOf(host, "v10"));
        for (const words of [
          "bond mode active-backup miimon 100",
          "vxlan id 100 remote 192.0.2.2 local 192.0.2.1 dev link0",
          "02:00:00:00:10:01",
        ])
          equal(words, true, told.includes(words));
        equal(
          "rp_filter",
          "2",
          (await host.lab.in(host.namespace, ["cat", "/proc/sys/net/ipv4/conf/link0/rp_filter"])).trim(),
        );
      },
    );
    await checks.check(
      "the same again asks nothing of the kernel, and nothing counts as altered",
      async () => {
        const operations = await host.metric("cairn_kernel_operations_total");
        await pair.apply(first);
        await pair.works(first);
        equal("operations", operations, await host.metric("cairn_kernel_operations_total"));
        equal(
          "drifts",
          [0, 0],
          await Promise.all(pair.hosts.map((each) => each.metric("cairn_kernel_drifts_total"))),
        );
      },
    );
    await checks.check("secrets are told to nobody", async () => {
      const resource = { kind: "Interface", name: "wg0" };
      const described = JSON.stringify(await host.rpc("ResourceService/DescribeResource", resource));
      equal("the key", false, described.includes(pair.keys[0].secret));
    });
    await checks.check("what another hand does to them is put right", async () => {
      for (const command of [
        ["ip", "link", "set", "bond0", "type", "bond", "miimon", "500"],
        ["ip", "link", "set", "link1", "nomaster"],
        ["bridge", "vlan", "del", "dev", "vx100", "vid", "10"],
        ["bridge", "vlan", "add", "dev", "vx100", "vid", "99"],
        ["ip", "link", "set", "v10", "address", "02:00:00:00:99:99"],
        ["ip", "link", "set", "br0", "type", "bridge", "vlan_filtering", "0"],
        ["ip", "link", "del", "vx100"],
        ["ip", "link", "del", "wg0"],
        ["ip", "link", "del", "red"],
      ]) {
        await host.lab.in(host.namespace, command);
        await pair.works(first);
      }
      const vlans = async (): Promise<string> =>
        (await host.lab.in(host.namespace, ["bridge", "vlan", "show", "dev", "vx100"])).replace(/\s+/g, " ");
      await eventually("VLANs", "port vlan-id vx100 10 ", vlans, slowMs);
    });
    await checks.check("other modes, VLANs and peers take the place of those before", async () => {
      await pair.apply(second);
      await pair.works(second);
      equal("mode", true, (await detailsOf(host, "bond0")).includes("bond mode 802.3ad"));
    });
    await checks.check("a bond goes on over the other member", async () => {
      await far.ip("link", "set", "link1", "down");
      await eventually("echo", "answered", () => echo(host, "10.30.0.2"), slowMs);
    });
    await checks.check("kill -9 and a start change nothing", async () => {
      const described = await Promise.all(
        ["bond0", "vx100", "wg0", "br0"].map((name) => detailsOf(host, name)),
      );
      await host.daemon.kill();
      await host.start();
      await pair.works(second);
      equal("operations", 0, await host.metric("cairn_kernel_operations_total"));
      equal(
        "links",
        described.map(indexOf),
        (await Promise.all(["bond0", "vx100", "wg0", "br0"].map((name) => detailsOf(host, name)))).map(
          indexOf,
        ),
      );
    });
    await checks.check("what is deleted leaves the kernel as it was found", async () => {
      for (const [i, each] of pair.hosts.entries()) {
        await each.apply(yaml([{ kind: "PrefixSet", name: "p", spec: {} }]), true);
        await eventually(`kernel of host ${i + 1}`, before[i], () => each.kernel(), slowMs);
      }
    });
  } finally {
    // The VM takes the logs with it.
    if (checks.failed > 0) for (const each of pair.hosts) console.log(each.daemon.log.slice(-3000));
    await pair.close();
  }
}

function indexOf(line: string): string {
  return line.split(":")[0];
}

const checks = new Checks("full kernel");
await fullKernel(checks, mkdtempSync(path.join(tmpdir(), "cairn-links-"))).catch((error) =>
  checks.check("the laboratory", () => Promise.reject(error)),
);
process.exit(checks.failed > 0 ? 1 : 0);
