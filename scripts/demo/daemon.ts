/**
 * cairnd as a child of the demo: the same program, which also ends when its parent does, however that ended, and takes
 * its temporary state directory with it.
 *
 *   node scripts/demo/daemon.ts CONFIG --state-dir DIR
 */
import { rmSync } from "node:fs";

const stateDir = process.argv[process.argv.indexOf("--state-dir") + 1];
/** An orderly end takes no longer; before cairnd handles signals there is none. */
const endLimitMs = 2_000;
process.on("SIGTERM", () => {});
process.on("disconnect", () => {
  process.kill(process.pid, "SIGTERM");
  setTimeout(() => process.exit(0), endLimitMs);
});
process.on("exit", () => rmSync(stateDir, { recursive: true, force: true }));
await import("../../src/runtime/main.ts");
