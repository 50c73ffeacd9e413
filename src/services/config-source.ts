/** From the forms of a change (objects, a file, a generation to go back to) to operations of one transaction. */
import { setTimeout } from "node:timers/promises";
import { type DescMessage, fromJson, type JsonObject, type Message } from "@bufbuild/protobuf";
import type { Problem } from "../base/problem.ts";
import type { ConfigFile, ConfigOps, ConfigSource } from "../gen/cairn/v1/config_service_pb.ts";
import { kinds, objectName } from "../state/kinds.ts";
import type { MutationOp } from "../state/mutation.ts";
import type { HistoryComparison } from "../state/view.ts";
import type { FileProblem, Locate, ServiceContext } from "./context.ts";
import { Pacer } from "./pacer.ts";
import { refusal } from "./problems.ts";

export interface Transaction {
  readonly ops: readonly MutationOp[];
  /** Where it comes from: api, file or rollback. */
  readonly source: string;
  /** Generation that the operations build on; 0 when they do not. */
  readonly base: number;
  /** The generation to be declared again; 0 for none. */
  readonly restores: number;
  /** For a file. */
  readonly locate?: Locate;
}

/** A refusal that knows lines and columns. */
export class FileRefusal extends Error {
  readonly problems: readonly FileProblem[];
  constructor(problems: readonly FileProblem[]) {
    super("the file has problems");
    this.problems = problems;
  }
}

const managedByPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Reads a source. Throws the refusal, or FileRefusal. */
export async function transactionOf(
  services: ServiceContext,
  source: ConfigSource | undefined,
  managedBy: string,
): Promise<Transaction> {
  if (managedBy !== "" && !managedByPattern.test(managedBy)) {
    const message = `"${managedBy}" is not a name: letters, digits, dot, dash and underscore, at most 63`;
    throw refusal([{ code: "INVALID", path: "managed_by", message, value: managedBy }]);
  }
  const value = source?.source;
  switch (value?.case) {
    case "ops":
      return { ops: await opsOf(value.value, managedBy), source: "api", base: 0, restores: 0 };
    case "file": {
      const { ops, locate } = await fileOps(services, value.value, managedBy || "file");
      return { ops, source: "file", base: 0, restores: 0, locate };
    }
    case "generation":
      return rollback(services, Number(value.value));
    default: {
      const message = "must be set";
      throw refusal([{ code: "REQUIRED", path: "source", message, fix: "give ops, file or generation" }]);
    }
  }
}

async function opsOf({ put, delete: drop }: ConfigOps, managedBy: string): Promise<MutationOp[]> {
  const problems: Problem[] = [];
  const ops: MutationOp[] = [];
  const pacer = new Pacer();
  for (const [i, { kind: name, spec }] of put.entries()) {
    await pacer.rest();
    const path = `source.ops.put[${i}]`;
    const kind = kinds.get(name);
    if (!kind) {
      const fix = `one of ${[...kinds.keys()].join(", ")}`;
      problems.push({ code: "UNKNOWN_KIND", path: `${path}.kind`, message: `there is no kind ${name}`, fix });
      continue;
    }
    const message = specOf(kind.desc, spec ?? {}, `${path}.spec`, problems);
    if (message) ops.push({ op: "put", kind: name, spec: message, ...(managedBy ? { managedBy } : {}) });
  }
  for (const { kind, name } of drop) ops.push({ op: "delete", kind, name });
  if (problems.length > 0) throw refusal(problems);
  return ops;
}

/** A spec from JSON. When it cannot be read, each of its fields is tried alone, so that all problems are told. */
function specOf(desc: DescMessage, json: JsonObject, path: string, problems: Problem[]): Message | undefined {
  try {
    return fromJson(desc, json);
  } catch (whole) {
    const count = problems.length;
    for (const [name, value] of Object.entries(json)) {
      try {
        fromJson(desc, { [name]: value });
      } catch (error) {
        const known = desc.fields.some((field) => field.name === name || field.jsonName === name);
        const message = known ? sentence(error) : `"${name}" is not a field of ${desc.name}`;
        problems.push({ code: known ? "INVALID" : "UNKNOWN_FIELD", path: `${path}.${name}`, message });
      }
    }
    if (problems.length === count) problems.push({ code: "INVALID", path, message: sentence(whole) });
    return undefined;
  }
}

function sentence(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
}

/** Puts of everything in a file; with prune also deletes of what its owner declared and the file lacks. */
export async function fileOps(
  services: ServiceContext,
  file: ConfigFile,
  managedBy: string,
): Promise<{ ops: MutationOp[]; locate: Locate }> {
  const { objects, problems, locate } = await services.configText.parse(
    file.name,
    file.content,
    file.policyFiles,
  );
  if (problems.length > 0) throw new FileRefusal(problems);
  const ops = objects.map(({ kind, spec }): MutationOp => ({ op: "put", kind, spec, managedBy }));
  const pruned = file.prune ? pruneOps(services.owner.view, objects, managedBy) : [];
  return { ops: [...ops, ...pruned], locate };
}

/** Deletes of the objects that `managedBy` declared and that are not among `objects`. */
export function pruneOps(
  view: ServiceContext["owner"]["view"],
  objects: Iterable<{ readonly kind: string; readonly spec: Message }>,
  managedBy: string,
): MutationOp[] {
  const kept = new Set<string>();
  for (const { kind, spec } of objects) kept.add(`${kind}/${objectName(kinds.get(kind)!, spec)}`);
  const ops: MutationOp[] = [];
  for (const kind of kinds.values()) {
    if (kind.rules.permanent) continue;
    for (const { metadata } of view.objects(kind.name)) {
      if (metadata.managedBy === managedBy && !kept.has(`${kind.name}/${metadata.name}`))
        ops.push({ op: "delete", kind: kind.name, name: metadata.name });
    }
  }
  return ops;
}

async function rollback(services: ServiceContext, target: number): Promise<Transaction> {
  const newest = services.owner.view.generation;
  const { differences } = await compared(services, newest, target);
  const ops = differences.map(({ kind, name, to }): MutationOp => {
    if (!to) return { op: "delete", kind, name };
    const spec = fromJson(kinds.get(kind)!.desc, to.spec);
    return { op: "put", kind, spec, exact: true, managedBy: to.managedBy };
  });
  return { ops, source: "rollback", base: newest, restores: target };
}

/** What differs between two generations, as soon as both are durable. Throws when one is not retained. */
export async function compared(
  services: ServiceContext,
  from: number,
  to: number,
): Promise<HistoryComparison> {
  const { history, owner } = services;
  for (let attempt = 0; attempt < durableAttempts; attempt++) {
    const comparison = await history.compare(from, to);
    if (comparison) return comparison;
    const span = await history.span();
    for (const generation of [from, to]) {
      if (generation > owner.view.generation || generation < 1) throw unknownGeneration(generation, span);
      if (generation < span.oldest) throw unknownGeneration(generation, span);
    }
    await setTimeout(durableWaitMs);
  }
  throw refusal([{ code: "BUSY", path: "", message: "generations are still on their way to disk" }]);
}

/** Waiting for the newest generation to be durable takes so many times so long at most. */
const durableAttempts = 200;
const durableWaitMs = 5;

export function unknownGeneration(generation: number, span: { oldest: number; newest: number }): Error {
  const message =
    span.newest === 0
      ? "there is no generation yet"
      : `generation ${generation} is not retained; those from ${Math.max(1, span.oldest)} to ${span.newest} are, and pinned ones`;
  return refusal([{ code: "NOT_FOUND", path: "generation", message, value: String(generation) }]);
}
