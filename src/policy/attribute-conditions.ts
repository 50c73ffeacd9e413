/** The conditions of a `Match` that one attribute set answers alike for all of its routes. Cheap columns come first. */
import type { Match } from "../gen/cairn/v1/policy_service_pb.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { compileAddressSet } from "./address-set.ts";
import { type AsPathSet, compileAsPathSet } from "./as-path-set.ts";
import { hasAttribute } from "./attribute-names.ts";
import { bogonAsns } from "./bogons.ts";
import { compileCommunitySet } from "./community-set.ts";
import type { AttributeCondition, SetSource } from "./conditions.ts";
import { fieldOf, list } from "./conditions.ts";
import type { Draft } from "./draft.ts";
import type { AsnsRead, SessionAsns } from "./session-asns.ts";

export function attributeConditions(match: Match, sets: SetSource): AttributeCondition[] {
  return [
    ...boundConditions(match),
    ...asnConditions(match, sets),
    ...pathConditions(match, sets),
    ...communityConditions(match, sets),
    ...otherConditions(match, sets),
  ];
}

function boundConditions(match: Match): AttributeCondition[] {
  const conditions: AttributeCondition[] = [];
  const bounds = (
    field: string,
    ge: number | undefined,
    le: number | undefined,
    read: (draft: Draft) => number,
  ): void => {
    if (ge !== undefined) {
      conditions.push({ field: `${field}_ge`, text: String(ge), holds: (draft) => read(draft) >= ge });
    }
    if (le !== undefined) {
      conditions.push({ field: `${field}_le`, text: String(le), holds: (draft) => read(draft) <= le });
    }
  };
  bounds("as_path_length", match.asPathLengthGe, match.asPathLengthLe, (draft) => draft.pathLength);
  bounds("local_pref", match.localPrefGe, match.localPrefLe, (draft) => draft.localPref);
  bounds("med", match.medGe, match.medLe, (draft) => draft.med);
  bounds(
    "as_path_unique_length",
    match.asPathUniqueLengthGe,
    match.asPathUniqueLengthLe,
    (draft) => draft.uniqueLength,
  );
  bounds("communities_count", match.communitiesCountGe, match.communitiesCountLe, ({ attributes }) =>
    communityCount(attributes),
  );
  return conditions;
}

function communityCount(attributes: PathAttributes): number {
  const { communities, extendedCommunities, largeCommunities } = attributes;
  return communities.length + extendedCommunities.length + largeCommunities.length;
}

function asnConditions(match: Match, sets: SetSource): AttributeCondition[] {
  const conditions: AttributeCondition[] = [];
  if (match.origins.length > 0) {
    const wanted = new Set<number>(match.origins);
    const text = match.origins.map((origin) => ["igp", "egp", "incomplete"][origin - 1]);
    conditions.push({ field: "origins", text: list(text), holds: (draft) => wanted.has(draft.origin + 1) });
  }
  const asn = (
    field: string,
    values: readonly number[],
    names: readonly string[],
    holds: (draft: Draft, wanted: (asn: number) => boolean) => boolean,
  ): void => {
    if (values.length + names.length === 0) return;
    const listed = new Set(values);
    const named = names.map((name) => sets.asnSet(name));
    const wanted = (value: number): boolean => listed.has(value) || named.some((set) => set.has(value));
    conditions.push({
      field: fieldOf(`${field}_asn_sets`, names, `${field}_asns`, values),
      text: list([...names, ...values]),
      holds: (draft) => holds(draft, wanted),
    });
  };
  // AS 0 stands for "none" in the columns and is no AS.
  asn("origin", match.originAsns, match.originAsnSets, (draft, wanted) => {
    return draft.originAs !== 0 && wanted(draft.originAs);
  });
  asn("neighbor", match.neighborAsns, match.neighborAsnSets, (draft, wanted) => {
    return draft.neighborAs !== 0 && wanted(draft.neighborAs);
  });
  asn("passes", match.passesAsns, match.passesAsnSets, (draft, wanted) =>
    draft.asPath.some(({ asns }) => asns.some(wanted)),
  );
  if (match.hasBogonAsn !== undefined) {
    const { hasBogonAsn } = match;
    conditions.push({
      field: "has_bogon_asn",
      text: hasBogonAsn ? "yes" : "no",
      holds: (draft) => draft.asPath.some(({ asns }) => asns.some(bogonAsns.has)) === hasBogonAsn,
    });
  }
  return conditions;
}

