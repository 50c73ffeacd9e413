/** From a mutating request to the owner and back. */
import type { HandlerContext } from "@connectrpc/connect";
import type { Problem } from "../base/problem.ts";
import type { ObjectChange } from "../gen/cairn/v1/types_pb.ts";
import type { Mutation, MutationOp, MutationOutcome } from "../state/mutation.ts";
import type { Operation, OperationOutcome } from "../state/operation.ts";
import { peerKey } from "./access.ts";
import { auditedKey, methodOf } from "./audit.ts";
import { principalOf, type ServiceContext } from "./context.ts";
import { refusal } from "./problems.ts";
import { checked } from "./request.ts";

/** The fields that every mutating request has. */
export interface MutationFields {
  readonly expectedGeneration: bigint;
  readonly dryRun: boolean;
  readonly reason: string;
  readonly requestId: string;
}

/** Both are kept with the generation. */
const reasonBytesMax = 1_024;
const requestIdBytesMax = 128;

type Accepted = Extract<MutationOutcome, { ok: true }>;

/** Refuses a reason or request id that is too long to keep. */
export function checkRecord(request: { readonly reason: string; readonly requestId: string }): void {
  checked((check) => {
    check.textBytes("reason", request.reason, reasonBytesMax);
    check.textBytes("request_id", request.requestId, requestIdBytesMax);
  });
}

/** A mutation by whoever makes the call. */
export function mutationBy(
  context: HandlerContext,
  request: MutationFields,
  ops: readonly MutationOp[],
): Mutation {
  return {
    ops,
    expectedGeneration: Number(request.expectedGeneration),
    dryRun: request.dryRun,
    reason: request.reason,
    requestId: request.requestId,
    principal: principalOf(context),
    source: "api",
    address: context.values.get(peerKey).name,
    ...clientOf(context),
    method: methodOf(context),
  };
}

/** The connection of the call, where there is one that a change of the host could cut. */
export function clientOf(context: HandlerContext): Pick<Mutation, "client"> {
  const { path } = context.values.get(peerKey);
  return path ? { client: path } : {};
}

/** The outcome, or throws the refusal. The owner has audited it either way. */
export function settled(
  outcome: MutationOutcome,
  context: HandlerContext,
  rename: (path: string) => string = (path) => path,
): Accepted {
  context.values.set(auditedKey, true);
  if (!outcome.ok) throw refusal(outcome.problems.map((problem) => renamed(problem, rename)));
  return outcome;
}

/** Runs `ops` as one transaction. Throws the refusal when the owner refuses. */
export async function mutate(
  services: ServiceContext,
  context: HandlerContext,
  request: MutationFields,
  ops: readonly MutationOp[],
  rename: (path: string) => string = (path) => path,
): Promise<Accepted> {
  checkRecord(request);
  return settled(await services.owner.mutate(mutationBy(context, request, ops)), context, rename);
}

/** Generation and change set, as every mutation answers. */
export function changeSet(outcome: Accepted): { generation: bigint; changes: ObjectChange[] } {
  return { generation: BigInt(outcome.generation), changes: [...outcome.changes] };
}

/** Runs an operation. Throws the refusal when the owner refuses. */
export async function operate(
  services: ServiceContext,
  operation: Operation,
): Promise<Extract<OperationOutcome, { ok: true }>> {
  const outcome = await services.owner.operate(operation);
  if (!outcome.ok) throw refusal(outcome.problems);
  return outcome;
}

/** Turns paths inside the object (`Neighbor/192.0.2.1.hold_time`) into paths of the request (`spec.hold_time`). */
export function specPaths(kind: string, name: string): (path: string) => string {
  const object = `${kind}/${name}.`;
  return (path) => (path.startsWith(object) ? `spec.${path.slice(object.length)}` : path);
}

function renamed(problem: Problem, rename: (path: string) => string): Problem {
  const path = rename(problem.path);
  return path === problem.path ? problem : { ...problem, path };
}
