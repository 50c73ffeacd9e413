/**
 * The thread that reads flows and logged packets: a table of a quarter million flows takes most of a second to read, a
 * flood of packets all the time there is, and the owner's thread has sessions to keep.
 */
import { parentPort } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { Conntrack } from "../dataplane/host/conntrack.ts";
import { PacketLog } from "../dataplane/host/packet-log.ts";
import { errnoName, native, nativeMissing } from "./native.ts";
import type { FromNetfilter, NetfilterRequest, ToNetfilter } from "./netfilter-messages.ts";

const port = parentPort;
assert(port, "netfilter-worker runs as a worker thread only");

const conntrack = native && new Conntrack(native, (errno) => errnoName(-errno));
const log =
  native &&
  new PacketLog(native, limits.loggedPacketsPerS, {
    logged: (packets, dropped) => tell({ kind: "logged", packets, dropped }),
    failed: (why) => tell({ kind: "failed", why }),
    later: (ms, call) => void setTimeout(call, ms),
    nowMs: () => performance.now(),
    errnoName: (errno) => errnoName(-errno),
  });

port.on("message", (message: ToNetfilter) => {
  switch (message.kind) {
    case "ask":
      void answer(message.id, message.request);
      break;
    case "log":
      if (log) log.want(message.wanted);
      else if (message.wanted) tell({ kind: "failed", why: noAddon() });
      break;
    case "close":
      log?.close();
      conntrack?.close();
      port.close();
      break;
  }
});

async function answer(id: number, request: NetfilterRequest): Promise<void> {
  if (request.kind === "list") {
    const none = { translations: [], position: "", total: 0, failure: noAddon() };
    const page = (await conntrack?.list(request.query)) ?? none;
    tell({ kind: "listed", id, page });
  } else {
    const none = { evicted: 0, gone: 0, left: 0, failure: noAddon() };
    const eviction = (await conntrack?.evict(request.query, request.dryRun)) ?? none;
    tell({ kind: "evicted", id, eviction });
  }
}

function noAddon(): string {
  return nativeMissing ?? "the native addon is missing";
}

function tell(message: FromNetfilter): void {
  port!.postMessage(message);
}
