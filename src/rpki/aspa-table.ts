/**
 * ASPAs by slot (see vrp-table.ts): customer to providers. What is in force is the union over the active slots, and is
 * asked for hop by hop, so that a change of the mask costs nothing.
 */
import { assert } from "../base/assert.ts";
import { limits } from "../base/limits.ts";
import { Hop, type HopSource } from "./aspa.ts";
import type { Slot, VrpOutcome } from "./vrp-table.ts";

type Customers = Map<number, Uint32Array>;

const none: Customers = new Map();

export class AspaTable implements HopSource {
  private readonly slots: (Customers | undefined)[] = [];
  private active: readonly Slot[] = [];
  private asserted: readonly Slot[] = [];
  /** Customers of which SLURM takes out what caches and files say. */
  private filtered: ReadonlySet<number> = new Set();
  /** Replaces what a slot says of a customer. @param providers in ascending order */
  announce(slot: Slot, customer: number, providers: Uint32Array): VrpOutcome {
    const customers = (this.slots[slot] ??= new Map());
    const before = customers.get(customer);
    if (before && equal(before, providers)) return "duplicate";
    if (!before && customers.size >= limits.aspasMax) return "full";
    customers.set(customer, providers);
    return "done";
  }

  withdraw(slot: Slot, customer: number): VrpOutcome {
    return this.slots[slot]?.delete(customer) ? "done" : "unknown";
  }

  copy(slot: Slot, to: Slot): void {
    assert(!this.slots[to], "copy to a slot that is in use");
    this.slots[to] = new Map(this.slots[slot] ?? none);
  }

  clear(slot: Slot): void {
    this.slots[slot] = undefined;
  }

  /**
   * From now on these slots count (masks, see `VrpTable.activate`).
   * @returns customers of which something else may be attested now
   */
  activate(active: number, asserted: number, filtered: ReadonlySet<number>): Set<number> {
    const before = new Map<number, readonly number[] | undefined>();
    const slots = slotsOf(active);
    for (const slot of new Set([...this.active, ...slots])) {
      for (const customer of this.slots[slot]?.keys() ?? []) before.set(customer, undefined);
    }
    for (const customer of before.keys()) before.set(customer, this.providersOf(customer));
    this.active = slots;
    this.asserted = slotsOf(asserted);
    this.filtered = filtered;
    const changed = new Set<number>();
    for (const [customer, providers] of before) {
      const now = this.providersOf(customer);
      if (now?.join() !== providers?.join()) changed.add(customer);
    }
    return changed;
  }

  hop(customer: number, provider: number): Hop {
    let found: Hop = Hop.noAttestation;
    for (const slot of this.slotsFor(customer)) {
      const providers = this.slots[slot]?.get(customer);
      if (!providers) continue;
      if (includes(providers, provider)) return Hop.provider;
      found = Hop.notProvider;
    }
    return found;
  }

  /** The providers of a customer in ascending order; undefined when nothing is attested of it. */
  providersOf(customer: number): readonly number[] | undefined {
    const all = this.slotsFor(customer).flatMap((slot) => [...(this.slots[slot]?.get(customer) ?? [])]);
    if (all.length === 0) return undefined;
    return [...new Set(all)].sort((a, b) => a - b);
  }

  /** Customers of which something is attested, in ascending order. */
  customers(): number[] {
    const all = new Set<number>();
    for (const slot of this.active) {
      for (const customer of this.slots[slot]?.keys() ?? [])
        if (this.providersOf(customer)) all.add(customer);
    }
    return [...all].sort((a, b) => a - b);
  }

  /** Slots (a mask) that say something of a customer. */
  sourcesOf(customer: number): number {
    let mask = 0;
    for (const slot of this.slotsFor(customer)) if (this.slots[slot]?.has(customer)) mask |= 1 << slot;
    return mask >>> 0;
  }

  /** True when some slot that counts has an ASPA, filtered or not. */
  get hasAny(): boolean {
    return this.active.some((slot) => this.countOf(slot) > 0);
  }

  countOf(slot: Slot): number {
    return this.slots[slot]?.size ?? 0;
  }

  private slotsFor(customer: number): readonly Slot[] {
    return this.filtered.has(customer) ? this.asserted : this.active;
  }
}

function slotsOf(mask: number): Slot[] {
  const slots: Slot[] = [];
  for (let slot = 0; slot < 32; slot++) if (((mask >>> slot) & 1) === 1) slots.push(slot);
  return slots;
}

/** @param sorted in ascending order */
function includes(sorted: Uint32Array, wanted: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low < sorted.length && sorted[low] === wanted;
}

function equal(a: Uint32Array, b: Uint32Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
