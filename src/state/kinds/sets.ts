/** The sets that policies match on: prefixes, AS paths, communities, neighbors, AS numbers, next hops. */
import type { Message } from "@bufbuild/protobuf";
import type {
  AsnSetSpec,
  AsPathSetSpec,
  CommunitySetSpec,
  NeighborSetSpec,
  NextHopSetSpec,
  PrefixSetSpec,
} from "../../gen/cairn/v1/policy_service_pb.ts";
import {
  validateAsnSet,
  validateAsPathSet,
  validateCommunitySet,
  validateNeighborSet,
  validateNextHopSet,
  validatePrefixSet,
} from "../../policy/validate.ts";
import { canonicalIp, canonicalPrefix } from "../schema-formats.ts";
import type { KindRules } from "./rules.ts";

export const prefixSetRules: KindRules = {
  check: (message: Message) => validatePrefixSet(message as PrefixSetSpec),
};

export const asPathSetRules: KindRules = {
  check: (message: Message) => validateAsPathSet(message as AsPathSetSpec),
};

export const communitySetRules: KindRules = {
  check: (message: Message) => validateCommunitySet(message as CommunitySetSpec),
};

export const neighborSetRules: KindRules = {
  check: (message: Message) => validateNeighborSet(message as NeighborSetSpec),
  canonicalise(message: Message): void {
    canonicaliseAddresses(message as NeighborSetSpec);
  },
};

export const asnSetRules: KindRules = {
  check: (message: Message) => validateAsnSet(message as AsnSetSpec),
};

export const nextHopSetRules: KindRules = {
  check: (message: Message) => validateNextHopSet(message as NextHopSetSpec),
  canonicalise(message: Message): void {
    canonicaliseAddresses(message as NextHopSetSpec);
  },
};

function canonicaliseAddresses(spec: { addresses: string[] }): void {
  spec.addresses = spec.addresses.map((text) => {
    const member = text.includes("/") ? canonicalPrefix(text) : canonicalIp(text);
    return member.ok ? member.text : text;
  });
}
