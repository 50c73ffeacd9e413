/**
 * The multi-WAN guide in a real kernel: what is chosen, what moves, and what stays. C1 to C10 are its promises: selection
 * by weight and health, routes and NAT that follow, flows that stay, a backup that may serve first, explicit binding,
 * separate delays, exclusions, a status that says why, and probes that ride the path that they speak for.
 */
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { pause } from "../lib/lab.ts";
import { address, type LongFlow, type Network, type NewFlows, type Uplink, withNetwork } from "./network.ts";

interface Declared {
  readonly kind: string;
  readonly name: string;
  readonly spec: Readonly<Record<string, unknown>>;
}

const intervalMs = 400;
const timeoutMs = 300;
const downDelayMs = 2000;
const upDelayMs = 1000;
/** What a busy machine takes for processes to start, and for what nobody waits for. */
const slackMs = 8000;

function check(uplink: Uplink): Declared {
  return {
    kind: "HealthCheck",
    name: `${uplink}-path`,
    spec: {
      interface: uplink,
      targets: [address.server],
      interval: `${intervalMs / 1000}s`,
      timeout: `${timeoutMs / 1000}s`,
      fall: 1,
      jitter_percent: 0,
    },
  };
}

function policy(more: Readonly<Record<string, unknown>> = {}): Declared {
  return {
    kind: "EgressRoutePolicy",
    name: "internet",
    spec: {
      ingress_interfaces: ["lan"],
      exclude_destination_cidrs: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
      candidates: [
        {
          ...{ name: "fiber", interface: "fiber", gateway: address.fiberGateway },
          ...{ weight: 100, priority: 20, health_check: "fiber-path" },
        },
        {
          ...{ name: "lte", interface: "lte", gateway: address.lteGateway },
          ...{ weight: 10, priority: 10, health_check: "lte-path" },
        },
      ],
      up_delay: `${upDelayMs / 1000}s`,
      down_delay: `${downDelayMs / 1000}s`,
      ...more,
    },
  };
}

const base: readonly Declared[] = [
  { kind: "Interface", name: "lan", spec: { ifname: "link0" } },
  { kind: "Interface", name: "fiber", spec: { ifname: "link1" } },
  { kind: "Interface", name: "lte", spec: { ifname: "link2" } },
  { kind: "Sysctl", name: "forward", spec: { key: "net.ipv4.ip_forward", value: "1" } },
  { kind: "Sysctl", name: "forward6", spec: { key: "net.ipv6.conf.all.forwarding", value: "1" } },
  check("fiber"),
  check("lte"),
  {
    kind: "NAT44Rule",
    name: "out",
    spec: {
      egress_policy: "internet",
      source_cidrs: ["10.0.0.0/24"],
      exclude_destination_cidrs: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
    },
  },
  // The host itself follows as well.
  {
    kind: "IPv4Route",
    name: "default",
    spec: { destination: "0.0.0.0/0", hops: [{ egress_policy: "internet" }] },
  },
  {
    kind: "IPv4Route",
    name: "office",
    spec: { destination: "192.168.0.0/16", hops: [{ gateway: address.lteGateway }] },
  },
  {
    kind: "NAT44Rule",
    name: "web",
    spec: {
      ...{ type: "dnat", ingress_interface: "lte", protocol: "tcp", ports: "8080" },
      ...{ target_address: address.client, target_port: 80 },
    },
  },
  {
    kind: "EgressRoutePolicy",
    name: "internet6",
    spec: {
      ip_version: "ipv6",
      ingress_interfaces: ["lan"],
      candidates: [
        {
          ...{ name: "fiber", interface: "fiber", gateway: address.fiberGateway6 },
          ...{ weight: 100, health_check: "fiber-path" },
        },
        { name: "lte", interface: "lte", gateway: address.lteGateway6, weight: 10 },
      ],
      up_delay: `${upDelayMs / 1000}s`,
      down_delay: `${downDelayMs / 1000}s`,
    },
  },
  { kind: "Global", name: "global", spec: { asn: 65001, router_id: address.lte } },
  { kind: "Neighbor", name: address.lteGateway, spec: { remote_asn: 65002 } },
];

