/**
 * EgressRoutePolicy: several ways out. Each candidate has a table with its default route, and a mark that leads to it; the
 * rules of nftables give new flows the mark of what is chosen, and every later packet of a flow the mark that its
 * connection bears. So a change of the choice moves new flows alone.
 */
import type { Message } from "@bufbuild/protobuf";
import { parseIp } from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import type { Artifact } from "../../dataplane/artifact.ts";
import { routeKey } from "../../dataplane/netlink/route-write.ts";
import { type RuleSelector, ruleFacts, ruleKey } from "../../dataplane/netlink/rule-wire.ts";
import {
  type EgressCandidate,
  EgressHash,
  EgressMode,
  type EgressRoutePolicySpec,
  IpVersion,
} from "../../gen/cairn/v1/egress_service_pb.ts";
import { deviceOf } from "../interface/kind.ts";
import { artifact, type Derivation, invalid, type ResourceKind, type Surroundings } from "../kind.ts";
import { links, NftGroups, orderOf, rule } from "../nft/expressions.ts";
import { hasMark, markMask, markOf, numbersOf, ruleDefaults, setMark, tableOf } from "./marks.ts";
import type { Selection } from "./selection.ts";
import { addressesOf, ipVersionOf, isOnLink, type Way, wayOf } from "./ways.ts";

const kind = "EgressRoutePolicy";

/** Step in the chain `steer`. */
const steerStep = 500;
/** Candidates of a policy. */
const candidatesMax = 64;
/** What stands behind the default route of a candidate: its flows wait for it, and take no other way. */
const lastMetric = 0xffff_fffe;
/** Metric of a candidate's default route; IPv6 has no 0. */
const metrics = { 4: 0, 6: 1024 } as const;
/** So that a rule written anew shares the flows as before. */
const hashSeed = "0x43";

/** What is added to the first priority of a policy's rules: what is more specific than a default route; mark; link; source. */
const steps = { specific: 0, mark: 1, device: 2, source: 3 } as const;

/** One candidate with all that its artifacts need. */
interface Path extends Way {
  readonly candidate: EgressCandidate;
  readonly mark: number;
  readonly table: number;
}

export const egressRoutePolicyKind: ResourceKind = {
  kind,
  check: (message) => checkPolicy(message as EgressRoutePolicySpec),

  derive(message: Message, around: Surroundings): Derivation {
    const spec = message as EgressRoutePolicySpec;
    const taken = takenNumber(spec, around);
    if (taken !== "") return { artifacts: [], pending: { reason: "MARK_TAKEN", message: taken } };
    const paths = spec.candidates.map((candidate) => ({
      ...wayOf(candidate, around),
      candidate,
      mark: markOf(spec.name, candidate),
      table: tableOf(spec.name, candidate),
    }));
    const selection = around.egress(spec.name);
    const artifacts = [
      ...paths.flatMap((path) => [...routes(spec, path, around), ...rules(spec, path, paths, around)]),
      ...steering(spec, paths, selection, around),
    ];
    const values = {
      selected: selection?.chosen.join(" ") ?? "",
      reason: selection?.reason ?? "",
      ...(selection && selection.pinned !== "" && { pinned: selection.pinned }),
    };
    if (selection && selection.chosen.length > 0) return { artifacts, values };
    const message_ = selection?.reason ?? "nothing has been chosen yet";
    return { artifacts, values, pending: { reason: "NO_CANDIDATE", message: message_ } };
  },
};

/** Two candidates with one number would share flows: the second by name says so. */
function takenNumber(spec: EgressRoutePolicySpec, around: Surroundings): string {
  const own = numbersOf(spec);
  const seen = new Map<number, string>();
  for (const name of [...around.names(kind)].sort()) {
    if (name === spec.name) break;
    const other = around.spec(kind, name) as EgressRoutePolicySpec | undefined;
    for (const { id, number } of other ? numbersOf(other) : []) seen.set(number, id);
  }
  for (const { id, number } of own) {
    const other = seen.get(number);
    if (other !== undefined) return `${id} and ${other} both have number ${number}; set mark in one of them`;
    seen.set(number, id);
  }
  return "";
}

/** Default route of a candidate in its own table, and what holds its flows back while that is gone. */
function routes(spec: EgressRoutePolicySpec, path: Path, around: Surroundings): Artifact[] {
  if (path.candidate.table !== undefined) return [];
  const version = ipVersionOf(spec);
  const everywhere = version === 4 ? "0.0.0.0/0" : "::/0";
  const route = (
    type: string,
    metric: number,
    hops: { gateway?: string; device: string; weight: number }[],
  ) => artifact(spec, "route", routeKey(path.table, everywhere, metric), { protocol: "cairn", type, hops });
  const held = route("unreachable", lastMetric, []);
  const { device, gateway } = path;
  const link = around.link(device);
  if (!link?.enabled || (gateway !== "" && !isOnLink(link, gateway))) return [held];
  const hop = { ...(gateway !== "" && { gateway }), device, weight: 1 };
  return [route("unicast", metrics[version], [hop]), held];
}

