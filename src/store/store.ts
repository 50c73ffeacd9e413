/**
 * The durable side of the core's state: one SQLite file in the state directory, written by a worker thread. What
 * `committed` has named survives any crash; what it has not may or may not, but always as whole transactions.
 */
import { Worker } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import type { Event } from "../gen/cairn/v1/event_service_pb.ts";
import { eventMessage } from "../state/event-log.ts";
import type {
  AuditQuery,
  AuditStep,
  StoredAuditEntry,
  StoredGeneration,
  StoredRevision,
  StoredState,
  StoreRow,
} from "../state/rows.ts";
import type {
  EventArchive,
  GenerationQuery,
  HistoryArchive,
  HistoryComparison,
  HistoryObjects,
  HistorySpan,
} from "../state/view.ts";
import {
  damageText,
  loadState,
  lockDirectory,
  prepareDatabase,
  resetDatabase,
  type StateLock,
  StoreError,
} from "./database.ts";
import type { HistoryAnswer, HistoryQuestion } from "./history.ts";
import type { FromWorker, ToWorker } from "./store-messages.ts";

export { backupDatabase, StoreError } from "./database.ts";

export interface StoreCallbacks {
  /** All rows persisted with a sequence number up to `seq` are durable. */
  committed(seq: number): void;
  /**
   * Rows from `seq` on are not durable. Until `resume` is called everything that is persisted is dropped without a
   * further word, because it builds on what was lost.
   */
  failed(seq: number, error: string): void;
}

export interface OpenOptions {
  /** Start over with an empty database, after a backup. */
  readonly reseed?: boolean;
}

/**
 * Locks the state directory, checks and migrates its database and starts the worker.
 * @throws StoreError with a sentence for the operator: in use by another daemon, damaged, newer, not writable
 */
