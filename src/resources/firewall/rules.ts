/** FirewallRule and FirewallPolicy: what becomes of new flows between zones, and to the host. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import type { LogMark } from "../../dataplane/logged-packet.ts";
import {
  FirewallAction,
  type FirewallPolicySpec,
  FirewallProtocol,
  type FirewallRuleSpec,
  FirewallRuleSpecSchema,
} from "../../gen/cairn/v1/firewall_kinds_pb.ts";
import { type Derivation, invalid, type ResourceKind, type Surroundings } from "../kind.ts";
import {
  type Family,
  limitRate,
  links,
  NftGroups,
  orderOf,
  parsePorts,
  portsText,
  rule,
} from "../nft/expressions.ts";
import { icmpTypeName } from "../nft/icmp-types.ts";
import { checkLog, logging, logStatement } from "./logging.ts";
import { firewallSteps } from "./steps.ts";
import { devicesOf } from "./zone.ts";

const actions: Readonly<Record<number, string>> = {
  [FirewallAction.ACCEPT]: "accept",
  [FirewallAction.DROP]: "drop",
  [FirewallAction.REJECT]: "reject",
};

const protocols: Readonly<Record<number, string>> = {
  [FirewallProtocol.UNSPECIFIED]: "",
  [FirewallProtocol.TCP]: "tcp",
  [FirewallProtocol.UDP]: "udp",
  [FirewallProtocol.ICMP]: "icmp",
  [FirewallProtocol.ICMPV6]: "icmpv6",
};

export const firewallPolicyKind: ResourceKind = {
  kind: "FirewallPolicy",
  check(message) {
    const spec = message as FirewallPolicySpec;
    return [...checkAction(spec.action), ...checkLog(spec)];
  },

  derive(message: Message, around: Surroundings): Derivation {
    const spec = message as FirewallPolicySpec;
    const groups = new NftGroups(`FirewallPolicy/${spec.name}`, spec);
    const way = between(spec.fromZone, spec.toZone, around);
    if (way === undefined) return nothing;
    groups.rules(way.chain, orderOf(firewallSteps.policies, 0), [
      ...(spec.log ? [rule(way.match, logging(spec, markOf(spec)))] : []),
      rule(way.match, "counter", actions[spec.action]),
    ]);
    return { artifacts: groups.artifacts };
  },
};

export const firewallRuleKind: ResourceKind = {
  kind: "FirewallRule",
  check: (message) => checkRule(message as FirewallRuleSpec),

  derive(message: Message, around: Surroundings): Derivation {
    const spec = message as FirewallRuleSpec;
    const groups = new NftGroups(`FirewallRule/${spec.name}`, spec);
    const way = between(spec.fromZone, spec.toZone, around);
    if (way === undefined) return nothing;
    const match = rule(way.match, serviceOf(spec));
    const ends = endsOf(spec);
    const rules = addressesOf(groups, spec).flatMap((addresses) =>
      ends.map((end) => rule(addresses, match, end)),
    );
    groups.rules(way.chain, orderOf(firewallSteps.rules, spec.priority ?? 1000), rules);
    return { artifacts: groups.artifacts };
  },
};

/** What becomes of packets that a rule is for: one statement, or first one that tells of them. */
function endsOf(spec: FirewallRuleSpec): string[] {
  const decision = rule("counter", actions[spec.action]);
  // Of those beyond its rate it decides nothing, and tells nothing.
  if (spec.ratePerS > 0)
    return [rule(limitRate(spec.ratePerS), spec.log ? logStatement(markOf(spec)) : "", decision)];
  if (!spec.log) return [decision];
  return [logging(spec, markOf(spec)), decision];
}

function markOf(spec: FirewallRuleSpec | FirewallPolicySpec): LogMark {
  const kind = spec.$typeName === FirewallRuleSpecSchema.typeName ? "FirewallRule" : "FirewallPolicy";
  return { action: actions[spec.action], owner: `${kind}/${spec.name}` };
}

/** A zone without links: there is nothing to decide. */
const nothing: Derivation = { artifacts: [] };

/** The chain that sees such packets, and what is true of them there; undefined when there are none. */
function between(
  from: string,
  to: string,
  around: Surroundings,
): { chain: string; match: string } | undefined {
  const inside = from === "" ? undefined : devicesOf(from, around);
  const outside = to === "" ? undefined : devicesOf(to, around);
  if (inside?.length === 0 || outside?.length === 0) return undefined;
  const match = rule(inside ? links("iifname", inside) : "", outside ? links("oifname", outside) : "");
  return { chain: outside ? "forward" : "input", match };
}

