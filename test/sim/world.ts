/**
 * A world of speakers under one virtual clock and one source of randomness: `runWorld(seed)` builds it from the seed,
 * lets faults and operators loose (phase 1: what must always hold is checked all the time), then heals everything and
 * demands that all comes to rest in time and that what is then in the tables is right (phase 2).
 */
import { create } from "@bufbuild/protobuf";
import { type NeighborSpec, NeighborSpecSchema } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import type { Effect } from "../../src/state/effects.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import { checkDurability, DurabilityModel } from "./checkers/durability.ts";
import { checkOracle } from "./checkers/oracle.ts";
import { WirePolicy } from "./checkers/policy.ts";
import { checkEmpty, checkResources } from "./checkers/resources.ts";
import { checkRestarts, waitsForRestart } from "./checkers/restarts.ts";
import { checkSessions, sessionsReady } from "./checkers/sessions.ts";
import { checkSymmetry } from "./checkers/symmetry.ts";
import { checkTurn } from "./checkers/time.ts";
import { checkWatches } from "./checkers/watch.ts";
import { Clock } from "./clock.ts";
import { Dice } from "./dice.ts";
import { Failure } from "./failure.ts";
import { Hash, hashCore } from "./hash.ts";
import { Journal } from "./journal.ts";
import { Net, type TcpEffect } from "./net.ts";
import { globalSpec, makePlan, neighborSpec, type Plan, pairsOf, policySpec } from "./plan.ts";
import { Speaker, type SpeakerWorld } from "./speaker.ts";
import type { Entry } from "./trace.ts";
import { SimWatchers } from "./watchers.ts";
import { Workload } from "./workload.ts";

export interface WorldOptions {
  /** Virtual minutes with faults. */
  readonly minutes: number;
  /** Called with everything that reaches a core. */
  readonly record?: (entry: Entry) => void;
  /** For sentinels: true swallows the effect. */
  readonly tamper?: (speaker: Speaker, effect: Effect) => boolean;
  readonly plan?: Partial<Plan>;
}

export interface RunResult {
  readonly seed: number;
  readonly turns: number;
  readonly virtualMs: number;
  readonly hash: string;
  readonly failure: Failure | undefined;
  readonly plan: Plan;
}

/** The safety checkers that walk whole tables run once in so many turns of the world. */
const checkEveryTurns = 500;
/** After healing, everything must be at rest within this. */
const settleMs = 20 * 60_000;
/** At rest means that nothing has changed for so long. */
const restMs = 5000;

export class World implements SpeakerWorld {
  readonly clock = new Clock();
  readonly hash = new Hash();
  readonly dice: Dice;
  readonly plan: Plan;
  readonly pairs: readonly (readonly [number, number])[];
  readonly speakers: Speaker[] = [];
  readonly journals: readonly Journal[];
  readonly models: readonly DurabilityModel[];
  readonly net: Net;
  readonly watchers = new SimWatchers(this);
  readonly wire: WirePolicy;
  turns = 0;
  private readonly options: WorldOptions;
  private requests = 0;

  constructor(seed: number, options: WorldOptions) {
    this.options = options;
    this.dice = new Dice(seed);
    const drawn = makePlan(seed, this.dice);
    this.plan = { ...drawn, ...options.plan };
    this.pairs = pairsOf(this.plan);
    const { plan, clock, dice } = this;
    const numbers = Array.from({ length: plan.speakers }, (_, i) => i);
    this.journals = numbers.map(() => new Journal(clock, dice, { ...plan.journal }));
    this.models = numbers.map(() => new DurabilityModel());
    for (const i of numbers) this.speakers.push(new Speaker(this, i, plan));
    this.net = new Net(clock, dice, this.speakers, plan.speakers, { ...plan.net });
    this.wire = new WirePolicy(this);
  }

  // What speakers need (SpeakerWorld)

  record(entry: Entry): void {
    this.options.record?.(entry);
  }

  tcp(speaker: number, effect: TcpEffect): void {
    if (effect.kind === "tcp.send") this.wire.sent(speaker, effect.conn, effect.bytes);
    this.net.apply(speaker, effect);
  }

  resumed(speaker: number): void {
    this.net.kick(speaker);
  }

