/** What records say about routes: announcements and withdrawals, whatever their form in the file. */
import { formatIp } from "../base/ip.ts";
import { MessageType, readU16, readU32 } from "../wire/message.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { type MpNlri, type MrtAttributes, readAttributes } from "./attributes.ts";
import type { MessageRecord, RibEntry, RibRecord } from "./types.ts";

export interface MrtPrefix {
  /** `ADDRESS/LENGTH`. */
  readonly text: string;
  readonly pathId: number;
}

/** Prefixes of one family with what is said about them. */
export interface RouteSet {
  readonly afi: number;
  readonly safi: number;
  readonly addPath: boolean;
  readonly prefixes: readonly MrtPrefix[];
  /** Undefined for a withdrawal. */
  readonly attributes: PathAttributes | undefined;
  /** NLRI of a family that is not read, as they stand. */
  readonly raw: Uint8Array | undefined;
  /** The NLRI are cut off or nonsense from some place on; `prefixes` is what stands before. */
  readonly broken: boolean;
}

export interface UpdateRoutes {
  /** In the order of bgpdump: withdrawals first, the body before the attributes. */
  readonly sets: readonly RouteSet[];
  readonly faults: readonly string[];
}

/** The routes of an UPDATE; nothing for other messages. */
export function updateRoutes(record: MessageRecord): UpdateRoutes {
  const { message, addPath, fourOctetAs } = record;
  if (message.length < 23) {
    const cut = message.length < 19 || message[18] === MessageType.update;
    return { sets: [], faults: cut ? ["a BGP message that is cut off"] : [] };
  }
  if (message[18] !== MessageType.update) return { sets: [], faults: [] };
  const end = Math.min(message.length, readU16(message, 16));
  const withdrawnEnd = 21 + readU16(message, 19);
  const attributesAt = withdrawnEnd + 2;
  const attributesEnd = attributesAt <= end ? attributesAt + readU16(message, withdrawnEnd) : end + 1;
  if (attributesEnd > end) return { sets: [], faults: ["an UPDATE whose lengths run past its end"] };
  const found = readAttributes(message, attributesAt, attributesEnd, fourOctetAs, false);
  const { attributes, bodyNextHop, reach, unreach } = found;
  const faults = [...found.faults];
  const sets: RouteSet[] = [];
  const add = (afi: number, safi: number, bytes: Uint8Array, about: PathAttributes | undefined): void => {
    if (bytes.length === 0) return;
    const set = routeSet(afi, safi, bytes, addPath, about);
    sets.push(set);
    if (set.broken) faults.push("prefixes that cannot be read");
  };
  const mp = (nlri: MpNlri | undefined, about: PathAttributes | undefined): void => {
    if (nlri) add(nlri.afi, nlri.safi, nlri.nlri, about);
  };
  add(1, 1, message.subarray(21, withdrawnEnd), undefined);
  mp(unreach, undefined);
  add(1, 1, message.subarray(attributesEnd, end), { ...attributes, nextHop: bodyNextHop });
  mp(reach, attributes);
  return { sets, faults };
}

/** The family and prefix of a RIB record. */
export function ribPrefix({ afi, safi, nlri }: RibRecord): RouteSet {
  return routeSet(afi, safi, nlri, false, undefined);
}

export function ribAttributes(record: RibRecord, { attributes }: RibEntry): MrtAttributes {
  return readAttributes(attributes, 0, attributes.length, record.fourOctetAs, true);
}

function routeSet(
  afi: number,
  safi: number,
  bytes: Uint8Array,
  addPath: boolean,
  attributes: PathAttributes | undefined,
): RouteSet {
  if ((afi !== 1 && afi !== 2) || (safi !== 1 && safi !== 2)) {
    return { afi, safi, addPath, prefixes: [], attributes, raw: bytes.slice(), broken: false };
  }
  const size = afi === 1 ? 4 : 16;
  let used = addPath;
  let read = readPrefixes(bytes, size, addPath);
  if (read.broken && !addPath) {
    // BIRD before 1.6.4 wrote what came with Add-Path into records that do not say so.
    const other = readPrefixes(bytes, size, true);
    if (!other.broken) {
      read = other;
      used = true;
    }
  }
  return { afi, safi, addPath: used, ...read, attributes, raw: undefined };
}

function readPrefixes(
  bytes: Uint8Array,
  size: 4 | 16,
  addPath: boolean,
): { prefixes: MrtPrefix[]; broken: boolean } {
  const prefixes: MrtPrefix[] = [];
  const head = addPath ? 5 : 1;
  let at = 0;
  while (at + head <= bytes.length) {
    const length = bytes[at + head - 1];
    const end = at + head + ((length + 7) >>> 3);
    if (length > size * 8 || end > bytes.length) break;
    prefixes.push({
      text: prefixText(bytes, at + head, length, size),
      pathId: addPath ? readU32(bytes, at) : 0,
    });
    at = end;
  }
  return { prefixes, broken: at !== bytes.length };
}

const whole = { 4: new Uint8Array(4), 16: new Uint8Array(16) };

/** Bits beyond the length count for nothing (RFC 4271 4.3). */
function prefixText(bytes: Uint8Array, at: number, length: number, size: number): string {
  const address = size === 4 ? whole[4] : whole[16];
  const used = (length + 7) >>> 3;
  address.fill(0);
  for (let i = 0; i < used; i++) address[i] = bytes[at + i];
  if ((length & 7) !== 0) address[used - 1] &= (0xff00 >>> (length & 7)) & 255;
  return `${formatIp(address)}/${length}`;
}
