/** What `Lab.seen` told, compared. */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";

export type Seen = Readonly<Record<string, unknown>>;

/** One text for equal values; counters are 64 bits wide. */
export function seenText(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part));
}

/** Names the first few places that differ: whole tables are long, and their difference takes minutes to work out. */
export function same(found: Seen, wanted: Seen, what: string): void {
  const wrong: string[] = [];
  for (const place of new Set([...Object.keys(found), ...Object.keys(wanted)])) {
    if (isDeepStrictEqual(found[place], wanted[place])) continue;
    const [a, b] = [found[place] ?? {}, wanted[place] ?? {}] as [Seen, Seen];
    for (const prefix of new Set([...Object.keys(a), ...Object.keys(b)])) {
      if (isDeepStrictEqual(a[prefix], b[prefix])) continue;
      wrong.push(`${prefix} ${place}: ${seenText(a[prefix])} instead of ${seenText(b[prefix])}`);
    }
  }
  assert.equal(
    wrong.length,
    0,
    `${what}, but ${wrong.length} routes differ\n${wrong.slice(0, 5).join("\n")}`,
  );
}
