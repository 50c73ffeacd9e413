/** ConfigService: plans and transactions over all kinds. History and audit are in config-history.ts. */
import { createHash } from "node:crypto";
import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type Duration, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Problem } from "../base/problem.ts";
import {
  ApplyRequestSchema,
  type ConfigGates,
  type ConfigService,
  type ConfigSource,
  type ConfirmOptions,
  type Pending,
  PendingSchema,
  type PlanResponse,
  RollbackRequestSchema,
} from "../gen/cairn/v1/config_service_pb.ts";
import type { ConfirmTerms, Mutation, MutationOp, MutationOutcome } from "../state/mutation.ts";
import { planWarning } from "../state/plan-warning.ts";
import { durationMs } from "../state/schema.ts";
import type { PendingState, PlanOptions } from "../state/view.ts";
import { historyHandlers } from "./config-history.ts";
import { FileRefusal, type Transaction, transactionOf } from "./config-source.ts";
import type { Locate, ServiceContext } from "./context.ts";
import { changeSet, checkRecord, clientOf, type MutationFields, mutationBy, settled } from "./mutations.ts";
import { Pacer } from "./pacer.ts";
import { refusal } from "./problems.ts";
import { checked } from "./request.ts";

/** Objects per step of checking what is to be planned. */
const planObjects = 16;
/** Prefixes per step of a plan, and how often one begins anew because another change came between. */
const planRows = 2_048;
const attemptsMax = 5;
const defaultHoldMs = 10_000;

type Accepted = Extract<MutationOutcome, { ok: true }>;

interface ApplyFields extends MutationFields {
  readonly gates?: ConfigGates | undefined;
  readonly confirm?: ConfirmOptions | undefined;
}

export function configService(services: ServiceContext): ServiceImpl<typeof ConfigService> {
  const { owner } = services;

  return {
    async plan(request, context) {
      return withLines(async () => {
        const fields = { ...planFields, expectedGeneration: request.expectedGeneration };
        for (let attempt = 1; ; attempt++) {
          const transaction = await transactionOf(services, request.source, "");
          const mutation = mutationOf(services, context, fields, transaction, "");
          const options = { ...planOptions(request.gates, !request.skipRoutes), ...clientOf(context) };
          const plan = await worked(services, mutation, options);
          if (plan) return plan;
          if (attempt === attemptsMax) throw overtaken();
        }
      });
    },

    async apply(request, context) {
      const digest = digestOf(ApplyRequestSchema, request);
      const outcome = await apply(services, context, request, request.source, request.managedBy, digest);
      return applied(services, outcome);
    },

    async rollback(request, context) {
      checked((check) => {
        if (request.generation === 0n) check.required("generation", "");
      });
      const source = { source: { case: "generation", value: request.generation } } as ConfigSource;
      const digest = digestOf(RollbackRequestSchema, request);
      const outcome = await apply(services, context, request, source, "", digest);
      return applied(services, outcome);
    },

    async confirm(request, context) {
      const op: MutationOp = { op: "confirm", generation: Number(request.generation) };
      const outcome = await single(services, context, request, op);
      return { generation: BigInt(outcome.generation) };
    },

    async abort(request, context) {
      const op: MutationOp = { op: "abort", generation: Number(request.generation) };
      return changeSet(await single(services, context, request, op));
    },

    getPending() {
      const state = owner.view.pending();
      return {
        ...(state ? { pending: pendingMessage(state) } : {}),
        generation: BigInt(owner.view.generation),
      };
    },

    async validate(request, context) {
      const { source } = request;
      try {
        const { ops, ...transaction } = await transactionOf(services, source, "");
        const mutation = mutationOf(services, context, planFields, { ops, ...transaction }, "");
        const outcome = await owner.mutate({ ...mutation, dryRun: true });
        const placed = async (found: readonly Problem[]) => {
          const places = await placesOf(found, transaction.locate);
          return found.map((problem, i) => ({ ...problem, ...places[i] }));
        };
        const problems = outcome.ok ? [] : await placed(outcome.problems);
        const warnings = outcome.ok ? await placed(outcome.warnings ?? []) : [];
        const objects = ops.filter(({ op }) => op === "put").length;
        return { valid: outcome.ok, problems, objects, warnings };
      } catch (error) {
        if (!(error instanceof FileRefusal)) throw error;
        return { valid: false, problems: error.problems.map((problem) => ({ ...problem })), objects: 0 };
      }
    },

    ...historyHandlers(services, {
      single: (context, request, op) => single(services, context, request, op),
    }),
  };
}

