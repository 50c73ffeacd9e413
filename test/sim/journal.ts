/**
 * A speaker's disk. Rows wait in a queue, one group at a time is committed after a delay, and the acknowledgement takes
 * time too. A crash loses exactly what was not committed; what was committed and not acknowledged stays.
 */
import {
  objectsOf,
  type StoredEvent,
  type StoredInjection,
  type StoredObject,
  type StoredState,
  type StoreRow,
} from "../../src/state/rows.ts";
import type { Clock } from "./clock.ts";
import type { Dice } from "./dice.ts";
import { violated } from "./failure.ts";

export interface JournalFaults {
  /** Longest time of one commit. */
  commitMsMax: number;
  /** Share of commits that take up to 20 seconds. */
  slow: number;
  /** Share of commits that fail. */
  fail: number;
}

export interface JournalClient {
  committed(seq: number): void;
  failed(seq: number, error: string): void;
}

/** Events kept for the next start; the real store keeps a ring's worth. */
const eventsKept = 64;

export class Journal {
  readonly faults: JournalFaults;
  private readonly clock: Clock;
  private readonly dice: Dice;
  private client: JournalClient | undefined;
  /** Counts starts of the process: what an earlier one left under way is void. */
  private run = 0;
  private queue: { readonly seq: number; readonly rows: readonly StoreRow[] }[] = [];
  private committing = false;
  private lost = false;
  private dropUntil = 0;
  /** Highest sequence number of this run that is durable. */
  durableSeq = 0;

  private generation = 0;
  private hash: string | undefined;
  private pending: StoredState["pending"];
  /** Request ids of the accepted changes that the audit knows. */
  readonly audited = new Set<string>();
  private readonly objects = new Map<string, StoredObject>();
  private readonly injected = new Map<string, StoredInjection>();
  private readonly requests = new Map<string, StoredState["requests"][number]>();
  private events: StoredEvent[] = [];
  private lastEventId = 0;
  private restart: StoredState["restart"];

  constructor(clock: Clock, dice: Dice, faults: JournalFaults) {
    this.clock = clock;
    this.dice = dice;
    this.faults = faults;
  }

  /** The durable state, for a start. */
  open(client: JournalClient): StoredState {
    this.client = client;
    this.run++;
    this.queue = [];
    this.committing = false;
    this.lost = false;
    this.dropUntil = 0;
    this.durableSeq = 0;
    return this.state();
  }

  state(): StoredState {
    return {
      generation: this.generation,
      objects: [...this.objects.values()],
      injected: [...this.injected.values()],
      ledger: [],
      lastEventId: this.lastEventId,
      events: [...this.events],
      requests: [...this.requests.values()],
      ...(this.restart ? { restart: this.restart } : {}),
      ...(this.hash === undefined ? {} : { hash: this.hash }),
      ...(this.pending ? { pending: this.pending } : {}),
    };
  }

  /** The process is gone. */
  crash(): void {
    this.client = undefined;
    this.run++;
    this.queue = [];
  }

  get idle(): boolean {
    return this.queue.length === 0 && !this.committing;
  }

  persist(seq: number, rows: readonly StoreRow[]): void {
    if (this.lost || seq <= this.dropUntil) return;
    this.queue.push({ seq, rows });
    this.begin();
  }

  /** After a failure: rows up to `afterSeq` stay dropped, later ones are written again. */
  resume(afterSeq: number): void {
    this.lost = false;
    this.dropUntil = afterSeq;
  }

  private begin(): void {
    if (this.committing || this.queue.length === 0) return;
    this.committing = true;
    const { dice, faults, run } = this;
    const delayMs = dice.chance(faults.slow)
      ? dice.between(100, 20_000)
      : dice.between(0, faults.commitMsMax);
    this.clock.after(delayMs, () => {
      if (run === this.run) this.commit();
    });
  }

  private commit(): void {
    const group = this.queue;
    this.queue = [];
    this.committing = false;
    const { run } = this;
    const ackMs = this.dice.between(0, 5);
    if (this.dice.chance(this.faults.fail)) {
      this.lost = true;
      this.clock.after(ackMs, () => {
        if (run === this.run) this.client?.failed(group[0].seq, "disk full");
      });
      return;
    }
    for (const { rows } of group) for (const row of rows) this.write(row);
    const { seq } = group[group.length - 1];
    this.durableSeq = seq;
    this.clock.after(ackMs, () => {
      if (run === this.run) this.client?.committed(seq);
    });
    this.begin();
  }

  private write(row: StoreRow): void {
    switch (row.table) {
      case "generation":
        if (row.generation !== this.generation + 1)
          violated("journal", `generation ${row.generation} is written after ${this.generation}`);
        this.generation = row.generation;
        this.hash = row.hash;
        for (const { puts, deletes } of objectsOf(row)) {
          for (const put of puts) this.objects.set(`${put.kind}/${put.name}`, put);
          for (const { kind, name } of deletes) this.objects.delete(`${kind}/${name}`);
        }
        break;
      case "mutation":
        this.requests.set(row.requestId, row);
        break;
      case "restart":
        this.restart = row.restart ?? undefined;
        break;
      case "injected":
        for (const { prefix, pathId } of row.drop) this.injected.delete(`${prefix} ${pathId}`);
        for (const put of row.put) this.injected.set(`${put.prefix} ${put.pathId}`, put);
        break;
      case "events":
        this.events = [...this.events, ...row.events].slice(-eventsKept);
        this.lastEventId = Math.max(this.lastEventId, ...row.events.map((event) => event.id));
        break;
      case "pending":
        if (row.pending && this.pending)
          violated("journal", `generation ${row.pending.generation} waits beside ${this.pending.generation}`);
        this.pending = row.pending ?? undefined;
        break;
      case "audit":
        for (const { accepted, requestId } of row.entries) if (accepted) this.audited.add(requestId);
        break;
      case "pin": // No generation is gone back to here.
    }
  }
}
