/** Changes to one feeder's routes: one third each another attribute set, gone, and back with a set of its own. */
import { fingerprint } from "./attributes.ts";
import type { Rig } from "./rig.ts";
import { encodeOne, encodeWithdrawal } from "./updates.ts";

/** A withdrawn prefix comes back after so many events. */
const absentFor = 301;

export class Churner {
  events = 0;
  private readonly rig: Rig;
  private readonly count: number;
  private readonly nextHop: Uint8Array;
  private readonly told: (number: number) => void;
  private readonly withdrawn: number[] = [];
  private fresh = 0;

  /**
   * @param rig whose first feeder announces prefixes `[0, count)`, and what its sinks must have follows
   * @param told called with the number of each prefix as its change is about to be sent
   */
  constructor(rig: Rig, count: number, told: (number: number) => void = () => {}) {
    this.rig = rig;
    this.count = count;
    this.nextHop = rig.nextHop(0);
    this.told = told;
  }

  /** Sends as many changes as a rate asks for since its start. @param due how many there should be by now */
  catchUp(due: number): void {
    if (due <= this.events) return;
    const batch: Buffer[] = [];
    while (this.events < due) batch.push(this.next());
    this.rig.feeders[0].send(Buffer.concat(batch));
  }

  private next(): Buffer {
    const { table, oracle } = this.rig;
    const event = this.events++;
    const kind = event % 3;
    const back = kind === 2 && event >= absentFor * 3 ? this.withdrawn.shift() : undefined;
    const number = back ?? (this.fresh = (this.fresh + 7919) % this.count);
    this.told(number);
    if (kind === 1) {
      this.withdrawn.push(number);
      oracle.retarget(number, 0);
      return encodeWithdrawal(table, number);
    }
    const attributes = { ...table.attributes(0, table.setOfPrefix(number)), communities: [event] };
    const print = fingerprint(attributes);
    oracle.passing.add(print);
    oracle.retarget(number, print);
    return encodeOne(table, number, attributes, this.nextHop);
  }
}
