/**
 * What the router promises of its kernel state, with many objects: another hand is noticed within a second and nothing
 * foreign is touched, a crash after any step is made good, a thousand objects take few messages, and what the kernel
 * refuses harms nothing else.
 */
import { seededRandom } from "../../src/base/random.ts";
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { Lab, pause } from "../lib/lab.ts";
import { Host, type KernelState } from "./host.ts";
import { allIn, type Declared, fifty, manyKinds, yaml } from "./many.ts";

/** One that does not notice at all is told from a machine that is busy. */
const noticedWithinMs = 3_000;
const operationsByHand = Number(process.env.CAIRN_DRIFTS ?? 60);

/** What another hand does to one artifact, and what undoes it where the object only reports. */
interface Hand {
  readonly alter: readonly string[];
  readonly undo?: readonly string[];
  /** The object that only reports it. */
  readonly object?: string;
}

export async function noticesOtherHands(checks: Checks, folder: string): Promise<void> {
  await withHost(folder, async (host) => {
    await addForeign(host);
    await host.start();
    const objects = fifty(1).map((each) =>
      reports(each) ? { ...each, spec: { ...each.spec, drift: "report" } } : each,
    );
    await host.apply(yaml(objects));
    const applied = allIn("applied", objects);
    await eventually("phases", applied, () => host.phases(manyKinds));
    const whole = await host.kernel();
    const foreign = await foreignState(host);
    await checks.check(
      `${operationsByHand} changes by hand: noticed, and repaired or reported as the object says`,
      async () => {
        const random = seededRandom(23);
        const hands = handsOn();
        const times: number[] = [];
        for (let i = 0; i < operationsByHand; i++) {
          const hand = hands[Math.floor(random() * hands.length)];
          times.push(await noticed(host, hand));
          if (hand.object && hand.undo) {
            const { object } = hand;
            await eventually(object, "degraded", async () => (await host.phases(manyKinds))[object]);
            await host.lab.in(host.namespace, hand.undo);
          }
          await eventually(`phases after ${hand.alter.join(" ")}`, applied, () => host.phases(manyKinds));
          if (i % 10 === 9)
            await eventually(`kernel after ${hand.alter.join(" ")}`, whole, () => host.kernel());
        }
        times.sort((a, b) => a - b);
        const at = (part: number): string => times[Math.floor((times.length - 1) * part)].toFixed(0);
        console.log(
          `      noticed after ${at(0.5)} ms (median), ${at(0.99)} ms (99 of 100), ${at(1)} ms at most`,
        );
      },
    );
    await checks.check("what is foreign is the same, byte for byte", async () => {
      equal("foreign", foreign, await foreignState(host));
    });
    await checks.check("the same file again: no message to the kernel", async () => {
      await eventually("kernel", whole, () => host.kernel());
      const operations = await host.metric("cairn_kernel_operations_total");
      // The kernel's own late notices, and the slow check, ask for a look now and then; what is applied never does.
      await eventually("messages of an apply", 0, async () => {
        const before = await host.metric("cairn_netlink_messages_total");
        await host.apply(yaml(objects));
        await pause(500);
        return (await host.metric("cairn_netlink_messages_total")) - before;
      });
      equal("operations", operations, await host.metric("cairn_kernel_operations_total"));
    });
  });
}

/** Alters by hand. @returns milliseconds until it was noticed */
async function noticed(host: Host, { alter }: Hand): Promise<number> {
  const before = await host.metric("cairn_kernel_drifts_total");
  await host.lab.in(host.namespace, alter);
  const begin = performance.now();
  while ((await host.metric("cairn_kernel_drifts_total")) === before) {
    if (performance.now() - begin > noticedWithinMs) throw new Error(`${alter.join(" ")} was not noticed`);
    await pause(5);
  }
  return performance.now() - begin;
}

/** Every fourth address and route only reports. */
function reports({ kind, name }: Declared): boolean {
  return /^IPv4(StaticAddress|Route)$/.test(kind) && Number(name.slice(1)) % 4 === 3;
}

