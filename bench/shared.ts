/**
 * Drives ../shared/bench, which knows how to start other daemons. Its generator is compiled into a temporary
 * directory; nothing of it enters the project. It needs a network namespace (root, or unprivileged user namespaces).
 */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./daemon.ts";
import type { RunRecord } from "./report.ts";

const source = join(process.env.CAIRN_SHARED ?? join(root, "../shared"), "bench");

/** What starts each daemon that the driver knows. */
const binaries: Readonly<Record<string, readonly string[]>> = {
  bird: ["/usr/sbin/bird", "/usr/local/sbin/bird"],
  frr: ["/usr/lib/frr/bgpd"],
  gobgp: ["/usr/bin/gobgpd", "/usr/local/bin/gobgpd"],
  openbgpd: ["/usr/sbin/openbgpd", "/usr/sbin/bgpd"],
};

/** Other daemons that are installed here. */
export function installedDaemons(): string[] {
  return Object.keys(binaries).filter((name) => binaries[name].some((path) => existsSync(path)));
}

/** Why the shared driver cannot be used; empty when it can. */
export function whyNotShared(): string {
  if (!existsSync(join(source, "run.py"))) return `${source} is not there`;
  for (const tool of ["python3", "cc", "unshare"]) {
    if (spawnSync("which", [tool]).status !== 0) return `${tool} is not installed`;
  }
  const namespace = process.getuid?.() === 0 ? ["-n", "true"] : ["-rn", "true"];
  return spawnSync("unshare", namespace).status === 0 ? "" : "network namespaces are not allowed here";
}

/**
 * Runs scenarios over daemons, interleaved.
 * @param maxForeign a run is repeated when other processes used more cores than this; 0 never
 */
export function runShared(
  scenarios: readonly string[],
  daemons: readonly string[],
  reps: number,
  maxForeign: number,
): RunRecord[] {
  const dir = mkdtempSync(join(tmpdir(), "cairn-bench-shared-"));
  try {
    copyFileSync(join(source, "run.py"), join(dir, "run.py"));
    execFileSync("cc", ["-O2", "-o", join(dir, "bgpblast"), join(source, "bgpblast.c"), "-lm"]);
    const out = join(dir, "results.jsonl");
    const others = daemons.filter((name) => name !== "cairn");
    const words = ["-d", others.join(","), "-s", scenarios.join(","), "-n", String(reps), "-o", out];
    words.push("--workdir", join(dir, "work"), "--max-foreign", String(maxForeign));
    if (daemons.includes("cairn")) words.push(...cairnWords());
    const { status } = spawnSync("python3", [join(dir, "run.py"), ...words], { stdio: ["ignore", 2, 2] });
    if (status !== 0 && !existsSync(out)) throw new Error(`run.py ended with ${status}`);
    const lines = readFileSync(out, "utf8").trim().split("\n");
    return lines.map((line) => ({ ...(JSON.parse(line) as RunRecord), generator: "shared" }));
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

function cairnWords(): string[] {
  const command = `${join(root, "bin/cairnd")} {conf} --state-dir {dir}/state --dataplane none --log-level warn`;
  const dump = `${join(root, "bin/cairnctl")} -s unix://{dir}/grpc.sock rib --json`;
  const template = join(source, "cairn.toml.tmpl");
  return [
    ...["--dut-name", "cairn", "--dut-cmd", command, "--dut-template", template, "--dut-dump", dump],
    ...["--dut-fams", "v4,v6", "--dut-modes", "ebgp,rs,rr"],
  ];
}
