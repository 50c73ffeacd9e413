/**
 * UPDATEs out of canonical blocks and prefixes. `begin*` lays down what comes before the prefixes, `prefix*` adds one
 * and starts another message with the same attributes when the current one is full, `finish` closes. Attribute bytes
 * are copied once per message and lengths patched at its end.
 *
 *   body    header | 0 | length, attributes | prefixes
 *   MP      header | 0 | length, MP_REACH_NLRI (next hop, prefixes), other attributes     (RFC 7606 5.1: MP first)
 *
 * Only one kind of routes goes into a message (RFC 7606 5.1).
 */

import { writeNarrowAttributes } from "./as4-encode.ts";
import { AttributeType, FlagBit } from "./attributes/descriptor.ts";
import { attributeEnd, findAttribute, valueAt } from "./block-walk.ts";
import type { Family } from "./family.ts";
import { encodeFlow, flowNlriBytes } from "./flowspec/nlri.ts";
import { headerBytes, MessageType } from "./message.ts";
import { MessageWriter } from "./message-writer.ts";

/** What the encoder must know about the session. Masks have bit `family.index`. */
export interface EncodeContext {
  /** False: AS_PATH and AGGREGATOR go out with two octets, and AS4_PATH and AS4_AGGREGATOR beside them (RFC 6793). */
  readonly fourOctetAs: boolean;
  /** Families in which we send path identifiers (RFC 7911). */
  readonly addPath: number;
  /** Largest message: 4096, or 65535. */
  readonly maxMessageBytes: number;
}

const Mode = { none: 0, reach: 1, mpReach: 2, withdraw: 3, mpWithdraw: 4 } as const;
type Mode = (typeof Mode)[keyof typeof Mode];

/** Encoded messages are `writer.bytes[0, writer.at)`. One encoder serves many sessions; `reset` says whose turn it is. */
export class UpdateEncoder {
  readonly writer = new MessageWriter(1 << 16);
  /** Messages written since `reset`. */
  messages = 0;

  private fourOctetAs = true;
  private addPathMask = 0;
  private maxMessageBytes = 4096;

  private mode: Mode = Mode.none;
  private addPath = false;
  private messageStart = 0;
  /** Prefixes begin here; a message without any is taken back. */
  private prefixesAt = 0;
  /** The next prefix must end by this offset. */
  private limitAt = 0;
  private family: Family | undefined = undefined;

  /** Attributes as they go out: `source[from, to)`, and for MP the next hop apart. */
  private source: Uint8Array = new Uint8Array(0);
  private from = 0;
  private to = 0;
  private nextHopAt = 0;
  private nextHopLength = 0;
  private readonly prepared = new MessageWriter(1024);

  /** Drops what was written and sets the session to write for. */
  reset(context: EncodeContext): void {
    this.writer.reset();
    this.messages = 0;
    this.mode = Mode.none;
    this.fourOctetAs = context.fourOctetAs;
    this.addPathMask = context.addPath;
    this.maxMessageBytes = context.maxMessageBytes;
  }

  /** The bytes written since `reset`, valid until the next write. */
  get bytes(): Uint8Array {
    return this.writer.bytes.subarray(0, this.writer.at);
  }

  /**
   * Begins announcing IPv4 prefixes in the body with the attributes of the canonical block `block[start, end)`, which
   * must hold a NEXT_HOP of 4 bytes. The block is read until `finish`.
   * @returns false when a message could not hold the attributes and a prefix: the routes are to be withdrawn instead
   */
  beginUpdate4(block: Uint8Array, start: number, end: number): boolean {
    this.mode = Mode.none;
    this.addPath = (this.addPathMask & 1) !== 0;
    if (this.fourOctetAs) this.use(block, start, end);
    else {
      this.prepared.reset();
      writeNarrowAttributes(block, start, end, 0, this.prepared);
      this.use(this.prepared.bytes, 0, this.prepared.at);
    }
    const smallest = headerBytes + 4 + (this.to - this.from) + (this.addPath ? 9 : 5);
    if (smallest > this.maxMessageBytes || this.to - this.from > 0xffff) return false;
    this.mode = Mode.reach;
    this.open();
    return true;
  }

  /** The same in MP_REACH_NLRI of `family`, with the NEXT_HOP of the block (4, 16 or 32 bytes) as its next hop. */
  beginUpdateMp(family: Family, block: Uint8Array, start: number, end: number): boolean {
    this.mode = Mode.none;
    this.family = family;
    this.addPath = (this.addPathMask & (1 << family.index)) !== 0;
    this.nextHopLength = 0;
    this.prepared.reset();
    // RFC 8955 4: rules go without one, whatever policy set.
    const nextHop = family.nlri === "flow" ? -1 : findAttribute(block, start, end, AttributeType.nextHop);
    if (nextHop >= 0) {
      this.nextHopAt = this.prepared.at;
      this.prepared.copy(block, valueAt(block, nextHop), attributeEnd(block, nextHop));
      this.nextHopLength = this.prepared.at - this.nextHopAt;
    }
    const attributesAt = this.prepared.at;
    writeNarrowAttributes(block, start, end, AttributeType.nextHop, this.prepared, this.fourOctetAs);
    this.use(this.prepared.bytes, attributesAt, this.prepared.at);
    const attributes = this.to - this.from;
    const smallest =
      headerBytes + 4 + 9 + this.nextHopLength + attributes + (this.addPath ? 5 : 1) + family.addressBytes;
    if (smallest > this.maxMessageBytes) return false;
    this.mode = Mode.mpReach;
    this.open();
    return true;
  }

  /** Begins withdrawing IPv4 prefixes in the body. */
  beginWithdraw4(): void {
    this.mode = Mode.withdraw;
    this.addPath = (this.addPathMask & 1) !== 0;
    this.open();
  }

