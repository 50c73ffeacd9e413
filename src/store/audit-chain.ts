/**
 * The audit's rows are a chain: each holds the SHA-256 over the hash of the row before and its own content, so a row
 * that is changed, left out or put in later does not fit its neighbors.
 */
import { createHash } from "node:crypto";
import type { AuditStep, StoredAudit, StoredAuditEntry } from "../state/rows.ts";
import type { Sql } from "./sqlite.ts";

export interface ChainHead {
  readonly id: number;
  readonly hash: string;
}

/** The chain begins with this, and after old rows were dropped with the hash of the last of them. */
const noHash = "0".repeat(64);

export function chainHash(before: string, id: number, entry: StoredAudit): string {
  const { time, principal, address, method, reason, requestId, accepted, code, detail, generation } = entry;
  const content = [id, time, principal, address, method, reason, requestId, accepted, code, detail];
  return createHash("sha256")
    .update(before)
    .update(JSON.stringify([...content, generation]))
    .digest("hex");
}

/** The newest row, or what stands before the first. */
export function chainHead(sql: Sql): ChainHead {
  const row = sql.prepare("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1").get();
  return row ? { id: Number(row.id), hash: String(row.hash) } : chainBase(sql);
}

/** Number and hash of the last row that was dropped. */
function chainBase(sql: Sql): ChainHead {
  const text = sql.prepare("SELECT value FROM meta WHERE key = 'audit_base'").get()?.value;
  return text ? (JSON.parse(String(text)) as ChainHead) : { id: 0, hash: noHash };
}

/** Drops all but the newest `max` rows and notes where the chain now begins. */
export function pruneAudit(sql: Sql, max: number): void {
  const last = sql.prepare("SELECT id, hash FROM audit WHERE id = (SELECT max(id) FROM audit) - ?").get(max);
  if (!last) return;
  const base = JSON.stringify({ id: Number(last.id), hash: String(last.hash) });
  sql.prepare("INSERT OR REPLACE INTO meta VALUES ('audit_base', ?)").run(base);
  sql.prepare("DELETE FROM audit WHERE id <= ?").run(Number(last.id));
}

/** Recomputes up to `max` rows from number `from` on; 0 begins with the oldest. */
export function verifyChain(sql: Sql, from: number, max: number): AuditStep {
  const base = chainBase(sql);
  const first = from === 0 ? base.id + 1 : from;
  let hash = base.hash;
  if (first > base.id + 1) {
    const before = sql.prepare("SELECT hash FROM audit WHERE id = ?").get(first - 1);
    if (!before) return { checked: 0, brokenAt: first - 1, next: 0, hash: "" };
    hash = String(before.hash);
  }
  const rows = sql.prepare("SELECT * FROM audit WHERE id >= ? ORDER BY id LIMIT ?").all(first, max);
  let id = first - 1;
  for (const row of rows) {
    const entry = auditOf(row);
    id++;
    if (entry.id !== id || chainHash(hash, id, entry) !== entry.hash)
      return { checked: id - first, brokenAt: id, next: 0, hash };
    hash = entry.hash;
  }
  return { checked: rows.length, brokenAt: 0, next: rows.length < max ? 0 : id + 1, hash };
}

export function auditOf(row: Record<string, unknown>): StoredAuditEntry {
  return {
    id: Number(row.id),
    time: Number(row.time),
    principal: String(row.principal),
    address: String(row.address),
    method: String(row.method),
    reason: String(row.reason),
    requestId: String(row.request_id),
    accepted: Number(row.accepted) === 1,
    code: String(row.code),
    detail: String(row.detail),
    generation: Number(row.generation),
    hash: String(row.hash),
  };
}
