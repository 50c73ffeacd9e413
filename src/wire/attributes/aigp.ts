/**
 * AIGP (RFC 7311): TLVs of one octet of type, two of length (of the whole TLV) and a value. The first TLV of type 1
 * holds the accumulated metric; all others are passed along as they stand. A metric is kept as two words of 32 bits.
 */
import { readU16, readU32 } from "../message.ts";
import {
  type AttributeDescriptor,
  AttributeType,
  discardFault,
  optionalNonTransitive,
} from "./descriptor.ts";

const metricType = 1;
const metricBytes = 11;
/** A metric as far as it goes; it means the same as none, and is not taken from others. */
const metricMax = 0xffff_ffff_ffff_ffffn;

/** RFC 7311 3.1: a malformed one is discarded, and so is one without a usable metric. */
export const aigp: AttributeDescriptor = {
  code: AttributeType.aigp,
  name: "AIGP",
  flags: optionalNonTransitive,
  flagsDiscard: true,
  ignores: (context) => context.aigp !== true,
  check(bytes, at, end) {
    for (let next = at; next < end; ) {
      if (end - next < 3) return cutOff;
      const length = readU16(bytes, next + 1);
      if (length < 3 || next + length > end) return cutOff;
      if (bytes[next] === metricType && length !== metricBytes) return wrongLength;
      next += length;
    }
    const metricAt = aigpMetricAt(bytes, at, end);
    if (metricAt < 0) return noMetric;
    return readU32(bytes, metricAt) === 0xffff_ffff && readU32(bytes, metricAt + 4) === 0xffff_ffff
      ? endless
      : undefined;
  },
  read(bytes, at, end, into) {
    into.aigp = bytes.slice(at, end);
  },
  present: (from) => from.aigp.length > 0,
  write: (from, out) => out.copy(from.aigp),
  format: (from) => String(aigpMetric(from.aigp) ?? ""),
};

const cutOff = discardFault(5, "a TLV is cut off");
const wrongLength = discardFault(5, "the metric's TLV is not 11 bytes long");
const noMetric = discardFault(9, "there is no metric in it");
const endless = discardFault(9, "the metric is the highest there is");

/** Offset of the first metric in the checked value `bytes[at, end)`; -1 when there is none. */
export function aigpMetricAt(bytes: Uint8Array, at: number, end: number): number {
  for (let next = at; next < end; next += readU16(bytes, next + 1))
    if (bytes[next] === metricType) return next + 3;
  return -1;
}

/** The metric of a checked value; undefined when it has none. */
export function aigpMetric(value: Uint8Array): bigint | undefined {
  const at = aigpMetricAt(value, 0, value.length);
  return at < 0 ? undefined : (BigInt(readU32(value, at)) << 32n) | BigInt(readU32(value, at + 4));
}

/** A copy of a checked value with another metric; of an empty value one with the metric alone. */
export function withAigpMetric(value: Uint8Array, metric: bigint): Uint8Array {
  const at = aigpMetricAt(value, 0, value.length);
  const copy =
    at < 0 ? Uint8Array.of(metricType, 0, metricBytes, 0, 0, 0, 0, 0, 0, 0, 0, ...value) : value.slice();
  new DataView(copy.buffer).setBigUint64(at < 0 ? 3 : at, metric);
  return copy;
}

/** `metric` further away by `cost`; it ends at the highest metric (RFC 7311 3.4). */
export function addAigp(metric: bigint, cost: number): bigint {
  const sum = metric + BigInt(cost);
  return sum > metricMax ? metricMax : sum;
}
