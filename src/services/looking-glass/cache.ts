/** Answers of the last seconds, the oldest first out. */

export interface CachedAnswer {
  /** Wall-clock milliseconds. */
  readonly madeMs: number;
  /** What follows the head, as JSON. */
  readonly body: Buffer;
}

export class AnswerCache {
  private readonly entries = new Map<string, CachedAnswer>();
  private readonly bytesMax: number;
  private readonly ttlMs: number;
  private bytes = 0;

  constructor(bytesMax: number, ttlMs: number) {
    this.bytesMax = bytesMax;
    this.ttlMs = ttlMs;
  }

  /** The answer to a question, unless it is too old. @param nowMs wall-clock milliseconds */
  find(question: string, nowMs: number): CachedAnswer | undefined {
    const found = this.entries.get(question);
    if (!found) return undefined;
    const age = nowMs - found.madeMs;
    if (age >= 0 && age < this.ttlMs) return found;
    this.remove(question, found);
    return undefined;
  }

  keep(question: string, answer: CachedAnswer): void {
    const before = this.entries.get(question);
    if (before) this.remove(question, before);
    if (this.ttlMs === 0 || answer.body.length > this.bytesMax) return;
    this.entries.set(question, answer);
    this.bytes += answer.body.length;
    for (const [oldest, entry] of this.entries) {
      if (this.bytes <= this.bytesMax) break;
      this.remove(oldest, entry);
    }
  }

  private remove(question: string, entry: CachedAnswer): void {
    this.entries.delete(question);
    this.bytes -= entry.body.length;
  }

  get size(): number {
    return this.entries.size;
  }
}
