/**
 * TCP MD5 (RFC 2385) and GTSM (RFC 5082) with FRR and BIRD: who may speak and who may not, both directions of
 * connection set-up, both families, ranges, and keys that change while cairn runs. What must not come up is looked at
 * after everything else is up, and in the kernel's own counters.
 */
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { Lab, type Namespace } from "../lib/lab.ts";
import { Router } from "../lib/router.ts";

type Kind = "frr" | "bird";

/** One session. The neighbor has 10.0.N.2 or fd00:N::2, cairn .1; N is its place in the list, from 1. */
interface Case {
  readonly name: string;
  readonly six?: boolean;
  /** Who connects. */
  readonly by: "cairn" | "neighbor";
  readonly cairnKey?: string;
  readonly neighborKey?: string;
  /** Hops of GTSM. */
  readonly cairnHops?: number;
  readonly neighborHops?: number;
  /** Cairn knows it only by a range. */
  readonly dynamic?: boolean;
  readonly up: boolean;
}

const right = "correct-horse";
const wrong = "battery-staple";

const cases: readonly Case[] = [
  ...[false, true].flatMap((six): Case[] => [
    {
      name: "right key, neighbor connects",
      six,
      by: "neighbor",
      cairnKey: right,
      neighborKey: right,
      up: true,
    },
    { name: "right key, cairn connects", six, by: "cairn", cairnKey: right, neighborKey: right, up: true },
    {
      name: "wrong key, neighbor connects",
      six,
      by: "neighbor",
      cairnKey: right,
      neighborKey: wrong,
      up: false,
    },
    { name: "wrong key, cairn connects", six, by: "cairn", cairnKey: right, neighborKey: wrong, up: false },
    { name: "key at cairn only, neighbor connects", six, by: "neighbor", cairnKey: right, up: false },
    { name: "key at the neighbor only, cairn connects", six, by: "cairn", neighborKey: right, up: false },
    {
      name: "GTSM both sides, neighbor connects",
      six,
      by: "neighbor",
      cairnHops: 1,
      neighborHops: 1,
      up: true,
    },
    { name: "GTSM both sides, cairn connects", six, by: "cairn", cairnHops: 1, neighborHops: 1, up: true },
    { name: "GTSM at cairn only, neighbor connects", six, by: "neighbor", cairnHops: 1, up: false },
    { name: "GTSM at cairn only, cairn connects", six, by: "cairn", cairnHops: 1, up: false },
    {
      ...{ name: "MD5 and GTSM, cairn connects", six, by: "cairn", up: true },
      ...{ cairnKey: right, neighborKey: right, cairnHops: 1, neighborHops: 1 },
    },
    {
      name: "range with a key",
      six,
      by: "neighbor",
      cairnKey: right,
      neighborKey: right,
      dynamic: true,
      up: true,
    },
    {
      name: "range, wrong key",
      six,
      by: "neighbor",
      cairnKey: right,
      neighborKey: wrong,
      dynamic: true,
      up: false,
    },
  ]),
];

