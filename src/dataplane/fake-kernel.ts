/**
 * A kernel in memory, for tests, the demo and `--dataplane memory`. It keeps what Linux keeps, refuses what Linux
 * refuses with the same errno, and takes away by itself what Linux takes away: addresses and routes with their link,
 * routes with their source address. Notices of all changes are collected in the order in which they happened.
 */
import type { ArtifactClass, ArtifactName, Facts, Observed } from "./artifact.ts";
import { artifactText } from "./artifact.ts";
import type { KernelFact, KernelOperation, KernelOutcome } from "./kernel-port.ts";

const done: KernelOutcome = { error: "", detail: "" };
/** Classes whose keys begin with the name of a link, and which go with it. */
const ofLink = ["address", "link-setting", "wireguard"];

export class FakeKernel {
  private readonly classes: ReadonlyMap<string, ArtifactClass>;
  private readonly entries = new Map<string, KernelFact>();
  private notices: KernelFact[] = [];
  private nextIndex = 1;
  /** Errors to give instead of carrying out an operation; undefined: carry it out. */
  fault: (operation: KernelOperation) => string | undefined = () => undefined;
  /** Operations carried out or refused since the start. */
  operations = 0;

  constructor(classes: readonly ArtifactClass[]) {
    this.classes = new Map(classes.map((each) => [each.name, each]));
  }

  /** Carries operations out one after the other; a failed one does not stop those after it. */
  apply(operations: readonly KernelOperation[]): KernelOutcome[] {
    return operations.map((operation) => {
      this.operations++;
      const error = this.fault(operation);
      return error === undefined ? this.carryOut(operation) : { error, detail: "" };
    });
  }

  private carryOut(operation: KernelOperation): KernelOutcome {
    const held = this.get(operation);
    const isSetting = this.classes.get(operation.class)?.nature === "setting";
    if (operation.verb === "create") {
      if (held) return { error: "EEXIST", detail: "", observed: held };
      const error = this.missing(operation);
      if (error !== "") return { error, detail: "" };
      this.set(operation, { facts: operation.facts, identity: this.identityOf(operation) });
      return done;
    }
    if (!held) return { error: "ENOENT", detail: "", observed: null };
    if (operation.before && operation.before.identity !== held.identity) {
      return { error: "ENOENT", detail: "another entry has taken its place", observed: held };
    }
    if (operation.verb === "delete") this.set(operation, null);
    else if (this.classes.get(operation.class)?.needsNew?.(held.facts, operation.facts)) {
      return { error: "EOPNOTSUPP", detail: "this is not altered on an entry that is there" };
    } else {
      const error = this.missing(operation);
      if (error !== "") return { error, detail: "" };
      const identity = isSetting ? "" : this.identityOf(operation, held);
      this.set(operation, { facts: { ...held.facts, ...operation.facts }, identity });
    }
    return done;
  }

  /** What the kernel would miss to do this; empty for nothing. */
  private missing({ class: name, key, facts }: KernelOperation): string {
    const device = name === "address" ? key.split(" ")[0] : deviceOf(facts);
    return device !== undefined && !this.entries.has(`link ${device}`) ? "ENODEV" : "";
  }

  private identityOf({ class: name, facts }: KernelOperation, held?: Observed): string {
    if (name === "link") return held?.identity ?? String(this.takeIndex());
    return name === "route" || name === "rule" ? String(facts.protocol ?? "boot") : "";
  }

  /** The index that the next link gets. */
  takeIndex(): number {
    return this.nextIndex++;
  }

  /** What any hand does, ours or another's: puts an entry there, or takes it away with all that hangs on it. */
  set(name: ArtifactName, observed: Observed | null): void {
    const fact = { class: name.class, key: name.key, observed };
    const text = artifactText(name);
    if (observed) this.entries.set(text, fact);
    else if (!this.entries.delete(text)) return;
    this.notices.push(fact);
    if (!observed) this.dropDependants(name);
  }

  private dropDependants({ class: name, key }: ArtifactName): void {
    if (name !== "link" && name !== "address") return;
    const [device, address] = name === "link" ? [key, undefined] : key.split(" ");
    for (const fact of [...this.entries.values()]) {
      if (!fact.observed) continue;
      const { facts } = fact.observed;
      const falls =
        address === undefined ? fact.key.split(" ")[0] === device && ofLink.includes(fact.class) : false;
      const isRoute = fact.class === "route";
      const stands = isRoute || fact.class === "link";
      if (falls || (stands && address === undefined && deviceOf(facts) === device)) this.set(fact, null);
      else if (isRoute && address !== undefined && facts.source === address.split("/")[0])
        this.set(fact, null);
    }
  }

  get(name: ArtifactName): Observed | undefined {
    return this.entries.get(artifactText(name))?.observed ?? undefined;
  }

  /** All entries of a class. */
  dump(className: string): KernelFact[] {
    return [...this.entries.values()].filter((fact) => fact.class === className);
  }

  /** What changed since the last call, oldest first. */
  takeNotices(): KernelFact[] {
    const { notices } = this;
    this.notices = [];
    return notices;
  }
}

/** The link that an entry stands on, where it is not in its key. */
function deviceOf(facts: Facts): string | undefined {
  const device = facts.device ?? facts.parent;
  return typeof device === "string" ? device : undefined;
}
