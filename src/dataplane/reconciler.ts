/**
 * Brings the kernel to what objects ask for: observe -> decide -> intend (ledger rows durable) -> apply -> confirm. It is
 * level-triggered: whatever is asked, seen or lost marks artifacts dirty, and each step looks at them afresh, so it may be
 * stopped at any arrow and goes on from the ledger. One batch is under way at a time, so that what a later one
 * stands on is there. Pure: the host hands in time and facts, and carries out what it is told.
 */
import { assert } from "../base/assert.ts";
import {
  type Artifact,
  type ArtifactClass,
  type ArtifactName,
  artifactText,
  type Facts,
  type Observed,
  sameFacts,
} from "./artifact.ts";
import { Claims } from "./claims.ts";
import type { KernelFact, KernelOperation, KernelOutcome } from "./kernel-port.ts";
import type { LedgerRow } from "./ledger.ts";
import { type Decision, decide, inOrder, touchesKernel, type Verb } from "./planner.ts";
import { Retries } from "./retries.ts";

/** Operations in one batch. */
const batchMax = 1000;

/** How it stands with an artifact that an object asks for. */
export type Standing =
  /** Not looked at yet, under way, or nothing is known of its class. */
  | { readonly state: "waiting" }
  | { readonly state: "applied" }
  /** Altered or removed by somebody else, and to be left so. */
  | { readonly state: "drifted" }
  /** This kernel has no such setting, and that is no failure. */
  | { readonly state: "skipped" }
  /** Something is there that is not ours, or another object asks for the same. */
  | { readonly state: "conflict"; readonly with: string }
  | {
      readonly state: "failed";
      readonly error: string;
      readonly detail: string;
      /** Monotonic milliseconds of the next attempt. */
      readonly retryAtMs: number;
    };

export interface LedgerChange {
  readonly put: readonly LedgerRow[];
  readonly drop: readonly ArtifactName[];
}

export interface ReconcilerHost {
  /** Makes ledger rows durable. @returns a number that `durable` reaches when they are */
  persist(change: LedgerChange): number;
  /** Tells by `observe` what is held under these names, now and whenever it changes; and no longer of the others. */
  watch(watch: readonly ArtifactName[], unwatch: readonly ArtifactName[]): void;
  /** Changes the kernel; `outcomes` answers. What the kernel tells of its changes comes by `observe` before that. */
  apply(batch: number, operations: readonly KernelOperation[]): void;
  /** Somebody else altered (or removed) what is ours; it is about to be put right, or left so. */
  drifted(owner: string, artifact: ArtifactName, observed: Observed | undefined, repaired: boolean): void;
  /** The standing of some of the owner's artifacts is another. */
  changed(owner: string): void;
}

/** An operation that is only thought of. */
export interface PlannedOperation extends ArtifactName {
  readonly verb: Verb;
  readonly owner: string;
  /** What the kernel would hold afterwards; empty for what goes. */
  readonly facts: Facts;
}

interface Operation extends ArtifactName {
  readonly verb: Verb;
  readonly owner: string;
  readonly kernel: KernelOperation;
}

interface Batch {
  readonly id: number;
  readonly operations: readonly Operation[];
  /** Rows that must be durable before the kernel is touched. */
  readonly seq: number;
  /** What the ledger said of each before. */
  readonly rowsBefore: readonly (LedgerRow | undefined)[];
  sent: boolean;
  /** Artifacts of which facts came while it was under way: these are newer than its outcomes. */
  readonly seen: Set<string>;
}

export class Reconciler {
  private readonly classes: ReadonlyMap<string, ArtifactClass>;
  private readonly host: ReconcilerHost;
  private readonly claims = new Claims();
  private readonly ledger = new Map<string, LedgerRow>();
  private readonly observed = new Map<string, Observed>();
  /** Classes of which all that concerns us is in `observed`. */
  private readonly known = new Set<string>();
  /** Artifacts of classes on demand that are watched; false until the first answer came. */
  private readonly watched = new Map<string, boolean>();
  private readonly dirty = new Map<string, ArtifactName>();
  private readonly standings = new Map<string, Standing>();
  private readonly retries = new Retries();
  private batch: Batch | undefined;
  private batches = 0;
  private started = false;
  private readonly touched = new Set<string>();
  /** Since the start, for metrics. */
  readonly counts = { operations: 0, failures: 0, drifts: 0 };

