/**
 * What operators were told is true for ever: an acknowledged mutation survives any crash, one without an answer has
 * happened as a whole or not at all, a refused one never. The model knows only requests and answers.
 */
import { clone, type Message, toJson } from "@bufbuild/protobuf";
import type { InjectedPath } from "../../../src/gen/cairn/v1/injection_service_pb.ts";
import { type NeighborSpec, NeighborSpecSchema } from "../../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { kinds, objectName } from "../../../src/state/kinds.ts";
import type { MutationOp, MutationOutcome } from "../../../src/state/mutation.ts";
import type { StoredState } from "../../../src/state/rows.ts";
import { violated } from "../failure.ts";
import type { Speaker } from "../speaker.ts";
import type { World } from "../world.ts";

export class DurabilityModel {
  /** Specs by `Kind/name`, paths by `prefix pathId`. */
  private readonly objects = new Map<string, Message>();
  private readonly injected = new Map<string, InjectedPath>();
  /** Requests that the disk does not know yet. */
  private readonly pending = new Map<string, readonly MutationOp[]>();
  /** Requests that were answered with a change before the disk had it. */
  readonly lost = new Set<string>();
  /** Requests that were answered with a change of objects. */
  readonly acknowledged = new Set<string>();
  /** Highest generation that an answer named. */
  generation = 0;
  readonly problems: string[] = [];

  submitted(requestId: string, ops: readonly MutationOp[]): void {
    this.pending.set(requestId, ops);
  }

  answered(requestId: string, outcome: MutationOutcome, stored: StoredState): void {
    if (outcome.ok) {
      this.generation = Math.max(this.generation, outcome.generation);
      if (outcome.changes.length > 0) this.acknowledged.add(requestId);
      this.follow(stored);
    } else {
      for (const problem of outcome.problems)
        this.problems.push(`${problem.code} ${problem.path} ${problem.message}`);
    }
    // Accepted, and the disk does not know it: then it must have changed nothing.
    const isLost = this.pending.delete(requestId) && outcome.ok && changesSomething(outcome);
    if (isLost) this.lost.add(requestId);
  }

  /** The process died: what has no answer counts when the disk knows its request. */
  crashed(stored: StoredState): void {
    this.follow(stored);
    this.pending.clear();
  }

  /**
   * Applies what the disk knows, in its order: requests that are under way together may be carried out in any, a small
   * one before a large one that takes several turns.
   */
  private follow(stored: StoredState): void {
    for (const { requestId } of stored.requests) {
      const ops = this.pending.get(requestId);
      if (ops) this.apply(ops);
      this.pending.delete(requestId);
    }
  }

  private apply(ops: readonly MutationOp[]): void {
    for (const op of ops) {
      switch (op.op) {
        case "put":
          this.objects.set(`${op.kind}/${objectName(kinds.get(op.kind)!, op.spec)}`, op.spec);
          break;
        case "patch":
          this.patch(op);
          break;
        case "delete":
          this.objects.delete(`${op.kind}/${op.name}`);
          break;
        case "inject":
          this.injected.set(`${op.path.prefix} ${op.path.pathId}`, op.path);
          break;
        case "retract":
          this.injected.delete(`${op.prefix} ${op.pathId}`);
      }
    }
  }

  /** Only Neighbors are patched in the simulator. */
  private patch(op: Extract<MutationOp, { op: "patch" }>): void {
    const before = this.objects.get(`${op.kind}/${op.name}`) as NeighborSpec;
    const after = clone(NeighborSpecSchema, before);
    const spec = op.spec as NeighborSpec;
    if (op.mask.includes("shutdown")) after.shutdown = spec.shutdown;
    if (op.mask.includes("shutdown_message")) after.shutdownMessage = spec.shutdownMessage;
    if (op.mask.includes("default_originate")) after.defaultOriginate = spec.defaultOriginate;
    this.objects.set(`${op.kind}/${op.name}`, after);
  }

