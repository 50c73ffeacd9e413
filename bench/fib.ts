/**
 * 100,000 routes of one BIRD into the kernel: by cairn's FibTable, and by another BIRD's kernel protocol, one after the
 * other in the same run. Told are the time from the session's start to the last route in the kernel, from its end to
 * the last one gone, and CPU seconds of the daemon. `bench/fib.ts [ROUTES]`, as root.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Lab, type Namespace, pause } from "../interop/lib/lab.ts";
import { Router } from "../interop/lib/router.ts";

const size = Number(process.argv[2] ?? 100_000);
const patienceMs = 120_000;

interface Figures {
  readonly installed_s: number;
  readonly gone_s: number;
  readonly cpu_s: number;
}

const folder = mkdtempSync(path.join(tmpdir(), "cairn-bench-fib-"));
const lab = new Lab(folder);
try {
  const feeder = await lab.namespace("feeder");
  const bird = new Router(lab, feeder, "bird", feederConfig());
  const figures: Record<string, Figures> = {};
  const subjects = [
    { kind: "cairn", network: 1 },
    { kind: "bird", network: 2 },
  ] as const;
  const ends: Namespace[] = [];
  for (const { kind, network } of subjects) {
    const end = await lab.namespace(`subject-${kind}`);
    await lab.link(feeder, [`10.0.${network}.1/24`], end, [`10.0.${network}.2/24`]);
    ends.push(end);
  }
  await bird.start();
  for (const [i, { kind, network }] of subjects.entries()) {
    const config = kind === "cairn" ? cairnConfig(network) : birdConfig(network);
    const subject = new Router(lab, ends[i], kind, config, true);
    await subject.start();
    await pause(2000);
    const before = cpuS(subject.daemon.pid);
    const installed = await timed(() => bird.cli("enable", `to${network}`), ends[i], size);
    const gone = await timed(() => bird.cli("disable", `to${network}`), ends[i], 0);
    figures[kind] = { installed_s: installed, gone_s: gone, cpu_s: cpuS(subject.daemon.pid) - before };
    await subject.daemon.stop();
  }
  console.table(figures);
} finally {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
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

/** All threads. */
function cpuS(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function feederConfig(): string {
  const routes = Array.from(
    { length: size },
    (_, i) => `  route ${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24 blackhole;`,
  );
  const session = (network: number): string => `protocol bgp to${network} {
  disabled yes;
  local 10.0.${network}.1 as 65002; neighbor 10.0.${network}.2 as 65001;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import none; export all; next hop self; };
}
`;
  return `log stderr all;
router id 192.0.2.2;
protocol device { }
protocol static { ipv4;
${routes.join("\n")}
}
${session(1)}${session(2)}`;
}

function cairnConfig(network: number): string {
  const address = `10.0.${network}.1`;
  return JSON.stringify({
    global: { asn: 65001, router_id: "192.0.2.1", listen: ["0.0.0.0:179"] },
    neighbors: [
      {
        address,
        remote_asn: 65002,
        import: ["accept-all"],
        export: ["reject-all"],
        connect_retry_time: "1s",
      },
    ],
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