function yaml(declared: readonly Declared[]): string {
  return declared
    .map(({ kind, name, spec }) =>
      JSON.stringify({ apiVersion: "net.cairn/v1alpha1", kind, metadata: { name }, spec }),
    )
    .join("\n---\n");
}

async function declare({ host }: Network, of: Declared): Promise<void> {
  await host.cli("apply", "-f", host.lab.file("declared.yaml", yaml([...base, of])), "--prune");
}

interface PolicyJson {
  readonly selected?: string;
  readonly reason?: string;
  readonly pinned?: string;
  readonly candidates: readonly { readonly name: string; readonly usable?: boolean }[];
}

async function shown({ host }: Network, name = "internet"): Promise<PolicyJson> {
  return (JSON.parse(await host.cli("egress", "show", name, "--json")) as { policy: PolicyJson }).policy;
}

async function selects(network: Network, uplink: Uplink | "", name?: string): Promise<void> {
  await eventually("selected", uplink, async () => (await shown(network, name)).selected ?? "");
}

interface TransitionJson {
  readonly from?: string;
  readonly to?: string;
  readonly reason: string;
  readonly appliedAfter?: string;
}

async function history({ host }: Network): Promise<readonly TransitionJson[]> {
  const text = await host.cli("egress", "history", "internet", "--json");
  return (JSON.parse(text) as { transitions?: TransitionJson[] }).transitions ?? [];
}

export async function multiWan(checks: Checks, folder: string): Promise<void> {
  await withNetwork(folder, async (network) => {
    const { host } = network;
    await network.countProbes();
    // C4: the preferred path is dead when the host starts.
    await network.path("fiber", false);
    await Promise.all([host.start(), network.bird.start()]);
    const isUp = await checks.check(
      "C4: at the start the backup serves, as the preferred path is not known to be well",
      async () => {
        await declare(network, policy());
        await selects(network, "lte");
        await eventually("source", address.lte, () => network.connect());
      },
    );
    if (!isUp) return;
    await checks.check(
      "C1: the highest weight takes over when its check says that its path is well",
      async () => {
        await network.path("fiber", true);
        await selects(network, "fiber");
        await eventually("source", address.fiber, () => network.connect());
      },
    );
    await neighborIsUp(network);
    const resets = await resetsOf(network);
    await moves(checks, network);
    await delays(checks, network);
    await sixes(checks, network);
    await otherPaths(checks, network);
    await pins(checks, network);
    await checks.check("a BGP neighbor over an uplink has noticed nothing", async () => {
      equal("resets", resets, await resetsOf(network));
    });
    await restarts(checks, network);
    await modes(checks, network);
    await reports(checks, network);
  });
}

/** The preferred path fails in two ways, and recovers. */
async function moves(checks: Checks, network: Network): Promise<void> {
  const { host } = network;
  const long = await network.longFlow();
  const news = await network.newFlows();
  const failures: readonly (readonly [string, (isAlive: boolean) => Promise<void>, number])[] = [
    [
      "the path beyond dies, which only the check sees",
      (alive) => network.path("fiber", alive),
      intervalMs + timeoutMs,
    ],
    ["the link goes down", (alive) => network.link("fiber", alive), 0],
  ];
  for (const [what, set, seenMs] of failures) {
    await checks.check(`C2, C3, C7: ${what}: new flows move, with route and NAT, and come back`, async () => {
      await eventually("source before", address.fiber, () => network.connect());
      const onFiber = what.startsWith("the path") ? long : await network.longFlow();
      equal("the long flow's source", address.fiber, onFiber.source);
      const failedMs = Date.now();
      await set(false);
      const movedMs = (await news.movedTo(address.lte, failedMs)) - failedMs;
      const allowedMs = downDelayMs + seenMs;
      console.log(`      new flows move ${movedMs} ms after it (down delay and interval: ${allowedMs} ms)`);
      equal("in time", true, movedMs <= allowedMs + slackMs);
      await eventually("main default route", `via ${address.lteGateway}`, () => defaultRoute(network));
      await onLte(network, async () => {
        await set(true);
        await selects(network, "fiber");
        await news.movedTo(address.fiber, Date.now());
        await eventually("main default route", `via ${address.fiberGateway}`, () => defaultRoute(network));
      });
      // Its path is back, and nobody has taken its connection away. (A link that goes down takes masqueraded ones.)
      if (onFiber === long) await long.goesOn();
    });
  }
  await news.stop();
  await checks.check("C9: status, history and events say what was chosen and why", async () => {
    const { selected, reason } = await shown(network);
    equal("selected", "fiber", selected);
    equal("reason", "fiber can be used, and ranks higher", reason);
    const described = await host.cli("describe", "EgressRoutePolicy/internet");
    equal("describe", true, /selected\W+fiber/.test(described));
    const reasons = (await history(network)).map((each) => each.reason).join("\n");
    equal("the check's reason", true, /fiber cannot be used: fiber-path is unhealthy/.test(reasons));
    equal("the link's reason", true, /fiber cannot be used: link link1 is/.test(reasons));
    const events = await host.cli("events", "--object", "EgressRoutePolicy/internet", "--json");
    equal("events", true, events.includes("cairn.egress.selected"));
  });
}

