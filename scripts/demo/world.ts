/**
 * A made-up Internet: origins of very different size, each with an address block and more-specifics in it, reached over
 * a few dozen carriers. Deterministic: every speaker builds the same world and tells its own view of it, so that the
 * views overlap and disagree as views of real networks do.
 */
import { ip4Bytes, type Prefix, parsePrefix } from "../../src/base/ip.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { emptyAttributes, Origin, type PathAttributes, SegmentType } from "../../src/wire/path-attributes.ts";
import { addressBytes, type Role } from "./cast.ts";

/** Prefixes of one origin that are announced alike. */
interface Holding {
  readonly origin: Network;
  readonly prefixes: Prefix[];
  /** Carriers between whoever announces it and the origin, outermost first: another choice for each speaker. */
  readonly ways: readonly (readonly number[])[];
}

interface Network {
  readonly asn: number;
  readonly region: number;
}

/** What a speaker announces with one set of attributes. */
export interface Announcement {
  readonly attributes: PathAttributes;
  readonly prefixes: readonly Prefix[];
}

const seed = 20_260_101;
const carrierCount = 48;
const regionCount = 8;
/** Origins of IPv4 prefixes, each with a block somewhere in the unicast space. */
const blocks4 = 4_600;

/** Everything that this speaker announces in one family, before it changes its mind. */
export function announcements(role: Role, family: 4 | 6): Announcement[] {
  const wanted = family === 4 ? role.routes4 : role.routes6;
  if (wanted === 0) return [];
  const random = seededRandom(role.asn * 16 + family);
  const holdings = family === 4 ? holdings4() : holdings6();
  const list: Announcement[] = role.part === "customer" ? customerOwn(role, family) : [];
  let left = wanted - list.reduce((sum, { prefixes }) => sum + prefixes.length, 0);
  // Transits know everybody but for a few; the others only a part of the world.
  const share = { transit: 0.93, exchange: 0.35, customer: 0.03, edge: 0.13, collector: 0 }[role.part];
  for (const known of [true, false]) {
    const choice = seededRandom(role.asn * 16 + family + 8);
    for (const holding of holdings) {
      if (left <= 0) return list;
      if (choice() < share !== known) continue;
      const prefixes = holding.prefixes.slice(0, left);
      left -= prefixes.length;
      list.push({ attributes: attributesOf(role, holding, family, random), prefixes });
    }
  }
  return list;
}

/** Another path to the same place: what a route looks like after something changed upstream. */
export function rerouted(attributes: PathAttributes, role: Role, random: Random): PathAttributes {
  const asns = attributes.asPath.flatMap((segment) => segment.asns);
  const origin = asns[asns.length - 1];
  const head = role.part === "edge" ? [] : [role.asn];
  const carriers = Array.from({ length: 1 + Math.floor(random() * 3) }, () => carrier(random));
  const path = withoutRepeats([...head, ...carriers, origin]);
  return { ...attributes, asPath: [{ type: SegmentType.sequence, asns: path }] };
}

// ------------------------------------------------------------------------------------------------ the world

function holdings4(): Holding[] {
  const random = seededRandom(seed);
  const list: Holding[] = [];
  const taken = new Set<string>();
  const stride = Math.floor(((224 - 5) * 2 ** 24) / blocks4);
  for (let rank = 0; rank < blocks4; rank++) {
    const origin = network(random);
    const count = Math.max(1, Math.round((240 / (rank + 1) ** 0.55) * (0.4 + random())));
    const length = count === 1 ? lengthOf4(random) : Math.max(14, 22 - Math.ceil(Math.log2(count)));
    const size = 2 ** (32 - length);
    let start = Math.floor((5 * 2 ** 24 + rank * stride + random() * stride * 0.3) / size) * size;
    if (isReserved4(start)) start = Math.floor((start + 2 ** 25) / size) * size;
    if (isReserved4(start)) continue;
    const prefixes: Prefix[] = [];
    const add = (address: number, bits: number): void => {
      const key = `${address}/${bits}`;
      if (taken.has(key)) return;
      taken.add(key);
      prefixes.push({ bytes: ip4Bytes(address), length: bits });
    };
    add(start, length);
    for (let tries = 1; tries < count; tries++) {
      const bits = Math.max(length + 1, lengthOf4(random));
      const step = 2 ** (32 - bits);
      add(start + Math.floor((random() * size) / step) * step, bits);
    }
    list.push(...split(origin, prefixes, random));
  }
  return shuffled(list, random);
}

