/** What a neighbor is told of a prefix, or why it is told nothing. Told by the code that decides (rib/exporter.ts). */
import { create } from "@bufbuild/protobuf";
import type { Result } from "../base/problem.ts";
import {
  type ExplainAdvertisedRouteResponse,
  ExplainAdvertisedRouteResponseSchema,
  type ExplainedExport,
  ExplainedExportSchema,
} from "../gen/cairn/v1/rib_service_pb.ts";
import type { Explanation } from "../policy/explain.ts";
import { type ChosenPath, exportGateText, type PathStory, pathReason } from "../rib/export-gates.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { UpdateGroup } from "../rib/update-group.ts";
import type { Core } from "./core.ts";
import { gateMessage, statementMessages } from "./explain-policy.ts";
import { noPath, sessionGates } from "./explain-session.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import { routeMessage } from "./route-batch.ts";
import { parseRouteName, type RouteName } from "./route-name.ts";

/** Refused paths that are named when there is no other. */
const refusalsMax = 3;

/** Paths that are told of one by one when the better ones may not go. */
const storiesMax = 32;

export function explainAdvertised(
  core: Core,
  neighbor: string,
  prefix: string,
  family = "",
): Result<ExplainAdvertisedRouteResponse> {
  const record = core.neighbors.named(neighbor);
  if (!record) {
    const message = `there is no neighbor ${neighbor}`;
    return { ok: false, problems: [{ code: "NOT_FOUND", path: "neighbor", message }] };
  }
  const name = parseRouteName(prefix, family, "prefix");
  if (!name.ok) return name;
  const { value: parsed } = name;
  const table = core.routing.table(parsed.family);
  const response = create(ExplainAdvertisedRouteResponseSchema, { neighbor, prefix });
  new Telling(core, record, table, parsed, response).tell();
  return { ok: true, value: response };
}

class Telling {
  private readonly core: Core;
  private readonly record: NeighborRecord;
  private readonly table: RouteTable;
  private readonly parsed: RouteName;
  private readonly row: number;
  private readonly response: ExplainAdvertisedRouteResponse;
  private readonly nowS: number;

  constructor(
    core: Core,
    record: NeighborRecord,
    table: RouteTable,
    parsed: RouteName,
    response: ExplainAdvertisedRouteResponse,
  ) {
    this.core = core;
    this.record = record;
    this.table = table;
    this.parsed = parsed;
    this.row = table.prefixes.find(parsed.bytes, 0, parsed.length);
    this.response = response;
    this.nowS = Math.floor(core.wallMs / 1000);
  }

  tell(): void {
    const { core, record, table, row, response } = this;
    const { family } = table;
    for (const { name, passed, text } of sessionGates(core, record, family)) {
      if (!this.gate(name, passed, text)) return;
    }
    const group = record.groups[family.index];
    response.inSync = group!.inSync(record.id);
    const originated = group!.defaultFor(row);
    if (originated !== 0) {
      this.gate("default-originate", true, "we originate a default route to this neighbor");
      this.announced(group!, [{ pathId: 0, attr: originated, source: 0 }], [0], "");
      return;
    }
    const best = row === 0 ? 0 : table.bestOf(row);
    if (!this.gate("best-path", best !== 0, best === 0 ? this.whyNoBest() : "there is a best path")) return;
    this.tellPaths(group!);
  }

  private tellPaths(group: UpdateGroup): void {
    const { response } = this;
    const story = group.exporter.explain(this.row, this.record.id, storiesMax);
    response.paths = story.paths.map((each) => this.pathMessage(each, story.goes.has(each.path)));
    if (story.routes.length > 0) {
      const better = story.tried - 1;
      const several = group.exporter.config.addPath !== undefined;
      const of = several
        ? `; ${story.routes.length} of ${story.tried} paths go (RFC 7911)`
        : `; ${better} better may not go to it`;
      this.announced(group, story.routes, [...story.goes], several || better > 0 ? of : "");
    } else {
      const rest = story.tried - 1;
      const more = rest > 0 ? `, and none of the other ${rest} paths may go either` : "";
      const [first] = story.paths;
      const byPolicy = first.gates.some(({ name, passed }) => name === "policy" && !passed);
      // What was announced before stands until the kernel has answered.
      const stands = group.exporter.isPending(this.row) && group.announces(this.row, this.record.id);
      response.advertised = stands;
      response.summary = stands
        ? `${this.response.prefix} is announced to ${this.response.neighbor} as before; of its present path, ${pathReason(first)}`
        : this.sentence(false, `${byPolicy ? "rejected by " : ""}${pathReason(first)}${more}`);
    }
    group.exporter.endBatch();
  }

  /** One path: the gates in order, policy among them. */
  private pathMessage(story: PathStory, advertised: boolean): ExplainedExport {
    const { table, record, core } = this;
    const { path, gates, policy } = story;
    return create(ExplainedExportSchema, {
      path: routeMessage(core.routing, table, path, table.paths.attr[path], this.nowS),
      gates: gates.map(({ name, passes, gate, passed }) => {
        const text = passed ? passes : exportGateText[gate];
        return gateMessage(name, passed, name === "policy" ? policyText(policy) : text);
      }),
      chain: [...record.config.exportPolicies],
      statements: statementMessages(policy),
      decidedBy: pathReason(story),
      advertised,
    });
  }

  /** @param paths rows of the paths that the routes are of; 0 for one that we originate */
  private announced(
    group: UpdateGroup,
    routes: readonly ChosenPath[],
    paths: readonly number[],
    more: string,
  ): void {
    const { core, table, row, response } = this;
    response.advertised = true;
    response.routes = routes.map(({ attr, pathId }, i) => {
      return { ...routeMessage(core.routing, table, paths[i], attr, this.nowS, row), pathId };
    });
    response.route = response.routes[0];
    const updates = routes.map(({ attr, pathId }) => group.message(row, attr, pathId) ?? new Uint8Array(0));
    response.update = concatenate(updates);
    const [first] = paths;
    const learned = first === 0 ? "" : this.core.routing.neighbors.text[table.paths.neighbor[first]];
    const from = first === 0 ? "originated here" : `learned from ${learned}`;
    response.summary = this.sentence(true, `${from}${more}`);
  }

  private sentence(goes: boolean, why: string): string {
    const { neighbor, prefix } = this.response;
    return goes
      ? `${prefix} is announced to ${neighbor}: ${why}`
      : `${prefix} is not announced to ${neighbor}: ${why}`;
  }

  private whyNoBest(): string {
    const { core, row, table } = this;
    const { paths } = table;
    if (row === 0 || table.head[row] === 0) return noPath(table, this.parsed);
    const refused: string[] = [];
    let count = 0;
    for (let path = table.head[row]; path !== 0; path = paths.next[path]) {
      if (++count > refusalsMax) continue;
      const record = core.neighbors.get(paths.neighbor[path]);
      refused.push(`from ${record.config.address} by ${core.importer.refusal(record, table, path)}`);
    }
    const more = count > refused.length ? `, and ${count - refused.length} more` : "";
    return `no path to it was let in: ${refused.join("; ")}${more}`;
  }

  private gate(name: string, passed: boolean, text: string): boolean {
    this.response.gates.push(gateMessage(name, passed, text));
    if (!passed) this.response.summary = this.sentence(false, text);
    return passed;
  }
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function policyText(policy: Explanation | undefined): string {
  if (!policy) return "no export policy: everything goes out";
  return `${policy.accepted ? "accepted" : "rejected"} by ${policy.reason}`;
}
