/** What the owner's thread and the thread of BFD tell each other. */
import type { SessionPlan } from "../bfd/table.ts";
import type { BfdNewsInput } from "../state/inputs.ts";

export type ToBfd =
  | { readonly kind: "set"; readonly plan: SessionPlan }
  | { readonly kind: "remove"; readonly discriminator: number }
  /** The last news were taken: there may be more. */
  | { readonly kind: "taken" }
  /** Tell all neighbors that BFD goes away, and end. */
  | { readonly kind: "close" };

/** News since the last ones; empty parts tell nothing. */
export type BfdNews = BfdNewsInput;
