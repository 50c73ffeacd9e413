/**
 * The work of all clients of the looking glass together is one reader: it holds the thread for a short while, then lets
 * the loop go round once, however many ask at one time.
 */
import { setImmediate } from "node:timers/promises";

/** Milliseconds that a slice may take. */
const sliceMs = 2;

export class Slices {
  private last: Promise<unknown> = Promise.resolve();

  /** Calls `step` until it answers true or the slice is over. @returns what `step` answered last */
  run(step: () => boolean): Promise<boolean> {
    const mine = this.last.then(async () => {
      await setImmediate();
      const end = performance.now() + sliceMs;
      for (;;) {
        if (step()) return true;
        if (performance.now() >= end) return false;
      }
    });
    this.last = mine.catch(() => {});
    return mine;
  }

  /** Calls `step` in as many slices as it takes until it answers true. */
  async all(step: () => boolean): Promise<void> {
    while (!(await this.run(step)));
  }
}
