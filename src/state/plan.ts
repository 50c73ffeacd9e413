/**
 * A plan: what a transaction would do, worked out on the running router in steps and without changing it. First the
 * objects (at once), then the neighbors that may notice, then the table as far as policies, best path or neighbors
 * differ. The table goes on changing meanwhile: the counts are those of the moment at which each prefix was looked at.
 */
import { create } from "@bufbuild/protobuf";
import { limits } from "../base/limits.ts";
import type { Problem, Result } from "../base/problem.ts";
import {
  FamilyImpactSchema,
  type HostOperation,
  HostOperationSchema,
  type NeighborImpact,
  NeighborImpactSchema,
  type PlanResponse,
  PlanResponseSchema,
  PlanWarningSchema,
  RouteCountsSchema,
} from "../gen/cairn/v1/config_service_pb.ts";
import { SessionStateSchema } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { Impact } from "../gen/cairn/v1/options_pb.ts";
import { ObjectChange_Action } from "../gen/cairn/v1/types_pb.ts";
import type { Core } from "./core.ts";
import { kinds } from "./kinds.ts";
import type { ClientPath } from "./lock-out.ts";
import type { Prepared } from "./objects.ts";
import { affectedNeighbors, type NeighborPlan, PlanScope } from "./plan-neighbors.ts";
import { Counts, RoutePlan } from "./plan-routes.ts";
import { planWarning } from "./plan-warning.ts";
import { failedTests } from "./policy-tests.ts";
import { afterwards } from "./resources.ts";
import { impactName } from "./schema-diff.ts";

export interface PlanOptions {
  /** Count routes too. */
  readonly routes: boolean;
  readonly maxResets: number | undefined;
  readonly maxWithdrawn: number | undefined;
  /** Policy tests that fail are no obstacle. */
  readonly skipPolicyTests: boolean;
  /** The connection that the plan was asked for over. */
  readonly client?: ClientPath;
}

/** Neighbors worked out per step, each worth so many prefixes. */
const rowsPerNeighbor = 32;
const impactsByName = new Map<string, Impact>(
  [Impact.NONE, Impact.POLICY, Impact.REFRESH, Impact.SESSION_RESET, Impact.RESTART].map((impact) => [
    impactName(impact),
    impact,
  ]),
);

export class PlanJob {
  /** The generation that it starts from. */
  readonly generation: number;
  private readonly core: Core;
  private readonly prepared: Prepared;
  private readonly options: PlanOptions;
  private readonly hash: string;
  private readonly failedTests: readonly Problem[];
  private readonly scope: PlanScope;
  private readonly names: string[];
  private at = 0;
  private readonly plans = new Map<string, NeighborPlan>();
  private routes: RoutePlan | undefined;
  private partial = false;

  /** @param prepared for the objects as they are */
  static create(core: Core, prepared: Result<Prepared>, options: PlanOptions): Result<PlanJob> {
    if (!prepared.ok) return prepared;
    return { ok: true, value: new PlanJob(core, prepared.value, options) };
  }

  private constructor(core: Core, prepared: Prepared, options: PlanOptions) {
    this.core = core;
    this.prepared = prepared;
    this.options = options;
    this.generation = prepared.base;
    this.hash = core.objects.hashAfter(prepared);
    this.failedTests = failedTests(core.policies, prepared.touched);
    this.scope = new PlanScope(core, prepared.touched);
    const all = this.scope.policyTouched || this.scope.bestPathChanges;
    const names = new Set(affectedNeighbors(core, prepared.touched));
    if (all) for (const record of core.neighbors.all()) names.add(record.config.address);
    this.names = [...names];
  }

  /** False when another change came between: what was worked out of neighbors no longer holds. */
  get isCurrent(): boolean {
    return this.core.objects.generation === this.generation || this.routes !== undefined;
  }

  /** Goes on for about `rows` prefixes. @returns true when the plan is complete, or complete as far as its bound */
  step(rows: number): boolean {
    for (let left = rows; this.at < this.names.length; left -= rowsPerNeighbor) {
      if (left <= 0) return false;
      const plan = this.scope.neighbor(this.names[this.at++]);
      if (plan) this.plans.set(plan.address, plan);
    }
    if (!this.options.routes) return true;
    this.routes ??= new RoutePlan(this.scope, this.plans);
    if (this.routes.done || this.routes.step(rows)) return true;
    this.partial = this.routes.work > limits.planWorkMax;
    return this.partial;
  }

  /** The plan, after `step` said that it is complete. */
  result(): PlanResponse {
    const neighbors = this.neighbors();
    const resets = neighbors.filter((neighbor) => neighbor.sessionReset).length;
    const totals = this.totals(neighbors);
    const response = create(PlanResponseSchema, {
      generation: BigInt(this.generation),
      changes: [...this.prepared.changes],
      neighbors,
      impact: impactName(this.worst()),
      resets,
      needsRestart: this.needsRestart(),
      configHash: this.hash,
    });
    response.hostOperations = this.hostOperations();
    if (this.options.routes) response.routes = create(RouteCountsSchema, totals.message(this.partial));
    this.warn(response, neighbors);
    this.warnOfLockOut(response);
    response.exceeded = this.gates(resets, totals).map(({ code, path, message }) =>
      code === "TEST_FAILED" ? `${path}: ${message}` : message,
    );
    return response;
  }

  private hostOperations(): HostOperation[] {
    const { touched } = this.prepared;
    return this.core.resources
      .preview(touched, afterwards(touched, this.core.objects))
      .map(({ verb, class: className, key, owner }) =>
        create(HostOperationSchema, { action: verb, class: className, key, owner }),
      );
  }

