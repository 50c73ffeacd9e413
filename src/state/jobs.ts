/**
 * Long walks over a table: the routes of a lost neighbor, a changed policy, a new order of best-path steps. Each keeps
 * a resume point and does a bounded piece per turn, so that no walk holds up timers or other neighbors.
 */
export interface Job {
  /** Jobs with the same key replace each other: starting again means starting over. */
  readonly key: string;
  /**
   * Goes on for about `rows` rows.
   * @returns true when it is done
   */
  step(rows: number): boolean;
  /** Called once when done (not when replaced). */
  done?(): void;
}

/** Rows that are looked at in a microsecond. */
const rowsPerMicro = 2;

/** Rows per step, chosen so that a step is well under a millisecond when little is to be done. */
const rowsPerStep = 2048;

export class Jobs {
  private readonly queue: Job[] = [];

  start(job: Job): void {
    const at = this.queue.findIndex((other) => other.key === job.key);
    if (at >= 0) this.queue[at] = job;
    else this.queue.push(job);
  }

  get size(): number {
    return this.queue.length;
  }

  has(key: string): boolean {
    return this.queue.some((job) => job.key === key);
  }

  get hasWork(): boolean {
    return this.queue.length > 0;
  }

  /** Runs jobs, a step of each at a time. */
  run(micros: number): void {
    for (let left = micros * rowsPerMicro; left > 0 && this.queue.length > 0; left -= rowsPerStep) {
      const job = this.queue[0];
      const finished = job.step(rowsPerStep);
      // The job may have been replaced from within its own step.
      if (this.queue[0] !== job) continue;
      this.queue.shift();
      if (finished) job.done?.();
      else this.queue.push(job);
    }
  }
}
