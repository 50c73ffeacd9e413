/**
 * Problems are values: what is wrong with an input, where, and how to mend it. A request gets all of its problems
 * at once. The edges turn them into gRPC status details, carets under a config line, or a log line.
 */
export type ProblemCode =
  | "INVALID" // the value cannot be understood or is out of bounds
  | "REQUIRED" // a field that must be set is not
  | "UNKNOWN_FIELD"
  | "UNKNOWN_KIND"
  | "DUPLICATE"
  | "REF_MISSING" // names an object that does not exist
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "STILL_REFERENCED"
  | "STALE_GENERATION"
  | "WRONG_STATE"
  | "LIMIT"
  | "PENDING" // another change waits for its confirmation
  | "TEST_FAILED" // a policy test does not come out as it says
  | "LOCK_OUT" // would cut the connection over which it was asked for
  | "GATE" // the plan exceeds what the caller allows
  | "STORE_FAILED" // could not be made durable; nothing changed
  | "DAMAGED" // what is stored is not what was written
  | "BUSY"
  | "SYNTAX"
  | "SUSPECT"; // only ever a warning: allowed, but hardly meant

export interface Problem {
  readonly code: ProblemCode;
  /** A warning is told and changes nothing else; absent means an error. */
  readonly severity?: "warning";
  /** Field path, for example `Neighbor/192.0.2.1.hold_time` or `spec.prefixes[3].ge`; empty for the whole request. */
  readonly path: string;
  /** One sentence without a full stop. */
  readonly message: string;
  /** What to do about it, when we know. */
  readonly fix?: string;
  /** The offending value as text. */
  readonly value?: string;
}

export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** The problem as one line for people. */
export function formatProblem(problem: Problem): string {
  const where = problem.path ? `${problem.path}: ` : "";
  return `${where}${problem.message}${problem.fix ? ` (${problem.fix})` : ""}`;
}

/** The known name nearest to `word` (edit distance at most a third of its length), for hints after a typo. */
export function nearestName(word: string, names: Iterable<string>): string | undefined {
  if (word.length > 64) return undefined; // no typo of a name, and costly to compare
  let best: string | undefined;
  let bestDistance = Math.floor(Math.max(word.length, 3) / 3) + 1;
  for (const name of names) {
    const distance = editDistance(word.toLowerCase(), name.toLowerCase());
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, substitution);
    }
    row = next;
  }
  return row[b.length];
}
