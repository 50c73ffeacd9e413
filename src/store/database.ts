/**
 * The state directory: its lock, the database in it, its schema and its backups. Everything here runs once, at start,
 * before the worker takes over.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { JsonValue } from "@bufbuild/protobuf";
import { limits } from "../base/limits.ts";
import type {
  LedgerRow,
  StoredEvent,
  StoredInjection,
  StoredObject,
  StoredPending,
  StoredRestart,
  StoredState,
} from "../state/rows.ts";
import { type Migration, migrations } from "./migrations.ts";
import { openSql, type Sql, sqlCode, sqlErrorText } from "./sqlite.ts";

/** Why the state directory cannot be used, as a sentence for the operator. */
export class StoreError extends Error {
  override readonly name = "StoreError";
}

export const databaseName = "cairn.db";
/** Waiting for a lock of another program longer than this is a failure. */
export const busyMs = 1000;
/** A larger database is checked as a whole only after an unclean end. */
const checkAlwaysBytes = 64 << 20;

/** Held by one daemon at a time; the kernel drops it when the process dies, however it dies. */
export interface StateLock {
  release(): void;
}

/** @throws StoreError naming the process that has the directory */
export function lockDirectory(dir: string): StateLock {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o750 });
  } catch (error) {
    throw new StoreError(`the state directory ${dir} cannot be made: ${text(error)}`);
  }
  const pidFile = join(dir, "cairnd.pid");
  let lock: Sql | undefined;
  try {
    lock = openSql(join(dir, "lock"), 0);
    lock.exec("BEGIN EXCLUSIVE");
    writeFileSync(pidFile, `${process.pid}\n`);
  } catch (error) {
    lock?.close();
    if (!sqlCode(error).startsWith("SQLITE_BUSY")) {
      throw new StoreError(`the state directory ${dir} cannot be locked: ${text(error)}`);
    }
    const pid = existsSync(pidFile) ? readFileSync(pidFile, "utf8").trim() : "unknown";
    throw new StoreError(
      `the state directory ${dir} is in use by another cairnd (pid ${pid}); stop it, or give this one its own --state-dir`,
    );
  }
  const held = lock;
  return {
    release: () => {
      rmSync(pidFile, { force: true });
      held.close();
    },
  };
}

/**
 * Makes or checks the database of a locked directory and brings its schema up to date, after a backup.
 * @throws StoreError when it is damaged or newer than this program
 */
export function prepareDatabase(dir: string, list: readonly Migration[] = migrations): void {
  const path = join(dir, databaseName);
  let sql: Sql | undefined;
  try {
    sql = openSql(path, busyMs);
    sql.pragma("journal_mode = WAL");
    sql.pragma("synchronous = FULL");
    checkIntegrity(sql, path);
    migrate(sql, dir, list);
    sql.exec("INSERT OR REPLACE INTO meta VALUES ('clean', '0')");
  } catch (error) {
    throw explained(error, dir);
  } finally {
    sql?.close();
  }
}

/** What the core starts from. The injected routes are read while they are walked, once. */
export function loadState(dir: string, nowMs: number): StoredState {
  const sql = openSql(join(dir, databaseName), busyMs);
  try {
    const row = sql.prepare("SELECT coalesce(max(generation), 0) AS generation FROM generations").get();
    const events = sql.prepare("SELECT * FROM events ORDER BY id DESC LIMIT ?").all(limits.eventRingMax);
    events.reverse();
    const requests = sql
      .prepare("SELECT * FROM mutations WHERE time > ? ORDER BY time")
      .all(nowMs - limits.requestsKeptMs);
    const hash = sql.prepare("SELECT hash FROM generations ORDER BY generation DESC LIMIT 1").get()?.hash;
    const restart = sql.prepare("SELECT value FROM meta WHERE key = 'restart'").get()?.value;
    const pending = sql.prepare("SELECT value FROM meta WHERE key = 'pending'").get()?.value;
    return {
      ...(hash ? { hash: String(hash) } : {}),
      ...(restart ? { restart: JSON.parse(String(restart)) as StoredRestart } : {}),
      ...(pending ? { pending: JSON.parse(String(pending)) as StoredPending } : {}),
      generation: Number(row?.generation),
      objects: sql.prepare("SELECT * FROM objects ORDER BY kind, name").all().map(objectOf),
      ledger: sql.prepare("SELECT * FROM ledger ORDER BY class, key").all().map(ledgerRowOf),
      lastEventId: Number(events[events.length - 1]?.id ?? 0),
      events: events.map(eventOf),
      requests: requests.map((request) => ({
        requestId: String(request.request_id),
        digest: String(request.digest),
        time: Number(request.time),
        outcome: JSON.parse(String(request.outcome)) as JsonValue,
      })),
      injected: injectedOf(sql),
    };
  } catch (error) {
    sql.close();
    throw explained(error, dir);
  }
}

function* injectedOf(sql: Sql): Generator<StoredInjection> {
  try {
    for (const row of sql.prepare("SELECT * FROM injected ORDER BY prefix, path_id").iterate()) {
      yield {
        prefix: String(row.prefix),
        pathId: Number(row.path_id),
        path: JSON.parse(String(row.path)) as JsonValue,
        created: Number(row.created),
        expires: Number(row.expires),
        principal: String(row.principal),
      };
    }
  } finally {
    sql.close();
  }
}