function applied(services: ServiceContext, outcome: Accepted) {
  return {
    ...changeSet(outcome),
    configHash: outcome.hash ?? "",
    pending: pendingOf(services, outcome),
    warnings: (outcome.warnings ?? []).map(planWarning),
  };
}

/** Nothing of the record is kept of what is only looked at. */
const planFields = { expectedGeneration: 0n, dryRun: true, reason: "", requestId: "" };

async function apply(
  services: ServiceContext,
  context: HandlerContext,
  request: ApplyFields,
  source: ConfigSource | undefined,
  managedBy: string,
  digest: string,
): Promise<Accepted> {
  checkRecord(request);
  const confirm = request.confirm && termsOf(request.confirm);
  const { gates } = request;
  const gated = gates?.maxResets !== undefined || gates?.maxWithdrawn !== undefined;
  return withLines(async () => {
    for (let attempt = 1; ; attempt++) {
      const transaction = await transactionOf(services, source, managedBy);
      const mutation = {
        ...mutationOf(services, context, request, transaction, digest),
        skipPolicyTests: gates?.skipPolicyTests ?? false,
      };
      let base = transaction.base;
      if (gated) {
        const options = planOptions(gates, gates?.maxWithdrawn !== undefined);
        const plan = await worked(services, { ...mutation, dryRun: true }, options);
        if (plan && plan.exceeded.length > 0) throw gateRefusal(plan);
        base = plan ? Number(plan.generation) : -1;
      }
      // What was worked out holds for one generation only; when that moved on, it is worked out again.
      const expectedGeneration = mutation.expectedGeneration || Math.max(0, base);
      const outcome =
        base < 0
          ? undefined
          : await services.owner.mutate({ ...mutation, expectedGeneration, ...(confirm ? { confirm } : {}) });
      const stale = !outcome || (!outcome.ok && outcome.problems[0].code === "STALE_GENERATION");
      if (stale && base !== 0 && request.expectedGeneration === 0n) {
        if (attempt === attemptsMax) throw overtaken();
        continue;
      }
      return settled(
        outcome ? await withPlaces(outcome, transaction.locate) : { ok: false, problems: [] },
        context,
      );
    }
  });
}

function single(
  services: ServiceContext,
  context: HandlerContext,
  request: { readonly reason: string; readonly requestId: string },
  op: MutationOp,
): Promise<Accepted> {
  const fields = { ...request, expectedGeneration: 0n, dryRun: false };
  checkRecord(fields);
  const mutation = mutationBy(context, fields, [op]);
  return services.owner.mutate(mutation).then((outcome) => settled(outcome, context));
}

function mutationOf(
  _services: ServiceContext,
  context: HandlerContext,
  fields: MutationFields,
  { ops, source, restores }: Transaction,
  digest: string,
): Mutation {
  return {
    ...mutationBy(context, fields, ops),
    source,
    ...(restores > 0 ? { restores } : {}),
    ...(digest !== "" ? { digest } : {}),
  };
}

/** Works a plan out, resting between steps. @returns undefined when another change came between */
async function worked(
  services: ServiceContext,
  mutation: Mutation,
  options: PlanOptions,
): Promise<PlanResponse | undefined> {
  const { view } = services.owner;
  const pacer = new Pacer();
  const preparation = view.preparation(mutation);
  while (!preparation.step(planObjects)) await pacer.rest();
  const begun = view.plan(mutation, options, preparation);
  if (!begun.ok) throw refusal(begun.problems);
  const plan = begun.value;
  while (!plan.step(planRows)) {
    await pacer.rest();
    if (!plan.isCurrent) return undefined;
  }
  return plan.result();
}

