/**
 * From protobuf bytes to proto3 JSON text without objects between: a million routes then take two seconds instead
 * of half a minute. Works for any message; what the short way does not know (maps, floats, fields out of order) goes
 * the long way through the protobuf library, message by message.
 */
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  fromBinary,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** JSON text of the message in bytes[from, to). */
export type Transcoder = (bytes: Buffer, from: number, to: number) => string;

type ValueWriter = (cursor: Cursor) => string;

interface FieldPlan {
  readonly key: string;
  readonly wireType: WireType;
  readonly repeated: boolean;
  readonly write: ValueWriter;
}

/** Place in the bytes while reading. */
class Cursor {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;

  /** Unsigned varint up to 2^53; beyond it the precision of a number ends, so those go the long way. */
  varint(): number {
    const bytes = this.bytes;
    let value = bytes[this.at++];
    if (value < 128) return value;
    value &= 127;
    let scale = 128;
    for (;;) {
      const byte = bytes[this.at++];
      value += (byte & 127) * scale;
      if (byte < 128) break;
      scale *= 128;
    }
    if (!(value <= Number.MAX_SAFE_INTEGER)) throw longWay;
    return value;
  }
}

const longWay = new Error("not for the short way");
const transcoders = new Map<DescMessage, Transcoder>();

/** The transcoder for a message type; made once. */
export function jsonTranscoder(message: DescMessage): Transcoder {
  const known = transcoders.get(message);
  if (known) return known;
  const long: Transcoder = (bytes, from, to) =>
    JSON.stringify(toJson(message, fromBinary(message, bytes.subarray(from, to))));
  const transcoder = wellKnown(message) ?? planned(message, long) ?? long;
  transcoders.set(message, transcoder);
  return transcoder;
}

/**
 * Visits the elements of one repeated message field in `bytes` and hands out the rest of the message.
 * @returns the bytes of all other fields
 */
export function eachElement(
  bytes: Buffer,
  fieldNumber: number,
  visit: (from: number, to: number) => void,
): Buffer {
  const rest: Buffer[] = [];
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [number, wireType] = reader.tag();
    if (number === fieldNumber && wireType === WireType.LengthDelimited) {
      const length = reader.uint32();
      visit(reader.pos, reader.pos + length);
      reader.pos += length;
    } else {
      reader.skip(wireType, number);
      rest.push(bytes.subarray(start, reader.pos));
    }
  }
  return Buffer.concat(rest);
}

function planned(message: DescMessage, long: Transcoder): Transcoder | undefined {
  const plans: (FieldPlan | undefined)[] = [];
  for (const field of message.fields) {
    if (field.number > 1000) return undefined;
    const plan = planField(field);
    if (!plan) return undefined;
    plans[field.number] = plan;
  }
  return (bytes, from, to) => {
    try {
      return short(plans, bytes, from, to);
    } catch (error) {
      if (error === longWay) return long(bytes, from, to);
      throw error;
    }
  };
}

function short(plans: readonly (FieldPlan | undefined)[], bytes: Buffer, from: number, to: number): string {
  const cursor = new Cursor();
  cursor.bytes = bytes;
  cursor.at = from;
  let text = "{";
  let last = 0;
  let open = false;
  while (cursor.at < to) {
    const tag = cursor.varint();
    const number = tag >>> 3;
    const wireType = tag & 7;
    const plan = plans[number];
    if (!plan || number < last) throw longWay; // unknown field, or fields out of order
    if (number === last) {
      if (!plan.repeated) throw longWay;
      text += ",";
    } else {
      if (open) text += "]";
      if (last !== 0) text += ",";
      text += plan.key;
      open = plan.repeated;
      if (open) text += "[";
    }
    last = number;
    if (wireType === plan.wireType) {
      text += plan.write(cursor);
    } else if (plan.repeated && wireType === WireType.LengthDelimited) {
      const end = cursor.varint() + cursor.at;
      if (cursor.at === end) throw longWay;
      text += plan.write(cursor);
      while (cursor.at < end) text += `,${plan.write(cursor)}`;
    } else {
      throw longWay;
    }
  }
  if (cursor.at !== to) throw longWay;
  return open ? `${text}]}` : `${text}}`;
}

