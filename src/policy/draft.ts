/**
 * A route's attributes while a program looks at them and changes them. Work is put off until it is needed: columns
 * answer what they can, blocks are decoded when a condition asks for more, and changes wait until something looks at
 * the changed route or wants the result.
 */
import { decodeBlock, encodeBlock } from "../wire/block.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import type { AsPathSegment, PathAttributes } from "../wire/path-attributes.ts";
import { SegmentType } from "../wire/path-attributes.ts";
import { AttributeBlock } from "../wire/scratch.ts";
import type { AttributeTable } from "./attribute-table.ts";
import type { PathScanner } from "./path-scanner.ts";

/** A change of attributes, with everything it needs but the attributes bound. */
export type Change = (attributes: PathAttributes) => void;

/** Bytes of attributes above which a changed set is refused: it would fit no message, not even an extended one. */
const BLOCK_BYTES_MAX = 65_000;

/** Value of LOCAL_PREF and MED when the attribute is absent, as in the attribute table. */
export const LOCAL_PREF_DEFAULT = 100;
export const MED_DEFAULT = 0;

export class Draft {
  private readonly table: AttributeTable;
  private readonly paths: PathScanner;
  private readonly block = new AttributeBlock();
  private readonly writer = new MessageWriter();
  private id = 0;
  private decoded: PathAttributes | undefined;
  /** The path that the scanner looked at last, and what it found there. */
  private scanned: readonly AsPathSegment[] | undefined;
  private foundThere: Uint8Array = new Uint8Array(0);
  private readonly pending: Change[] = [];
  private changed = false;

  constructor(table: AttributeTable, paths: PathScanner) {
    this.table = table;
    this.paths = paths;
  }

  load(id: number): void {
    this.id = id;
    this.decoded = undefined;
    this.scanned = undefined;
    this.pending.length = 0;
    this.changed = false;
  }

  apply(change: Change): void {
    this.pending.push(change);
  }

  /** The attributes with all changes made. Valid until the next `load`. */
  get attributes(): PathAttributes {
    if (!this.decoded) {
      this.table.block(this.id, this.block);
      this.decoded = decodeBlock(this.block.bytes, this.block.start, this.block.end);
    }
    if (this.pending.length > 0) {
      for (const change of this.pending) change(this.decoded);
      this.pending.length = 0;
      this.changed = true;
    }
    return this.decoded;
  }

  get localPref(): number {
    return this.untouched ? this.table.localPref[this.id] : (this.attributes.localPref ?? LOCAL_PREF_DEFAULT);
  }

  get med(): number {
    return this.untouched ? this.table.med[this.id] : (this.attributes.med ?? MED_DEFAULT);
  }

  get origin(): number {
    return this.untouched ? this.table.origin[this.id] : this.attributes.origin;
  }

  get pathLength(): number {
    return this.untouched ? this.table.pathLength[this.id] : pathLength(this.attributes);
  }

  get neighborAs(): number {
    return this.untouched ? this.table.neighborAs[this.id] : neighborAs(this.attributes);
  }

  get originAs(): number {
    return this.untouched ? this.table.originAs[this.id] : originAs(this.attributes);
  }

  get asPath(): readonly AsPathSegment[] {
    return this.attributes.asPath;
  }

  /** Distinct ASes anywhere in the path. */
  get uniqueLength(): number {
    return new Set(this.attributes.asPath.flatMap(({ asns }) => asns)).size;
  }

  /** True when an expression of this group of the chain's scanner is found in the path. */
  found(group: number): boolean {
    const { asPath } = this.attributes;
    // Arrays of attributes are replaced, never written to.
    if (asPath !== this.scanned) {
      this.foundThere = this.paths.scan(asPath);
      this.scanned = asPath;
    }
    return this.foundThere[group] === 1;
  }

  /** False when the changed attributes are too large for any message. */
  get fits(): boolean {
    return this.untouched || blockBytes(this.attributes) <= BLOCK_BYTES_MAX;
  }

  /** The id of the result, with one more reference; 0 when the result is too large for any message. */
  intern(): number {
    const { attributes } = this;
    if (!this.fits) return 0;
    this.writer.reset();
    encodeBlock(attributes, this.writer);
    return this.table.intern(this.writer.bytes, 0, this.writer.at);
  }

  private get untouched(): boolean {
    return !this.changed && this.pending.length === 0;
  }
}

/** Length for best path: a set counts one, confederation segments none. */
export function pathLength(attributes: PathAttributes): number {
  let length = 0;
  for (const { type, asns } of attributes.asPath) {
    if (type === SegmentType.sequence) length += asns.length;
    else if (type === SegmentType.set) length++;
  }
  return length;
}

/** First AS beyond confederation segments; 0 when there is none or a set comes first. */
export function neighborAs(attributes: PathAttributes): number {
  const first = attributes.asPath.find((segment) => isPublic(segment.type));
  return first?.type === SegmentType.sequence ? first.asns[0] : 0;
}

/** Last AS of the path; 0 when there is none or a set comes last. */
export function originAs(attributes: PathAttributes): number {
  const last = attributes.asPath.findLast((segment) => isPublic(segment.type));
  return last?.type === SegmentType.sequence ? last.asns[last.asns.length - 1] : 0;
}

function isPublic(type: SegmentType): boolean {
  return type === SegmentType.sequence || type === SegmentType.set;
}

/** An upper bound of the block's size. */
function blockBytes(attributes: PathAttributes): number {
  let bytes = 100 + attributes.communities.length * 4 + attributes.extendedCommunities.length * 8;
  bytes += attributes.largeCommunities.length * 12 + attributes.clusterList.length * 4;
  for (const segment of attributes.asPath) bytes += 4 + segment.asns.length * 4;
  for (const raw of attributes.unknown) bytes += 4 + raw.value.length;
  return bytes;
}
