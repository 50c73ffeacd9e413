/**
 * AS_PATH on its way out (RFC 4271 5.1.2, RFC 5065 4.1):
 *
 *   external            confederation segments go, private ASes go, the neighbor's AS is overridden, then our AS in front
 *   confederation       our member AS in front, in an AS_CONFED_SEQUENCE
 *   internal            as it is
 *   route server client as it is, without confederation segments
 *
 * What changes the path beyond something in front is done to decoded segments; a path that only gets longer is not
 * decoded.
 */
import { AttributeFlag } from "../wire/attribute-flags.ts";
import { AttributeType } from "../wire/attributes/descriptor.ts";
import type { MessageWriter } from "../wire/message-writer.ts";
import { type AsPathSegment, SegmentType } from "../wire/path-attributes.ts";
import { isPrivateAs } from "../wire/private-as.ts";
import { writeHeader } from "./write-header.ts";

export type RemovePrivate = "none" | "remove" | "all" | "replace";

/** Who we are in paths to a neighbor, and what is done to them. */
export interface PathConfig {
  readonly external: boolean;
  /** In another member AS of our confederation; `external` is false then. */
  readonly confederationMember: boolean;
  readonly routeServerClient: boolean;
  /** AS to prepend toward external neighbors and other members. */
  readonly localAsn: number;
  /** Stands behind `localAsn` when the two differ, unless that stands for it. */
  readonly globalAsn: number;
  readonly localAsReplaces: boolean;
  /** AS of the neighbor, in whose place ours is put; 0 for none. */
  readonly overriddenAsn: number;
  readonly removePrivateAs: RemovePrivate;
}

/** The kind of segment that our AS goes into, toward such a neighbor; undefined where it is not prepended. */
export function prependsIn(config: PathConfig): SegmentType | undefined {
  if (config.confederationMember) return SegmentType.confedSequence;
  return config.external && !config.routeServerClient ? SegmentType.sequence : undefined;
}

/** Our AS numbers as they stand in front of a path, outermost first. */
export function ownAses({ localAsn, globalAsn, localAsReplaces }: PathConfig): number[] {
  return localAsn === globalAsn || localAsReplaces ? [localAsn] : [localAsn, globalAsn];
}

/** True when `pathForExport` is due. @param flags `AttributeFlag` bits of the route */
export function changesPath(config: PathConfig, flags: number): boolean {
  if (!config.external) return false;
  if ((flags & AttributeFlag.hasConfederation) !== 0) return true;
  return !config.routeServerClient && (config.removePrivateAs !== "none" || config.overriddenAsn !== 0);
}

/** The path that our AS comes in front of, toward an external neighbor. */
export function pathForExport(path: readonly AsPathSegment[], config: PathConfig): AsPathSegment[] {
  const outside = path.filter(({ type }) => type < SegmentType.confedSequence);
  if (config.routeServerClient) return outside;
  const { overriddenAsn, localAsn } = config;
  const kept = withoutPrivate(outside, config);
  if (overriddenAsn === 0) return kept;
  return kept.map(({ type, asns }) => ({
    type,
    asns: asns.map((asn) => (asn === overriddenAsn ? localAsn : asn)),
  }));
}

function withoutPrivate(
  path: AsPathSegment[],
  { removePrivateAs: mode, localAsn }: PathConfig,
): AsPathSegment[] {
  if (mode === "none" || (mode === "remove" && !path.every(({ asns }) => asns.every(isPrivateAs))))
    return path;
  return path
    .map(({ type, asns }) => ({
      type,
      asns:
        mode === "replace"
          ? asns.map((asn) => (isPrivateAs(asn) ? localAsn : asn))
          : asns.filter((asn) => !isPrivateAs(asn)),
    }))
    .filter(({ asns }) => asns.length > 0);
}

/**
 * Writes AS_PATH with `asns` in front: into the first segment when that is of the type and has room, else as a segment
 * of their own.
 */
export function writePrepended(
  out: MessageWriter,
  asns: readonly number[],
  type: SegmentType,
  bytes: Uint8Array,
  at: number,
  length: number,
): void {
  const joins = length > 0 && bytes[at] === type && bytes[at + 1] + asns.length <= 255;
  writeHeader(out, 0x40, AttributeType.asPath, length + asns.length * 4 + (joins ? 0 : 2));
  out.u8(type);
  out.u8(asns.length + (joins ? bytes[at + 1] : 0));
  for (let i = 0; i < asns.length; i++) out.u32(asns[i]);
  out.copy(bytes, joins ? at + 2 : at, at + length);
}
