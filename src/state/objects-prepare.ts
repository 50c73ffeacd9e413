/**
 * How a transaction is checked: op by op into drafts over the current objects, then the drafts together (fields,
 * references, deletes, rules), then what changed. Nothing here alters the store. It goes on in steps, one for each
 * object in each of these passes, so that a large transaction can be spread over turns (preparation.ts).
 */
import { clone, create, equals, type Message, toJson } from "@bufbuild/protobuf";
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { nearestName, type Problem, type Result } from "../base/problem.ts";
import { Impact } from "../gen/cairn/v1/options_pb.ts";
import {
  FieldChangeSchema,
  type ObjectChange,
  ObjectChange_Action,
  ObjectChangeSchema,
} from "../gen/cairn/v1/types_pb.ts";
import { builtin, type Kind, kinds, nearestKind, objectName } from "./kinds.ts";
import type { Mutation, MutationOp } from "./mutation.ts";
import type { ObjectEntry, ObjectStore, Prepared, Touched } from "./objects.ts";
import { objectId } from "./objects-index.ts";
import { readEntry, specJson, storedOf } from "./objects-read.ts";
import type { GenerationPiece, StoredObject, StoredUndo } from "./rows.ts";
import { applyMask, canonicaliseSpec, listReferences, setFieldValue, validateSpec } from "./schema.ts";
import { diffSpecs, hiddenSecrets, impactName, keepSecrets, specText } from "./schema-diff.ts";
import { canonicalText } from "./schema-formats.ts";

/** How many referrers one sentence names before it only counts the rest. */
const namedReferrersMax = 20;
/** Problems that are told one by one; the rest is counted. */
const problemsMax = 1000;
/** Problems after which no more near names are looked for, and names that are looked at: hints must stay cheap. */
const hintsMax = 20;
const hintNamesMax = 1000;

/** An object as the transaction would leave it; `after` undefined: deleted. */
interface Draft {
  readonly kind: Kind;
  readonly name: string;
  readonly before: ObjectEntry | undefined;
  readonly after: Message | undefined;
  /** For metadata, when it differs from the source of the mutation. */
  readonly managedBy?: string | undefined;
}

/** Objects whose rows are turned into text together when a transaction is large. */
const pieceObjects = 64;

/** What a step of a preparation is: nothing to tell, the work was done. */
type Steps<T> = Generator<undefined, T>;

/** All steps at once. */
export function prepareMutation(store: ObjectStore, mutation: Mutation, wallMs: number): Result<Prepared> {
  return finished(preparing(store, mutation, wallMs));
}

function finished<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** See `ObjectStore.prepare`. The store must not change between the steps. */
export function* preparing(store: ObjectStore, mutation: Mutation, wallMs: number): Steps<Result<Prepared>> {
  if (mutation.ops.length > limits.transactionOpsMax) return { ok: false, problems: [tooLarge(mutation)] };
  const problems: Problem[] = staleness(store, mutation);
  const drafts = new Map<string, Draft>();
  for (const op of mutation.ops) {
    if (op.op !== "put" && op.op !== "patch" && op.op !== "delete") continue;
    const draft = draftOf(store, op, problems);
    if (!draft) continue;
    const id = objectId(draft.kind.name, draft.name);
    if (drafts.has(id)) {
      problems.push({
        code: "DUPLICATE",
        path: id,
        message: `${id} is named by two operations of one transaction`,
      });
    } else {
      drafts.set(id, draft);
    }
    yield;
  }
  for (const [id, draft] of drafts) {
    if (isUnchanged(draft)) drafts.delete(id);
    yield;
  }
  yield* checkTogether(store, drafts, problems);
  const warnings = problems.filter(({ severity }) => severity === "warning");
  if (problems.length > warnings.length) {
    return { ok: false, problems: atMost(problems.filter(({ severity }) => severity !== "warning")) };
  }
  const prepared = yield* describe(store, [...drafts.values()], mutation.source, wallMs);
  return { ok: true, value: { ...prepared, warnings: atMost(warnings) } };
}

