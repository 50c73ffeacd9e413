/** Writes UPDATEs for prefix rows of one table and the sessions of one update group, through a shared encoder. */
import { AttributeType } from "../wire/attributes/descriptor.ts";
import { attributeEnd, findAttribute, valueAt } from "../wire/block-walk.ts";
import { ipv4Unicast } from "../wire/family.ts";
import { AttributeBlock } from "../wire/scratch.ts";
import type { EncodeContext, UpdateEncoder } from "../wire/update-encode.ts";
import type { AttrId, AttributeStore } from "./attribute-store.ts";
import { PrefixTable4, PrefixTable16 } from "./prefix-table.ts";
import type { RouteTable } from "./route-table.ts";

export class UpdateWriter {
  private readonly table: RouteTable;
  private readonly attributes: AttributeStore;
  private readonly encoder: UpdateEncoder;
  private readonly context: EncodeContext;
  private readonly block = new AttributeBlock();

  constructor(table: RouteTable, attributes: AttributeStore, encoder: UpdateEncoder, context: EncodeContext) {
    this.table = table;
    this.attributes = attributes;
    this.encoder = encoder;
    this.context = context;
  }

  /** IPv4 goes without MP_REACH_NLRI, unless its next hop is an IPv6 address (RFC 8950). */
  private get isInBody(): boolean {
    return this.table.family === ipv4Unicast;
  }

  reset(): void {
    this.encoder.reset(this.context);
  }

  /** Bytes written since `reset`. */
  get length(): number {
    return this.encoder.writer.at;
  }

  /** A copy of them, to be shared by many sockets. */
  take(): Uint8Array {
    return this.encoder.writer.take();
  }

  /** Begins announcing with these attributes. @returns false when they fit no message */
  beginReach(attr: AttrId): boolean {
    const { block, encoder } = this;
    this.attributes.block(attr, block);
    // Marks that policy left for us alone stand first; export has taken them off, BMP tells of routes as they are here.
    if (block.end > block.start && block.bytes[block.start + 1] === AttributeType.local)
      block.start = attributeEnd(block.bytes, block.start);
    return this.isInBody && !hasIp6NextHop(block)
      ? encoder.beginUpdate4(block.bytes, block.start, block.end)
      : encoder.beginUpdateMp(this.table.family, block.bytes, block.start, block.end);
  }

  /**
   * True when the attributes fit a message, together with a rule of so many bytes. Not between `reset` and `take`: it
   * writes where they do.
   */
  fits(attr: AttrId, ruleBytes = 0): boolean {
    // Two-octet sessions have AS_PATH a second time, half as large; the header and the next hop come on top.
    if (this.attributes.sizeOf(attr) * 2 + 128 + ruleBytes <= this.context.maxMessageBytes) return true;
    this.reset();
    // Before a rule stand its length, and a path identifier.
    return this.beginReach(attr) && (ruleBytes === 0 || ruleBytes + 6 <= this.encoder.left);
  }

  beginWithdraw(): void {
    if (this.isInBody) this.encoder.beginWithdraw4();
    else this.encoder.beginWithdrawMp(this.table.family);
  }

  /** @param pathId RFC 7911 path identifier, sent where it was negotiated */
  add(prefix: number, pathId = 0): void {
    const { prefixes } = this.table;
    const length = prefixes.length[prefix];
    if (prefixes instanceof PrefixTable4) this.encoder.prefix4(prefixes.address[prefix], length, pathId);
    else if (prefixes instanceof PrefixTable16) {
      const { words } = prefixes;
      const at = prefix * 4;
      this.encoder.prefixWords(words[at], words[at + 1], words[at + 2], words[at + 3], length, pathId);
    } else this.encoder.flow(prefixes.value(prefix), pathId);
  }

  end(): void {
    this.encoder.finish();
  }

  /** An End-of-RIB marker as one message. */
  endOfRib(): Uint8Array {
    this.reset();
    this.encoder.endOfRib(this.table.family);
    return this.take();
  }
}

function hasIp6NextHop({ bytes, start, end }: AttributeBlock): boolean {
  const at = findAttribute(bytes, start, end, AttributeType.nextHop);
  return at >= 0 && attributeEnd(bytes, at) - valueAt(bytes, at) >= 16;
}