  /** @param rows the ledger as the last run left it */
  constructor(classes: readonly ArtifactClass[], rows: Iterable<LedgerRow>, host: ReconcilerHost) {
    this.classes = new Map(classes.map((each) => [each.name, each]));
    this.host = host;
    for (const row of rows) {
      this.ledger.set(artifactText(row), row);
      this.mark(row);
      // Nobody has said yet whether the object still asks for it.
      this.claims.remember(row.owner);
    }
  }

  /** All objects have been asked what they want: whoever asked for nothing is gone. */
  start(): void {
    this.started = true;
    for (const owner of this.claims.settle()) this.markOwner(owner);
  }

  /**
   * What an object asks for from now on.
   * @param artifacts undefined: it cannot be known at the moment, and what there is stays as it is
   */
  want(owner: string, artifacts: readonly Artifact[] | undefined): void {
    if (!artifacts) {
      this.claims.unknown(owner);
      return;
    }
    for (const artifact of artifacts) assert(this.classes.has(artifact.class), `no class ${artifact.class}`);
    const before = this.claims.isUnknown(owner);
    for (const name of this.claims.set(owner, artifacts)) {
      const text = artifactText(name);
      this.retries.forget(text);
      // Another request has not failed yet.
      if (this.standings.get(text)?.state === "failed") this.standings.delete(text);
      this.mark(name);
    }
    if (before) this.markOwner(owner);
    this.touched.add(owner);
  }

  /** Everything of ours in this class is among `facts`; what is not there is not in the kernel. */
  observeAll(className: string, facts: readonly KernelFact[]): void {
    const gone = new Set<string>();
    for (const text of this.observed.keys()) if (text.startsWith(`${className} `)) gone.add(text);
    this.known.add(className);
    for (const fact of facts) {
      gone.delete(artifactText(fact));
      this.observe(fact);
    }
    for (const text of gone) this.observe({ ...nameOf(text), observed: null });
    for (const [text, row] of this.ledger) if (row.class === className) this.dirty.set(text, row);
    for (const artifact of this.claims.ofClass(className)) this.mark(artifact);
  }

  /** The kernel holds this now. */
  observe(fact: KernelFact): void {
    const text = artifactText(fact);
    if (fact.observed) this.observed.set(text, fact.observed);
    else this.observed.delete(text);
    if (this.watched.has(text)) this.watched.set(text, true);
    this.batch?.seen.add(text);
    const isOrphan = fact.observed !== null && this.classNamed(fact.class).exclusive;
    if (isOrphan || this.ledger.has(text) || this.claims.asked(text)) this.mark(fact);
  }

  /** Rows up to this number are durable. */
  durable(seq: number): void {
    const { batch } = this;
    if (!batch || batch.sent || batch.seq > seq) return;
    batch.sent = true;
    this.host.apply(
      batch.id,
      batch.operations.map(({ kernel }) => kernel),
    );
  }

  /** Rows from this number on could not be written: nothing was done, and all of it is tried again. */
  notDurable(seq: number, nowMs: number): void {
    const { batch } = this;
    if (!batch || batch.sent || batch.seq < seq) return;
    this.batch = undefined;
    batch.operations.forEach((operation, i) => {
      const row = batch.rowsBefore[i];
      if (row) this.ledger.set(artifactText(operation), row);
      else this.ledger.delete(artifactText(operation));
      this.fail(operation, { error: "EIO", detail: "the ledger could not be written" }, nowMs);
    });
    this.tell();
  }

  /** True when `step` would find something to do. */
  get hasWork(): boolean {
    if (!this.started || this.batch) return false;
    for (const [text, name] of this.dirty) {
      if (this.known.has(name.class) && this.watched.get(text) !== false) return true;
    }
    return false;
  }

  /** When `step` is wanted, monotonic milliseconds. */
  nextWakeMs(): number {
    return this.started && !this.batch ? this.retries.nextMs : Number.POSITIVE_INFINITY;
  }

