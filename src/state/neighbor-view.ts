/** A neighbor as the API shows it: what is declared, what is in force, what the session and the tables say. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { formatPrefix } from "../base/ip.ts";
import { limits } from "../base/limits.ts";
import {
  type FamilyState,
  FamilyStateSchema,
  type Neighbor,
  NeighborSchema,
  type NeighborSpec,
  NeighborSpecSchema,
  type NeighborState,
  type OutboundFilterState,
  OutboundFilterStateSchema,
} from "../gen/cairn/v1/neighbor_service_pb.ts";
import { MetadataSchema } from "../gen/cairn/v1/types_pb.ts";
import type { Family } from "../wire/family.ts";
import { bfdState } from "./bfd-view.ts";
import type { Core } from "./core.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import type { Specs } from "./objects.ts";
import { filterOf } from "./outbound-filters.ts";
import { effectiveSpec } from "./resolve.ts";
import { redacted } from "./schema-diff.ts";
import { missingPolicies, withoutPolicyText } from "./sessions-text.ts";
import type { ObjectView } from "./view.ts";

export function neighborMessage(core: Core, address: string): Neighbor | undefined {
  const record = core.neighbors.named(address);
  const view = core.objects.get("Neighbor", address) ?? dynamicView(core, address);
  if (!view || !record) return undefined;
  const state = core.sessions.state(record.id, core.nowMs, core.wallMs);
  const negotiated = record.negotiated?.families;
  const shown = record.config.families.filter(
    (family) => negotiated === undefined || (negotiated & (1 << family.index)) !== 0,
  );
  if (record.negotiated && record.config.external && core.neighbors.requirePolicy) {
    const missing = missingPolicies(record.config);
    if (missing.length > 0) state.status ||= withoutPolicyText(missing);
  }
  state.families = shown.map((family) => familyState(core, record, family));
  state.treatAsWithdraw = BigInt(record.treatAsWithdraw);
  state.attributeDiscard = BigInt(record.attributeDiscard);
  state.refreshesJoined = BigInt(record.refreshesJoined);
  protection(core, record, state);
  state.bfdState = bfdState(core.bfd.get(address));
  const effective = effectiveSpec(core.dynamic.dynamic, address);
  const group = record.groups.find((each) => each !== undefined);
  state.updateGroup = group?.id ?? 0;
  return create(NeighborSchema, {
    metadata: create(MetadataSchema, view.metadata),
    spec: view.spec as NeighborSpec,
    state,
    effective: effective && redacted(NeighborSpecSchema, effective),
  });
}

/** A neighbor that nobody declared, in the form of one. */
function dynamicView(core: Core, address: string): ObjectView | undefined {
  const { dynamic } = core.dynamic;
  const member = dynamic.member(address);
  const spec = dynamic.spec("Neighbor", address);
  if (!member || !spec) return undefined;
  const time = timestampFromMs(member.createdWallMs);
  const metadata = create(MetadataSchema, {
    kind: "Neighbor",
    name: address,
    created: time,
    updated: time,
    managedBy: `dynamic:${member.range.name}`,
  });
  return { metadata, spec };
}

function protection(core: Core, { config, negotiated }: NeighborRecord, state: NeighborState): void {
  state.authentication = config.password !== undefined ? "md5" : config.keys.length > 0 ? "tcp-ao" : "none";
  state.minimumTtl = config.minTtl;
  state.dynamicRange = config.dynamic?.range ?? "";
  const member = core.dynamic.dynamic.member(config.address);
  if (member && Number.isFinite(member.forgetAtMs)) {
    state.forgottenIn = durationFromMs(Math.max(0, Math.ceil(member.forgetAtMs - core.nowMs)));
  }
  if (negotiated || config.shutdown) return;
  const hint = core.refusals.hint(config);
  if (hint !== "") state.status = state.status === "" ? hint : `${state.status}; ${hint}`;
}

function familyState(core: Core, record: NeighborRecord, family: Family): FamilyState {
  const table = core.routing.table(family);
  const received = table.received[record.id];
  const accepted = table.accepted[record.id];
  const group = record.groups[family.index];
  return create(FamilyStateSchema, {
    family: family.name,
    received: BigInt(received),
    accepted: BigInt(accepted),
    rejected: BigInt(received - accepted),
    advertised: BigInt(group?.advertisedTo(record.id) ?? 0),
    limit: BigInt(record.config.prefixLimits[family.index]?.max ?? 0),
    ...restartFields(core, record, family),
    endOfRibReceived: record.endOfRibReceived[family.index],
    endOfRibSent: record.endOfRibSent[family.index],
    inSync: group?.inSync(record.id) ?? false,
    damped: BigInt(table.damped[record.id]),
    orf: filterState(record, family, core.dynamic.dynamic),
    acceptedLimit: BigInt(record.config.acceptedLimits[family.index]?.max ?? 0),
    overLimit: BigInt(table.overReceived[record.id] + table.overAccepted[record.id]),
    addPathReceive: ((record.negotiated?.addPathReceive ?? 0) & (1 << family.index)) !== 0,
    addPathSend: ((record.negotiated?.addPathSend ?? 0) & (1 << family.index)) !== 0,
    extendedNextHop: ((record.negotiated?.extendedNextHop ?? 0) & (1 << family.index)) !== 0,
  });
}

/** Outbound route filtering of one family, where it was agreed on. */
function filterState(
  record: NeighborRecord,
  family: Family,
  durable: Specs,
): OutboundFilterState | undefined {
  const bit = 1 << family.index;
  const { negotiated, config } = record;
  const filter = record.outboundFilters[family.index];
  const sends = ((negotiated?.orfSend ?? 0) & bit) !== 0;
  if (!filter && !sends) return undefined;
  const sent = sends ? (config.orf[family.index]?.send ?? "") : "";
  return create(OutboundFilterStateSchema, {
    receives: filter !== undefined,
    sends,
    entries: filter?.active
      .entries()
      .slice(0, limits.outboundFilterToldMax)
      .map(({ sequence, deny, bytes, length, minLength, maxLength }) => {
        return { sequence, deny, prefix: formatPrefix({ bytes, length }), minLength, maxLength };
      }),
    totalEntries: filter?.active.size ?? 0,
    waiting: filter?.waiting ?? false,
    deferred: filter?.staged !== undefined,
    discarded: filter?.discarded ?? "",
    sent,
    sentEntries: sends ? filterOf(durable, sent, family).length : 0,
  });
}

/** Graceful restart of one family: what is kept, why, and for how long. */
function restartFields(
  core: Core,
  record: NeighborRecord,
  family: Family,
): MessageInitShape<typeof FamilyStateSchema> {
  const bit = 1 << family.index;
  const restart = core.sessions.restart(record.id);
  const stale = record.stale[family.index];
  const longLivedS = restart.longLivedS[family.index];
  return {
    stale: BigInt(core.routing.table(family).stale[record.id]),
    stalePhase: stale?.phase ?? "",
    staleTimeLeft: stale && durationFromMs(Math.max(0, Math.ceil(stale.deadlineMs - core.nowMs))),
    restartKept: (restart.kept & bit) !== 0,
    longLivedTime: longLivedS > 0 ? durationFromMs(longLivedS * 1000) : undefined,
    forwardingKept: (restart.forwarding & bit) !== 0,
    deferred: core.deferral.isDeferred(family),
  };
}
