/**
 * The state machine of one health check. Pure: probes and their answers come in with the time, probes to be sent and the
 * health go out.
 *
 *   round      a probe to each target at once, over when enough have answered, too many have not, or time is up
 *   rise       so many rounds in a row that pass make it healthy
 *   fall       so many that fail make it unhealthy
 *   blocked    our own host could not send: neither; `fall` of these in a row, and nothing is known any more
 */
import { assert } from "../../base/assert.ts";
import type { Random } from "../../base/random.ts";
import type { ProbeAnswer } from "../../dataplane/probe/messages.ts";
import type { Health } from "./health.ts";

export interface CheckSettings {
  /** From the start of a round to that of the next, before jitter. */
  readonly intervalMs: number;
  /** At most the interval. */
  readonly timeoutMs: number;
  readonly rise: number;
  readonly fall: number;
  /** Share of the interval by which it may be longer or shorter: 0 to 0.5. */
  readonly jitter: number;
  /** How many are probed, up to 32, and how many of them must answer. */
  readonly targets: number;
  readonly quorum: number;
}

export interface Check {
  readonly settings: CheckSettings;
  readonly health: Health;
  /** Since when it is healthy, unhealthy or unknown, monotonic milliseconds. */
  readonly sinceMs: number;
  /** Rounds in a row that ended the same way: of these at most one is not 0. */
  readonly passes: number;
  readonly failures: number;
  readonly blocks: number;
  /** Start of the next round; Infinity while one is under way, and while there are none. */
  readonly nextMs: number;
  readonly round: Round | undefined;
  /** Number of the last round. */
  readonly rounds: number;
  readonly startedMs: number;
  /** Of the last round that passed; undefined before the first. */
  readonly latencyMs: number | undefined;
  /** How the last round ended that did not pass. */
  readonly trouble: Trouble | undefined;
  /** Why there are no rounds; undefined while there are. */
  readonly stopped: Trouble | undefined;
}

/** Why a round did not pass, or why there is none. */
export interface Trouble {
  readonly reason: string;
  readonly message: string;
}

interface Round {
  readonly deadlineMs: number;
  /** Targets that have answered, a bit for each. */
  readonly answered: number;
  readonly passed: number;
  readonly blocked: number;
  /** The slowest of those that passed. */
  readonly latencyMs: number;
  readonly trouble: Trouble | undefined;
}

export type CheckEvent =
  /** Probes can be sent. */
  | { readonly kind: "start" }
  /** They cannot: nothing is known then, or (the link is down) that nothing can be reached. */
  | { readonly kind: "stop"; readonly health: Exclude<Health, "healthy">; readonly why: Trouble }
  /** Whatever is due. */
  | { readonly kind: "time" }
  | { readonly kind: "settings"; readonly settings: CheckSettings }
  /** Answers of rounds that are over are passed over. */
  | {
      readonly kind: "answer";
      readonly round: number;
      readonly target: number;
      readonly answer: ProbeAnswer;
    };

export type CheckAction =
  /** Send a probe to each target. */
  | { readonly kind: "probe"; readonly round: number }
  /** Answers of this round are of no interest any more. */
  | { readonly kind: "cancel"; readonly round: number };

/** How a round ended, for counters. */
export type RoundEnd = "passed" | "failed" | "blocked";

export interface CheckStep {
  readonly check: Check;
  readonly actions: readonly CheckAction[];
  /** A round ended. */
  readonly ended: RoundEnd | undefined;
}

const never = Number.POSITIVE_INFINITY;
/** The first rounds of many checks that begin together are spread over this. */
const spreadMs = 1000;

const timedOut: Trouble = { reason: "TIMEOUT", message: "no answer in time" };

/** A check that does not run yet. */
export function newCheck(settings: CheckSettings, why: Trouble, nowMs: number): Check {
  assert(settings.timeoutMs <= settings.intervalMs && settings.quorum <= settings.targets);
  return {
    settings,
    health: "unknown",
    sinceMs: nowMs,
    ...{ passes: 0, failures: 0, blocks: 0 },
    nextMs: never,
    round: undefined,
    rounds: 0,
    startedMs: Number.NEGATIVE_INFINITY,
    latencyMs: undefined,
    trouble: undefined,
    stopped: why,
  };
}

/** When `step` wants to be called with the event `time`; Infinity for never. */
export function dueMs({ round, nextMs }: Check): number {
  return round ? round.deadlineMs : nextMs;
}

/** @param random for the jitter of the next round */
export function step(check: Check, event: CheckEvent, nowMs: number, random: Random): CheckStep {
  switch (event.kind) {
    case "start":
      return quiet(check.stopped ? start(check, nowMs, random) : check);
    case "stop":
      return stop(check, event.health, event.why, nowMs);
    case "time":
      return passTime(check, nowMs, random);
    case "settings":
      return quiet(withSettings(check, event.settings, random));
    case "answer":
      return answered(check, event, nowMs, random);
  }
}

