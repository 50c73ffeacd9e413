/** What keeps the screen of cairnctl top fresh: loss and return of the daemon, slow answers, outcomes of actions. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create, type DescMethodUnary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { Client } from "../../src/cli/client.ts";
import { CliError, exitCode } from "../../src/cli/exit.ts";
import type { Action } from "../../src/cli/top/actions.ts";
import { Feed } from "../../src/cli/top/feed.ts";
import type { Want } from "../../src/cli/top/screen.ts";

const gone = new CliError(exitCode.noConnection, "NO_CONNECTION", "cannot reach cairnd");

/** A daemon that can go away, or keep everybody waiting. */
class FakeDaemon {
  up = true;
  stuck = false;
  uptimeS = 100;

  readonly client = {
    call: (method: DescMethodUnary) => this.#answer(method),
    callRaw: async (method: DescMethodUnary) =>
      Buffer.from(toBinary(method.output, await this.#answer(method))),
    async *stream(_method: unknown, _init: unknown, signal: AbortSignal) {
      await sleep(60_000, undefined, { signal }).catch(() => {});
      yield* [];
    },
  } as unknown as Client;

  async #answer(method: DescMethodUnary): Promise<MessageShape<typeof method.output>> {
    if (!this.up) throw gone;
    while (this.stuck) await sleep(20);
    const uptime = { seconds: BigInt(this.uptimeS) };
    return create(method.output, method.name === "GetHealth" ? { healthy: true, uptime } : {});
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (holds()) return;
    await sleep(10);
  }
  assert.fail(`never: ${what}`);
}

function started(t: TestContext): { daemon: FakeDaemon; feed: Feed } {
  const daemon = new FakeDaemon();
  const feed = new Feed(daemon.client, 20);
  feed.start();
  t.after(() => {
    daemon.stuck = false;
    feed.stop();
  });
  return { daemon, feed };
}

test("a daemon that goes and comes back is said; one that is slow as well", async (t) => {
  const { daemon, feed } = started(t);
  await until("connected", () => feed.model().connected);
  daemon.up = false;
  await until("lost", () => !feed.model().connected);
  assert.equal(feed.model().problem, "cannot reach cairnd");
  daemon.up = true;
  daemon.uptimeS = 1;
  await until("back", () => feed.model().connected);
  assert.equal(feed.model().notice, "cairnd has restarted");
  daemon.stuck = true;
  await until("slow", () => feed.model().slowS >= 2);
  assert.ok(feed.model().connected, "slow is not gone");
  daemon.stuck = false;
  await until("answers again", () => feed.model().slowS === 0);
});

test("the question of the screen in view is asked at once, then again; a slow one holds nothing up", async (t) => {
  const { feed } = started(t);
  let asked = 0;
  const want = (key: string, ask: Want["ask"]): Want => ({ screen: "rib", key, everyMs: 20, ask });
  feed.show(want("a", async (_, previous) => ({ asked: ++asked, previous })));
  await until("answered three times", () => asked >= 3);
  const first = feed.model().answers.get("rib")?.data as { asked: number; previous: { asked: number } };
  assert.equal(first.previous.asked, first.asked - 1, "the last answer is handed on, for rates");
  let open = 0;
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  feed.show(
    want("slow", async () => {
      open++;
      await released;
      return "old";
    }),
  );
  await until("stuck", () => open > 0);
  await sleep(200);
  assert.ok(open <= 4, `${open} questions at a time`);
  release();
  feed.show(want("b", async () => "new"));
  await until("answered", () => feed.model().answers.get("rib")?.data === "new");
  await sleep(50);
  assert.equal(feed.model().answers.get("rib")?.data, "new", "a late answer does not take its place");
  feed.show(
    want("b2", async () => {
      throw gone;
    }),
  );
  await until("told", () => feed.model().answers.get("rib")?.problem === "cannot reach cairnd");
  assert.equal(feed.model().answers.get("rib")?.data, undefined, "of another question, so not shown");
});

test("an action tells what became of it; without an answer it says that it is not known", async (t) => {
  const { feed } = started(t);
  const action = (run: Action["run"]): Action => ({
    key: "x",
    label: "reset",
    question: "reset 192.0.2.1",
    harmful: true,
    run,
  });
  void feed.act(action(async () => "it is reset"));
  await until("done", () => feed.model().outcome?.text === "it is reset");
  const refused = new CliError(exitCode.failed, "NOT_FOUND", "no neighbor 192.0.2.1", {
    violations: [{ field: "address", description: "unknown" }],
  });
  void feed.act(action(() => Promise.reject(refused)));
  await until("refused", () => feed.model().outcome?.ok === false);
  assert.equal(feed.model().outcome?.text, "reset 192.0.2.1: no neighbor 192.0.2.1; address: unknown");
  void feed.act(action(() => Promise.reject(new CliError(exitCode.timeout, "TIMEOUT", "no answer"))));
  await until("unknown", () => /whether it was done is not known/.test(feed.model().outcome?.text ?? ""));
});
