/**
 * Reused output of the UPDATE decoder. It belongs to the caller and is valid until the next decode. Prefixes are not
 * copied: a list names where each one stands in the frame.
 */
import { grown } from "../base/columns.ts";
import { AttributeSpans } from "./attribute-spans.ts";
import type { Family } from "./family.ts";
import { ipv4Unicast } from "./family.ts";
import { MessageWriter } from "./message-writer.ts";
import { Verdict } from "./verdict.ts";

/** NLRI of one family inside a frame. Columns are valid up to `count`. */
export class NlriList {
  family: Family = ipv4Unicast;
  count = 0;
  /**
   * Offset of the first prefix byte in the frame (after the length byte). ceil(length / 8) bytes follow; bits after
   * `length` may have any value (RFC 4271 4.3).
   */
  at = new Uint32Array(1024);
  /** Prefix length in bits. */
  length = new Uint16Array(1024);
  /** RFC 7911 path identifier; 0 when Add-Path is not in use. */
  pathId = new Uint32Array(1024);
  /**
   * Of rules (RFC 8955) `at` names places in here, where each stands in canonical form, and `length` its bytes: what
   * came is not changed.
   */
  rules = new Uint8Array(0);

  push(at: number, length: number, pathId: number): void {
    this.reserve(1);
    const i = this.count++;
    this.at[i] = at;
    this.length[i] = length;
    this.pathId[i] = pathId;
  }

  /** Makes room for `more` rows beyond `count`. */
  reserve(more: number): void {
    const needed = this.count + more;
    if (needed <= this.at.length) return;
    const capacity = Math.max(needed, this.at.length * 2);
    this.at = grown(this.at, capacity);
    this.length = grown(this.length, capacity);
    this.pathId = grown(this.pathId, capacity);
  }
}

/**
 * A canonical attribute block: path attributes sorted by type code, canonical flags (extended length only where the
 * value needs it), 4-octet AS numbers, MP_REACH/MP_UNREACH/AS4_PATH/AS4_AGGREGATOR taken out, and the next hop as
 * attribute 3 with 4, 16 or 32 value bytes (the last as in RFC 2545). Equal routes have equal blocks.
 */
export class AttributeBlock {
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
}

/** One thing the decoder found wrong, for events and counters. */
export interface UpdateProblem {
  readonly verdict: Verdict;
  /** NOTIFICATION code and subcode that RFC 4271 assigns to the error. */
  readonly code: number;
  readonly subcode: number;
  /** Attribute type, or 0 when it is not about one attribute. */
  readonly attribute: number;
  readonly text: string;
  /** Data for a NOTIFICATION. */
  readonly data: Uint8Array;
}

export class UpdateScratch {
  /** Worst verdict over the message. */
  verdict: Verdict = Verdict.ok;
  /** Empty for a well-formed message. */
  problems: UpdateProblem[] = [];
  /** IPv4 unicast NLRI of the message body. */
  readonly withdrawn = new NlriList();
  readonly reach = new NlriList();
  /** NLRI of MP_UNREACH_NLRI and MP_REACH_NLRI, in their family. */
  readonly mpWithdrawn = new NlriList();
  readonly mpReach = new NlriList();
  /** Attributes of `reach`, valid when `reach.count > 0` and the verdict is below treatAsWithdraw. */
  readonly block = new AttributeBlock();
  /** Attributes of `mpReach`, under the same conditions. */
  readonly mpBlock = new AttributeBlock();
  /** Family whose End-of-RIB (RFC 4724 section 2) this message is, if any. */
  endOfRib: Family | undefined = undefined;

  /** The decoder's own: positions of the attributes, rewritten values, and rewritten blocks. */
  readonly spans = new AttributeSpans();
  readonly work = new MessageWriter(1024);
  readonly rewritten = new MessageWriter(1024);

  clear(): void {
    this.verdict = Verdict.ok;
    if (this.problems.length > 0) this.problems = [];
    this.withdrawn.count = 0;
    this.reach.count = 0;
    this.mpWithdrawn.count = 0;
    this.mpReach.count = 0;
    this.block.end = this.block.start;
    this.mpBlock.end = this.mpBlock.start;
    this.endOfRib = undefined;
    this.spans.clear();
    this.work.reset();
    this.rewritten.reset();
  }
}
