/**
 * Packs routes that follow each other into UPDATEs: one message for all that have the same stream, attributes and time,
 * as they came in. The bytes of a message are encoded once, also where they are told of several RIBs of a peer.
 */

import { limits } from "../../base/limits.ts";
import type { PeerBytes } from "../../bmp/encode.ts";
import type { AttrId, AttributeStore } from "../../rib/attribute-store.ts";
import type { PrefixId } from "../../rib/prefix-table.ts";
import type { RouteTable } from "../../rib/route-table.ts";
import { UpdateWriter } from "../../rib/update-writer.ts";
import { readU16 } from "../../wire/message.ts";
import { type EncodeContext, UpdateEncoder } from "../../wire/update-encode.ts";

/** Where packed routes go. */
export interface RouteSink {
  /** One UPDATE, `bytes[from, to)`, valid until this returns. */
  route(peer: PeerBytes, flags: number, timeS: number, bytes: Uint8Array, from: number, to: number): void;
  /** Attributes that fit no message: the route is withdrawn instead. */
  oversize(): void;
}

/** Routes of one family of a peer, and the RIBs that they are told of, each by its flags. */
export interface RouteStream {
  readonly peer: PeerBytes;
  readonly flags: readonly number[];
  readonly writer: UpdateWriter;
  /** For attributes that need more than a message of the usual size. */
  readonly large: UpdateWriter;
}

/** A message that is this long is full: the encoder's buffer is not to grow. */
const runBytesMax = 1 << 15;

export class RouteRun {
  private readonly attributes: AttributeStore;
  private readonly encoder = new UpdateEncoder();
  private stream: RouteStream | undefined;
  private writer: UpdateWriter | undefined;
  private attr = 0;
  private timeS = 0;

  constructor(attributes: AttributeStore) {
    this.attributes = attributes;
  }

  /** @param context how the peer's UPDATEs are written; messages are as long as it says, or as they must be */
  streamOf(
    peer: PeerBytes,
    flags: readonly number[],
    table: RouteTable,
    context: Omit<EncodeContext, "maxMessageBytes">,
  ): RouteStream {
    const writer = (maxMessageBytes: number): UpdateWriter =>
      new UpdateWriter(table, this.attributes, this.encoder, { ...context, maxMessageBytes });
    return {
      ...{ peer, flags },
      writer: writer(limits.messageBytesMax),
      large: writer(limits.messageBytesMaxExtended),
    };
  }

  /** Adds a route, or with `attr` 0 takes it back. All must be flushed before tables change. */
  add(
    sink: RouteSink,
    stream: RouteStream,
    attr: AttrId,
    timeS: number,
    prefix: PrefixId,
    pathId: number,
  ): void {
    const isSame = stream === this.stream && attr === this.attr && timeS === this.timeS;
    if (!isSame || this.encoder.writer.at > runBytesMax) {
      this.flush(sink);
      this.begin(sink, stream, attr, timeS);
    }
    this.writer!.add(prefix, pathId);
  }

  private begin(sink: RouteSink, stream: RouteStream, attr: AttrId, timeS: number): void {
    this.stream = stream;
    this.attr = attr;
    this.timeS = timeS;
    this.writer = stream.writer;
    this.writer.reset();
    if (attr !== 0) {
      if (this.writer.beginReach(attr)) return;
      this.writer = stream.large;
      this.writer.reset();
      if (this.writer.beginReach(attr)) return;
      sink.oversize();
    }
    this.writer.beginWithdraw();
  }

  flush(sink: RouteSink): void {
    const { stream, writer, encoder, timeS } = this;
    if (!stream || !writer) return;
    writer.end();
    this.stream = undefined;
    const { bytes, at } = encoder.writer;
    for (let from = 0; from < at; ) {
      const to = from + readU16(bytes, from + 16);
      for (const flags of stream.flags) sink.route(stream.peer, flags, timeS, bytes, from, to);
      from = to;
    }
  }
}
