/**
 * A policy text on its own: everything checked that can be without a router, compiled into a library of its own, and its
 * tests run. What `cairnctl policy check` does.
 */
import type { Problem } from "../../base/problem.ts";
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
import { placeOf, type TextError } from "./lexer.ts";
import { type ParsedText, parsePolicyText, type TextObject } from "./parse.ts";
import { runPolicyTests, type TestOutcome } from "./run-tests.ts";

export interface CheckedText extends ParsedText {
  /** Syntax and everything else that is wrong, in the order of the text. */
  readonly errors: readonly TextError[];
  readonly warnings: readonly TextError[];
  /** Empty when there are errors. */
  readonly outcomes: readonly TestOutcome[];
}

/** Checks a text that stands alone: whatever it names must be in it. */
export function checkPolicyText(text: string): CheckedText {
  const parsed = parsePolicyText(text);
  const errors: TextError[] = [...parsed.errors];
  const warnings: TextError[] = [];
  const known = new Map(parsed.objects.map((object) => [`${object.kind}/${object.name}`, object]));
  for (const object of parsed.objects) {
    const problems = [...problemsOf(object, known), ...missing(object, known)];
    for (const problem of problems) {
      const { start, end } = spanOf(object, problem.path);
      const message = `${problem.path}: ${problem.message}${problem.fix ? ` (${problem.fix})` : ""}`;
      const list = problem.severity === "warning" ? warnings : errors;
      list.push({ ...placeOf(text, start), message, start, end });
    }
  }
  for (const test of parsed.tests) {
    for (const name of test.chain) {
      if (known.has(`Policy/${name}`) || isBuiltinPolicy(name)) continue;
      const { start, end } = test;
      errors.push({ ...placeOf(text, start), message: `there is no policy ${name}`, start, end });
    }
  }
  errors.sort((a, b) => a.start - b.start);
  if (errors.length > 0) return { ...parsed, errors, warnings, outcomes: [] };
  const library = new PolicyLibrary();
  for (const { kind, spec } of parsed.objects) {
    library.put(kind as LibraryKind, spec as LibrarySpecs[LibraryKind]);
  }
  return { ...parsed, errors, warnings, outcomes: runPolicyTests(library, parsed.tests) };
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
      return [...validatePolicy(spec as PolicySpec), ...checkCalls(spec as PolicySpec, policyOf)];
    }
  }
}

const matchReferences: readonly (readonly [keyof Match, string])[] = [
  ["prefixSets", "PrefixSet"],
  ["asPathSets", "AsPathSet"],
  ["communitySets", "CommunitySet"],
  ["neighborSets", "NeighborSet"],
  ["originAsnSets", "AsnSet"],
  ["passesAsnSets", "AsnSet"],
  ["neighborAsnSets", "AsnSet"],
  ["nextHopSets", "NextHopSet"],
];
const setReferences: readonly (keyof SetActions)[] = [
  ...(["communitiesReplaceSets", "communitiesAddSets"] as const),
  ...(["communitiesRemoveSets", "communitiesKeepSets"] as const),
];

/** Names of a policy that nothing in the text has. */
function missing({ kind, spec }: TextObject, known: ReadonlyMap<string, TextObject>): Problem[] {
  if (kind !== "Policy") return [];
  const problems: Problem[] = [];
  (spec as PolicySpec).statements.forEach(({ match, set, call }, i) => {
    const check = (wanted: string, name: string): void => {
      if (known.has(`${wanted}/${name}`) || (wanted === "Policy" && isBuiltinPolicy(name))) return;
      problems.push({
        code: "REF_MISSING",
        path: `statements[${i}]`,
        message: `there is no ${wanted} ${name}`,
      });
    };
    for (const part of match ? [match, match.not] : []) {
      for (const [field, wanted] of part ? matchReferences : []) {
        for (const name of part![field] as string[]) check(wanted, name);
      }
    }
    for (const field of set ? setReferences : []) {
      for (const name of set![field] as string[]) check("CommunitySet", name);
    }
    if (call !== "") check("Policy", call);
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