/** Who is led to the candidate's table: its mark; sockets that are bound to its link; sockets with an address of it. */
function rules(
  spec: EgressRoutePolicySpec,
  path: Path,
  paths: readonly Path[],
  around: Surroundings,
): Artifact[] {
  const version = ipVersionOf(spec);
  const first = spec.rulePriority ?? ruleDefaults.priority;
  const lead = (step: number, selector: RuleSelector): Artifact[] => [
    // Whatever the main table knows beside a default route holds for these packets, too.
    artifact(
      spec,
      "rule",
      ruleKey(version, first + steps.specific, selector),
      ruleFacts(ruleDefaults.table, 0),
    ),
    artifact(spec, "rule", ruleKey(version, first + step, selector), ruleFacts(path.table)),
  ];
  const byMark = lead(steps.mark, { mark: { value: path.mark, mask: markMask } });
  if (path.device === "" || !leadsLink(spec, path, paths, around)) return byMark;
  const link = around.link(path.device);
  const addresses = link ? addressesOf(link, version) : [];
  return [
    ...byMark,
    ...lead(steps.device, { oif: path.device }),
    ...addresses.flatMap((bytes) => lead(steps.source, { from: { bytes, length: bytes.length * 8 } })),
  ];
}

/** Of several candidates with the same link the first one, by names of policies, speaks for the link. */
function leadsLink(
  spec: EgressRoutePolicySpec,
  path: Path,
  paths: readonly Path[],
  around: Surroundings,
): boolean {
  if (paths.find(({ device }) => device === path.device) !== path) return false;
  for (const name of [...around.names(kind)].sort()) {
    if (name === spec.name) return true;
    const other = around.spec(kind, name) as EgressRoutePolicySpec | undefined;
    if (!other || ipVersionOf(other) !== ipVersionOf(spec)) continue;
    if (other.candidates.some((each) => wayOf(each, around).device === path.device)) return false;
  }
  return true;
}

/** Rules of nftables that mark packets and connections. */
function steering(
  spec: EgressRoutePolicySpec,
  paths: readonly Path[],
  selection: Selection | undefined,
  around: Surroundings,
): Artifact[] {
  const version = ipVersionOf(spec);
  const groups = new NftGroups(`${kind}/${spec.name}`, spec);
  const chosen = (selection?.chosen ?? []).flatMap((name) => paths.find((path) => path.name === name) ?? []);
  const isUsable = ({ name }: Path): boolean => selection?.members.get(name)?.usable ?? false;
  const from = spec.ingressInterfaces.map((name) => deviceOf(name, around));
  const all = [
    ...paths.flatMap((path) => arrivals(path, version)),
    ...paths.flatMap((path) => later(path, isUsable(path) ? undefined : chosen[0])),
    ...matches(groups, spec, version).flatMap((match) =>
      beginnings(rule(match, from.length === 0 ? "" : links("iifname", from)), spec, chosen),
    ),
  ];
  groups.rules("steer", orderOf(steerStep, spec.order ?? 1000), all);
  return groups.artifacts;
}

/** Flows that begin outside are answered through the link on which they came. */
function arrivals({ device, mark }: Path, version: 4 | 6): string[] {
  if (device === "") return [];
  const fresh = `ct state new ${hasMark(0)}`;
  return [rule(`meta nfproto ipv${version}`, links("iifname", [device]), fresh, setMark("ct mark", mark))];
}

/**
 * Packets of flows that have begun.
 * @param instead where flows go whose own path cannot be used. Those whose source is translated stay: elsewhere nobody
 *   would know them, and their own path may come back
 */
function later({ device, mark }: Path, instead: Path | undefined): string[] {
  const outward = device === "" ? "" : `iifname != "${device}"`;
  const own = setMark("meta mark", mark);
  if (!instead) return [rule(outward, hasMark(mark), own)];
  return [
    rule(outward, hasMark(mark), "ct status snat", own),
    rule(
      outward,
      hasMark(mark),
      "ct status ! snat",
      setMark("ct mark", instead.mark),
      setMark("meta mark", instead.mark),
    ),
  ];
}

/** Which flows the policy is for. */
function matches(groups: NftGroups, spec: EgressRoutePolicySpec, version: 4 | 6): string[] {
  const { sourceCidrs, sourceSets, destinationCidrs, destinationSets } = spec;
  const sources = groups.addresses("saddr", "source", version, sourceCidrs, sourceSets);
  const destinations = groups.addresses("daddr", "destination", version, destinationCidrs, destinationSets);
  const { excludeDestinationCidrs, excludeDestinationSets } = spec;
  const excluded = groups.notAddresses(
    "daddr",
    "exclude",
    version,
    excludeDestinationCidrs,
    excludeDestinationSets,
  );
  return sources.flatMap((source) =>
    destinations.map((destination) => {
      const match = rule(source, destination, excluded);
      return match === "" ? `meta nfproto ipv${version}` : match;
    }),
  );
}

