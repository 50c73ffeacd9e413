/**
 * npm run demo. Compiled code is kept where bin/cairnd keeps it, for all of the demo's processes, so that a second
 * start takes half the time.
 */
import { enableCompileCache } from "node:module";
import { join } from "node:path";

process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "../node_modules/.cache/cairn");
enableCompileCache(process.env.NODE_COMPILE_CACHE);
await import("./demo/main.ts");
