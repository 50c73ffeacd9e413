/**
 * What a part of the core offers to the turn. The core knows its parts only by this: a new one is a file and a place in
 * the list of `Core`, where the order is that of the work in a turn.
 */
import { assert } from "../base/assert.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { Input } from "./inputs.ts";
import type { Touched } from "./objects.ts";

/** Microseconds of work in a step of a large change, with a share of the turn left to the others. */
export const microsPerStep = 60;

/** What is done with inputs, by their kind. */
export type Inputs = {
  readonly [K in Input["kind"]]?: (input: Extract<Input, { readonly kind: K }>) => void;
};

export interface Part {
  /** Inputs that wait for the next turn. Several parts may take the same kind. */
  readonly inputs?: Inputs;
  /** Inputs that are taken as they come: bytes of a connection, whose buffer the shell uses again, and what goes with them. */
  readonly arrivals?: Inputs;
  /** Does what time has made due. */
  tick?(): void;
  /** Does work for about so many microseconds. */
  run?(micros: number): void;
  /** A turn would find something to do at once. */
  readonly hasWork?: boolean;
  /** When it wants a turn if nothing comes, monotonic milliseconds; Infinity for never. */
  nextMs?(): number;
  /** A change of objects is durable, and has reached the sessions. */
  apply?(touched: readonly Touched[]): void;
  /** Links of the kernel came, went or are otherwise than before. */
  linksChanged?(ifnames: Iterable<string>): void;
  /** All rows persisted with a sequence number up to `seq` are on disk. */
  durable?(seq: number): void;
  /** Rows persisted with a sequence number from `seq` on are lost. */
  notDurable?(seq: number, error: string): void;
  /** Revision of a table's change list up to which it has read, if it reads it: no row is used again before. */
  passed?(table: RouteTable): number | undefined;
}

type Handler = (input: Input) => void;

/** The parts of a core, as one. */
export class Parts {
  private readonly list: readonly Part[];
  private readonly inTurn: ReadonlyMap<Input["kind"], readonly Handler[]>;
  private readonly onArrival: ReadonlyMap<Input["kind"], readonly Handler[]>;

  /** @param list in the order of their work in a turn */
  constructor(list: readonly Part[]) {
    this.list = list;
    this.inTurn = handlers(list.map(({ inputs }) => inputs));
    this.onArrival = handlers(list.map(({ arrivals }) => arrivals));
  }

  /** @returns false when the input waits for the turn */
  arrive(input: Input): boolean {
    const takers = this.onArrival.get(input.kind);
    if (takers) for (const take of takers) take(input);
    return takers !== undefined;
  }

  /** Hands over an input that has waited for the turn. */
  take(input: Input): void {
    const takers = this.inTurn.get(input.kind);
    assert(takers !== undefined, `no part takes ${input.kind}`);
    for (const take of takers) take(input);
  }

  /** The work of a turn. */
  run(micros: number): void {
    for (const part of this.list) {
      part.tick?.();
      part.run?.(micros);
    }
  }

  get hasWork(): boolean {
    return this.list.some(({ hasWork }) => hasWork);
  }

  nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const part of this.list) if (part.nextMs) next = Math.min(next, part.nextMs());
    return next;
  }

  apply(touched: readonly Touched[]): void {
    for (const part of this.list) part.apply?.(touched);
  }

  linksChanged(ifnames: Iterable<string>): void {
    for (const part of this.list) part.linksChanged?.(ifnames);
  }

  durable(seq: number): void {
    for (const part of this.list) part.durable?.(seq);
  }

  notDurable(seq: number, error: string): void {
    for (const part of this.list) part.notDurable?.(seq, error);
  }

  /** Revision of a table's change list up to which all have read. */
  passed(table: RouteTable): number {
    let least = table.changes.revision;
    for (const part of this.list) {
      const passed = part.passed?.(table);
      if (passed !== undefined && ((least - passed) | 0) > 0) least = passed;
    }
    return least;
  }
}

function handlers(all: readonly (Inputs | undefined)[]): Map<Input["kind"], Handler[]> {
  const byKind = new Map<Input["kind"], Handler[]>();
  for (const inputs of all) {
    for (const [kind, take] of Object.entries(inputs ?? {}) as [Input["kind"], Handler][]) {
      const takers = byKind.get(kind);
      if (takers) takers.push(take);
      else byKind.set(kind, [take]);
    }
  }
  return byKind;
}
