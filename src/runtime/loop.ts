/**
 * The owner's loop: inputs from sockets, RPCs and the store into the core, turns in slices of a few milliseconds,
 * effects out. Nothing else calls the core.
 *
 * A turn's budget is work, not time, so that a recorded run can be replayed; it is adapted here so that a turn takes
 * about `limits.turnSliceMs` on this machine.
 */
import { limits } from "../base/limits.ts";
import type { BmpEffect } from "../state/bmp-inputs.ts";
import type { Core } from "../state/core.ts";
import { defaultBudget } from "../state/core.ts";
import { CoreView } from "../state/core-view.ts";
import type { Effect } from "../state/effects.ts";
import type { CallId, Input } from "../state/inputs.ts";
import type { Mutation, MutationOutcome } from "../state/mutation.ts";
import type { Operation, OperationOutcome } from "../state/operation.ts";
import type { RpkiEffect } from "../state/rpki-inputs.ts";
import type { Owner, StoredAudit } from "../state/view.ts";

/** What carries effects out. */
export interface LoopPorts {
  tcp(effect: Extract<Effect, { kind: `tcp.${string}` }>): void;
  /** Absent where no kernel is watched. */
  kernel?(effect: Extract<Effect, { kind: `kernel.${string}` }>): void;
  bfd(effect: Extract<Effect, { kind: `bfd.${string}` }>): void;
  /** Absent where no files are written. */
  mrt?(effect: Extract<Effect, { kind: `mrt.${string}` }>): void;
  persist(seq: number, rows: Extract<Effect, { kind: "store.persist" }>["rows"]): void;
  /** Changes the kernel; without it nothing is, and nobody asks. */
  dataplane?(effect: Extract<Effect, { kind: `dataplane.${string}` }>): void;
  /** Puts BGP routes into the kernel. */
  fib?(effect: Extract<Effect, { kind: `fib.${string}` }>): void;
  /** Reads routes of the kernel for BGP; without it none come. */
  routes?(effect: Extract<Effect, { kind: `routes.${string}` }>): void;
  /** Sends probes of health checks; without it none is answered. */
  health?(effect: Extract<Effect, { kind: `health.${string}` }>): void;
  /** Hears of packets that rules log; without it none are told. */
  firewall?(effect: Extract<Effect, { kind: `firewall.${string}` }>): void;
  /** Looks for neighbors on interfaces; without it none are found. */
  links?(effect: Extract<Effect, { kind: "link.discover" }>): void;
  log(effect: Extract<Effect, { kind: "log" }>): void;
  exit(code: number): void;
  /** Absent where no cache is talked to and no file is read. */
  rpki?(effect: RpkiEffect): void;
  /** Absent where no collector is connected to. */
  bmp?(effect: BmpEffect): void;
  /** A turn took this long. */
  turned(ms: number): void;
}

/** Longest timeout that Node takes without firing at once. */
const timeoutMaxMs = 0x7fff_ffff;
const budgetMin = 1000;
const budgetMax = 24_000;

export class OwnerLoop implements Owner {
  readonly core: Core;
  readonly view: CoreView;
  private readonly ports: LoopPorts;
  private readonly startedMs = performance.now();
  private readonly calls = new Map<CallId, (outcome: MutationOutcome | OperationOutcome) => void>();
  private nextCall = 1;
  private budget = defaultBudget;
  private scheduled = false;
  private timer: NodeJS.Timeout | undefined;
  private timerMs = Number.POSITIVE_INFINITY;
  private inTurn = false;
  /** Last sequence number given to the store. */
  lastSeq = 0;

  constructor(core: Core, ports: LoopPorts) {
    this.core = core;
    this.view = new CoreView(core);
    this.ports = ports;
  }

  wallMs(): number {
    return Date.now();
  }

  uptimeMs(): number {
    return performance.now() - this.startedMs;
  }

  /** Hands an input to the core; a turn follows soon. @returns false when the mailbox is full */
  post(input: Input): boolean {
    const taken = this.core.handle(input, performance.now(), Date.now());
    // Pauses asked for by a full inbox must not wait for the turn.
    if (!this.inTurn && this.core.effects.list.length > 0) this.drain();
    this.schedule();
    return taken;
  }