/** Marks a flow that begins, and its first packet. */
function beginnings(match: string, spec: EgressRoutePolicySpec, chosen: readonly Path[]): string[] {
  if (chosen.length === 0) return [];
  const fresh = rule(match, "ct state new", hasMark(0));
  const give = ({ mark }: Path): string =>
    rule("counter", setMark("ct mark", mark), setMark("meta mark", mark));
  if (chosen.length === 1) return [rule(fresh, give(chosen[0]))];
  const total = chosen.reduce((sum, { weight }) => sum + weight, 0);
  const hash = `jhash ${hashFields(spec.hash, ipVersionOf(spec))} mod ${total} seed ${hashSeed}`;
  let at = 0;
  const shares = chosen.map((path) => {
    const range = path.weight === 1 ? String(at) : `${at}-${at + path.weight - 1}`;
    at += path.weight;
    return rule(fresh, hash, range, give(path));
  });
  // What has no ports to look at.
  return [...shares, rule(fresh, give(chosen[0]))];
}

function hashFields(hash: EgressHash, version: 4 | 6): string {
  const ip = version === 4 ? "ip" : "ip6";
  if (hash === EgressHash.SOURCE) return `${ip} saddr`;
  const addresses = `${ip} saddr . ${ip} daddr`;
  return hash === EgressHash.ADDRESSES ? addresses : `${addresses} . th sport . th dport`;
}

function checkPolicy(spec: EgressRoutePolicySpec): Problem[] {
  const problems: Problem[] = [];
  const known = (path: string, value: number, values: Readonly<Record<string, number>>): boolean => {
    const isKnown = Object.values(values).includes(value);
    if (!isKnown) problems.push(invalid(path, `there is no ${path} ${value}`));
    return isKnown;
  };
  known("ip_version", spec.ipVersion, IpVersion);
  known("mode", spec.mode, EgressMode);
  if (
    known("hash", spec.hash, EgressHash) &&
    spec.hash !== EgressHash.UNSPECIFIED &&
    spec.mode !== EgressMode.HASH
  )
    problems.push(invalid("hash", "hash is for mode hash", "leave it out"));
  if (spec.candidates.length === 0)
    problems.push({ code: "REQUIRED", path: "candidates", message: "a policy needs at least one candidate" });
  if (spec.candidates.length > candidatesMax)
    problems.push(
      invalid("candidates", `${spec.candidates.length} candidates are more than ${candidatesMax}`),
    );
  const names = new Set<string>();
  const marks = new Set<number>();
  const bytes = ipVersionOf(spec) === 4 ? 4 : 16;
  spec.candidates.forEach(({ name, interface: link, gateway, table, mark }, i) => {
    const at = `candidates[${i}]`;
    const duplicate = (path: string, message: string): void =>
      void problems.push({ code: "DUPLICATE", path: `${at}.${path}`, message });
    if (names.has(name)) duplicate("name", `candidate ${name} is listed twice`);
    names.add(name);
    if (mark !== undefined && marks.has(mark)) duplicate("mark", `mark ${mark} is listed twice`);
    if (mark !== undefined) marks.add(mark);
    const address = gateway === "" ? undefined : parseIp(gateway);
    if (address && address.length !== bytes)
      problems.push(invalid(`${at}.gateway`, `${gateway} is not IPv${bytes === 4 ? 4 : 6}`));
    if (table !== undefined && gateway !== "")
      problems.push(
        invalid(`${at}.gateway`, "a table that somebody else fills has its own gateways", "leave it out"),
      );
    if (table === undefined && link === "")
      problems.push({
        code: "REQUIRED",
        path: `${at}.interface`,
        message: "a candidate needs an interface or a table",
      });
  });
  return [...problems, ...checkNetworks(spec, bytes)];
}

function checkNetworks(spec: EgressRoutePolicySpec, bytes: 4 | 16): Problem[] {
  const lists = {
    source_cidrs: spec.sourceCidrs,
    destination_cidrs: spec.destinationCidrs,
    exclude_destination_cidrs: spec.excludeDestinationCidrs,
  };
  return Object.entries(lists).flatMap(([field, cidrs]) =>
    cidrs.flatMap((cidr, i) => {
      const address = parseIp(cidr.split("/")[0]);
      if (!address || address.length === bytes) return [];
      return [invalid(`${field}[${i}]`, `${cidr} is not IPv${bytes === 4 ? 4 : 6}`)];
    }),
  );
}
