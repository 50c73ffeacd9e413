/** The parts of an injected path that are lists of text or segments. */
import type { Problem } from "../base/problem.ts";
import type { InjectedPath } from "../gen/cairn/v1/injection_service_pb.ts";
import type { AsPathSegment as SegmentMessage } from "../gen/cairn/v1/types_pb.ts";
import { parseCommunity, parseExtendedCommunity, parseLargeCommunity } from "../wire/community-text.ts";
import type { AsPathSegment, PathAttributes, SegmentType } from "../wire/path-attributes.ts";

/** Segments of the API as segments of the wire; the numbers of their types are the same. */
export function segmentsOf(
  segments: readonly SegmentMessage[],
  at: string,
  problems: Problem[],
): AsPathSegment[] {
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
export function addCommunities(
  path: InjectedPath,
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
