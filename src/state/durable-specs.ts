/**
 * Declared objects as the store has made them durable: what is running follows these, while transactions are checked
 * against the newest. The two differ in the objects that changes on their way to disk touch.
 */
import type { Message } from "@bufbuild/protobuf";
import type { ObjectStore, Specs, Touched } from "./objects.ts";
import { objectId } from "./objects-index.ts";

export class DurableSpecs implements Specs {
  private readonly objects: ObjectStore;
  /** Durable spec of each object that changes under way touch, and how many of them do. */
  private readonly underWay = new Map<string, { spec: Message | undefined; changes: number }>();

  constructor(objects: ObjectStore) {
    this.objects = objects;
  }

  spec(kind: string, name: string): Message | undefined {
    const held = this.underWay.get(objectId(kind, name));
    return held ? held.spec : this.objects.spec(kind, name);
  }

  /** A change was committed in memory and is on its way to disk. */
  began(touched: readonly Touched[]): void {
    for (const { kind, name, before } of touched) {
      const id = objectId(kind, name);
      const held = this.underWay.get(id);
      if (held) held.changes++;
      else this.underWay.set(id, { spec: before, changes: 1 });
    }
  }

  /** The oldest change under way is durable. */
  became(touched: readonly Touched[]): void {
    for (const { kind, name, after } of touched) this.end(objectId(kind, name), after, true);
  }

  /** The newest change under way was taken back. */
  takenBack(touched: readonly Touched[]): void {
    for (const { kind, name } of touched) this.end(objectId(kind, name), undefined, false);
  }

  private end(id: string, after: Message | undefined, durable: boolean): void {
    const held = this.underWay.get(id)!;
    if (durable) held.spec = after;
    if (--held.changes === 0) this.underWay.delete(id);
  }
}
