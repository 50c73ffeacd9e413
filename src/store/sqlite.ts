/** The database driver, in the few calls that cairn uses. Nothing else imports it. */
import Sqlite from "better-sqlite3";

export type SqlValue = string | number | bigint | null;

export interface SqlStatement {
  run(...values: SqlValue[]): void;
  get(...values: SqlValue[]): Record<string, unknown> | undefined;
  all(...values: SqlValue[]): Record<string, unknown>[];
  iterate(...values: SqlValue[]): IterableIterator<Record<string, unknown>>;
}

export interface Sql {
  readonly inTransaction: boolean;
  exec(text: string): void;
  prepare(text: string): SqlStatement;
  pragma(text: string): unknown;
  close(): void;
}

/**
 * @param busyMs how long to wait for a lock that another connection holds
 * @throws an error with an SQLite `code`
 */
export function openSql(path: string, busyMs: number, readonly = false): Sql {
  return new Sqlite(path, { timeout: busyMs, readonly }) as Sql;
}

/** `SQLITE_FULL`, `SQLITE_BUSY` and the like; empty when the error is not the database's. */
export function sqlCode(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "string" && code.startsWith("SQLITE_") ? code : "";
}

/** The error as a sentence that says what an operator can do. */
export function sqlErrorText(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const code = sqlCode(error);
  if (code === "SQLITE_FULL") return `the disk of the state directory is full (${message})`;
  if (code.startsWith("SQLITE_BUSY"))
    return `another program holds a lock on the state database (${message})`;
  if (code.startsWith("SQLITE_READONLY")) return `the state database cannot be written (${message})`;
  if (code.startsWith("SQLITE_IOERR")) return `the state database's disk fails (${code}: ${message})`;
  return code === "" ? message : `${code}: ${message}`;
}
