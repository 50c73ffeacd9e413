/** Prefixes and attribute sets as the API shows them. */
import { create, toBinary } from "@bufbuild/protobuf";
import { formatIp, formatIp4 } from "../base/ip.ts";
import { type AsPathSegment_Type, type Origin, type Route, RouteSchema } from "../gen/cairn/v1/types_pb.ts";
import type { AttrId } from "../rib/attribute-store.ts";
import { FlowTable } from "../rib/flow-table.ts";
import type { PrefixTable } from "../rib/prefix-table.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { formatAsPath } from "../wire/as-path-text.ts";
import { aigpMetric } from "../wire/attributes/aigp.ts";
import { decodeBlock } from "../wire/block.ts";
import { formatCommunity, formatExtendedCommunity, formatLargeCommunity } from "../wire/community-text.ts";
import { formatFlow } from "../wire/flowspec/text.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { AttributeBlock } from "../wire/scratch.ts";
import type { RouteName } from "./route-name.ts";
import type { Routing } from "./routing.ts";

const address = new Uint8Array(16);
const block = new AttributeBlock();

/** What names a row, as a copy. */
export function nameOfRow({ family, prefixes, rules }: RouteTable, row: number): RouteName {
  if (rules) {
    const bytes = rules.value(row).slice();
    return { family, bytes, length: bytes.length };
  }
  const bytes = new Uint8Array(family.addressBytes);
  prefixes.writeAddress(row, bytes, 0);
  return { family, bytes, length: prefixes.length[row] };
}

/** Canonical text of a prefix row, or of a rule. */
export function prefixText(prefixes: PrefixTable, row: number): string {
  if (prefixes instanceof FlowTable) return formatFlow(prefixes.value(row), prefixes.family);
  prefixes.writeAddress(row, address, 0);
  return `${formatIp(address, 0, prefixes.addressBytes)}/${prefixes.length[row]}`;
}

/** ASCII digits of each byte value. */
const decimals: readonly Uint8Array[] = Array.from({ length: 256 }, (_, byte) =>
  Uint8Array.from(String(byte), (digit) => digit.charCodeAt(0)),
);
const slash = 0x2f;
const dot = 0x2e;

/** Writes the canonical text of a prefix row as ASCII. @returns its length, 43 at most */
export function writePrefixText(prefixes: PrefixTable, row: number, out: Uint8Array, at: number): number {
  prefixes.writeAddress(row, address, 0);
  let end = at;
  if (prefixes.addressBytes === 4) {
    for (let i = 0; i < 4; i++) {
      if (i > 0) out[end++] = dot;
      const digits = decimals[address[i]];
      for (let j = 0; j < digits.length; j++) out[end++] = digits[j];
    }
  } else {
    const text = formatIp(address, 0, prefixes.addressBytes);
    for (let i = 0; i < text.length; i++) out[end++] = text.charCodeAt(i);
  }
  out[end++] = slash;
  const digits = decimals[prefixes.length[row]];
  for (let j = 0; j < digits.length; j++) out[end++] = digits[j];
  return end - at;
}

/** The attribute fields of a `Route` as protobuf bytes. */
export interface EncodedAttributes {
  /** Fields before those that are told of the path, such as `best`. */
  readonly low: Uint8Array;
  /** Fields after them. */
  readonly high: Uint8Array;
}

interface Shown {
  readonly epoch: number;
  readonly route: Route;
  encoded?: EncodedAttributes;
}

/** Attribute sets shown last, by id: a list shows the same set many times in a row. */
const shownMax = 1024;
const shown = new WeakMap<Routing, Map<AttrId, Shown>>();

/** What an attribute set says, as the attribute fields of a `Route`. Shared: do not change it. */
export function attributesMessage(routing: Routing, attr: AttrId): Route {
  return shownOf(routing, attr).route;
}

/** The same as bytes, in order of field numbers. */
export function encodedAttributes(routing: Routing, attr: AttrId): EncodedAttributes {
  const of = shownOf(routing, attr);
  return (of.encoded ??= encode(of.route));
}

function shownOf(routing: Routing, attr: AttrId): Shown {
  let known = shown.get(routing);
  if (!known) shown.set(routing, (known = new Map()));
  const epoch = routing.attributes.epoch[attr];
  const found = known.get(attr);
  if (found?.epoch === epoch) return found;
  routing.attributes.block(attr, block);
  const made: Shown = { epoch, route: routeOfAttributes(decodeBlock(block.bytes, block.start, block.end)) };
  if (known.size >= shownMax) known.clear();
  known.set(attr, made);
  return made;
}

function encode(route: Route): EncodedAttributes {
  const { weight, tag, discard, otc, aigp, ...rest } = route;
  const isPlain = [weight, tag, otc, aigp].every((value) => value === undefined) && !discard;
  if (isPlain) return { low: toBinary(RouteSchema, route), high: noBytes };
  return {
    low: toBinary(RouteSchema, { ...rest, discard: false }),
    high: toBinary(RouteSchema, create(RouteSchema, { weight, tag, discard, otc, aigp })),
  };
}

const noBytes = new Uint8Array();

function routeOfAttributes(attributes: PathAttributes): Route {
  const { nextHop } = attributes;
  const first = nextHop.length === 32 ? 16 : nextHop.length;
  return create(RouteSchema, {
    nextHop: first === 0 ? "" : formatIp(nextHop, 0, first),
    nextHopLinkLocal: nextHop.length === 32 ? formatIp(nextHop, 16, 16) : "",
    origin: (attributes.origin + 1) as Origin,
    asPath: attributes.asPath.map((segment) => ({
      type: segment.type as number as AsPathSegment_Type,
      asns: segment.asns,
    })),
    asPathText: formatAsPath(attributes.asPath),
    localPref: attributes.localPref,
    med: attributes.med,
    communities: attributes.communities.map(formatCommunity),
    extendedCommunities: attributes.extendedCommunities.map(formatExtendedCommunity),
    largeCommunities: attributes.largeCommunities.map(formatLargeCommunity),
    originatorId: attributes.originatorId === undefined ? "" : formatIp4(attributes.originatorId),
    clusterList: attributes.clusterList.map(formatIp4),
    atomicAggregate: attributes.atomicAggregate,
    aggregator: attributes.aggregator && {
      asn: attributes.aggregator.asn,
      address: formatIp4(attributes.aggregator.address),
    },
    unknownAttributes: attributes.unknown,
    otc: attributes.otc,
    aigp: aigpMetric(attributes.aigp),
    weight: attributes.local?.weight,
    tag: attributes.local?.tag,
    discard: attributes.local?.discard ?? false,
  });
}
