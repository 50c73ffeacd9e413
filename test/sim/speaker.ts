/** One speaker of the world: a core, the loop around it as in src/runtime/loop.ts, its disk and its clocks. */
import { parseIp } from "../../src/base/ip.ts";
import { seededRandom } from "../../src/base/random.ts";
import { KernelSimulator } from "../../src/dataplane/simulated-kernel.ts";
import type { Core as CoreType } from "../../src/state/core.ts";
import { Core } from "../../src/state/core.ts";
import { CoreView } from "../../src/state/core-view.ts";
import type { Effect } from "../../src/state/effects.ts";
import type { Input } from "../../src/state/inputs.ts";
import type { Mutation, MutationOutcome } from "../../src/state/mutation.ts";
import type { Operation, OperationOutcome } from "../../src/state/operation.ts";
import type { Clock } from "./clock.ts";
import type { Dice } from "./dice.ts";
import { type Hash, hashEffect } from "./hash.ts";
import type { Journal } from "./journal.ts";
import type { Host, TcpEffect } from "./net.ts";
import type { Entry } from "./trace.ts";

type Outcome = MutationOutcome | OperationOutcome;

/** What a speaker needs of its world. */
export interface SpeakerWorld {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly hash: Hash;
  readonly journals: readonly Journal[];
  record(entry: Entry): void;
  tcp(speaker: number, effect: TcpEffect): void;
  /** The process reads again after a pause. */
  resumed(speaker: number): void;
  /** A turn is over; its effects are still in the list. */
  turned(speaker: Speaker): void;
  /** Lets a test damage what a core wants done. */
  tamper(speaker: Speaker, effect: Effect): boolean;
  turnNumber(): number;
}

export interface SpeakerSettings {
  /** Budget of a turn is drawn between these. */
  readonly budgetMin: number;
  readonly budgetMax: number;
  /** Next hops are looked up in a kernel of its own. */
  readonly tracked: boolean;
}

/** Wall clock at the start of every world: 2024-01-01. */
const wallStartMs = 1_704_067_200_000;

export class Speaker implements Host {
  readonly index: number;
  readonly address: string;
  readonly address6: string;
  private kernel: KernelSimulator | undefined;
  lanUp = true;
  hasDefault = true;
  core: CoreType | undefined;
  view: CoreView | undefined;
  /** The machine is there even when the process is not. */
  up = true;
  /** Starts so far. */
  runs = 0;
  wallOffsetMs = 0;
  pausedUntilMs = 0;
  private paused = false;
  private readonly world: SpeakerWorld;
  private readonly settings: SpeakerSettings;
  /** What happened while the process was paused. */
  private mail: (() => void)[] = [];
  private readonly calls = new Map<number, (outcome: Outcome) => void>();
  private nextCall = 1;
  private turnAtMs = Number.POSITIVE_INFINITY;
  private turnTicket = 0;
  private lastSeq = 0;
  /** Effects are being carried out, or a turn runs: who comes in between leaves its effects in the list. */
  private busy = false;

  constructor(world: SpeakerWorld, index: number, settings: SpeakerSettings) {
    this.world = world;
    this.index = index;
    this.settings = settings;
    this.address = `10.0.0.${index + 1}`;
    this.address6 = `2001:db8::${index + 1}`;
  }

  get alive(): boolean {
    return this.core !== undefined;
  }

  get reading(): boolean {
    return this.core !== undefined && !this.paused;
  }

  get wallMs(): number {
    return wallStartMs + this.world.clock.nowMs + this.wallOffsetMs;
  }

  get waitingCalls(): number {
    return this.calls.size;
  }

  /** Starts the process from what is on disk. */
  start(): void {
    const { clock, journals, dice } = this.world;
    const stored = journals[this.index].open({
      committed: (seq) => this.later(() => this.post({ kind: "store.committed", seq })),
      failed: (seq, error) =>
        this.later(() => {
          this.post({ kind: "store.failed", seq, error });
          journals[this.index].resume(this.lastSeq);
        }),
    });
    const seed = dice.below(0xffff_ffff);
    const dataplane = this.settings.tracked ? "memory" : "none";
    this.world.record({
      t: "start",
      s: this.index,
      now: clock.nowMs,
      wall: this.wallMs,
      seed,
      stored,
      dataplane,
    });
    const created = Core.create(stored, seededRandom(seed), clock.nowMs, this.wallMs, dataplane);
    if (!created.ok)
      throw new Error(`speaker ${this.index} cannot start: ${JSON.stringify(created.problems)}`);
    this.core = created.value;
    this.view = new CoreView(created.value);
    this.runs++;
    this.lastSeq = 0;
    this.up = true;
    this.mail = [];
    this.pausedUntilMs = 0;
    this.paused = false;
    this.turnAtMs = Number.POSITIVE_INFINITY;
    this.turnTicket++;
    this.post({
      kind: "host.addresses",
      addresses: [
        { address: this.address, length: 24, interface: "lan" },
        { address: this.address6, length: 64, interface: "lan" },
      ],
    });
    if (!this.settings.tracked) return;
    this.kernel = new KernelSimulator({
      links: (changed, gone) => this.post({ kind: "kernel.links", changed, gone }),
      routes: (answers) => this.post({ kind: "kernel.routes", answers }),
    });
    this.setKernel(this.lanUp, this.hasDefault);
  }

