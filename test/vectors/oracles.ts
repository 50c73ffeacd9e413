/** What other decoders say about a message, brought to `UpdateView`. Unsupported families show up in `other`. */
import { formatIp, parseIp } from "../../src/base/ip.ts";
import { formatCommunity } from "../../src/wire/community-text.ts";
import { prefixText, type UpdateView } from "./support.ts";

export interface OracleView extends UpdateView {
  /** The oracle saw a family that cairn does not have. */
  other: boolean;
  fourOctetAs: boolean;
  addPath: boolean;
}

type Json = { [key: string]: Json } | Json[] | string | number | boolean | null;

function empty(): OracleView {
  return { announced: [], withdrawn: [], other: false, fourOctetAs: true, addPath: false };
}

function canonical(prefix: string): string {
  const [address, length] = prefix.split("/");
  return prefixText(parseIp(address)!.slice(), Number(length));
}

function canonicalIp(text: string): string {
  const bytes = parseIp(text);
  return bytes ? formatIp(bytes) : text;
}

const origins: Readonly<Record<string, number>> = { igp: 0, egp: 1, incomplete: 2 };

/** ExaBGP's JSON; undefined when the message is no UPDATE. */
export function fromExabgp(json: Json): OracleView | undefined {
  const update = at(json, "neighbor", "message", "update");
  if (update === undefined) return undefined;
  const view = empty();
  for (const [key, list] of [
    ["announce", view.announced],
    ["withdraw", view.withdrawn],
  ] as const) {
    for (const [family, routes] of entries(at(update, key))) {
      if (family !== "ipv4 unicast" && family !== "ipv6 unicast") {
        view.other = true;
        continue;
      }
      const groups: [string, Json][] = key === "announce" ? entries(routes) : [["", routes]];
      for (const [nextHop, nlri] of groups) {
        if (nextHop !== "") view.nextHop = canonicalIp(nextHop);
        for (const entry of values(nlri)) {
          list.push(canonical(String(at(entry, "nlri"))));
          if (at(entry, "path-information") !== undefined) view.addPath = true;
        }
      }
    }
  }
  const attributes = at(update, "attribute");
  const origin = at(attributes, "origin");
  if (origin !== undefined) view.origin = origins[String(origin)];
  const numbers = (name: string): number | undefined => at(attributes, name) as number | undefined;
  view.med = numbers("med");
  view.localPref = numbers("local-preference");
  view.communities = pairs(at(attributes, "community"))
    ?.map(([a, b]) => formatCommunity(a * 65_536 + b))
    .sort();
  view.largeCommunities = pairs(at(attributes, "large-community"))
    ?.map((parts) => parts.join(":"))
    .sort();
  view.originatorId = at(attributes, "originator-id") as string | undefined;
  return sorted(view);
}

/** NetGauze's JSON; undefined when the message is no UPDATE. */
export function fromNetgauze(json: Json): OracleView | undefined {
  const update = at(json, "Update");
  if (update === undefined) return undefined;
  const view = empty();
  const add = (list: string[], nlri: Json | undefined): void => {
    for (const entry of values(nlri)) {
      list.push(canonical(String(at(entry, "network"))));
      if (at(entry, "path_id") !== null && at(entry, "path_id") !== undefined) view.addPath = true;
    }
  };
  add(view.announced, at(update, "nlri"));
  add(view.withdrawn, at(update, "withdrawn_routes"));
  for (const attribute of values(at(update, "path_attributes"))) {
    for (const [name, value] of entries(at(attribute, "value"))) {
      if (name === "Origin") view.origin = origins[String(value).toLowerCase()];
      if (name === "AsPath" && at(value, "As2PathSegments") !== undefined) view.fourOctetAs = false;
      if (name === "AsPath")
        view.asPath = netgauzePath(at(value, "As2PathSegments") ?? at(value, "As4PathSegments"));
      if (name === "MultiExitDiscriminator") view.med = at(value, "metric") as number;
      if (name === "LocalPreference") view.localPref = at(value, "metric") as number;
      if (name === "Communities") {
        view.communities = values(at(value, "communities"))
          .map((community) => formatCommunity(Number(community)))
          .sort();
      }
      if (name === "MpReach" || name === "MpUnreach") {
        for (const [family, routes] of entries(value)) {
          if (family !== "Ipv4Unicast" && family !== "Ipv6Unicast") view.other = true;
          else add(name === "MpReach" ? view.announced : view.withdrawn, at(routes, "nlri"));
        }
      }
    }
  }
  return sorted(view);
}

