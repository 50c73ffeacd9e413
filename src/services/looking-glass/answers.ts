/** Answers as JSON text, piece by piece: never more than a slice of a table at one time. */

import { RouteRows, rowOf } from "../../state/route-rows.ts";
import type { Owner, RouteWalk } from "../../state/view.ts";
import { type Page, type Question, Refusal, type RouteSource } from "./endpoints.ts";
import type { LookingGlassOptions } from "./options.ts";
import { protocolJson, protocolOf, routeJson, shortProtocolJson, tableNames, timeText } from "./shapes.ts";
import type { Slices } from "./slices.ts";

/** Routes and rows of one step of a walk; neighbors of one step. */
const stepRoutes = 32;
const stepRows = 512;
const stepNeighbors = 8;
/** Characters that are handed on at one time. */
const pieceLength = 64 << 10;

export interface AnswerParts {
  readonly owner: Owner;
  readonly slices: Slices;
  readonly options: LookingGlassOptions;
  readonly version: string;
}

/** What follows the head of an answer, up to its closing brace. @throws Refusal */
export async function* answer(parts: AnswerParts, question: Question): AsyncGenerator<string> {
  switch (question.kind) {
    case "status":
      yield member("status", status(parts));
      return;
    case "symbols":
      yield member("symbols", symbols(parts));
      return;
    case "protocols":
      yield* protocols(parts, question.short);
      return;
    case "routes":
      yield* routes(parts, question.sources, question.page);
      return;
    case "count":
      yield member("routes", await count(parts, question.sources));
      return;
    case "primary": {
      const best = await bestCounts(parts);
      yield member(
        "routes",
        (best.get(question.neighbor) ?? []).reduce((sum, n) => sum + n, 0),
      );
      return;
    }
    case "lookup":
      yield `,"routes":[${lookup(parts, question.target).join()}]`;
      return;
    default:
      throw new Refusal(404, "there is nothing at this path");
  }
}

function member(name: string, value: unknown): string {
  return `,${JSON.stringify(name)}:${JSON.stringify(value)}`;
}

function status({ owner, version }: AnswerParts): unknown {
  const { view } = owner;
  const global = view.object("Global", "global");
  const spec = global?.spec as { routerId?: string; name?: string } | undefined;
  const nowMs = owner.wallMs();
  const startMs = nowMs - owner.uptimeMs();
  const changed = global?.metadata.updated;
  return {
    version: `cairn ${version}`,
    router_id: spec?.routerId ?? "",
    hostname: spec?.name ?? "",
    current_server: timeText(nowMs),
    last_reboot: timeText(startMs),
    last_reconfig: timeText(changed ? Number(changed.seconds) * 1000 : startMs),
    message: view.health().every(({ healthy }) => healthy)
      ? "Daemon is up and running"
      : "Daemon is not well",
    generation: view.generation,
  };
}

function symbols({ owner }: AnswerParts): unknown {
  return { "routing table": tableNames, protocol: owner.view.neighborNames().map(protocolOf) };
}

async function bestCounts({ owner, slices }: AnswerParts): Promise<ReadonlyMap<string, readonly number[]>> {
  const counter = owner.view.countBest();
  await slices.all(() => counter.next(stepRows * 8));
  return counter.counts();
}

async function* protocols(parts: AnswerParts, short: boolean): AsyncGenerator<string> {
  const { owner, slices } = parts;
  const best = short ? new Map<string, readonly number[]>() : await bestCounts(parts);
  const names = owner.view.neighborNames();
  const nowMs = owner.wallMs();
  const uptimeMs = owner.uptimeMs();
  yield `,"protocols":{`;
  let separator = "";
  for (let at = 0; at < names.length; ) {
    let piece = "";
    await slices.run(() => {
      for (const end = Math.min(names.length, at + stepNeighbors); at < end; at++) {
        const neighbor = owner.view.neighbor(names[at]);
        if (!neighbor) continue;
        const json = short
          ? shortProtocolJson(neighbor, nowMs, uptimeMs)
          : protocolJson(neighbor, best.get(names[at]) ?? [], nowMs, uptimeMs);
        piece += `${separator}${JSON.stringify(protocolOf(names[at]))}:${JSON.stringify(json)}`;
        separator = ",";
      }
      return at >= names.length || piece.length > pieceLength;
    });
    yield piece;
  }
  yield "}";
}

/** @throws Refusal when the source is gone */
function walkOf({ owner }: AnswerParts, source: RouteSource, position: string): RouteWalk {
  const walk = owner.view.walk(source.table, source.family, source.filter, position);
  if (walk.ok) return walk.value;
  const [{ code, message }] = walk.problems;
  throw new Refusal(code === "NOT_FOUND" ? 404 : 400, message);
}

async function* routes(
  parts: AnswerParts,
  sources: readonly RouteSource[],
  page: Page,
): AsyncGenerator<string> {
  const { slices, options } = parts;
  const [from, start] = page.token === "" ? [0, ""] : readToken(page.token, sources.length);
  const batch = new RouteRows();
  let left = page.size === 0 ? Number.POSITIVE_INFINITY : page.size;
  let separator = "";
  let next = "";
  yield `,"routes":[`;
  for (let index = from; index < sources.length && next === ""; index++) {
    const walk = walkOf(parts, sources[index], index === from ? start : "");
    for (let ended = false; !ended; ) {
      let piece = "";
      await slices.run(() => {
        ended = walk.next(batch, Math.min(stepRoutes, left), stepRows);
        for (const row of batch.rows) {
          piece += separator + routeJson(row, options);
          separator = ",";
        }
        left -= batch.count;
        batch.clear();
        return ended || left <= 0 || piece.length > pieceLength;
      });
      yield piece;
      if (left > 0) continue;
      const isLast = ended && index === sources.length - 1;
      next = isLast ? "" : ended ? `${index + 1}-` : `${index}-${walk.position()}`;
      break;
    }
    if (left <= 0) break;
  }
  yield page.size === 0 ? "]" : `],"next_page_token":${JSON.stringify(next)}`;
}

/** @throws Refusal */
function readToken(token: string, sources: number): [number, string] {
  const [index, position] = token.split("-");
  if (Number(index) >= sources || position.startsWith("0"))
    throw new Refusal(400, "page_token is not one of ours");
  return [Number(index), position];
}

async function count(parts: AnswerParts, sources: readonly RouteSource[]): Promise<number> {
  let sum = 0;
  for (const source of sources) {
    const { table, family } = source;
    const { view } = parts.owner;
    if (table.table === "best") {
      const summary = view.ribSummary().families.find((each) => each.family === family.name);
      sum += Number((summary?.paths ?? 0n) - (summary?.rejectedPaths ?? 0n));
    } else sum += walkOf(parts, source, "").total() ?? 0;
  }
  return sum;
}

function lookup({ owner, options }: AnswerParts, target: string): string[] {
  const found = owner.view.lookup(target);
  if (!found.ok) throw new Refusal(400, found.problems[0].message);
  return found.value.routes.map((route) => routeJson(rowOf(route), options));
}
