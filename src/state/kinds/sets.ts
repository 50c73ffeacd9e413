/** The sets that policies match on: prefixes, AS paths, communities, neighbors. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import type { NeighborSetSpec, PrefixSetSpec } from "../../gen/cairn/v1/policy_service_pb.ts";
import { canonicalIp, canonicalPrefix } from "../schema-formats.ts";
import { checkPrefixRules } from "./prefix-rule.ts";
import { invalid, type KindRules } from "./rules.ts";

export const prefixSetRules: KindRules = {
  check: (message: Message) => checkPrefixRules("prefixes", (message as PrefixSetSpec).prefixes),
};

export const asPathSetRules: KindRules = {};

export const communitySetRules: KindRules = {};

/** An address or a prefix. */
const canonicalMember = (text: string) => (text.includes("/") ? canonicalPrefix(text) : canonicalIp(text));

export const neighborSetRules: KindRules = {
  check(message: Message): Problem[] {
    return (message as NeighborSetSpec).addresses.flatMap((text, i) => {
      const member = canonicalMember(text);
      return member.ok ? [] : [invalid(`addresses[${i}]`, member.message, member.fix)];
    });
  },
  canonicalise(message: Message): void {
    const spec = message as NeighborSetSpec;
    spec.addresses = spec.addresses.map((text) => {
      const member = canonicalMember(text);
      return member.ok ? member.text : text;
    });
  },
};