/** A flow that begins on lte stays there while `body` brings fiber back. */
async function onLte(network: Network, body: () => Promise<void>): Promise<void> {
  const flow = await network.longFlow();
  equal("its source", address.lte, flow.source);
  await body();
  await flow.goesOn();
}

async function defaultRoute({ host }: Network): Promise<string> {
  return /default (via \S+)/.exec(await host.ip("route", "show", "default"))?.[1] ?? "";
}

async function delays(checks: Checks, network: Network): Promise<void> {
  await checks.check("C6: an outage shorter than the down delay moves nothing", async () => {
    const before = (await history(network)).length;
    await declare(network, policy({ down_delay: "120s" }));
    await network.link("fiber", false);
    await eventually("seen", false, async () => {
      const text = await network.host.cli("egress", "show", "internet", "--json");
      return (
        (JSON.parse(text) as { policy: { candidates: { ready?: boolean }[] } }).policy.candidates[0].ready ??
        false
      );
    });
    await network.link("fiber", true);
    await eventually("source", address.fiber, () => network.connect());
    equal("transitions", before, (await history(network)).length);
  });
  await checks.check(
    "C6: the choice stands for the dwell time after fiber is back, and not against a failure",
    async () => {
      const mayServe = (): Promise<boolean> =>
        shown(network).then(({ candidates }) => candidates[0].usable ?? false);
      await declare(network, policy({ dwell: "300s" }));
      await network.path("fiber", false);
      await selects(network, "lte");
      await network.path("fiber", true);
      await eventually("fiber may be used", true, mayServe);
      equal("selected meanwhile", "lte", (await shown(network)).selected);
      await declare(network, policy({ dwell: "1s" }));
      await selects(network, "fiber");
      await declare(network, policy({ dwell: "300s" }));
      await network.link("fiber", false);
      await selects(network, "lte");
      await network.link("fiber", true);
      await declare(network, policy());
      await selects(network, "fiber");
    },
  );
}

async function sixes(checks: Checks, network: Network): Promise<void> {
  await checks.check(
    "IPv6: a flow that is not translated moves when its path dies, and does not break",
    async () => {
      await selects(network, "fiber", "internet6");
      const flow = await network.longFlow(address.server6);
      equal("source", address.client6, flow.source);
      await network.path("fiber", false);
      await selects(network, "lte", "internet6");
      await flow.goesOn();
      const other = await network.longFlow(address.server6);
      await network.path("fiber", true);
      await selects(network, "fiber", "internet6");
      await flow.goesOn();
      await other.goesOn();
      await selects(network, "fiber");
    },
  );
}

