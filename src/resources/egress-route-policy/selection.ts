/**
 * Which of several ways out new flows take: a function of what was chosen before, what is seen of the candidates, and
 * time. Nothing happens by itself between `nextMs` and the moment before it.
 *
 *   ready (link, address, gateway, health) --up delay, down delay--> usable --rank, pin, dwell--> chosen
 */

export type Mode = "highest-weight" | "priority" | "hash";

export interface CandidateRank {
  readonly name: string;
  readonly weight: number;
  /** The lower one is better, in mode priority. */
  readonly priority: number;
}

export interface SelectionRules {
  readonly mode: Mode;
  /** In the order of the declaration, which decides between equals. */
  readonly candidates: readonly CandidateRank[];
  readonly upDelayMs: number;
  readonly downDelayMs: number;
  readonly dwellMs: number;
}

/** What is seen of a candidate. `unknown`: nobody has looked yet, and it counts as what it was before. */
export interface Sight {
  readonly ready: "yes" | "no" | "unknown";
  /** Why it is not ready, or not known; empty for ready. */
  readonly why: string;
}

export interface Member extends Sight {
  readonly usable: boolean;
  /** Since when it has been seen otherwise than it is used; undefined: it is not. */
  readonly turningMs?: number | undefined;
}

export interface Selection {
  /** Names of candidates, the best first: one, or in mode hash all that share the flows. */
  readonly chosen: readonly string[];
  readonly reason: string;
  /** Of the last change. */
  readonly sinceMs: number;
  readonly pinned: string;
  readonly members: ReadonlyMap<string, Member>;
  /** When to look again if nothing changes; Infinity for never. */
  readonly nextMs: number;
}

/** Nothing was ever chosen. */
export const nothingChosen: Selection = {
  chosen: [],
  reason: "nothing has been chosen yet",
  sinceMs: Number.NEGATIVE_INFINITY,
  pinned: "",
  members: new Map(),
  nextMs: Number.NEGATIVE_INFINITY,
};

/** @param pinned name of a candidate; empty for none */
export function select(
  before: Selection,
  rules: SelectionRules,
  sights: ReadonlyMap<string, Sight>,
  pinned: string,
  nowMs: number,
): Selection {
  const members = membersNow(before, rules, sights, nowMs);
  const wanted = ranked(rules, members, pinned);
  const left = before.chosen.filter((name) => members.get(name)?.usable);
  const isDwelling =
    left.length > 0 &&
    left.length === before.chosen.length &&
    pinned === before.pinned &&
    nowMs < before.sinceMs + rules.dwellMs;
  const chosen = isDwelling ? before.chosen : wanted;
  const isSame = sameList(chosen, before.chosen);
  const nextMs = Math.min(
    ...[...members.values()].map((member) => turnsAt(member, rules)),
    isDwelling && !sameList(wanted, chosen) ? before.sinceMs + rules.dwellMs : Number.POSITIVE_INFINITY,
  );
  // While there is nothing to choose, the reason says what each lacks now.
  const isStale = !isSame || chosen.length === 0;
  return {
    chosen,
    reason: isStale ? reasonFor(before, chosen, members, pinned) : before.reason,
    sinceMs: isSame ? before.sinceMs : nowMs,
    pinned,
    members,
    nextMs,
  };
}

const newMember: Pick<Member, "usable" | "turningMs"> = { usable: false };

function membersNow(
  before: Selection,
  { candidates, upDelayMs, downDelayMs }: SelectionRules,
  sights: ReadonlyMap<string, Sight>,
  nowMs: number,
): Map<string, Member> {
  const members = new Map<string, Member>();
  for (const { name } of candidates) {
    const was = before.members.get(name) ?? newMember;
    const sight = sights.get(name) ?? { ready: "no", why: "nothing is known of it" };
    const isSteady = sight.ready === "unknown" || (sight.ready === "yes") === was.usable;
    const turningMs = isSteady ? undefined : (was.turningMs ?? nowMs);
    const delayMs = was.usable ? downDelayMs : upDelayMs;
    const isDue = turningMs !== undefined && nowMs >= turningMs + delayMs;
    members.set(name, {
      ...sight,
      usable: isDue ? !was.usable : was.usable,
      turningMs: isDue ? undefined : turningMs,
    });
  }
  if ([...members.values()].some(({ usable }) => usable)) return members;
  // Where there is no other, waiting helps nobody.
  for (const [name, member] of members) {
    if (member.ready === "yes") members.set(name, { ...member, usable: true, turningMs: undefined });
  }
  return members;
}

/** When a candidate becomes usable, or ceases to be, if it is seen as it is now; Infinity for never. */
export function turnsAt({ usable, turningMs }: Member, { upDelayMs, downDelayMs }: SelectionRules): number {
  if (turningMs === undefined) return Number.POSITIVE_INFINITY;
  return turningMs + (usable ? downDelayMs : upDelayMs);
}

function ranked(
  { mode, candidates }: SelectionRules,
  members: ReadonlyMap<string, Member>,
  pinned: string,
): string[] {
  if (members.get(pinned)?.usable) return [pinned];
  const best = candidates
    .filter(({ name }) => members.get(name)!.usable)
    // Sorting is stable: of equals the first in the list comes first.
    .sort((a, b) => (mode === "priority" ? a.priority - b.priority : 0) || b.weight - a.weight)
    .map(({ name }) => name);
  return mode === "hash" ? best : best.slice(0, 1);
}

function reasonFor(
  before: Selection,
  chosen: readonly string[],
  members: ReadonlyMap<string, Member>,
  pinned: string,
): string {
  if (chosen.length === 0) {
    const lacks = [...members].map(([name, { why }]) => `${name}: ${why}`).join("; ");
    return lacks === "" ? "there are no candidates" : `no candidate can be used: ${lacks}`;
  }
  const lost = before.chosen.filter((name) => !members.get(name)?.usable);
  const isPinned = pinned !== "" && chosen.length === 1 && chosen[0] === pinned;
  if (isPinned) return "pinned";
  if (lost.length > 0) {
    const whys = lost.map(
      (name) => `${name} cannot be used: ${members.get(name)?.why ?? "it is not a candidate"}`,
    );
    return whys.join("; ");
  }
  if (before.pinned !== "" && pinned === "") return "no longer pinned";
  if (before.chosen.length === 0) return "the best that can be used";
  const gained = chosen.filter((name) => !before.chosen.includes(name));
  return gained.length > 0 ? `${gained.join(", ")} can be used, and ranks higher` : "declared otherwise";
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
