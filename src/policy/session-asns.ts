/**
 * Words that stand for AS numbers in patterns: `own-asn`, the one that we use toward a neighbor, and `neighbor-asn`,
 * the neighbor's (source on import, target on export). So `0:neighbor-asn` in an export policy asks for a community
 * that names whoever the route would go to, and one statement serves all neighbors. They are filled in when a chain
 * is bound to a neighbor; a text that does not fit then, such as a four-octet number in a standard community, matches
 * nothing and adds nothing.
 */

export interface SessionAsns {
  readonly own: number;
  readonly neighbor: number;
}

/** Which of the numbers something reads: bits that are joined by `|`. */
export const AsnsRead = { none: 0, own: 1, neighbor: 2 } as const;
export type AsnsRead = number;

const words = /(own|neighbor)-asn/g;

/** Numbers that fit everywhere, to check a text before it is bound. */
export const anyAsns: SessionAsns = { own: 1, neighbor: 1 };

/** The words that the texts hold. */
export function asnsReadBy(texts: readonly string[]): AsnsRead {
  let reads: AsnsRead = AsnsRead.none;
  for (const text of texts) {
    if (text.includes("own-asn")) reads |= AsnsRead.own;
    if (text.includes("neighbor-asn")) reads |= AsnsRead.neighbor;
  }
  return reads;
}

/** The text with numbers in place of the words. */
export function withAsns(text: string, asns: SessionAsns): string {
  return text.replace(words, (_, whose: "own" | "neighbor") => String(asns[whose]));
}

/** What sessions must agree on so that something that reads these numbers is the same for them. */
export function asnsKey(reads: AsnsRead, { own, neighbor }: SessionAsns): string {
  return `${reads & AsnsRead.own ? own : ""},${reads & AsnsRead.neighbor ? neighbor : ""}`;
}
