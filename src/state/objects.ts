/**
 * Everything that is declared: objects of all kinds, the generation they make up, and the one path by which they
 * change. `prepare` (objects-prepare.ts) checks a transaction without changing anything; `commit` makes it the next
 * generation in memory; `revert` takes that back when the store could not make it durable.
 */
import { create, type Message } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { assert } from "../base/assert.ts";
import type { Problem, Result } from "../base/problem.ts";
import type { Impact } from "../gen/cairn/v1/options_pb.ts";
import { MetadataSchema, type ObjectChange } from "../gen/cairn/v1/types_pb.ts";
import { addDigest, hashText, objectDigest, removeDigest } from "./config-hash.ts";
import { everyAbility, type HostAbilities } from "./kinds/rules.ts";
import { builtin, type Kind, kinds } from "./kinds.ts";
import type { Mutation } from "./mutation.ts";
import { objectId, ReferenceIndex, type Referrer } from "./objects-index.ts";
import { prepareMutation, prepareUndo } from "./objects-prepare.ts";
import { readEntry, specJson } from "./objects-read.ts";
import { Preparation } from "./preparation.ts";
import type { GenerationPiece, StoredObject, StoredUndo } from "./rows.ts";
import { listReferences, type Reference } from "./schema.ts";
import { redacted } from "./schema-diff.ts";
import type { ObjectView } from "./view.ts";

/** An object as held. Entries are never changed, only replaced. */
export interface ObjectEntry {
  readonly kind: Kind;
  readonly name: string;
  readonly spec: Message;
  /** Generation of the last change. */
  readonly generation: number;
  /** Wall-clock milliseconds. */
  readonly created: number;
  readonly updated: number;
  readonly managedBy: string;
}

/** One object that a transaction changes. `before` absent: it is created; `after` absent: it is deleted. */
export interface Touched {
  readonly kind: string;
  readonly name: string;
  readonly before?: Message;
  readonly after?: Message;
  /** The worst impact among the changed fields, by the declared specs alone; see resolve.ts for what is inherited. */
  readonly impact: Impact;
  /** Top-level fields that changed, in snake_case; empty when the object comes or goes. */
  readonly fields: readonly string[];
}

/** A transaction that was checked and can be committed as long as the generation is still `base`. */
export interface Prepared {
  readonly base: number;
  /** The generation that it makes: base + 1, or base when nothing changes. */
  readonly generation: number;
  readonly changes: readonly ObjectChange[];
  readonly puts: readonly StoredObject[];
  readonly deletes: readonly { readonly kind: string; readonly name: string }[];
  readonly touched: readonly Touched[];
  /** Entries before and after, for commit and revert. */
  readonly swaps: readonly {
    readonly before: ObjectEntry | undefined;
    readonly after: ObjectEntry | undefined;
  }[];
  /** Rows of a large transaction as text. */
  readonly pieces?: readonly GenerationPiece[];
  /** What is allowed but looks wrong. */
  readonly warnings?: readonly Problem[];
}

/** Where specs are looked up: the store itself, or the store as a transaction would leave it. */
export interface Specs {
  /** The spec of an object, declared or built in. Never to be changed. */
  spec(kind: string, name: string): Message | undefined;
}

export class ObjectStore implements Specs {
  readonly #byKind = new Map<string, Map<string, ObjectEntry>>();
  readonly #sorted = new Map<string, readonly ObjectEntry[]>();
  readonly #views = new WeakMap<ObjectEntry, ObjectView>();
  readonly #index = new ReferenceIndex();
  readonly #digests = new WeakMap<ObjectEntry, bigint>();
  readonly #named = new WeakMap<ObjectEntry, readonly Reference[]>();
  /** What the host can do: settings that need more are refused. */
  abilities: HostAbilities = everyAbility;
  /** Sum of the digests of all objects. */
  #sum = 0n;
  #generation: number;
  /** Rises with every change of the objects, also when one is taken back. */
  #version = 0;

