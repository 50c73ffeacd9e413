/** Who refers to whom, kept as objects come and go so that a delete need not look at everything. */
import type { Reference } from "./schema.ts";

/** An object that names another one, with the field paths where it does. */
export interface Referrer {
  readonly kind: string;
  readonly name: string;
  readonly paths: readonly string[];
}

/** `KIND/NAME`; kinds hold no slash, so this is unambiguous. */
export function objectId(kind: string, name: string): string {
  return `${kind}/${name}`;
}

export class ReferenceIndex {
  /** Target id -> referrer id -> referrer. */
  readonly #referrers = new Map<string, Map<string, Referrer>>();

  add(kind: string, name: string, references: readonly Reference[]): void {
    const id = objectId(kind, name);
    for (const reference of references) {
      const target = objectId(reference.kind, reference.name);
      let entries = this.#referrers.get(target);
      if (!entries) this.#referrers.set(target, (entries = new Map()));
      const known = entries.get(id);
      entries.set(id, { kind, name, paths: known ? [...known.paths, reference.path] : [reference.path] });
    }
  }

  remove(kind: string, name: string, references: readonly Reference[]): void {
    const id = objectId(kind, name);
    for (const reference of references) {
      const target = objectId(reference.kind, reference.name);
      const entries = this.#referrers.get(target);
      if (entries?.delete(id) && entries.size === 0) this.#referrers.delete(target);
    }
  }

  /** Objects that name this one, in the order in which they came. */
  of(kind: string, name: string): Referrer[] {
    return [...(this.#referrers.get(objectId(kind, name))?.values() ?? [])];
  }
}
