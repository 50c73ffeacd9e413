/**
 * The store's thread. All messages that wait when it gets to work go into one transaction (group commit), so that the
 * cost of a disk flush is shared and the owner's thread never waits for a disk.
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import type { StoreRow } from "../state/rows.ts";
import { type FaultStep, Journal } from "./journal.ts";
import { sqlErrorText } from "./sqlite.ts";
import type { FromWorker, ToWorker } from "./store-messages.ts";

/** Rows in one transaction at most, so that one flush stays short. */
const groupRowsMax = 20_000;

assert(parentPort, "store-worker runs as a worker thread only");
const port = parentPort;
const { dir, fault } = workerData as { dir: string; fault: string };
const atStep = faultHook(fault);
const journal = new Journal(dir, atStep);

/** After a failure everything is dropped until `resume`: it builds on what was lost. */
let failed = false;
/** Rows up to here are dropped even after `resume`. */
let dropUntil = 0;
let group: { seq: number; rows: readonly StoreRow[] }[] = [];
let groupRows = 0;

port.on("message", (first: ToWorker) => {
  for (let message: ToWorker | undefined = first; message; message = receiveMessageOnPort(port)?.message) {
    take(message);
    if (groupRows >= groupRowsMax) flush();
  }
  flush();
});
say({ type: "ready" });

function take(message: ToWorker): void {
  if (message.type === "persist") {
    if (failed || message.seq <= dropUntil) return;
    group.push(message);
    groupRows += message.rows.length;
    return;
  }
  flush();
  switch (message.type) {
    case "resume":
      failed = false;
      dropUntil = message.afterSeq;
      break;
    case "read":
      answer(message.id, () => ({
        events: journal.readEvents(message.afterId, message.beforeId, message.reverse, message.max),
        first: 0,
      }));
      break;
    case "first":
      answer(message.id, () => ({ events: [], first: journal.firstEvent() }));
      break;
    case "history":
      try {
        say({ type: "told", id: message.id, answer: journal.history.answer(message.question) });
      } catch (error) {
        say({ type: "refused", id: message.id, error: sqlErrorText(error) });
      }
      break;
    case "close":
      try {
        journal.close();
      } finally {
        say({ type: "closed" });
        port.close();
      }
  }
}

function flush(): void {
  if (group.length === 0) return;
  const taken = group;
  group = [];
  groupRows = 0;
  try {
    journal.write(taken.flatMap((message) => message.rows));
  } catch (error) {
    failed = true;
    say({ type: "failed", seq: taken[0].seq, error: sqlErrorText(error) });
    return;
  }
  atStep("before-ack");
  say({ type: "committed", seq: taken[taken.length - 1].seq });
}

function answer(id: number, read: () => Omit<Extract<FromWorker, { type: "answer" }>, "type" | "id">): void {
  try {
    say({ type: "answer", id, ...read() });
  } catch (error) {
    say({ type: "refused", id, error: sqlErrorText(error) });
  }
}

function say(message: FromWorker): void {
  port.postMessage(message);
}

/** `CAIRN_STORE_FAULT=STEP[:N]` ends the process at the Nth time that a write comes to STEP, as kill -9 would. */
function faultHook(setting: string): (step: FaultStep) => void {
  if (setting === "") return () => {};
  const [wanted, count] = setting.split(":");
  let left = Number(count ?? 1);
  return (step) => {
    if (step === wanted && --left === 0) process.kill(process.pid, "SIGKILL");
  };
}