function holdings6(): Holding[] {
  const random = seededRandom(seed + 6);
  const list: Holding[] = [];
  const blocks = [0x2400, 0x2600, 0x2800, 0x2a00, 0x2c00];
  for (let rank = 0; rank < 1_400; rank++) {
    const origin = network(random);
    const count = Math.max(1, Math.round((36 / (rank + 1) ** 0.45) * (0.4 + random())));
    const bytes = new Uint8Array(16);
    const top = blocks[rank % blocks.length] + (rank % 13);
    bytes.set([top >>> 8, top & 255, rank >>> 8, (rank & 255) ^ 0x5a]);
    const prefixes: Prefix[] = [{ bytes, length: 32 }];
    for (let i = 1; i < count; i++) {
      const more = bytes.slice();
      const length = random() < 0.8 ? 48 : 36 + 4 * Math.floor(random() * 3);
      more[4] = i >>> 8;
      more[5] = length === 48 ? i : (i & 15) << 4;
      if (length <= 40) more.set([length === 36 ? (i & 15) << 4 : i & 255, 0], 4);
      prefixes.push({ bytes: more, length });
    }
    const distinct = new Map(
      prefixes.map((prefix) => [`${prefix.bytes.join(".")}/${prefix.length}`, prefix]),
    );
    list.push(...split(origin, [...distinct.values()], random));
  }
  return shuffled(list, random);
}

/** An origin announces its prefixes in a few groups with attributes of their own: sizes are far from equal. */
function split(origin: Network, prefixes: Prefix[], random: Random): Holding[] {
  const list: Holding[] = [];
  for (let at = 0; at < prefixes.length; ) {
    const size = Math.max(1, Math.floor(Math.min(60, 1 / (random() + 0.02))));
    const ways = Array.from({ length: 4 }, () =>
      Array.from({ length: pathLength(random) }, () => carrier(random)),
    );
    list.push({ origin, prefixes: prefixes.slice(at, at + size), ways });
    at += size;
  }
  return list;
}

function network(random: Random): Network {
  const wide = random() < 0.4;
  const asn = wide ? 196_608 + Math.floor(random() * 200_000) : 1_024 + Math.floor(random() * 62_000);
  return { asn, region: Math.floor(random() * regionCount) };
}

/** Few carriers carry most. */
function carrier(random: Random): number {
  const rank = Math.floor(carrierCount * random() ** 2.5);
  return 2_000 + rank * 313;
}

/** Carriers between us and the origin: with both ends paths of two to six hops. */
function pathLength(random: Random): number {
  const dice = random();
  return dice < 0.12 ? 0 : dice < 0.5 ? 1 : dice < 0.82 ? 2 : dice < 0.95 ? 3 : 4;
}

function lengthOf4(random: Random): number {
  const dice = random();
  if (dice < 0.6) return 24;
  if (dice < 0.7) return 23;
  if (dice < 0.81) return 22;
  if (dice < 0.87) return 21;
  if (dice < 0.93) return 20;
  return dice < 0.97 ? 19 : 18;
}

function isReserved4(address: number): boolean {
  const a = address >>> 24;
  const b = (address >>> 16) & 255;
  if (a === 0 || a === 10 || a === 127 || a >= 224) return true;
  if (a === 100) return b >= 64 && b < 128;
  if (a === 172) return b >= 16 && b < 32;
  return (a === 169 && b === 254) || a === 192 || a === 198 || (a === 203 && b === 0);
}

