/** The sets that policies match on: prefixes, AS paths, communities, neighbors. */
import type { Message } from "@bufbuild/protobuf";
import type {
  AsPathSetSpec,
  CommunitySetSpec,
  NeighborSetSpec,
  PrefixSetSpec,
} from "../../gen/cairn/v1/policy_service_pb.ts";
import {
  validateAsPathSet,
  validateCommunitySet,
  validateNeighborSet,
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
    const spec = message as NeighborSetSpec;
    spec.addresses = spec.addresses.map((text) => {
      const member = text.includes("/") ? canonicalPrefix(text) : canonicalIp(text);
      return member.ok ? member.text : text;
    });
  },
};
