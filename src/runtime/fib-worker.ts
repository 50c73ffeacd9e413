/**
 * The thread that writes BGP routes into the kernel: a batch takes the kernel milliseconds, now and then a hundred, and
 * the owner's thread has sessions to keep. What others do to the tables is told at most every few milliseconds.
 */
import { parentPort } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import type { FibMoved } from "../dataplane/fib/messages.ts";
import { FibKernel } from "../dataplane/host/fib-kernel.ts";
import type { FromFib, ToFib } from "./fib-messages.ts";
import { errnoName, native, nativeMissing } from "./native.ts";

const port = parentPort;
assert(port, "fib-worker runs as a worker thread only");

const noticeMs = 20;

const noticed = new Map<number, FibMoved>();
let telling: NodeJS.Timeout | undefined;
const { kernel, failure } = open();

port.on("message", (message: ToFib) => {
  switch (message.kind) {
    case "watch":
      kernel?.watch(message.scopes);
      break;
    case "dump": {
      const { scope, size } = message;
      const none = { ways: [], count: 0, addresses: new Uint8Array(0), lengths: new Uint8Array(0) };
      const dump = kernel?.ask(scope, size) ?? {
        ...{ ...scope, size, ...none, wayOf: new Uint32Array(0), failure },
      };
      tell({ kind: "dumped", dump }, [dump.addresses.buffer, dump.lengths.buffer, dump.wayOf.buffer]);
      break;
    }
    case "write": {
      const { batch } = message;
      const outcome = kernel?.write(batch) ?? {
        batch: batch.batch,
        failed: Uint32Array.from({ length: batch.count }, (_, i) => i),
        errnos: new Uint8Array(batch.count).fill(1),
        unsure: false,
        failure,
      };
      tell({ kind: "written", outcome }, [outcome.failed.buffer, outcome.errnos.buffer]);
      break;
    }
    case "close":
      clearTimeout(telling);
      kernel?.close();
      port.close();
      break;
  }
});

function open(): { kernel: FibKernel | undefined; failure: string } {
  if (!native) return { kernel: undefined, failure: nativeMissing ?? "the native addon is missing" };
  const opened = FibKernel.open(native, { moved, errnoName: (errno) => errnoName(-errno) });
  if (typeof opened !== "number") return { kernel: opened, failure: "" };
  return { kernel: undefined, failure: `a netlink socket cannot be opened: ${errnoName(opened)}` };
}

function moved(news: FibMoved): void {
  const before = noticed.get(news.table);
  noticed.set(news.table, { table: news.table, ours: news.ours || (before?.ours ?? false) });
  telling ??= setTimeout(() => {
    telling = undefined;
    tell({ kind: "moved", moved: [...noticed.values()] }, []);
    noticed.clear();
  }, noticeMs);
}

function tell(message: FromFib, transfer: ArrayBufferLike[]): void {
  port!.postMessage(message, transfer as ArrayBuffer[]);
}
