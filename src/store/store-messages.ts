/** What the store and its worker say to each other. */
import type { StoredEvent, StoreRow } from "../state/rows.ts";
import type { HistoryAnswer, HistoryQuestion } from "./history.ts";

export type ToWorker =
  | { readonly type: "persist"; readonly seq: number; readonly rows: readonly StoreRow[] }
  /** The failure is known: rows after `afterSeq` no longer build on what failed. */
  | { readonly type: "resume"; readonly afterSeq: number }
  | {
      readonly type: "read";
      readonly id: number;
      readonly afterId: number;
      readonly beforeId: number;
      readonly reverse: boolean;
      readonly max: number;
    }
  | { readonly type: "first"; readonly id: number }
  | { readonly type: "history"; readonly id: number; readonly question: HistoryQuestion }
  | { readonly type: "close" };

export type FromWorker =
  | { readonly type: "ready" }
  | { readonly type: "committed"; readonly seq: number }
  | { readonly type: "failed"; readonly seq: number; readonly error: string }
  | { readonly type: "answer"; readonly id: number; readonly events: StoredEvent[]; readonly first: number }
  | { readonly type: "told"; readonly id: number; readonly answer: HistoryAnswer }
  | { readonly type: "refused"; readonly id: number; readonly error: string }
  | { readonly type: "closed" };
