/** Long reads share the thread with routing: they rest whenever they have held it for a while. */
import { setImmediate } from "node:timers/promises";

/** Milliseconds that a reader may hold the thread. */
const holdMs = 2;

export class Pacer {
  #since = performance.now();

  /** Lets the event loop run when this reader has held it long enough. Call it between small steps. */
  async rest(): Promise<void> {
    if (performance.now() - this.#since < holdMs) return;
    await setImmediate();
    this.#since = performance.now();
  }

  /** Starts to count anew, after the caller has waited for something else. */
  restart(): void {
    this.#since = performance.now();
  }
}
