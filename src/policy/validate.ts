/**
 * What is wrong with a policy or a set, all at once, with field paths relative to the spec. Names of other objects are
 * checked by whoever knows which exist. What passes here compiles without an assertion.
 */
import { parseIp, parsePrefix } from "../base/ip.ts";
import type { Problem } from "../base/problem.ts";
import { nearestName } from "../base/problem.ts";
import type {
  AsnSetSpec,
  AsPathSetSpec,
  CommunitySetSpec,
  Match,
  NeighborSetSpec,
  NextHopSetSpec,
  PolicySpec,
  PrefixSetSpec,
  SetActions,
  Statement,
} from "../gen/cairn/v1/policy_service_pb.ts";
import { PolicyAction } from "../gen/cairn/v1/policy_service_pb.ts";
import { families } from "../wire/family.ts";
import { checkPathPattern } from "./as-path-set.ts";
import { checkAsnRange } from "./asn-set.ts";
import { attributeNames, checkAttributeName } from "./attribute-names.ts";
import { isBuiltinPolicy } from "./builtins.ts";
import { checkCommunity, checkCommunityPattern } from "./community-set.ts";
import { readHostOrPrefix } from "./neighbor-set.ts";
import { validateTests } from "./policy-tests.ts";
import type { PrefixBounds } from "./prefix-set.ts";
import { aspaStateNames, routeTypeNames, rpkiStateNames } from "./route-key.ts";

const PREPEND_COUNT_MAX = 32;
/** Statements of a policy, and rules of one statement. */
const STATEMENTS_MAX = 10_000;
const CALL_DEPTH_MAX = 16;

/** What is wrong with a policy by itself; what is only odd is found by `policyWarnings`. */
export function validatePolicy(spec: PolicySpec): Problem[] {
  const problems: Problem[] = [];
  if (isBuiltinPolicy(spec.name)) {
    problems.push(invalid("name", `policy ${spec.name} is built in and cannot be replaced`, spec.name));
  }
  if (spec.statements.length > STATEMENTS_MAX) {
    problems.push({ code: "LIMIT", path: "statements", message: `more than ${STATEMENTS_MAX} statements` });
  }
  problems.push(...actionProblems("default_action", spec.defaultAction));
  const names = new Set<string>();
  spec.statements.forEach((statement, i) => {
    const path = `statements[${i}]`;
    const { name } = statement;
    if (name !== "" && names.has(name)) {
      const message = `another statement is called ${name}`;
      problems.push({ code: "DUPLICATE", path: `${path}.name`, message, value: name });
    }
    names.add(name);
    problems.push(...statementProblems(path, statement));
  });
  problems.push(...validateTests(spec));
  return problems;
}

export function validateAsnSet(spec: AsnSetSpec): Problem[] {
  return spec.asns.flatMap((text, i) => textProblems(`asns[${i}]`, text, checkAsnRange));
}

export function validateNextHopSet(spec: NextHopSetSpec): Problem[] {
  return spec.addresses.flatMap((text, i) => prefixProblems(`addresses[${i}]`, text));
}

/**
 * Calls that come back to the policy, or go too deep. Takes time linear in the policies that are called.
 * @param policyOf the other policies, as they would be
 */
export function checkCalls(spec: PolicySpec, policyOf: (name: string) => PolicySpec | undefined): Problem[] {
  /** By policy: calls below it, and the way back to `spec` if there is one; undefined while it is looked at. */
  const known = new Map<string, Reach | undefined>();
  const reachOf = (name: string, depth: number): Reach => {
    if (name === spec.name) return { depth: 0, back: [name] };
    const seen = known.get(name);
    if (seen) return seen;
    // A circle that does not pass here is told where it passes; one level past the bound is deep enough to know.
    if (known.has(name) || depth > CALL_DEPTH_MAX) return { depth: 0, back: undefined };
    known.set(name, undefined);
    let below = 0;
    let back: readonly string[] | undefined;
    for (const called of callsOf(policyOf(name))) {
      const reach = reachOf(called, depth + 1);
      below = Math.max(below, reach.depth + 1);
      back ??= reach.back && [name, ...reach.back];
    }
    const reach = { depth: below, back };
    known.set(name, reach);
    return reach;
  };
  return spec.statements.flatMap(({ call }, i) => {
    if (call === "") return [];
    const { depth, back } = reachOf(call, 1);
    const path = `statements[${i}].call`;
    if (back) return [invalid(path, `the policy calls itself: ${[spec.name, ...back].join(" -> ")}`, call)];
    return depth + 1 > CALL_DEPTH_MAX
      ? [invalid(path, `calls go more than ${CALL_DEPTH_MAX} deep`, call)]
      : [];
  });
}

