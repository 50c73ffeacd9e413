/** What top knows: pure data and the functions that change it. Time is an argument. */
import type { GetHealthResponse } from "../../gen/cairn/v1/control_service_pb.ts";
import type { Event } from "../../gen/cairn/v1/event_service_pb.ts";
import type { Neighbor } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import type { GetRibSummaryResponse } from "../../gen/cairn/v1/rib_service_pb.ts";
import { addressOf } from "../commands/neighbor-view.ts";
import { secondsOf } from "../human.ts";
import type { ScreenName } from "./view.ts";

const historySamples = 60;
const eventsMax = 500;
const noticeS = 60;

/** UPDATEs a second of one neighbor; the newest sample is the last. */
export interface Rates {
  readonly received: readonly number[];
  readonly sent: readonly number[];
  readonly lastReceived: bigint;
  readonly lastSent: bigint;
  readonly atMs: number;
}

export interface Outcome {
  readonly ok: boolean;
  readonly text: string;
}

/** What the daemon last said to a screen. */
export interface Answer {
  /** Key of the question, see Want. */
  readonly key: string;
  /** Of the screen's own type; undefined while nothing came yet. Stays when a later question fails. */
  readonly data: unknown;
  /** Why the last question was not answered; empty when it was. */
  readonly problem: string;
}

export interface TopModel {
  /** The last answer came; false while the daemon is away. */
  readonly connected: boolean;
  /** Why it is away. */
  readonly problem: string;
  /** Told for a minute after the daemon came back. */
  readonly notice: string;
  /** Uptime of the daemon at which the notice goes. */
  readonly noticeEndS: number;
  /** Seconds since which the daemon owes an answer; 0 while it answers in time. */
  readonly slowS: number;
  /** What became of the last action; empty when nothing was done lately. */
  readonly outcome: Outcome | undefined;
  readonly health: GetHealthResponse | undefined;
  readonly summary: GetRibSummaryResponse | undefined;
  readonly neighbors: ReadonlyMap<string, Neighbor>;
  readonly rates: ReadonlyMap<string, Rates>;
  /** Oldest first. */
  readonly events: readonly Event[];
  /** By screen: one answer each, so that no more than what was last seen is held. */
  readonly answers: ReadonlyMap<ScreenName, Answer>;
  /** Lines for whoever looks at the screen, shown where it has room. */
  readonly hints: readonly string[];
}

export const emptyModel: TopModel = {
  connected: false,
  problem: "connecting",
  notice: "",
  noticeEndS: 0,
  slowS: 0,
  outcome: undefined,
  health: undefined,
  summary: undefined,
  neighbors: new Map(),
  rates: new Map(),
  events: [],
  answers: new Map(),
  hints: [],
};

export type TopInput =
  | { readonly input: "health"; readonly health: GetHealthResponse }
  | { readonly input: "summary"; readonly summary: GetRibSummaryResponse }
  /** All neighbors with their counters: a sample for the rates. */
  | { readonly input: "sample"; readonly neighbors: readonly Neighbor[]; readonly nowMs: number }
  | { readonly input: "changed"; readonly neighbors: readonly Neighbor[] }
  | { readonly input: "deleted"; readonly neighbors: readonly Neighbor[] }
  | { readonly input: "events"; readonly events: readonly Event[] }
  /** The newest retained events, in place of what is known: ids start over with a new state directory. */
  | { readonly input: "history"; readonly events: readonly Event[] }
  | { readonly input: "answer"; readonly screen: ScreenName; readonly answer: Answer }
  | { readonly input: "outcome"; readonly outcome: Outcome | undefined }
  | { readonly input: "slow"; readonly seconds: number }
  | { readonly input: "lost"; readonly problem: string };

/** The model after an input. */
export function update(model: TopModel, event: TopInput): TopModel {
  switch (event.input) {
    case "health":
      return {
        ...model,
        connected: true,
        problem: "",
        slowS: 0,
        ...noticeAfter(model, event.health),
        health: event.health,
      };
    case "summary":
      return { ...model, summary: event.summary };
    case "sample":
      return sample(model, event.neighbors, event.nowMs);
    case "changed": {
      const neighbors = new Map(model.neighbors);
      for (const neighbor of event.neighbors) neighbors.set(addressOf(neighbor), neighbor);
      return { ...model, neighbors };
    }
    case "deleted": {
      const neighbors = new Map(model.neighbors);
      for (const neighbor of event.neighbors) neighbors.delete(addressOf(neighbor));
      return { ...model, neighbors };
    }
    case "events": {
      const last = model.events.at(-1)?.id ?? 0n;
      const fresh = event.events.filter(({ id }) => id > last);
      return fresh.length === 0 ? model : { ...model, events: [...model.events, ...fresh].slice(-eventsMax) };
    }
    case "history":
      return { ...model, events: event.events };
    case "answer":
      return { ...model, answers: new Map(model.answers).set(event.screen, event.answer) };
    case "outcome":
      return { ...model, outcome: event.outcome };
    case "slow":
      return event.seconds === model.slowS ? model : { ...model, slowS: event.seconds };
    case "lost":
      return { ...model, connected: false, problem: event.problem, slowS: 0, rates: new Map() };
  }
}

function noticeAfter(model: TopModel, health: GetHealthResponse): Pick<TopModel, "notice" | "noticeEndS"> {
  const uptimeS = secondsOf(health.uptime);
  const noticeEndS = uptimeS + noticeS;
  if (model.health && uptimeS < secondsOf(model.health.uptime))
    return { notice: "cairnd has restarted", noticeEndS };
  if (model.health && !model.connected) return { notice: "connected again", noticeEndS };
  return uptimeS < model.noticeEndS
    ? { notice: model.notice, noticeEndS: model.noticeEndS }
    : { notice: "", noticeEndS: 0 };
}

function sample(model: TopModel, list: readonly Neighbor[], nowMs: number): TopModel {
  const neighbors = new Map<string, Neighbor>();
  const rates = new Map<string, Rates>();
  for (const neighbor of list) {
    const address = addressOf(neighbor);
    neighbors.set(address, neighbor);
    rates.set(address, nextRates(model.rates.get(address), neighbor, nowMs));
  }
  return { ...model, neighbors, rates };
}

function nextRates(before: Rates | undefined, { state }: Neighbor, nowMs: number): Rates {
  const lastReceived = state?.received?.updates ?? 0n;
  const lastSent = state?.sent?.updates ?? 0n;
  if (!before || nowMs <= before.atMs) return { received: [], sent: [], lastReceived, lastSent, atMs: nowMs };
  const seconds = (nowMs - before.atMs) / 1000;
  // a new session counts from zero: what it has so far came in this interval
  const grown = (now: bigint, then: bigint) => Number(now >= then ? now - then : now) / seconds;
  return {
    received: [...before.received, grown(lastReceived, before.lastReceived)].slice(-historySamples),
    sent: [...before.sent, grown(lastSent, before.lastSent)].slice(-historySamples),
    lastReceived,
    lastSent,
    atMs: nowMs,
  };
}
