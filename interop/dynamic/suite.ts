/**
 * Dynamic neighbors against one daemon with many sessions, each from an address of its own: limits, AS numbers, the
 * longest match, ranges by interface, removal, and nothing left when the sessions are gone.
 */
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { Lab } from "../lib/lab.ts";
import { Router } from "../lib/router.ts";

const crowd = 30;
/** From 10.0.0.10 up; the last five find the range full. */
const crowded = Array.from({ length: crowd + 5 }, (_, i) => `10.0.0.${10 + i}`);
/** In the longer prefix, whose group is another one. */
const closer = "10.0.0.100";
/** In the range, with an AS number that it does not take. */
const stranger = "10.0.0.120";
/** Matches no prefix, only the interface. */
const onLink = "10.7.0.2";
const six = "fd00:1::2";

/** BIRD has one session to an address, so each has an address of cairn's to itself. */
function facing(address: string): string {
  return `10.0.0.${128 + Number(address.slice(address.lastIndexOf(".") + 1))}`;
}

const config = `
global: { asn: 65001, router_id: 10.9.9.1, listen: ['0.0.0.0:179', '[::]:179'] }
peer_groups:
  - { name: wide, import: [accept-all], export: [accept-all] }
  - { name: near, import: [accept-all], export: [accept-all], hold_time: 30s }
  - { name: link, import: [accept-all], export: [accept-all], remote_asn: 65100 }
dynamic_ranges:
  - { name: wide, prefix: 10.0.0.0/24, peer_group: wide, remote_asns: ["65100-65200"], max_neighbors: ${crowd}, linger: 3s }
  - { name: near, prefix: 10.0.0.96/28, peer_group: near, remote_asns: [any], linger: 3s }
  - { name: strange, prefix: 10.0.0.112/28, peer_group: wide, remote_asns: ["65000"], linger: 3s }
  - { name: link, interface: link1, peer_group: link, linger: 3s }
`;

export async function comeAndGo(checks: Checks, folder: string): Promise<void> {
  const lab = new Lab(folder);
  try {
    const [ours, theirs] = [await lab.namespace("cairn"), await lab.namespace("other")];
    const all = [...crowded, closer, stranger];
    const ends = (map: (address: string) => string): string[] => all.map((address) => `${map(address)}/24`);
    await lab.link(ours, ends(facing), theirs, ends(String));
    await lab.link(ours, ["10.7.0.1/24", "fd00:1::1/64"], theirs, [`${onLink}/24`, `${six}/64`]);
    const cairn = new Router(lab, ours, "cairn", config);
    const bird = new Router(lab, theirs, "bird", birdConfig());
    await cairn.start();
    const generation = await generationOf(cairn);
    await bird.start();
    await checks.check(`${crowd} of ${crowded.length} come in by the range, the others find it full`, () =>
      eventually("range", { neighbors: crowd, established: crowd, full: true }, async () => {
        const { neighbors, established, refusedLimit } = await rangeOf(cairn, "wide");
        return { neighbors, established, full: Number(refusedLimit) > 0 };
      }),
    );
    await checks.check("each knows its range, its AS number and its settings", async () => {
      await eventually(closer, ["near", 65100, "30s"], () => summary(cairn, closer));
      await eventually(onLink, ["link", 65100, "90s"], () => summary(cairn, onLink));
      await eventually(six, ["link", 65100, "90s"], () => summary(cairn, six));
    });
    await checks.check("an AS number that the range does not take is refused with Bad Peer AS", () =>
      eventually("last error at BIRD", true, async () =>
        /Bad peer AS/i.test(await bird.cli("show", "protocols", "all", "p120")),
      ),
    );
    await checks.check("routes pass between a dynamic neighbor and another", async () => {
      await eventually("198.51.100.0/24 comes back by another session", true, async () =>
        (await bird.cli("show", "route", "protocol", "plink")).includes("198.51.100.0/24"),
      );
    });
    await checks.check("a neighbor that is removed comes again as a new one", async () => {
      await cairn.cli("neighbor", "delete", closer);
      await eventually("established once", 1, async () => (await neighbor(cairn, closer))?.establishedCount);
    });
    await checks.check("nothing of this is in a generation", async () => {
      equal("generation", generation, await generationOf(cairn));
      equal("addresses in the export", false, (await cairn.cli("export")).includes("10.0.0.10"));
    });
    await checks.check("a range that is deleted takes its neighbors along", async () => {
      await cairn.cli("dynamic", "delete", "wide");
      const inWide = async (): Promise<number> =>
        (await neighbors(cairn)).filter(({ state }) => state.dynamicRange === "wide").length;
      await eventually("neighbors", 0, inWide);
    });
    await checks.check("when the other side is gone, all are forgotten", async () => {
      await bird.daemon.kill();
      await eventually("neighbors", [], () => neighbors(cairn), 15_000);
    });
  } finally {
    await lab.close();
  }
}

interface Neighbor {
  readonly spec: { readonly address: string };
  readonly effective?: { readonly holdTime?: string };
  readonly state: {
    readonly sessionState: string;
    readonly dynamicRange?: string;
    readonly remoteAsn?: number;
    readonly establishedCount?: number;
  };
}

async function neighbors(cairn: Router): Promise<Neighbor[]> {
  return (JSON.parse(await cairn.cli("neighbor", "--json")) as { neighbors?: Neighbor[] }).neighbors ?? [];
}

async function neighbor(cairn: Router, address: string): Promise<Neighbor["state"] | undefined> {
  return (await neighbors(cairn)).find(({ spec }) => spec.address === address)?.state;
}

async function summary(cairn: Router, address: string): Promise<unknown> {
  const found = (await neighbors(cairn)).find(({ spec }) => spec.address === address);
  if (found?.state.sessionState !== "SESSION_STATE_ESTABLISHED") return found?.state.sessionState;
  return [found.state.dynamicRange, found.state.remoteAsn, found.effective?.holdTime];
}

interface RangeState {
  readonly neighbors: number;
  readonly established: number;
  readonly refusedLimit: string;
}

async function rangeOf(cairn: Router, name: string): Promise<RangeState> {
  const answer = JSON.parse(await cairn.cli("dynamic", "get", name, "--json")) as {
    dynamicRange: { state: RangeState };
  };
  return answer.dynamicRange.state;
}

async function generationOf(cairn: Router): Promise<string> {
  return (JSON.parse(await cairn.cli("health", "--json")) as { generation: string }).generation;
}

function birdConfig(): string {
  const session = (name: string, local: string, remote: string, asn: number): string =>
    [
      `protocol bgp ${name} {`,
      `  local ${local} as ${asn}; neighbor ${remote} as 65001;`,
      "  connect retry time 1; connect delay time 0; error wait time 1, 2;",
      local.includes(":")
        ? "  ipv6 { import all; export none; };"
        : `  ipv4 { import all; export ${name === "p10" ? "where source = RTS_STATIC" : "none"}; };`,
      "}",
    ].join("\n");
  const last = (address: string): string => `p${address.slice(address.lastIndexOf(".") + 1)}`;
  return [
    "router id 10.9.9.2;",
    "protocol device { }",
    "protocol static { ipv4; route 198.51.100.0/24 blackhole; }",
    ...crowded.map((address) =>
      session(last(address), address, facing(address), last(address) === "p10" ? 65101 : 65100),
    ),
    session("p100", closer, facing(closer), 65100),
    session("p120", stranger, facing(stranger), 65999),
    session("plink", onLink, "10.7.0.1", 65100),
    session("psix", six, "fd00:1::1", 65100),
    "",
  ].join("\n");
}
