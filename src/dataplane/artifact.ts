/**
 * An artifact is one piece of kernel state that an object asks for: an address on a link, a route, a rule, a sysctl.
 * It is named by its class and its key, which is what the kernel tells entries of the class apart by; its facts are what
 * the object asks of it, and say nothing about what it leaves to the kernel.
 */

/** A value in the facts of an artifact; JSON, so that the ledger can keep it. */
export type Fact = string | number | boolean | readonly Fact[] | { readonly [name: string]: Fact };
export type Facts = Readonly<Record<string, Fact>>;

export interface ArtifactName {
  /** Name of an `ArtifactClass`. */
  readonly class: string;
  /** Canonical text, for example `eth0 192.0.2.1/24`. */
  readonly key: string;
}

export interface Artifact extends ArtifactName {
  readonly facts: Facts;
  /** Take over an entry that is there already and is not ours, instead of reporting a conflict. */
  readonly adopt: boolean;
  /** Put right what somebody else altered or removed; otherwise it is only reported. */
  readonly repair: boolean;
  /** A kernel that has no such setting is no failure. */
  readonly optional?: boolean;
}

/** What the kernel holds under a name. */
export interface Observed {
  readonly facts: Facts;
  /**
   * What tells this entry from another one of the same name: the index of a link, the protocol mark of a route. Empty
   * where the kernel keeps nothing of the kind.
   */
  readonly identity: string;
}

export interface ArtifactClass {
  readonly name: string;
  /** Classes of a lower order are made earlier and removed later: a link before its addresses, these before routes. */
  readonly order: number;
  /**
   * `entry`: is made and deleted. `setting`: is there whether we want it or not (a sysctl, the MTU of a link that is not
   * ours); it is altered, and given back as it was found.
   */
  readonly nature: "entry" | "setting";
  /** Nothing tells of changes, and there are too many of them to look at all: only those that are asked for are watched. */
  readonly onDemand?: boolean;
  /** Every entry of such a name is ours, whether or not the ledger knows of it: what nobody asks for goes. */
  readonly exclusive?: boolean;
  /** All operations of a batch, removals too, are carried out at once, before those of classes behind it. */
  readonly together?: boolean;
  /** An entry of the facts `held` has to go before one of the facts `asked` can be made: the kernel alters no such thing. */
  readonly needsNew?: (held: Facts, asked: Facts) => boolean;
  /**
   * Facts that the kernel alters by itself once they are written, such as where a peer was heard last. What was written
   * stands for what is seen.
   */
  readonly moving?: readonly string[];
  /** Facts that are shown to nobody. */
  readonly secrets?: readonly string[];
  /** The fact that is the identity of what we make, where that is known beforehand: the protocol mark of a route. */
  readonly mark?: string;
}

/** One text for an artifact, in maps and for people. */
export function artifactText({ class: name, key }: ArtifactName): string {
  return `${name} ${key}`;
}

/** Whether the kernel holds what is asked for: every fact that is asked for, whatever it holds besides. */
export function satisfies(observed: Facts, asked: Facts): boolean {
  for (const name in asked) if (!covers(observed[name], asked[name])) return false;
  return true;
}

/** Both ask for the same, no more and no less. */
export function sameFacts(a: Facts, b: Facts): boolean {
  return satisfies(a, b) && satisfies(b, a);
}

function covers(observed: Fact | undefined, asked: Fact): boolean {
  if (observed === asked) return true;
  if (typeof observed !== "object" || typeof asked !== "object") return false;
  if (isList(observed) || isList(asked)) {
    const both = isList(observed) && isList(asked) && observed.length === asked.length;
    return both && asked.every((item, i) => covers(observed[i], item));
  }
  return satisfies(observed, asked);
}

function isList(fact: Fact): fact is readonly Fact[] {
  return Array.isArray(fact);
}
