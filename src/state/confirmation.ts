/**
 * The change that waits for its confirmation: until when, which conditions it has to meet, and what is to be done now.
 * What is decided here is carried out by changes.ts, like any other change.
 *
 *   saving --durable--> armed --confirm--> confirming --durable--> (none)
 *                       armed --deadline, breach, abort--> reverting --durable--> (none)
 *
 * A step that could not be made durable leads back to armed and is tried again.
 */
import { limits } from "../base/limits.ts";
import type { Problem } from "../base/problem.ts";
import { type Condition, type ConditionHost, parseCondition } from "./conditions.ts";
import type { ConfirmTerms } from "./mutation.ts";
import type { StoredPending } from "./rows.ts";

/** How often conditions are looked at. */
const checkEveryMs = 250;
const retryMs = 1_000;
const withinMsMin = 1_000;
const withinMsMax = 7 * 24 * 3600 * 1000;

export interface PendingState {
  readonly pending: StoredPending;
  readonly conditions: readonly { readonly text: string; readonly holds: boolean; readonly value: string }[];
  /** Wall-clock milliseconds at which conditions will have held long enough; undefined while one does not. */
  readonly confirmsAt: number | undefined;
}

/** What is due now. */
export type Verdict = { readonly confirm: string } | { readonly revert: string } | undefined;

type Phase = "saving" | "armed" | "confirming" | "reverting";

interface Waiting {
  readonly pending: StoredPending;
  readonly conditions: readonly Condition[];
  phase: Phase;
  /** Monotonic milliseconds. */
  deadlineMs: number;
  graceMs: number;
  nextCheckMs: number;
  /** Since when all conditions hold. */
  holdSinceMs: number | undefined;
}

export class Confirmation {
  private readonly host: ConditionHost;
  private waiting: Waiting | undefined;

  constructor(host: ConditionHost) {
    this.host = host;
  }

  /** The pending change, whatever its phase. */
  get pending(): StoredPending | undefined {
    return this.waiting?.pending;
  }

  /** True while the pending change can be confirmed or taken back. */
  get isArmed(): boolean {
    return this.waiting?.phase === "armed";
  }

  /** A change with these terms was committed in memory. */
  begin(pending: StoredPending): void {
    this.waiting = {
      pending,
      conditions: compiled(pending),
      phase: "saving",
      deadlineMs: Number.POSITIVE_INFINITY,
      graceMs: Number.POSITIVE_INFINITY,
      nextCheckMs: Number.POSITIVE_INFINITY,
      holdSinceMs: undefined,
    };
  }

  /**
   * The pending change is durable, or was found at start. From here on time is monotonic; of the wall clock only what
   * is left is taken over, and never more than was asked for.
   */
  arm(nowMs: number, wallMs: number): void {
    const { waiting } = this;
    if (!waiting) return;
    const { since, deadline, withinMs, graceMs } = waiting.pending;
    waiting.phase = "armed";
    waiting.deadlineMs = nowMs + Math.min(withinMs, Math.max(0, deadline - wallMs));
    waiting.graceMs = nowMs + Math.min(graceMs, Math.max(0, since + graceMs - wallMs));
    waiting.nextCheckMs = waiting.conditions.length > 0 ? nowMs : Number.POSITIVE_INFINITY;
  }

  /** Confirming or reverting is under way. */
  settling(phase: "confirming" | "reverting"): void {
    if (this.waiting) this.waiting.phase = phase;
  }

  /** It could not be made durable: the change waits on, and what was due is tried again. */
  unsettled(nowMs: number): void {
    const { waiting } = this;
    if (!waiting) return;
    waiting.phase = "armed";
    waiting.nextCheckMs = nowMs + retryMs;
    if (waiting.deadlineMs < nowMs + retryMs) waiting.deadlineMs = nowMs + retryMs;
  }

  /** Nothing waits any more: confirmed, taken back, or never made durable. */
  end(): void {
    this.waiting = undefined;
  }