async function otherPaths(checks: Checks, network: Network): Promise<void> {
  await checks.check(
    "C8: private destinations are not translated, and go as the main table says",
    async () => {
      await eventually("source", address.client, () => network.connect(address.office));
    },
  );
  await checks.check("flows from outside are answered through the uplink that they came by", async () => {
    equal("selected", "fiber", (await shown(network)).selected);
    equal("the client saw", "172.16.2.2", await network.connectIn(address.lte, 8080));
  });
  await checks.check("C5, C10: probes ride the path that they speak for", async () => {
    equal("of fiber through lte", 0, await network.probes("lte", "fiber"));
    equal("of lte through fiber", 0, await network.probes("fiber", "lte"));
    for (const uplink of ["fiber", "lte"] as const) {
      equal(`of ${uplink}`, true, (await network.probes(uplink, uplink)) > 5);
    }
  });
}

async function pins(checks: Checks, network: Network): Promise<void> {
  const { host } = network;
  const long = await network.longFlow();
  await checks.check("C3: a pin moves new flows, and the long flow stays where it is", async () => {
    equal("long flow", address.fiber, long.source);
    await host.cli("egress", "pin", "internet", "lte");
    await eventually("source", address.lte, () => network.connect());
    await long.goesOn();
    equal("reason", "pinned", (await shown(network)).reason);
  });
  await checks.check("what is pinned and fails is left, and taken again when it is back", async () => {
    await network.path("lte", false);
    await selects(network, "fiber");
    await network.path("lte", true);
    await selects(network, "lte");
    await long.goesOn();
  });
  await checks.check("unpin", async () => {
    await host.cli("egress", "unpin", "internet");
    await eventually("source", address.fiber, () => network.connect());
    const { code, stderr } = await host.try("egress", "pin", "internet", "none");
    equal("a candidate that does not exist", true, code !== 0 && /no candidate none/.test(stderr));
  });
}

async function restarts(checks: Checks, network: Network): Promise<void> {
  const { host } = network;
  await checks.check(
    "applied again, and kill -9: not one rule or route is touched, no flow breaks",
    async () => {
      await host.cli("egress", "pin", "internet", "lte");
      await selects(network, "lte");
      await eventually("source", address.lte, () => network.connect());
      const onLteFlow = await network.longFlow();
      await host.cli("egress", "unpin", "internet");
      await eventually("source", address.fiber, () => network.connect());
      const onFiber = await network.longFlow();
      equal("sources", [address.lte, address.fiber], [onLteFlow.source, onFiber.source]);
      const before = await network.kernel();
      await declare(network, policy());
      equal("after another apply", before, await network.kernel());
      await host.daemon.kill();
      for (const flow of [onLteFlow, onFiber]) await flow.goesOn();
      equal("source without a daemon", address.fiber, await network.connect());
      await host.start();
      await eventually("health is known", [true, true], async () =>
        (await healthOf(network)).map((health) => health === "healthy"),
      );
      await selects(network, "fiber");
      equal("the kernel", before, await network.kernel());
      equal("transitions", 0, (await history(network)).length);
      for (const flow of [onLteFlow, onFiber]) await flow.goesOn();
    },
  );
  await checks.check("a pin survives kill -9, and what failed meanwhile is noticed", async () => {
    await host.cli("egress", "pin", "internet", "lte");
    await selects(network, "lte");
    await host.daemon.kill();
    await network.path("lte", false);
    await host.start();
    await selects(network, "fiber");
    await network.path("lte", true);
    await selects(network, "lte");
    await host.cli("egress", "unpin", "internet");
    await selects(network, "fiber");
  });
  await checks.check("rules that another hand deletes are put right", async () => {
    const before = await host.ip("-4", "rule");
    await host.ip("rule", "del", "priority", "6701");
    await host.ip("rule", "del", "priority", "6700");
    await eventually("rules", before.split("\n").sort(), async () =>
      (await host.ip("-4", "rule")).split("\n").sort(),
    );
    equal(
      "a rule of another hand",
      "",
      await host.ip("rule", "add", "priority", "99", "from", "10.9.9.9", "lookup", "main"),
    );
  });
}

async function healthOf({ host }: Network): Promise<string[]> {
  const text = await host.cli("egress", "show", "internet", "--json");
  const { candidates } = (JSON.parse(text) as { policy: { candidates: { health?: string }[] } }).policy;
  return candidates.map(({ health }) => health ?? "");
}

