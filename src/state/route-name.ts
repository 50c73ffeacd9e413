/**
 * What routes are named by: a prefix, or of FlowSpec the rule as people write it. The store knows rules by their bytes,
 * which stay what they are whatever becomes of the grammar.
 */
import { formatPrefix, parsePrefix } from "../base/ip.ts";
import type { Result } from "../base/problem.ts";
import { type Family, familyByName, flowFamily, unicastFamily } from "../wire/family.ts";
import { makeCanonical } from "../wire/flowspec/nlri.ts";
import { formatFlow, parseFlow } from "../wire/flowspec/text.ts";
import { hex } from "../wire/message.ts";

/** A prefix, or a canonical rule: then `length` is its bytes. As the table of the family takes them. */
export interface RouteName {
  readonly family: Family;
  readonly bytes: Uint8Array;
  readonly length: number;
}

/**
 * Reads a prefix; where `family` is one of rules, a rule. What stands behind an arrow is not looked at.
 * @param path of the field, for problems
 */
export function parseRouteName(text: string, family: string, path: string): Result<RouteName> {
  const wanted = family === "" ? undefined : familyByName(family);
  const problem = (message: string, at = path, value = text): Result<RouteName> => {
    return { ok: false, problems: [{ code: "INVALID", path: at, message, value }] };
  };
  if (family !== "" && !wanted) return problem(`"${family}" is not an address family`, "family", family);
  if (wanted?.nlri === "flow") {
    const parsed = parseFlow(text, path);
    if (!parsed.ok) return parsed;
    const { addressBytes, flow } = parsed.value;
    if (addressBytes !== wanted.addressBytes) return problem(`is no rule of ${wanted.name}`);
    return { ok: true, value: { family: wanted, bytes: flow, length: flow.length } };
  }
  const prefix = parsePrefix(text);
  if (typeof prefix === "string") return problem(prefix);
  const of = unicastFamily(prefix.bytes.length);
  if (wanted && wanted !== of) return problem(`is a prefix of ${of.name}, not of ${wanted.name}`);
  return { ok: true, value: { family: of, ...prefix } };
}

/** How the store names it, and what tells injected routes apart. */
export function storedName({ family, bytes, length }: RouteName): string {
  return family.nlri === "flow"
    ? `${family.name} 0x${hex(bytes.subarray(0, length))}`
    : formatPrefix({ bytes, length });
}

/** How people read it. */
export function shownName({ family, bytes, length }: RouteName): string {
  return family.nlri === "flow"
    ? formatFlow(bytes.subarray(0, length), family)
    : formatPrefix({ bytes, length });
}

/** Reads either of the two; undefined when it is none. */
export function readName(text: string): RouteName | undefined {
  const stored = /^(ipv[46]-flowspec) 0x((?:[0-9a-f]{2})+)$/.exec(text);
  if (stored) {
    const family = familyByName(stored[1])!;
    const bytes = Uint8Array.from(stored[2].match(/../g)!, (digits) => Number.parseInt(digits, 16));
    return makeCanonical(bytes, family) === "" ? { family, bytes, length: bytes.length } : undefined;
  }
  const prefix = parsePrefix(text);
  if (typeof prefix !== "string") return { family: unicastFamily(prefix.bytes.length), ...prefix };
  const rule = parseFlow(text);
  if (!rule.ok) return undefined;
  const { addressBytes, flow } = rule.value;
  return { family: flowFamily(addressBytes), bytes: flow, length: flow.length };
}