  /** What is due at this time. */
  due(nowMs: number): Verdict {
    const { waiting } = this;
    if (waiting?.phase !== "armed") return undefined;
    if (nowMs >= waiting.nextCheckMs) {
      waiting.nextCheckMs = nowMs + checkEveryMs;
      const broken = waiting.conditions.find((condition) => !condition.evaluate(this.host).holds);
      if (!broken) {
        waiting.holdSinceMs ??= nowMs;
        if (nowMs - waiting.holdSinceMs >= waiting.pending.holdMs) {
          return { confirm: `its conditions held for ${waiting.pending.holdMs / 1000} s` };
        }
        waiting.nextCheckMs = Math.min(waiting.nextCheckMs, waiting.holdSinceMs + waiting.pending.holdMs);
      } else {
        waiting.holdSinceMs = undefined;
        if (nowMs >= waiting.graceMs) {
          const { value } = broken.evaluate(this.host);
          return {
            revert: `${broken.text} does not hold (${value === "" ? "there is none" : `now ${value}`})`,
          };
        }
      }
    }
    if (nowMs < waiting.deadlineMs) return undefined;
    return { revert: `it was not confirmed within ${waiting.pending.withinMs / 1000} s` };
  }

  /** When `due` has something to look at next. */
  nextWakeMs(): number {
    const { waiting } = this;
    if (waiting?.phase !== "armed") return Number.POSITIVE_INFINITY;
    return Math.min(waiting.deadlineMs, waiting.nextCheckMs);
  }

  /** For the API. */
  state(nowMs: number, wallMs: number): PendingState | undefined {
    const { waiting } = this;
    if (!waiting) return undefined;
    const { pending, holdSinceMs } = waiting;
    return {
      pending,
      conditions: waiting.conditions.map((condition) => ({
        text: condition.text,
        ...condition.evaluate(this.host),
      })),
      confirmsAt: holdSinceMs === undefined ? undefined : wallMs - nowMs + holdSinceMs + pending.holdMs,
    };
  }

  /** Why no other change of objects is possible now. */
  refusal(): Problem | undefined {
    const { pending } = this;
    if (!pending) return undefined;
    const { generation, principal, deadline, reason } = pending;
    const until = new Date(deadline).toISOString();
    const why = reason === "" ? "" : ` (${reason})`;
    const message = `generation ${generation} by ${principal}${why} waits for its confirmation until ${until}`;
    return { code: "PENDING", path: "", message, fix: "confirm or abort it first" };
  }
}

/** Everything that is wrong with the terms; paths are those of `ConfirmOptions`. */
export function checkTerms(terms: ConfirmTerms): Problem[] {
  const problems: Problem[] = [];
  const seconds = (field: string, ms: number, min: number, max: number): void => {
    if (ms >= min && ms <= max) return;
    const message = `must be ${min / 1000} to ${max / 1000} seconds`;
    problems.push({ code: "INVALID", path: `confirm.${field}`, message, value: `${ms / 1000}s` });
  };
  seconds("confirm_within", terms.withinMs, withinMsMin, withinMsMax);
  seconds("hold_for", terms.holdMs, 0, Math.max(withinMsMin, terms.withinMs));
  seconds("grace", terms.graceMs, 0, Math.max(withinMsMin, terms.withinMs));
  if (terms.conditions.length > limits.conditionsMax) {
    const message = `there can be at most ${limits.conditionsMax} conditions`;
    problems.push({ code: "INVALID", path: "confirm.conditions", message });
    return problems;
  }
  terms.conditions.forEach((text, i) => {
    const parsed = parseCondition(text, `confirm.conditions[${i}].expression`);
    if (!parsed.ok) problems.push(...parsed.problems);
  });
  return problems;
}

/** Conditions that an earlier version wrote and this one cannot read count as not holding. */
function compiled(pending: StoredPending): Condition[] {
  return pending.conditions.map((text) => {
    const parsed = parseCondition(text, "");
    return parsed.ok ? parsed.value : { text, evaluate: () => ({ holds: false, value: "" }) };
  });
}
