/**
 * The owner's end of the thread that writes BGP routes. It begins with the first FibTable; a daemon without one has no
 * such thread. Should it end by itself, what was under way counts as unknown, and the next request starts it again.
 */
import type { Worker } from "node:worker_threads";
import type { FibScope } from "../dataplane/fib/messages.ts";
import type { Effect } from "../state/effects.ts";
import type { Input } from "../state/inputs.ts";
import type { FromFib, ToFib } from "./fib-messages.ts";
import type { TcpLog } from "./listen.ts";
import { endThread, startThread } from "./thread.ts";

/** What was under way when the thread ended is answered after this, so that it is not started in a circle. */
const restartMs = 1000;

export type FibEffect = Extract<Effect, { kind: `fib.${string}` }>;

export class FibThread {
  readonly #post: (input: Input) => void;
  readonly #log: TcpLog;
  #worker: Worker | undefined;
  #scopes: readonly FibScope[] = [];
  #underWay: Exclude<ToFib, { kind: "watch" | "close" }> | undefined;
  #closed = false;

  constructor(post: (input: Input) => void, log: TcpLog) {
    this.#post = post;
    this.#log = log;
  }

  apply(effect: FibEffect): void {
    if (this.#closed) return;
    switch (effect.kind) {
      case "fib.watch":
        this.#scopes = effect.scopes;
        if (effect.scopes.length > 0 || this.#worker) this.#tell({ kind: "watch", scopes: effect.scopes });
        break;
      case "fib.dump": {
        const { table, metric, size } = effect;
        this.#underWay = { kind: "dump", scope: { table, metric }, size };
        this.#tell(this.#underWay);
        break;
      }
      case "fib.write":
        this.#underWay = { kind: "write", batch: effect.batch };
        this.#tell(this.#underWay);
        break;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker) await endThread(worker);
  }

  #tell(message: ToFib): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage(message);
  }

  #start(): Worker {
    const worker = startThread<FromFib>("./fib-worker.ts", "the thread of the FIB", this.#log, {
      heard: (message) => this.#heard(message),
      ended: (ended) => this.#ended(ended),
    });
    if (this.#scopes.length > 0) worker.postMessage({ kind: "watch", scopes: this.#scopes } satisfies ToFib);
    return worker;
  }

  #heard(message: FromFib): void {
    if (this.#closed) return;
    switch (message.kind) {
      case "moved":
        for (const moved of message.moved) this.#post({ kind: "fib.moved", moved });
        break;
      case "dumped":
        this.#underWay = undefined;
        this.#post({ kind: "fib.dumped", dump: message.dump });
        break;
      case "written":
        this.#underWay = undefined;
        this.#post({ kind: "fib.written", outcome: message.outcome });
        break;
    }
  }

  #ended(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    const underWay = this.#underWay;
    this.#underWay = undefined;
    if (underWay) setTimeout(() => this.#heard(lost(underWay)), restartMs);
  }
}

const ended = "the thread of the FIB ended";

function lost(request: Exclude<ToFib, { kind: "watch" | "close" }>): FromFib {
  if (request.kind === "dump") {
    const { scope, size } = request;
    const none = { addresses: new Uint8Array(0), lengths: new Uint8Array(0), wayOf: new Uint32Array(0) };
    return { kind: "dumped", dump: { ...scope, size, count: 0, ...none, ways: [], failure: ended } };
  }
  const { batch } = request.batch;
  const outcome = {
    batch,
    failed: new Uint32Array(0),
    errnos: new Uint8Array(0),
    unsure: true,
    failure: ended,
  };
  return { kind: "written", outcome };
}
