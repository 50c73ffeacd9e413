/** Rows that the core asks the store to write, and what it gets back at start. Plain JSON values throughout. */
import type { JsonValue } from "@bufbuild/protobuf";
import type { ArtifactName } from "../dataplane/artifact.ts";
import type { LedgerRow } from "../dataplane/ledger.ts";

export type { LedgerRow };

/** The state of one object as stored: its spec in proto3 JSON. */
export interface StoredObject {
  readonly kind: string;
  readonly name: string;
  readonly spec: JsonValue;
  /** Generation of the last change. */
  readonly generation: number;
  /** Wall-clock milliseconds. */
  readonly created: number;
  readonly updated: number;
  readonly managedBy: string;
}

/** A route put in over the API. The path is an `InjectedPath` in proto3 JSON. */
export interface StoredInjection {
  /** Canonical prefix text. */
  readonly prefix: string;
  readonly pathId: number;
  readonly path: JsonValue;
  readonly created: number;
  /** Wall-clock milliseconds at which it is withdrawn by itself; 0 for never. */
  readonly expires: number;
  readonly principal: string;
}

export interface StoredEvent {
  readonly id: number;
  /** Wall-clock milliseconds. */
  readonly time: number;
  readonly topic: string;
  readonly object: string;
  readonly severity: number;
  readonly summary: string;
  readonly facts: Readonly<Record<string, string>>;
  readonly generation: number;
}

/** What an object was before a generation changed it; `before` is null when it did not exist. */
export interface StoredUndo {
  readonly kind: string;
  readonly name: string;
  readonly before: StoredObject | null;
}

/** A generation that is in force and will be taken back unless it is confirmed. */
export interface StoredPending {
  readonly generation: number;
  /** The generation whose objects come back. */
  readonly revertTo: number;
  /** Wall-clock milliseconds. */
  readonly since: number;
  readonly deadline: number;
  readonly withinMs: number;
  /** How long all conditions must hold to confirm. */
  readonly holdMs: number;
  /** From `since` on so long a condition may fail without consequences. */
  readonly graceMs: number;
  readonly conditions: readonly string[];
  readonly principal: string;
  readonly reason: string;
  readonly undo: readonly StoredUndo[];
}

/** How the last run ended, when it ended on purpose. */
export interface StoredRestart {
  /** Planned: neighbors were left to keep our routes (RFC 4724). Ended: they were told to drop them. */
  readonly kind: "planned" | "ended";
  /** Wall-clock milliseconds. */
  readonly time: number;
}

/** An attempt to change something. */
export interface StoredAudit {
  /** Wall-clock milliseconds. */
  readonly time: number;
  readonly principal: string;
  readonly address: string;
  /** PACKAGE.SERVICE/METHOD, or what the daemon itself did. */
  readonly method: string;
  readonly reason: string;
  readonly requestId: string;
  readonly accepted: boolean;
  /** Code of the refusal; empty when accepted. */
  readonly code: string;
  readonly detail: string;
  /** Generation in force afterwards. */
  readonly generation: number;
}

/** Some of the objects of a large generation, as JSON text. */
export interface GenerationPiece {
  /** A list of `ObjectChange`s. */
  readonly changes: string;
  /** `GenerationObjects` */
  readonly objects: string;
}

/** The objects that a generation put and deleted, and what they were before. */
export interface GenerationObjects {
  readonly puts: readonly StoredObject[];
  readonly deletes: readonly { readonly kind: string; readonly name: string }[];
  readonly undo?: readonly StoredUndo[];
}

