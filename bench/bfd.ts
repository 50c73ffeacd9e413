/**
 * `node bench/bfd.ts [--seconds 30] [--sessions 200] [--interval 300] [--prefixes 1000000] [--sweep]`
 *
 * BFD on a busy daemon: cairnd with so many neighbors, each with BFD at the interval times three, while a table is loaded,
 * sent to one of them and withdrawn again and again. Counts the sessions that went down on either side: each is a false
 * down, for the link is a virtual one that loses nothing. `--sweep` goes from 300 ms down to 10 ms. Needs root.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Lab, type Namespace } from "../interop/lib/lab.ts";
import { Router } from "../interop/lib/router.ts";
import type { PeersResult, PeersTask } from "./load/bfd-peers.ts";
import { firstPeerAs } from "./load/table.ts";
import { daemonAddress4, peerAddress } from "./namespace.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "30" },
    sessions: { type: "string", default: "200" },
    interval: { type: "string", default: "300" },
    prefixes: { type: "string", default: "1000000" },
    sweep: { type: "boolean", default: false },
  },
});

/** Sessions at each interval, so that packets per second stay within what a small machine can send. */
const sweep: readonly (readonly [intervalMs: number, sessions: number])[] = [
  [300, 200],
  [100, 200],
  [50, 100],
  [20, 50],
  [10, 20],
];

const runs = values.sweep ? sweep : ([[Number(values.interval), Number(values.sessions)]] as const);
let falseDowns = 0;
for (const [intervalMs, sessions] of runs) falseDowns += await run(intervalMs, sessions);
process.exit(falseDowns === 0 ? 0 : 1);

async function run(intervalMs: number, sessions: number): Promise<number> {
  const task: PeersTask = {
    ...{ sessions, intervalMs },
    prefixes: Number(values.prefixes),
    seconds: Number(values.seconds),
  };
  const folder = mkdtempSync(join(tmpdir(), "cairn-bench-bfd-"));
  const lab = new Lab(folder);
  try {
    const [ours, theirs] = [await lab.namespace("cairn"), await lab.namespace("peers")];
    await lab.link(ours, [`${daemonAddress4}/16`], theirs, ["10.99.255.254/16"]);
    await lab.in(theirs, ["ip", "route", "add", "local", "10.99.0.0/17", "dev", "lo"]);
    await lab.in(theirs, ["ip", "route", "add", `${daemonAddress4}/32`, "dev", "link0"]);
    const cairn = new Router(lab, ours, "cairn", config(task));
    await cairn.start();
    const before = cpuS(cairn.daemon.pid);
    const { result, end } = await peers(theirs, task);
    const { sessions: list = [] } = JSON.parse(await cairn.cli("bfd", "--json")) as {
      sessions?: { downs?: number; state: string }[];
    };
    end();
    const downs = list.reduce((sum, each) => sum + (each.downs ?? 0), 0);
    const up = list.filter(({ state }) => state === "BFD_STATE_UP").length;
    const told = `${sessions} sessions at ${intervalMs} ms x 3 for ${task.seconds} s, ${result.loads} loads of ${task.prefixes} routes`;
    const cpu = (cpuS(cairn.daemon.pid) - before).toFixed(0);
    console.log(
      `${told}: false downs ${downs} at cairn, ${result.downs} at the neighbors; ${up} up; ${cpu} s of CPU`,
    );
    return downs + result.downs;
  } finally {
    await lab.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `end` lets the neighbors go, which takes their sessions down in earnest. */
function peers(namespace: Namespace, task: PeersTask): Promise<{ result: PeersResult; end: () => void }> {
  const program = join(import.meta.dirname, "load/bfd-peers.ts");
  const words = [`--net=/proc/${namespace.pid}/ns/net`, process.execPath, program, JSON.stringify(task)];
  const child = spawn("nsenter", words, { stdio: ["pipe", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("\n"))
        resolve({ result: JSON.parse(text) as PeersResult, end: () => child.stdin.end() });
    });
    child.on("exit", (code) => reject(new Error(`the neighbors ended with ${code}`)));
  });
}

function config({ sessions, intervalMs }: PeersTask): string {
  const span = `${intervalMs}ms`;
  return JSON.stringify({
    global: { asn: 65000, router_id: daemonAddress4, listen: [`${daemonAddress4}:179`] },
    neighbors: Array.from({ length: sessions }, (_, n) => ({
      address: peerAddress(n, false),
      remote_asn: firstPeerAs + n,
      passive: true,
      hold_time: "240s",
      bfd: { min_tx: span, min_rx: span },
      ...(n === 0 ? { import: ["accept-all"] } : {}),
      ...(n === 1 ? { export: ["accept-all"] } : {}),
    })),
  });
}

/** CPU that a process has used. */
function cpuS(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