  /** Looks at what is dirty, and begins at most one batch. */
  step(nowMs: number): void {
    if (!this.started || this.batch) return;
    for (const name of this.retries.due(nowMs)) this.mark(name);
    const operations: Operation[] = [];
    const put: LedgerRow[] = [];
    const drop: ArtifactName[] = [];
    this.watchDirty();
    for (const [text, name] of this.dirty) {
      if (!this.known.has(name.class) || this.watched.get(text) === false) continue;
      if (operations.length === batchMax) break;
      this.dirty.delete(text);
      if (this.retries.waits(text, nowMs)) continue;
      this.consider(name, nowMs, operations, put, drop);
    }
    if (operations.length > 0 || put.length > 0 || drop.length > 0) {
      const ordered = inOrder(operations, (name) => this.classNamed(name));
      const rowsBefore = ordered.map((operation) => this.ledger.get(artifactText(operation)));
      const seq = this.persist(put, drop);
      if (ordered.length > 0) {
        const id = ++this.batches;
        this.batch = { id, operations: ordered, seq, rowsBefore, sent: false, seen: new Set() };
      }
    }
    this.tell();
  }

  /** What is dirty and only seen on demand is asked for, until nobody wants it and the ledger has no row of it. */
  private watchDirty(): void {
    const watch: ArtifactName[] = [];
    const unwatch: ArtifactName[] = [];
    for (const [text, name] of this.dirty) {
      if (!this.classNamed(name.class).onDemand) continue;
      const isWanted = this.claims.asked(text) || this.ledger.has(text);
      if (isWanted === this.watched.has(text)) continue;
      if (isWanted) this.watched.set(text, false);
      else {
        this.watched.delete(text);
        this.observed.delete(text);
      }
      (isWanted ? watch : unwatch).push(name);
    }
    if (watch.length > 0 || unwatch.length > 0) this.host.watch(watch, unwatch);
  }

  private consider(
    name: ArtifactName,
    nowMs: number,
    operations: Operation[],
    put: LedgerRow[],
    drop: ArtifactName[],
  ): void {
    const text = artifactText(name);
    const row = this.ledger.get(text);
    const claim = this.claims.winner(text);
    if (!claim && row && this.claims.isUnknown(row.owner)) return;
    const seen = this.observed.get(text);
    const asked = claim?.artifact;
    const decision = decide(this.classNamed(name.class), asked, seen, row);
    const owner = claim?.owner ?? row?.owner ?? "";
    if (decision.drift && asked) {
      const waits = asked.repair && this.retries.fought(text, name, nowMs);
      if (this.standings.get(text)?.state !== "drifted") {
        this.counts.drifts++;
        this.host.drifted(owner, name, seen, asked.repair && !waits);
      }
      if (waits || !asked.repair) {
        this.stand(text, owner, { state: "drifted" });
        return;
      }
    }
    if (!asked) {
      this.standings.delete(text);
      if (!row) this.retries.forget(text);
    }
    if (touchesKernel(decision.verb)) {
      const { operation, next } = this.plan(decision, name, owner, asked, seen, row);
      operations.push(operation);
      put.push(next);
      // What has failed has failed until it succeeds, also while it is tried again.
      if (asked && this.standings.get(text)?.state !== "failed")
        this.stand(text, owner, { state: "waiting" });
      return;
    }
    this.settle(decision, text, owner, asked, seen, row, put, drop);
  }

  /** A decision that the kernel need not hear of. */
  private settle(
    { verb }: Decision,
    text: string,
    owner: string,
    asked: Artifact | undefined,
    seen: Observed | undefined,
    row: LedgerRow | undefined,
    put: LedgerRow[],
    drop: ArtifactName[],
  ): void {
    if (row && (verb === "forget" || verb === "conflict")) drop.push(nameOf(text));
    if (verb === "conflict") {
      this.stand(text, owner, { state: "conflict", with: "an entry that is not cairn's" });
    } else if (verb === "unsupported" && asked?.optional) {
      this.stand(text, owner, { state: "skipped" });
    } else if (verb === "unsupported") {
      const detail = "the kernel has no such setting";
      this.stand(text, owner, { state: "failed", error: "ENOENT", detail, retryAtMs: Infinity });
    } else if (asked && seen) {
      const { identity } = seen;
      const isNoted =
        row?.phase === "confirmed" &&
        row.owner === owner &&
        row.identity === identity &&
        sameFacts(row.facts, asked.facts);
      if (!isNoted) {
        const isSetting = this.classNamed(nameOf(text).class).nature === "setting";
        const adopted = verb !== "adopt" ? {} : isSetting ? { before: seen.facts } : { adopted: true };
        put.push({
          ...row,
          ...nameOf(text),
          ...adopted,
          owner,
          phase: "confirmed",
          facts: asked.facts,
          identity,
        });
      }
      this.retries.succeeded(text);
      this.stand(text, owner, { state: "applied" });
    }
  }

