/** NAT44Rule: translation of IPv4 addresses: masquerade, source NAT, and forwarded ports with hairpin. */
import type { Message } from "@bufbuild/protobuf";
import { formatPrefix, maskBytes, parseIp } from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import type { Link } from "../../dataplane/kernel-model.ts";
import { type NAT44RuleSpec, Nat44Type, PortProtocol } from "../../gen/cairn/v1/nat_kinds_pb.ts";
import { devicesOfPolicy } from "../egress-route-policy/ways.ts";
import { deviceOf } from "../interface/kind.ts";
import { type Derivation, invalid, type ResourceKind, type Surroundings } from "../kind.ts";
import { links, NftGroups, orderOf, parsePorts, portsText, rule } from "../nft/expressions.ts";

/** Steps in the chains: what hairpin needs comes before what translates flows to the outside. */
const hairpinStep = 100;
const ruleStep = 500;

/** Addresses of one pool. */
const poolMax = 256;

const protocols: Readonly<Record<number, string>> = { [PortProtocol.TCP]: "tcp", [PortProtocol.UDP]: "udp" };

/** Fields that make sense for one type only, by their names in the schema. */
const sourceFields = [
  "egress_interface",
  "egress_policy",
  "destination_cidrs",
  "destination_sets",
  "exclude_destination_cidrs",
  "exclude_destination_sets",
] as const;
const forwardFields = [
  "ingress_interface",
  "protocol",
  "ports",
  "outside_address",
  "target_address",
  "target_port",
  "hairpin_interfaces",
] as const;

export const nat44RuleKind: ResourceKind = {
  kind: "NAT44Rule",
  check: (message) => checkRule(message as NAT44RuleSpec),

  derive(message: Message, around: Surroundings): Derivation {
    const spec = message as NAT44RuleSpec;
    const groups = new NftGroups(`NAT44Rule/${spec.name}`, spec);
    const isForward = spec.type === Nat44Type.DNAT;
    if (spec.egressPolicy !== "") return followPolicy(groups, spec, around);
    const device = deviceOf(isForward ? spec.ingressInterface : spec.egressInterface, around);
    const link = around.link(device);
    if (isForward) forwardPorts(groups, spec, device, link, around);
    else translateSources(groups, spec, [device]);
    const values = { device, ...(isForward && link && { outside: outsideOf(spec, link).join(" ") }) };
    const { artifacts } = groups;
    if (link) return { artifacts, values };
    // The rules are there already, and take effect with the first packet of the link.
    return {
      artifacts,
      values,
      pending: { reason: "DEVICE_MISSING", message: `link ${device} is not there` },
    };
  },
};

/**
 * Flows leave through the link that their mark says, so the rule is for the links of all candidates: it is the same
 * before and after the policy chooses another one, and holds for flows that stay on the old one, too.
 */
function followPolicy(groups: NftGroups, spec: NAT44RuleSpec, around: Surroundings): Derivation {
  const devices = devicesOfPolicy(spec.egressPolicy, around);
  if (devices.length > 0) translateSources(groups, spec, devices);
  const values = {
    device: devices.join(" "),
    selected: around.egress(spec.egressPolicy)?.chosen.join(" ") ?? "",
  };
  if (devices.some((device) => around.link(device))) return { artifacts: groups.artifacts, values };
  const message =
    devices.length === 0
      ? `egress policy ${spec.egressPolicy} has no candidates with an interface`
      : `none of the links of egress policy ${spec.egressPolicy} is there`;
  return { artifacts: groups.artifacts, values, pending: { reason: "DEVICE_MISSING", message } };
}