function planField(field: DescField): FieldPlan | undefined {
  const key = `${JSON.stringify(field.jsonName)}:`;
  const list = field.fieldKind === "list";
  const kind = list ? field.listKind : field.fieldKind;
  const plan = (wireType: WireType, write: ValueWriter): FieldPlan => ({
    key,
    wireType,
    repeated: list,
    write,
  });
  if (field.oneof) return undefined;
  if (kind === "message") {
    const nested = field.message as DescMessage;
    let transcode: Transcoder | undefined;
    return plan(WireType.LengthDelimited, (cursor) => {
      transcode ??= jsonTranscoder(nested);
      const length = cursor.varint();
      const from = cursor.at;
      cursor.at += length;
      return transcode(cursor.bytes, from, cursor.at);
    });
  }
  if (kind === "enum") return plan(WireType.Varint, enumWriter(field.enum as DescEnum));
  if (kind !== "scalar") return undefined;
  switch (field.scalar as ScalarType) {
    case ScalarType.STRING:
      return plan(WireType.LengthDelimited, writeString);
    case ScalarType.BYTES:
      return plan(WireType.LengthDelimited, (cursor) => {
        const length = cursor.varint();
        const from = cursor.at;
        cursor.at += length;
        return `"${cursor.bytes.toString("base64", from, cursor.at)}"`;
      });
    case ScalarType.UINT32:
      return plan(WireType.Varint, (cursor) => String(cursor.varint()));
    case ScalarType.UINT64:
      return plan(WireType.Varint, (cursor) => `"${cursor.varint()}"`);
    case ScalarType.BOOL:
      return plan(WireType.Varint, (cursor) => (cursor.varint() === 0 ? "false" : "true"));
    default:
      return undefined;
  }
}

function enumWriter(type: DescEnum): ValueWriter {
  const names = new Map(type.values.map(({ number, name }) => [number, JSON.stringify(name)]));
  return (cursor) => {
    const number = cursor.varint();
    return names.get(number) ?? String(number);
  };
}

function writeString(cursor: Cursor): string {
  const length = cursor.varint();
  const from = cursor.at;
  const to = from + length;
  const bytes = cursor.bytes;
  cursor.at = to;
  for (let i = from; i < to; i++) {
    const byte = bytes[i];
    if (byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c)
      return JSON.stringify(bytes.toString("utf8", from, to));
  }
  return `"${bytes.toString("latin1", from, to)}"`;
}

function wellKnown(message: DescMessage): Transcoder | undefined {
  if (message.typeName !== "google.protobuf.Timestamp" && message.typeName !== "google.protobuf.Duration")
    return undefined;
  const long: Transcoder = (bytes, from, to) =>
    JSON.stringify(toJson(message, fromBinary(message, bytes.subarray(from, to))));
  const isTime = message.typeName === "google.protobuf.Timestamp";
  let lastSeconds = -1;
  let lastText = "";
  return (bytes, from, to) => {
    const cursor = new Cursor();
    cursor.bytes = bytes;
    cursor.at = from;
    let seconds = 0;
    let nanos = 0;
    try {
      while (cursor.at < to) {
        const tag = cursor.varint();
        if (tag === 8) seconds = cursor.varint();
        else if (tag === 16) nanos = cursor.varint();
        else return long(bytes, from, to);
      }
    } catch {
      return long(bytes, from, to); // negative
    }
    if (nanos > 999_999_999 || seconds > 250_000_000_000) return long(bytes, from, to);
    if (!isTime) return `"${seconds}${fraction(nanos)}s"`;
    if (seconds !== lastSeconds) {
      lastSeconds = seconds;
      lastText = new Date(seconds * 1000).toISOString().slice(0, 19);
    }
    return `"${lastText}${fraction(nanos)}Z"`;
  };
}

function fraction(nanos: number): string {
  if (nanos === 0) return "";
  const digits = String(nanos).padStart(9, "0");
  if (nanos % 1_000_000 === 0) return `.${digits.slice(0, 3)}`;
  return nanos % 1000 === 0 ? `.${digits.slice(0, 6)}` : `.${digits}`;
}