function handsOn(): Hand[] {
  const hands: Hand[] = [
    { alter: ["ip", "link", "set", "eth1", "mtu", "1350"] },
    { alter: ["ip", "link", "set", "eth1", "nomaster"] },
    { alter: ["ip", "link", "set", "br1", "down"] },
    { alter: ["ip", "link", "set", "pair1", "down"] },
    { alter: ["ip", "link", "del", "pair2"] },
    { alter: ["ip", "link", "del", "one3"] },
    { alter: ["ip", "link", "del", "br1"] },
    { alter: ["sysctl", "-q", "-w", "net.ipv4.ip_default_ttl=99"] },
  ];
  for (const { kind, name, spec } of fifty(1)) {
    const object = `${kind}/${name}`;
    const isReported = reports({ kind, name, spec });
    const add = (alter: readonly string[], undo: readonly string[]): void => {
      hands.push(isReported ? { alter, undo, object } : { alter });
    };
    if (kind.endsWith("StaticAddress")) {
      const place = [String(spec.address), "dev", String(spec.interface)];
      add(["ip", "address", "del", ...place], ["ip", "address", "add", ...place]);
    } else if (kind === "IPv4Route") {
      const to = [String(spec.destination), "via", hopOf(spec), "proto", "67"];
      const metric = spec.metric === undefined ? [] : ["metric", String(spec.metric)];
      add(["ip", "route", "del", ...to, ...metric], ["ip", "route", "add", ...to, ...metric]);
      const other = [String(spec.destination), "via", "192.0.2.200", "proto", "67", ...metric];
      add(["ip", "route", "replace", ...other], ["ip", "route", "replace", ...to, ...metric]);
    } else if (kind === "IPv6Route") {
      add(["ip", "-6", "route", "del", String(spec.type), String(spec.destination)], []);
    }
  }
  return hands;
}

function hopOf(spec: Declared["spec"]): string {
  return (spec.hops as readonly { readonly gateway: string }[])[0].gateway;
}

async function addForeign(host: Host): Promise<void> {
  for (const command of [
    ["link", "add", "other0", "type", "veth", "peer", "name", "other1"],
    ["link", "set", "other0", "up"],
    ["address", "add", "10.99.0.1/24", "dev", "other0"],
    ["route", "add", "172.16.99.0/24", "via", "192.0.2.9", "proto", "bird"],
    ["route", "add", "172.16.1.0/24", "via", "192.0.2.9", "proto", "bird", "metric", "77"],
    ["rule", "add", "from", "10.99.0.0/24", "lookup", "99", "priority", "999"],
  ])
    await host.ip(...command);
}

async function foreignState(host: Host): Promise<string[]> {
  return Promise.all([
    host.ip("-o", "link", "show", "dev", "other0"),
    host.ip("-o", "address", "show", "dev", "other0", "scope", "global"),
    host.ip("route", "show", "table", "all", "proto", "bird"),
    host.ip("route", "show", "table", "all", "proto", "static"),
    host.ip("rule", "show"),
    host.ip("-o", "address", "show", "dev", "eth0", "scope", "global"),
  ]);
}

/** Steps at which the daemon is ended; all of them with CAIRN_CRASH_STEPS=all. */
const someSteps = ["ledger:1", "kernel:5", "kernel:48"];

