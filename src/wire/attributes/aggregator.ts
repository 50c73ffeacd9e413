/** ATOMIC_AGGREGATE, AGGREGATOR and AS4_AGGREGATOR (RFC 4271 5.1.6, 5.1.7; RFC 6793; RFC 7606 7.6, 7.7). */
import { formatIp4 } from "../../base/ip.ts";
import { readU32 } from "../message.ts";
import {
  type AttributeDescriptor,
  AttributeType,
  discardFault,
  optionalTransitive,
  wellKnown,
} from "./descriptor.ts";

const notEmpty = discardFault(5, "the length is not 0");
const wrongLength = discardFault(5, "the length fits no AS number and address");
const asZero = discardFault(9, "AS number 0");

export const atomicAggregate: AttributeDescriptor = {
  code: AttributeType.atomicAggregate,
  name: "ATOMIC_AGGREGATE",
  flags: wellKnown,
  check: (_bytes, at, end) => (at === end ? undefined : notEmpty),
  read(_bytes, _at, _end, into) {
    into.atomicAggregate = true;
  },
  present: (from) => from.atomicAggregate,
  write: () => {},
  format: () => "",
};

export const aggregator: AttributeDescriptor = {
  code: AttributeType.aggregator,
  name: "AGGREGATOR",
  flags: optionalTransitive,
  check(bytes, at, end, context) {
    if (end - at !== (context.fourOctetAs ? 8 : 6)) return wrongLength;
    const high = context.fourOctetAs ? bytes[at] | bytes[at + 1] : 0;
    const low = context.fourOctetAs ? at + 2 : at;
    return (high | bytes[low] | bytes[low + 1]) === 0 ? asZero : undefined;
  },
  read(bytes, at, _end, into) {
    into.aggregator = { asn: readU32(bytes, at), address: readU32(bytes, at + 4) };
  },
  present: (from) => from.aggregator !== undefined,
  write(from, out) {
    if (!from.aggregator) return;
    out.u32(from.aggregator.asn);
    out.u32(from.aggregator.address);
  },
  format: ({ aggregator: value }) => (value ? `${value.asn} ${formatIp4(value.address)}` : ""),
};

/** From a two-octet neighbor only; merged into AGGREGATOR by the decoder. */
export const as4Aggregator: AttributeDescriptor = {
  code: AttributeType.as4Aggregator,
  name: "AS4_AGGREGATOR",
  flags: optionalTransitive,
  check(bytes, at, end) {
    if (end - at !== 8) return wrongLength;
    return readU32(bytes, at) === 0 ? asZero : undefined;
  },
};
