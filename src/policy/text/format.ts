/** Policies and sets as text that `parse.ts` reads back to the same model, in the look that layout.ts gives. */
import type { Message } from "@bufbuild/protobuf";
import type {
  AsnSetSpec,
  AsPathSetSpec,
  CommunitySetSpec,
  Match,
  NeighborSetSpec,
  NextHopSetSpec,
  PolicySpec,
  PrefixRule,
  PrefixSetSpec,
  SetActions,
  Statement,
} from "../../gen/cairn/v1/policy_service_pb.ts";
import { PolicyAction } from "../../gen/cairn/v1/policy_service_pb.ts";
import { formatRule } from "../conditions.ts";
import { formatTest } from "./format-test.ts";
import { layOut } from "./layout.ts";
import { quote } from "./lexer.ts";
import { bounds, communityActions, listConditions, looks, originNames, questions } from "./vocabulary.ts";

/** An object of one of the policy kinds, by kind name. */
export function formatObject(kind: string, spec: Message): string {
  switch (kind) {
    case "Policy":
      return formatPolicy(spec as PolicySpec);
    case "PrefixSet":
      return setBlock(
        "prefix-set",
        (spec as PrefixSetSpec).name,
        (spec as PrefixSetSpec).prefixes.map(formatPrefixRule),
      );
    case "AsPathSet":
      return setBlock(
        "as-path-set",
        (spec as AsPathSetSpec).name,
        (spec as AsPathSetSpec).patterns.map(quote),
      );
    case "CommunitySet":
      return setBlock(
        "community-set",
        (spec as CommunitySetSpec).name,
        (spec as CommunitySetSpec).communities,
      );
    case "AsnSet":
      return setBlock("asn-set", (spec as AsnSetSpec).name, (spec as AsnSetSpec).asns);
    case "NextHopSet":
      return setBlock("next-hop-set", (spec as NextHopSetSpec).name, (spec as NextHopSetSpec).addresses);
    default: {
      const { name, addresses, asns, peerGroups } = spec as NeighborSetSpec;
      const members = [
        ...addresses,
        ...asns.map((asn) => `asn ${asn}`),
        ...peerGroups.map((group) => `group ${group}`),
      ];
      return setBlock("neighbor-set", name, members);
    }
  }
}

/** The policy, and its tests below it. */
export function formatPolicy(spec: PolicySpec): string {
  const lines = [`policy ${spec.name} {`];
  if (spec.description !== "") lines.push(`description ${quote(spec.description)};`);
  lines.push(...spec.statements.map(formatStatement));
  if (spec.defaultAction !== PolicyAction.UNSPECIFIED) {
    lines.push(`default ${spec.defaultAction === PolicyAction.ACCEPT ? "accept" : "reject"};`);
  }
  return layOut([...lines, "}", ...spec.tests.map(formatTest)].join("\n"));
}

function setBlock(word: string, name: string, entries: readonly string[]): string {
  return layOut([`${word} ${name} {`, ...entries.map((entry) => `${entry};`), "}"].join("\n"));
}

export function formatPrefixRule(rule: PrefixRule): string {
  const longest = rule.prefix.includes(":") ? 128 : 32;
  if (!rule.covering && rule.ge === undefined && rule.le === longest) return `${rule.prefix}+`;
  return formatRule(rule);
}

function formatStatement(statement: Statement): string {
  const label = statement.name === "" ? "" : `${statement.name}: `;
  const conditions = statement.match ? formatMatch(statement.match) : [];
  const head = conditions.length > 0 ? `if ${conditions.join(" and ")} then ` : "";
  const actions = formatActions(statement).map((action) => `${action};`);
  return `${label}${head}{ ${actions.join(" ")} }`;
}

function formatMatch(match: Match, negated = false): string[] {
  const conditions: string[] = [];
  const rules = [...names(match.prefixSets, looks.prefix), ...match.prefixes.map(formatPrefixRule)];
  if (rules.length > 0) conditions.push(`prefix in ${list(rules)}`);
  for (const { keyword, verb, sets, values, asns, isValue, quoted } of listConditions) {
    const inline = values ? match[values].map((text) => (quoted ? quote(text) : text)) : [];
    const entries = [
      ...(sets ? names(match[sets], isValue ?? (() => false)) : []),
      ...inline,
      ...(asns ? match[asns].map(String) : []),
    ];
    if (entries.length > 0) conditions.push(`${keyword}${verb === "" ? "" : ` ${verb}`} ${list(entries)}`);
  }
  const origins = match.origins.map((origin) => originNames[origin - 1]);
  if (origins.length > 0) conditions.push(`origin in ${list(origins)}`);
  if (match.tags.length > 0) conditions.push(`tag in ${list(match.tags.map(String))}`);
  for (const { keyword, ge, le } of bounds) {
    const [low, high] = [match[ge], match[le]];
    if (low !== undefined && low === high) conditions.push(`${keyword} = ${low}`);
    else {
      if (low !== undefined) conditions.push(`${keyword} >= ${low}`);
      if (high !== undefined) conditions.push(`${keyword} <= ${high}`);
    }
  }
  for (const { keyword, field } of questions) {
    if (match[field] !== undefined) conditions.push(match[field] ? keyword : `${keyword} no`);
  }
  const told = negated ? conditions.map((condition) => `not ${condition}`) : conditions;
  return match.not ? [...told, ...formatMatch(match.not, true)] : told;
}

function formatActions(statement: Statement): string[] {
  const actions = statement.set ? formatSet(statement.set) : [];
  if (statement.call !== "") actions.push(`call ${statement.call}`);
  const verdict = verdicts[statement.action];
  if (verdict) actions.push(verdict);
  return actions;
}

const verdicts: Readonly<Record<number, string>> = {
  [PolicyAction.ACCEPT]: "accept",
  [PolicyAction.REJECT]: "reject",
  [PolicyAction.NEXT_TERM]: "next",
  [PolicyAction.NEXT_POLICY]: "next policy",
};

function formatSet(set: SetActions): string[] {
  const actions: string[] = [];
  const number = (word: string, value: number | undefined): void => {
    if (value !== undefined) actions.push(`${word} ${value}`);
  };
  number("local-pref", set.localPref);
  number("local-pref +", set.localPrefAdd);
  number("local-pref -", set.localPrefSubtract);
  number("med", set.med);
  number("med +", set.medAdd);
  number("med -", set.medSubtract);
  if (set.medRemove) actions.push("med none");
  if (set.origin !== 0) actions.push(`origin ${originNames[set.origin - 1]}`);
  if (set.nextHop !== undefined) actions.push(`next-hop ${set.nextHop === "" ? '""' : set.nextHop}`);
  for (const { verb, values, sets } of communityActions) {
    const entries = [...names(set[sets], looks.community), ...set[values]];
    if (entries.length > 0) actions.push(`community ${verb} ${list(entries)}`);
  }
  if (set.stripPrivateAs) actions.push("strip-private-as");
  if (set.prepend) {
    const { asn, lastAs, count } = set.prepend;
    actions.push(`prepend ${lastAs ? "last" : asn === 0 ? "own" : asn} ${count}`);
  }
  number("aigp", set.aigp);
  number("weight", set.weight);
  number("tag", set.tag);
  return actions;
}

/** Names of sets; those that look like a value get the word `set` before them. */
function names(sets: readonly string[], isValue: (word: string) => boolean): string[] {
  return sets.map((name) => (isValue(name) || name === "set" ? `set ${name}` : name));
}

function list(entries: readonly string[]): string {
  return entries.length === 1 ? entries[0] : `(${entries.join(", ")})`;
}
