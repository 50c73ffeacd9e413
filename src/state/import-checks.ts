/** What is asked of a route before import policy, as a table in the order in which it is asked. */
import { AttributeFlag } from "../policy/attribute-table.ts";
import type { AttrId, AttributeStore } from "../rib/attribute-store.ts";
import { RejectReason } from "../rib/path-flags.ts";
import { AttributeType } from "../wire/attributes/descriptor.ts";
import { attributeEnd, findAttribute, valueAt } from "../wire/block-walk.ts";
import { readU32 } from "../wire/message.ts";
import type { AttributeBlock } from "../wire/scratch.ts";
import { isLeak, otcOf } from "./import-finish.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import { beginsInOwnAs, countOwnAs, firstMemberAs } from "./own-as.ts";
import type { NeighborConfig } from "./session-port.ts";

/** What the checks look at. One object, filled again for each attribute set. */
export interface CheckSubject {
  readonly attributes: AttributeStore;
  record: NeighborRecord;
  config: NeighborConfig;
  /** As received, as id and as block. */
  attr: AttrId;
  block: AttributeBlock;
  /** RFC 8212 is in force. */
  requirePolicy: boolean;
  /** The next hop is one of our addresses. */
  namesUs(): boolean;
}

/** One check on the way of a route that comes in, as explanations name it. */
export interface ImportGate {
  readonly name: string;
  /** What it means to have passed; `rejectReasonText` says what it means not to. */
  readonly passes: string;
  readonly reason: RejectReason;
}

export interface ImportCheck extends ImportGate {
  refuses(subject: CheckSubject): boolean;
}

export const importChecks: readonly ImportCheck[] = [
  {
    name: "max-as-path-length",
    passes: "the AS path is not too long",
    reason: RejectReason.pathTooLong,
    refuses: ({ config: { maxAsPathLength }, attributes, attr }) =>
      maxAsPathLength > 0 && attributes.pathLength[attr] > maxAsPathLength,
  },
  {
    name: "own-as",
    passes: "our own AS is not in the path more often than allowed",
    reason: RejectReason.ownAs,
    refuses: ({ config, block, attributes, attr }) =>
      countOwnAs(block, config) > config.allowOwnAs &&
      !(config.allowOwnAsOrigin && beginsInOwnAs(attributes.originAs[attr], config)),
  },
  {
    name: "first-as",
    passes: "the first AS is the neighbor's, or is not enforced",
    reason: RejectReason.firstAs,
    refuses: ({ config, attributes, attr, block }) =>
      config.enforceFirstAs &&
      ((config.external && attributes.neighborAs[attr] !== config.remoteAsn) ||
        (config.confederationMember && firstMemberAs(block) !== config.remoteAsn)),
  },
  {
    name: "originator-id",
    passes: "the route did not start with us",
    reason: RejectReason.originatorLoop,
    refuses: ({ config, attributes, attr }) =>
      !config.external &&
      (attributes.flags[attr] & AttributeFlag.hasOriginatorId) !== 0 &&
      attributes.originatorId[attr] === config.routerId,
  },
  {
    name: "cluster-list",
    passes: "the route has not been through our cluster",
    reason: RejectReason.clusterLoop,
    refuses: ({ config, attributes, attr, block }) =>
      !config.external &&
      (attributes.flags[attr] & AttributeFlag.hasClusterList) !== 0 &&
      hasCluster(block, config.clusterId),
  },
  {
    name: "only-to-customer",
    passes: "no route leak by ONLY_TO_CUSTOMER",
    reason: RejectReason.routeLeak,
    refuses: ({ config, attributes, attr, block }) =>
      config.role !== undefined &&
      (attributes.flags[attr] & AttributeFlag.hasOtc) !== 0 &&
      isLeak(config.role, config.remoteAsn, otcOf(block)),
  },
  {
    name: "own-next-hop",
    passes: "the next hop is not one of our addresses",
    reason: RejectReason.nextHopIsSelf,
    refuses: (subject) => subject.namesUs(),
  },
  {
    name: "policy-required",
    passes: "there is an import policy, or none is needed (RFC 8212)",
    reason: RejectReason.noPolicy,
    refuses: ({ config, requirePolicy }) =>
      config.external && config.importPolicies.length === 0 && requirePolicy,
  },
];

function hasCluster(block: AttributeBlock, clusterId: number): boolean {
  const { bytes, start, end } = block;
  const list = findAttribute(bytes, start, end, AttributeType.clusterList);
  if (list < 0) return false;
  const listEnd = attributeEnd(bytes, list);
  for (let at = valueAt(bytes, list); at < listEnd; at += 4)
    if (readU32(bytes, at) === clusterId) return true;
  return false;
}
