/** Keeps the model fresh: watches, polls, asks what the screen wants, and connects again when the daemon went away. */
import { setTimeout as sleep } from "node:timers/promises";
import { ControlService } from "../../gen/cairn/v1/control_service_pb.ts";
import { EventService } from "../../gen/cairn/v1/event_service_pb.ts";
import { NeighborService, WatchNeighborsResponse_Type } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { RibService } from "../../gen/cairn/v1/rib_service_pb.ts";
import type { Client } from "../client.ts";
import { CliError } from "../exit.ts";
import { listAll } from "../paging.ts";
import type { Action } from "./actions.ts";
import { emptyModel, type TopInput, type TopModel, update } from "./model.ts";
import type { Want } from "./screen.ts";

const retryMs = 1_000;
const eventsAtStart = 100;
/** With more neighbors than this, samples are taken at a fifth of the rate. */
const manyNeighbors = 500;
/** An answer that takes longer than this is told of. */
const slowMs = 2_000;
/** Questions of screens that may be open at a time: a slow daemon must not be asked more and more. */
const questionsMax = 4;
const outcomeShownMs = 15_000;

export class Feed {
  readonly #client: Client;
  readonly #intervalMs: number;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<() => void>();
  #model: TopModel;
  /** When the sample that is not yet answered was asked for; 0 when none is. */
  #askedMs = 0;
  #want: Want | undefined;
  #wantChanged = new AbortController();
  #questions = 0;
  #outcomes = 0;

  /** @param hints lines to show where the screen has room */
  constructor(client: Client, intervalMs: number, hints: readonly string[] = []) {
    this.#model = { ...emptyModel, hints };
    this.#client = client;
    this.#intervalMs = intervalMs;
  }

  readonly model = (): TopModel => this.#model;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Starts watching and polling; nothing it meets makes it throw. */
  start(): void {
    void this.#forever(() => this.#poll());
    void this.#forever(() => this.#watchNeighbors());
    void this.#forever(() => this.#watchEvents());
    void this.#forever(() => this.#watchClock());
    void this.#answerWants();
  }

  stop(): void {
    this.#stop.abort();
  }

