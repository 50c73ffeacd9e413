/**
 * Runs full-kernel.ts in a VM, as the kernel of the machine that runs the suites may lack most kinds of links. Without
 * hardware support that takes some minutes, so it is asked for: CAIRN_VM=1. `vmrun` comes with the laboratory that is
 * shared beside the project (CAIRN_VMRUN names another place).
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import type { Checks } from "../lib/checks.ts";

const root = path.join(import.meta.dirname, "../..");
const vmrun = process.env.CAIRN_VMRUN ?? path.join(root, "../shared/lab/vmrun");
const timeoutS = Number(process.env.CAIRN_VM_TIMEOUT_S ?? 1500);

export async function inFullKernel(checks: Checks): Promise<void> {
  const why = !existsSync(vmrun)
    ? `there is no ${vmrun}`
    : process.env.CAIRN_VM !== "1"
      ? "takes minutes; set CAIRN_VM=1"
      : undefined;
  if (why) {
    checks.skip("all of it", why);
    return;
  }
  const log: string[] = [];
  const code = await new Promise<number>((resolve) => {
    const child = spawn(
      vmrun,
      [
        ...["--mem", "3072", "--cpus", "2", "--timeout", String(timeoutS), "--"],
        ...[path.join(root, "node_modules/.bin/node"), path.join(root, "interop/dataplane/full-kernel.ts")],
      ],
      { cwd: root, stdio: ["ignore", "pipe", "pipe"] },
    );
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => void log.push(text));
    }
    child.on("error", (error) => {
      log.push(error.message);
      resolve(-1);
    });
    child.on("close", (exit) => resolve(exit ?? -1));
  });
  const lines = log.join("").split("\n");
  const results = lines.map((line) => /^(ok|FAIL) +full kernel: (.*)$/.exec(line));
  for (const [i, found] of results.entries()) {
    if (!found) continue;
    const end = results.findIndex((each, j) => j > i && each !== null);
    const detail = lines.slice(i + 1, end < 0 ? undefined : end).join("\n");
    await checks.check(found[2], async () => {
      if (found[1] === "FAIL") throw new Error(detail);
    });
  }
  if (code !== 0 && checks.failed === 0) {
    await checks.check("the VM", () =>
      Promise.reject(new Error(`ended with ${code}\n${lines.slice(-30).join("\n")}`)),
    );
  }
}