  private plan(
    { verb }: Decision,
    name: ArtifactName,
    owner: string,
    asked: Artifact | undefined,
    seen: Observed | undefined,
    row: LedgerRow | undefined,
  ): { operation: Operation; next: LedgerRow } {
    const { class: className, key } = name;
    const { nature, mark } = this.classNamed(className);
    const isSetting = nature === "setting";
    const before = row?.before ?? (isSetting ? seen?.facts : undefined);
    const facts = asked?.facts ?? (verb === "restore" ? row?.before : row?.facts) ?? {};
    const isGoing = verb === "delete" || verb === "remake";
    const kernelVerb = verb === "create" ? verb : isGoing ? "delete" : "update";
    const ours = row && seen && (row.identity === "" || row.identity === seen.identity);
    return {
      operation: {
        class: className,
        key,
        verb,
        owner,
        kernel: { class: className, key, verb: kernelVerb, facts, before: seen },
      },
      next: {
        class: className,
        key,
        owner,
        phase: asked && !isGoing ? "intended" : "removing",
        facts: asked?.facts ?? row?.facts ?? {},
        identity: ours ? row.identity : String((mark !== undefined && facts[mark]) || ""),
        ...(before && { before }),
        ...((row?.adopted || (seen && !row && !isSetting)) && { adopted: true }),
      },
    };
  }

  /** How the operations of a batch ended, in their order. */
  outcomes(id: number, outcomes: readonly KernelOutcome[], nowMs: number): void {
    const { batch } = this;
    if (!batch || batch.id !== id) return;
    assert(outcomes.length === batch.operations.length, "an outcome per operation");
    this.batch = undefined;
    const put: LedgerRow[] = [];
    const drop: ArtifactName[] = [];
    batch.operations.forEach((operation, i) => {
      const text = artifactText(operation);
      if (!batch.seen.has(text)) this.believe(text, operation, outcomes[i]);
      // What was seen meanwhile may already be another hand's.
      const identity = outcomes[i].observed?.identity ?? (batch.seen.has(text) ? "" : undefined);
      this.conclude(operation, outcomes[i], identity, nowMs, put, drop);
    });
    if (put.length > 0 || drop.length > 0) this.persist(put, drop);
    this.tell();
  }

  private persist(put: readonly LedgerRow[], drop: readonly ArtifactName[]): number {
    for (const row of put) this.ledger.set(artifactText(row), row);
    for (const name of drop) this.ledger.delete(artifactText(name));
    return this.host.persist({ put, drop });
  }

  /** Takes an outcome for what the kernel holds, as it told nothing itself. */
  private believe(text: string, { kernel }: Operation, { error, observed }: KernelOutcome): void {
    if (observed === null || (observed === undefined && error === "ENOENT")) this.observed.delete(text);
    else if (observed) this.observed.set(text, observed);
    else if (error !== "") return;
    else if (kernel.verb === "delete") this.observed.delete(text);
    else {
      const facts = { ...kernel.before?.facts, ...kernel.facts };
      this.observed.set(text, { facts, identity: kernel.before?.identity ?? "" });
    }
  }