  /** Begins withdrawing prefixes of `family` in MP_UNREACH_NLRI. */
  beginWithdrawMp(family: Family): void {
    this.mode = Mode.mpWithdraw;
    this.family = family;
    this.addPath = (this.addPathMask & (1 << family.index)) !== 0;
    this.open();
  }

  /** Adds an IPv4 prefix, its address as a number; bits after `length` are sent as they are, so they should be 0. */
  prefix4(address: number, length: number, pathId = 0): void {
    const count = (length + 7) >>> 3;
    this.room(count + (this.addPath ? 5 : 1));
    if (this.addPath) this.writer.u32(pathId);
    const { bytes } = this.writer;
    let { at } = this.writer;
    bytes[at++] = length;
    if (count > 0) bytes[at++] = address >>> 24;
    if (count > 1) bytes[at++] = address >>> 16;
    if (count > 2) bytes[at++] = address >>> 8;
    if (count > 3) bytes[at++] = address;
    this.writer.at = at;
  }

  /** Adds a prefix whose address bytes begin at `source[from]`. */
  prefix16(source: Uint8Array, from: number, length: number, pathId = 0): void {
    const count = (length + 7) >>> 3;
    this.room(count + (this.addPath ? 5 : 1));
    if (this.addPath) this.writer.u32(pathId);
    const { bytes } = this.writer;
    let { at } = this.writer;
    bytes[at++] = length;
    for (let i = 0; i < count; i++) bytes[at++] = source[from + i];
    this.writer.at = at;
  }

  /** Adds an IPv6 prefix from its four 32-bit words. */
  prefixWords(w0: number, w1: number, w2: number, w3: number, length: number, pathId = 0): void {
    const count = (length + 7) >>> 3;
    this.room(count + (this.addPath ? 5 : 1));
    if (this.addPath) this.writer.u32(pathId);
    const { bytes } = this.writer;
    let { at } = this.writer;
    bytes[at++] = length;
    for (let i = 0; i < count; i++) {
      const word = i < 4 ? w0 : i < 8 ? w1 : i < 12 ? w2 : w3;
      bytes[at++] = word >>> (24 - (i & 3) * 8);
    }
    this.writer.at = at;
  }

  /** Adds a rule (RFC 8955 4), as it is known: in canonical form, without its length. It must fit, see `left`. */
  flow(rule: Uint8Array, pathId = 0): void {
    this.room(flowNlriBytes(rule) + (this.addPath ? 4 : 0));
    if (this.addPath) this.writer.u32(pathId);
    encodeFlow(rule, this.writer);
  }

  /** Bytes that fit into the message that was begun. */
  get left(): number {
    return this.limitAt - this.writer.at;
  }

  /** Closes the message that was begun; one that got no prefix is taken back. */
  finish(): void {
    if (this.mode !== Mode.none) this.close();
    this.mode = Mode.none;
  }

  /** Writes an End-of-RIB marker (RFC 4724 section 2). */
  endOfRib(family: Family): void {
    const { writer } = this;
    const start = writer.beginMessage(MessageType.update);
    writer.u16(0);
    if (family.afi === 1 && family.safi === 1) {
      writer.u16(0);
    } else {
      writer.u16(6);
      writer.u8(FlagBit.optional);
      writer.u8(AttributeType.mpUnreach);
      writer.u8(3);
      writer.u16(family.afi);
      writer.u8(family.safi);
    }
    writer.endMessage(start);
    this.messages++;
  }

  private use(source: Uint8Array, from: number, to: number): void {
    this.source = source;
    this.from = from;
    this.to = to;
  }

  private room(count: number): void {
    if (this.writer.at + count <= this.limitAt) return;
    this.close();
    this.open();
  }

  /** Writes everything up to the first prefix. */
  private open(): void {
    const { writer, family } = this;
    writer.ensure(this.maxMessageBytes);
    this.messageStart = writer.beginMessage(MessageType.update);
    let after = 0;
    if (this.mode === Mode.reach) {
      writer.u16(0);
      writer.u16(this.to - this.from);
      writer.copy(this.source, this.from, this.to);
    } else if (this.mode === Mode.withdraw) {
      writer.u16(0);
      after = 2;
    } else {
      const reach = this.mode === Mode.mpReach;
      writer.u32(0);
      writer.u8(FlagBit.optional | FlagBit.extendedLength);
      writer.u8(reach ? AttributeType.mpReach : AttributeType.mpUnreach);
      writer.u16(0);
      writer.u16(family!.afi);
      writer.u8(family!.safi);
      if (reach) {
        writer.u8(this.nextHopLength);
        writer.copy(this.prepared.bytes, this.nextHopAt, this.nextHopAt + this.nextHopLength);
        writer.u8(0);
        after = this.to - this.from;
      }
    }
    this.prefixesAt = writer.at;
    this.limitAt = this.messageStart + this.maxMessageBytes - after;
  }

  private close(): void {
    const { writer, messageStart } = this;
    if (writer.at === this.prefixesAt) {
      writer.at = messageStart;
      return;
    }
    const lengthsAt = messageStart + headerBytes;
    if (this.mode === Mode.withdraw) {
      writer.patchU16(lengthsAt, writer.at - lengthsAt - 2);
      writer.u16(0);
    } else if (this.mode !== Mode.reach) {
      writer.patchU16(lengthsAt + 6, writer.at - lengthsAt - 8);
      if (this.mode === Mode.mpReach) writer.copy(this.source, this.from, this.to);
      writer.patchU16(lengthsAt + 2, writer.at - lengthsAt - 4);
    }
    writer.endMessage(messageStart);
    this.messages++;
  }
}
