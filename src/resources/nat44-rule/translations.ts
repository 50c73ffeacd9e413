/** What NAT44Rule objects translate, in the form in which flows of the kernel are compared with it. */
import { type Prefix, parseIp, parsePrefix } from "../../base/ip.ts";
import { parseProtocol } from "../../base/ip-protocols.ts";
import { type Ranges, rangesOf, type TranslationRule } from "../../dataplane/translations.ts";
import {
  type AddressSetSpec,
  type NAT44RuleSpec,
  Nat44Type,
  PortProtocol,
} from "../../gen/cairn/v1/nat_kinds_pb.ts";
import { devicesOfPolicy } from "../egress-route-policy/ways.ts";
import { deviceOf } from "../interface/kind.ts";
import type { Surroundings } from "../kind.ts";
import { parsePorts } from "../nft/expressions.ts";

/** All rules, in the order in which the kernel asks them; those that forward ports first, as they come before the others. */
export function translationRules(around: Surroundings): TranslationRule[] {
  const specs = [...around.names("NAT44Rule")].map((name) => around.spec("NAT44Rule", name) as NAT44RuleSpec);
  return specs
    .sort(
      (a, b) =>
        Number(b.type === Nat44Type.DNAT) - Number(a.type === Nat44Type.DNAT) ||
        (a.priority ?? 1000) - (b.priority ?? 1000) ||
        (a.name < b.name ? -1 : 1),
    )
    .map((spec) => (spec.type === Nat44Type.DNAT ? forwarding(spec, around) : giving(spec, around)));
}

function forwarding(spec: NAT44RuleSpec, around: Surroundings): TranslationRule {
  return {
    name: spec.name,
    side: "destination",
    sources: networks(spec.sourceCidrs, spec.sourceSets, around),
    destinations: spec.outsideAddress === "" ? undefined : hosts([spec.outsideAddress]),
    excluded: nothing,
    given: hosts([spec.targetAddress]),
    protocol: parseProtocol(spec.protocol === PortProtocol.UDP ? "udp" : "tcp")!,
    ports: parsePorts(spec.ports),
  };
}

function giving(spec: NAT44RuleSpec, around: Surroundings): TranslationRule {
  return {
    name: spec.name,
    side: "source",
    sources: networks(spec.sourceCidrs, spec.sourceSets, around),
    destinations: networks(spec.destinationCidrs, spec.destinationSets, around),
    excluded: networks(spec.excludeDestinationCidrs, spec.excludeDestinationSets, around) ?? nothing,
    given: spec.type === Nat44Type.SNAT ? hosts(spec.addresses) : addressesOf(spec, around),
    protocol: 0,
    ports: undefined,
  };
}

const nothing: Ranges = new Uint32Array(0);

/** Addresses that a masquerade gives; undefined while nobody knows them. */
function addressesOf(
  { egressInterface, egressPolicy }: NAT44RuleSpec,
  around: Surroundings,
): Ranges | undefined {
  const devices =
    egressPolicy === "" ? [deviceOf(egressInterface, around)] : devicesOfPolicy(egressPolicy, around);
  const links = devices.flatMap((device) => around.link(device) ?? []);
  if (links.length === 0) return undefined;
  const addresses = links.flatMap((link) => link.addresses.map(({ address }) => address));
  return rangesOf(addresses.map((bytes) => ({ bytes, length: 32 })));
}

function hosts(addresses: readonly string[]): Ranges {
  return rangesOf(
    addresses.flatMap((text): Prefix[] => {
      const bytes = parseIp(text);
      return bytes ? [{ bytes, length: 32 }] : [];
    }),
  );
}

/** Networks and sets together; undefined when there are none, which stands for all. */
function networks(
  cidrs: readonly string[],
  sets: readonly string[],
  around: Surroundings,
): Ranges | undefined {
  if (cidrs.length + sets.length === 0) return undefined;
  const ofSets = sets.flatMap(
    (name) => (around.spec("AddressSet", name) as AddressSetSpec | undefined)?.cidrs ?? [],
  );
  return rangesOf(
    [...cidrs, ...ofSets].flatMap((text): Prefix[] => {
      const prefix = parsePrefix(text);
      return typeof prefix === "string" ? [] : [prefix];
    }),
  );
}