/** See `ObjectStore.prepareUndo`. */
export function prepareUndo(
  store: ObjectStore,
  undo: readonly StoredUndo[],
  wallMs: number,
): Result<Prepared> {
  const problems: Problem[] = [];
  const drafts: Draft[] = [];
  for (const { kind: kindName, name, before: row } of undo) {
    const entry = row ? readEntry(row, problems) : undefined;
    const kind = kinds.get(kindName);
    if (!kind || (row && !entry)) continue;
    const before = store.entry(kindName, name);
    if (!before && !entry) continue;
    const draft = { kind, name, before, after: entry?.spec, managedBy: entry?.managedBy };
    if (!isUnchanged(draft)) drafts.push(draft);
  }
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, value: finished(describe(store, drafts, "revert", wallMs)) };
}

function atMost(problems: Problem[]): Problem[] {
  if (problems.length <= problemsMax) return problems;
  const message = `and ${problems.length - problemsMax} more problems`;
  return [...problems.slice(0, problemsMax), { code: "LIMIT", path: "", message }];
}

function tooLarge({ ops }: Mutation): Problem {
  const message = `a transaction holds at most ${limits.transactionOpsMax} operations, not ${ops.length}`;
  return { code: "LIMIT", path: "", message, fix: "split it" };
}

/** First of all problems: what else is wrong may be so because the generation has moved. */
function staleness({ generation }: ObjectStore, { expectedGeneration }: Mutation): Problem[] {
  if (expectedGeneration === 0 || expectedGeneration === generation) return [];
  const message = `generation ${expectedGeneration} was expected, but ${generation} is in force`;
  const fix = "read again and retry";
  return [{ code: "STALE_GENERATION", path: "expected_generation", message, fix }];
}

type ObjectOp = Extract<MutationOp, { op: "put" | "patch" | "delete" }>;

/** Turns one op into a draft; when that is impossible, adds problems and gives none. */
function draftOf(store: ObjectStore, op: ObjectOp, problems: Problem[]): Draft | undefined {
  const kind = kinds.get(op.kind);
  if (!kind) {
    const near = nearestKind(op.kind);
    const fix = near ? { fix: `did you mean ${near}` } : {};
    problems.push({ code: "UNKNOWN_KIND", path: op.kind, message: `there is no kind ${op.kind}`, ...fix });
    return undefined;
  }
  if (op.op !== "delete")
    assert(op.spec.$typeName === kind.desc.typeName, `spec of ${op.kind} is ${op.spec.$typeName}`);
  switch (op.op) {
    case "put":
      return draftPut(store, kind, op, problems);
    case "patch":
      return draftPatch(store, kind, op, problems);
    case "delete":
      return draftDelete(store, kind, canonicalName(kind, op.name), problems);
  }
}

function draftPut(
  store: ObjectStore,
  kind: Kind,
  op: Pick<Extract<MutationOp, { op: "put" }>, "spec" | "mode" | "exact" | "managedBy">,
  problems: Problem[],
): Draft | undefined {
  const { mode, managedBy } = op;
  const after = canonicalCopy(kind, op.spec);
  const name = objectName(kind, after);
  const id = objectId(kind.name, name);
  if (builtin(kind.name, name)) {
    problems.push({
      code: "ALREADY_EXISTS",
      path: id,
      message: `${id} is built in and cannot be declared`,
      fix: "choose another name",
    });
    return undefined;
  }
  const before = store.entry(kind.name, name);
  if (mode === "create" && before) {
    problems.push({
      code: "ALREADY_EXISTS",
      path: id,
      message: `${id} exists already`,
      fix: "update it instead",
    });
  }
  if (mode === "replace" && !before) return notFound(store, kind, name, problems);
  if (before && !op.exact) keepSecrets(kind.desc, before.spec, after);
  for (const field of hiddenSecrets(kind.desc, after)) {
    const message = `the text stands where ${field} was hidden, and there is none to keep`;
    problems.push({ code: "INVALID", path: `${id}.${field}`, message, fix: "write the secret itself" });
  }
  return { kind, name, before, after, managedBy };
}

