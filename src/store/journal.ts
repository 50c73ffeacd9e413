/** Writes rows, a group of messages to a transaction, and reads old events. Runs in the worker. */
import { join } from "node:path";
import { limits } from "../base/limits.ts";
import {
  changesText,
  type GenerationObjects,
  type LedgerRow,
  objectsOf,
  type StoredAudit,
  type StoredEvent,
  type StoredObject,
  type StoreRow,
} from "../state/rows.ts";
import { type ChainHead, chainHash, chainHead, pruneAudit } from "./audit-chain.ts";
import { busyMs, databaseName, eventOf } from "./database.ts";
import { History } from "./history.ts";
import { defaultRetention, foldGenerations, type Retention } from "./retention.ts";
import { openSql, type Sql, type SqlStatement } from "./sqlite.ts";

/** Old rows are looked for once in so many new ones. */
const pruneEvery = 1024;
/** Old generations are folded together once in so many new ones. */
const foldEvery = 64;

/** Steps at which a test may end the process. */
export type FaultStep = "before-begin" | "after-insert" | "before-commit" | "after-commit" | "before-ack";

export class Journal {
  readonly #sql: Sql;
  readonly #fault: (step: FaultStep) => void;
  readonly #statements = new Map<string, SqlStatement>();
  #untilPrune = 0;
  #untilFold = 0;
  /** Number and hash of the newest audit row; undefined when it has to be looked up. */
  #chain: ChainHead | undefined;

  /** What is read for the history and the audit. */
  readonly history: History;
  readonly #retention: Retention;