  turned(speaker: Speaker): void {
    checkTurn(speaker);
    if (this.turns % checkEveryTurns === 0) {
      checkResources(speaker);
      checkRestarts(speaker);
    }
  }

  tamper(speaker: Speaker, effect: Effect): boolean {
    return this.options.tamper?.(speaker, effect) ?? false;
  }

  turnNumber(): number {
    return ++this.turns;
  }

  // What operators do

  /** Sends a mutation with a request id of its own and follows what becomes of it. */
  mutate(speaker: Speaker, ops: readonly MutationOp[], done: () => void = () => {}): void {
    if (!speaker.alive) return;
    const requestId = `r${++this.requests}`;
    const mutation = {
      ops,
      expectedGeneration: 0,
      dryRun: false,
      reason: "",
      requestId,
      principal: "sim",
      source: "api",
    };
    const model = this.models[speaker.index];
    model.submitted(requestId, ops);
    speaker.mutate(mutation, (outcome) => {
      model.answered(requestId, outcome, this.journals[speaker.index].state());
      done();
    });
  }

  crash(speaker: Speaker, machine: boolean, downMs: number): void {
    if (!speaker.alive) return;
    speaker.crash(machine);
    this.wire.forget(speaker.index);
    this.net.crash(speaker.index, machine);
    this.clock.after(downMs, () => this.restart(speaker));
  }

  /** `cairnctl shutdown --graceful`; the process ends a moment later and starts again. */
  restartAsPlanned(speaker: Speaker, downMs: number): void {
    speaker.operate({ op: "shutdown", message: "", hard: false, graceful: true }, () => {
      const { runs } = speaker;
      this.clock.after(300, () => {
        if (speaker.runs === runs) this.crash(speaker, false, downMs);
      });
    });
  }

  private restart(speaker: Speaker): void {
    if (speaker.alive) return;
    this.models[speaker.index].crashed(this.journals[speaker.index].state());
    speaker.start();
    checkDurability(this, speaker);
  }

  // The run

  run(): void {
    this.bootstrap();
    const faultsUntilMs = this.options.minutes * 60_000;
    new Workload(this).start(faultsUntilMs);
    while (this.clock.step(faultsUntilMs));
    this.heal();
    this.settle();
    this.checkAtRest();
    this.empty();
    this.settle();
    for (const speaker of this.speakers) checkEmpty(speaker);
  }

  private bootstrap(): void {
    const { plan, dice } = this;
    for (const speaker of this.speakers) {
      speaker.start();
      const ops: MutationOp[] = [{ op: "put", kind: "Global", spec: globalSpec(plan, speaker.index, dice) }];
      for (const name of ["in-0", "in-1", "out-0", "out-1"]) {
        ops.push({ op: "put", kind: "Policy", spec: policySpec(plan, name, dice) });
      }
      for (const other of this.peersOf(speaker)) {
        ops.push({
          op: "put",
          kind: "Neighbor",
          spec: neighborSpec(plan, speaker.index, other, dice, false),
        });
      }
      this.mutate(speaker, ops);
    }
  }

  peersOf(speaker: Speaker): number[] {
    return this.pairs.flatMap(([a, b]) => (a === speaker.index ? [b] : b === speaker.index ? [a] : []));
  }

  /** Ends all faults and declares every neighbor without limits. */
  private heal(): void {
    const { plan, dice } = this;
    this.net.heal();
    this.net.faults.refuse = 0;
    for (const journal of this.journals) {
      journal.faults.fail = 0;
      journal.faults.slow = 0;
    }
    for (const speaker of this.speakers) {
      if (!speaker.alive) this.restart(speaker);
      speaker.setKernel(true, true);
      const ops: MutationOp[] = [{ op: "put", kind: "Global", spec: globalSpec(plan, speaker.index, dice) }];
      for (const name of ["in-0", "in-1", "out-0", "out-1"]) {
        if (!this.models[speaker.index].has("Policy", name)) {
          ops.push({ op: "put", kind: "Policy", spec: policySpec(plan, name, dice) });
        }
      }
      for (const other of this.peersOf(speaker)) {
        ops.push({ op: "put", kind: "Neighbor", spec: neighborSpec(plan, speaker.index, other, dice, true) });
      }
      // What is under way ends first: a removed neighbor that comes back, an answer of the disk.
      this.clock.at(Math.max(this.clock.nowMs + 40_000, speaker.pausedUntilMs), () => {
        this.mutate(speaker, ops, () => {
          for (const other of this.peersOf(speaker)) {
            speaker.operate({ op: "clear-hold", address: this.speakers[other].address });
          }
        });
      });
    }
    const until = this.clock.nowMs + 45_000 + 120_000;
    while (this.clock.step(until));
  }

