/**
 * Routes on their way to the API, as the bytes of a repeated `Route` field. A list of a million routes is written
 * straight from the columns: no object per route, and what an attribute set says is encoded once and copied.
 */
import { fromBinary, toBinary, type UnknownField } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { type Route, RouteSchema } from "../gen/cairn/v1/types_pb.ts";
import { aspaStateNames, rpkiStateNames } from "../policy/route-key.ts";
import type { AttrId } from "../rib/attribute-store.ts";
import { reasonMask, rejectReasonText } from "../rib/path-flags.ts";
import { aspaOf, rpkiOf } from "../rib/path-validator.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { multipathFields } from "./multipath-message.ts";
import type { PastPath } from "./route-history.ts";
import { encodedAttributes, prefixText, writePrefixText } from "./route-message.ts";
import type { Routing } from "./routing.ts";

const { field } = RouteSchema;
const tags = {
  prefix: (field.prefix.number << 3) | WireType.LengthDelimited,
  pathId: (field.pathId.number << 3) | WireType.Varint,
  neighbor: (field.neighbor.number << 3) | WireType.LengthDelimited,
  family: (field.family.number << 3) | WireType.LengthDelimited,
  best: (field.best.number << 3) | WireType.Varint,
  stale: (field.stale.number << 3) | WireType.Varint,
  age: (field.age.number << 3) | WireType.LengthDelimited,
  rpkiState: (field.rpkiState.number << 3) | WireType.LengthDelimited,
  aspaState: (field.aspaState.number << 3) | WireType.LengthDelimited,
  rejectReason: (field.rejectReason.number << 3) | WireType.LengthDelimited,
  receivedAt: (field.receivedAt.number << 3) | WireType.LengthDelimited,
} as const;
/** `seconds` of google.protobuf.Duration and of Timestamp. */
const secondsTag = (1 << 3) | WireType.Varint;
/** What a route takes at most beside its attributes and texts. */
const fixedBytesMax = 128;
/** Longest text of a prefix, with room. */
const prefixTextMax = 64;

const utf8 = new TextEncoder();

export class RouteBatch {
  /** Routes in the batch. */
  count = 0;
  private readonly no: number;
  private bytes = new Uint8Array(1 << 12);
  /** The bytes in use: per route the tag of the repeated field, a length, and the message. */
  private end = 0;

  /** @param no number of the repeated field, below 16 */
  constructor(no = 1) {
    this.no = no;
  }

  /** Bytes that the batch adds to a message. */
  get byteLength(): number {
    return this.end;
  }

  clear(): void {
    this.count = 0;
    this.end = 0;
  }

  /**
   * Appends a row.
   * @param path the path whose flags and times are told; 0 when it has changed or gone since
   * @param attr the attribute set to show: as received, after import policy, or as announced
   * @param nowS wall-clock seconds for the age; 0 leaves times out
   * @param prefix row of the prefix
   * @param neighbor whom it came from
   * @param rejectReason in more words than the flags have
   * @param pathId as received, or as announced
   */
  addPath(
    routing: Routing,
    table: RouteTable,
    path: number,
    attr: AttrId,
    nowS: number,
    prefix = table.paths.prefix[path],
    neighbor = table.paths.neighbor[path],
    rejectReason = "",
    pathId = table.paths.idOf(path),
  ): void {
    const { paths } = table;
    const flags = paths.flags[path];
    const { low, high } = encodedAttributes(routing, attr);
    const from = routing.neighbors.text[neighbor];
    const reason = rejectReason || rejectReasonText[flags & reasonMask];
    const multipath = multipathFields(routing, table, path);
    const attributeBytes = low.length + high.length + multipath.length;
    const rule = table.rules ? prefixText(table.prefixes, prefix) : "";
    const texts = rule.length + (from.length + reason.length) * 3 + 32;
    const start = this.begin(fixedBytesMax + prefixTextMax + attributeBytes + texts);

    this.names(table, prefix, rule, pathId, from);
    this.chunk(low);
    if (path !== 0 && table.bestOf(prefix) === path) this.flag(tags.best);
    if (path !== 0 && table.isStale(path)) this.flag(tags.stale);
    const timeS = paths.time[path];
    if (nowS !== 0) this.seconds(tags.age, Math.max(0, nowS - timeS));
    if (path !== 0 && table.validator?.hasData) {
      const states = table.validator.ofPath(table, path, true, true);
      this.text(tags.rpkiState, rpkiStateNames[rpkiOf(states)]);
      this.text(tags.aspaState, aspaStateNames[aspaOf(states)]);
    }
    if (reason !== "") this.text(tags.rejectReason, reason);
    if (nowS !== 0) this.seconds(tags.receivedAt, timeS);
    this.chunk(high);
    this.chunk(multipath);

    this.finish(start);
  }

  /**
   * Appends a path as it was at an earlier time.
   * @param nowS the time from which its age counts, wall-clock seconds; 0 leaves the age out
   */
  addPast(routing: Routing, table: RouteTable, prefix: number, path: PastPath, nowS: number): void {
    const { low, high } = encodedAttributes(routing, path.attr);
    const { neighbor, pathId, timeS } = path;
    const reason = rejectReasonText[path.reason];
    const rule = table.rules ? prefixText(table.prefixes, prefix) : "";
    const texts = rule.length + (neighbor.length + reason.length) * 3 + 32;
    const start = this.begin(fixedBytesMax + prefixTextMax + low.length + high.length + texts);
    this.names(table, prefix, rule, pathId, neighbor);
    this.chunk(low);
    if (path.isBest) this.flag(tags.best);
    if (nowS !== 0) this.seconds(tags.age, Math.max(0, nowS - timeS));
    if (reason !== "") this.text(tags.rejectReason, reason);
    if (timeS !== 0) this.seconds(tags.receivedAt, timeS);
    this.chunk(high);
    this.finish(start);
  }