function netgauzePath(segments: Json | undefined): string {
  return values(segments)
    .map((segment) => {
      const text = values(at(segment, "as_numbers")).join(" ");
      return at(segment, "segment_type") === "AsSet" ? `{${text}}` : text;
    })
    .join(" ");
}

/** Lines of bgpdump -m for one message. */
export function fromBgpdump(lines: readonly string[], fourOctetAs: boolean): OracleView {
  const view = { ...empty(), fourOctetAs };
  for (const line of lines) {
    const fields = line.split("|");
    const [, , kind, , , prefix] = fields;
    if (kind === "W") view.withdrawn.push(canonical(prefix));
    if (kind !== "A") continue;
    view.announced.push(canonical(prefix));
    view.asPath = fields[6].replaceAll(",", " ");
    view.origin = origins[fields[7].toLowerCase()];
    view.nextHop = canonicalIp(fields[8]);
    if (fields[10] !== "0") view.med = Number(fields[10]);
    view.communities = fields[11]
      .split(" ")
      .filter((text) => text !== "" && text.split(":").length === 2)
      .sort();
    view.atomicAggregate = fields[12] === "AG";
    if (fields[13] !== "") view.aggregator = fields[13];
  }
  return sorted(view);
}

/** tshark's field tree of an UPDATE. */
export function fromTshark(tree: Json): OracleView {
  const view = empty();
  walk(tree, (node) => {
    const length = Number(node["bgp.prefix_length"] ?? 0);
    const take = (field: string, list: string[]): void => {
      if (typeof node[field] === "string") list.push(canonical(`${node[field]}/${length}`));
    };
    take("bgp.nlri_prefix", view.announced);
    take("bgp.withdrawn_prefix", view.withdrawn);
    const attribute = "bgp.update.path_attribute";
    for (const [kind, list] of [
      ["mp_reach_nlri", view.announced],
      ["mp_unreach_nlri", view.withdrawn],
    ] as const) {
      const afi = node[`${attribute}.${kind}.afi`];
      const safi = node[`${attribute}.${kind}.safi`];
      if (afi === undefined) continue;
      if (safi !== "1" || (afi !== "1" && afi !== "2")) view.other = true;
      else {
        walk(node, (inner) => {
          for (const version of ["ipv4", "ipv6"]) {
            const text = inner[`bgp.${kind}_${version}_prefix`];
            if (typeof text === "string") list.push(canonical(`${text}/${inner["bgp.prefix_length"]}`));
          }
        });
      }
    }
    if (node["bgp.nlri_path_id"] !== undefined) view.addPath = true;
    if (node[`${attribute}.as_path_segment.as2`] !== undefined) view.fourOctetAs = false;
    const number = (field: string): number | undefined =>
      node[`${attribute}.${field}`] === undefined ? undefined : Number(node[`${attribute}.${field}`]);
    view.origin ??= number("origin");
    view.localPref ??= number("local_pref");
    view.med ??= number("multi_exit_disc");
    const large = ["ga", "ldp1", "ldp2"].map((part) => node[`bgp.large_communities.${part}`]);
    if (typeof large[0] === "string") (view.largeCommunities ??= []).push(large.join(":"));
  });
  view.largeCommunities = view.largeCommunities && [...new Set(view.largeCommunities)];
  return sorted(view);
}

function sorted(view: OracleView): OracleView {
  view.announced.sort();
  view.withdrawn.sort();
  view.largeCommunities?.sort();
  return view;
}

/** Calls `visit` for every object in a tree of JSON. */
export function walk(tree: Json | undefined, visit: (node: { [key: string]: Json }) => void): void {
  if (Array.isArray(tree)) for (const entry of tree) walk(entry, visit);
  else if (tree !== null && typeof tree === "object") {
    visit(tree);
    for (const entry of Object.values(tree)) walk(entry, visit);
  }
}

export function at(json: Json | undefined, ...path: string[]): Json | undefined {
  let value: Json | undefined = json;
  for (const key of path) {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return undefined;
    value = value[key];
  }
  return value;
}

function entries(json: Json | undefined): [string, Json][] {
  return json !== null && typeof json === "object" && !Array.isArray(json) ? Object.entries(json) : [];
}

function values(json: Json | undefined): Json[] {
  return Array.isArray(json) ? json : [];
}

function pairs(json: Json | undefined): number[][] | undefined {
  return Array.isArray(json) ? (json as number[][]) : undefined;
}
