/** Flow specifications in a real kernel, by what passes through it. */
import fc from "fast-check";
import { formatRule } from "../../src/wire/flowspec/text.ts";
import { arbitraryFlow } from "../../test/support/flowspec.ts";
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { pause } from "../lib/lab.ts";
import { inside, type Network, outside, withNetwork } from "../nat-firewall/network.ts";

interface FilterRule {
  readonly rule: string;
  readonly state: string;
  readonly reason?: string;
  readonly packets?: string;
}

const router: readonly object[] = [
  object("Global", "global", { asn: 65001, router_id: "203.0.113.1" }),
  object("Interface", "lan", { ifname: "link0" }),
  object("Sysctl", "forward4", { key: "net.ipv4.ip_forward", value: "1" }),
  object("Sysctl", "forward6", { key: "net.ipv6.conf.all.forwarding", value: "1" }),
];

function object(kind: string, name: string, spec: object): object {
  return { apiVersion: "net.cairn/v1alpha1", kind, metadata: { name }, spec };
}

function filter(spec: object): object {
  return object("FlowSpecFilter", "edge", { interfaces: ["lan"], ...spec });
}

/** Declares these and no others, and waits until the kernel has them. */
async function declare({ host }: Network, ...objects: readonly object[]): Promise<void> {
  const text = [...router, ...objects].map((each) => JSON.stringify(each)).join("\n---\n");
  await host.cli("apply", "-f", host.lab.file("declared.yaml", text), "--prune");
  const kinds = ["Interface", "Sysctl", "FlowSpecFilter"];
  await eventually("phases", true, async () =>
    Object.values(await host.phases(kinds)).every((phase) => phase === "applied"),
  );
}

function add({ host }: Network, rule: string): Promise<unknown> {
  return host.rpc("InjectionService/AddFlowSpec", { flowSpec: { rule } });
}

function remove({ host }: Network, rule: string): Promise<unknown> {
  return host.rpc("InjectionService/DeleteFlowSpec", { rule });
}

async function rules({ host }: Network): Promise<FilterRule[]> {
  const request = { pageSize: 10_000 };
  const { rules: all = [] } = await host.rpc<{ rules?: FilterRule[] }>(
    "ResourceService/ListFlowSpecFilterRules",
    request,
  );
  return all;
}

/** Match of each rule with its state, in their order. */
async function states(network: Network): Promise<string[]> {
  return (await rules(network)).map(
    ({ rule, state }) =>
      `${rule.split(" -> ")[0]}: ${state.replace("FLOW_SPEC_RULE_STATE_", "").toLowerCase()}`,
  );
}

async function isInstalled(network: Network, ...matches: readonly string[]): Promise<void> {
  await eventually(
    "rules",
    matches.map((match) => `${match}: installed`),
    () => states(network),
  );
}

function toServer(network: Network, port: number): Promise<string> {
  return network.connect("client", outside.server, port);
}

/** What was asked for may still be on its way into the kernel. */
async function passes(network: Network): Promise<void> {
  await eventually("passes", inside.client, () => toServer(network, 8000));
}