  /** Appends a message that exists already. */
  addMessage(route: Route): void {
    const encoded = toBinary(RouteSchema, route);
    const start = this.begin(encoded.length);
    this.chunk(encoded);
    this.finish(start);
  }

  /**
   * The batch as a field of a message that is about to be encoded: the protobuf library writes fields that it does not
   * know as they are. Valid until the batch is changed.
   */
  asField(): UnknownField {
    // The library writes the first tag itself.
    return { no: this.no, wireType: WireType.LengthDelimited, data: this.bytes.subarray(1, this.end) };
  }

  /** The routes as messages. */
  routes(): Route[] {
    const routes: Route[] = [];
    const { bytes, end } = this;
    for (let at = 0; at < end; ) {
      const next = nextElement(bytes, at);
      // A copy: byte fields of the message are views of what it was read from.
      routes.push(fromBinary(RouteSchema, bytes.slice(headEnd(bytes, at), next)));
      at = next;
    }
    return routes;
  }

  /** Room for tag, length and a message of at most `room` bytes. @returns where the element starts */
  private begin(room: number): number {
    const needed = this.end + room + lengthBytesMax + 1;
    if (needed > this.bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
      grown.set(this.bytes.subarray(0, this.end));
      this.bytes = grown;
    }
    const start = this.end;
    this.end += 1 + usualLengthBytes;
    return start;
  }

  /** Puts the length before the message; nearly all need two bytes, so that is what was left free. */
  private finish(start: number): void {
    const { bytes } = this;
    const from = start + 1 + usualLengthBytes;
    const length = this.end - from;
    const lengthBytes = length < 1 << 7 ? 1 : length < 1 << 14 ? 2 : 3;
    if (lengthBytes !== usualLengthBytes) {
      bytes.copyWithin(start + 1 + lengthBytes, from, this.end);
      this.end += lengthBytes - usualLengthBytes;
    }
    bytes[start] = (this.no << 3) | WireType.LengthDelimited;
    const after = this.end;
    this.end = start + 1;
    this.varint(length);
    this.end = after;
    this.count++;
  }

  /** What tells a path from others: the first fields. */
  private names(table: RouteTable, prefix: number, rule: string, pathId: number, neighbor: string): void {
    const { bytes } = this;
    if (rule !== "") this.text(tags.prefix, rule);
    else {
      bytes[this.end++] = tags.prefix;
      const length = writePrefixText(table.prefixes, prefix, bytes, this.end + 1);
      bytes[this.end] = length;
      this.end += 1 + length;
    }
    if (pathId !== 0) {
      this.varint(tags.pathId);
      this.varint(pathId);
    }
    this.text(tags.neighbor, neighbor);
    this.text(tags.family, table.family.name);
  }

  private flag(tag: number): void {
    this.varint(tag);
    this.bytes[this.end++] = 1;
  }

  private seconds(tag: number, value: number): void {
    this.varint(tag);
    const at = this.end++;
    if (value !== 0) {
      this.bytes[this.end++] = secondsTag;
      this.varint(value);
    }
    this.bytes[at] = this.end - at - 1;
  }

  /** Texts here are almost always short and ASCII. */
  private text(tag: number, value: string): void {
    this.varint(tag);
    const { length } = value;
    const { bytes } = this;
    const at = this.end;
    if (length < 128) {
      bytes[at] = length;
      let i = 0;
      for (; i < length; i++) {
        const code = value.charCodeAt(i);
        if (code > 127) break;
        bytes[at + 1 + i] = code;
      }
      if (i === length) {
        this.end = at + 1 + length;
        return;
      }
    }
    const encoded = utf8.encode(value);
    this.varint(encoded.length);
    this.chunk(encoded);
  }

  private chunk(part: Uint8Array): void {
    if (part.length === 0) return;
    this.bytes.set(part, this.end);
    this.end += part.length;
  }

  /** Unsigned, up to 2^32 - 1. */
  private varint(value: number): void {
    const { bytes } = this;
    let rest = value;
    while (rest > 127) {
      bytes[this.end++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    bytes[this.end++] = rest;
  }
}

const usualLengthBytes = 2;
const lengthBytesMax = 3;

/** Where the message of the element at `at` starts. */
function headEnd(bytes: Uint8Array, at: number): number {
  let p = at + 1;
  while (bytes[p] > 127) p++;
  return p + 1;
}

/** Where the element after the one at `at` starts. */
function nextElement(bytes: Uint8Array, at: number): number {
  let length = 0;
  let p = at + 1;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[p++];
    length |= (byte & 127) << shift;
    if (byte < 128) return p + length;
  }
}

const single = new RouteBatch();

/**
 * One row as a message, see `RouteBatch.addPath`.
 * @param nowS wall-clock seconds for the age; 0 leaves times out
 */
export function routeMessage(
  routing: Routing,
  table: RouteTable,
  path: number,
  attr: AttrId,
  nowS = 0,
  prefix = table.paths.prefix[path],
): Route {
  single.clear();
  single.addPath(routing, table, path, attr, nowS, prefix);
  return single.routes()[0];
}
