/**
 * Routes of one BIRD into the kernel: by cairn's FibTable, by another BIRD's kernel protocol and by FRR's zebra (bgpd before
 * it), in turn and several rounds in one run. Sessions are up before. Told are the seconds from the command that lets the
 * routes go until the last is in the kernel, from their withdrawal until the last is gone, and CPU seconds of all processes of
 * the daemon; medians, and cairn's ratio to each.
 *
 *   node bench/fib.ts [--routes 100000] [--rounds 3] [--subjects cairn,bird,frr] [--profile]      as root
 *
 * `--profile` leaves cairnd's CPU profiles in fib-profiles/.
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { Lab, type Namespace, pause } from "../interop/lib/lab.ts";
import { Router } from "../interop/lib/router.ts";
import { printProfile } from "./cpu-profile.ts";

const { values } = parseArgs({
  options: {
    routes: { type: "string", default: "100000" },
    rounds: { type: "string", default: "3" },
    subjects: { type: "string", default: "cairn,bird,frr" },
    profile: { type: "boolean", default: false },
  },
});
const size = Number(values.routes);
const rounds = Number(values.rounds);
const patienceMs = 180_000;
const programs = { cairn: "", bird: "/usr/sbin/bird", frr: "/usr/lib/frr/zebra" } as const;
type Kind = keyof typeof programs;

interface Figures {
  readonly installed_s: number;
  readonly gone_s: number;
  readonly cpu_s: number;
}

interface Subject {
  readonly kind: Kind;
  /** Third octet of its link to the feeder, and number of its session. */
  readonly network: number;
  readonly end: Namespace;
  readonly figures: Figures[];
}

const folder = mkdtempSync(path.join(tmpdir(), "cairn-bench-fib-"));
// zebra runs as a user of its own.
chmodSync(folder, 0o755);
const profiles = path.resolve("fib-profiles");
if (values.profile) {
  rmSync(profiles, { recursive: true, force: true });
  mkdirSync(profiles);
  process.env.CAIRN_NODE_OPTIONS = `--cpu-prof --cpu-prof-interval 500 --cpu-prof-dir ${profiles}`;
}
const lab = new Lab(folder);
try {
  const kinds = values.subjects.split(",") as Kind[];
  const feeder = await lab.namespace("feeder");
  const subjects: Subject[] = [];
  for (const [i, kind] of kinds.entries()) {
    if (programs[kind] !== "" && !existsSync(programs[kind])) {
      console.log(`${kind} is not installed (${programs[kind]})`);
      continue;
    }
    const end = await lab.namespace(`subject-${kind}`);
    const network = i + 1;
    await lab.link(feeder, [`10.0.${network}.1/24`], end, [`10.0.${network}.2/24`]);
    subjects.push({ kind, network, end, figures: [] });
  }
  const bird = new Router(lab, feeder, "bird", feederConfig(subjects));
  await bird.start();
  for (let round = 0; round < rounds; round++) {
    for (const subject of subjects) subject.figures.push(await measure(bird, subject));
  }
  report(subjects);
} finally {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
}
if (values.profile) {
  for (const name of readdirSync(profiles)) {
    console.log(`\n${name}`);
    printProfile(path.join(profiles, name));
  }
}

async function measure(bird: Router, { kind, network, end }: Subject): Promise<Figures> {
  const config = { cairn: cairnConfig, bird: birdConfig, frr: frrConfig }[kind](network);
  const subject = new Router(lab, end, kind, config, true);
  await subject.start();
  await bird.cli("enable", `to${network}`);
  await established(bird, `to${network}`);
  // FRR and cairn take a moment to tell of what they have, which is nothing.
  await pause(2000);
  const before = cpuS(end);
  const installed = await timed(() => bird.cli("enable", "feed"), end, size);
  const gone = await timed(() => bird.cli("disable", "feed"), end, 0);
  const figures = { installed_s: installed, gone_s: gone, cpu_s: cpuS(end) - before };
  await bird.cli("disable", `to${network}`);
  await subject.stop();
  return figures;
}

async function established(bird: Router, session: string): Promise<void> {
  for (const startedMs = performance.now(); ; await pause(100)) {
    if ((await bird.cli("show", "protocols", session)).includes("Established")) return;
    if (performance.now() - startedMs > patienceMs) throw new Error(`${session} is not established`);
  }
}