  /** An empty store; see `load` for one with objects. */
  constructor(generation = 0) {
    this.#generation = generation;
    for (const name of kinds.keys()) this.#byKind.set(name, new Map());
  }

  /**
   * A store with what the database held. What this version cannot read (an unknown kind or field, written by a newer
   * version) is a problem, because to drop it would change what is declared; so are rows that are not those which the
   * generation was made of.
   * @param hash as noted with the generation; absent when an older version wrote it
   */
  static load(rows: readonly StoredObject[], generation: number, hash?: string): Result<ObjectStore> {
    const store = new ObjectStore(generation);
    const problems: Problem[] = [];
    for (const row of rows) {
      const entry = readEntry(row, problems);
      if (!entry) continue;
      // Of what was written, so that the sum is the one that was noted with the generation.
      store.#digests.set(entry, objectDigest(row.kind, row.name, row.spec));
      store.#set(entry);
    }
    if (problems.length > 0) return { ok: false, problems };
    if (hash === undefined || hash === store.hash) return { ok: true, value: store };
    const message = `its ${rows.length} objects are not those of generation ${generation}: their hash is ${store.hash}, and ${hash} was noted`;
    return { ok: false, problems: [{ code: "DAMAGED", path: "", message }] };
  }

  get generation(): number {
    return this.#generation;
  }

  /** Equal versions, equal objects: a generation that was taken back gives its number to the next. */
  get version(): number {
    return this.#version;
  }

  /** Hash of everything declared, in hexadecimal; see config-hash.ts. */
  get hash(): string {
    return hashText(this.#sum);
  }

  /** The hash as it would be after a prepared transaction. */
  hashAfter(prepared: Prepared): string {
    let sum = this.#sum;
    for (const { before, after } of prepared.swaps) {
      if (before) sum = removeDigest(sum, this.#digest(before));
      if (after) sum = addDigest(sum, this.#digest(after));
    }
    return hashText(sum);
  }

  /** Works out ahead what a commit needs of an entry, so that the commit itself is short. */
  weigh(entry: ObjectEntry | undefined): void {
    if (!entry) return;
    this.#digest(entry);
    this.#references(entry);
  }

  #references(entry: ObjectEntry): readonly Reference[] {
    let named = this.#named.get(entry);
    if (!named) {
      named = listReferences(entry.kind.desc, entry.spec);
      this.#named.set(entry, named);
    }
    return named;
  }

  #digest(entry: ObjectEntry): bigint {
    let digest = this.#digests.get(entry);
    if (digest === undefined) {
      digest = objectDigest(entry.kind.name, entry.name, specJson(entry.kind.desc, entry.spec));
      this.#digests.set(entry, digest);
    }
    return digest;
  }

  spec(kind: string, name: string): Message | undefined {
    return this.#byKind.get(kind)?.get(name)?.spec ?? builtin(kind, name);
  }

  entry(kind: string, name: string): ObjectEntry | undefined {
    return this.#byKind.get(kind)?.get(name);
  }

  /** Number of declared objects of a kind. */
  count(kind: string): number {
    return this.#byKind.get(kind)?.size ?? 0;
  }

  /** A declared object as the API shows it. */
  get(kind: string, name: string): ObjectView | undefined {
    const entry = this.entry(kind, name);
    return entry && this.#view(entry);
  }

  /** The declared objects of a kind, by name; neighbors by address, IPv4 first. Stays as it was when called. */
  *list(kind: string): Generator<ObjectView> {
    for (const entry of this.entries(kind)) yield this.#view(entry);
  }

  /** The same without metadata messages. */
  entries(kind: string): readonly ObjectEntry[] {
    let sorted = this.#sorted.get(kind);
    if (!sorted) {
      const keyOf = kinds.get(kind)?.rules.sortKey ?? ((name: string) => name);
      const keyed = [...(this.#byKind.get(kind)?.values() ?? [])].map((entry) => ({
        key: keyOf(entry.name),
        entry,
      }));
      keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
      sorted = keyed.map((item) => item.entry);
      this.#sorted.set(kind, sorted);
    }
    return sorted;
  }

