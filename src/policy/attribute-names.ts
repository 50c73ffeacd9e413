/** Attributes by the names that `has_attributes` takes. */
import type { PathAttributes } from "../wire/path-attributes.ts";

const named: Readonly<Record<string, (attributes: PathAttributes) => boolean>> = {
  origin: () => true,
  "as-path": ({ asPath }) => asPath.length > 0,
  "next-hop": ({ nextHop }) => nextHop.length > 0,
  med: ({ med }) => med !== undefined,
  "local-pref": ({ localPref }) => localPref !== undefined,
  "atomic-aggregate": ({ atomicAggregate }) => atomicAggregate,
  aggregator: ({ aggregator }) => aggregator !== undefined,
  communities: ({ communities }) => communities.length > 0,
  "originator-id": ({ originatorId }) => originatorId !== undefined,
  "cluster-list": ({ clusterList }) => clusterList.length > 0,
  "extended-communities": ({ extendedCommunities }) => extendedCommunities.length > 0,
  "large-communities": ({ largeCommunities }) => largeCommunities.length > 0,
  otc: ({ otc }) => otc !== undefined,
  aigp: ({ aigp }) => aigp.length > 0,
  weight: ({ local }) => local?.weight !== undefined,
  tag: ({ local }) => local?.tag !== undefined,
};

export const attributeNames: readonly string[] = Object.keys(named);

/** What is wrong with a name or type number; undefined when nothing is. */
export function checkAttributeName(name: string): string | undefined {
  if (named[name] || (/^[1-9][0-9]{0,2}$/.test(name) && Number(name) <= 255)) return undefined;
  return `"${name}" is neither an attribute nor a type number`;
}

/** Type numbers stand for attributes that cairn does not read; those it reads go by their names. */
export function hasAttribute(attributes: PathAttributes, name: string): boolean {
  const known = named[name];
  return known ? known(attributes) : attributes.unknown.some(({ type }) => type === Number(name));
}