/** @returns seconds until the kernel has this many of the routes */
async function timed(begin: () => Promise<unknown>, end: Namespace, count: number): Promise<number> {
  const startedMs = performance.now();
  await begin();
  for (;;) {
    const tookS = (performance.now() - startedMs) / 1000;
    if (Math.abs(prefixesOf(end) - count) < 20) return tookS;
    if (tookS > patienceMs / 1000) throw new Error(`${prefixesOf(end)} routes and not ${count}`);
    await pause(50);
  }
}

/** Prefixes in the main table, by the kernel's own count; a handful are the host's own. */
function prefixesOf(end: Namespace): number {
  const words = [`--net=/proc/${end.pid}/ns/net`, "cat", "/proc/net/fib_triestat"];
  const text = execFileSync("nsenter", words, { encoding: "utf8" });
  return Math.max(...[...text.matchAll(/Prefixes:\s+(\d+)/g)].map(([, count]) => Number(count)));
}

/** All threads of all processes in the namespace. */
function cpuS(end: Namespace): number {
  const wanted = readlinkSync(`/proc/${end.pid}/ns/net`);
  let sum = 0;
  for (const pid of readdirSync("/proc")) {
    try {
      if (!/^\d+$/.test(pid) || readlinkSync(`/proc/${pid}/ns/net`) !== wanted) continue;
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
      sum += (Number(fields[11]) + Number(fields[12])) / 100;
    } catch {
      // It ended meanwhile.
    }
  }
  return sum;
}

function report(subjects: readonly Subject[]): void {
  const columns = ["installed_s", "gone_s", "cpu_s"] as const;
  const rows: Record<string, Record<string, string>> = {};
  const medians = new Map(
    subjects.map(({ kind, figures }) => [
      kind,
      Object.fromEntries(columns.map((column) => [column, median(figures.map((each) => each[column]))])),
    ]),
  );
  for (const { kind, figures } of subjects) {
    rows[kind] = Object.fromEntries(
      columns.map((column) => {
        const all = figures.map((each) => each[column].toFixed(2)).join(" ");
        return [column, `${medians.get(kind)![column].toFixed(2)} (${all})`];
      }),
    );
  }
  const own = medians.get("cairn");
  for (const [kind, theirs] of own ? medians : []) {
    if (kind === "cairn") continue;
    rows[`cairn / ${kind}`] = Object.fromEntries(
      columns.map((column) => [column, (own![column] / theirs[column]).toFixed(2)]),
    );
  }
  console.log(`${size} routes, ${rounds} rounds, medians (each)`);
  console.table(rows);
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

function feederConfig(subjects: readonly Subject[]): string {
  const routes = Array.from(
    { length: size },
    (_, i) => `  route ${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24 blackhole;`,
  );
  const sessions = subjects.map(
    ({ network }) => `protocol bgp to${network} {
  disabled yes;
  local 10.0.${network}.1 as 65002; neighbor 10.0.${network}.2 as 65001;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import none; export all; next hop self; };
}
`,
  );
  return `log stderr all;
router id 192.0.2.2;
protocol device { }
protocol static feed { disabled yes; ipv4;
${routes.join("\n")}
}
${sessions.join("")}`;
}

function cairnConfig(network: number): string {
  const neighbor = {
    ...{ address: `10.0.${network}.1`, remote_asn: 65002, connect_retry_time: "1s" },
    ...{ import: ["accept-all"], export: ["reject-all"] },
  };
  return JSON.stringify({
    global: { asn: 65001, router_id: "192.0.2.1", listen: ["0.0.0.0:179"] },
    neighbors: [neighbor],
    fib_tables: [{ name: "main", families: ["ipv4-unicast"] }],
  });
}

function birdConfig(network: number): string {
  return `log stderr all;
router id 192.0.2.3;
protocol device { }
protocol kernel { ipv4 { import none; export all; }; }
protocol bgp feed {
  local 10.0.${network}.2 as 65001; neighbor 10.0.${network}.1 as 65002;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import all; export none; };
}
`;
}

function frrConfig(network: number): string {
  return `router bgp 65001
 bgp router-id 192.0.2.4
 no bgp ebgp-requires-policy
 neighbor 10.0.${network}.1 remote-as 65002
 neighbor 10.0.${network}.1 timers connect 1
`;
}
