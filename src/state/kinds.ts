/**
 * The registry of kinds. A kind is a message with the `kind` option; it is found here by walking the schema files, and
 * gets what its options cannot say from `kinds/<kind>.ts`. To add a kind: write its message, list its file below if
 * it is in a new one, and add rules if it needs any.
 */
import { type DescFile, type DescMessage, getOption, hasOption, type Message } from "@bufbuild/protobuf";
import { assert } from "../base/assert.ts";
import { nearestName } from "../base/problem.ts";
import { file_cairn_v1_bmp_service } from "../gen/cairn/v1/bmp_service_pb.ts";
import { file_cairn_v1_egress_service } from "../gen/cairn/v1/egress_service_pb.ts";
import { file_cairn_v1_fib_kinds } from "../gen/cairn/v1/fib_kinds_pb.ts";
import { file_cairn_v1_firewall_kinds } from "../gen/cairn/v1/firewall_kinds_pb.ts";
import { file_cairn_v1_flowspec_kinds } from "../gen/cairn/v1/flowspec_kinds_pb.ts";
import { file_cairn_v1_global_service } from "../gen/cairn/v1/global_service_pb.ts";
import { file_cairn_v1_health_kinds } from "../gen/cairn/v1/health_kinds_pb.ts";
import { file_cairn_v1_host_kinds } from "../gen/cairn/v1/host_kinds_pb.ts";
import { file_cairn_v1_keychain_service } from "../gen/cairn/v1/keychain_service_pb.ts";
import { file_cairn_v1_link_kinds } from "../gen/cairn/v1/link_kinds_pb.ts";
import { file_cairn_v1_mrt_service } from "../gen/cairn/v1/mrt_service_pb.ts";
import { file_cairn_v1_nat_kinds } from "../gen/cairn/v1/nat_kinds_pb.ts";
import { file_cairn_v1_neighbor_service } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { kind as kindOption } from "../gen/cairn/v1/options_pb.ts";
import { file_cairn_v1_peer_group_service } from "../gen/cairn/v1/peer_group_service_pb.ts";
import { file_cairn_v1_policy_service } from "../gen/cairn/v1/policy_service_pb.ts";
import { file_cairn_v1_redistribute_kinds } from "../gen/cairn/v1/redistribute_kinds_pb.ts";
import { file_cairn_v1_route_kinds } from "../gen/cairn/v1/route_kinds_pb.ts";
import { file_cairn_v1_rpki_service } from "../gen/cairn/v1/rpki_service_pb.ts";
import { resourceKinds } from "../resources/registry.ts";
import { bmpCollectorRules } from "./kinds/bmp-collector.ts";
import { dynamicRangeRules } from "./kinds/dynamic-range.ts";
import { globalRules } from "./kinds/global.ts";
import { keychainRules } from "./kinds/keychain.ts";
import { mrtDumpRules } from "./kinds/mrt-dump.ts";
import { neighborRules } from "./kinds/neighbor.ts";
import { peerGroupRules } from "./kinds/peer-group.ts";
import { policyRules } from "./kinds/policy.ts";
import { rpkiCacheRules } from "./kinds/rpki-cache.ts";
import type { KindRules } from "./kinds/rules.ts";
import {
  asnSetRules,
  asPathSetRules,
  communitySetRules,
  neighborSetRules,
  nextHopSetRules,
  prefixSetRules,
} from "./kinds/sets.ts";
import { type FieldInfo, fieldNamed, fieldValue } from "./schema.ts";

export interface Kind {
  /** As in metadata.kind, for example `Neighbor`. */
  readonly name: string;
  /** Section of the configuration file, for example `neighbors`. */
  readonly section: string;
  /** The field that names the object; undefined for a singleton. */
  readonly key: FieldInfo | undefined;
  readonly desc: DescMessage;
  readonly rules: KindRules;
}

const files: readonly DescFile[] = [
  file_cairn_v1_global_service,
  file_cairn_v1_neighbor_service,
  file_cairn_v1_peer_group_service,
  file_cairn_v1_keychain_service,
  file_cairn_v1_policy_service,
  file_cairn_v1_mrt_service,
  file_cairn_v1_rpki_service,
  file_cairn_v1_bmp_service,
  file_cairn_v1_link_kinds,
  file_cairn_v1_route_kinds,
  file_cairn_v1_host_kinds,
  file_cairn_v1_nat_kinds,
  file_cairn_v1_firewall_kinds,
  file_cairn_v1_fib_kinds,
  file_cairn_v1_flowspec_kinds,
  file_cairn_v1_egress_service,
  file_cairn_v1_health_kinds,
  file_cairn_v1_redistribute_kinds,
];

const rulesByKind: Readonly<Record<string, KindRules>> = {
  Global: globalRules,
  Neighbor: neighborRules,
  PeerGroup: peerGroupRules,
  DynamicRange: dynamicRangeRules,
  Keychain: keychainRules,
  MrtDump: mrtDumpRules,
  RpkiCache: rpkiCacheRules,
  BmpCollector: bmpCollectorRules,
  Policy: policyRules,
  PrefixSet: prefixSetRules,
  AsPathSet: asPathSetRules,
  CommunitySet: communitySetRules,
  NeighborSet: neighborSetRules,
  AsnSet: asnSetRules,
  NextHopSet: nextHopSetRules,
};

/** All kinds by name, in the order of the schema files. */
export const kinds: ReadonlyMap<string, Kind> = new Map(
  files.flatMap((file) =>
    file.messages
      .filter((desc) => hasOption(desc, kindOption))
      .map((desc) => {
        const kind = describeKind(desc);
        return [kind.name, kind] as const;
      }),
  ),
);

function describeKind(desc: DescMessage): Kind {
  const option = getOption(desc, kindOption);
  const key = option.key === "" ? undefined : fieldNamed(desc, option.key);
  assert(option.key === "" || key, `${desc.typeName} has no key field ${option.key}`);
  return { name: option.kind, section: option.section, key, desc, rules: rulesOf(option.kind) };
}

/** A router resource brings its rules with it. */
function rulesOf(kind: string): KindRules {
  return rulesByKind[kind] ?? resourceKinds.get(kind) ?? {};
}

/** The kind whose objects stand in this section of a configuration file. */
export function kindOfSection(section: string): Kind | undefined {
  for (const kind of kinds.values()) if (kind.section === section) return kind;
  return undefined;
}

/** The kind whose spec is this message type, for example `cairn.v1.NeighborSpec`. */
export function kindOfSpec(typeName: string): Kind | undefined {
  for (const kind of kinds.values()) if (kind.desc.typeName === typeName) return kind;
  return undefined;
}

/** Name of the object that `spec` describes: its key field, or the section for a singleton. */
export function objectName(kind: Kind, spec: Message): string {
  return kind.key ? String(fieldValue(spec, kind.key)) : kind.section;
}

/** A kind's name close to `word`, for hints. */
export function nearestKind(word: string): string | undefined {
  return nearestName(word, kinds.keys());
}

/** Objects that exist without being declared and cannot be declared: the policies accept-all and reject-all. */
export function builtin(kind: string, name: string): Message | undefined {
  return kinds.get(kind)?.rules.builtins?.get(name);
}
