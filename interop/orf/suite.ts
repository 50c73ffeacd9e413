/**
 * Outbound route filtering by prefix with FRR (RFC 5291, RFC 5292), both ways on one session: each side's filter decides
 * what the other sends, also when it changes at run time. What FRR sends and takes is seen at both ends.
 */
import { type Checks, eventually } from "../lib/checks.ts";
import { Lab } from "../lib/lab.ts";
import { Router } from "../lib/router.ts";

/** Announced by each side: the even ones in one half of the address space, the odd ones in the other. */
const ours = Array.from({ length: 30 }, (_, i) => `10.${i % 2}.${i}.0/24`);
const theirs = Array.from({ length: 30 }, (_, i) => `172.${16 + (i % 2)}.${i}.0/24`);
const within = (prefixes: readonly string[], start: string): string[] =>
  prefixes.filter((prefix) => prefix.startsWith(start)).sort();

const cairnConfig = JSON.stringify({
  global: { asn: 65001, router_id: "10.9.9.1", listen: ["0.0.0.0:179"] },
  prefix_sets: [{ name: "wanted", prefixes: ["172.16.0.0/16+"] }],
  neighbors: [
    {
      address: "10.9.0.2",
      remote_asn: 65002,
      connect_retry_time: "1s",
      import: ["accept-all"],
      export: ["accept-all"],
      orf: [{ family: "ipv4-unicast", receive: true, send: "wanted" }],
    },
  ],
});

const frrConfig = [
  "frr defaults traditional",
  "log stdout",
  "ip prefix-list WANTED seq 5 permit 10.0.0.0/16 le 24",
  "router bgp 65002",
  " bgp router-id 10.9.9.2",
  " no bgp ebgp-requires-policy",
  " no bgp network import-check",
  " neighbor 10.9.0.1 remote-as 65001",
  " neighbor 10.9.0.1 timers connect 1",
  " neighbor 10.9.0.1 advertisement-interval 0",
  " address-family ipv4 unicast",
  ...theirs.map((prefix) => `  network ${prefix}`),
  "  neighbor 10.9.0.1 capability orf prefix-list both",
  "  neighbor 10.9.0.1 prefix-list WANTED in",
  " exit-address-family",
  "exit",
  "",
].join("\n");

export async function filtersBothWays(checks: Checks, folder: string): Promise<void> {
  const lab = new Lab(folder);
  try {
    const [here, there] = [await lab.namespace("cairn"), await lab.namespace("frr")];
    await lab.link(here, ["10.9.0.1/30"], there, ["10.9.0.2/30"]);
    const cairn = new Router(lab, here, "cairn", cairnConfig);
    const frr = new Router(lab, there, "frr", frrConfig);
    await cairn.start();
    await cairn.cli("rib", "load", lab.file("routes.txt", `${ours.join("\n")}\n`));
    await frr.start();
    await checks.check("cairn sends FRR only what its prefix list asks for", () =>
      eventually("advertised", within(ours, "10.0."), () => advertised(cairn)),
    );
    await checks.check("FRR sends cairn only what its prefix set asks for", () =>
      eventually("received", within(theirs, "172.16."), () => received(cairn)),
    );
    await checks.check("both say that the filters are in use", async () => {
      await eventually("here", [["5 permit 10.0.0.0/16 16-24"], "wanted", 1], () => filterState(cairn));
      await eventually("there", true, async () => {
        const text = await frr.cli("show bgp neighbors 10.9.0.1");
        return /Outbound Route Filter \(ORF\) type \(64\) Prefix-list:\s+Send-mode: advertised, received\s+Receive-mode: advertised, received/.test(
          text.replace(/\r/g, ""),
        );
      });
      await eventually("filter at FRR", ["permit 172.16.0.0/16 le 32"], () => filterAtFrr(frr));
    });
    await checks.check("another prefix list at FRR changes what it is sent, without a reset", async () => {
      await configure(frr, [
        "ip prefix-list WANTED seq 5 permit 10.1.0.0/16 le 24",
        "ip prefix-list WANTED seq 3 deny 10.1.1.0/24",
      ]);
      await frr.cli("clear bgp 10.9.0.1 in prefix-filter");
      await eventually(
        "advertised",
        within(ours, "10.1.").filter((prefix) => prefix !== "10.1.1.0/24"),
        () => advertised(cairn),
      );
      await eventually("held by FRR", 14, () => heldByFrr(frr));
    });
    await checks.check("another prefix set here changes what FRR sends, without a reset", async () => {
      await cairn.cli("set", "prefix", "set", "wanted", "172.17.0.0/16+", "172.16.0.0/24");
      await eventually("received", [...within(theirs, "172.17."), "172.16.0.0/24"].sort(), () =>
        received(cairn),
      );
      await eventually("filter at FRR", ["permit 172.16.0.0/24", "permit 172.17.0.0/16 le 32"], async () =>
        (await filterAtFrr(frr)).sort(),
      );
      await eventually("established once", 1, async () => (await neighbor(cairn)).state.establishedCount);
    });
    await checks.check("an explanation names the filter", () =>
      eventually("gate", "orf", async () =>
        firstRefusal(await cairn.cli("rib", "10.0.0.0/24", "--explain", "--to", "10.9.0.2", "--json")),
      ),
    );
    await checks.check("a new route is told only where the filter lets it", async () => {
      await cairn.cli("rib", "add", "10.1.200.0/24");
      await cairn.cli("rib", "add", "10.0.200.0/24");
      await eventually("held by FRR", 15, () => heldByFrr(frr));
    });
  } finally {
    await lab.close();
  }
}