  /** @param fault called at each step of a write */
  constructor(dir: string, fault: (step: FaultStep) => void, retention: Retention = defaultRetention) {
    this.#fault = fault;
    this.#retention = retention;
    this.#sql = openSql(join(dir, databaseName), busyMs);
    this.#sql.pragma("synchronous = FULL");
    this.history = new History(this.#sql);
  }

  /** Makes rows durable in one transaction, or throws and leaves the database as it was. */
  write(rows: Iterable<StoreRow>): void {
    this.#fault("before-begin");
    this.#sql.exec("BEGIN IMMEDIATE");
    try {
      for (const row of rows) {
        this.#writeRow(row);
        this.#fault("after-insert");
      }
      this.#prune();
      this.#fault("before-commit");
      this.#sql.exec("COMMIT");
    } catch (error) {
      if (this.#sql.inTransaction) this.#sql.exec("ROLLBACK");
      this.#chain = undefined;
      throw error;
    }
    this.#fault("after-commit");
  }

  /** Events with id > afterId, oldest first; or with id < beforeId, newest first. */
  readEvents(afterId: number, beforeId: number, reverse: boolean, max: number): StoredEvent[] {
    const rows = reverse
      ? this.#prepare("SELECT * FROM events WHERE id > ? AND id < ? ORDER BY id DESC LIMIT ?")
      : this.#prepare("SELECT * FROM events WHERE id > ? AND id < ? ORDER BY id LIMIT ?");
    return rows.all(afterId, beforeId > 0 ? beforeId : Number.MAX_SAFE_INTEGER, max).map(eventOf);
  }

  /** Oldest event id that is retained; 0 when there is none. */
  firstEvent(): number {
    return Number(this.#prepare("SELECT min(id) AS id FROM events").get()?.id ?? 0);
  }

  /** Notes a clean end and folds the log into the database. */
  close(): void {
    try {
      this.#sql.exec("INSERT OR REPLACE INTO meta VALUES ('clean', '1')");
      this.#sql.pragma("wal_checkpoint(TRUNCATE)");
    } finally {
      this.#sql.close();
    }
  }

  #writeRow(row: StoreRow): void {
    switch (row.table) {
      case "generation":
        this.#run(
          "INSERT INTO generations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
          row.generation,
          row.time,
          row.principal,
          row.source,
          row.reason,
          changesText(row),
          row.parent ?? row.generation - 1,
          row.hash ?? "",
          row.restores ?? 0,
        );
        for (const objects of objectsOf(row)) this.#writeObjects(row.generation, objects);
        this.#untilFold--;
        break;
      case "mutation":
        this.#run(
          "INSERT OR REPLACE INTO mutations VALUES (?, ?, ?, ?, ?)",
          row.requestId,
          row.principal,
          row.time,
          row.digest,
          JSON.stringify(row.outcome),
        );
        this.#untilPrune--;
        break;
      case "injected":
        for (const { prefix, pathId } of row.drop) {
          this.#run("DELETE FROM injected WHERE prefix = ? AND path_id = ?", prefix, pathId);
        }
        for (const put of row.put) {
          this.#run(
            "INSERT OR REPLACE INTO injected VALUES (?, ?, ?, ?, ?, ?)",
            put.prefix,
            put.pathId,
            JSON.stringify(put.path),
            put.created,
            put.expires,
            put.principal,
          );
        }
        break;
      case "events":
        for (const event of row.events) this.#putEvent(event);
        this.#untilPrune -= row.events.length;
        break;
      case "pending":
        if (row.pending) this.#setMeta("pending", JSON.stringify(row.pending));
        else this.#run("DELETE FROM meta WHERE key = 'pending'");
        break;
      case "restart":
        if (row.restart) this.#setMeta("restart", JSON.stringify(row.restart));
        else this.#run("DELETE FROM meta WHERE key = 'restart'");
        break;
      case "pin":
        this.#run(
          "UPDATE generations SET pinned = ? WHERE generation = ?",
          Number(row.pinned),
          row.generation,
        );
        break;
      case "ledger":
        for (const name of row.drop) {
          this.#run("DELETE FROM ledger WHERE class = ? AND key = ?", name.class, name.key);
        }
        for (const put of row.put) this.#putLedger(put);
        break;
      case "audit":
        for (const entry of row.entries) this.#putAudit(entry);
        break;
    }
  }

  #writeObjects(generation: number, { puts, deletes, undo = [] }: GenerationObjects): void {
    for (const { kind, name, before } of undo) {
      const text = before && JSON.stringify(before);
      this.#run("INSERT INTO undo VALUES (?, ?, ?, ?, 0)", generation, kind, name, text);
    }
    for (const object of puts) this.#putObject(object);
    for (const { kind, name } of deletes)
      this.#run("DELETE FROM objects WHERE kind = ? AND name = ?", kind, name);
  }

  #putLedger({ class: className, key, owner, phase, facts, identity, before, adopted }: LedgerRow): void {
    this.#run(
      "INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      className,
      key,
      owner,
      phase,
      JSON.stringify(facts),
      identity,
      before ? JSON.stringify(before) : null,
      Number(adopted ?? false),
    );
  }

  #setMeta(key: string, value: string): void {
    this.#run("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value);
  }

  /** The chain goes on where the last transaction that was committed left it. */
  #putAudit(entry: StoredAudit): void {
    const head = (this.#chain ??= chainHead(this.#sql));
    const id = head.id + 1;
    const hash = chainHash(head.hash, id, entry);
    this.#run(
      "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      id,
      entry.time,
      entry.principal,
      entry.address,
      entry.method,
      entry.reason,
      entry.requestId,
      Number(entry.accepted),
      entry.code,
      entry.detail,
      entry.generation,
      hash,
    );
    this.#chain = { id, hash };
    this.#untilPrune--;
  }

  #putObject(object: StoredObject): void {
    this.#run(
      "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)",
      object.kind,
      object.name,
      JSON.stringify(object.spec),
      object.generation,
      object.created,
      object.updated,
      object.managedBy,
    );
  }

  #putEvent(event: StoredEvent): void {
    this.#run(
      "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      event.id,
      event.time,
      event.topic,
      event.object,
      event.severity,
      event.summary,
      JSON.stringify(event.facts),
      event.generation,
    );
  }

  #prune(): void {
    if (this.#untilFold <= 0) {
      this.#untilFold = foldEvery;
      foldGenerations(this.#sql, this.#retention);
    }
    if (this.#untilPrune > 0) return;
    this.#untilPrune = pruneEvery;
    this.#run("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", limits.eventsStoredMax);
    pruneAudit(this.#sql, limits.auditStoredMax);
    this.#run(
      "DELETE FROM mutations WHERE time < (SELECT max(time) FROM mutations) - ?",
      limits.requestsKeptMs,
    );
  }

  #run(text: string, ...values: (string | number | null)[]): void {
    this.#prepare(text).run(...values);
  }

  #prepare(text: string): SqlStatement {
    let statement = this.#statements.get(text);
    if (!statement) this.#statements.set(text, (statement = this.#sql.prepare(text)));
    return statement;
  }
}
