/** Tells the fuzzer which inputs reach something new. */
import { Session } from "node:inspector";

/** Which blocks of our own code have run, by V8's counters. */
export class Coverage {
  private readonly session = new Session();
  private readonly seen = new Set<string>();

  constructor() {
    this.session.connect();
    this.session.post("Profiler.enable");
    this.session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** True when something ran since the last call that never ran before. @param remember false only asks */
  isNew(remember = true): boolean {
    let fresh = false;
    this.session.post("Profiler.takePreciseCoverage", (_error, { result }) => {
      for (const { url, functions } of result) {
        if (!url.includes("/src/")) continue;
        for (const { ranges } of functions) {
          for (const { startOffset, endOffset, count } of ranges) {
            const key = `${url}:${startOffset}:${endOffset}`;
            if (count === 0 || this.seen.has(key)) continue;
            fresh = true;
            if (remember) this.seen.add(key);
          }
        }
      }
    });
    return fresh;
  }
}