/** Alternatives of addresses; one that is empty when all are meant. */
function addressesOf(groups: NftGroups, spec: FirewallRuleSpec): string[] {
  const hasSources = spec.sourceCidrs.length + spec.sourceSets.length > 0;
  const hasDestinations = spec.destinationCidrs.length + spec.destinationSets.length > 0;
  if (!hasSources && !hasDestinations) return [""];
  return ([4, 6] as const).flatMap((family) => {
    if (!fits(spec.protocol, family)) return [];
    const sources = groups.addresses("saddr", "source", family, spec.sourceCidrs, spec.sourceSets);
    const destinations = groups.addresses(
      "daddr",
      "destination",
      family,
      spec.destinationCidrs,
      spec.destinationSets,
    );
    return sources.flatMap((source) => destinations.map((destination) => rule(source, destination)));
  });
}

function fits(protocol: FirewallProtocol, family: Family): boolean {
  return protocol !== (family === 4 ? FirewallProtocol.ICMPV6 : FirewallProtocol.ICMP);
}

/** Protocol, ports, types. */
function serviceOf(spec: FirewallRuleSpec): string {
  const protocol = protocols[spec.protocol];
  if (protocol === "") return "";
  if (protocol === "icmp" || protocol === "icmpv6") {
    const types = spec.icmpTypes.map((type) => icmpTypeName(protocol, type));
    if (types.length === 0) return `meta l4proto ${protocol === "icmp" ? "icmp" : "ipv6-icmp"}`;
    return `${protocol} type ${oneOf(types)}`;
  }
  const ports = (side: string, texts: readonly string[]): string =>
    texts.length === 0
      ? ""
      : `${protocol} ${side} ${oneOf(texts.map((text) => portsText(parsePorts(text)!)))}`;
  const match = rule(ports("sport", spec.sourcePorts), ports("dport", spec.destinationPorts));
  return match === "" ? `meta l4proto ${protocol}` : match;
}

function oneOf(texts: readonly string[]): string {
  const distinct = [...new Set(texts)].sort();
  return distinct.length === 1 ? distinct[0] : `{ ${distinct.join(", ")} }`;
}

function checkAction(action: FirewallAction): Problem[] {
  return action === FirewallAction.UNSPECIFIED || actions[action] !== undefined
    ? []
    : [invalid("action", `there is no action ${action}`)];
}

function checkRule(spec: FirewallRuleSpec): Problem[] {
  const problems = [...checkAction(spec.action), ...checkLog(spec)];
  if (spec.log && spec.ratePerS > 0 && spec.logRatePerS !== undefined) {
    const message = "a rule with rate_per_s tells of all that it decides";
    problems.push(invalid("log_rate_per_s", message, "leave one of the two out"));
  }
  const protocol = protocols[spec.protocol];
  if (protocol === undefined)
    return [...problems, invalid("protocol", `there is no protocol ${spec.protocol}`)];
  const hasPorts = protocol === "tcp" || protocol === "udp";
  for (const [path, texts] of [
    ["source_ports", spec.sourcePorts],
    ["destination_ports", spec.destinationPorts],
  ] as const) {
    if (texts.length > 0 && !hasPorts) {
      problems.push(invalid(path, "only tcp and udp have ports", "set protocol"));
      continue;
    }
    const spans = texts.map((text, i) => {
      const ports = parsePorts(text);
      if (!ports) {
        const message = `${text} is neither a port nor a range of ports`;
        problems.push(invalid(`${path}[${i}]`, message, "write 8080 or 8000-8010"));
      }
      return ports;
    });
    const sorted = spans.filter((span) => span !== undefined).sort((a, b) => a.first - b.first);
    const overlap = sorted.find((span, i) => i > 0 && span.first <= sorted[i - 1].last);
    if (overlap) problems.push(invalid(path, `${portsText(overlap)} is there already`, "leave it out"));
  }
  if (spec.icmpTypes.length > 0 && protocol !== "icmp" && protocol !== "icmpv6") {
    problems.push(invalid("icmp_types", "only icmp and icmpv6 have types", "set protocol"));
  }
  return problems;
}
