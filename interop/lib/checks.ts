/**
 * Checks: one line each, a tally, and waiting that compares exactly. A check passes when an observation of the target
 * equals what was expected, whole: no "contains", no "at least".
 */
import { isDeepStrictEqual } from "node:util";
import { pause } from "./lab.ts";

/** An observation that did not come to equal the expected value in time. */
export class Mismatch extends Error {
  constructor(what: string, expected: unknown, observed: unknown) {
    super(`${what}\n${difference(expected, observed)}`);
    this.name = "Mismatch";
  }
}

export class Checks {
  passed = 0;
  failed = 0;
  skipped = 0;
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Runs one check and prints its line. @returns whether it passed */
  async check(name: string, body: () => Promise<void>): Promise<boolean> {
    const begin = performance.now();
    const seconds = (): string => `${((performance.now() - begin) / 1000).toFixed(1)} s`;
    try {
      await body();
      this.passed++;
      console.log(`ok    ${this.#prefix}: ${name} (${seconds()})`);
      return true;
    } catch (error) {
      this.failed++;
      const text = error instanceof Mismatch ? error.message : ((error as Error).stack ?? String(error));
      console.log(`FAIL  ${this.#prefix}: ${name} (${seconds()})\n${text.replace(/^/gm, "        ")}`);
      return false;
    }
  }

  skip(name: string, why: string): void {
    this.skipped++;
    console.log(`SKIP  ${this.#prefix}: ${name}: ${why}`);
  }
}

/** Long enough for a connect-retry back-off on a busy machine; success never waits for it. */
export const patienceMs = 30_000;

/**
 * Observes until the observation equals `expected`.
 * @throws Mismatch with the last observation when it never does
 */
export async function eventually<T>(
  what: string,
  expected: T,
  observe: () => Promise<T>,
  withinMs = patienceMs,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  let observed: T | string;
  do {
    try {
      observed = await observe();
      if (isDeepStrictEqual(observed, expected)) return;
    } catch (error) {
      observed = `(cannot observe: ${(error as Error).message})`;
    }
    await pause(150);
  } while (performance.now() < deadline);
  throw new Mismatch(what, expected, observed);
}

/** For what must not come: the observation equals `expected`, and still does when all that was under way has arrived. */
export async function stays<T>(what: string, expected: T, observe: () => Promise<T>): Promise<void> {
  await eventually(what, expected, observe);
  await pause(700);
  equal(`${what}, a while later`, expected, await observe());
}

/** Compares once. */
export function equal<T>(what: string, expected: T, observed: T): void {
  if (!isDeepStrictEqual(observed, expected)) throw new Mismatch(what, expected, observed);
}

/** Lines of both values in JSON that the other one lacks. */
function difference(expected: unknown, observed: unknown): string {
  const lines = (value: unknown): string[] =>
    Array.isArray(value) && value.length > 0
      ? value.map((each) => JSON.stringify(each) ?? "undefined")
      : [JSON.stringify(value) ?? "undefined"];
  const [want, have] = [lines(expected), lines(observed)];
  const missing = want.filter((line) => !have.includes(line)).map((line) => `- expected ${line}`);
  const extra = have.filter((line) => !want.includes(line)).map((line) => `+ observed ${line}`);
  return [...missing, ...extra].join("\n") || "the same lines in another order or number";
}
