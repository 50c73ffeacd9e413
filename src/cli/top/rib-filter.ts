/** Conditions on routes as an operator types them: words, all of which must hold. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { parsePrefix } from "../../base/ip.ts";
import { type RouteFilter, RouteFilterSchema } from "../../gen/cairn/v1/types_pb.ts";

/** What a filter may be made of, for the help. */
export const filterWords: readonly (readonly [string, string])[] = [
  ["10.0.0.0/8", "inside this prefix; =10.0.0.0/8 for exactly it"],
  ["as:65010", "the path ends with this AS"],
  ["path:_65010_", "the AS path matches, _ is any boundary"],
  ["com:65000:1", "has this community: standard, extended or large"],
  ["from:192.0.2.1", "from this neighbor, or local"],
  ["nh:192.0.2.9", "has this next hop"],
  ["rpki:invalid", "valid, invalid or not-found; aspa: valid, invalid or unknown"],
];

export type ParsedFilter =
  | { readonly ok: true; readonly filter: RouteFilter | undefined }
  | { readonly ok: false; readonly problem: string };

/** Reads conditions; the daemon checks what the words mean. */
export function parseRibFilter(text: string): ParsedFilter {
  const init: MessageInitShape<typeof RouteFilterSchema> & { communities: string[] } = { communities: [] };
  const words = text.split(" ").filter((word) => word !== "");
  if (words.length === 0) return { ok: true, filter: undefined };
  for (const word of words) {
    const exact = word.startsWith("=");
    const prefix = exact ? word.slice(1) : word;
    if (prefix.includes("/") && !/^[a-z]+:[^:]*$/i.test(prefix)) {
      const parsed = parsePrefix(prefix);
      if (typeof parsed === "string") return { ok: false, problem: parsed };
      if (init.prefix !== undefined) return { ok: false, problem: "only one prefix at a time" };
      Object.assign(init, { prefix, longer: !exact });
      continue;
    }
    const colon = word.indexOf(":");
    const value = word.slice(colon + 1);
    const name = colon < 0 || value === "" ? "" : word.slice(0, colon);
    if (name === "as") {
      if (!/^\d{1,10}$/.test(value) || Number(value) > 0xffff_ffff)
        return { ok: false, problem: `"${value}" is no AS number` };
      init.originAsn = Number(value);
    } else if (name === "path") init.asPath = value;
    else if (name === "com") init.communities.push(value);
    else if (name === "from") init.neighbor = value;
    else if (name === "nh") init.nextHop = value;
    else if (name === "rpki") init.rpkiState = value;
    else if (name === "aspa") init.aspaState = value;
    else
      return {
        ok: false,
        problem: `"${word}" is no prefix and none of as: path: com: from: nh: rpki: aspa:`,
      };
  }
  return { ok: true, filter: create(RouteFilterSchema, init) };
}