interface Neighbor {
  readonly state: {
    readonly establishedCount?: number;
    readonly families?: readonly {
      readonly orf?: {
        readonly entries?: readonly {
          readonly sequence: number;
          readonly deny?: boolean;
          readonly prefix: string;
          readonly minLength: number;
          readonly maxLength: number;
        }[];
        readonly sent?: string;
        readonly sentEntries?: number;
      };
    }[];
  };
}

async function neighbor(cairn: Router): Promise<Neighbor> {
  return (JSON.parse(await cairn.cli("neighbor", "10.9.0.2", "--json")) as { neighbor: Neighbor }).neighbor;
}

async function filterState(cairn: Router): Promise<[string[], string | undefined, number | undefined]> {
  const orf = (await neighbor(cairn)).state.families?.[0]?.orf;
  const entries = (orf?.entries ?? []).map(
    ({ sequence, deny, prefix, minLength, maxLength }) =>
      `${sequence} ${deny ? "deny" : "permit"} ${prefix} ${minLength}-${maxLength}`,
  );
  return [entries, orf?.sent, orf?.sentEntries];
}

async function routes(cairn: Router, table: "advertised" | "received"): Promise<string[]> {
  const text = await cairn.cli("rib", table, "10.9.0.2", "--json");
  const { routes = [] } = JSON.parse(text) as { routes?: { prefix: string }[] };
  return routes.map(({ prefix }) => prefix).sort();
}

const advertised = (cairn: Router): Promise<string[]> => routes(cairn, "advertised");
const received = (cairn: Router): Promise<string[]> => routes(cairn, "received");

/** Name of the gate that refused it. */
function firstRefusal(text: string): string {
  const { paths = [] } = JSON.parse(text) as { paths?: { gates: { name: string; passed?: boolean }[] }[] };
  return paths[0]?.gates.find(({ passed }) => !passed)?.name ?? "";
}

/** Entries of the filter that FRR got, as it prints them. */
async function filterAtFrr(frr: Router): Promise<string[]> {
  const text = await frr.cli("show bgp ipv4 unicast neighbors 10.9.0.1 received prefix-filter");
  return [...text.matchAll(/seq \d+ (permit .*|deny .*)/g)].map(([, entry]) => entry.trim());
}

async function heldByFrr(frr: Router): Promise<number> {
  const { routes = {} } = JSON.parse(await frr.cli("show bgp ipv4 unicast json")) as {
    routes?: Record<string, { path: string }[]>;
  };
  return Object.values(routes).filter((paths) => paths.some(({ path }) => path.startsWith("65001"))).length;
}

async function configure(frr: Router, lines: readonly string[]): Promise<void> {
  await frr.cli(["configure terminal", ...lines].join("\n"));
}
