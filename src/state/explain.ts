/** Why a path is best: all candidates, each step, which step decided. Runs the very steps that chose. */
import { create } from "@bufbuild/protobuf";
import { limits } from "../base/limits.ts";
import type { Result } from "../base/problem.ts";
import {
  type BestPathCandidate,
  BestPathCandidateSchema,
  BestPathStepSchema,
  type ExplainBestPathResponse,
  ExplainBestPathResponseSchema,
  type RouteValidation,
} from "../gen/cairn/v1/rib_service_pb.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { noPath } from "./explain-session.ts";
import { multipathText } from "./multipath-message.ts";
import { routeMessage } from "./route-batch.ts";
import { parseRouteName } from "./route-name.ts";
import type { Routing } from "./routing.ts";

/** What others know of a path. */
export interface PathStories {
  /** Why it is rejected. */
  reason(table: RouteTable, path: number): string;
  /** What RPKI says of it. */
  validation(table: RouteTable, path: number): RouteValidation | undefined;
  /** The object that a path of our own comes from, and more after a colon; undefined for an injected one. */
  source(table: RouteTable, path: number): string | undefined;
}

export function explainBestPath(
  routing: Routing,
  prefix: string,
  nowS: number,
  stories: PathStories,
  family = "",
): Result<ExplainBestPathResponse> {
  const name = parseRouteName(prefix, family, "prefix");
  if (!name.ok) return name;
  const { value: parsed } = name;
  const table = routing.table(parsed.family);
  const row = table.prefixes.find(parsed.bytes, 0, parsed.length);
  if (row === 0 || table.head[row] === 0) {
    return {
      ok: false,
      problems: [{ code: "NOT_FOUND", path: "prefix", message: `${prefix}: ${noPath(table, parsed)}` }],
    };
  }
  const { paths } = table;
  const ranked = routing.best.rank(paths, table.head[row]);
  const verdicts = table.multipath?.explain(paths, ranked[0] ?? 0);
  const candidates = ranked.slice(0, limits.pathsToldMax).map((path, i) => {
    const told = candidate(routing, table, ranked[0], path, i + 1, nowS);
    told.validation = stories.validation(table, path);
    told.source = stories.source(table, path) ?? "";
    told.multipath = table.multipath?.has(path) === true;
    told.multipathText = multipathText(routing, table, path, verdicts?.get(path));
    return told;
  });
  const refused: number[] = [];
  for (let path = table.head[row]; path !== 0; path = paths.next[path]) {
    if (!paths.eligible(path)) refused.push(path);
  }
  const ineligible = refused.slice(0, limits.pathsToldMax).map((path) => {
    const route = routeMessage(routing, table, path, paths.received[path], nowS);
    return { ...route, rejectReason: stories.reason(table, path) };
  });
  return {
    ok: true,
    value: create(ExplainBestPathResponseSchema, {
      prefix,
      candidates,
      ineligible,
      summary: summary(candidates, ranked.length, refused.length),
      omitted: ranked.length - candidates.length + refused.length - ineligible.length,
    }),
  };
}

function candidate(
  routing: Routing,
  table: RouteTable,
  best: number,
  path: number,
  rank: number,
  nowS: number,
): BestPathCandidate {
  const { paths } = table;
  const route = routeMessage(routing, table, path, paths.attr[path], nowS);
  if (path === best) return create(BestPathCandidateSchema, { route, rank, text: "best path" });
  const lines = routing.best.explain(paths, best, path);
  const steps = lines.map((line) =>
    create(BestPathStepSchema, {
      name: line.step,
      bestValue: line.a,
      candidateValue: line.b,
      result:
        line.order === undefined
          ? "skipped"
          : line.order === 0
            ? "equal"
            : line.order > 0
              ? "worse"
              : "better",
    }),
  );
  const last = steps[steps.length - 1];
  const lost = last.result === "worse";
  return create(BestPathCandidateSchema, {
    route,
    rank,
    steps,
    decidedBy: lost ? last.name : "med",
    text: lost
      ? `loses by ${last.name}: ${last.candidateValue} against ${last.bestValue}`
      : "loses within its neighbor AS by MED, before the two are compared",
  });
}

function summary(candidates: readonly BestPathCandidate[], ranked: number, ineligible: number): string {
  const also = ineligible === 0 ? "" : `; ${ineligible} more may not be chosen`;
  if (candidates.length === 0) {
    return ineligible === 1
      ? "the only path may not be chosen"
      : `none of the ${ineligible} paths may be chosen`;
  }
  const best = candidates[0].route!.neighbor;
  const [object] = candidates[0].source.split(":");
  const ours = object === "" ? "the path injected here" : `the path of ${object}`;
  const from = best === "local" ? ours : `the path from ${best}`;
  if (candidates.length === 1) return `${from} is the only candidate${also}`;
  const { steps, decidedBy } = candidates[1];
  const last = steps[steps.length - 1];
  const values = last.name === decidedBy ? ` (${last.bestValue} against ${last.candidateValue})` : "";
  return `${ranked} candidates; ${from} wins by ${decidedBy}${values}${also}`;
}