export async function openStore(dir: string, options: OpenOptions = {}): Promise<Store> {
  const lock = lockDirectory(dir);
  try {
    if (options.reseed) resetDatabase(dir);
    prepareDatabase(dir);
    return await Store.start(dir, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

type Answer = Extract<FromWorker, { type: "answer" | "told" }>;

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

export class Store implements EventArchive, HistoryArchive {
  readonly #dir: string;
  readonly #lock: StateLock;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #callbacks: StoreCallbacks = { committed: () => {}, failed: () => {} };
  #nextQuestion = 1;
  #lastSeq = 0;
  #ackedSeq = 0;
  #broken: string | undefined;
  #closed: (() => void) | undefined;

  /** Called by `openStore`, which checks the directory first. */
  static start(dir: string, lock: StateLock): Promise<Store> {
    return new Promise((resolve, reject) => {
      const store = new Store(dir, lock, (error) => (error ? reject(error) : resolve(store)));
    });
  }

  private constructor(dir: string, lock: StateLock, started: (error?: Error) => void) {
    this.#dir = dir;
    this.#lock = lock;
    this.#worker = new Worker(new URL("./store-worker.ts", import.meta.url), {
      workerData: { dir, fault: process.env.CAIRN_STORE_FAULT ?? "" },
    });
    this.#worker.on("message", (message: FromWorker) => {
      if (message.type === "ready") started();
      else this.#hear(message);
    });
    this.#worker.on("error", (error) => {
      const reason = `the store's thread ended: ${error instanceof Error ? error.message : String(error)}`;
      this.#breakDown(reason);
      started(new StoreError(reason));
    });
    this.#worker.on("exit", () => this.#breakDown("the store's thread ended"));
  }

  /** Who is told what became of persisted rows. Set it before the first `persist`. */
  listen(callbacks: StoreCallbacks): void {
    this.#callbacks = callbacks;
  }

  /**
   * What the core starts from. Call it before the first `persist`, and walk `injected` to its end.
   * @param nowMs wall-clock milliseconds: older request ids than a day are left out
   */
  load(nowMs: number): StoredState {
    return loadState(this.#dir, nowMs);
  }

  /** The sentence for the operator when what was loaded turns out not to be what was written. */
  damaged(reason: string): string {
    return damageText(this.#dir, reason);
  }

  /** Hands rows to the worker. Rows of one call are in one transaction, as may be those of several calls. */
  persist(seq: number, rows: readonly StoreRow[]): void {
    assert(seq > this.#lastSeq, "persist needs rising sequence numbers");
    this.#lastSeq = seq;
    if (this.#broken === undefined) this.#say({ type: "persist", seq, rows });
    else this.#callbacks.failed(seq, this.#broken);
  }

  /**
   * After `failed`: the core has taken back what was lost. Rows up to `afterSeq` (the last that the core gave out
   * before it knew) stay dropped; later ones are written again.
   */
  resume(afterSeq: number): void {
    if (this.#broken === undefined) this.#say({ type: "resume", afterSeq });
  }

  async read(afterId: number, beforeId: number, reverse: boolean, max: number): Promise<Event[]> {
    const answer = await this.#ask((id) => ({ type: "read", id, afterId, beforeId, reverse, max }));
    assert(answer.type === "answer", "a read is answered with events");
    return answer.events.map(eventMessage);
  }

  async first(): Promise<number> {
    const answer = await this.#ask((id) => ({ type: "first", id }));
    assert(answer.type === "answer", "asked for the first event, the answer has it");
    return answer.first;
  }

  generations(query: GenerationQuery): Promise<StoredGeneration[]> {
    return this.#history({ ask: "generations", query });
  }

  span(): Promise<HistorySpan> {
    return this.#history({ ask: "span" });
  }

  compare(from: number, to: number): Promise<HistoryComparison | undefined> {
    return this.#history({ ask: "compare", from, to });
  }

  objectsAt(generation: number): Promise<HistoryObjects | undefined> {
    return this.#history({ ask: "objects", generation });
  }

  revisions(kind: string, name: string, max: number): Promise<StoredRevision[]> {
    return this.#history({ ask: "revisions", kind, name, max });
  }

  audit(query: AuditQuery): Promise<{ entries: StoredAuditEntry[]; total: number }> {
    return this.#history({ ask: "audit", query });
  }

  verifyAudit(from: number, max: number): Promise<AuditStep> {
    return this.#history({ ask: "verify", from, max });
  }

  async #history<T extends HistoryAnswer>(question: HistoryQuestion): Promise<T> {
    const answer = await this.#ask((id) => ({ type: "history", id, question }));
    assert(answer.type === "told", "the history answers what it is asked");
    return answer.answer as T;
  }

  /** Writes what is waiting, ends the worker and gives the state directory free. */
  async close(): Promise<void> {
    if (this.#broken === undefined) {
      await new Promise<void>((resolve) => {
        this.#closed = resolve;
        this.#say({ type: "close" });
      });
      this.#broken = "the store is closed";
      await this.#worker.terminate();
    }
    this.#lock.release();
  }

  #ask(question: (id: number) => ToWorker): Promise<Answer> {
    if (this.#broken !== undefined) return Promise.reject(new StoreError(this.#broken));
    const id = this.#nextQuestion++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#say(question(id));
    });
  }

  #say(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #hear(message: Exclude<FromWorker, { type: "ready" }>): void {
    switch (message.type) {
      case "committed":
        this.#ackedSeq = message.seq;
        this.#callbacks.committed(message.seq);
        break;
      case "failed":
        this.#callbacks.failed(message.seq, message.error);
        break;
      case "answer":
      case "told":
        this.#take(message.id)?.resolve(message);
        break;
      case "refused":
        this.#take(message.id)?.reject(new StoreError(message.error));
        break;
      case "closed":
        this.#closed?.();
    }
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** The thread is gone: everything not yet acknowledged counts as failed, and so does what comes. */
  #breakDown(reason: string): void {
    if (this.#broken !== undefined) return;
    this.#broken = reason;
    for (const waiting of this.#waiting.values()) waiting.reject(new StoreError(reason));
    this.#waiting.clear();
    this.#closed?.();
    if (this.#lastSeq > this.#ackedSeq) this.#callbacks.failed(this.#ackedSeq + 1, reason);
  }
}
