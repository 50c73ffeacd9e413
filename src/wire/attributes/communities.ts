/** Communities of four kinds (RFC 1997, 4360, 5701, 8092; RFC 7606 7.8, 7.14, 7.15) and OTC (RFC 9234). */
import { formatCommunity, formatExtendedCommunity, formatLargeCommunity } from "../community-text.ts";
import { readU32 } from "../message.ts";
import {
  type AttributeDescriptor,
  type AttributeFault,
  AttributeType,
  optionalTransitive,
  withdrawFault,
} from "./descriptor.ts";

/** A check that the length is a non-zero multiple of `size`. */
function listOf(size: number): AttributeDescriptor["check"] {
  const fault: AttributeFault = withdrawFault(5, `the length is not a non-zero multiple of ${size}`);
  return (_bytes, at, end) => (end > at && (end - at) % size === 0 ? undefined : fault);
}

export const communities: AttributeDescriptor = {
  code: AttributeType.communities,
  name: "COMMUNITIES",
  flags: optionalTransitive,
  check: listOf(4),
  read(bytes, at, end, into) {
    for (let i = at; i < end; i += 4) into.communities.push(readU32(bytes, i));
  },
  present: (from) => from.communities.length > 0,
  write(from, out) {
    for (const community of from.communities) out.u32(community);
  },
  format: (from) => from.communities.map(formatCommunity).join(" "),
};

export const extendedCommunities: AttributeDescriptor = {
  code: AttributeType.extendedCommunities,
  name: "EXTENDED_COMMUNITIES",
  flags: optionalTransitive,
  check: listOf(8),
  read(bytes, at, end, into) {
    for (let i = at; i < end; i += 8) {
      const high = readU32(bytes, i).toString(16).padStart(8, "0");
      into.extendedCommunities.push(
        high +
          readU32(bytes, i + 4)
            .toString(16)
            .padStart(8, "0"),
      );
    }
  },
  present: (from) => from.extendedCommunities.length > 0,
  write(from, out) {
    for (const community of from.extendedCommunities) {
      out.u32(Number.parseInt(community.slice(0, 8), 16));
      out.u32(Number.parseInt(community.slice(8), 16));
    }
  },
  format: (from) => from.extendedCommunities.map(formatExtendedCommunity).join(" "),
};

export const largeCommunities: AttributeDescriptor = {
  code: AttributeType.largeCommunities,
  name: "LARGE_COMMUNITY",
  flags: optionalTransitive,
  check: listOf(12),
  read(bytes, at, end, into) {
    for (let i = at; i < end; i += 12) {
      into.largeCommunities.push([readU32(bytes, i), readU32(bytes, i + 4), readU32(bytes, i + 8)]);
    }
  },
  present: (from) => from.largeCommunities.length > 0,
  write(from, out) {
    for (const parts of from.largeCommunities) for (const part of parts) out.u32(part);
  },
  format: (from) => from.largeCommunities.map(formatLargeCommunity).join(" "),
};

export const ipv6ExtendedCommunities: AttributeDescriptor = {
  code: AttributeType.ipv6ExtendedCommunities,
  name: "IPV6_EXTENDED_COMMUNITIES",
  flags: optionalTransitive,
  opaque: true,
  check: listOf(20),
};

const otcLength = withdrawFault(5, "the length is not 4");
const otcZero = withdrawFault(9, "AS number 0");

/** RFC 9234 5: the AS that said "from here on only to customers". */
export const onlyToCustomer: AttributeDescriptor = {
  code: AttributeType.onlyToCustomer,
  name: "ONLY_TO_CUSTOMER",
  flags: optionalTransitive,
  check(bytes, at, end) {
    if (end - at !== 4) return otcLength;
    return readU32(bytes, at) === 0 ? otcZero : undefined;
  },
  read(bytes, at, _end, into) {
    into.otc = readU32(bytes, at);
  },
  present: (from) => from.otc !== undefined,
  write: (from, out) => out.u32(from.otc ?? 0),
  format: (from) => `AS${from.otc}`,
};
