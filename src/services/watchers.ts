/** Bounds and wake-ups for watches. Nothing is queued for a watcher: it is woken and reads what is there. */
import { limits } from "../base/limits.ts";
import { refusal } from "./problems.ts";

/** One open watch. */
export interface WatcherSlot {
  /** How far the watcher is behind, in its own unit; shown by the metrics. */
  lag: () => number;
  /** Calls `cleanup` when the slot is given back. */
  onRelease(cleanup: () => void): void;
  /** Gives the slot back; happens by itself when the call ends. */
  release(): void;
}

/** Counts open watches and refuses more than `limits.watchersMax`. */
export class WatcherSlots {
  readonly #open = new Set<WatcherSlot & { readonly kind: string }>();

  /**
   * Throws RESOURCE_EXHAUSTED when all slots are taken. The slot is also given back when `signal` says that the call
   * has ended: a generator that waits for its reader would otherwise hold it until it is collected.
   */
  take(kind: string, signal: AbortSignal): WatcherSlot {
    if (this.#open.size >= limits.watchersMax) {
      const message = `${limits.watchersMax} watches are open, which is the limit`;
      throw refusal([{ code: "LIMIT", path: "", message, fix: "close one of them" }]);
    }
    const cleanups: (() => void)[] = [];
    const slot = {
      kind,
      lag: () => 0,
      onRelease: (cleanup: () => void) => void cleanups.push(cleanup),
      release: () => {
        signal.removeEventListener("abort", slot.release);
        if (this.#open.delete(slot)) for (const cleanup of cleanups) cleanup();
      },
    };
    this.#open.add(slot);
    signal.addEventListener("abort", slot.release);
    return slot;
  }

  /** Number of open watches and the largest lag, by kind. */
  stats(): ReadonlyMap<string, { readonly count: number; readonly lag: number }> {
    const stats = new Map<string, { count: number; lag: number }>();
    for (const slot of this.#open) {
      const known = stats.get(slot.kind);
      stats.set(slot.kind, { count: (known?.count ?? 0) + 1, lag: Math.max(known?.lag ?? 0, slot.lag()) });
    }
    return stats;
  }
}

/** A wake-up call that is never lost: a notice before `wait` makes the next `wait` return at once. */
export class Wake {
  #noticed = false;
  #resume: (() => void) | undefined;

  readonly notify = (): void => {
    this.#noticed = true;
    this.#resume?.();
  };

  /** Returns after a notice. Throws the reason of `signal` when the call ends first. */
  async wait(signal: AbortSignal): Promise<void> {
    if (!this.#noticed && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#resume = resolve;
        signal.addEventListener("abort", this.notify);
      });
      signal.removeEventListener("abort", this.notify);
      this.#resume = undefined;
    }
    signal.throwIfAborted();
    this.#noticed = false;
  }
}
