/** The thread that reads the kernel's routes for Redistribute: a look at a full table takes longer than sessions can wait. */
import { parentPort } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import { RouteReader } from "../dataplane/host/route-reader.ts";
import { errnoName, native, nativeMissing } from "./native.ts";
import type { FromRoutes, ToRoutes } from "./route-messages.ts";

const port = parentPort;
assert(port, "route-worker runs as a worker thread only");

/** All is looked at again without a notice. */
const checkMs = 600_000;

const reader = new RouteReader({
  news: tell,
  later: (ms, call) => void setTimeout(call, ms),
  nowMs: () => performance.now(),
  errnoName: (errno) => errnoName(-errno),
});
const failure = open();
let check: NodeJS.Timeout | undefined;

port.on("message", (message: ToRoutes) => {
  if (message.kind === "close") {
    clearInterval(check);
    reader.close();
    port.close();
    return;
  }
  for (const { id } of failure === "" ? [] : message.scopes)
    tell({ scope: id, all: false, changed: [], gone: [], over: 0, failure });
  if (failure !== "") return;
  reader.watch(message.scopes);
  check ??= setInterval(() => reader.check(), checkMs);
});

function open(): string {
  if (!native) return nativeMissing ?? "the native addon is missing";
  const result = reader.open(native);
  return result < 0 ? `a netlink socket cannot be opened: ${errnoName(result)}` : "";
}

function tell(news: FromRoutes): void {
  port!.postMessage(news);
}