interface Reach {
  readonly depth: number;
  readonly back: readonly string[] | undefined;
}

function callsOf(spec: PolicySpec | undefined): Set<string> {
  return new Set(spec?.statements.flatMap(({ call }) => (call === "" ? [] : [call])));
}

export function validatePrefixSet(spec: PrefixSetSpec): Problem[] {
  return spec.prefixes.flatMap((rule, i) => ruleProblems(`prefixes[${i}]`, rule));
}

export function validateAsPathSet(spec: AsPathSetSpec): Problem[] {
  return spec.patterns.flatMap((pattern, i) => patternProblems(`patterns[${i}]`, pattern));
}

export function validateCommunitySet(spec: CommunitySetSpec): Problem[] {
  return spec.communities.flatMap((text, i) =>
    textProblems(`communities[${i}]`, text, checkCommunityPattern),
  );
}

export function validateNeighborSet(spec: NeighborSetSpec): Problem[] {
  return [
    ...spec.addresses.flatMap((text, i) => prefixProblems(`addresses[${i}]`, text)),
    ...asnProblems("asns", spec.asns),
  ];
}

function statementProblems(path: string, statement: Statement): Problem[] {
  const problems = actionProblems(`${path}.action`, statement.action, PolicyAction.NEXT_POLICY);
  if (statement.match) problems.push(...matchProblems(`${path}.match`, statement.match));
  if (statement.set) {
    problems.push(...setProblems(`${path}.set`, statement.set));
    const seen = statement.action !== PolicyAction.REJECT || statement.call !== "";
    if (!seen && setsAnything(statement.set)) {
      problems.push({
        ...invalid(`${path}.set`, "a statement that rejects the route cannot change it"),
        fix: "remove set, or the action",
      });
    }
  }
  return problems;
}

function matchProblems(path: string, match: Match, negated = false): Problem[] {
  const familyNames = families.map((family) => family.name);
  const words = (field: string, texts: readonly string[], known: readonly string[]): Problem[] =>
    texts.flatMap((text, i) => wordProblems(`${path}.${field}[${i}]`, text, known));
  return [
    ...match.prefixes.flatMap((rule, i) => ruleProblems(`${path}.prefixes[${i}]`, rule)),
    ...match.communities.flatMap((text, i) =>
      textProblems(`${path}.communities[${i}]`, text, checkCommunityPattern),
    ),
    ...match.asPaths.flatMap((pattern, i) => patternProblems(`${path}.as_paths[${i}]`, pattern)),
    ...orderProblems(path, "as_path_length", match.asPathLengthGe, match.asPathLengthLe),
    ...orderProblems(path, "local_pref", match.localPrefGe, match.localPrefLe),
    ...orderProblems(path, "med", match.medGe, match.medLe),
    ...match.origins.flatMap((origin, i) =>
      origin >= 1 && origin <= 3 ? [] : [invalid(`${path}.origins[${i}]`, "not an origin", String(origin))],
    ),
    ...match.nextHops.flatMap((text, i) => prefixProblems(`${path}.next_hops[${i}]`, text)),
    ...words("route_types", match.routeTypes, routeTypeNames),
    ...words("families", match.families, familyNames),
    ...words("rpki_states", match.rpkiStates, rpkiStateNames),
    ...words("aspa_states", match.aspaStates, aspaStateNames),
    ...asnProblems(`${path}.origin_asns`, match.originAsns),
    ...asnProblems(`${path}.passes_asns`, match.passesAsns),
    ...asnProblems(`${path}.neighbor_asns`, match.neighborAsns),
    ...match.neighbors.flatMap((text, i) => prefixProblems(`${path}.neighbors[${i}]`, text)),
    ...orderProblems(path, "as_path_unique_length", match.asPathUniqueLengthGe, match.asPathUniqueLengthLe),
    ...orderProblems(path, "communities_count", match.communitiesCountGe, match.communitiesCountLe),
    ...match.communitiesAll.flatMap((text, i) =>
      textProblems(`${path}.communities_all[${i}]`, text, checkCommunityPattern),
    ),
    ...match.hasAttributes.flatMap((name, i) => {
      const message = checkAttributeName(name);
      if (message === undefined) return [];
      const near = nearestName(name, attributeNames);
      const fix = near ? `did you mean ${near}` : `one of ${attributeNames.join(", ")}`;
      return [{ ...invalid(`${path}.has_attributes[${i}]`, message, name), fix }];
    }),
    ...(match.not === undefined
      ? []
      : negated
        ? [invalid(`${path}.not`, "what is under not cannot hold another not")]
        : matchProblems(`${path}.not`, match.not, true)),
  ];
}

