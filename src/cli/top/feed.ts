/** Keeps the model fresh: watches, polls, and connects again when the daemon went away. */
import { setTimeout as sleep } from "node:timers/promises";
import { ControlService } from "../../gen/cairn/v1/control_service_pb.ts";
import { EventService } from "../../gen/cairn/v1/event_service_pb.ts";
import { NeighborService, WatchNeighborsResponse_Type } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { RibService } from "../../gen/cairn/v1/rib_service_pb.ts";
import type { Client } from "../client.ts";
import { CliError } from "../exit.ts";
import { listAll } from "../paging.ts";
import { emptyModel, type TopInput, type TopModel, update } from "./model.ts";

const retryMs = 1_000;
const eventsAtStart = 100;
const routesShown = 500;
/** With more neighbors than this, samples are taken at a fifth of the rate. */
const manyNeighbors = 500;

export class Feed {
  readonly #client: Client;
  readonly #intervalMs: number;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<() => void>();
  #model: TopModel;

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
  }

  stop(): void {
    this.#stop.abort();
  }

  /** Asks once for everything. @throws CliError */
  async fill(): Promise<void> {
    await this.#sample();
    const { method } = EventService;
    const { events } = await this.#client.call(method.listEvents, { pageSize: eventsAtStart, reverse: true });
    this.#take({ input: "history", events: [...events].reverse() });
  }

  /** Fetches the first routes received from a neighbor into the model. */
  async loadRoutes(neighbor: string): Promise<void> {
    const { method } = RibService;
    try {
      const request = { neighbor, prePolicy: true, pageSize: routesShown };
      const { routes, totalSize } = await this.#client.call(method.listReceivedRoutes, request);
      this.#take({ input: "routes", routes: { neighbor, routes, total: totalSize, problem: "" } });
    } catch (error) {
      this.#take({
        input: "routes",
        routes: { neighbor, routes: [], total: 0n, problem: problemText(error) },
      });
    }
  }

  async #poll(): Promise<void> {
    for (;;) {
      await this.#sample();
      const factor = this.#model.neighbors.size > manyNeighbors ? 5 : 1;
      await sleep(this.#intervalMs * factor, undefined, { signal: this.#stop.signal });
    }
  }

  async #sample(): Promise<void> {
    const [health, summary, { neighbors }] = await Promise.all([
      this.#client.call(ControlService.method.getHealth, {}),
      this.#client.call(RibService.method.getRibSummary, {}),
      listAll(this.#client, NeighborService.method.listNeighbors, {}),
    ]);
    this.#take({ input: "health", health });
    this.#take({ input: "summary", summary });
    this.#take({ input: "sample", neighbors, nowMs: Date.now() });
  }

  async #watchNeighbors(): Promise<void> {
    const stream = this.#client.stream(NeighborService.method.watchNeighbors, {}, this.#stop.signal);
    for await (const { type, neighbors } of stream) {
      if (neighbors.length === 0) continue;
      this.#take({ input: type === WatchNeighborsResponse_Type.DELETED ? "deleted" : "changed", neighbors });
    }
  }

  async #watchEvents(): Promise<void> {
    const { method } = EventService;
    const { events } = await this.#client.call(method.listEvents, { pageSize: eventsAtStart, reverse: true });
    this.#take({ input: "history", events: [...events].reverse() });
    const request = { fromId: this.#model.events.at(-1)?.id ?? 0n };
    for await (const response of this.#client.stream(method.watchEvents, request, this.#stop.signal)) {
      this.#take({ input: "events", events: response.events });
    }
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

  #take(event: TopInput): void {
    this.#model = update(this.#model, event);
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
  return error instanceof Error ? error.message : String(error);
}