export async function survivesAnyStep(checks: Checks, folder: string): Promise<void> {
  await withHost(folder, async (first) => {
    const { lab, namespace } = first;
    await addForeign(first);
    await first.start();
    const whole: KernelState[] = [];
    const operations: number[] = [];
    for (const variant of [1, 2, 1] as const) {
      const before = await first.metric("cairn_kernel_operations_total");
      await first.apply(yaml(fifty(variant)), true);
      await eventually("phases", allIn("applied", fifty(variant)), () => first.phases(manyKinds));
      whole[variant] = await first.kernel();
      operations.push((await first.metric("cairn_kernel_operations_total")) - before);
    }
    const foreign = await foreignState(first);
    await first.daemon.stop();
    const all = process.env.CAIRN_CRASH_STEPS === "all";
    const kernelSteps = Array.from({ length: Math.max(...operations.slice(1)) }, (_, i) => `kernel:${i + 1}`);
    const steps = all ? ["ledger:1", "ledger:2", "ledger:3", "ledger:4", ...kernelSteps] : someSteps;
    await checks.check(
      `kill -9 after ${steps.length} steps of a change of fifty objects: the kernel is as declared`,
      async () => {
        let died = 0;
        for (const [i, step] of steps.entries()) {
          const variant = i % 2 === 0 ? 2 : 1;
          const doomed = Host.in(lab, namespace, { CAIRN_FAILPOINT: step });
          await doomed.start().catch((error) => {
            throw new Error(`at the start for ${step}: ${(error as Error).message}`);
          });
          // The daemon may be gone before it answers.
          await doomed.apply(yaml(fifty(variant)), true).catch(() => undefined);
          await untilDone(doomed, variant);
          if (!doomed.daemon.running) died++;
          await doomed.daemon.stop();
          const next = Host.in(lab, namespace);
          await next.start();
          await eventually(`phases after ${step}`, allIn("applied", fifty(variant)), () =>
            next.phases(manyKinds),
          );
          await eventually(`kernel after ${step}`, whole[variant], () => next.kernel());
          await next.daemon.stop();
        }
        equal("foreign", foreign, await foreignState(first));
        console.log(`      ended ${died} times in ${steps.length} changes`);
        equal("it was ended", true, died >= steps.length * 0.8);
      },
    );
  });
}

/** Until the daemon has ended, or has done all without reaching its step. */
async function untilDone(host: Host, variant: 1 | 2): Promise<void> {
  const wanted = JSON.stringify(allIn("applied", fifty(variant)));
  await eventually("the end", true, async () => {
    if (!host.daemon.running) return true;
    const phases = await host.phases(manyKinds).catch(() => ({}));
    return JSON.stringify(phases) === wanted;
  });
}

export async function carriesAThousand(checks: Checks, folder: string): Promise<void> {
  await withHost(folder, async (host) => {
    await host.start();
    const objects = thousand();
    await checks.check(
      "a thousand objects: planned, and brought to the kernel in under 300 exchanges",
      async () => {
        const content = yaml(objects);
        const file = { name: "objects.yaml", content };
        const begin = performance.now();
        const plan = await host.rpc<{ hostOperations: readonly unknown[] }>("ConfigService/Plan", {
          source: { file },
        });
        const planMs = performance.now() - begin;
        equal("everything is planned", true, plan.hostOperations.length >= 100);
        const sends = await host.metric("cairn_netlink_sends_total");
        const start = performance.now();
        await host.apply(content);
        const kinds = ["Interface", "IPv4StaticAddress", "IPv4Route"];
        await eventually("phases", allIn("applied", objects), () => host.phases(kinds), 90_000);
        const tookMs = performance.now() - start;
        const exchanges = (await host.metric("cairn_netlink_sends_total")) - sends;
        console.log(
          `      planned in ${planMs.toFixed(0)} ms (with ${(content.length / 1024).toFixed(0)} KiB of YAML to be read), applied in ${tookMs.toFixed(0)} ms, ${exchanges} exchanges`,
        );
        equal(`${exchanges} exchanges are under 300`, true, exchanges < 300);
      },
    );
  });
}

/** 100 pairs of links, 400 addresses, 500 routes. */
function thousand(): Declared[] {
  const objects: Declared[] = [];
  for (let i = 0; i < 100; i++) {
    objects.push({ kind: "Interface", name: `v${i}`, spec: { type: "veth", peer: `w${i}` } });
  }
  for (let i = 0; i < 400; i++) {
    const address = `10.${i >> 8}.${i & 255}.1/24`;
    objects.push({ kind: "IPv4StaticAddress", name: `a${i}`, spec: { interface: `v${i % 100}`, address } });
  }
  for (let i = 0; i < 500; i++) {
    const spec = { destination: `172.${16 + (i >> 8)}.${i & 255}.0/24`, hops: [{ gateway: "192.0.2.7" }] };
    objects.push({ kind: "IPv4Route", name: `r${i}`, spec });
  }
  return objects;
}