export async function filtersFlows(checks: Checks, folder: string): Promise<void> {
  await withNetwork(folder, async (network) => {
    const { host } = network;
    const theirs = `table ip theirs {
      chain post {
        type filter hook postrouting priority 0; policy accept;
        ip dscp ef counter
        udp dport 9999 counter
      }
    }`;
    await network.nft("-f", host.lab.file("theirs.nft", theirs));
    const foreign = await network.foreign();
    await host.start();
    await declare(network, filter({}));
    const drop = "dst 203.0.113.9/32 proto tcp dst-port 8000 -> drop";
    await checks.check(
      "a rule drops what it says and nothing else, and what it dropped is counted",
      async () => {
        equal("before", inside.client, await toServer(network, 8000));
        await add(network, drop);
        await isInstalled(network, "dst 203.0.113.9/32 proto tcp dst-port 8000");
        equal("dropped", "timeout", await toServer(network, 8000));
        equal("another address", inside.client, await network.connect("client", outside.private, 8000));
        await eventually("counted", true, async () => Number((await rules(network))[0]?.packets ?? 0) > 0);
      },
    );
    await checks.check("rules stay while cairnd is away, and injected ones after it", async () => {
      await host.daemon.stop();
      equal("dropped without cairnd", "timeout", await toServer(network, 8000));
      await host.start();
      await isInstalled(network, "dst 203.0.113.9/32 proto tcp dst-port 8000");
      equal("dropped", "timeout", await toServer(network, 8000));
    });
    await checks.check("the rule goes with its route", async () => {
      await remove(network, drop);
      await isInstalled(network);
      await passes(network);
    });
    await checks.check("rules stand in the order of RFC 8955, whatever order they came in", async () => {
      await add(network, "dst 203.0.113.0/24 -> drop");
      await isInstalled(network, "dst 203.0.113.0/24");
      equal("dropped", "timeout", await toServer(network, 8000));
      await add(network, "dst 203.0.113.9/32 proto tcp dst-port 8000 -> accept");
      await add(network, "src 10.0.0.0/24 -> accept");
      const order = ["dst 203.0.113.9/32 proto tcp dst-port 8000", "dst 203.0.113.0/24", "src 10.0.0.0/24"];
      await isInstalled(network, ...order);
      await passes(network);
      // With the T bit the next rule is looked at as well.
      await add(network, "dst 203.0.113.9/32 proto tcp dst-port 8000 -> terminal");
      await eventually("dropped by the next", "timeout", () => toServer(network, 8000));
      for (const match of order) await remove(network, match);
      await isInstalled(network);
    });
    await checks.check("a rule that comes alters no counter of those that stay", async () => {
      const all = "dst 203.0.113.0/24 proto tcp -> mark 46";
      await add(network, all);
      await isInstalled(network, "dst 203.0.113.0/24 proto tcp");
      await passes(network);
      await eventually("counted", true, async () => Number((await rules(network))[0]?.packets ?? 0) > 0);
      const before = Number((await rules(network))[0].packets);
      await add(network, "dst 203.0.113.77/32 -> drop");
      await isInstalled(network, "dst 203.0.113.77/32", "dst 203.0.113.0/24 proto tcp");
      equal("still counted", true, Number((await rules(network))[1].packets) >= before);
      await remove(network, "dst 203.0.113.77/32");
    });
    await checks.check("marked packets leave the host with that DSCP", async () => {
      await passes(network);
      const seen = await network.nft("list", "table", "ip", "theirs");
      equal("marked", true, /ip dscp ef counter packets [1-9]/.test(seen));
      await remove(network, "dst 203.0.113.0/24 proto tcp");
      await isInstalled(network);
    });
    await checks.check("a rate lets through as much as it says", async () => {
      const match = "dst 203.0.113.9/32 proto udp dst-port 9999";
      await add(network, `${match} -> rate-packets 10`);
      await isInstalled(network, match);
      await network.datagrams(outside.server, 9999, 100);
      const seen = await network.nft("list", "table", "ip", "theirs");
      const passed = Number(/udp dport 9999 counter packets (\d+)/.exec(seen)?.[1]);
      // A bucket of ten, and ten more a second: the sender takes one, or several where the machine is slow.
      equal(`some, and not most (${passed})`, true, passed >= 10 && passed <= 80);
      await remove(network, match);
    });
    await checks.check("IPv6 as well", async () => {
      await add(network, `dst ${outside.server6}/128 proto tcp dst-port 8000 -> drop`);
      await isInstalled(network, `dst ${outside.server6}/128 proto tcp dst-port 8000`);
      equal("dropped", "timeout", await network.connect("client", outside.server6, 8000));
      await remove(network, `dst ${outside.server6}/128 proto tcp dst-port 8000`);
      await isInstalled(network);
    });
    await checks.check("what this host cannot do is said of the rule, and not done in part", async () => {
      await add(network, "dst 203.0.113.9/32 -> redirect-ip 192.0.2.1 drop");
      await add(network, "fragment is-fragment -> drop");
      const expected = [
        "dst 203.0.113.9/32: not_supported redirect to an address is not done on this host",
        "fragment is-fragment: not_supported fragments are put together before this hook",
      ];
      await eventually("reasons", expected, async () =>
        (await rules(network)).map(
          ({ rule, state, reason }) =>
            `${rule.split(" -> ")[0]}: ${state.replace("FLOW_SPEC_RULE_STATE_", "").toLowerCase()} ${reason}`,
        ),
      );
      await passes(network);
      await remove(network, "dst 203.0.113.9/32");
      await remove(network, "fragment is-fragment");
    });
    await checks.check("a bound, other families and other neighbors are left out", async () => {
      for (const rule of [
        "dst 203.0.113.1/32 -> drop",
        "dst 203.0.113.2/32 -> drop",
        "dst 2001:db8::/32 -> drop",
      ])
        await add(network, rule);
      await declare(network, filter({ max_rules: 1, families: ["ipv4-flowspec"] }));
      const bounded = ["dst 203.0.113.1/32: installed", "dst 203.0.113.2/32: over_limit"];
      await eventually("bounded", bounded, () => states(network));
      await declare(network, filter({ neighbors: ["192.0.2.99"] }));
      await eventually("of nobody", [], () => states(network));
      for (const match of ["dst 203.0.113.1/32", "dst 203.0.113.2/32", "dst 2001:db8::/32"])
        await remove(network, match);
    });
    await checks.check("nothing is left behind, and tables of others are as they were", async () => {
      await declare(network);
      await eventually("what is left", "", () =>
        network.nft("-a", "list", "table", "inet", "cairn").catch(() => ""),
      );
      const plain = (text: string): string => text.replace(/packets \d+ bytes \d+/g, "");
      equal("tables", plain(foreign), plain(await network.foreign()));
    });
  });
}

/** Rules of each family whose words nft has to take and to print again. */
const randomRules = Number(process.env.CAIRN_FLOW_RULES ?? 40);

export async function takesAnyRule(checks: Checks, folder: string): Promise<void> {
  await withNetwork(folder, async (network) => {
    await network.host.start();
    await declare(network, filter({ hook: "prerouting", max_rules: 1000 }));
    await checks.check("nft takes whatever rule there is, and says it again as it was asked", async () => {
      for (const addressBytes of [4, 16] as const) {
        const flows = fc.sample(arbitraryFlow(addressBytes, true), { numRuns: randomRules, seed: 8955 });
        for (const flow of flows) await add(network, formatRule(flow, { addressBytes }, []));
      }
      const odd = async (): Promise<string[]> => {
        const all = await rules(network);
        if (all.length < randomRules) return [`only ${all.length} rules`];
        return all
          .filter(({ state }) => !/_(INSTALLED|NOT_SUPPORTED)$/.test(state))
          .map(({ rule, state, reason }) => `${rule}: ${state} ${reason}`);
      };
      await eventually("neither installed nor not supported", [], odd);
      const count = (await rules(network)).filter(({ state }) => state.endsWith("_INSTALLED")).length;
      equal(`many of them (${count})`, true, count > randomRules / 2);
      const drifts = await network.host.metric("cairn_kernel_drifts_total");
      // Counters are read every five seconds, and with them the rules.
      await pause(6000);
      equal(
        "nothing is put right that nobody altered",
        drifts,
        await network.host.metric("cairn_kernel_drifts_total"),
      );
    });
  });
}