  /** Asks once for everything, and for what a screen wants. @throws CliError */
  async fill(want: Want | undefined): Promise<void> {
    await this.#sample();
    await this.#history();
    if (!want) return;
    const data = await want.ask(this.#client, this.#model.answers.get(want.screen)?.data);
    this.#take({ input: "answer", screen: want.screen, answer: { key: want.key, data, problem: "" } });
  }

  /** Says what the screen in view wants to know; another question than before is asked at once. */
  show(want: Want | undefined): void {
    if (want?.screen === this.#want?.screen && want?.key === this.#want?.key) return;
    this.#want = want;
    this.#wantChanged.abort();
  }

  /** Does what was confirmed, and tells what became of it. */
  async act(action: Action): Promise<void> {
    const mine = ++this.#outcomes;
    const tell = (ok: boolean, text: string) => this.#take({ input: "outcome", outcome: { ok, text } });
    tell(true, `${action.label} ...`);
    try {
      tell(true, await action.run(this.#client, ""));
    } catch (error) {
      const unknown = isLoss(error) ? "; whether it was done is not known" : "";
      tell(false, `${action.question}: ${problemText(error)}${unknown}`);
    }
    await sleep(outcomeShownMs, undefined, { signal: this.#stop.signal, ref: false }).catch(() => {});
    if (mine === this.#outcomes) this.#take({ input: "outcome", outcome: undefined });
  }

  async #poll(): Promise<void> {
    for (;;) {
      await this.#sample();
      const factor = this.#model.neighbors.size > manyNeighbors ? 5 : 1;
      await sleep(this.#intervalMs * factor, undefined, { signal: this.#stop.signal });
    }
  }

  async #sample(): Promise<void> {
    this.#askedMs = Date.now();
    try {
      const [health, summary, { neighbors }] = await Promise.all([
        this.#client.call(ControlService.method.getHealth, {}),
        this.#client.call(RibService.method.getRibSummary, {}),
        listAll(this.#client, NeighborService.method.listNeighbors, {}),
      ]);
      this.#take(
        { input: "health", health },
        { input: "summary", summary },
        { input: "sample", neighbors, nowMs: Date.now() },
      );
    } finally {
      this.#askedMs = 0;
    }
  }

  /** Tells how long the daemon has been silent. */
  async #watchClock(): Promise<void> {
    for (;;) {
      await sleep(1_000, undefined, { signal: this.#stop.signal });
      const waitedMs = this.#askedMs === 0 ? 0 : Date.now() - this.#askedMs;
      const seconds = waitedMs < slowMs ? 0 : Math.floor(waitedMs / 1000);
      if (seconds !== this.#model.slowS) this.#take({ input: "slow", seconds });
    }
  }

  async #watchNeighbors(): Promise<void> {
    const stream = this.#client.stream(NeighborService.method.watchNeighbors, {}, this.#stop.signal);
    for await (const { type, neighbors } of stream) {
      if (neighbors.length === 0) continue;
      this.#take({ input: type === WatchNeighborsResponse_Type.DELETED ? "deleted" : "changed", neighbors });
    }
  }

  async #history(): Promise<void> {
    const request = { pageSize: eventsAtStart, reverse: true };
    const { events } = await this.#client.call(EventService.method.listEvents, request);
    this.#take({ input: "history", events: events.reverse() });
  }

  async #watchEvents(): Promise<void> {
    await this.#history();
    const request = { fromId: this.#model.events.at(-1)?.id ?? 0n };
    const stream = this.#client.stream(EventService.method.watchEvents, request, this.#stop.signal);
    for await (const response of stream) this.#take({ input: "events", events: response.events });
  }

  /** Asks what is wanted, at once when that changes and then again and again. */
  async #answerWants(): Promise<void> {
    const stop = this.#stop.signal;
    while (!stop.aborted) {
      this.#wantChanged = new AbortController();
      const want = this.#want;
      if (want && this.#questions < questionsMax) void this.#answer(want);
      const waitMs = want?.everyMs ?? 60_000;
      const signal = AbortSignal.any([stop, this.#wantChanged.signal]);
      await sleep(this.#questions < questionsMax ? waitMs : retryMs, undefined, { signal }).catch(() => {});
    }
  }

  async #answer(want: Want): Promise<void> {
    const { screen, key } = want;
    const before = this.#model.answers.get(screen);
    this.#questions++;
    const answer = await want.ask(this.#client, before?.data).then(
      (data) => ({ key, data, problem: "" }),
      // what is known of this question stays; of another one it would mislead
      (error: unknown) => ({
        key,
        data: before?.key === key ? before.data : undefined,
        problem: problemText(error),
      }),
    );
    this.#questions--;
    // an answer that nobody waits for any more must not take the place of a newer one
    if (this.#want?.screen === screen && this.#want.key === key)
      this.#take({ input: "answer", screen, answer });
  }

  async #forever(work: () => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await work();
      } catch (error) {
        if (signal.aborted) return;
        if (isLoss(error)) this.#take({ input: "lost", problem: problemText(error) });
      }
      await sleep(retryMs, undefined, { signal }).catch(() => {});
    }
  }

  /** All inputs, then one look for whoever listens. */
  #take(...inputs: readonly TopInput[]): void {
    this.#model = inputs.reduce(update, this.#model);
    for (const listener of this.#listeners) listener();
  }
}

function isLoss(error: unknown): boolean {
  return (
    error instanceof CliError &&
    (error.code === "NO_CONNECTION" || error.code === "TIMEOUT" || error.code === "UNAVAILABLE")
  );
}

function problemText(error: unknown): string {
  if (!(error instanceof CliError)) return error instanceof Error ? error.message : String(error);
  const violations = error.violations.map(({ field, description }) => `${field}: ${description}`);
  return [error.message, ...violations].join("; ");
}