function setProblems(path: string, set: SetActions): Problem[] {
  const problems: Problem[] = [];
  if (set.medRemove && set.med !== undefined) {
    problems.push({
      ...invalid(`${path}.med_remove`, "the MED cannot be both set and removed"),
      fix: "keep one",
    });
  }
  if (set.origin < 0 || set.origin > 3)
    problems.push(invalid(`${path}.origin`, "not an origin", String(set.origin)));
  problems.push(...nextHopProblems(`${path}.next_hop`, set.nextHop));
  const exact = (field: string, texts: readonly string[]): void => {
    problems.push(
      ...texts.flatMap((text, i) => textProblems(`${path}.${field}[${i}]`, text, checkCommunity)),
    );
  };
  exact("communities_replace", set.communitiesReplace);
  exact("communities_add", set.communitiesAdd);
  const patterns = (field: string, texts: readonly string[]): void => {
    problems.push(
      ...texts.flatMap((text, i) => textProblems(`${path}.${field}[${i}]`, text, checkCommunityPattern)),
    );
  };
  patterns("communities_remove", set.communitiesRemove);
  patterns("communities_keep", set.communitiesKeep);
  const both = (field: string, a: number | undefined, b: number | undefined): void => {
    if (a === undefined || b === undefined) return;
    problems.push({
      ...invalid(`${path}.${field}_subtract`, `${field}_add and ${field}_subtract are both there`),
      fix: "keep one",
    });
  };
  both("local_pref", set.localPrefAdd, set.localPrefSubtract);
  both("med", set.medAdd, set.medSubtract);
  if (set.medRemove && (set.medAdd ?? set.medSubtract) !== undefined) {
    problems.push({
      ...invalid(`${path}.med_remove`, "the MED cannot be both changed and removed"),
      fix: "keep one",
    });
  }
  if (set.prepend?.lastAs && set.prepend.asn !== 0) {
    problems.push({
      ...invalid(`${path}.prepend.asn`, "prepend has either asn or last_as", String(set.prepend.asn)),
      fix: "keep one",
    });
  }
  const count = set.prepend?.count ?? 1;
  if (count < 1 || count > PREPEND_COUNT_MAX) {
    problems.push(
      invalid(`${path}.prepend.count`, `the count is from 1 to ${PREPEND_COUNT_MAX}`, String(count)),
    );
  }
  return problems;
}