function draftPatch(
  store: ObjectStore,
  kind: Kind,
  op: Extract<MutationOp, { op: "patch" }>,
  problems: Problem[],
): Draft | undefined {
  const name = canonicalName(kind, op.name);
  const before = store.entry(kind.name, name);
  if (!before) return notFound(store, kind, name, problems);
  if (op.mask.length === 0) {
    const whole = clone(kind.desc, op.spec);
    if (kind.key) setFieldValue(whole, kind.key, name);
    return draftPut(store, kind, { spec: whole, mode: "replace" }, problems);
  }
  const patched = clone(kind.desc, before.spec);
  const id = objectId(kind.name, name);
  const mask = op.mask.filter((path) => path !== kind.key?.name);
  append(problems, applyMask(kind.desc, patched, op.spec, mask), id);
  if (mask.length < op.mask.length && canonicalName(kind, objectName(kind, op.spec)) !== name) {
    const message = `${kind.key!.name} names the object and cannot change`;
    problems.push({
      code: "INVALID",
      path: `${id}.${kind.key!.name}`,
      message,
      fix: "delete it and add another",
    });
  }
  return { kind, name, before, after: canonicalCopy(kind, patched) };
}

function draftDelete(store: ObjectStore, kind: Kind, name: string, problems: Problem[]): Draft | undefined {
  const id = objectId(kind.name, name);
  const before = store.entry(kind.name, name);
  if (builtin(kind.name, name) || (kind.rules.permanent && before)) {
    const message = `${id} ${kind.rules.permanent ? "belongs to the router" : "is built in"} and cannot be deleted`;
    problems.push({ code: "WRONG_STATE", path: id, message });
    return undefined;
  }
  return before ? { kind, name, before, after: undefined } : notFound(store, kind, name, problems);
}

function notFound(store: ObjectStore, kind: Kind, name: string, problems: Problem[]): undefined {
  const message = `there is no ${kind.name} ${name}`;
  const near =
    problems.length < hintsMax ? nearestName(name, namesOf(store, new Map(), kind.name)) : undefined;
  const fix = near ? { fix: `did you mean ${near}` } : {};
  problems.push({ code: "NOT_FOUND", path: objectId(kind.name, name), message, ...fix });
  return undefined;
}

function canonicalCopy(kind: Kind, spec: Message): Message {
  const copy = clone(kind.desc, spec);
  canonicaliseSpec(kind.desc, copy);
  kind.rules.canonicalise?.(copy);
  return copy;
}

/** A name as given by a caller, in the form in which objects are keyed. */
function canonicalName(kind: Kind, name: string): string {
  if (!kind.key) return kind.section;
  const canonical = canonicalText(kind.key.rule.format, name);
  return canonical.ok ? canonical.text : name;
}

function isUnchanged(draft: Draft): boolean {
  return (
    draft.before !== undefined &&
    draft.after !== undefined &&
    equals(draft.kind.desc, draft.before.spec, draft.after)
  );
}

function* checkTogether(
  store: ObjectStore,
  drafts: ReadonlyMap<string, Draft>,
  problems: Problem[],
): Steps<void> {
  const lookup = (kind: string, name: string): Message | undefined => {
    const draft = drafts.get(objectId(kind, name));
    return draft ? draft.after : store.spec(kind, name);
  };
  for (const [id, draft] of drafts) {
    yield;
    const { kind, after } = draft;
    if (!after) {
      checkDelete(store, id, draft, drafts, problems);
      continue;
    }
    const found = validateSpec(kind.desc, after);
    const told = new Set(found.map((problem) => problem.path));
    const more = kind.rules.check?.(after, lookup, store.abilities) ?? [];
    append(problems, found, id);
    append(
      problems,
      more.filter((problem) => !told.has(problem.path)),
      id,
    );
    for (const reference of listReferences(kind.desc, after)) {
      if (lookup(reference.kind, reference.name)) continue;
      const { kind: wanted, name } = reference;
      const near = problems.length < hintsMax ? nearestName(name, namesOf(store, drafts, wanted)) : undefined;
      const message = `there is no ${wanted} ${name === "" ? '""' : name}`;
      const fix = near ? { fix: `did you mean ${near}` } : {};
      problems.push({ code: "REF_MISSING", path: `${id}.${reference.path}`, message, value: name, ...fix });
    }
  }
  for (const dependant of dependants(store, drafts)) {
    yield;
    const id = objectId(dependant.kind.name, dependant.name);
    const found = dependant.kind.rules.check?.(dependant.spec, lookup, store.abilities) ?? [];
    // Warnings are told to whoever writes an object, not to those who change what it rests on.
    append(
      problems,
      found.filter(({ severity }) => severity === undefined),
      id,
    );
  }
  yield* checkWhole(store, drafts, problems);
  checkCount(store, drafts, problems);
}