export async function isolatesTrouble(checks: Checks, folder: string): Promise<void> {
  await withHost(folder, async (host) => {
    await host.start();
    const good = fifty(1);
    const applied = allIn("applied", good);
    const bad: Declared[] = [
      // The kernel has directories of settings by these names.
      { kind: "Interface", name: "refused", spec: { ifname: "all", type: "bridge" } },
      {
        kind: "IPv4Route",
        name: "nowhere",
        spec: { destination: "172.30.0.0/24", hops: [{ gateway: "203.0.113.77" }] },
      },
      {
        kind: "IPv4Route",
        name: "source",
        spec: {
          destination: "172.31.0.0/24",
          preferred_source: "10.77.77.77",
          hops: [{ gateway: "192.0.2.7" }],
        },
      },
      { kind: "Sysctl", name: "value", spec: { key: "net.ipv4.ip_default_ttl", value: "100000" } },
    ];
    const expected: Record<string, string> = {
      "Interface/refused": "failed EINVAL",
      "IPv4Route/nowhere": "failed ENETUNREACH",
      "IPv4Route/source": "failed EINVAL",
      "Sysctl/value": "failed EINVAL",
    };
    await checks.check("what the kernel refuses says why, and all others are applied", async () => {
      await host.apply(yaml([...good.filter(({ name }) => name !== "ttl"), ...bad]));
      const { "Sysctl/ttl": _, ...rest } = applied;
      await eventually("phases", { ...rest, ...expected }, async () => {
        const reasons = await host.reasons(manyKinds);
        return Object.fromEntries(
          Object.entries(reasons).map(([id, text]) => [id, text === "applied " ? "applied" : text]),
        );
      });
      const said = await host.cli("explain", "IPv4Route/nowhere");
      equal(`the kernel's own words in ${said}`, true, said.includes("Nexthop has invalid gateway"));
    });
    await checks.check("a device that vanishes in the middle of a change", async () => {
      const late: Declared[] = [
        { kind: "Interface", name: "late", spec: { ifname: "late0" } },
        ...Array.from(
          { length: 20 },
          (_, i): Declared => ({
            ...{
              kind: "IPv4StaticAddress",
              name: `late${i}`,
              spec: { interface: "late", address: `10.88.${i}.1/24` },
            },
          }),
        ),
        ...Array.from(
          { length: 20 },
          (_, i): Declared => ({
            ...{ kind: "IPv4Route", name: `late${i}` },
            spec: { destination: `172.29.${i}.0/24`, hops: [{ gateway: "10.88.0.9", interface: "late" }] },
          }),
        ),
      ];
      const random = seededRandom(5);
      for (let i = 0; i < 8; i++) {
        await host.ip("link", "add", "late0", "type", "veth", "peer", "name", "late1");
        const again = late.map((each) => ({ ...each, spec: { ...each.spec, description: `${i}` } }));
        const change = host.apply(yaml(again));
        await pause(random() * 60);
        await host.ip("link", "del", "late0");
        await change;
        const states = {
          ...allIn(
            "applied",
            good.filter(({ name }) => name !== "ttl"),
          ),
          ...allIn("pending", late),
        };
        await eventually("phases", states, async () => {
          const phases = await host.phases(manyKinds);
          return Object.fromEntries(Object.keys(states).map((id) => [id, phases[id]]));
        });
      }
    });
  });
}

async function withHost(folder: string, body: (host: Host) => Promise<void>): Promise<void> {
  const lab = new Lab(folder);
  try {
    await body(await Host.open(lab));
  } finally {
    await lab.close();
  }
}
