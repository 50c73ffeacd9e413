/**
 * Outcomes by request id: the same request gets the same answer for 24 hours, over restarts, and an id that comes with
 * another request is refused.
 */
import { fromJson, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { unreachable } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import type { Problem } from "../base/problem.ts";
import {
  InjectedFlowSpecSchema,
  InjectedPathSchema,
  PathReceiptSchema,
} from "../gen/cairn/v1/injection_service_pb.ts";
import { ObjectChangeSchema } from "../gen/cairn/v1/types_pb.ts";
import { kinds } from "./kinds.ts";
import type { Mutation, MutationOp, MutationOutcome } from "./mutation.ts";
import { specText } from "./schema-diff.ts";

interface Remembered {
  readonly requestId: string;
  readonly digest: string;
  /** Wall-clock milliseconds. */
  readonly time: number;
  readonly outcome: JsonValue;
}

export class RequestLog {
  /** Oldest first. */
  private readonly done = new Map<string, Remembered>();
  /** Digests of requests whose outcome is not durable yet. */
  private readonly running = new Map<string, string>();

  constructor(requests: readonly Remembered[]) {
    for (const request of requests) this.done.set(request.requestId, request);
  }

  /** The answer to a request whose id was seen before; undefined for a new one. */
  lookup(requestId: string, digest: string, wallMs: number): MutationOutcome | undefined {
    const known = this.done.get(requestId);
    const fresh = known && wallMs - known.time < limits.requestsKeptMs ? known : undefined;
    const other = fresh ? fresh.digest : this.running.get(requestId);
    if (other === undefined) return undefined;
    const refuse = (code: Problem["code"], message: string, fix: string): MutationOutcome => {
      return { ok: false, problems: [{ code, path: "request_id", message, fix }] };
    };
    if (other !== digest) {
      const message = `request id "${requestId}" was used for another request`;
      return refuse("INVALID", message, "use a new id for a new request");
    }
    return fresh
      ? outcomeOf(fresh.outcome)
      : refuse("BUSY", "the same request is being carried out", "try again");
  }

  begin(requestId: string, digest: string): void {
    this.running.set(requestId, digest);
  }

  /** The outcome is durable. */
  end(request: Remembered, wallMs: number): void {
    this.done.set(request.requestId, request);
    this.running.delete(request.requestId);
    for (const [id, { time }] of this.done) {
      if (time >= wallMs - limits.requestsKeptMs && this.done.size <= limits.requestsKeptMax) break;
      this.done.delete(id);
    }
  }

  /** Nothing came of it; the id may be used again. */
  cancel(requestId: string): void {
    this.running.delete(requestId);
  }
}

/** Text that is equal for equal requests; a request id may be used again only with the same. */
export function digestOf(mutation: Mutation): string {
  const { ops, confirm } = mutation;
  if (mutation.digest !== undefined) return mutation.digest;
  const terms = confirm ? [confirm.withinMs, confirm.holdMs, confirm.graceMs, ...confirm.conditions] : [];
  return JSON.stringify([ops.map(opDigest), ...terms]);
}

function opDigest(op: MutationOp): JsonValue {
  switch (op.op) {
    case "put":
      return [op.op, op.kind, op.mode ?? "", opText(op.kind, op.spec)];
    case "patch":
      return [op.op, op.kind, op.name, [...op.mask], opText(op.kind, op.spec)];
    case "delete":
      return [op.op, op.kind, op.name];
    case "inject":
      return [op.op, toJson(InjectedPathSchema, op.path)];
    case "inject-flow":
      return [op.op, toJson(InjectedFlowSpecSchema, op.flowSpec)];
    case "retract":
      return [op.op, op.prefix, op.pathId];
    case "confirm":
    case "abort":
      return [op.op, op.generation];
    case "pin":
      return [op.op, op.generation, op.pinned];
    default:
      return unreachable(op);
  }
}

function opText(kind: string, spec: Message): string {
  const desc = kinds.get(kind)?.desc;
  return desc && desc.typeName === spec.$typeName ? specText(desc, spec) : spec.$typeName;
}

/** The form in which an outcome is kept. */
export function outcomeJson(outcome: MutationOutcome): JsonValue {
  if (!outcome.ok) return { ok: false };
  return {
    ok: true,
    generation: outcome.generation,
    unchanged: outcome.unchanged,
    hash: outcome.hash ?? "",
    changes: outcome.changes.map((change) => toJson(ObjectChangeSchema, change)),
    receipts: outcome.receipts.map((receipt) => toJson(PathReceiptSchema, receipt)),
  };
}

function outcomeOf(json: JsonValue): MutationOutcome {
  const value = json as {
    generation: number;
    unchanged: number;
    hash?: string;
    changes: JsonValue[];
    receipts: JsonValue[];
  };
  return {
    ok: true,
    generation: value.generation,
    unchanged: value.unchanged,
    hash: value.hash ?? "",
    changes: value.changes.map((change) => fromJson(ObjectChangeSchema, change)),
    receipts: value.receipts.map((receipt) => fromJson(PathReceiptSchema, receipt)),
  };
}
