/** An injected path as the API has it: what is wrong with it, and what it means. */
import { parseIp, parsePrefix } from "../base/ip.ts";
import type { Problem, Result } from "../base/problem.ts";
import type { InjectedPath } from "../gen/cairn/v1/injection_service_pb.ts";
import type { AsPathSegment as SegmentMessage } from "../gen/cairn/v1/types_pb.ts";
import { parseAsPath } from "../wire/as-path-text.ts";
import { parseCommunity, parseExtendedCommunity, parseLargeCommunity } from "../wire/community-text.ts";
import { type Family, unicastFamily } from "../wire/family.ts";
import {
  type AsPathSegment,
  emptyAttributes,
  type PathAttributes,
  type SegmentType,
} from "../wire/path-attributes.ts";

/** Path ids of the local speaker from here on belong to Redistribute objects. */
export const redistributedPathIds = 2 ** 31;

/** A path that was checked. */
export interface CheckedPath {
  readonly family: Family;
  /** A prefix, or a canonical rule: then `length` is its bytes. */
  readonly address: Uint8Array;
  readonly length: number;
  readonly pathId: number;
  readonly attributes: PathAttributes;
  readonly owner: string;
  /** Milliseconds from now; 0 for ever. */
  readonly ttlMs: number;
}

/** Checks a path; all of its problems at once. `at` is the field path for problems. */
export function checkInjectedPath(path: InjectedPath, at: string): Result<CheckedPath> {
  const problems: Problem[] = [];
  const invalid = (field: string, message: string, value: string): void => {
    problems.push({ code: "INVALID", path: `${at}.${field}`, message, value });
  };
  const prefix = parsePrefix(path.prefix);
  if (path.prefix === "") problems.push({ code: "REQUIRED", path: `${at}.prefix`, message: "must be set" });
  else if (typeof prefix === "string") invalid("prefix", prefix, path.prefix);
  const family = typeof prefix === "string" ? undefined : unicastFamily(prefix.bytes.length);
  const attributes = emptyAttributes();
  attributes.nextHop = new Uint8Array(family?.addressBytes ?? 4);
  if (path.nextHop !== "") {
    const nextHop = parseIp(path.nextHop);
    if (!nextHop) invalid("next_hop", `"${path.nextHop}" is not an IP address`, path.nextHop);
    else if (family && nextHop.length !== family.addressBytes) {
      invalid("next_hop", `${path.nextHop} is not of the family of the prefix`, path.nextHop);
    } else if (!isUsableNextHop(nextHop))
      invalid("next_hop", `${path.nextHop} cannot be a next hop`, path.nextHop);
    else attributes.nextHop = nextHop;
  }
  attributes.atomicAggregate = path.atomicAggregate;
  if (path.aggregator) {
    const address = parseIp(path.aggregator.address);
    if (address?.length !== 4)
      invalid("aggregator.address", "an IPv4 address is needed", path.aggregator.address);
    else
      attributes.aggregator = {
        asn: path.aggregator.asn,
        address: new DataView(address.buffer).getUint32(0),
      };
  }
  attributes.asPath = segmentsOf(path.asPath, `${at}.as_path`, problems);
  if (path.asPathText !== "" && path.asPath.length > 0)
    invalid("as_path_text", "give as_path or as_path_text, not both", path.asPathText);
  const settings = checkPathSettings(path, at, attributes, problems);
  if (problems.length > 0 || typeof prefix === "string" || !family) return { ok: false, problems };
  return {
    ok: true,
    value: {
      family,
      address: prefix.bytes,
      length: prefix.length,
      attributes,
      ...settings,
    },
  };
}

/** What can be said of prefixes and of rules alike. */
type PathSettings = Pick<
  InjectedPath,
  | "pathId"
  | "origin"
  | "med"
  | "localPref"
  | "asPathText"
  | "communities"
  | "extendedCommunities"
  | "largeCommunities"
  | "owner"
  | "ttl"
>;