function translateSources(groups: NftGroups, spec: NAT44RuleSpec, devices: readonly string[]): void {
  const sources = groups.addresses("saddr", "source", 4, spec.sourceCidrs, spec.sourceSets);
  const destinations = groups.addresses(
    "daddr",
    "destination",
    4,
    spec.destinationCidrs,
    spec.destinationSets,
  );
  const excluded = groups.notAddresses(
    "daddr",
    "exclude",
    4,
    spec.excludeDestinationCidrs,
    spec.excludeDestinationSets,
  );
  const rules = sources.flatMap((source) =>
    destinations.map((destination) => {
      const match = rule(source, destination, excluded);
      return rule(
        match === "" ? "meta nfproto ipv4" : match,
        links("oifname", devices),
        "counter",
        translation(spec),
      );
    }),
  );
  groups.rules("postrouting", orderOf(ruleStep, spec.priority ?? 1000), rules);
}

function translation({ type, addresses }: NAT44RuleSpec): string {
  if (type !== Nat44Type.SNAT) return "masquerade";
  if (addresses.length === 1) return `snat ip to ${addresses[0]}`;
  const pool = addresses.map((address, i) => `${i} : ${address}`).join(", ");
  return `snat ip to jhash ip saddr mod ${addresses.length} map { ${pool} }`;
}

function forwardPorts(
  groups: NftGroups,
  spec: NAT44RuleSpec,
  device: string,
  link: Link | undefined,
  around: Surroundings,
): void {
  const priority = spec.priority ?? 1000;
  const ports = `${protocols[spec.protocol]} dport ${portsText(parsePorts(spec.ports)!)}`;
  const target = spec.targetPort === undefined ? "" : `:${spec.targetPort}`;
  const to = `dnat ip to ${spec.targetAddress}${target}`;
  const sources = groups.addresses("saddr", "source", 4, spec.sourceCidrs, spec.sourceSets);
  const outside =
    spec.outsideAddress === "" ? "fib daddr . iif type local" : `ip daddr ${spec.outsideAddress}`;
  const from = sources.map((source) => {
    const family = source === "" && spec.outsideAddress === "" ? "meta nfproto ipv4" : "";
    return rule(family, source, links("iifname", [device]), outside, ports, "counter", to);
  });
  const inside = spec.hairpinInterfaces.map((name) => deviceOf(name, around));
  if (inside.length === 0) {
    groups.rules("prerouting", orderOf(ruleStep, priority), from);
    return;
  }
  const addresses =
    spec.outsideAddress !== ""
      ? spec.outsideAddress
      : groups.set(`NAT44Rule.${spec.name}.outside`, 4, link ? outsideOf(spec, link) : []);
  const back = rule(links("iifname", inside), `ip daddr ${addresses}`, ports, "counter", to);
  groups.rules("prerouting", orderOf(ruleStep, priority), [...from, back]);
  // Clients on the target's own link would get its answers from an address that they never asked.
  const onLink = inside.flatMap((name) => {
    const found = around.link(name);
    return found ? networksWith(found, parseIp(spec.targetAddress)!) : [];
  });
  const arrived =
    spec.targetPort === undefined ? ports : `${protocols[spec.protocol]} dport ${spec.targetPort}`;
  const returning = groups
    .addresses("saddr", "inside", 4, onLink, [])
    .filter((match) => match !== "")
    .map((match) =>
      rule("ct status dnat", match, `ip daddr ${spec.targetAddress}`, arrived, "counter", "masquerade"),
    );
  groups.rules("postrouting", orderOf(hairpinStep, priority), returning);
}

/** Addresses that lead to the target when they are addressed from inside, with their length. */
function outsideOf({ outsideAddress }: NAT44RuleSpec, { addresses }: Link): string[] {
  if (outsideAddress !== "") return [`${outsideAddress}/32`];
  return addresses
    .filter(({ address }) => address.length === 4)
    .map(({ address }) => formatPrefix({ bytes: address, length: 32 }));
}

/** On-link networks of a link that have this address in them. */
function networksWith({ addresses }: Link, target: Uint8Array): string[] {
  return addresses.flatMap(({ address, length }) => {
    if (address.length !== target.length) return [];
    const [network, other] = [address.slice(), target.slice()];
    maskBytes(network, length);
    maskBytes(other, length);
    return network.every((byte, i) => byte === other[i]) ? [formatPrefix({ bytes: network, length })] : [];
  });
}

