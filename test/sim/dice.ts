/** Draws from one seeded generator. Everything random in a simulated world comes from here. */
import { type Random, seededRandom } from "../../src/base/random.ts";

export class Dice {
  readonly random: Random;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  /** An integer in [0, below). */
  below(below: number): number {
    return Math.floor(this.random() * below);
  }

  /** An integer in [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }

  /** Small values are as likely as large ones: uniform in the logarithm. */
  skewed(low: number, high: number): number {
    return Math.round(low * (high / low) ** this.random());
  }

  /** A key by weight; undefined when all weights are zero. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K | undefined {
    const keys = Object.keys(weights) as K[];
    let left = this.random() * keys.reduce((sum, key) => sum + weights[key], 0);
    for (const key of keys) {
      left -= weights[key];
      if (left < 0) return key;
    }
    return undefined;
  }
}
