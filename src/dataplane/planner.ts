/**
 * What to do about one artifact, given what is asked for, what the kernel holds and what the ledger says. The table, for
 * entries (`ours`: a ledger row whose identity, where both are known, is that of the kernel's entry):
 *
 *   asked  kernel   ledger   decision
 *   yes    none     none     create
 *   yes    none     row      create; drift, if it was confirmed
 *   yes    same     ours     nothing
 *   yes    same     none     adopt if asked to, else conflict
 *   yes    differs  ours     update, or remake where the kernel alters no such thing; drift, if not because another
 *                            thing is asked for
 *   yes    differs  none     update or remake if asked to adopt, else conflict
 *   no     present  ours     delete
 *   no     none     row      forget
 *   no     present  other's  forget the row, leave the entry
 *   no     present  none     nothing: foreign; delete in a class where all entries are ours
 *
 * Settings are never made, deleted or foreign: `update` alters them and keeps what was there, and what becomes of them
 * when nobody asks any more is `restore`, unless somebody has altered them since.
 */
import { type Artifact, type ArtifactClass, type Observed, sameFacts, satisfies } from "./artifact.ts";
import type { LedgerRow } from "./ledger.ts";

/**
 * `remake`: take it away, and make another when it is gone. `keep`: nothing in the kernel. `forget`: drop the ledger row and leave the kernel alone. `adopt`: as it should be, and
 * ours from now on. `conflict`: something that is not ours is in the way. `unsupported`: this kernel has no such setting.
 */
export type Verb =
  | "keep"
  | "create"
  | "update"
  | "remake"
  | "delete"
  | "restore"
  | "adopt"
  | "forget"
  | "conflict"
  | "unsupported";

export interface Decision {
  readonly verb: Verb;
  /** Somebody else has altered or removed what is ours. */
  readonly drift: boolean;
}

/**
 * @param asked what an object asks for, if any does
 * @param observed what the kernel holds; undefined: nothing. Never what it held some time ago
 * @param row what the ledger says
 */
export function decide(
  { nature, moving, needsNew, exclusive = false }: ArtifactClass,
  asked: Artifact | undefined,
  observed: Observed | undefined,
  row: LedgerRow | undefined,
): Decision {
  const seen = moving ? unmoved(observed, row, moving) : observed;
  if (nature === "setting") return decideSetting(asked, seen, row);
  if (exclusive && !asked && seen && !row) return verdict("delete");
  const decision = decideEntry(asked, seen, row);
  if (decision.verb !== "update" || !needsNew?.(seen!.facts, asked!.facts)) return decision;
  return { ...decision, verb: "remake" };
}

/** What is seen, with what was written where the kernel has altered it by itself. */
function unmoved(
  observed: Observed | undefined,
  row: LedgerRow | undefined,
  moving: readonly string[],
): Observed | undefined {
  if (!observed || row?.phase !== "confirmed") return observed;
  const written = moving.filter((name) => row.facts[name] !== undefined);
  return {
    ...observed,
    facts: { ...observed.facts, ...Object.fromEntries(written.map((name) => [name, row.facts[name]])) },
  };
}

function decideEntry(
  asked: Artifact | undefined,
  observed: Observed | undefined,
  row: LedgerRow | undefined,
): Decision {
  if (!observed) {
    if (asked) return verdict("create", row?.phase === "confirmed");
    return verdict(row ? "forget" : "keep");
  }
  const isOurs = row !== undefined && isSame(row, observed);
  if (!asked) return verdict(isOurs ? "delete" : row ? "forget" : "keep");
  const isRight = satisfies(observed.facts, asked.facts);
  if (!isOurs) {
    // Drift, when there was one of ours: somebody took it away and put another in its place.
    const drift = row?.phase === "confirmed";
    return asked.adopt ? verdict(isRight ? "adopt" : "update", drift) : verdict("conflict", drift);
  }
  if (isRight) return verdict("keep");
  return verdict("update", row.phase === "confirmed" && !satisfies(observed.facts, row.facts));
}

function decideSetting(
  asked: Artifact | undefined,
  observed: Observed | undefined,
  row: LedgerRow | undefined,
): Decision {
  if (!observed) return verdict(asked ? "unsupported" : row ? "forget" : "keep");
  if (asked) {
    if (satisfies(observed.facts, asked.facts)) return verdict(row ? "keep" : "adopt");
    return verdict("update", row?.phase === "confirmed" && !satisfies(observed.facts, row.facts));
  }
  if (!row) return verdict("keep");
  // Only what still is as we made it goes back: a later hand knows better.
  const goesBack = row.before !== undefined && !sameFacts(row.before, row.facts);
  return verdict(goesBack && satisfies(observed.facts, row.facts) ? "restore" : "forget");
}

function isSame(row: LedgerRow, observed: Observed): boolean {
  return row.identity === "" || observed.identity === "" || row.identity === observed.identity;
}

function verdict(verb: Verb, drift = false): Decision {
  return { verb, drift };
}

/** Verbs that change the kernel. */
export function touchesKernel(verb: Verb): boolean {
  return verb === "create" || verb === "update" || takesAway(verb);
}

/** Verbs after which what was there is gone, or as it was found. */
function takesAway(verb: Verb): boolean {
  return verb === "remake" || verb === "delete" || verb === "restore";
}

/**
 * Orders operations: what is made comes before what goes, so that nothing is missing in between; each class after those
 * that it stands on, and removed before them. Classes whose operations go together have one place for all of them.
 */
export function inOrder<T extends { readonly verb: Verb; readonly class: string; readonly key: string }>(
  operations: readonly T[],
  classOf: (name: string) => ArtifactClass,
): T[] {
  const isLate = ({ verb, class: name }: T): boolean => takesAway(verb) && !classOf(name).together;
  return [...operations].sort((a, b) => {
    const late = Number(isLate(a)) - Number(isLate(b));
    if (late !== 0) return late;
    const step = classOf(a.class).order - classOf(b.class).order;
    if (step !== 0) return isLate(a) ? -step : step;
    return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
  });
}