function checkRule(spec: NAT44RuleSpec): Problem[] {
  const problems: Problem[] = [];
  const { SNAT, DNAT } = Nat44Type;
  if (spec.type < 0 || spec.type > DNAT) return [invalid("type", `there is no type ${spec.type}`)];
  const isForward = spec.type === DNAT;
  const word = isForward ? "dnat" : spec.type === SNAT ? "snat" : "masquerade";
  const given: Readonly<Record<string, boolean>> = {
    egress_interface: spec.egressInterface !== "",
    egress_policy: spec.egressPolicy !== "",
    ingress_interface: spec.ingressInterface !== "",
    destination_cidrs: spec.destinationCidrs.length > 0,
    destination_sets: spec.destinationSets.length > 0,
    exclude_destination_cidrs: spec.excludeDestinationCidrs.length > 0,
    exclude_destination_sets: spec.excludeDestinationSets.length > 0,
    addresses: spec.addresses.length > 0,
    protocol: spec.protocol !== PortProtocol.UNSPECIFIED,
    ports: spec.ports !== "",
    outside_address: spec.outsideAddress !== "",
    target_address: spec.targetAddress !== "",
    target_port: spec.targetPort !== undefined,
    hairpin_interfaces: spec.hairpinInterfaces.length > 0,
  };
  if (given.egress_interface && given.egress_policy) {
    problems.push(
      invalid("egress_policy", "packets leave through egress_interface or by egress_policy", "leave one out"),
    );
  }
  const egress = given.egress_policy ? [] : ["egress_interface"];
  const needed = isForward
    ? ["ingress_interface", "protocol", "ports", "target_address"]
    : spec.type === SNAT
      ? [...egress, "addresses"]
      : egress;
  for (const field of needed) {
    if (!given[field])
      problems.push({ code: "REQUIRED", path: field, message: `a ${word} rule needs ${field}` });
  }
  const foreign = [
    ...(isForward ? sourceFields : forwardFields),
    ...(spec.type === SNAT ? [] : ["addresses"]),
  ];
  for (const field of foreign) {
    if (given[field]) problems.push(invalid(field, `${field} is not for a ${word} rule`, "leave it out"));
  }
  return [...problems, ...checkValues(spec)];
}

function checkValues(spec: NAT44RuleSpec): Problem[] {
  const problems: Problem[] = [];
  const ip4 = (path: string, text: string): void => {
    const address = text === "" ? undefined : parseIp(text.split("/")[0]);
    if (address?.length === 16) problems.push(invalid(path, `${text} is not IPv4`));
  };
  const all = (path: string, list: readonly string[]): void => {
    list.forEach((text, i) => {
      ip4(`${path}[${i}]`, text);
    });
  };
  all("source_cidrs", spec.sourceCidrs);
  all("destination_cidrs", spec.destinationCidrs);
  all("exclude_destination_cidrs", spec.excludeDestinationCidrs);
  all("addresses", spec.addresses);
  ip4("outside_address", spec.outsideAddress);
  ip4("target_address", spec.targetAddress);
  if (spec.addresses.length > poolMax) {
    problems.push(invalid("addresses", `${spec.addresses.length} addresses are more than ${poolMax}`));
  }
  if (spec.protocol !== PortProtocol.UNSPECIFIED && protocols[spec.protocol] === undefined) {
    problems.push(invalid("protocol", `there is no protocol ${spec.protocol}`));
  }
  const ports = spec.ports === "" ? undefined : parsePorts(spec.ports);
  if (spec.ports !== "" && !ports) {
    problems.push(
      invalid("ports", `${spec.ports} is neither a port nor a range of ports`, "write 8080 or 8000-8010"),
    );
  }
  if (ports && ports.first !== ports.last && spec.targetPort !== undefined) {
    problems.push(
      invalid("target_port", "a range of ports is forwarded to the same ports", "leave target_port out"),
    );
  }
  return problems;
}