  get waiting(): number {
    return this.pending.size;
  }

  has(kind: string, name: string): boolean {
    return this.objects.has(`${kind}/${name}`);
  }

  injectedKeys(): { prefix: string; pathId: number }[] {
    return [...this.injected.values()].map(({ prefix, pathId }) => ({ prefix, pathId }));
  }

  objectEntries(): IterableIterator<[string, Message]> {
    return this.objects.entries();
  }

  injectedEntries(): IterableIterator<[string, InjectedPath]> {
    return this.injected.entries();
  }
}

function changesSomething(outcome: Extract<MutationOutcome, { ok: true }>): boolean {
  return outcome.changes.length > 0 || outcome.receipts.some(({ changed }) => changed);
}

/** Compares a speaker that has nothing under way with what its operators were told. */
export function checkDurability(world: World, speaker: Speaker): void {
  const model = world.models[speaker.index];
  const core = speaker.core!;
  const fail = (text: string): never => violated("durability", `speaker ${speaker.index}: ${text}`);
  if (core.objects.generation < model.generation) {
    fail(`generation ${core.objects.generation}, but ${model.generation} was acknowledged`);
  }
  for (const requestId of model.acknowledged) {
    if (!world.journals[speaker.index].audited.has(requestId))
      fail(`the audit does not know request ${requestId}`);
  }
  for (const requestId of model.lost) fail(`request ${requestId} was acknowledged before it was durable`);
  const declared = new Set<string>();
  for (const kind of kinds.values()) {
    for (const entry of core.objects.entries(kind.name)) declared.add(`${kind.name}/${entry.name}`);
  }
  for (const [id, spec] of model.objectEntries()) {
    const [kind, name] = id.split("/");
    const have = core.objects.entry(kind, name);
    if (!have) fail(`${id} was acknowledged and is gone`);
    const { desc } = kinds.get(kind)!;
    const wanted = JSON.stringify(toJson(desc, spec));
    const found = JSON.stringify(toJson(desc, have!.spec));
    if (wanted !== found) fail(`${id} is ${found}, acknowledged was ${wanted}`);
    declared.delete(id);
  }
  if (declared.size > 0) fail(`${[...declared].join(", ")} came from nowhere`);
  checkInjected(speaker, model, fail);
}

function checkInjected(speaker: Speaker, model: DurabilityModel, fail: (text: string) => never): void {
  const present = new Map<string, string>();
  for (let position = "", first = true; first || position !== ""; first = false) {
    const page = speaker.view!.injected("", undefined, undefined, position, 1000);
    if (!page.ok) fail("injected paths cannot be listed");
    for (const { path } of page.value.paths) present.set(`${path!.prefix} ${path!.pathId}`, pathText(path!));
    position = page.value.position;
  }
  for (const [key, path] of model.injectedEntries()) {
    const found = present.get(key);
    present.delete(key);
    // A path with an end of life may have come to it.
    if (found === undefined && path.ttl) continue;
    if (found === undefined) fail(`the path ${key} was acknowledged and is gone`);
    if (found !== pathText(path)) fail(`the path ${key} is ${found}, acknowledged was ${pathText(path)}`);
  }
  if (present.size > 0) fail(`the paths ${[...present.keys()].slice(0, 5).join(", ")} came from nowhere`);
}

/** A path as text without what is shown in another form than it was given. */
function pathText(path: InjectedPath): string {
  const { prefix, pathId, nextHop, origin, localPref, med, communities, largeCommunities, owner } = path;
  return JSON.stringify([
    prefix,
    pathId,
    nextHop,
    origin,
    localPref,
    med,
    communities.map(named),
    largeCommunities,
    owner,
  ]);
}

function named(community: string): string {
  return toName.get(community) ?? community;
}

const toName = new Map([
  ["65535:65281", "no-export"],
  ["65535:65282", "no-advertise"],
]);
