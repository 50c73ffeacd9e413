/**
 * What can be asked about generations and the audit. A state of the past is the present with undos applied: for each
 * object that was changed since, what it was before the first of these changes. Runs in the worker.
 */
import type { JsonValue } from "@bufbuild/protobuf";
import type {
  AuditQuery,
  AuditStep,
  StoredAuditEntry,
  StoredDifference,
  StoredGeneration,
  StoredObject,
  StoredRevision,
} from "../state/rows.ts";
import type { GenerationQuery, HistoryComparison, HistoryObjects, HistorySpan } from "../state/view.ts";
import { auditOf, verifyChain } from "./audit-chain.ts";
import { objectOf } from "./database.ts";
import type { Sql } from "./sqlite.ts";

export type HistoryQuestion =
  | { readonly ask: "generations"; readonly query: GenerationQuery }
  | { readonly ask: "span" }
  | { readonly ask: "compare"; readonly from: number; readonly to: number }
  | { readonly ask: "objects"; readonly generation: number }
  | { readonly ask: "revisions"; readonly kind: string; readonly name: string; readonly max: number }
  | { readonly ask: "audit"; readonly query: AuditQuery }
  | { readonly ask: "verify"; readonly from: number; readonly max: number };

export type HistoryAnswer =
  | StoredGeneration[]
  | HistorySpan
  | HistoryComparison
  | HistoryObjects
  | StoredRevision[]
  | { entries: StoredAuditEntry[]; total: number }
  | AuditStep
  | undefined;

/** Changed objects that a list of generations names. */
const namedObjects = 8;
const noChanges: JsonValue = [];

export class History {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  answer(question: HistoryQuestion): HistoryAnswer {
    switch (question.ask) {
      case "generations":
        return this.#generations(question.query);
      case "span":
        return this.#span();
      case "compare":
        return this.#compare(question.from, question.to);
      case "objects":
        return this.#objectsAt(question.generation);
      case "revisions":
        return this.#revisions(question.kind, question.name, question.max);
      case "audit":
        return this.#audit(question.query);
      case "verify":
        return verifyChain(this.#sql, question.from, question.max);
    }
  }

  #generations({ before, max, object, principal }: GenerationQuery): StoredGeneration[] {
    const conditions = ["generation < ?"];
    const values: (string | number)[] = [before > 0 ? before : Number.MAX_SAFE_INTEGER];
    if (principal !== "") {
      conditions.push("principal = ?");
      values.push(principal);
    }
    if (object) {
      conditions.push(
        "generation IN (SELECT generation FROM undo WHERE kind = ? AND name = ? AND folded = 0)",
      );
      values.push(object.kind, object.name);
    }
    const text = `SELECT * FROM generations WHERE ${conditions.join(" AND ")} ORDER BY generation DESC LIMIT ?`;
    const found = this.#sql
      .prepare(text)
      .all(...values, max)
      .map(generationOf);
    return max === 1 ? found : found.map((generation) => ({ ...generation, changes: noChanges }));
  }