async function modes(checks: Checks, network: Network): Promise<void> {
  await checks.check("mode priority: the lowest one serves", async () => {
    await declare(network, policy({ mode: "priority" }));
    await eventually("source", address.lte, () => network.connect());
  });
  await checks.check(
    "mode hash: flows are shared, and each stays on its path; what fails gets none",
    async () => {
      await declare(network, policy({ mode: "hash" }));
      const news = await network.newFlows();
      const sources = (afterMs: number): string[] => [
        ...new Set(news.all.filter(({ atMs }) => atMs >= afterMs).map(({ saw }) => saw)),
      ];
      const beganMs = Date.now();
      await eventually("sources", [address.lte, address.fiber].sort(), async () => sources(beganMs).sort());
      const long = await network.longFlow();
      await long.goesOn();
      await network.path("lte", false);
      await eventually(
        "lte may not be used",
        false,
        async () => (await shown(network)).candidates[1].usable ?? false,
      );
      await pause(500);
      const afterMs = Date.now();
      await eventually(
        "enough of them",
        true,
        async () => news.all.filter(({ atMs }) => atMs >= afterMs).length > 20,
      );
      equal("sources", [address.fiber], sources(afterMs));
      await network.path("lte", true);
      await news.stop();
    },
  );
  await checks.check("what is deleted leaves nothing behind, and what is another's stays", async () => {
    const { host } = network;
    const rest = base.filter(({ kind }) => ["Interface", "Sysctl"].includes(kind));
    await host.cli("apply", "-f", host.lab.file("rest.yaml", yaml(rest)), "--prune");
    await eventually("rules", ["0:", "99:", "32766:", "32767:"], async () =>
      (await host.ip("-4", "rule"))
        .split("\n")
        .filter(Boolean)
        .map((line) => line.split("\t")[0]),
    );
    for (const version of ["-4", "-6"])
      await eventually("routes", "", () => host.ip(version, "route", "show", "table", "all", "proto", "67"));
    await declare(network, policy());
    await selects(network, "fiber");
  });
}

/** How long it takes from a decision until the kernel is seen to hold it: of pins, which nothing else delays. */
async function reports(checks: Checks, network: Network): Promise<void> {
  const { host } = network;
  await checks.check("from a decision to the kernel", async () => {
    const rounds = 6;
    const before = (await history(network)).length;
    for (let i = 0; i < rounds; i++) {
      const uplink = i % 2 === 0 ? "lte" : "fiber";
      await host.cli("egress", "pin", "internet", uplink);
      await eventually("source", address[uplink], () => network.connect());
    }
    await eventually(
      "all are seen",
      0,
      async () => (await history(network)).filter(({ appliedAfter }) => appliedAfter === undefined).length,
    );
    const newest = (await history(network)).slice(0, rounds);
    equal("transitions", before + rounds, (await history(network)).length);
    const tookMs = newest
      .map(({ appliedAfter }) => Math.round(Number.parseFloat(appliedAfter!) * 1000))
      .sort((a, b) => a - b);
    const bareMs = await network.nftMs();
    console.log(
      `      the kernel was seen to hold a decision after ${tookMs.join(", ")} ms; nft alone takes ${bareMs} ms now`,
    );
    equal("the fastest of them within a second", true, tookMs[0] < 1000);
  });
}

async function neighborIsUp(network: Network): Promise<void> {
  await eventually("BIRD", "SESSION_STATE_ESTABLISHED", async () => (await neighbor(network)).sessionState);
}

async function resetsOf(network: Network): Promise<number> {
  return (await neighbor(network)).resets?.length ?? 0;
}

async function neighbor({ host }: Network): Promise<{ sessionState: string; resets?: unknown[] }> {
  const text = await host.cli("neighbor", address.lteGateway, "--json");
  return (JSON.parse(text) as { neighbor: { state: { sessionState: string; resets?: unknown[] } } }).neighbor
    .state;
}

export type { LongFlow, NewFlows };
