/** DynamicRange: who may become a neighbor by connecting. Its neighbors inherit everything from a peer group. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import type { DynamicRangeSpec } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import type { PeerGroupSpec } from "../../gen/cairn/v1/peer_group_service_pb.ts";
import { checkAsnRange } from "../../policy/asn-set.ts";
import { invalid, type KindRules, type SpecLookup } from "./rules.ts";

/** Stands for every AS number. */
export const anyAsn = "any";

export const dynamicRangeRules: KindRules = {
  inherits: ["PeerGroup"],
  deleteResets: true,
  check(message: Message, lookup: SpecLookup): Problem[] {
    const spec = message as DynamicRangeSpec;
    const problems: Problem[] = [];
    if (spec.prefix === "" && spec.interface === "") {
      problems.push({ code: "REQUIRED", path: "prefix", message: "a range needs a prefix or an interface" });
    }
    spec.remoteAsns.forEach((text, i) => {
      const wrong = text === anyAsn ? undefined : checkAsnRange(text);
      if (wrong !== undefined) problems.push(invalid(`remote_asns[${i}]`, wrong, 'or write "any"'));
    });
    return [...problems, ...checkGroup(spec, lookup)];
  },
};

function checkGroup(spec: DynamicRangeSpec, lookup: SpecLookup): Problem[] {
  const group = lookup("PeerGroup", spec.peerGroup) as PeerGroupSpec | undefined;
  if (!group) return [];
  const problems: Problem[] = [];
  if (spec.remoteAsns.length === 0 && group.remoteAsn === undefined && !group.remoteAs) {
    const message = `remote_asns is empty, and peer group ${group.name} has no remote_asn`;
    problems.push({
      code: "REQUIRED",
      path: "remote_asns",
      message,
      fix: 'name AS numbers, ranges, or "any"',
    });
  }
  if (spec.prefix === "" && (group.password !== undefined || group.keychain)) {
    const message = `peer group ${group.name} has a key, and the kernel finds keys by address only`;
    problems.push(invalid("prefix", message, "give the range a prefix too"));
  }
  if (group.ttlSecurity && group.multihopTtl) {
    const message = `peer group ${group.name} has both ttl_security and multihop_ttl`;
    problems.push(invalid("peer_group", message));
  }
  if (group.password !== undefined && group.keychain) {
    problems.push(invalid("peer_group", `peer group ${group.name} has both password and keychain`));
  }
  return problems;
}
