/**
 * What a seed decides before anything runs: who speaks with whom, which faults there are, what the operators do. Most
 * weights are zero in most seeds (swarm testing), so that rare combinations get room.
 */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  BestPathOptionsSchema,
  type GlobalSpec,
  GlobalSpecSchema,
} from "../../src/gen/cairn/v1/global_service_pb.ts";
import {
  GracefulRestart,
  type NeighborSpec,
  NeighborSpecSchema,
  PrefixLimit_Action,
  PrefixLimitSchema,
  RemovePrivateAs,
} from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import {
  MatchSchema,
  PolicyAction,
  type PolicySpec,
  PolicySpecSchema,
  PrefixRuleSchema,
  PrependSchema,
  SetActionsSchema,
  type Statement,
  StatementSchema,
} from "../../src/gen/cairn/v1/policy_service_pb.ts";
import type { Dice } from "./dice.ts";
import type { JournalFaults } from "./journal.ts";
import type { NetFaults } from "./net.ts";

export type Topology = "mesh" | "ring" | "hub" | "reflector" | "route-server";

export type Action =
  | "announce"
  | "withdraw"
  | "churn"
  | "policy"
  | "neighbor"
  | "remove-neighbor"
  | "toggle"
  | "hard-reset"
  | "soft-in"
  | "soft-out"
  | "global"
  | "watch"
  | "read-watch"
  | "partition"
  | "one-way"
  | "heal"
  | "stall"
  | "reset"
  | "crash"
  | "planned-restart"
  | "pause"
  | "wall-jump"
  | "kernel";

export interface Plan {
  readonly seed: number;
  readonly speakers: number;
  readonly topology: Topology;
  /** Speakers of one AS in a row (mesh). */
  readonly perAs: number;
  /** Policies may give local preference: only where preferences cannot go round in circles. */
  readonly preferences: boolean;
  /** MED may be used. */
  readonly meds: boolean;
  readonly alwaysCompareMed: boolean;
  readonly preferOldest: boolean;
  readonly requirePolicy: boolean;
  readonly ipv6: boolean;
  readonly extendedMessages: boolean;
  /** Share of the sides of sessions that ask to be kept over a restart (RFC 4724), or do not even help. */
  readonly restarts: number;
  /** Next hops are looked up in a simulated kernel, one per speaker. */
  readonly tracked: boolean;
  /** Prefixes that are announced and withdrawn, over all speakers. */
  readonly prefixes: number;
  /** Operations of one mutation at most. */
  readonly burst: number;
  readonly actions: Readonly<Record<Action, number>>;
  /** Mean time between two actions. */
  readonly actionMs: number;
  readonly net: NetFaults;
  readonly journal: JournalFaults;
  readonly budgetMin: number;
  readonly budgetMax: number;
}

/** Not a private one, so that nobody takes it out of paths and loops stay visible. */
const firstAsn = 64_500;

/** Carried by routes that no policy of the world ever lets out. */
export const forbidden = "666:666";

