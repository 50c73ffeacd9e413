/** AddressSet: networks by name, as one set per family in the kernel. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import type { AddressSetSpec } from "../../gen/cairn/v1/nat_kinds_pb.ts";
import { type Derivation, invalid, type ResourceKind } from "../kind.ts";
import { elementsOf, NftGroups, setName } from "../nft/expressions.ts";

/** Networks of one set. */
const cidrsMax = 65_536;

export const addressSetKind: ResourceKind = {
  kind: "AddressSet",
  check(message: Message): Problem[] {
    const { cidrs } = message as AddressSetSpec;
    if (cidrs.length <= cidrsMax) return [];
    return [invalid("cidrs", `${cidrs.length} networks are more than ${cidrsMax}`, "divide the set")];
  },

  derive(message: Message): Derivation {
    const spec = message as AddressSetSpec;
    const groups = new NftGroups(`AddressSet/${spec.name}`, spec);
    // Both exist, be they empty: rules of either family may refer to them.
    groups.set(setName(spec.name, 4), 4, spec.cidrs);
    groups.set(setName(spec.name, 6), 6, spec.cidrs);
    const count = (family: 4 | 6): string => String(elementsOf(spec.cidrs, family).length);
    return { artifacts: groups.artifacts, values: { ipv4: count(4), ipv6: count(6) } };
  },
};
