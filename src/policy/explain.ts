/** Why policy did what it did to a route: the interpreter of `program.ts`, watched and written down. */
import { formatIp } from "../base/ip.ts";
import { formatAsPath } from "../wire/as-path-text.ts";
import { aigpMetric } from "../wire/attributes/aigp.ts";
import { formatCommunity, formatExtendedCommunity, formatLargeCommunity } from "../wire/community-text.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import type { CompiledPolicy, CompiledStatement } from "./compile.ts";
import type { Program, Watcher } from "./program.ts";
import type { RouteKey } from "./route-key.ts";

export interface ExplainedCondition {
  /** Field of `Match`, and what it asks for. */
  readonly field: string;
  readonly text: string;
  readonly holds: boolean;
}

/** One statement that was visited. */
export interface ExplainedStatement {
  readonly policy: string;
  /** Position in the policy, from 1. */
  readonly statement: number;
  /** Empty when it has none. */
  readonly name: string;
  readonly matched: boolean;
  /** Conditions asked, in order, up to the first that did not hold. */
  readonly conditions: readonly ExplainedCondition[];
  /** What its actions changed, for example `local_pref 100 -> 200`. */
  readonly changes: readonly string[];
}

export interface Explanation {
  readonly steps: readonly ExplainedStatement[];
  readonly accepted: boolean;
  /** What decided: `policy bogons, statement 2 (private)`, `policy in, default action`, `end of chain`. */
  readonly reason: string;
  /** Outgoing attributes of an accepted route. */
  readonly attributes: PathAttributes | undefined;
}

/** Runs the route through the program once more, noting every step. Counts as no hit. */
export function explainChain(program: Program, attr: number, route: RouteKey): Explanation {
  const scribe = new Scribe();
  const attributes = program.watch(attr, route, scribe);
  return { steps: scribe.steps, accepted: attributes !== undefined, reason: scribe.reason, attributes };
}

/** Why the program rejects the route, as in `Explanation.reason`; empty when it accepts. */
export function rejectReason(program: Program, attr: number, route: RouteKey): string {
  const { accepted, reason } = explainChain(program, attr, route);
  return accepted ? "" : reason;
}

interface DraftStep extends ExplainedStatement {
  readonly conditions: ExplainedCondition[];
  readonly changes: string[];
  matched: boolean;
}

class Scribe implements Watcher {
  readonly steps: DraftStep[] = [];
  reason = "";

  statement(policy: CompiledPolicy, statement: CompiledStatement): void {
    const { position, name } = statement;
    const step = { policy: policy.name, statement: position + 1, name, conditions: [], changes: [] };
    this.steps.push({ ...step, matched: true });
  }

  condition(field: string, text: string, holds: boolean): void {
    const step = this.steps[this.steps.length - 1];
    step.conditions.push({ field, text, holds });
    if (!holds) step.matched = false;
  }

  changed(before: PathAttributes, after: PathAttributes): void {
    this.steps[this.steps.length - 1].changes.push(...describeChanges(before, after));
  }

  decided(_accepted: boolean, policy?: CompiledPolicy, statement?: CompiledStatement): void {
    this.reason = describeDecision(policy, statement);
  }

  tooLong(statements: number): void {
    this.reason = `more than ${statements} statements`;
  }

  tooLarge(): void {
    this.reason = "the changed attributes fit no message";
  }
}

/** What decided, as in `Explanation.reason`. */
export function describeDecision(policy?: CompiledPolicy, statement?: CompiledStatement): string {
  if (!policy) return "end of chain";
  if (!statement) return `policy ${policy.name}, default action`;
  const name = statement.name === "" ? "" : ` (${statement.name})`;
  return `policy ${policy.name}, statement ${statement.position + 1}${name}`;
}

/** The differences between two attribute sets, one text per field. */
export function describeChanges(before: PathAttributes, after: PathAttributes): string[] {
  const changes: string[] = [];
  for (const [field, read] of described) {
    const old = read(before);
    const now = read(after);
    if (old === now) continue;
    changes.push(
      lists.has(field) ? listChange(field, old, now) : `${field} ${old || "none"} -> ${now || "none"}`,
    );
  }
  return changes;
}

const lists: ReadonlySet<string> = new Set(["communities", "extended_communities", "large_communities"]);

/** `communities -65001:1 +65001:2`; `communities in another order`. */
function listChange(field: string, old: string, now: string): string {
  const [before, after] = [old, now].map((text) => text.split(" ").filter((word) => word !== ""));
  const gone = before.filter((word) => !after.includes(word)).map((word) => `-${word}`);
  const come = after.filter((word) => !before.includes(word)).map((word) => `+${word}`);
  const words = [...gone, ...come];
  return words.length === 0 ? `${field} in another order` : `${field} ${words.join(" ")}`;
}

const origins = ["igp", "egp", "incomplete"];

const described: readonly (readonly [string, (attributes: PathAttributes) => string])[] = [
  ["local_pref", ({ localPref }) => String(localPref ?? "")],
  ["med", ({ med }) => String(med ?? "")],
  ["origin", ({ origin }) => origins[origin]],
  [
    "next_hop",
    ({ nextHop }) => (nextHop.length === 0 ? "" : formatIp(nextHop, 0, Math.min(16, nextHop.length))),
  ],
  ["communities", ({ communities }) => communities.map(formatCommunity).join(" ")],
  [
    "extended_communities",
    ({ extendedCommunities }) => extendedCommunities.map(formatExtendedCommunity).join(" "),
  ],
  ["large_communities", ({ largeCommunities }) => largeCommunities.map(formatLargeCommunity).join(" ")],
  ["as_path", ({ asPath }) => formatAsPath(asPath)],
  ["weight", ({ local }) => String(local?.weight ?? "")],
  ["tag", ({ local }) => String(local?.tag ?? "")],
  ["discard", ({ local }) => (local?.discard ? "yes" : "")],
  ["otc", ({ otc }) => String(otc ?? "")],
  ["aigp", ({ aigp }) => String(aigpMetric(aigp) ?? "")],
];