export function makePlan(seed: number, dice: Dice): Plan {
  const topology = dice.pick(["mesh", "mesh", "mesh", "ring", "hub", "reflector", "route-server"] as const);
  const on = (share: number, low: number, high: number): number =>
    dice.chance(share) ? dice.between(low, high) : 0;
  const preferences = topology === "hub";
  const alwaysCompareMed = dice.chance(0.3);
  const plan: Plan = {
    seed,
    tracked: seed % 4 === 3,
    speakers: dice.pick([2, 3, 4, 5, 5, 5, 5, 6]),
    topology,
    perAs: dice.pick([1, 1, 2, 2, 9]),
    preferences,
    meds: alwaysCompareMed || (topology !== "reflector" && dice.chance(0.7)),
    alwaysCompareMed,
    preferOldest: dice.chance(0.2),
    requirePolicy: dice.chance(0.6),
    ipv6: dice.chance(0.6),
    extendedMessages: dice.chance(0.7),
    prefixes: dice.chance(0.1) ? dice.between(2000, 6000) : dice.skewed(10, 600),
    burst: dice.skewed(1, 300),
    actions: {
      announce: dice.between(5, 20),
      withdraw: dice.between(1, 12),
      churn: on(0.5, 1, 15),
      policy: on(0.5, 1, 6),
      neighbor: on(0.5, 1, 4),
      "remove-neighbor": on(0.3, 1, 2),
      toggle: on(0.4, 1, 4),
      "hard-reset": on(0.4, 1, 4),
      "soft-in": on(0.4, 1, 4),
      "soft-out": on(0.4, 1, 6),
      global: on(0.2, 1, 2),
      watch: on(0.5, 1, 4),
      "read-watch": dice.between(0, 10),
      partition: on(0.4, 1, 3),
      "one-way": on(0.3, 1, 3),
      heal: dice.between(1, 4),
      stall: on(0.5, 1, 6),
      reset: on(0.5, 1, 5),
      crash: on(0.4, 1, 3),
      "planned-restart": 0,
      pause: on(0.4, 1, 5),
      "wall-jump": on(0.3, 1, 3),
      kernel: seed % 4 === 3 ? 6 : 0,
    },
    actionMs: dice.skewed(200, 5000),
    net: {
      latencyMsMin: dice.between(0, 5),
      latencyMsMax: dice.chance(0.5) ? dice.between(5, 20) : dice.between(20, 400),
      segmentMax: dice.skewed(4000, 65_536),
      windowBytes: dice.skewed(2048, 262_144),
      refuse: dice.chance(0.3) ? 0.3 : 0,
    },
    journal: {
      commitMsMax: dice.skewed(1, 200),
      slow: dice.chance(0.3) ? 0.05 : 0,
      fail: dice.chance(0.3) ? 0.08 : 0,
    },
    budgetMin: dice.skewed(20, 4000),
    budgetMax: 6000,
    restarts: 0,
  };
  // Drawn last, so that seeds without restarts are what they were before there were any.
  if (!dice.chance(0.5)) return plan;
  return { ...plan, restarts: 0.9, actions: { ...plan.actions, "planned-restart": on(0.6, 1, 4) } };
}

export function asnOf(plan: Plan, speaker: number): number {
  switch (plan.topology) {
    case "reflector":
      return firstAsn;
    case "mesh":
      return firstAsn + Math.floor(speaker / plan.perAs);
    default:
      return firstAsn + speaker;
  }
}

/** Pairs of speakers with a session. */
export function pairsOf(plan: Plan): [number, number][] {
  const pairs: [number, number][] = [];
  for (let a = 0; a < plan.speakers; a++) {
    for (let b = a + 1; b < plan.speakers; b++) {
      const isLinked =
        plan.topology === "mesh" ||
        (plan.topology === "ring" ? b === a + 1 || (a === 0 && b === plan.speakers - 1) : a === 0);
      if (isLinked) pairs.push([a, b]);
    }
  }
  return pairs;
}

export function globalSpec(plan: Plan, speaker: number, dice: Dice): GlobalSpec {
  return create(GlobalSpecSchema, {
    asn: asnOf(plan, speaker),
    routerId: `192.0.2.${speaker + 1}`,
    requirePolicy: plan.requirePolicy,
    bestPath: create(BestPathOptionsSchema, {
      alwaysCompareMed: plan.alwaysCompareMed,
      missingMedWorst: dice.chance(0.3),
      preferOldest: plan.preferOldest,
      ignoreAsPathLength: plan.preferences && dice.chance(0.2),
    }),
    name: `speaker-${speaker}-${dice.below(1000)}`,
  });
}

/** Settings of `speaker` toward `other`. `plain`: without limits and delays, as needed for the end of a run. */
export function neighborSpec(
  plan: Plan,
  speaker: number,
  other: number,
  dice: Dice,
  plain: boolean,
): NeighborSpec {
  const internal = asnOf(plan, speaker) === asnOf(plan, other);
  const routeServer = plan.topology === "route-server";
  const families = plan.ipv6 ? ["ipv4-unicast", "ipv6-unicast"] : ["ipv4-unicast"];
  return create(NeighborSpecSchema, {
    address: `10.0.0.${other + 1}`,
    remoteAsn: asnOf(plan, other),
    families: plain || dice.chance(0.8) ? families : families.slice(0, 1),
    holdTime: durationFromMs(dice.pick([9, 30, 90, 180]) * 1000),
    connectRetryTime: durationFromMs(dice.pick([1, 5]) * 1000),
    idleHoldTime: durationFromMs(1000),
    passive: !plain && dice.chance(0.05),
    delayOpenTime: dice.chance(0.1) ? durationFromMs(3000) : undefined,
    nextHopSelf: dice.chance(0.3),
    softReconfiguration: dice.chance(0.75),
    enforceFirstAs: !(routeServer && speaker !== 0) && dice.chance(0.8),
    removePrivateAs:
      internal || dice.chance(0.85)
        ? undefined
        : dice.pick([RemovePrivateAs.REPLACE, RemovePrivateAs.REMOVE]),
    defaultOriginate: dice.chance(0.1),
    routeServerClient: routeServer && speaker === 0,
    routeReflectorClient: plan.topology === "reflector" && speaker === 0,
    extendedMessages: plan.extendedMessages,
    ...restartSettings(plan, dice),
    prefixLimits:
      plain || dice.chance(0.9)
        ? []
        : [
            create(PrefixLimitSchema, {
              family: "ipv4-unicast",
              max: dice.skewed(5, 200),
              action: dice.pick([
                PrefixLimit_Action.WARN,
                PrefixLimit_Action.STOP,
                PrefixLimit_Action.RESTART,
              ]),
              restartAfter: durationFromMs(10_000),
            }),
          ],
    import: [`in-${dice.below(2)}`],
    export: [`out-${dice.below(2)}`],
    description: `r${dice.below(1000)}`,
  });
}

