/**
 * A transaction that is checked in steps, while the router works on. It is checked against the objects as they stand;
 * when another change comes between two steps, it begins anew.
 */
import { assert } from "../base/assert.ts";
import type { Result } from "../base/problem.ts";
import type { Mutation } from "./mutation.ts";
import type { ObjectStore, Prepared } from "./objects.ts";
import { preparing } from "./objects-prepare.ts";

export class Preparation {
  private readonly store: ObjectStore;
  private readonly mutation: Mutation;
  private readonly wallMs: number;
  private steps: ReturnType<typeof preparing>;
  private version: number;
  private outcome: Result<Prepared> | undefined;
  /** Times that another change came between. */
  restarts = 0;
  /** Steps taken so far, those of earlier beginnings included. */
  taken = 0;

  constructor(store: ObjectStore, mutation: Mutation, wallMs: number) {
    this.store = store;
    this.mutation = mutation;
    this.wallMs = wallMs;
    this.version = store.version;
    this.steps = preparing(store, mutation, wallMs);
  }

  /** Goes on for `count` steps, each the work of one object. @returns true when there is a result for the objects as they are */
  step(count: number): boolean {
    if (this.version !== this.store.version) {
      this.version = this.store.version;
      this.steps = preparing(this.store, this.mutation, this.wallMs);
      this.outcome = undefined;
      this.restarts++;
    }
    for (let left = count; left > 0 && !this.outcome; left--) {
      const step = this.steps.next();
      this.taken++;
      if (step.done) this.outcome = step.value;
    }
    return this.outcome !== undefined;
  }

  /** All that is left. */
  finish(): Result<Prepared> {
    this.step(Number.POSITIVE_INFINITY);
    return this.result();
  }

  /** The outcome, right after `step` said that there is one. */
  result(): Result<Prepared> {
    assert(this.outcome && this.version === this.store.version, "a preparation was asked before its end");
    return this.outcome;
  }
}
