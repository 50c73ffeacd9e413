/**
 * The owner's end of the thread that reads flows and logged packets. It begins with the first question or the first rule
 * that logs; a daemon without either has no such thread. Should it end by itself, open questions are answered with that,
 * and the next one starts it again.
 */
import type { Worker } from "node:worker_threads";
import type {
  Eviction,
  TranslationPage,
  TranslationQuery,
  TranslationTable,
} from "../dataplane/translations.ts";
import type { Effect } from "../state/effects.ts";
import type { Input } from "../state/inputs.ts";
import type { TcpLog } from "./listen.ts";
import type { FromNetfilter, NetfilterRequest, ToNetfilter } from "./netfilter-messages.ts";
import { endThread, startThread } from "./thread.ts";

/** Questions under way; each reads the whole table. */
const questionsMax = 8;
/** Packets are listened to again this long after the thread ended. */
const restartMs = 1000;

const busy = "too many questions for translations are under way";
const ended = "the thread that reads them ended";

export class NetfilterThread implements TranslationTable {
  readonly #post: (input: Input) => void;
  readonly #log: TcpLog;
  readonly #open = new Map<number, (message: FromNetfilter | undefined) => void>();
  #worker: Worker | undefined;
  #nextId = 1;
  #logs = false;
  #closed = false;

  constructor(post: (input: Input) => void, log: TcpLog) {
    this.#post = post;
    this.#log = log;
  }

  apply({ wanted }: Extract<Effect, { kind: "firewall.log" }>): void {
    if (this.#closed) return;
    this.#logs = wanted;
    if (wanted || this.#worker) this.#tell({ kind: "log", wanted });
  }

  async list(query: TranslationQuery): Promise<TranslationPage> {
    const answer = await this.#ask({ kind: "list", query });
    if (typeof answer === "object" && answer.kind === "listed") return answer.page;
    return { translations: [], position: "", total: 0, failure: String(answer) };
  }

  async evict(query: Pick<TranslationQuery, "filter" | "rules">, dryRun: boolean): Promise<Eviction> {
    const answer = await this.#ask({ kind: "evict", query, dryRun });
    if (typeof answer === "object" && answer.kind === "evicted") return answer.eviction;
    return { evicted: 0, gone: 0, left: 0, failure: String(answer) };
  }

  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#worker = undefined;
    if (!worker) return;
    await endThread(worker);
    this.#answerAll();
  }

  /** @returns the answer, or why there is none */
  #ask(request: NetfilterRequest): Promise<FromNetfilter | string> {
    if (this.#closed) return Promise.resolve(ended);
    if (this.#open.size >= questionsMax) return Promise.resolve(busy);
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#open.set(id, (message) => resolve(message ?? ended));
      this.#tell({ kind: "ask", id, request });
    });
  }

  #tell(message: ToNetfilter): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage(message);
  }

  #start(): Worker {
    const what = "the thread for flows and logged packets";
    return startThread<FromNetfilter>("./netfilter-worker.ts", what, this.#log, {
      heard: (message) => this.#heard(message),
      ended: (worker) => this.#ended(worker),
    });
  }

  #heard(message: FromNetfilter): void {
    if (this.#closed) return;
    switch (message.kind) {
      case "listed":
      case "evicted": {
        const resolve = this.#open.get(message.id);
        this.#open.delete(message.id);
        resolve?.(message);
        break;
      }
      case "logged":
        this.#post({ kind: "firewall.logged", packets: message.packets, dropped: message.dropped });
        break;
      case "failed":
        this.#post({ kind: "firewall.log-failed", why: message.why });
        break;
    }
  }

  #ended(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#answerAll();
    setTimeout(() => {
      if (this.#logs && !this.#closed) this.#tell({ kind: "log", wanted: true });
    }, restartMs).unref();
  }

  #answerAll(): void {
    for (const resolve of this.#open.values()) resolve(undefined);
    this.#open.clear();
  }
}