function quiet(check: Check): CheckStep {
  return { check, actions: [], ended: undefined };
}

function start(check: Check, nowMs: number, random: Random): Check {
  const { intervalMs, jitter } = check.settings;
  const spread = Math.min(spreadMs, intervalMs * jitter);
  return { ...check, stopped: undefined, nextMs: nowMs + random() * spread };
}

function stop(check: Check, health: Health, why: Trouble, nowMs: number): CheckStep {
  const still = { ...check, round: undefined, nextMs: never, stopped: why };
  const actions: CheckAction[] = check.round ? [{ kind: "cancel", round: check.rounds }] : [];
  return {
    check: inHealth({ ...still, passes: 0, failures: 0, blocks: 0 }, health, nowMs),
    actions,
    ended: undefined,
  };
}

function passTime(check: Check, nowMs: number, random: Random): CheckStep {
  const { round, settings, nextMs } = check;
  if (round) {
    if (nowMs < round.deadlineMs) return quiet(check);
    return end({ ...check, round: { ...round, trouble: round.trouble ?? timedOut } }, nowMs, random);
  }
  if (nowMs < nextMs) return quiet(check);
  const rounds = check.rounds + 1;
  const begun: Round = {
    deadlineMs: nowMs + settings.timeoutMs,
    ...{ answered: 0, passed: 0, blocked: 0, latencyMs: 0 },
    trouble: undefined,
  };
  const after = { ...check, round: begun, rounds, startedMs: nowMs, nextMs: never };
  return { check: after, actions: [{ kind: "probe", round: rounds }], ended: undefined };
}

/** The round under way keeps its deadline and, as what is probed is the same, its targets. */
function withSettings(check: Check, settings: CheckSettings, random: Random): Check {
  assert(settings.targets === check.settings.targets, "other targets are another check");
  const after = { ...check, settings };
  if (check.round || check.stopped) return after;
  return { ...after, nextMs: Math.min(check.nextMs, nextStart(after, random)) };
}

function answered(
  check: Check,
  { round: number, target, answer }: Extract<CheckEvent, { kind: "answer" }>,
  nowMs: number,
  random: Random,
): CheckStep {
  const { round, settings } = check;
  const bit = 1 << target;
  if (!round || number !== check.rounds || (round.answered & bit) !== 0) return quiet(check);
  const { verdict, latencyMs, reason, message } = answer;
  const isPass = verdict === "passed";
  const after: Round = {
    ...round,
    answered: round.answered | bit,
    passed: round.passed + Number(isPass),
    blocked: round.blocked + Number(verdict === "blocked"),
    latencyMs: isPass ? Math.max(round.latencyMs, latencyMs) : round.latencyMs,
    trouble: round.trouble ?? (isPass ? undefined : { reason, message }),
  };
  const open = settings.targets - bits(after.answered);
  // Those that were blocked may yet make the difference between a failure and none.
  const isLost = after.passed + after.blocked + open < settings.quorum;
  const isOver = after.passed >= settings.quorum || isLost || open === 0;
  const next = { ...check, round: after };
  return isOver ? end(next, nowMs, random) : quiet(next);
}

function end(check: Check, nowMs: number, random: Random): CheckStep {
  const { settings, rounds } = check;
  const round = check.round!;
  const isOpen = bits(round.answered) < settings.targets;
  const actions: CheckAction[] = isOpen ? [{ kind: "cancel", round: rounds }] : [];
  const ended = endOf(round, settings.quorum);
  const counted: Check = {
    ...check,
    round: undefined,
    passes: ended === "passed" ? check.passes + 1 : 0,
    failures: ended === "failed" ? check.failures + 1 : 0,
    blocks: ended === "blocked" ? check.blocks + 1 : 0,
    latencyMs: ended === "passed" ? round.latencyMs : check.latencyMs,
    trouble: ended === "passed" ? undefined : round.trouble,
  };
  const planned = { ...counted, nextMs: Math.max(nowMs, nextStart(counted, random)) };
  return { check: inHealth(planned, healthAfter(planned), nowMs), actions, ended };
}

/** A round that the blocked ones could have made pass says nothing. */
function endOf({ passed, blocked }: Round, quorum: number): RoundEnd {
  if (passed >= quorum) return "passed";
  return passed + blocked >= quorum ? "blocked" : "failed";
}

function healthAfter({ health, passes, failures, blocks, settings }: Check): Health {
  if (passes >= settings.rise) return "healthy";
  if (failures >= settings.fall) return "unhealthy";
  return blocks >= settings.fall ? "unknown" : health;
}

function inHealth(check: Check, health: Health, nowMs: number): Check {
  return check.health === health ? check : { ...check, health, sinceMs: nowMs };
}

function nextStart({ startedMs, settings }: Check, random: Random): number {
  const { intervalMs, jitter } = settings;
  return startedMs + intervalMs * (1 + jitter * (2 * random() - 1));
}

function bits(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}
