/** A token bucket: `perS` requests a second on average, bursts of as many. */
export class TokenBucket {
  readonly #perS: number;
  readonly #nowMs: () => number;
  #tokens: number;
  #atMs: number;

  /** `nowMs` is a monotonic clock in milliseconds. */
  constructor(perS: number, nowMs: () => number) {
    this.#perS = perS;
    this.#nowMs = nowMs;
    this.#tokens = perS;
    this.#atMs = nowMs();
  }

  /** Takes one token; false when there is none. */
  take(): boolean {
    const now = this.#nowMs();
    this.#tokens = Math.min(this.#perS, this.#tokens + ((now - this.#atMs) / 1000) * this.#perS);
    this.#atMs = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