/** Short times, so that a run sees all phases; what is long-lived is gone before the world comes to rest. */
function restartSettings(plan: Plan, dice: Dice): MessageInitShape<typeof NeighborSpecSchema> {
  if (plan.restarts === 0) return {};
  const seconds = (...of: number[]) => durationFromMs(dice.pick(of) * 1000);
  return {
    gracefulRestart: dice.chance(plan.restarts)
      ? GracefulRestart.FULL
      : dice.pick([GracefulRestart.HELPER, GracefulRestart.OFF]),
    restartTime: seconds(5, 30, 120),
    staleTime: seconds(20, 200),
    notificationRestart: dice.chance(0.7),
    longLivedStaleTime: dice.chance(0.5) ? seconds(60) : undefined,
    longLivedStaleMax: dice.chance(0.5) ? seconds(10, 100) : undefined,
    preserveForwarding: dice.chance(0.8),
    enhancedRefresh: dice.chance(0.8),
  };
}

/** The policies `in-0`, `in-1`, `out-0`, `out-1` of a speaker. */
export function policySpec(plan: Plan, name: string, dice: Dice): PolicySpec {
  const exporting = name.startsWith("out");
  const statements: Statement[] = [];
  if (exporting) {
    const never = create(MatchSchema, { communities: [forbidden] });
    statements.push(create(StatementSchema, { match: never, action: PolicyAction.REJECT }));
  }
  for (let n = dice.below(4); n > 0; n--) statements.push(statement(plan, exporting, dice));
  return create(PolicySpecSchema, {
    name,
    statements,
    defaultAction: dice.chance(0.95) ? PolicyAction.ACCEPT : PolicyAction.REJECT,
  });
}

function statement(plan: Plan, exporting: boolean, dice: Dice): Statement {
  const match = create(MatchSchema, {});
  const which = dice.below(4);
  if (which === 0) match.communities = [`65000:${dice.below(4)}`];
  else if (which === 1) {
    match.prefixes = [
      create(PrefixRuleSchema, { prefix: `100.${64 + dice.below(4)}.0.0/16`, ge: 16, le: 32 }),
      create(PrefixRuleSchema, { prefix: `2001:db8:${64 + dice.below(4)}::/48`, ge: 48, le: 128 }),
    ];
  } else if (which === 2) match.asPathLengthGe = dice.between(1, 3);
  const what = dice.below(exporting ? 7 : 5);
  // What says nothing is not kept: the world compares specs as they were given.
  const kept = toBinary(MatchSchema, match).length > 0 ? match : undefined;
  if (what === 0) return create(StatementSchema, { match: kept, action: PolicyAction.REJECT });
  const set = create(SetActionsSchema, {});
  if (what === 1) set.communitiesAdd = [`65000:${dice.below(4)}`, "65010:7:9"];
  else if (what === 2) set.communitiesRemove = ["65000:*"];
  else if (what === 3 && plan.meds) set.med = dice.below(4) * 10;
  else if (what === 4) {
    if (plan.preferences) set.localPref = 90 + dice.below(3) * 20;
    else set.communitiesAdd = ["65000:3"];
  } else if (what === 5) set.prepend = create(PrependSchema, { count: dice.between(1, 3) });
  else if (what === 6) set.nextHop = dice.pick(["self", "unchanged"]);
  const action = dice.chance(0.3) ? PolicyAction.ACCEPT : PolicyAction.UNSPECIFIED;
  const given = toBinary(SetActionsSchema, set).length > 0 ? set : undefined;
  return create(StatementSchema, { match: kept, set: given, action });
}