  #span(): HistorySpan {
    const row = this.#sql
      .prepare("SELECT coalesce(max(generation), 0) AS newest, count(*) AS count FROM generations")
      .get();
    const oldest = this.#sql.prepare("SELECT value FROM meta WHERE key = 'oldest_generation'").get()?.value;
    const newest = Number(row?.newest ?? 0);
    return { newest, oldest: Math.min(newest, Number(oldest ?? 0)), count: Number(row?.count ?? 0) };
  }

  /** True when the objects of a generation can be told: it is retained, and so are the undos that lead to it. */
  #isKnown(generation: number, span: HistorySpan): boolean {
    if (generation > span.newest) return false;
    if (generation >= span.oldest) return true;
    return this.#row(generation)?.pinned === true;
  }

  #row(generation: number): StoredGeneration | undefined {
    const row = this.#sql.prepare("SELECT * FROM generations WHERE generation = ?").get(generation);
    return row && generationOf(row);
  }

  /** What each object changed after a generation was in it; null for one that did not exist. */
  #undone(generation: number): Map<string, { kind: string; name: string; before: StoredObject | null }> {
    const rows = this.#sql
      .prepare(
        "SELECT kind, name, before, min(generation) FROM undo WHERE generation > ? GROUP BY kind, name",
      )
      .all(generation);
    return new Map(
      rows.map((row) => {
        const [kind, name] = [String(row.kind), String(row.name)];
        return [`${kind}/${name}`, { kind, name, before: storedOf(row.before) }];
      }),
    );
  }

  #present(kind: string, name: string): StoredObject | null {
    const row = this.#sql.prepare("SELECT * FROM objects WHERE kind = ? AND name = ?").get(kind, name);
    return row ? objectOf(row) : null;
  }

  #compare(from: number, to: number): HistoryComparison | undefined {
    const span = this.#span();
    if (!this.#isKnown(from, span) || !this.#isKnown(to, span)) return undefined;
    const [a, b] = [this.#undone(from), this.#undone(to)];
    const differences: StoredDifference[] = [];
    for (const [id, { kind, name }] of new Map([...a, ...b])) {
      const inA = a.get(id);
      const inB = b.get(id);
      const present = inA && inB ? null : this.#present(kind, name);
      const difference = {
        kind,
        name,
        from: inA ? inA.before : present,
        to: inB ? inB.before : present,
      };
      if (JSON.stringify(difference.from?.spec) !== JSON.stringify(difference.to?.spec))
        differences.push(difference);
    }
    return { newest: span.newest, differences };
  }

  #objectsAt(generation: number): HistoryObjects | undefined {
    const span = this.#span();
    if (!this.#isKnown(generation, span)) return undefined;
    const undone = this.#undone(generation);
    const objects = this.#sql
      .prepare("SELECT * FROM objects ORDER BY kind, name")
      .all()
      .map(objectOf)
      .filter(({ kind, name }) => !undone.has(`${kind}/${name}`));
    for (const { before } of undone.values()) if (before) objects.push(before);
    const row = this.#row(generation);
    return row && { generation: row, objects };
  }

  #revisions(kind: string, name: string, max: number): StoredRevision[] {
    const rows = this.#sql
      .prepare(
        `SELECT g.*, u.before, u.folded FROM undo u JOIN generations g ON g.generation = u.generation
         WHERE u.kind = ? AND u.name = ? ORDER BY u.generation DESC LIMIT ?`,
      )
      .all(kind, name, max);
    return rows.map((row) => ({
      generation: { ...generationOf(row), changes: noChanges },
      before: storedOf(row.before),
      folded: Number(row.folded) === 1,
    }));
  }

  #audit({ from, max, principal, refusedOnly, oldestFirst }: AuditQuery): {
    entries: StoredAuditEntry[];
    total: number;
  } {
    const conditions = [oldestFirst ? "id > ?" : "id < ?"];
    const values: (string | number)[] = [from > 0 || oldestFirst ? from : Number.MAX_SAFE_INTEGER];
    if (principal !== "") {
      conditions.push("principal = ?");
      values.push(principal);
    }
    if (refusedOnly) conditions.push("accepted = 0");
    const order = oldestFirst ? "" : " DESC";
    const text = `SELECT * FROM audit WHERE ${conditions.join(" AND ")} ORDER BY id${order} LIMIT ?`;
    const entries = this.#sql
      .prepare(text)
      .all(...values, max)
      .map(auditOf);
    const total = Number(this.#sql.prepare("SELECT count(*) AS count FROM audit").get()?.count ?? 0);
    return { entries, total };
  }
}

function generationOf(row: Record<string, unknown>): StoredGeneration {
  const changes = JSON.parse(String(row.changes)) as { kind: string; name: string }[];
  return {
    generation: Number(row.generation),
    parent: Number(row.parent),
    time: Number(row.time),
    principal: String(row.principal),
    source: String(row.source),
    reason: String(row.reason),
    hash: String(row.hash),
    restores: Number(row.restores),
    pinned: Number(row.pinned) === 1,
    changedObjects: changes.length,
    objects: changes.slice(0, namedObjects).map(({ kind, name }) => `${kind}/${name}`),
    changes: changes as JsonValue,
  };
}

function storedOf(before: unknown): StoredObject | null {
  return before === null || before === undefined ? null : (JSON.parse(String(before)) as StoredObject);
}
