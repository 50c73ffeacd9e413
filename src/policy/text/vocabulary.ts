/**
 * The words of the policy language and the fields they stand for: one table, which parser and formatter both read, so
 * that what one writes the other takes.
 */
import { parseIp, parsePrefix } from "../../base/ip.ts";
import type { Match, SetActions } from "../../gen/cairn/v1/policy_service_pb.ts";
import { parseCommunity } from "../../wire/community-text.ts";

type FieldsOf<M, T> = { [K in keyof M]-?: M[K] extends T ? K : never }[keyof M];
export type MatchList = FieldsOf<Match, string[]>;
export type SetList = FieldsOf<SetActions, string[]>;

/** How one value of a list is told from the name of a set. A name that looks like a value is written `set NAME`. */
export const looks = {
  prefix: (word: string): boolean => word.includes("/"),
  address: (word: string): boolean => parseIp(word) !== undefined || typeof parsePrefix(word) !== "string",
  community: (word: string): boolean => word.includes(":") || parseCommunity(word) !== undefined,
  asn: (word: string): boolean => /^[0-9]+$/.test(word),
};

/** `KEYWORD in LIST`: names of sets and inline values, in two fields of which one is enough. */
export interface ListCondition {
  readonly keyword: string;
  /** Second word: `in`, `originates` and so on. */
  readonly verb: string;
  readonly sets?: MatchList;
  /** Inline values as texts. */
  readonly values?: MatchList;
  /** Inline AS numbers. */
  readonly asns?: "originAsns" | "passesAsns" | "neighborAsns";
  readonly isValue?: (word: string) => boolean;
  /** Inline values are written in quotes. */
  readonly quoted?: boolean;
}

export const listConditions: readonly ListCondition[] = [
  { keyword: "as-path", verb: "in", sets: "asPathSets", values: "asPaths", quoted: true },
  { keyword: "as-path", verb: "originates", sets: "originAsnSets", asns: "originAsns", isValue: looks.asn },
  { keyword: "as-path", verb: "passes", sets: "passesAsnSets", asns: "passesAsns", isValue: looks.asn },
  { keyword: "as-path", verb: "neighbor", sets: "neighborAsnSets", asns: "neighborAsns", isValue: looks.asn },
  {
    keyword: "community",
    verb: "in",
    sets: "communitySets",
    values: "communities",
    isValue: looks.community,
  },
  { keyword: "community", verb: "all", values: "communitiesAll" },
  { keyword: "neighbor", verb: "in", sets: "neighborSets", values: "neighbors", isValue: looks.address },
  { keyword: "peer-group", verb: "in", values: "peerGroups" },
  { keyword: "next-hop", verb: "in", sets: "nextHopSets", values: "nextHops", isValue: looks.address },
  { keyword: "route-type", verb: "in", values: "routeTypes" },
  { keyword: "family", verb: "in", values: "families" },
  { keyword: "rpki", verb: "in", values: "rpkiStates" },
  { keyword: "aspa", verb: "in", values: "aspaStates" },
  { keyword: "has", verb: "", values: "hasAttributes" },
];

/** `KEYWORD >= N`, `<=`, `=`. */
export const bounds = [
  { keyword: "as-path-length", ge: "asPathLengthGe", le: "asPathLengthLe" },
  { keyword: "as-path-unique-length", ge: "asPathUniqueLengthGe", le: "asPathUniqueLengthLe" },
  { keyword: "local-pref", ge: "localPrefGe", le: "localPrefLe" },
  { keyword: "med", ge: "medGe", le: "medLe" },
  { keyword: "communities-count", ge: "communitiesCountGe", le: "communitiesCountLe" },
] as const;

/** `KEYWORD`, or `KEYWORD no`. */
export const questions = [
  { keyword: "is-default", field: "isDefault" },
  { keyword: "is-bogon", field: "isBogon" },
  { keyword: "has-bogon-asn", field: "hasBogonAsn" },
] as const;

/** `community VERB LIST` among the actions. */
export const communityActions: readonly { verb: string; values: SetList; sets: SetList }[] = [
  { verb: "replace", values: "communitiesReplace", sets: "communitiesReplaceSets" },
  { verb: "add", values: "communitiesAdd", sets: "communitiesAddSets" },
  { verb: "remove", values: "communitiesRemove", sets: "communitiesRemoveSets" },
  { verb: "keep", values: "communitiesKeep", sets: "communitiesKeepSets" },
];

/** `KEYWORD N` in the routes of tests. */
export const testNumbers = [
  { keyword: "local-pref", field: "localPref" },
  { keyword: "med", field: "med" },
  { keyword: "otc", field: "otc" },
  { keyword: "weight", field: "weight" },
  { keyword: "tag", field: "tag" },
] as const;

/** `KEYWORD WORD` in the routes that tests give. */
export const testWords = [
  { keyword: "type", field: "routeType", name: "route_type" },
  { keyword: "rpki", field: "rpkiState", name: "rpki_state" },
  { keyword: "aspa", field: "aspaState", name: "aspa_state" },
] as const;

export const originNames = ["igp", "egp", "incomplete"] as const;

export const conditionWords: readonly string[] = [
  ...new Set([
    "prefix",
    "origin",
    "tag",
    ...listConditions.map(({ keyword }) => keyword),
    ...bounds.map(({ keyword }) => keyword),
    ...questions.map(({ keyword }) => keyword),
  ]),
];

export const actionWords: readonly string[] = [
  ...["accept", "reject", "next", "call", "local-pref", "med", "origin", "next-hop", "community"],
  ...["prepend", "strip-private-as", "aigp", "weight", "tag"],
];