function pathConditions(match: Match, sets: SetSource): AttributeCondition[] {
  const paths = match.asPathSets.map((name) => sets.asPathSet(name));
  if (match.asPaths.length > 0) paths.push(compileAsPathSet(match.asPaths));
  if (paths.length === 0) return [];
  const expressions = paths.flatMap((set) => set.expressions);
  const group = expressions.length > 0 ? sets.paths.add(expressions) : -1;
  const question = (bound: readonly AsPathSet[]) => {
    const tests = bound.flatMap((set) => set.tests);
    return (draft: Draft) => (group >= 0 && draft.found(group)) || holdsAny(tests, draft);
  };
  return [
    {
      field: fieldOf("as_path_sets", match.asPathSets, "as_paths", match.asPaths),
      text: list([...match.asPathSets, ...match.asPaths]),
      ...overSets(paths, question),
    },
  ];
}

/** A loop, since closures made anew for each question were most of the garbage of policy. */
function holdsAny<T>(tests: readonly ((subject: T) => boolean)[], subject: T): boolean {
  for (let i = 0; i < tests.length; i++) if (tests[i](subject)) return true;
  return false;
}

/** A question that is asked of compiled sets, which may have to be bound to a session first. */
function overSets<S extends { readonly reads: AsnsRead; bind(asns: SessionAsns): S }>(
  sets: readonly S[],
  question: (sets: readonly S[]) => (draft: Draft) => boolean,
): Pick<AttributeCondition, "holds" | "ofSession"> {
  const reads = sets.reduce((all, set) => all | set.reads, 0);
  if (reads === 0) return { holds: question(sets) };
  const bind = (asns: SessionAsns) => question(sets.map((set) => set.bind(asns)));
  return { holds: question(sets), ofSession: { reads, bind } };
}

function communityConditions(match: Match, sets: SetSource): AttributeCondition[] {
  const conditions: AttributeCondition[] = [];
  const any = match.communitySets.map((name) => sets.communitySet(name));
  if (match.communities.length > 0) any.push(compileCommunitySet(match.communities));
  if (any.length > 0) {
    conditions.push({
      field: fieldOf("community_sets", match.communitySets, "communities", match.communities),
      text: list([...match.communitySets, ...match.communities]),
      ...overSets(any, (bound) => {
        const tests = bound.map((set) => set.matches);
        return (draft) => holdsAny(tests, draft.attributes);
      }),
    });
  }
  if (match.communitiesAll.length > 0) {
    const all = match.communitiesAll.map((text) => compileCommunitySet([text]));
    conditions.push({
      field: "communities_all",
      text: list(match.communitiesAll),
      ...overSets(
        all,
        (bound) =>
          ({ attributes }) =>
            bound.every((set) => set.matches(attributes)),
      ),
    });
  }
  return conditions;
}

function otherConditions(match: Match, sets: SetSource): AttributeCondition[] {
  const conditions: AttributeCondition[] = [];
  const hops = match.nextHopSets.map((name) => sets.nextHopSet(name));
  if (match.nextHops.length > 0) hops.push(compileAddressSet(match.nextHops));
  if (hops.length > 0) {
    conditions.push({
      field: fieldOf("next_hop_sets", match.nextHopSets, "next_hops", match.nextHops),
      text: list([...match.nextHopSets, ...match.nextHops]),
      holds: (draft) => hops.some((set) => set.matches(draft.attributes.nextHop)),
    });
  }
  if (match.hasAttributes.length > 0) {
    conditions.push({
      field: "has_attributes",
      text: list(match.hasAttributes),
      holds: (draft) => match.hasAttributes.some((name) => hasAttribute(draft.attributes, name)),
    });
  }
  if (match.tags.length > 0) {
    const wanted = new Set(match.tags);
    conditions.push({
      field: "tags",
      text: list(match.tags),
      holds: ({ attributes: { local } }) => local?.tag !== undefined && wanted.has(local.tag),
    });
  }
  return conditions;
}