  private conclude(
    operation: Operation,
    outcome: KernelOutcome,
    identity: string | undefined,
    nowMs: number,
    put: LedgerRow[],
    drop: ArtifactName[],
  ): void {
    const text = artifactText(operation);
    const row = this.ledger.get(text);
    const { verb, kernel } = operation;
    // Gone by itself, or another's by now.
    const gone = kernel.verb === "delete" && outcome.error === "ENOENT";
    this.counts.operations++;
    if (outcome.error === "" || gone) {
      this.retries.succeeded(text);
      if (kernel.verb === "delete" || verb === "restore") drop.push(operation);
      else if (row) {
        const made = identity ?? this.observed.get(text)?.identity ?? "";
        put.push({ ...row, phase: "confirmed", identity: row.identity === "" ? made : row.identity });
        this.stand(text, operation.owner, { state: "applied" });
      }
      // What is asked may have changed on the way, and what the kernel holds may be other than what it was told.
      this.mark(operation);
      return;
    }
    // The kernel refused, so nothing of ours is there that was not before.
    if (kernel.verb === "create" && row) drop.push(operation);
    if (outcome.error === "EEXIST" && outcome.observed) this.mark(operation);
    else if (outcome.error === "ENOENT" && kernel.before) this.mark(operation);
    else this.fail(operation, outcome, nowMs);
  }

  private fail(operation: Operation, { error, detail }: KernelOutcome, nowMs: number): void {
    const text = artifactText(operation);
    this.counts.failures++;
    const retryAtMs = this.retries.failed(text, operation, nowMs);
    this.stand(text, operation.owner, { state: "failed", error, detail, retryAtMs });
  }

  /** Artifacts that an object asks for, each with how it stands. */
  standing(owner: string): { artifact: Artifact; standing: Standing }[] {
    return this.claims.of(owner).map((artifact) => {
      const text = artifactText(artifact);
      const winner = this.claims.winner(text);
      const standing: Standing =
        winner && winner.owner !== owner
          ? { state: "conflict", with: winner.owner }
          : (this.standings.get(text) ?? { state: "waiting" });
      return { artifact, standing };
    });
  }

  /** What would be done to the kernel, in order, if these owners asked for these artifacts instead of what they do now. */
  preview(instead: ReadonlyMap<string, readonly Artifact[]>): PlannedOperation[] {
    const names = new Map<string, ArtifactName>();
    for (const [owner, artifacts] of instead) {
      for (const name of [...this.claims.of(owner), ...artifacts]) names.set(artifactText(name), name);
    }
    const planned: PlannedOperation[] = [];
    for (const [text, { class: className, key }] of names) {
      const claim = this.claims.winnerAmong(text, instead);
      const row = this.ledger.get(text);
      const seen = this.observed.get(text);
      const { onDemand, nature } = this.classNamed(className);
      // What nobody has looked at yet is taken to be otherwise than asked.
      const verb =
        onDemand && !this.watched.get(text) && claim
          ? nature === "entry"
            ? "create"
            : "update"
          : decide(this.classNamed(className), claim?.artifact, seen, row).verb;
      if (!touchesKernel(verb)) continue;
      const facts = claim?.artifact.facts ?? (verb === "restore" ? row?.before : undefined) ?? {};
      planned.push({ verb, class: className, key, owner: claim?.owner ?? row?.owner ?? "", facts });
    }
    return inOrder(planned, (name) => this.classNamed(name));
  }

  /** Everything of a class that is asked for, if these owners asked for these artifacts instead of what they do now. */
  wanted(className: string, instead: ReadonlyMap<string, readonly Artifact[]>): Artifact[] {
    return this.claims.ofClassAmong(className, instead);
  }

  /** What the kernel holds under this name, as far as it is known. */
  held(name: ArtifactName): Observed | undefined {
    return this.observed.get(artifactText(name));
  }

  /** What the ledger holds, for lists and tests. */
  rows(): Iterable<LedgerRow> {
    return this.ledger.values();
  }

  private stand(text: string, owner: string, standing: Standing): void {
    const before = this.standings.get(text);
    this.standings.set(text, standing);
    if (before?.state === standing.state && standing.state !== "failed") return;
    this.touched.add(owner);
  }

  private tell(): void {
    for (const owner of this.touched) this.host.changed(owner);
    this.touched.clear();
  }

  private mark({ class: className, key }: ArtifactName): void {
    this.dirty.set(`${className} ${key}`, { class: className, key });
  }

  private markOwner(owner: string): void {
    for (const row of this.ledger.values()) if (row.owner === owner) this.mark(row);
  }

  private classNamed(name: string): ArtifactClass {
    const found = this.classes.get(name);
    assert(found, `no class ${name}`);
    return found;
  }
}

function nameOf(text: string): ArtifactName {
  const space = text.indexOf(" ");
  return { class: text.slice(0, space), key: text.slice(space + 1) };
}
