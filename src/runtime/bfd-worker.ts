/**
 * The thread of BFD. It has its own event loop, so that packets leave and are heard in time while the owner's thread loads
 * a table, and asks for a higher priority than the rest of the process.
 *
 * Waking up late, it reads what has come meanwhile before it looks who is missed: a packet that waits in a socket is not
 * one that did not come. News for the owner wait until it has taken the last ones, so that they take no more room than the
 * sessions do.
 */
import { setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import { BfdTable, type SessionPlan } from "../bfd/table.ts";
import type { BfdNews, ToBfd } from "./bfd-messages.ts";
import { ReceiveSocket, SendSocket } from "./bfd-sockets.ts";
import { native, nativeMissing } from "./native.ts";

const port = parentPort;
assert(port, "bfd-worker runs as a worker thread only");

/** How often counters are told, and sockets that could not be opened are tried again. */
const countersMs = 1000;
const retryMs = 5000;
const niceness = -15;

const receivers = new Map<string, ReceiveSocket>();
const senders = new Map<number, SendSocket>();
const plans = new Map<number, SessionPlan>();
const failures = new Map<number, string>();
/** Sessions whose failure is another one than what was told last. */
const failuresChanged = new Set<number>();
const table = new BfdTable(Math.random, transmit);
let timer: NodeJS.Timeout | undefined;
let timerMs = Number.POSITIVE_INFINITY;
let counters: NodeJS.Timeout | undefined;
let retriedMs = performance.now();
let taken = true;
let countersDue = false;

try {
  setPriority(niceness); // of this thread alone: Linux counts threads
} catch {
  // Without the right to it, the thread has the share that others have.
}

port.on("message", (message: ToBfd) => {
  switch (message.kind) {
    case "set":
      set(message.plan);
      break;
    case "remove":
      plans.delete(message.discriminator);
      failures.delete(message.discriminator);
      failuresChanged.delete(message.discriminator);
      table.remove(message.discriminator, performance.now());
      break;
    case "taken":
      taken = true;
      break;
    case "close":
      close();
      return;
  }
  settle();
});

function set(plan: SessionPlan): void {
  plans.set(plan.discriminator, plan);
  counters ??= setInterval(tick, countersMs);
  open(plan);
  table.set(plan, performance.now());
}

/** Opens what the session needs and is not open yet. */
function open(plan: SessionPlan): void {
  noteFailure(plan.discriminator, openFor(plan) ?? "");
}

function noteFailure(discriminator: number, text: string): void {
  if ((failures.get(discriminator) ?? "") === text) return;
  if (text === "") failures.delete(discriminator);
  else failures.set(discriminator, text);
  failuresChanged.add(discriminator);
}

function openFor(plan: SessionPlan): string | undefined {
  if (!native) return nativeMissing;
  const six = plan.peer.includes(":");
  const key = `${six} ${plan.multihop}`;
  if (!receivers.has(key)) {
    const receive = ReceiveSocket.open(native, six, plan.multihop, received, settle);
    if (typeof receive === "string")
      return `UDP port ${plan.multihop ? 4784 : 3784} cannot be opened: ${receive}`;
    receivers.set(key, receive);
  }
  if (senders.has(plan.discriminator)) return undefined;
  const sender = SendSocket.open(native, plan, Math.random);
  if (typeof sender === "string") return sender;
  senders.set(plan.discriminator, sender);
  return undefined;
}

function received(bytes: Uint8Array, length: number, arrival: Parameters<BfdTable["receive"]>[2]): void {
  table.receive(bytes, length, arrival, performance.now());
}

function transmit({ discriminator }: SessionPlan, bytes: Uint8Array): void {
  const sender = senders.get(discriminator);
  if (!sender) return;
  const problem = sender.send(bytes) ?? "";
  // One that was taken away tells its last words and has no owner any more.
  if (plans.has(discriminator)) noteFailure(discriminator, problem);
}

/** Reads what has come, does what is due, plans the next time, tells the news. */
function settle(): void {
  let all = true;
  for (const receiver of receivers.values()) all = receiver.drain() && all;
  // With more to read, nobody is missed yet.
  if (all) table.run(performance.now());
  tell();
  sleep(all);
}

function sleep(all: boolean): void {
  const wakeMs = all ? table.nextMs() : performance.now();
  if (timer && Math.abs(wakeMs - timerMs) < 0.5) return;
  clearTimeout(timer);
  timer = undefined;
  timerMs = wakeMs;
  if (wakeMs === Number.POSITIVE_INFINITY) return;
  timer = setTimeout(
    () => {
      timer = undefined;
      settle();
    },
    Math.max(0, wakeMs - performance.now()),
  );
}

function tick(): void {
  countersDue = true;
  const nowMs = performance.now();
  for (const discriminator of [...senders.keys()]) {
    if (plans.has(discriminator) || table.has(discriminator)) continue;
    senders.get(discriminator)!.close();
    senders.delete(discriminator);
  }
  if (plans.size === 0 && table.size === 0) {
    clearInterval(counters);
    counters = undefined;
  }
  if (nowMs - retriedMs >= retryMs) {
    retriedMs = nowMs;
    for (const discriminator of failures.keys()) open(plans.get(discriminator)!);
  }
  settle();
}

/** One message at a time is under way. */
function tell(): void {
  if (!taken) return;
  const reports = table.takeReports();
  const changed = [...failuresChanged].map((each) => [each, failures.get(each) ?? ""] as const);
  failuresChanged.clear();
  const numbers = countersDue ? table.takeCounters() : new Float64Array(0);
  const discards = countersDue ? table.takeDiscards() : undefined;
  countersDue = false;
  if (reports.length + changed.length + numbers.length === 0 && !discards) return;
  const toWall = (atMs: number): number => Math.floor(performance.timeOrigin + atMs);
  const news: BfdNews = {
    reports: reports.map((report) => ({
      ...report,
      changedAtMs: toWall(report.changedAtMs),
      downAtMs: toWall(report.downAtMs),
    })),
    counters: numbers,
    discards,
    failures: changed,
  };
  taken = false;
  port!.postMessage(news, [numbers.buffer]);
}

function close(): void {
  table.close(performance.now());
  clearTimeout(timer);
  clearInterval(counters);
  for (const sender of senders.values()) sender.close();
  for (const receiver of receivers.values()) receiver.close();
  port!.close();
}