/** What shows only beside all objects of a kind. */
function* checkWhole(
  store: ObjectStore,
  drafts: ReadonlyMap<string, Draft>,
  problems: Problem[],
): Steps<void> {
  const touched = new Set<string>();
  for (const { kind, after } of drafts.values()) if (after) touched.add(kind.name);
  const changed = (kind: string, name: string): boolean => drafts.has(objectId(kind, name));
  for (const { name: kind, rules } of kinds.values()) {
    if (!rules.checkAll || ![kind, ...(rules.inherits ?? [])].some((each) => touched.has(each))) continue;
    yield;
    for (const { name, problem } of rules.checkAll(changed, (of) => specsOf(store, drafts, of)))
      append(problems, [problem], objectId(kind, name));
  }
}

/** All objects of a kind as the transaction would leave them. */
function* specsOf(store: ObjectStore, drafts: ReadonlyMap<string, Draft>, kind: string): Generator<Message> {
  for (const { name, spec } of store.entries(kind)) if (!drafts.has(objectId(kind, name))) yield spec;
  for (const draft of drafts.values()) if (draft.kind.name === kind && draft.after) yield draft.after;
}

function checkDelete(
  store: ObjectStore,
  id: string,
  draft: Draft,
  drafts: ReadonlyMap<string, Draft>,
  problems: Problem[],
): void {
  const left = store
    .referrers(draft.kind.name, draft.name)
    .filter((referrer) => !drafts.has(objectId(referrer.kind, referrer.name)));
  if (left.length === 0) return;
  const named = left
    .slice(0, namedReferrersMax)
    .map((r) => `${objectId(r.kind, r.name)} (${r.paths.join(", ")})`);
  const rest = left.length > named.length ? ` and ${left.length - named.length} more` : "";
  problems.push({
    code: "STILL_REFERENCED",
    path: id,
    message: `${id} is still referred to by ${named.join(", ")}${rest}`,
    fix: "change those first, or in the same transaction",
  });
}

/** Names of a kind that can be referred to after the transaction. */
function* namesOf(store: ObjectStore, drafts: ReadonlyMap<string, Draft>, kind: string): Generator<string> {
  yield* kinds.get(kind)?.rules.builtins?.keys() ?? [];
  let left = hintNamesMax;
  for (const draft of drafts.values()) {
    if (left-- === 0) break;
    if (draft.kind.name === kind && draft.after) yield draft.name;
  }
  for (const { name } of store.entries(kind).slice(0, hintNamesMax)) {
    if (!drafts.has(objectId(kind, name))) yield name;
  }
}

/**
 * Objects outside the transaction whose rules look at something inside it. Kinds that inherit from themselves do so
 * however far round.
 */
function* dependants(store: ObjectStore, drafts: ReadonlyMap<string, Draft>): Generator<ObjectEntry> {
  const seen = new Set<ObjectEntry>();
  const sources: Pick<Draft, "kind" | "name" | "after">[] = [...drafts.values()];
  for (const { kind, name, after } of sources) {
    // What still refers to a deleted object is told as that, and not by what it would lack without it.
    if (kind.key && !after) continue;
    for (const heir of kinds.values()) {
      if (!heir.rules.inherits?.includes(kind.name)) continue;
      const entries = kind.key
        ? store
            .referrers(kind.name, name)
            .filter((referrer) => referrer.kind === heir.name)
            .map((referrer) => store.entry(referrer.kind, referrer.name)!)
        : store.entries(heir.name);
      for (const entry of entries) {
        if (seen.has(entry) || drafts.has(objectId(heir.name, entry.name))) continue;
        seen.add(entry);
        if (heir.rules.inherits.includes(heir.name)) {
          sources.push({ kind: heir, name: entry.name, after: entry.spec });
        }
        yield entry;
      }
    }
  }
}

