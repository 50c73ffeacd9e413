/** What is done to a route on its way out that its neighbor would ask about, a sentence each, for explanations. */
import { AttributeFlag } from "../wire/attribute-flags.ts";
import type { AsPathSegment } from "../wire/path-attributes.ts";
import { ownAses } from "./export-path.ts";
import type { RewriteConfig } from "./export-rewrite.ts";

/**
 * @param flags `AttributeFlag` bits of the route
 * @param path its path before it is changed
 */
export function exportNotes(
  config: RewriteConfig,
  flags: number,
  path: readonly AsPathSegment[],
): { readonly name: string; readonly text: string }[] {
  const notes: { name: string; text: string }[] = [];
  const note = (name: string, text: string): number => notes.push({ name, text });
  const { external, localAsn, globalAsn, overriddenAsn, routeServerClient } = config;
  if (external && (flags & AttributeFlag.hasConfederation) !== 0)
    note("confederation", "confederation segments are taken out of the path (RFC 5065)");
  if (config.confederationMember)
    note("confederation", `AS ${localAsn} in front, in an AS_CONFED_SEQUENCE (RFC 5065)`);
  if (external && !routeServerClient) {
    if (overriddenAsn !== 0 && path.some(({ asns }) => asns.includes(overriddenAsn)))
      note("as-override", `AS ${overriddenAsn} in the path is replaced by AS ${localAsn} (as_override)`);
    if (localAsn !== globalAsn) note("local-as", `AS ${ownAses(config).join(" ")} in front (local_asn)`);
  }
  if (!config.longLived && (flags & AttributeFlag.llgrStale) !== 0)
    note("long-lived-partial", "LLGR_STALE: NO_EXPORT and local preference 0 (RFC 9494 4.6)");
  if (!config.aigp && (flags & AttributeFlag.hasAigp) !== 0)
    note("aigp", "AIGP is not sent to this neighbor (aigp_send)");
  return notes;
}
