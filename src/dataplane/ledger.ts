/**
 * The ledger says what in the kernel is ours. A row is durable before the kernel is touched, so whatever a crash leaves
 * behind is known: a row without an entry is forgotten or made good, an entry without a row is not ours.
 */
import type { ArtifactName, Facts } from "./artifact.ts";

/**
 * `intended`: may or may not be in the kernel yet. `confirmed`: the kernel said yes. `removing`: may or may not be gone.
 */
export type LedgerPhase = "intended" | "confirmed" | "removing";

export interface LedgerRow extends ArtifactName {
  /** KIND/NAME of the object that it is for. */
  readonly owner: string;
  readonly phase: LedgerPhase;
  /** What we asked the kernel for. */
  readonly facts: Facts;
  /** `Observed.identity` of our entry; empty while it is not known. */
  readonly identity: string;
  /** Facts of a setting before it was altered, which come back when nobody asks for ours any more. */
  readonly before?: Facts;
  /** It was there before us, and is ours because that was asked for. */
  readonly adopted?: boolean;
}