function ledgerRowOf(row: Record<string, unknown>): LedgerRow {
  return {
    class: String(row.class),
    key: String(row.key),
    owner: String(row.owner),
    phase: String(row.phase) as LedgerRow["phase"],
    facts: JSON.parse(String(row.facts)) as LedgerRow["facts"],
    identity: String(row.identity),
    ...(row.before !== null && { before: JSON.parse(String(row.before)) as LedgerRow["facts"] }),
    ...(row.adopted === 1 && { adopted: true }),
  };
}

export function objectOf(row: Record<string, unknown>): StoredObject {
  return {
    kind: String(row.kind),
    name: String(row.name),
    spec: JSON.parse(String(row.spec)) as JsonValue,
    generation: Number(row.generation),
    created: Number(row.created),
    updated: Number(row.updated),
    managedBy: String(row.managed_by),
  };
}

export function eventOf(row: Record<string, unknown>): StoredEvent {
  return {
    id: Number(row.id),
    time: Number(row.time),
    topic: String(row.topic),
    object: String(row.object),
    severity: Number(row.severity),
    summary: String(row.summary),
    facts: JSON.parse(String(row.facts)) as Record<string, string>,
    generation: Number(row.generation),
  };
}

/**
 * Writes a consistent copy of the database of a locked directory.
 * @param label becomes part of the file's name
 * @returns its path, or undefined when there is no database
 */
export function backupDatabase(dir: string, label: string): string | undefined {
  const path = join(dir, databaseName);
  if (!existsSync(path)) return undefined;
  const backups = join(dir, "backups");
  mkdirSync(backups, { recursive: true, mode: 0o750 });
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, "-");
  const target = join(backups, `${stamp}-${label}.db`);
  const sql = openSql(path, busyMs);
  try {
    sql.prepare("VACUUM INTO ?").run(target);
  } catch (error) {
    throw explained(error, dir);
  } finally {
    sql.close();
  }
  return target;
}

/** Removes the database of a locked directory, after a backup. */
export function resetDatabase(dir: string): string | undefined {
  const backup = backupDatabase(dir, "reseed");
  for (const suffix of ["", "-wal", "-shm"]) rmSync(join(dir, databaseName + suffix), { force: true });
  return backup;
}

function checkIntegrity(sql: Sql, path: string): void {
  const hasMeta = sql.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").get() !== undefined;
  const clean = hasMeta && sql.prepare("SELECT value FROM meta WHERE key = 'clean'").get()?.value === "1";
  if (clean && statSync(path).size > checkAlwaysBytes) return;
  const [first] = sql.pragma("quick_check(1)") as Record<string, unknown>[];
  const answer = String(Object.values(first)[0]);
  if (answer !== "ok") throw Object.assign(new Error(answer), { code: "SQLITE_CORRUPT" });
}

function migrate(sql: Sql, dir: string, list: readonly Migration[]): void {
  sql.exec(
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
  );
  const found = Number(sql.prepare("SELECT value FROM meta WHERE key = 'schema_version'").get()?.value ?? 0);
  const known = list[list.length - 1].version;
  if (found > known) {
    throw new StoreError(
      `the database in ${dir} has schema version ${found}, and this cairnd knows ${known}: start the newer version`,
    );
  }
  if (found === known) return;
  if (found > 0) backupDatabase(dir, `schema-${found}`);
  for (const step of list) {
    if (step.version <= found) continue;
    sql.exec("BEGIN IMMEDIATE");
    try {
      sql.exec(step.sql);
      sql.prepare("INSERT OR REPLACE INTO meta VALUES ('schema_version', ?)").run(String(step.version));
      sql.exec("COMMIT");
    } catch (error) {
      if (sql.inTransaction) sql.exec("ROLLBACK");
      throw error;
    }
  }
}

function explained(error: unknown, dir: string): Error {
  if (error instanceof StoreError) return error;
  const code = sqlCode(error);
  const path = join(dir, databaseName);
  if (!code.startsWith("SQLITE_CORRUPT") && code !== "SQLITE_NOTADB" && !(error instanceof SyntaxError)) {
    return new StoreError(`the state database ${path} cannot be opened: ${sqlErrorText(error)}`);
  }
  return new StoreError(damageText(dir, text(error)));
}

/** What an operator is told of a damaged database: what is wrong with it, and what can be done. */
export function damageText(dir: string, reason: string): string {
  const path = join(dir, databaseName);
  const last = lastBackup(dir);
  const remedy = last
    ? `the last backup is ${last}: stop all cairnd, move ${path}* away and copy the backup there`
    : `there is no backup in ${join(dir, "backups")}: move ${path}* away to start from the configuration file`;
  return `the state database ${path} is damaged (${reason}); nothing was changed. ${remedy}`;
}

function lastBackup(dir: string): string | undefined {
  const backups = join(dir, "backups");
  if (!existsSync(backups)) return undefined;
  const names = readdirSync(backups).filter((name) => name.endsWith(".db"));
  return names.length > 0 ? join(backups, names.sort()[names.length - 1]) : undefined;
}

const text = (error: unknown): string => (error instanceof Error ? error.message : String(error));