  /** KIND/NAME of the objects that an object names, and of those that name it; each once, in order. */
  references(kind: string, name: string): { uses: string[]; usedBy: string[] } {
    const entry = this.entry(kind, name);
    const ids = (found: readonly { readonly kind: string; readonly name: string }[]): string[] =>
      [...new Set(found.map((each) => objectId(each.kind, each.name)))].sort();
    return { uses: entry ? ids(this.#references(entry)) : [], usedBy: ids(this.referrers(kind, name)) };
  }

  /** Objects whose fields name this object, for example the neighbors of a peer group. */
  referrers(kind: string, name: string): Referrer[] {
    return this.#index.of(kind, name);
  }

  /**
   * Checks a transaction and works out what it changes, without changing anything. Inject and retract ops are not
   * looked at. Cost follows the objects changed and those that inherit from them, not all objects.
   * @param wallMs wall-clock milliseconds, for metadata
   * @returns all problems; paths are `KIND/NAME.field`
   */
  prepare(mutation: Mutation, wallMs: number): Result<Prepared> {
    return prepareMutation(this, mutation, wallMs);
  }

  /** The same in steps, for a transaction that may be large. */
  preparation(mutation: Mutation, wallMs: number): Preparation {
    return new Preparation(this, mutation, wallMs);
  }

  /**
   * The transaction that gives objects back the state they had, without checks: what was in force once may be so
   * again, even when today's rules would refuse it.
   */
  prepareUndo(undo: readonly StoredUndo[], wallMs: number): Result<Prepared> {
    return prepareUndo(this, undo, wallMs);
  }

  /** Makes a prepared transaction the current generation. One that changes nothing leaves the generation. */
  commit(prepared: Prepared): void {
    assert(prepared.base === this.#generation, "a prepared transaction was overtaken");
    for (const { before, after } of prepared.swaps) {
      if (before) this.#unset(before);
      if (after) this.#set(after);
    }
    this.#generation = prepared.generation;
    this.#version++;
  }

  /** Takes the newest commit back. With several, the newest goes first. */
  revert(prepared: Prepared): void {
    assert(prepared.generation === this.#generation, "only the newest generation can be taken back");
    for (const { before, after } of prepared.swaps) {
      if (after) this.#unset(after);
      if (before) this.#set(before);
    }
    this.#generation = prepared.base;
    this.#version++;
  }

  #set(entry: ObjectEntry): void {
    const kind = entry.kind.name;
    this.#byKind.get(kind)!.set(entry.name, entry);
    this.#sum = addDigest(this.#sum, this.#digest(entry));
    this.#sorted.delete(kind);
    this.#index.add(kind, entry.name, this.#references(entry));
  }

  #unset(entry: ObjectEntry): void {
    const kind = entry.kind.name;
    assert(this.#byKind.get(kind)!.get(entry.name) === entry, "the object changed under a transaction");
    this.#byKind.get(kind)!.delete(entry.name);
    this.#sum = removeDigest(this.#sum, this.#digest(entry));
    this.#sorted.delete(kind);
    this.#index.remove(kind, entry.name, this.#references(entry));
  }

  #view(entry: ObjectEntry): ObjectView {
    let view = this.#views.get(entry);
    if (!view) {
      const metadata = create(MetadataSchema, {
        kind: entry.kind.name,
        name: entry.name,
        generation: BigInt(entry.generation),
        created: timestampFromMs(entry.created),
        updated: timestampFromMs(entry.updated),
        managedBy: entry.managedBy,
      });
      view = { metadata, spec: redacted(entry.kind.desc, entry.spec) };
      this.#views.set(entry, view);
    }
    return view;
  }
}
