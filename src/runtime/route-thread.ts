/**
 * The owner's end of the thread that reads the kernel's routes. It begins with the first Redistribute; a daemon without one
 * has no such thread. Should it end by itself it is started again, and tells all there is.
 */
import type { Worker } from "node:worker_threads";
import type { RouteScope } from "../dataplane/redistribute/messages.ts";
import type { Effect } from "../state/effects.ts";
import type { Input } from "../state/inputs.ts";
import type { TcpLog } from "./listen.ts";
import type { FromRoutes, ToRoutes } from "./route-messages.ts";
import { endThread, startThread } from "./thread.ts";

/** A thread that ended is started again after this. */
const restartMs = 1000;

export type RoutesEffect = Extract<Effect, { kind: `routes.${string}` }>;
export type RoutesInput = Extract<Input, { kind: `routes.${string}` }>;

export class RouteThread {
  readonly #post: (input: RoutesInput) => void;
  readonly #log: TcpLog;
  #worker: Worker | undefined;
  #restart: NodeJS.Timeout | undefined;
  #scopes: readonly RouteScope[] = [];
  #closed = false;

  constructor(post: (input: RoutesInput) => void, log: TcpLog) {
    this.#post = post;
    this.#log = log;
  }

  apply(effect: RoutesEffect): void {
    if (this.#closed) return;
    this.#scopes = effect.scopes;
    if (this.#worker) this.#worker.postMessage({ kind: "watch", scopes: effect.scopes } satisfies ToRoutes);
    else if (!this.#restart && effect.scopes.length > 0) this.#start();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#restart);
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker) await endThread(worker);
  }

  #start(): void {
    const worker = startThread<FromRoutes>("./route-worker.ts", "the thread that reads routes", this.#log, {
      heard: (news) => {
        if (!this.#closed) this.#post({ kind: "routes.news", news });
      },
      ended: (ended) => this.#ended(ended),
    });
    this.#worker = worker;
    worker.postMessage({ kind: "watch", scopes: this.#scopes } satisfies ToRoutes);
  }

  #ended(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#restart = setTimeout(() => {
      this.#restart = undefined;
      if (this.#scopes.length > 0) this.#start();
    }, restartMs);
  }
}
