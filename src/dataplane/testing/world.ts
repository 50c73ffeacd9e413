/** A reconciler with a fake kernel and a disk, in virtual time, that can be killed between any two steps. */
import type { Artifact, ArtifactClass, ArtifactName } from "../artifact.ts";
import { artifactText } from "../artifact.ts";
import { FakeKernel } from "../fake-kernel.ts";
import type { KernelOperation, KernelOutcome } from "../kernel-port.ts";
import type { LedgerRow } from "../ledger.ts";
import { type LedgerChange, Reconciler } from "../reconciler.ts";

export class World {
  readonly kernel: FakeKernel;
  readonly drifts: string[] = [];
  reconciler: Reconciler;
  nowMs = 1000;
  /** Writes to the disk that were asked for. */
  persisted = 0;
  private readonly classes: readonly ArtifactClass[];
  private readonly disk = new Map<string, LedgerRow>();
  /** What is on its way: written, then to the kernel, then back. */
  private writes: { seq: number; change: LedgerChange }[] = [];
  private applies: { batch: number; operations: readonly KernelOperation[] }[] = [];
  private answers: { batch: number; outcomes: readonly KernelOutcome[] }[] = [];
  private looks: ArtifactName[] = [];
  private seq = 0;
  private failsNextWrite = false;

  constructor(classes: readonly ArtifactClass[]) {
    this.classes = classes;
    this.kernel = new FakeKernel(classes);
    this.reconciler = this.fresh();
  }

  private fresh(): Reconciler {
    return new Reconciler(this.classes, this.disk.values(), {
      persist: (change) => {
        this.persisted++;
        this.writes.push({ seq: ++this.seq, change });
        return this.seq;
      },
      apply: (batch, operations) => this.applies.push({ batch, operations }),
      watch: (watch) => {
        for (const name of watch) this.looks.push(name);
      },
      drifted: (owner, _artifact, _observed, repaired) => {
        this.drifts.push(`${owner} ${repaired ? "repaired" : "reported"}`);
      },
      changed: () => {},
    });
  }

  /** The facts are known but for a class, and everybody was asked. */
  start(unknown = ""): void {
    this.kernel.takeNotices();
    for (const { name } of this.classes) if (name !== unknown) this.observeAll(name);
    this.reconciler.start();
  }

  observeAll(className: string): void {
    this.reconciler.observeAll(className, this.kernel.dump(className));
  }

  /** The process dies: what is not on the disk or in the kernel is lost. */
  crash(): void {
    this.writes = [];
    this.applies = [];
    this.answers = [];
    this.looks = [];
    this.reconciler = this.fresh();
  }

  failNextWrite(): void {
    this.failsNextWrite = true;
  }

  want(owner: string, artifacts: readonly Artifact[] | undefined): void {
    this.reconciler.want(owner, artifacts);
  }

  /** Lets so many things happen, each the next on its way. */
  run(events: number): void {
    for (let i = 0; i < events; i++) this.once();
  }

  private once(): boolean {
    for (const fact of this.kernel.takeNotices()) this.reconciler.observe(fact);
    const look = this.looks.shift();
    if (look) {
      this.reconciler.observe({ ...look, observed: this.kernel.get(look) ?? null });
      return true;
    }
    const write = this.writes.shift();
    if (write) {
      this.write(write.seq, write.change);
      return true;
    }
    const apply = this.applies.shift();
    if (apply) {
      this.answers.push({ batch: apply.batch, outcomes: this.kernel.apply(apply.operations) });
      return true;
    }
    const answer = this.answers.shift();
    if (answer) {
      this.reconciler.outcomes(answer.batch, answer.outcomes, this.nowMs);
      return true;
    }
    if (!this.reconciler.hasWork && this.reconciler.nextWakeMs() > this.nowMs) return false;
    this.reconciler.step(this.nowMs);
    return true;
  }

  private write(seq: number, { put, drop }: LedgerChange): void {
    if (this.failsNextWrite) {
      this.failsNextWrite = false;
      this.reconciler.notDurable(seq, this.nowMs);
      return;
    }
    for (const row of put) this.disk.set(artifactText(row), row);
    for (const name of drop) this.disk.delete(artifactText(name));
    this.reconciler.durable(seq);
  }

  /** Runs until nothing is left to do, or for so long; always for that long when there are retries. */
  settle(forMs = 1000): void {
    const until = this.nowMs + forMs;
    for (;;) {
      if (this.once()) continue;
      const next = Math.min(this.reconciler.nextWakeMs(), until);
      this.nowMs = Math.max(this.nowMs, next);
      if (this.nowMs >= until) return;
    }
  }

  states(owner: string): string[] {
    return this.reconciler.standing(owner).map(({ standing }) => standing.state);
  }

  gatewayOf(key: string): unknown {
    return this.kernel.get({ class: "route", key })?.facts.gateway;
  }

  durableRow(name: ArtifactName): LedgerRow | undefined {
    return this.disk.get(artifactText(name));
  }
}