  /** Whether the link is up, and a default route there: what next hops are reached by. */
  setKernel(lanUp: boolean, hasDefault: boolean): void {
    this.lanUp = lanUp;
    this.hasDefault = hasDefault;
    this.kernel?.replace({
      links: [
        {
          name: "lan",
          up: lanUp,
          addresses: [
            { bytes: parseIp(this.address)!, length: 24 },
            { bytes: parseIp(this.address6)!, length: 64 },
          ],
        },
      ],
      routes: (hasDefault ? ["10.0.0.254", "2001:db8::fe"] : []).map((text) => {
        const gateway = parseIp(text)!;
        const destination = { bytes: new Uint8Array(gateway.length), length: 0 };
        return { destination, metric: 10, type: "unicast", link: "lan", gateway };
      }),
    });
  }

  /** kill -9, or the machine goes too. */
  crash(machine: boolean): void {
    this.world.record({ t: "crash", s: this.index });
    this.core = undefined;
    this.view = undefined;
    this.busy = false;
    this.up = !machine;
    this.calls.clear();
    this.mail = [];
    this.world.journals[this.index].crash();
  }

  /** The process does nothing for a while. */
  pause(ms: number): void {
    const { clock } = this.world;
    const untilMs = clock.nowMs + ms;
    if (untilMs <= this.pausedUntilMs) return;
    this.pausedUntilMs = untilMs;
    this.paused = true;
    const run = this.runs;
    clock.at(untilMs, () => {
      if (run !== this.runs || !this.core || this.pausedUntilMs !== untilMs) return;
      this.paused = false;
      for (const each of this.mail.splice(0)) each();
      this.world.resumed(this.index);
      this.plan(clock.nowMs);
    });
  }

  private later(run: () => void): void {
    if (!this.core) return;
    if (this.reading) run();
    else this.mail.push(run);
  }

  /** An input reaches the process; while it is paused, when it goes on. */
  post(input: Input): void {
    this.later(() => {
      const { core } = this;
      if (!core) return;
      const { clock } = this.world;
      this.world.record({ t: "input", s: this.index, now: clock.nowMs, wall: this.wallMs, input });
      core.handle(input, clock.nowMs, this.wallMs);
      if (!this.busy) this.drain();
      this.plan(clock.nowMs);
    });
  }

  mutate(mutation: Mutation, done: (outcome: MutationOutcome) => void): void {
    if (!this.core) return;
    const call = this.nextCall++;
    this.calls.set(call, done as (outcome: Outcome) => void);
    this.post({ kind: "mutate", call, mutation });
  }

  operate(operation: Operation, done: (outcome: OperationOutcome) => void = () => {}): void {
    if (!this.core) return;
    const call = this.nextCall++;
    this.calls.set(call, done as (outcome: Outcome) => void);
    this.post({ kind: "operate", call, operation });
  }

  private plan(atMs: number): void {
    const due = Math.max(Math.ceil(atMs), this.pausedUntilMs, this.world.clock.nowMs);
    if (due >= this.turnAtMs) return;
    this.turnAtMs = due;
    if (due === Number.POSITIVE_INFINITY) return;
    const ticket = ++this.turnTicket;
    this.world.clock.at(due, () => {
      if (ticket === this.turnTicket && this.core) this.turn();
    });
  }

  private turn(): void {
    const { clock, dice } = this.world;
    this.turnAtMs = Number.POSITIVE_INFINITY;
    if (this.paused) return;
    const core = this.core!;
    const budget = dice.skewed(this.settings.budgetMin, this.settings.budgetMax);
    const n = this.world.turnNumber();
    this.world.record({ t: "turn", s: this.index, n, now: clock.nowMs, wall: this.wallMs, budget });
    this.busy = true;
    core.turn(clock.nowMs, this.wallMs, budget);
    this.world.turned(this);
    this.drain();
    if (!this.core) return;
    // A turn takes time: what it leaves to do is done a little later.
    if (core.hasWork()) this.plan(clock.nowMs + dice.between(1, 4));
    else this.plan(Math.max(core.nextWakeMs(), clock.nowMs + 1));
  }

  private drain(): void {
    const { core, world } = this;
    if (!core) return;
    const { list } = core.effects;
    this.busy = true;
    for (let i = 0; i < list.length && this.core === core; i++) {
      const effect = list[i];
      hashEffect(world.hash, effect);
      if (!world.tamper(this, effect)) this.carryOut(effect);
    }
    list.length = 0;
    this.busy = false;
  }

  private carryOut(effect: Effect): void {
    switch (effect.kind) {
      case "store.persist":
        this.lastSeq = effect.seq;
        this.world.journals[this.index].persist(effect.seq, effect.rows);
        break;
      case "kernel.watch":
        this.kernel?.watch(effect.watch, effect.unwatch);
        break;
      case "reply": {
        const done = this.calls.get(effect.call);
        this.calls.delete(effect.call);
        done?.(effect.outcome);
        break;
      }
      case "log":
      case "exit":
      case "rtr.connect": // no caches in this world
      case "rtr.send":
      case "rtr.close":
      case "rtr.pause":
      case "rpki.watch":
      case "mrt.open": // no files in this world
      case "mrt.write":
      case "mrt.close":
      case "bmp.connect": // no collectors in this world
      case "bmp.send":
      case "bmp.close":
      case "bfd.set": // links of this world fail as TCP does
      case "bfd.remove":
      case "link.discover": // nobody is named by an interface
      case "dataplane.apply":
      case "dataplane.watch":
      case "kernel.simulate":
      case "firewall.log": // no firewall either
      case "routes.watch":
      case "health.probe":
      case "health.cancel":
      case "fib.watch":
      case "fib.dump":
      case "fib.write":
        break;
      default:
        this.world.tcp(this.index, effect);
    }
  }
}
