/** When to try again what failed, and when to stop fighting over what somebody else keeps altering. */
import type { ArtifactName } from "./artifact.ts";

const firstDelayMs = 250;
const lastDelayMs = 60_000;
/** Repairs that are made at once; each of them is good again after `repairEveryMs`, and beyond them one waits for that. */
const repairsAtOnce = 8;
const repairEveryMs = 2_000;

interface Trouble {
  readonly name: ArtifactName;
  /** Failures in a row. */
  failures: number;
  /** Repairs that are not made good yet, as of `repairedAtMs`. */
  repairs: number;
  repairedAtMs: number;
  /** Not before this; 0 for at once. */
  waitUntilMs: number;
}

export class Retries {
  private readonly troubles = new Map<string, Trouble>();

  /** @returns when it is tried again, monotonic milliseconds */
  failed(text: string, name: ArtifactName, nowMs: number): number {
    const trouble = this.troubleOf(text, name);
    trouble.waitUntilMs = nowMs + Math.min(firstDelayMs * 2 ** trouble.failures, lastDelayMs);
    trouble.failures++;
    return trouble.waitUntilMs;
  }

  succeeded(text: string): void {
    const trouble = this.troubles.get(text);
    if (!trouble) return;
    trouble.failures = 0;
    trouble.waitUntilMs = 0;
    if (trouble.repairs === 0) this.troubles.delete(text);
  }

  /**
   * Notes that something is about to be put right.
   * @returns true when that has to wait, because it was done too often
   */
  fought(text: string, name: ArtifactName, nowMs: number): boolean {
    const trouble = this.troubleOf(text, name);
    const left = Math.max(0, trouble.repairs - (nowMs - trouble.repairedAtMs) / repairEveryMs);
    trouble.repairs = left;
    trouble.repairedAtMs = nowMs;
    if (left > repairsAtOnce - 1) {
      trouble.waitUntilMs = nowMs + Math.ceil((left - repairsAtOnce + 1) * repairEveryMs);
      return true;
    }
    trouble.repairs++;
    trouble.waitUntilMs = 0;
    return false;
  }

  waits(text: string, nowMs: number): boolean {
    return (this.troubles.get(text)?.waitUntilMs ?? 0) > nowMs;
  }

  /** What may be tried again now. */
  due(nowMs: number): ArtifactName[] {
    const due: ArtifactName[] = [];
    for (const trouble of this.troubles.values()) {
      if (trouble.waitUntilMs === 0 || trouble.waitUntilMs > nowMs) continue;
      trouble.waitUntilMs = 0;
      due.push(trouble.name);
    }
    return due;
  }

  /** When the next one is due; Infinity for never. */
  get nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { waitUntilMs } of this.troubles.values()) {
      if (waitUntilMs > 0 && waitUntilMs < next) next = waitUntilMs;
    }
    return next;
  }

  /** Forgets what nobody asks for any more. */
  forget(text: string): void {
    this.troubles.delete(text);
  }

  private troubleOf(text: string, name: ArtifactName): Trouble {
    const found = this.troubles.get(text);
    if (found) return found;
    const { class: className, key } = name;
    const fresh = {
      name: { class: className, key },
      failures: 0,
      repairs: 0,
      repairedAtMs: 0,
      waitUntilMs: 0,
    };
    this.troubles.set(text, fresh);
    return fresh;
  }
}
