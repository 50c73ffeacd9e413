/**
 * Fills the compile cache, so that the first start of cairnd is as quick and as small as every later one. Run by
 * `npm ci` through bin/cairnd, because cached code is only found again by a process with the same V8 flags.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import "../src/runtime/daemon.ts";
import "../src/runtime/options.ts";
import { openStore } from "../src/store/store.ts";

const dir = mkdtempSync(join(tmpdir(), "cairn-warm-"));
try {
  // The store's thread loads modules of its own.
  const store = await openStore(dir);
  await store.close();
} finally {
  rmSync(dir, { recursive: true, force: true });
}
