import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Jobs } from "./jobs.ts";

suite("Jobs", () => {
  test("run in turn in bounded pieces, tell when they are done, and go away", () => {
    const jobs = new Jobs();
    const log: string[] = [];
    const start = (key: string, steps: number): void => {
      let left = steps;
      jobs.start({
        key,
        step: () => {
          log.push(key);
          return --left === 0;
        },
        done: () => log.push(`${key} done`),
      });
    };
    start("a", 2);
    start("b", 1);
    jobs.run(1);
    assert.deepEqual(log, ["a"]);
    jobs.run(10_000_000);
    assert.deepEqual(log, ["a", "b", "b done", "a", "a done"]);
    assert.equal(jobs.size, 0);
  });

  test("one that is started again starts over, also from within its own step, and is done once", () => {
    const jobs = new Jobs();
    let done = 0;
    let steps = 0;
    const job = (restart: boolean): void =>
      jobs.start({
        key: "same",
        step: () => {
          steps++;
          if (restart) job(false);
          return true;
        },
        done: () => done++,
      });
    job(true);
    job(true);
    assert.equal(jobs.size, 1);
    jobs.run(10_000_000);
    assert.deepEqual([steps, done, jobs.has("same")], [2, 1, false]);
  });
});