export async function protects(checks: Checks, kind: Kind, folder: string): Promise<void> {
  const lab = new Lab(folder);
  try {
    const [ours, theirs] = [await lab.namespace("cairn"), await lab.namespace("other")];
    const [our, their] = ([1, 2] as const).map((end) =>
      cases.map(({ six }, i) => address(six, i, end) + (six ? "/64" : "/24")),
    );
    await lab.link(ours, our, theirs, their);
    const cairn = new Router(lab, ours, "cairn", cairnConfig());
    const other = new Router(lab, theirs, kind, kind === "frr" ? frrConfig() : birdConfig());
    await Promise.all([cairn.start(), other.start()]);
    await checks.check("whoever may come up does, after a second or two", () =>
      eventually(
        "sessions",
        namesOf((each) => each.up),
        () => upOnes(cairn),
      ),
    );
    await checks.check("whoever may not has never been up", async () => {
      const { neighbors } = await list(cairn);
      const ever = neighbors.filter(({ state }) => (state.establishedCount ?? 0) > 0);
      equal(
        "ever up",
        namesOf((each) => each.up),
        inOrder(ever),
      );
    });
    await checks.check("the kernel has counted each kind of refusal", () =>
      eventually("counters", { wrong: true, missing: true, ttl: true }, () => counters(lab, ours)),
    );
    await checks.check("the state of a neighbor with another key says so", () => {
      const at = cases.findIndex(({ name }) => name === "wrong key, neighbor connects");
      return eventually("status", true, async () =>
        /with a wrong MD5 signature/.test((await neighborOf(cairn, at))?.status ?? ""),
      );
    });
    await checks.check("dynamic neighbors name their range, and are in no generation", async () => {
      const dynamic = cases.flatMap((each, i) => (each.dynamic && each.up ? [i] : []));
      for (const i of dynamic) equal("range", rangeName(i), (await neighborOf(cairn, i))?.dynamicRange);
      const exported = await cairn.cli("export");
      for (const i of dynamic) equal("in the export", false, exported.includes(`"${remote(i)}"`));
      equal("a secret in the export", false, exported.includes(right));
    });
    await checks.check("keys mended and taken away while it runs; nobody else notices", async () => {
      const before = await established(cairn);
      const mended = cases.flatMap((each, i) => (isMended(each) ? [i] : []));
      for (const i of mended) {
        const key = cases[i].neighborKey;
        await cairn.cli(
          "neighbor",
          "set",
          remote(i),
          ...(key ? ["--password", key] : ["--clear", "password"]),
        );
        if (cases[i].by === "neighbor") await tryAgain(other, i);
      }
      await eventually(
        "sessions",
        namesOf((each) => each.up || isMended(each)),
        () => upOnes(cairn),
      );
      const after = await established(cairn);
      for (const [address, count] of Object.entries(before)) equal(address, count, after[address]);
    });
  } finally {
    await lab.close();
  }
}

interface State {
  readonly sessionState: string;
  readonly establishedCount?: number;
  readonly status?: string;
  readonly dynamicRange?: string;
}

async function neighborOf(cairn: Router, i: number): Promise<State | undefined> {
  const { neighbors } = await list(cairn);
  return neighbors.find(({ spec }) => spec.address === remote(i))?.state;
}

/** A case that a key at cairn like the neighbor's brings up; one family will do. */
function isMended({ up, six, dynamic, cairnKey, neighborKey }: Case): boolean {
  return !up && !six && !dynamic && (cairnKey ?? "") !== (neighborKey ?? "");
}

/** The neighbor's kernel waits longer and longer between SYNs that nobody answers. */
async function tryAgain(other: Router, i: number): Promise<void> {
  if (other.kind === "bird") await other.cli("restart", `p${i}`);
  else await other.cli(`clear bgp ${address(cases[i].six, i, 1)}`);
}

function namesOf(wanted: (each: Case) => boolean): string[] {
  return cases.flatMap((each, i) => (wanted(each) ? [`${remote(i)} ${each.name}`] : []));
}

async function upOnes(cairn: Router): Promise<string[]> {
  const { neighbors } = await list(cairn);
  return inOrder(neighbors.filter(({ state }) => state.sessionState === "SESSION_STATE_ESTABLISHED"));
}

function inOrder(neighbors: NeighborList["neighbors"]): string[] {
  const addresses = new Set(neighbors.map(({ spec }) => spec.address));
  return cases.flatMap((each, i) => (addresses.has(remote(i)) ? [`${remote(i)} ${each.name}`] : []));
}

interface NeighborList {
  readonly neighbors: readonly { readonly spec: { readonly address: string }; readonly state: State }[];
}

async function list(cairn: Router): Promise<NeighborList> {
  return JSON.parse(await cairn.cli("neighbor", "--json")) as NeighborList;
}

/** How often each neighbor that is up came up. */
async function established(cairn: Router): Promise<Record<string, number>> {
  const { neighbors } = await list(cairn);
  const up = neighbors.filter(({ state }) => state.sessionState === "SESSION_STATE_ESTABLISHED");
  return Object.fromEntries(up.map(({ spec, state }) => [spec.address, state.establishedCount ?? 0]));
}