function setsAnything(set: SetActions): boolean {
  return (
    set.localPref !== undefined ||
    set.med !== undefined ||
    set.medRemove ||
    set.origin !== 0 ||
    Boolean(set.nextHop) ||
    set.communitiesReplace.length + set.communitiesAdd.length + set.communitiesRemove.length > 0 ||
    set.communitiesReplaceSets.length + set.communitiesAddSets.length > 0 ||
    set.communitiesRemoveSets.length + set.communitiesKeep.length + set.communitiesKeepSets.length > 0 ||
    [set.localPrefAdd, set.localPrefSubtract, set.medAdd, set.medSubtract].some((n) => n !== undefined) ||
    set.stripPrivateAs ||
    set.aigp !== undefined ||
    set.weight !== undefined ||
    set.tag !== undefined ||
    set.prepend !== undefined
  );
}

function nextHopProblems(path: string, text: string | undefined): Problem[] {
  const words = ["self", "peer", "unchanged", "discard"];
  if (!text || words.includes(text) || parseIp(text)) return [];
  return [{ ...invalid(path, `"${text}" is not a next hop`, text), fix: `an address, ${words.join(", ")}` }];
}

function ruleProblems(path: string, rule: PrefixBounds): Problem[] {
  const prefix = parsePrefix(rule.prefix);
  if (typeof prefix === "string") return [invalid(`${path}.prefix`, prefix, rule.prefix)];
  const bits = prefix.bytes.length * 8;
  const { ge, le, covering } = rule;
  const [low, high] = covering ? [0, prefix.length] : [prefix.length, bits];
  const outside = (value: number | undefined): boolean =>
    value !== undefined && (value < low || value > high);
  const problems: Problem[] = [];
  const wanted = `is from ${low} to ${high} for ${covering ? "what is around" : ""} ${rule.prefix}`.replace(
    "  ",
    " ",
  );
  if (outside(ge)) problems.push(invalid(`${path}.ge`, `ge ${wanted}`, String(ge)));
  if (outside(le)) problems.push(invalid(`${path}.le`, `le ${wanted}`, String(le)));
  if (problems.length === 0 && ge !== undefined && le !== undefined && ge > le) {
    problems.push(
      invalid(`${path}.ge`, `ge ${ge} is above le ${le}, so ${rule.prefix} never matches`, String(ge)),
    );
  }
  return problems;
}

function patternProblems(path: string, pattern: string): Problem[] {
  const error = checkPathPattern(pattern);
  if (!error) return [];
  return [{ code: "SYNTAX", path, message: `column ${error.column}: ${error.message}`, value: pattern }];
}

function orderProblems(
  path: string,
  field: string,
  ge: number | undefined,
  le: number | undefined,
): Problem[] {
  if (ge === undefined || le === undefined || ge <= le) return [];
  return [
    invalid(
      `${path}.${field}_ge`,
      `${field}_ge ${ge} is above ${field}_le ${le}, so nothing matches`,
      String(ge),
    ),
  ];
}

function prefixProblems(path: string, text: string): Problem[] {
  const prefix = readHostOrPrefix(text);
  return typeof prefix === "string" ? [invalid(path, prefix, text)] : [];
}

function textProblems(path: string, text: string, check: (text: string) => string | undefined): Problem[] {
  const message = check(text);
  return message === undefined ? [] : [invalid(path, message, text)];
}

function wordProblems(path: string, text: string, words: readonly string[]): Problem[] {
  if (words.includes(text)) return [];
  const near = nearestName(text, words);
  const fix = near ? `did you mean ${near}` : `one of ${words.join(", ")}`;
  return [{ ...invalid(path, `"${text}" is not known here`, text), fix }];
}

function asnProblems(path: string, asns: readonly number[]): Problem[] {
  return asns.flatMap((asn, i) =>
    asn === 0 ? [invalid(`${path}[${i}]`, "AS 0 is no AS (RFC 7607)", "0")] : [],
  );
}

function actionProblems(
  path: string,
  action: PolicyAction,
  last: PolicyAction = PolicyAction.REJECT,
): Problem[] {
  return action >= 0 && action <= last ? [] : [invalid(path, "not an action", String(action))];
}

function invalid(path: string, message: string, value?: string): Problem {
  return { code: "INVALID", path, message, value };
}
