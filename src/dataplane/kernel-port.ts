/**
 * What passes between the reconciler and whoever changes the kernel: the host, or the fake kernel. Plain data both ways,
 * as it crosses the line between core and shell.
 */
import type { ArtifactName, Facts, Observed } from "./artifact.ts";

export interface KernelOperation extends ArtifactName {
  readonly verb: "create" | "update" | "delete";
  /** What the kernel is to hold afterwards; for `delete` what it is believed to hold. */
  readonly facts: Facts;
  /**
   * What it was seen to hold before. `create` must fail with EEXIST when something is there all the same; `update` and
   * `delete` with ENOENT when nothing is, or an entry of another identity has taken its place.
   */
  readonly before: Observed | undefined;
}

/** How an operation of a batch ended. */
export interface KernelOutcome {
  /** Name of an errno; empty for success. */
  readonly error: string;
  /** What the kernel said about it (NLMSGERR_ATTR_MSG, the output of nft), for people; may be empty. */
  readonly detail: string;
  /** What the kernel holds now, as far as the host looked: undefined when it did not, null for nothing. */
  readonly observed?: Observed | null;
}

/** One entry as the kernel holds it now. */
export interface KernelFact extends ArtifactName {
  /** Null: there is none. */
  readonly observed: Observed | null;
}
