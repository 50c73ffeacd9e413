/** Attributes of fixed shape: ORIGIN, NEXT_HOP, MED, LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST. */
import { formatIp, formatIp4 } from "../../base/ip.ts";
import { readU32 } from "../message.ts";
import {
  type AttributeDescriptor,
  AttributeType,
  optionalNonTransitive,
  wellKnown,
  withdrawFault,
} from "./descriptor.ts";

const originNames = ["igp", "egp", "incomplete"];

const lengthNot1 = withdrawFault(5, "the length is not 1");
const lengthNot4 = withdrawFault(5, "the length is not 4");
const originUnknown = withdrawFault(6, "the value is none of 0, 1, 2");
const notMultipleOf4 = withdrawFault(5, "the length is not a non-zero multiple of 4");

export const origin: AttributeDescriptor = {
  code: AttributeType.origin,
  name: "ORIGIN",
  flags: wellKnown,
  check(bytes, at, end) {
    if (end - at !== 1) return lengthNot1;
    return bytes[at] > 2 ? originUnknown : undefined;
  },
  read(bytes, at, _end, into) {
    into.origin = bytes[at];
  },
  present: () => true,
  write: (from, out) => out.u8(from.origin),
  format: (from) => originNames[from.origin] ?? String(from.origin),
};

/** Length only: whether the address makes sense matters only when the body has NLRI (RFC 4760 section 3). */
export const nextHop: AttributeDescriptor = {
  code: AttributeType.nextHop,
  name: "NEXT_HOP",
  flags: wellKnown,
  check: (_bytes, at, end) => (end - at === 4 ? undefined : lengthNot4),
  read(bytes, at, end, into) {
    into.nextHop = bytes.slice(at, end);
  },
  present: (from) => from.nextHop.length > 0,
  write: (from, out) => out.copy(from.nextHop),
  format({ nextHop: bytes }) {
    const first = formatIp(bytes, 0, Math.min(bytes.length, 16));
    return bytes.length === 32 ? `${first} ${formatIp(bytes, 16)}` : first;
  },
};

export const med: AttributeDescriptor = {
  code: AttributeType.med,
  name: "MULTI_EXIT_DISC",
  flags: optionalNonTransitive,
  check: (_bytes, at, end) => (end - at === 4 ? undefined : lengthNot4),
  read(bytes, at, _end, into) {
    into.med = readU32(bytes, at);
  },
  present: (from) => from.med !== undefined,
  write: (from, out) => out.u32(from.med ?? 0),
  format: (from) => String(from.med),
};

export const localPref: AttributeDescriptor = {
  code: AttributeType.localPref,
  name: "LOCAL_PREF",
  flags: wellKnown,
  ignores: ({ external }) => external,
  check: (_bytes, at, end) => (end - at === 4 ? undefined : lengthNot4),
  read(bytes, at, _end, into) {
    into.localPref = readU32(bytes, at);
  },
  present: (from) => from.localPref !== undefined,
  write: (from, out) => out.u32(from.localPref ?? 0),
  format: (from) => String(from.localPref),
};

export const originatorId: AttributeDescriptor = {
  code: AttributeType.originatorId,
  name: "ORIGINATOR_ID",
  flags: optionalNonTransitive,
  ignores: ({ external, confederation }) => external || confederation === true,
  check: (_bytes, at, end) => (end - at === 4 ? undefined : lengthNot4),
  read(bytes, at, _end, into) {
    into.originatorId = readU32(bytes, at);
  },
  present: (from) => from.originatorId !== undefined,
  write: (from, out) => out.u32(from.originatorId ?? 0),
  format: (from) => formatIp4(from.originatorId ?? 0),
};

export const clusterList: AttributeDescriptor = {
  code: AttributeType.clusterList,
  name: "CLUSTER_LIST",
  flags: optionalNonTransitive,
  ignores: ({ external, confederation }) => external || confederation === true,
  check: (_bytes, at, end) => (end > at && (end - at) % 4 === 0 ? undefined : notMultipleOf4),
  read(bytes, at, end, into) {
    for (let i = at; i < end; i += 4) into.clusterList.push(readU32(bytes, i));
  },
  present: (from) => from.clusterList.length > 0,
  write(from, out) {
    for (const id of from.clusterList) out.u32(id);
  },
  format: (from) => from.clusterList.map(formatIp4).join(" "),
};
