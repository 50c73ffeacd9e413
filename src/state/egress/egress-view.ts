/** Egress policies as the API shows them. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type EgressCandidateState,
  EgressCandidateStateSchema,
  type EgressRoutePolicy,
  EgressRoutePolicySchema,
  type EgressRoutePolicySpec,
  type EgressTransition,
  EgressTransitionSchema,
} from "../../gen/cairn/v1/egress_service_pb.ts";
import { markOf, tableOf } from "../../resources/egress-route-policy/marks.ts";
import { nothingChosen, type Selection, turnsAt } from "../../resources/egress-route-policy/selection.ts";
import { wayOf } from "../../resources/egress-route-policy/ways.ts";
import type { Core } from "../core.ts";
import { rulesOf } from "./egress-policies.ts";

const kind = "EgressRoutePolicy";

/** A policy as it is declared and as it stands; undefined when there is none. */
export function egressPolicy(core: Core, name: string): EgressRoutePolicy | undefined {
  const object = core.objects.get(kind, name);
  if (!object) return undefined;
  const spec = object.spec as EgressRoutePolicySpec;
  const policy = core.egress.named(name);
  const selection = policy?.selection ?? nothingChosen;
  return create(EgressRoutePolicySchema, {
    metadata: object.metadata,
    spec,
    selected: selection.chosen[0] ?? "",
    reason: selection.reason,
    ...(Number.isFinite(selection.sinceMs) && { since: timestampFromMs(wallAt(core, selection.sinceMs)) }),
    pinned: selection.pinned,
    candidates: candidates(core, spec, selection),
    transitions: BigInt(policy?.transitions ?? 0),
  });
}

function candidates(core: Core, spec: EgressRoutePolicySpec, selection: Selection): EgressCandidateState[] {
  const ranks = new Map(rulesOf(spec).candidates.map((rank) => [rank.name, rank]));
  return spec.candidates.map((candidate) => {
    const { name, healthCheck } = candidate;
    const member = selection.members.get(name);
    const { device, gateway } = wayOf(candidate, core.objects);
    const turnsMs = member ? turnsAt(member, rulesOf(spec)) : Number.POSITIVE_INFINITY;
    return create(EgressCandidateStateSchema, {
      ...{ name, device, gateway },
      weight: ranks.get(name)!.weight,
      priority: ranks.get(name)!.priority,
      ready: member?.ready === "yes",
      reason: member?.why ?? "",
      health: healthCheck === "" ? "" : core.health.healthOf(healthCheck).health,
      usable: member?.usable ?? false,
      selected: selection.chosen.includes(name),
      mark: markOf(spec.name, candidate),
      table: tableOf(spec.name, candidate),
      ...(Number.isFinite(turnsMs) && { changesAt: timestampFromMs(wallAt(core, turnsMs)) }),
    });
  });
}

/** Changes of what was chosen since the start, the newest first. */
export function egressHistory(core: Core, name: string): EgressTransition[] {
  return [...(core.egress.named(name)?.history ?? [])]
    .reverse()
    .map(({ timeMs, from, to, reason, appliedAfterMs }) =>
      create(EgressTransitionSchema, {
        time: timestampFromMs(timeMs),
        from: from.join(" "),
        to: to.join(" "),
        reason,
        ...(appliedAfterMs !== undefined && { appliedAfter: durationFromMs(Math.round(appliedAfterMs)) }),
      }),
    );
}

/** The wall-clock time of a monotonic one. */
function wallAt(core: Core, ms: number): number {
  return Math.round(core.wallMs + (ms - core.nowMs));
}
