/** What the owner's ends of its threads have in common: a worker that reports, fails into the log, and ends when asked. */
import { Worker } from "node:worker_threads";
import type { TcpLog } from "./listen.ts";

export interface ThreadEvents<From> {
  heard(message: From): void;
  /** It is gone, by itself or because it was asked to be. */
  ended(worker: Worker): void;
}

/**
 * @param file of the worker, in this folder
 * @param what names the thread where its failure is logged, such as "the thread of BFD"
 */
export function startThread<From>(
  file: string,
  what: string,
  log: TcpLog,
  events: ThreadEvents<From>,
): Worker {
  const worker = new Worker(new URL(file, import.meta.url));
  worker.on("message", (message: From) => events.heard(message));
  worker.on("error", (error) => {
    log("error", `${what} failed`, {
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  });
  worker.on("exit", () => events.ended(worker));
  return worker;
}

/** Asks a worker to close what it has open, and waits until it is gone. @param patienceMs after which it is ended by force */
export async function endThread(worker: Worker, patienceMs?: number): Promise<void> {
  const gone = new Promise((resolve) => worker.once("exit", resolve));
  worker.postMessage({ kind: "close" });
  const force = patienceMs === undefined ? undefined : setTimeout(() => void worker.terminate(), patienceMs);
  await gone;
  clearTimeout(force);
}