  mutate(mutation: Mutation): Promise<MutationOutcome> {
    return this.call((call) => ({ kind: "mutate", call, mutation })) as Promise<MutationOutcome>;
  }

  operate(operation: Operation): Promise<OperationOutcome> {
    return this.call((call) => ({ kind: "operate", call, operation })) as Promise<OperationOutcome>;
  }

  audit(entry: StoredAudit): void {
    this.post({ kind: "audit", entry });
  }

  private call(input: (call: CallId) => Input): Promise<MutationOutcome | OperationOutcome> {
    const call = this.nextCall++;
    return new Promise((resolve) => {
      this.calls.set(call, resolve);
      if (this.post(input(call))) return;
      this.calls.delete(call);
      const message = "too many requests are waiting";
      resolve({ ok: false, problems: [{ code: "BUSY", path: "", message, fix: "try again" }] });
    });
  }

  /** Asks for a turn as soon as sockets have been looked at. */
  schedule(): void {
    if (this.scheduled || this.inTurn) return;
    this.scheduled = true;
    setImmediate(() => this.turn());
  }

  private turn(): void {
    this.scheduled = false;
    this.inTurn = true;
    const before = performance.now();
    this.core.turn(before, Date.now(), this.budget);
    this.drain();
    this.inTurn = false;
    const now = performance.now();
    this.adapt(now - before);
    this.ports.turned(now - before);
    if (this.core.hasWork()) this.schedule();
    else this.sleep(now);
  }

  private adapt(tookMs: number): void {
    if (tookMs > limits.turnSliceMs * 1.3) this.budget = Math.max(budgetMin, this.budget * 0.8);
    else if (tookMs < limits.turnSliceMs * 0.7) this.budget = Math.min(budgetMax, this.budget * 1.1);
  }

  private sleep(now: number): void {
    const wakeMs = this.core.nextWakeMs();
    if (this.timer && Math.abs(wakeMs - this.timerMs) < 0.5) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.timerMs = wakeMs;
    if (wakeMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.min(timeoutMaxMs, Math.max(1, Math.ceil(wakeMs - now)));
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.schedule();
    }, delayMs);
  }

  private drain(): void {
    const { list } = this.core.effects;
    for (let i = 0; i < list.length; i++) this.carryOut(list[i]);
    list.length = 0;
  }

  private carryOut(effect: Effect): void {
    switch (effect.kind) {
      case "store.persist":
        this.lastSeq = effect.seq;
        this.ports.persist(effect.seq, effect.rows);
        break;
      case "reply": {
        const resolve = this.calls.get(effect.call);
        this.calls.delete(effect.call);
        resolve?.(effect.outcome);
        break;
      }
      case "log":
        this.ports.log(effect);
        break;
      case "rtr.connect":
      case "rtr.send":
      case "rtr.close":
      case "rtr.pause":
      case "rpki.watch":
        this.ports.rpki?.(effect);
        break;
      case "bmp.connect":
      case "bmp.send":
      case "bmp.close":
        this.ports.bmp?.(effect);
        break;
      case "bfd.set":
      case "bfd.remove":
        this.ports.bfd(effect);
        break;
      case "mrt.open":
      case "mrt.write":
      case "mrt.close":
        this.ports.mrt?.(effect);
        break;
      case "link.discover":
        this.ports.links?.(effect);
        break;
      case "exit":
        this.ports.exit(effect.code);
        break;
      case "dataplane.apply":
      case "dataplane.watch":
        this.ports.dataplane?.(effect);
        break;
      case "fib.watch":
      case "fib.dump":
      case "fib.write":
        this.ports.fib?.(effect);
        break;
      case "routes.watch":
        this.ports.routes?.(effect);
        break;
      case "health.probe":
      case "health.cancel":
        this.ports.health?.(effect);
        break;
      case "firewall.log":
        this.ports.firewall?.(effect);
        break;
      case "kernel.watch":
      case "kernel.simulate":
        this.ports.kernel?.(effect);
        break;
      default:
        this.ports.tcp(effect);
    }
  }

  /** Ends the loop: no more turns. */
  stop(): void {
    clearTimeout(this.timer);
    this.inTurn = true;
  }
}
