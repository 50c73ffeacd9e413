/**
 * Which generations stay. Each generation keeps what its objects were before (table undo), so a state is reached by
 * going back from the present. A generation that is let go while an older one is pinned hands what it undoes to the
 * next one kept: of two undos of one object the older is right.
 *
 *   pinned 5    6     7     8          5          8
 *               a=1   a=2   b=3   ->              a=1 b=3      (what 6 and 7 changed is folded into 8)
 */
import { limits } from "../base/limits.ts";
import type { Sql } from "./sqlite.ts";

export interface Retention {
  readonly count: number;
  readonly ageMs: number;
}

export const defaultRetention: Retention = {
  count: limits.generationsMax,
  ageMs: limits.generationsAgeMs,
};

/** Generations folded per call, so that no transaction gets long. */
const foldsPerCall = 512;

/** Lets go of generations that are too many or too old. The newest always stays. */
export function foldGenerations(sql: Sql, retention: Retention): void {
  const newest = sql
    .prepare("SELECT generation, time FROM generations ORDER BY generation DESC LIMIT 1")
    .get();
  if (!newest) return;
  const byCount = Number(newest.generation) - retention.count;
  const young = Number(newest.time) - retention.ageMs;
  const upTo = Math.min(Math.max(byCount, lastBefore(sql, young)), Number(newest.generation) - 1);
  if (upTo < 1) return;
  const old = sql
    .prepare(
      "SELECT generation FROM generations WHERE pinned = 0 AND generation <= ? ORDER BY generation LIMIT ?",
    )
    .all(upTo, foldsPerCall);
  if (old.length === 0) return;
  const pinned = Number(
    sql.prepare("SELECT min(generation) AS generation FROM generations WHERE pinned = 1").get()?.generation ??
      Number.MAX_SAFE_INTEGER,
  );
  const next = sql.prepare("SELECT min(generation) AS generation FROM generations WHERE generation > ?");
  const fold = sql.prepare("UPDATE OR REPLACE undo SET generation = ?, folded = 1 WHERE generation = ?");
  const forget = sql.prepare("DELETE FROM undo WHERE generation = ?");
  const drop = sql.prepare("DELETE FROM generations WHERE generation = ?");
  for (const row of old) {
    const generation = Number(row.generation);
    if (pinned < generation) fold.run(Number(next.get(generation)?.generation), generation);
    else forget.run(generation);
    drop.run(generation);
  }
  const gapless = Number(old[old.length - 1].generation) + 1;
  sql
    .prepare(
      "INSERT INTO meta VALUES ('oldest_generation', ?) ON CONFLICT DO UPDATE SET value = max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))",
    )
    .run(String(gapless));
}

/** The last generation made before a time; 0 when there is none. Looks further only when the oldest is that old. */
function lastBefore(sql: Sql, timeMs: number): number {
  const oldest = sql
    .prepare("SELECT time FROM generations WHERE pinned = 0 ORDER BY generation LIMIT 1")
    .get();
  if (!oldest || Number(oldest.time) >= timeMs) return 0;
  const last = sql
    .prepare("SELECT max(generation) AS generation FROM generations WHERE time < ?")
    .get(timeMs);
  return Number(last?.generation ?? 0);
}
