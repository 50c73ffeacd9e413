/**
 * The owner's end of the thread of BFD. The thread begins with the first session. Should it end by itself, it is started
 * again with the sessions that there are; neighbors hear from it again within their detection time at the best, and BGP
 * goes on until they say otherwise.
 */
import type { Worker } from "node:worker_threads";
import type { SessionPlan } from "../bfd/table.ts";
import type { Effect } from "../state/effects.ts";
import type { Input } from "../state/inputs.ts";
import type { BfdNews, ToBfd } from "./bfd-messages.ts";
import type { TcpLog } from "./listen.ts";
import { endThread, startThread } from "./thread.ts";

/** A thread that ended is started again after this. */
const restartMs = 1000;
/** Longest wait for the last packets at the end of the process. */
const closeMs = 500;

type BfdEffect = Extract<Effect, { kind: `bfd.${string}` }>;

export class BfdThread {
  readonly #post: (input: Input) => void;
  readonly #log: TcpLog;
  readonly #plans = new Map<number, SessionPlan>();
  #worker: Worker | undefined;
  #restart: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(post: (input: Input) => void, log: TcpLog) {
    this.#post = post;
    this.#log = log;
  }

  apply(effect: BfdEffect): void {
    if (this.#closed) return;
    if (effect.kind === "bfd.set") {
      this.#plans.set(effect.plan.discriminator, effect.plan);
      // A thread that is about to be started takes all plans.
      if (this.#worker) this.#tell({ kind: "set", plan: effect.plan });
      else if (!this.#restart) this.#start();
      return;
    }
    this.#plans.delete(effect.discriminator);
    this.#tell({ kind: "remove", discriminator: effect.discriminator });
  }

  /** Neighbors are told that BFD goes away. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#restart);
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker) await endThread(worker, closeMs);
  }

  #tell(message: ToBfd): void {
    this.#worker?.postMessage(message);
  }

  #start(): void {
    const worker = startThread<BfdNews>("./bfd-worker.ts", "the thread of BFD", this.#log, {
      heard: (news) => {
        this.#post({ kind: "bfd.news", ...news });
        worker.postMessage({ kind: "taken" } satisfies ToBfd);
      },
      ended: (ended) => this.#ended(ended),
    });
    this.#worker = worker;
    for (const plan of this.#plans.values()) this.#tell({ kind: "set", plan });
  }

  #ended(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#restart = setTimeout(() => {
      this.#restart = undefined;
      if (this.#plans.size > 0) this.#start();
    }, restartMs);
  }
}
