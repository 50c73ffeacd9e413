/**
 * What is wrong with a policy or a set, all at once, with field paths relative to the spec. Names of other objects are
 * checked by whoever knows which exist. What passes here compiles without an assertion.
 */
import { parseIp, parsePrefix } from "../base/ip.ts";
import type { Problem } from "../base/problem.ts";
import { nearestName } from "../base/problem.ts";
import type {
  AsPathSetSpec,
  CommunitySetSpec,
  Match,
  NeighborSetSpec,
  PolicySpec,
  PrefixSetSpec,
  SetActions,
  Statement,
} from "../gen/cairn/v1/policy_service_pb.ts";
import { PolicyAction } from "../gen/cairn/v1/policy_service_pb.ts";
import { families } from "../wire/family.ts";
import { checkPattern } from "./as-path-regex.ts";
import { isBuiltinPolicy } from "./builtins.ts";
import { checkCommunity, checkCommunityPattern } from "./community-set.ts";
import { readHostOrPrefix } from "./neighbor-set.ts";
import type { PrefixBounds } from "./prefix-set.ts";
import { routeTypeNames } from "./route-key.ts";

const PREPEND_COUNT_MAX = 32;
/** Statements of a policy, and rules of one statement. */
const STATEMENTS_MAX = 10_000;

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
  return problems;
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
  const problems = actionProblems(`${path}.action`, statement.action);
  if (statement.match) problems.push(...matchProblems(`${path}.match`, statement.match));
  if (statement.set) {
    problems.push(...setProblems(`${path}.set`, statement.set));
    if (statement.action === PolicyAction.REJECT && setsAnything(statement.set)) {
      problems.push({
        ...invalid(`${path}.set`, "a statement that rejects the route cannot change it"),
        fix: "remove set, or the action",
      });
    }
  }
  return problems;
}

function matchProblems(path: string, match: Match): Problem[] {
  const familyNames = families.map((family) => family.name);
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
    ...match.routeTypes.flatMap((text, i) => wordProblems(`${path}.route_types[${i}]`, text, routeTypeNames)),
    ...match.families.flatMap((text, i) => wordProblems(`${path}.families[${i}]`, text, familyNames)),
    ...asnProblems(`${path}.origin_asns`, match.originAsns),
    ...asnProblems(`${path}.passes_asns`, match.passesAsns),
    ...asnProblems(`${path}.neighbor_asns`, match.neighborAsns),
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
  set.communitiesRemove.forEach((text, i) => {
    problems.push(...textProblems(`${path}.communities_remove[${i}]`, text, checkCommunityPattern));
  });
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
  const { ge, le } = rule;
  const outside = (value: number | undefined): boolean =>
    value !== undefined && (value < prefix.length || value > bits);
  const problems: Problem[] = [];
  const wanted = `is from ${prefix.length} to ${bits} for ${rule.prefix}`;
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
  const error = checkPattern(pattern);
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

function actionProblems(path: string, action: PolicyAction): Problem[] {
  return action >= 0 && action <= 2 ? [] : [invalid(path, "not an action", String(action))];
}

function invalid(path: string, message: string, value?: string): Problem {
  return { code: "INVALID", path, message, value };
}
