/** AS paths as people write them: `65001 65002 {65003 65004} (65010 65011) [65012 65013]`. */
import { type AsPathSegment, SegmentType } from "./path-attributes.ts";

const brackets: Readonly<Record<SegmentType, readonly [string, string]>> = {
  [SegmentType.sequence]: ["", ""],
  [SegmentType.set]: ["{", "}"],
  [SegmentType.confedSequence]: ["(", ")"],
  [SegmentType.confedSet]: ["[", "]"],
};

/** Sets in braces, confederation sequences in parentheses, confederation sets in brackets; empty for an empty path. */
export function formatAsPath(segments: readonly AsPathSegment[]): string {
  return segments.map(({ type, asns }) => brackets[type][0] + asns.join(" ") + brackets[type][1]).join(" ");
}

/**
 * Parses what `formatAsPath` writes; commas are as good as spaces.
 * @returns the segments, or undefined when the text is no path
 */
export function parseAsPath(text: string): AsPathSegment[] | undefined {
  const segments: AsPathSegment[] = [];
  let open: AsPathSegment | undefined;
  for (const token of text.match(/[{}()[\]]|[^{}()[\]\s,]+/g) ?? []) {
    const opened = typeOpenedBy(token);
    if (opened !== undefined) {
      if (open) return undefined;
      open = { type: opened, asns: [] };
    } else if (/^[})\]]$/.test(token)) {
      if (!open || open.asns.length === 0 || brackets[open.type][1] !== token) return undefined;
      segments.push(open);
      open = undefined;
    } else {
      const asn = /^(0|[1-9][0-9]{0,9})$/.test(token) ? Number(token) : -1;
      if (asn < 0 || asn > 0xffff_ffff) return undefined;
      if (open) open.asns.push(asn);
      else appendToSequence(segments, asn);
    }
  }
  return open ? undefined : segments;
}

function typeOpenedBy(token: string): SegmentType | undefined {
  if (token === "{") return SegmentType.set;
  if (token === "(") return SegmentType.confedSequence;
  return token === "[" ? SegmentType.confedSet : undefined;
}

function appendToSequence(segments: AsPathSegment[], asn: number): void {
  const last = segments[segments.length - 1];
  if (last?.type === SegmentType.sequence) last.asns.push(asn);
  else segments.push({ type: SegmentType.sequence, asns: [asn] });
}