async function counters(lab: Lab, namespace: Namespace) {
  const lines = (await lab.in(namespace, ["cat", "/proc/self/net/netstat"])).split("\n");
  const [names, values] = lines.filter((line) => line.startsWith("TcpExt:")).map((line) => line.split(" "));
  const count = (name: string): number => Number(values[names.indexOf(name)]);
  return {
    wrong: count("TCPMD5Failure") > 0,
    missing: count("TCPMD5NotFound") > 0,
    ttl: count("TCPMinTTLDrop") > 0,
  };
}

function address(six: boolean | undefined, i: number, end: 1 | 2): string {
  return six ? `fd00:${i + 1}::${end}` : `10.0.${i + 1}.${end}`;
}

const remote = (i: number): string => address(cases[i].six, i, 2);
const rangeName = (i: number): string => `range-${i + 1}`;

function cairnConfig(): string {
  const lines = [
    "global: { asn: 65001, router_id: 10.9.9.1, listen: ['0.0.0.0:179', '[::]:179'] }",
    `peer_groups: [{ name: keyed, password: ${right}, import: [accept-all], export: [accept-all] }]`,
    "dynamic_ranges:",
    ...cases.flatMap(({ six, dynamic }, i) => {
      const prefix = six ? `fd00:${i + 1}::/64` : `10.0.${i + 1}.0/24`;
      const entry = `name: ${rangeName(i)}, prefix: "${prefix}", peer_group: keyed, remote_asns: ["65002"]`;
      return dynamic ? [`  - { ${entry} }`] : [];
    }),
    "neighbors:",
    ...cases.flatMap((each, i) => (each.dynamic ? [] : [cairnNeighbor(each, i)])),
  ];
  return `${lines.join("\n")}\n`;
}

function cairnNeighbor(each: Case, i: number): string {
  const fields = [
    `address: "${remote(i)}"`,
    `local_address: "${address(each.six, i, 1)}"`,
    "remote_asn: 65002",
    `passive: ${each.by === "neighbor"}`,
    "connect_retry_time: 1s",
    "import: [accept-all]",
    "export: [accept-all]",
    ...(each.cairnKey ? [`password: ${each.cairnKey}`] : []),
    ...(each.cairnHops ? [`ttl_security: ${each.cairnHops}`] : []),
  ];
  return `  - { ${fields.join(", ")} }`;
}

function frrConfig(): string {
  const neighbors = cases.flatMap((each, i) => {
    const peer = `neighbor ${address(each.six, i, 1)}`;
    return [
      `${peer} remote-as 65001`,
      `${peer} update-source ${remote(i)}`,
      `${peer} timers connect 1`,
      ...(each.by === "cairn" ? [`${peer} passive`] : []),
      ...(each.neighborKey ? [`${peer} password ${each.neighborKey}`] : []),
      ...(each.neighborHops ? [`${peer} ttl-security hops ${each.neighborHops}`] : []),
    ].map((line) => ` ${line}`);
  });
  return [
    "frr defaults traditional",
    "log stdout",
    "router bgp 65002",
    " bgp router-id 10.9.9.2",
    " no bgp ebgp-requires-policy",
    ...neighbors,
    " address-family ipv6 unicast",
    ...cases.flatMap(({ six }, i) => (six ? [`  neighbor ${address(six, i, 1)} activate`] : [])),
    " exit-address-family",
    "exit",
    "",
  ].join("\n");
}

function birdConfig(): string {
  const sessions = cases.map((each, i) =>
    [
      `protocol bgp p${i} {`,
      `  local ${remote(i)} as 65002;`,
      `  neighbor ${address(each.six, i, 1)} as 65001;`,
      "  connect retry time 1; connect delay time 0; error wait time 1, 2;",
      ...(each.by === "cairn" ? ["  passive yes;"] : []),
      ...(each.neighborKey ? [`  password "${each.neighborKey}";`] : []),
      ...(each.neighborHops ? ["  ttl security yes;"] : []),
      each.six ? "  ipv6 { import all; export all; };" : "  ipv4 { import all; export all; };",
      "}",
    ].join("\n"),
  );
  return `router id 10.9.9.2;\nprotocol device { }\n${sessions.join("\n")}\n`;
}