function checkCount(store: ObjectStore, drafts: ReadonlyMap<string, Draft>, problems: Problem[]): void {
  let count = store.count("Neighbor");
  for (const draft of drafts.values()) {
    if (draft.kind.name === "Neighbor") count += (draft.after ? 1 : 0) - (draft.before ? 1 : 0);
  }
  if (count > limits.neighborsMax) {
    problems.push({
      code: "LIMIT",
      path: "",
      message: `there can be at most ${limits.neighborsMax} neighbors, not ${count}`,
    });
  }
}

/** Adds the problems of one object. A set can have a million of them, so no spreading into arguments. */
function append(problems: Problem[], found: readonly Problem[], id: string): void {
  for (const problem of found) {
    problems.push({ ...problem, path: problem.path === "" ? id : `${id}.${problem.path}` });
  }
}

function* describe(
  store: ObjectStore,
  drafts: readonly Draft[],
  source: string,
  wallMs: number,
): Steps<Prepared> {
  const base = store.generation;
  const generation = drafts.length === 0 ? base : base + 1;
  const changes: ObjectChange[] = [];
  const puts: StoredObject[] = [];
  const deletes: { kind: string; name: string }[] = [];
  const touched: Touched[] = [];
  const swaps: { before: ObjectEntry | undefined; after: ObjectEntry | undefined }[] = [];
  for (const draft of drafts) {
    const { kind, name, before, after } = draft;
    let entry: ObjectEntry | undefined;
    if (after) {
      const created = before?.created ?? wallMs;
      const managedBy = draft.managedBy || source || "api";
      entry = { kind, name, spec: after, generation, created, updated: wallMs, managedBy };
      puts.push({
        kind: kind.name,
        name,
        spec: specJson(kind.desc, after),
        generation,
        created,
        updated: wallMs,
        managedBy,
      });
    } else {
      deletes.push({ kind: kind.name, name });
    }
    const change = describeChange(draft);
    changes.push(change.change);
    touched.push(change.touched);
    swaps.push({ before, after: entry });
    store.weigh(entry);
    yield;
  }
  const prepared = { base, generation, changes, puts, deletes, touched, swaps };
  return drafts.length > limits.wholeRowObjects ? { ...prepared, pieces: yield* textOf(prepared) } : prepared;
}

/** What a large transaction writes, as text: to hand it to the store's thread then takes no long turn. */
function* textOf({ changes, swaps, touched }: Prepared): Steps<GenerationPiece[]> {
  const pieces: GenerationPiece[] = [];
  for (let from = 0; from < swaps.length; from += pieceObjects) {
    const puts: StoredObject[] = [];
    const deletes: { kind: string; name: string }[] = [];
    const undo: StoredUndo[] = [];
    for (let i = from; i < Math.min(from + pieceObjects, swaps.length); i++) {
      const { kind, name } = touched[i];
      const { before, after } = swaps[i];
      if (after) puts.push(storedOf(after));
      else deletes.push({ kind, name });
      undo.push({ kind, name, before: before ? storedOf(before) : null });
      yield;
    }
    const shown = changes.slice(from, from + pieceObjects).map((each) => toJson(ObjectChangeSchema, each));
    pieces.push({ changes: JSON.stringify(shown), objects: JSON.stringify({ puts, deletes, undo }) });
  }
  return pieces;
}

function describeChange({ kind, name, before, after }: Draft): { change: ObjectChange; touched: Touched } {
  const identity = { kind: kind.name, name };
  if (before && after) {
    const diff = diffSpecs(kind.desc, before.spec, after);
    return {
      change: create(ObjectChangeSchema, {
        ...identity,
        action: ObjectChange_Action.UPDATE,
        fields: diff.changes,
      }),
      touched: { ...identity, before: before.spec, after, impact: diff.impact, fields: diff.fields },
    };
  }
  const impact = after ? Impact.NONE : kind.rules.deleteResets ? Impact.SESSION_RESET : Impact.NONE;
  const field = create(FieldChangeSchema, {
    oldValue: before ? specText(kind.desc, before.spec) : "",
    newValue: after ? specText(kind.desc, after) : "",
    impact: impactName(impact),
  });
  const action = after ? ObjectChange_Action.CREATE : ObjectChange_Action.DELETE;
  return {
    change: create(ObjectChangeSchema, { ...identity, action, fields: [field] }),
    touched: {
      ...identity,
      ...(before ? { before: before.spec } : {}),
      ...(after ? { after } : {}),
      impact,
      fields: [],
    },
  };
}