function shuffled<T>(list: T[], random: Random): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

// ------------------------------------------------------------------------------------------ a speaker's view

function attributesOf(role: Role, { origin, ways }: Holding, family: 4 | 6, random: Random): PathAttributes {
  const way =
    role.part === "transit" ? ways[role.asn % ways.length] : ways[0].slice(0, role.part === "edge" ? 2 : 1);
  const prepends = random() < 0.08 ? 1 + Math.floor(random() * 3) : 0;
  const head = role.part === "edge" ? [] : [role.asn];
  const asns = [
    ...withoutRepeats([...head, ...way, origin.asn]),
    ...Array<number>(prepends).fill(origin.asn),
  ];
  const attributes = emptyAttributes();
  attributes.origin = random() < 0.9 ? Origin.igp : Origin.incomplete;
  attributes.asPath = [{ type: SegmentType.sequence, asns }];
  attributes.nextHop = family === 4 ? nextHop4(role) : nextHop6(role);
  attributes.communities = communitiesOf(role, origin, random);
  if (origin.asn > 65_535 && random() < 0.5) attributes.largeCommunities = [[origin.asn, 1, origin.region]];
  if (role.part === "exchange") attributes.med = 10 * Math.floor(random() * 5);
  if (role.part === "edge") {
    attributes.localPref = random() < 0.2 ? 200 : 100;
    attributes.med = Math.floor(random() * 100);
  }
  if (random() < 0.03) attributes.aggregator = { asn: origin.asn, address: 0xc000_0201 };
  return attributes;
}

function communitiesOf(role: Role, origin: Network, random: Random): number[] {
  const own = role.asn * 65_536;
  const list = [own + 1_000 + origin.region, own + 2_000 + Math.floor(random() * 40)];
  if (role.part === "transit" && random() < 0.05) list.push(own + 90);
  if (origin.asn < 65_536) {
    for (let tags = Math.floor(random() * 4); tags > 0; tags--) {
      list.push(origin.asn * 65_536 + 100 * Math.floor(random() * 30));
    }
  }
  if (role.part === "customer" && random() < 0.1) list.push(0xffff_ff01); // no-export
  return [...new Set(list)].sort((a, b) => a - b);
}

/** The customer's own prefixes, and what it should not announce, for import policies to reject. */
function customerOwn(role: Role, family: 4 | 6): Announcement[] {
  const attributes = emptyAttributes();
  attributes.asPath = [{ type: SegmentType.sequence, asns: [role.asn] }];
  attributes.nextHop = family === 4 ? nextHop4(role) : nextHop6(role);
  const own = ["45.10.20.0/22", "45.10.20.0/24", "45.10.21.0/24", "2a0f:4504::/32"];
  const leaked = ["10.20.0.0/16", "192.168.0.0/16", "172.16.0.0/12", "45.10.20.128/25", "fd00::/8"];
  const prefixes = [...own, ...leaked]
    .map((text) => parsePrefix(text))
    .filter((prefix) => typeof prefix !== "string" && prefix.bytes.length === (family === 4 ? 4 : 16));
  return [{ attributes, prefixes: prefixes as Prefix[] }];
}

/** Not the session's address: a NEXT_HOP on loopback is refused by cairnd, as it should be. */
function nextHop4(role: Role): Uint8Array {
  return Uint8Array.of(198, 51, 100, addressBytes(role)[3]);
}

function nextHop6(role: Role): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set([0x20, 0x01, 0x0d, 0xb8]);
  bytes[15] = addressBytes(role)[3];
  return bytes;
}

function withoutRepeats(asns: readonly number[]): number[] {
  return asns.filter((asn, i) => asns.indexOf(asn) === i);
}