  /** Runs until nothing moves any more. */
  private settle(): void {
    const deadlineMs = this.clock.nowMs + settleMs;
    let before = "";
    let sinceMs = this.clock.nowMs;
    while (this.clock.nowMs < deadlineMs) {
      const untilMs = this.clock.nowMs + 500;
      while (this.clock.step(untilMs));
      const now = this.activity();
      if (now !== before || now === "busy") {
        before = now;
        sinceMs = this.clock.nowMs;
      } else if (this.clock.nowMs - sinceMs >= restMs) return;
    }
    throw new Failure(
      "liveness",
      "rest",
      `not at rest ${settleMs / 60_000} minutes after healing: ${this.restless()}`,
    );
  }

  /** A text that stays the same while nothing changes; "busy" while something is under way. */
  private activity(): string {
    const text = this.restless();
    if (text !== "") return "busy";
    return this.speakers
      .map(({ core }) => core!.routing.tables.map((table) => table.changes.changes).join())
      .join();
  }

  private restless(): string {
    for (const speaker of this.speakers) {
      const { core, index } = speaker;
      if (!core) return `speaker ${index} is down`;
      if (core.hasWork()) return `speaker ${index} has work`;
      const waits = waitsForRestart(core);
      if (waits !== "") return `speaker ${index} ${waits}`;
      if (speaker.waitingCalls > 0)
        return `speaker ${index} has ${speaker.waitingCalls} requests without answer`;
      if (!this.journals[index].idle) return `the disk of speaker ${index} is busy`;
    }
    return sessionsReady(this) ?? (this.net.quiet ? "" : "bytes are on their way");
  }

  private checkAtRest(): void {
    checkSessions(this);
    for (const speaker of this.speakers) {
      checkResources(speaker);
      checkRestarts(speaker);
      checkDurability(this, speaker);
      checkOracle(speaker);
    }
    checkSymmetry(this);
    this.watchers.finish();
    checkWatches(this);
  }

  /** Takes back everything that was injected. */
  private empty(): void {
    this.watchers.closeAll();
    for (const speaker of this.speakers) {
      const keys = this.models[speaker.index].injectedKeys();
      const ops = keys.map(({ prefix, pathId }): MutationOp => ({ op: "retract", prefix, pathId }));
      for (const other of this.peersOf(speaker)) {
        ops.push({
          op: "patch",
          kind: "Neighbor",
          name: this.speakers[other].address,
          ...noDefault(this.speakers[other].address),
        });
      }
      this.mutate(speaker, ops);
    }
  }

  finalHash(): string {
    for (const { core } of this.speakers) if (core) hashCore(this.hash, core);
    return this.hash.toString();
  }
}

function noDefault(address: string): { spec: NeighborSpec; mask: string[] } {
  return {
    spec: create(NeighborSpecSchema, { address, defaultOriginate: false }),
    mask: ["default_originate"],
  };
}

/** Runs one seed to its end or its first failure. */
export function runWorld(seed: number, options: WorldOptions): RunResult {
  const world = new World(seed, options);
  let failure: Failure | undefined;
  try {
    world.run();
  } catch (error) {
    failure = error instanceof Failure ? error : crashOf(error);
  }
  const hash = world.finalHash();
  world.record({
    t: "end",
    n: world.turns,
    hash,
    failure: failure ? `${failure.checker}: ${failure.message}` : "",
  });
  return { seed, turns: world.turns, virtualMs: world.clock.nowMs, hash, failure, plan: world.plan };
}

function crashOf(error: unknown): Failure {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new Failure("crash", "exception", text);
}
