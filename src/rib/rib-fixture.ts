/** A RIB for tests: one table, neighbors 1 to 9 with addresses 10.0.0.N, and attributes by their values. */
import { parseIp, parsePrefix } from "../base/ip.ts";
import { decodeBlock, encodeBlock } from "../wire/block.ts";
import { type Family, ipv4Unicast } from "../wire/family.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import { emptyAttributes, type PathAttributes, SegmentType } from "../wire/path-attributes.ts";
import { AttributeBlock } from "../wire/scratch.ts";
import { type AttrId, AttributeStore } from "./attribute-store.ts";
import { BestPath } from "./best-path.ts";
import { NeighborColumns, NeighborFlag } from "./neighbor-columns.ts";
import type { RejectReason } from "./path-flags.ts";
import type { PrefixId } from "./prefix-table.ts";
import { RouteTable } from "./route-table.ts";

export class RibFixture {
  readonly attributes = new AttributeStore();
  readonly neighbors = new NeighborColumns();
  readonly best = new BestPath(this.attributes, this.neighbors);
  readonly table: RouteTable;
  private readonly writer = new MessageWriter();

  constructor(family: Family = ipv4Unicast) {
    this.table = new RouteTable(family, this.attributes, this.best, this.neighbors);
    for (let neighbor = 1; neighbor <= 9; neighbor++) {
      this.neighbors.flags[neighbor] = NeighborFlag.external;
      this.neighbors.routerId[neighbor] = neighbor;
      this.neighbors.setAddress(neighbor, parseIp(`10.0.0.${neighbor}`)!);
    }
  }

  /** The id of these attributes over a next hop, with one reference. */
  intern(attributes: Partial<PathAttributes>): AttrId {
    this.writer.reset();
    const nextHop = Uint8Array.of(192, 0, 2, 1);
    encodeBlock({ ...emptyAttributes(), nextHop, ...attributes }, this.writer);
    return this.attributes.intern(this.writer.bytes, 0, this.writer.at);
  }

  attributesOf(id: AttrId): PathAttributes {
    const block = new AttributeBlock();
    this.attributes.block(id, block);
    return decodeBlock(block.bytes, block.start, block.end);
  }

  prefix(text: string): PrefixId {
    const prefix = parsePrefix(text);
    if (typeof prefix === "string") throw new Error(prefix);
    return this.table.prefix(prefix.bytes, 0, prefix.length);
  }

  /** Announces as a neighbor would; references are the table's alone. */
  announce(
    neighbor: number,
    prefix: PrefixId,
    attributes: Partial<PathAttributes>,
    { pathId = 0, reason = 0 as RejectReason, nowS = 0 } = {},
  ): boolean {
    const attr = this.intern(attributes);
    const isNew = this.table.announce(neighbor, prefix, pathId, attr, attr, reason, nowS);
    this.attributes.release(attr);
    return isNew;
  }

  /** Rows in the change list, oldest first, without markers. */
  changed(): number[] {
    const rows: number[] = [];
    const { next } = this.table.changes;
    for (let row = next[0]; row !== 0; row = next[row]) if (!this.table.isMarker(row)) rows.push(row);
    return rows;
  }
}

/** An AS_PATH of one sequence. */
export function sequence(...asns: number[]): PathAttributes["asPath"] {
  return asns.length === 0 ? [] : [{ type: SegmentType.sequence, asns }];
}