export type StoreRow =
  /** A new generation with the objects it put and deleted. */
  | {
      readonly table: "generation";
      readonly generation: number;
      readonly parent?: number;
      /** Hash of everything declared, in hexadecimal. */
      readonly hash?: string;
      /** For rollback and revert the generation whose objects were declared again; 0 otherwise. */
      readonly restores?: number;
      readonly undo?: readonly StoredUndo[];
      readonly time: number;
      readonly principal: string;
      /** Where it came from: file, api, rollback, revert. */
      readonly source: string;
      readonly reason: string;
      /** `ObjectChange`s in proto3 JSON. */
      readonly changes: JsonValue;
      readonly puts: readonly StoredObject[];
      readonly deletes: readonly { readonly kind: string; readonly name: string }[];
      /** For a large generation everything is in these, and `changes`, `puts`, `deletes` and `undo` are empty. */
      readonly pieces?: readonly GenerationPiece[];
    }
  /** Outcome of a request id, so that a repeated request gets the same answer for 24 hours. */
  | {
      readonly table: "mutation";
      readonly requestId: string;
      readonly principal: string;
      readonly time: number;
      /** Hash of the request; the same id with another request is an error. */
      readonly digest: string;
      readonly outcome: JsonValue;
    }
  | {
      readonly table: "injected";
      readonly put: readonly StoredInjection[];
      readonly drop: readonly { readonly prefix: string; readonly pathId: number }[];
    }
  | { readonly table: "events"; readonly events: readonly StoredEvent[] }
  /** The change that waits for its confirmation; null when none does any more. */
  | { readonly table: "pending"; readonly pending: StoredPending | null }
  /** How this run ends; null while it goes on. */
  | { readonly table: "restart"; readonly restart: StoredRestart | null }
  /** Keeps a generation whatever its age, or no longer. */
  | { readonly table: "pin"; readonly generation: number; readonly pinned: boolean }
  /** What in the kernel is ours; in force before the kernel is touched. */
  | { readonly table: "ledger"; readonly put: readonly LedgerRow[]; readonly drop: readonly ArtifactName[] }
  /** The store gives each a number and chains its hash to the one before. */
  | { readonly table: "audit"; readonly entries: readonly StoredAudit[] };

/** Everything the core starts from. */
export interface StoredState {
  readonly generation: number;
  readonly objects: readonly StoredObject[];
  readonly injected: Iterable<StoredInjection>;
  /** What in the kernel is ours. */
  readonly ledger: readonly LedgerRow[];
  readonly lastEventId: number;
  /** The newest events, oldest first, up to the size of the ring. */
  readonly events: readonly StoredEvent[];
  /** Request ids of the last 24 hours. */
  readonly requests: readonly { requestId: string; digest: string; time: number; outcome: JsonValue }[];
  /** Hash of everything declared, as noted with the newest generation; absent when an older version wrote it. */
  readonly hash?: string;
  readonly pending?: StoredPending;
  /** Absent when the last run crashed, or there was none. */
  readonly restart?: StoredRestart;
}

/** A generation as the history holds it. */
export interface StoredGeneration {
  readonly generation: number;
  readonly parent: number;
  readonly time: number;
  readonly principal: string;
  readonly source: string;
  readonly reason: string;
  readonly hash: string;
  readonly restores: number;
  readonly pinned: boolean;
  /** Number of objects that it changed, and KIND/NAME of the first few. */
  readonly changedObjects: number;
  readonly objects: readonly string[];
  /** `ObjectChange`s in proto3 JSON; in lists of several generations empty. */
  readonly changes: JsonValue;
}

/** One object in two states; null where it does not exist. */
export interface StoredDifference {
  readonly kind: string;
  readonly name: string;
  readonly from: StoredObject | null;
  readonly to: StoredObject | null;
}

/** A change of one object, with the generation that made it. */
export interface StoredRevision {
  readonly generation: StoredGeneration;
  /** The object before the change; null when the change created it. */
  readonly before: StoredObject | null;
  /** Changes of generations that are no longer retained are folded into this one. */
  readonly folded: boolean;
}

export interface StoredAuditEntry extends StoredAudit {
  readonly id: number;
  readonly hash: string;
}

export interface AuditQuery {
  /** Rows with a smaller id (larger with `oldestFirst`); 0 for the end. */
  readonly from: number;
  readonly max: number;
  readonly principal: string;
  readonly refusedOnly: boolean;
  readonly oldestFirst: boolean;
}

/** A step of recomputing the chain of audit rows. */
export interface AuditStep {
  readonly checked: number;
  /** First row that does not fit; 0 when all do. */
  readonly brokenAt: number;
  /** Where to go on; 0 at the end. */
  readonly next: number;
  readonly hash: string;
}

type GenerationRow = Extract<StoreRow, { table: "generation" }>;

/** The objects of a generation, whole or piece by piece. */
export function* objectsOf(row: GenerationRow): Generator<GenerationObjects> {
  if (row.pieces) for (const { objects } of row.pieces) yield JSON.parse(objects) as GenerationObjects;
  else yield row;
}

/** The changes of a generation as JSON text. */
export function changesText({ changes, pieces }: GenerationRow): string {
  return pieces
    ? `[${pieces.map((piece) => piece.changes.slice(1, -1)).join(",")}]`
    : JSON.stringify(changes);
}