  /** What the plan exceeds of what the caller allows. */
  private gates(resets: number, totals: Counts): Problem[] {
    const { maxResets, maxWithdrawn } = this.options;
    const problems: Problem[] = this.options.skipPolicyTests ? [] : [...this.failedTests];
    const exceeded = (path: string, message: string): number =>
      problems.push({ code: "GATE", path: `gates.${path}`, message });
    if (maxResets !== undefined && resets > maxResets) {
      exceeded("max_resets", `${resets} sessions would be reset, at most ${maxResets} are allowed`);
    }
    if (maxWithdrawn !== undefined && totals.vanish > maxWithdrawn) {
      exceeded(
        "max_withdrawn",
        `${totals.vanish} routes would be withdrawn, at most ${maxWithdrawn} are allowed`,
      );
    } else if (maxWithdrawn !== undefined && this.partial) {
      exceeded("max_withdrawn", "the table is too large to count what would be withdrawn");
    }
    return problems;
  }

  private neighbors(): NeighborImpact[] {
    const impacts: NeighborImpact[] = [];
    for (const record of this.core.neighbors.all()) {
      const { address } = record.config;
      const plan = this.plans.get(address);
      const families = this.routes?.impacts(record) ?? [];
      if (plan || families.length > 0) {
        impacts.push(
          create(NeighborImpactSchema, {
            neighbor: address,
            sessionState:
              SessionStateSchema.value[
                this.core.sessions.state(record.id, this.core.nowMs, this.core.wallMs).sessionState
              ]?.localName ?? "",
            sessionReset: plan?.resets ?? false,
            removed: plan !== undefined && !plan.after,
            reimport: plan?.reimport ?? false,
            reexport: plan?.reexport ?? false,
            refresh: plan?.refresh ?? false,
            fields: [...(plan?.change.fields ?? [])],
            families: families.map((family) => create(FamilyImpactSchema, family)),
          }),
        );
      }
    }
    for (const plan of this.plans.values()) {
      if (!plan.record) impacts.push(create(NeighborImpactSchema, { neighbor: plan.address, added: true }));
    }
    return impacts;
  }

  private totals(neighbors: readonly NeighborImpact[]): Counts {
    const totals = new Counts();
    for (const { families } of neighbors) {
      for (const { advertised } of families) {
        totals.appear += Number(advertised?.appear ?? 0n);
        totals.vanish += Number(advertised?.vanish ?? 0n);
        totals.change += Number(advertised?.change ?? 0n);
      }
    }
    return totals;
  }

  private worst(): Impact {
    let worst: Impact = Impact.NONE;
    const see = (impact: Impact): void => {
      if (impact > worst) worst = impact;
    };
    for (const { fields } of this.prepared.changes)
      for (const { impact } of fields) see(impactsByName.get(impact) ?? Impact.NONE);
    for (const plan of this.plans.values()) {
      if (plan.resets) see(Impact.SESSION_RESET);
      if (plan.refresh) see(Impact.REFRESH);
      if (plan.reimport || plan.reexport) see(Impact.POLICY);
    }
    return worst;
  }

  private needsRestart(): string[] {
    const restart = impactName(Impact.RESTART);
    return this.prepared.changes
      .filter(({ action }) => action === ObjectChange_Action.UPDATE)
      .flatMap(({ kind, name, fields }) =>
        fields.filter(({ impact }) => impact === restart).map(({ path }) => `${kind}/${name}.${path}`),
      );
  }

  private warnOfLockOut(response: PlanResponse): void {
    const { client } = this.options;
    const cut = client && this.core.resources.lockOut(this.prepared.touched, this.core.objects, client);
    if (cut) {
      const { path: object, message } = cut;
      response.warnings.push(create(PlanWarningSchema, { code: "ADMIN_SESSION_LOST", object, message }));
    }
  }

  private warn(response: PlanResponse, neighbors: readonly NeighborImpact[]): void {
    const warn = (code: string, object: string, message: string): void => {
      response.warnings.push(create(PlanWarningSchema, { code, object, message }));
    };
    const up = [...this.core.neighbors.all()].filter((record) => record.negotiated).length;
    if (response.resets > 1 && response.resets === up) {
      warn("ALL_SESSIONS_RESET", "", `all ${up} established sessions would be reset`);
    }
    for (const { neighbor, families } of neighbors) {
      const record = this.core.neighbors.named(neighbor);
      for (const { family, advertised } of families) {
        const index = this.core.routing.tables.findIndex((table) => table.family.name === family);
        const told = record?.groups[index]?.advertisedTo(record.id) ?? 0;
        if (advertised && told > 0 && Number(advertised.vanish) === told && advertised.appear === 0n)
          warn(
            "ALL_ROUTES_WITHDRAWN",
            `Neighbor/${neighbor}`,
            `all ${told} ${family} routes to ${neighbor} would be withdrawn`,
          );
      }
    }
    if (this.partial) {
      warn("ROUTES_PARTIAL", "", "not the whole table was looked at; the counts of routes are lower bounds");
    }
    response.warnings.push(...[...(this.prepared.warnings ?? []), ...this.failedTests].map(planWarning));
    const lookup = (kind: string, name: string) => this.scope.specs.spec(kind, name);
    for (const { kind, name, before, after } of this.prepared.touched) {
      for (const { code, message } of kinds.get(kind)?.rules.planWarnings?.(before, after, lookup) ?? [])
        warn(code, `${kind}/${name}`, message);
    }
  }
}
