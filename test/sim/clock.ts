/** Virtual time: what is due, in order. Things that are due at one instant happen in the order they were asked for. */
import { MinHeap } from "../../src/base/heap.ts";

export class Clock {
  nowMs = 0;
  private readonly heap = new MinHeap<{
    readonly atMs: number;
    readonly order: number;
    readonly run: () => void;
  }>();
  private orders = 0;

  at(timeMs: number, run: () => void): void {
    const atMs = Math.max(this.nowMs, timeMs);
    // The order in the fraction keeps the heap stable; one instant holds far fewer than 2^20 things.
    this.heap.push(atMs * 0x10_0000 + (this.orders % 0x10_0000), { atMs, order: this.orders++, run });
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run);
  }

  /** Jumps to the next thing and does it. @returns false when nothing is due before `untilMs` (the clock stands there then) */
  step(untilMs: number): boolean {
    if (this.heap.size === 0 || Math.floor(this.heap.least / 0x10_0000) > untilMs) {
      this.nowMs = Math.max(this.nowMs, untilMs);
      return false;
    }
    const { atMs, run } = this.heap.pop()!;
    this.nowMs = Math.max(this.nowMs, atMs);
    run();
    return true;
  }
}