async function placesOf(problems: readonly Problem[], locate: Locate | undefined) {
  if (!locate || problems.length === 0) return [];
  return locate(problems.map(({ path }) => path));
}

function planOptions(gates: ConfigGates | undefined, routes: boolean): PlanOptions {
  return {
    routes,
    maxResets: gates?.maxResets,
    maxWithdrawn: gates?.maxWithdrawn === undefined ? undefined : Number(gates.maxWithdrawn),
    skipPolicyTests: gates?.skipPolicyTests ?? false,
  };
}

function gateRefusal({ exceeded }: PlanResponse): ConnectError {
  const fix = "look at the plan, and raise the gate if that is what you want";
  return refusal(exceeded.map((message): Problem => ({ code: "GATE", path: "gates", message, fix })));
}

function overtaken(): ConnectError {
  const message = "other changes came between again and again";
  return refusal([{ code: "BUSY", path: "", message, fix: "try again" }]);
}

/** The outcome with the place in the file before each problem that has one. */
async function withPlaces(outcome: MutationOutcome, locate: Locate | undefined): Promise<MutationOutcome> {
  if (outcome.ok || !locate) return outcome;
  const places = await placesOf(outcome.problems, locate);
  const problems = outcome.problems.map((problem, i) => {
    const place = places[i];
    if (!place) return problem;
    return { ...problem, message: `${place.file}:${place.line}:${place.column}: ${problem.message}` };
  });
  return { ok: false, problems };
}

/** A file's problems as a refusal that names line and column. */
async function withLines<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof FileRefusal)) throw error;
    throw refusal(
      error.problems.map(({ code, path, message, fix, line, column, file }) => ({
        code,
        path: path === "" ? "source.file" : path,
        message: `${file}:${line}:${column}: ${message}`,
        ...(fix === undefined ? {} : { fix }),
      })),
    );
  }
}

function termsOf(options: ConfirmOptions): ConfirmTerms {
  const { confirmWithin, holdFor, grace, conditions } = options;
  checked((check) => {
    check.present("confirm.confirm_within", confirmWithin);
    check.count("confirm.conditions", conditions, 1_024);
  });
  const withinMs = durationMs(confirmWithin);
  const given = (duration: Duration | undefined, otherwise: number): number =>
    duration ? durationMs(duration) : Math.min(otherwise, withinMs);
  return {
    withinMs,
    conditions: conditions.map(({ expression }) => expression),
    holdMs: given(holdFor, Math.min(defaultHoldMs, withinMs / 2)),
    graceMs: given(grace, withinMs / 2),
  };
}

function pendingOf(services: ServiceContext, { generation }: Accepted): Pending | undefined {
  const state = services.owner.view.pending();
  return state?.pending.generation === generation ? pendingMessage(state) : undefined;
}

function pendingMessage({ pending, conditions, confirmsAt }: PendingState): Pending {
  return create(PendingSchema, {
    generation: BigInt(pending.generation),
    revertTo: BigInt(pending.revertTo),
    since: timestampFromMs(pending.since),
    deadline: timestampFromMs(pending.deadline),
    principal: pending.principal,
    reason: pending.reason,
    conditions: conditions.map(({ text, holds, value }) => ({ expression: text, holds, value })),
    ...(confirmsAt === undefined ? {} : { confirmsAt: timestampFromMs(Math.round(confirmsAt)) }),
  });
}

/** The request itself tells requests with one id apart: its operations depend on when they are worked out. */
function digestOf<Desc extends DescMessage>(
  desc: Desc,
  request: MessageShape<Desc> & { readonly requestId: string },
): string {
  if (request.requestId === "") return "";
  return createHash("sha256").update(desc.typeName).update(toBinary(desc, request)).digest("hex");
}
