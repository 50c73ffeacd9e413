/**
 * A policy text on its own: everything checked that can be without a router, compiled into a library of its own, and its
 * tests run. What `cairnctl policy check` does.
 */
import { nearestName, type Problem } from "../../base/problem.ts";
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
} from "../../gen/cairn/v1/policy_service_pb.ts";
import { isBuiltinPolicy } from "../builtins.ts";
import { type LibraryKind, type LibrarySpecs, PolicyLibrary } from "../library.ts";
import { runTests } from "../policy-tests.ts";
import {
  checkCalls,
  validateAsnSet,
  validateAsPathSet,
  validateCommunitySet,
  validateNeighborSet,
  validateNextHopSet,
  validatePolicy,
  validatePrefixSet,
} from "../validate.ts";
import { policyWarnings } from "../warnings.ts";
import { placeOf, type TextError } from "./lexer.ts";
import { type ParsedText, parsePolicyText, type TextObject } from "./parse.ts";

export interface CheckedText extends ParsedText {
  /** Syntax and everything else that is wrong, in the order of the text. */
  readonly errors: readonly TextError[];
  readonly warnings: readonly TextError[];
  /** Cases of tests that do not come out as they say; none are run when there are errors. */
  readonly failures: readonly TextError[];
  /** Cases that were run. */
  readonly cases: number;
}

/** Checks a text: whatever it names must be in it, or in `others`, which have been checked. */
export function checkPolicyText(text: string, others: readonly string[] = []): CheckedText {
  const parsed = parsePolicyText(text);
  const around = others.flatMap((other) => parsePolicyText(other).objects);
  const errors: TextError[] = [...parsed.errors];
  const warnings: TextError[] = [];
  const known = new Map(
    [...around, ...parsed.objects].map((object) => [`${object.kind}/${object.name}`, object]),
  );
  for (const object of parsed.objects) {
    const problems = [...problemsOf(object, known), ...missing(object, known)];
    for (const problem of problems) {
      const { start, end } = spanOf(object, problem.path);
      const message = `${problem.path}: ${problem.message}${problem.fix ? ` (${problem.fix})` : ""}`;
      const list = problem.severity === "warning" ? warnings : errors;
      list.push({ ...placeOf(text, start), message, start, end });
    }
  }
  errors.sort((a, b) => a.start - b.start);
  if (errors.length > 0) return { ...parsed, errors, warnings, failures: [], cases: 0 };
  const library = new PolicyLibrary();
  for (const { kind, spec } of known.values()) {
    library.put(kind as LibraryKind, spec as LibrarySpecs[LibraryKind]);
  }
  const policies = parsed.objects
    .filter(({ kind }) => kind === "Policy")
    .map(({ spec }) => spec as PolicySpec);
  const cases = policies.flatMap(({ tests }) => tests).reduce((sum, test) => sum + test.cases.length, 0);
  const failures = runTests(library, policies).map((failure) => {
    const { start, end } = spanOf(known.get(`Policy/${failure.policy}`)!, failure.path);
    const message = `test "${failure.test}": ${failure.findings.join("; ")}`;
    return { ...placeOf(text, start), message, start, end };
  });
  return { ...parsed, errors, warnings, failures, cases };
}

function problemsOf({ kind, spec }: TextObject, known: ReadonlyMap<string, TextObject>): Problem[] {
  switch (kind) {
    case "PrefixSet":
      return validatePrefixSet(spec as PrefixSetSpec);
    case "AsPathSet":
      return validateAsPathSet(spec as AsPathSetSpec);
    case "CommunitySet":
      return validateCommunitySet(spec as CommunitySetSpec);
    case "NeighborSet":
      return validateNeighborSet(spec as NeighborSetSpec);
    case "AsnSet":
      return validateAsnSet(spec as AsnSetSpec);
    case "NextHopSet":
      return validateNextHopSet(spec as NextHopSetSpec);
    default: {
      const policyOf = (name: string): PolicySpec | undefined =>
        known.get(`Policy/${name}`)?.spec as PolicySpec | undefined;
      const problems = [...validatePolicy(spec as PolicySpec), ...checkCalls(spec as PolicySpec, policyOf)];
      if (problems.length > 0) return problems;
      return policyWarnings(spec as PolicySpec, (wanted, name) => known.get(`${wanted}/${name}`)?.spec);
    }
  }
}

const matchReferences: readonly (readonly [keyof Match, string, string])[] = [
  ["prefixSets", "prefix_sets", "PrefixSet"],
  ["asPathSets", "as_path_sets", "AsPathSet"],
  ["communitySets", "community_sets", "CommunitySet"],
  ["neighborSets", "neighbor_sets", "NeighborSet"],
  ["originAsnSets", "origin_asn_sets", "AsnSet"],
  ["passesAsnSets", "passes_asn_sets", "AsnSet"],
  ["neighborAsnSets", "neighbor_asn_sets", "AsnSet"],
  ["nextHopSets", "next_hop_sets", "NextHopSet"],
];
const setReferences: readonly (readonly [keyof SetActions, string])[] = [
  ["communitiesReplaceSets", "communities_replace_sets"],
  ["communitiesAddSets", "communities_add_sets"],
  ["communitiesRemoveSets", "communities_remove_sets"],
  ["communitiesKeepSets", "communities_keep_sets"],
];

/** Names of a policy that nothing in the text has. */
function missing({ kind, spec }: TextObject, known: ReadonlyMap<string, TextObject>): Problem[] {
  if (kind !== "Policy") return [];
  const problems: Problem[] = [];
  const check = (path: string, wanted: string, name: string): void => {
    if (known.has(`${wanted}/${name}`) || (wanted === "Policy" && isBuiltinPolicy(name))) return;
    const names = [...known.values()].filter((object) => object.kind === wanted).map((object) => object.name);
    const near = nearestName(name, names);
    const fix = near ? { fix: `did you mean ${near}` } : {};
    problems.push({ code: "REF_MISSING", path, message: `there is no ${wanted} ${name}`, ...fix });
  };
  const { statements, tests } = spec as PolicySpec;
  statements.forEach(({ match, set, call }, i) => {
    const at = `statements[${i}]`;
    const parts = [
      ["match", match],
      ["match.not", match?.not],
    ] as const;
    for (const [part, conditions] of parts) {
      for (const [field, name, wanted] of conditions ? matchReferences : []) {
        (conditions![field] as string[]).forEach((text, j) => {
          check(`${at}.${part}.${name}[${j}]`, wanted, text);
        });
      }
    }
    for (const [field, name] of set ? setReferences : []) {
      (set![field] as string[]).forEach((text, j) => {
        check(`${at}.set.${name}[${j}]`, "CommunitySet", text);
      });
    }
    if (call !== "") check(`${at}.call`, "Policy", call);
  });
  tests.forEach(({ chain }, i) => {
    chain.forEach((name, j) => {
      check(`tests[${i}].chain[${j}]`, "Policy", name);
    });
  });
  return problems;
}

/** The part of the object that a path is about, or what is around it. */
function spanOf(object: TextObject, path: string): { start: number; end: number } {
  for (let at = path; at !== ""; at = at.slice(0, Math.max(0, at.search(/[.[][^.[]*$/)))) {
    const span = object.spans.get(at);
    if (span) return span;
  }
  return object.spans.get("")!;
}