/** Reads it into `attributes` where it is one; what is wrong is added to `problems`. */
export function checkPathSettings(
  path: PathSettings,
  at: string,
  attributes: PathAttributes,
  problems: Problem[],
): Pick<CheckedPath, "pathId" | "owner" | "ttlMs"> {
  const invalid = (field: string, message: string, value: string): void => {
    problems.push({ code: "INVALID", path: `${at}.${field}`, message, value });
  };
  const { pathId, asPathText, owner, ttl } = path;
  attributes.origin = Math.max(0, path.origin - 1);
  attributes.med = path.med;
  attributes.localPref = path.localPref;
  if (asPathText !== "") {
    const parsed = parseAsPath(asPathText);
    if (parsed) attributes.asPath = parsed;
    else invalid("as_path_text", `"${asPathText}" is not an AS path`, asPathText);
  }
  addCommunities(path, at, attributes, problems);
  const ttlMs = ttl ? Number(ttl.seconds) * 1000 + ttl.nanos / 1e6 : 0;
  if (ttl && ttlMs < 1000) invalid("ttl", "must be at least one second", `${ttlMs / 1000}s`);
  if (owner.length > 63) invalid("owner", "at most 63 characters", owner);
  if (pathId >= redistributedPathIds)
    invalid("path_id", `from ${redistributedPathIds} on they belong to Redistribute`, String(pathId));
  return { pathId, owner, ttlMs };
}

/** Segments of the API as segments of the wire; the numbers of their types are the same. */
function segmentsOf(segments: readonly SegmentMessage[], at: string, problems: Problem[]): AsPathSegment[] {
  segments.forEach((segment, i) => {
    const path = `${at}[${i}]`;
    if (segment.type < 1 || segment.type > 4) {
      problems.push({
        code: "INVALID",
        path: `${path}.type`,
        message: "must be AS_SET, AS_SEQUENCE, or a confederation type",
      });
    }
    if (segment.asns.length === 0 || segment.asns.length > 255) {
      problems.push({
        code: "INVALID",
        path: `${path}.asns`,
        message: "a segment holds 1 to 255 AS numbers",
      });
    }
    if (segment.asns.includes(0)) {
      problems.push({
        code: "INVALID",
        path: `${path}.asns`,
        message: "AS 0 must not stand in a path (RFC 7607)",
      });
    }
  });
  return segments.map((segment) => ({ type: segment.type as SegmentType, asns: [...segment.asns] }));
}

/**
 * Reads the communities of a path into `attributes`. A text is taken for what it is, whichever of the three lists it
 * stands in.
 */
function addCommunities(
  path: PathSettings,
  at: string,
  attributes: PathAttributes,
  problems: Problem[],
): void {
  const lists = {
    communities: path.communities,
    extended_communities: path.extendedCommunities,
    large_communities: path.largeCommunities,
  };
  for (const [field, texts] of Object.entries(lists)) {
    texts.forEach((text, i) => {
      if (addCommunity(text, attributes)) return;
      problems.push({
        code: "INVALID",
        path: `${at}.${field}[${i}]`,
        message: `"${text}" is not a community`,
        fix: "write 65000:1, no-export, rt:65000:1 or 65000:1:2",
        value: text,
      });
    });
  }
}

function addCommunity(text: string, attributes: PathAttributes): boolean {
  const standard = parseCommunity(text);
  if (standard !== undefined) {
    if (!attributes.communities.includes(standard)) attributes.communities.push(standard);
    return true;
  }
  const large = parseLargeCommunity(text);
  if (large) {
    if (!attributes.largeCommunities.some((other) => other.every((part, i) => part === large[i]))) {
      attributes.largeCommunities.push(large);
    }
    return true;
  }
  const extended = parseExtendedCommunity(text);
  if (extended && !attributes.extendedCommunities.includes(extended))
    attributes.extendedCommunities.push(extended);
  return extended !== undefined;
}

function isUsableNextHop(bytes: Uint8Array): boolean {
  if (bytes.length === 4) return bytes[0] !== 0 && bytes[0] !== 127 && bytes[0] < 224;
  return bytes[0] !== 0xff && bytes.some((byte, i) => byte !== 0 && i < 15);
}
