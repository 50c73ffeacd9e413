/**
 * What policy needs of the attribute store, so that it can be compiled and tested without one. Attribute sets are
 * named by ids (never 0); columns are indexed by id. `intern` gives the caller one reference.
 */
import type { AttributeBlock } from "../wire/scratch.ts";

/** Bits of `AttributeTable.flags`. */
export { AttributeFlag } from "../wire/attribute-flags.ts";

export interface AttributeTable {
  /** Local preference, 100 when the attribute is absent (RFC 4271 9.1.1 leaves the default to us). */
  readonly localPref: Uint32Array;
  /** MED, 0 when absent. */
  readonly med: Uint32Array;
  readonly origin: Uint8Array;
  /** Length for best path: a set counts one, confederation segments none (RFC 4271 9.1.2.2, RFC 5065 5.3). */
  readonly pathLength: Uint16Array;
  /** First and last AS of the path; 0 for an empty path or one that starts (ends) with a set. */
  readonly neighborAs: Uint32Array;
  readonly originAs: Uint32Array;
  readonly flags: Uint32Array;
  /**
   * Incremented whenever the id is freed, so that whoever remembers an id without holding a reference (policy memos)
   * can tell that it has become another set, or none: (id, epoch) names one attribute set for ever.
   */
  readonly epoch: Uint32Array;
  /** Points `out` at the canonical block of `id`; valid until the next `intern`. */
  block(id: number, out: AttributeBlock): void;
  /** The id of the canonical block `bytes[start, end)`, with one more reference. */
  intern(bytes: Uint8Array, start: number, end: number): number;
  retain(id: number): void;
  release(id: number): void;
}
