/** What a neighbor is told of a prefix, or why it is told nothing. Told by the code that decides (rib/exporter.ts). */
import { create } from "@bufbuild/protobuf";
import { parsePrefix } from "../base/ip.ts";
import type { Result } from "../base/problem.ts";
import {
  type ExplainAdvertisedRouteResponse,
  ExplainAdvertisedRouteResponseSchema,
  type ExplainedExport,
  ExplainedExportSchema,
  type ExplainedGate,
} from "../gen/cairn/v1/rib_service_pb.ts";
import { ExportGate, type ExportStory, exportGateText } from "../rib/exporter.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { UpdateGroup } from "../rib/update-group.ts";
import { unicastFamily } from "../wire/family.ts";
import type { Core } from "./core.ts";
import { gateMessage, statementMessages } from "./explain-policy.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import { routeMessage } from "./route-message.ts";

const passedText: Readonly<Record<string, string>> = {
  reflection: "external, local, or reflected (RFC 4456)",
  "no-advertise": "no NO_ADVERTISE",
  "no-export": "no NO_EXPORT, or an internal neighbor",
  "no-export-subconfed": "no NO_EXPORT_SUBCONFED, or an internal neighbor",
  "no-peer": "no NOPEER, or no bilateral peer",
  "only-to-customer": "ONLY_TO_CUSTOMER allows it",
  "policy-required": "there is an export policy, or none is needed (RFC 8212)",
};

export function explainAdvertised(
  core: Core,
  neighbor: string,
  prefix: string,
): Result<ExplainAdvertisedRouteResponse> {
  const record = core.neighbors.named(neighbor);
  if (!record) {
    const message = `there is no neighbor ${neighbor}`;
    return { ok: false, problems: [{ code: "NOT_FOUND", path: "neighbor", message }] };
  }
  const parsed = parsePrefix(prefix);
  if (typeof parsed === "string") {
    return { ok: false, problems: [{ code: "INVALID", path: "prefix", message: parsed, value: prefix }] };
  }
  const table = core.routing.table(unicastFamily(parsed.bytes.length));
  const row = table.prefixes.find(parsed.bytes, 0, parsed.length);
  const response = create(ExplainAdvertisedRouteResponseSchema, { neighbor, prefix });
  new Telling(core, record, table, row, response).tell();
  return { ok: true, value: response };
}

class Telling {
  private readonly core: Core;
  private readonly record: NeighborRecord;
  private readonly table: RouteTable;
  private readonly row: number;
  private readonly response: ExplainAdvertisedRouteResponse;
  private readonly nowS: number;

  constructor(
    core: Core,
    record: NeighborRecord,
    table: RouteTable,
    row: number,
    response: ExplainAdvertisedRouteResponse,
  ) {
    this.core = core;
    this.record = record;
    this.table = table;
    this.row = row;
    this.response = response;
    this.nowS = Math.floor(core.wallMs / 1000);
  }

  tell(): void {
    const { record, table, row, response } = this;
    const { family } = table;
    const up = record.negotiated !== undefined;
    if (!this.gate("session", up, up ? "the session is Established" : "there is no session")) return;
    const group = record.groups[family.index];
    if (!this.gate("family", group !== undefined, `${family.name} is ${group ? "" : "not "}negotiated`))
      return;
    response.inSync = group!.inSync(record.id);
    const originated = group!.defaultFor(row);
    if (originated !== 0) {
      this.gate("default-originate", true, "we originate a default route to this neighbor");
      this.announced(group!, originated, 0);
      return;
    }
    const best = row === 0 ? 0 : table.bestOf(row);
    if (!this.gate("best-path", best !== 0, best === 0 ? this.whyNoBest() : "there is a best path")) return;
    this.tellPaths(group!, best);
    group!.exporter.endBatch();
  }

  private tellPaths(group: UpdateGroup, best: number): void {
    const { table, row, response } = this;
    const own = group.exporter.config.perClient !== 0;
    const tried = own ? [best, ...table.ranked(row).filter((path) => path !== best)] : [best];
    for (const path of tried) {
      const { told, out } = this.tellPath(group, path);
      response.paths.push(told);
      if (out === 0) continue;
      this.announced(group, out, path);
      return;
    }
    const why = response.paths[0].gates.find(({ passed }) => !passed)?.text ?? "";
    const more = tried.length > 1 ? `, and none of the other ${tried.length - 1} paths may go either` : "";
    response.summary = this.sentence(false, `${why}${more}`);
  }

  /** One path: what the source says, the gates, policy, next hop. */
  private tellPath(group: UpdateGroup, path: number): { told: ExplainedExport; out: number } {
    const { table, record, core } = this;
    const { paths } = table;
    const source = paths.neighbor[path];
    const gates: ExplainedGate[] = [];
    const told = create(ExplainedExportSchema, {
      path: routeMessage(core.routing, table, path, paths.attr[path], this.nowS),
      gates,
      chain: [...record.config.exportPolicies],
    });
    const add = (name: string, passed: boolean, text: string): boolean => {
      told.gates.push(gateMessage(name, passed, text));
      return passed;
    };
    const isOwn = source === record.id;
    if (!add("split-horizon", !isOwn, isOwn ? "it came from this neighbor" : "it came from elsewhere")) {
      return { told, out: 0 };
    }
    const story = group.exporter.explain(path);
    for (const { name, gate, passed } of story.gates) {
      add(name, passed, passed ? (passedText[name] ?? "") : exportGateText[gate]);
    }
    told.statements = statementMessages(story.policy);
    this.tellPolicy(story, told, add);
    if (story.out === 0) return { told, out: 0 };
    add("next-hop", true, "the next hop is one that the neighbor can use");
    if (source === 0) {
      const theirs = group.exporter.nextHopOwner(story.out) === record.id;
      const text = theirs
        ? "the next hop is the neighbor's own address (RFC 4271 5.1.3)"
        : "not its own address";
      if (!add("neighbor-next-hop", !theirs, text)) return { told, out: 0 };
    }
    const fits = group.message(this.row, story.out) !== undefined;
    if (!add("size", fits, fits ? "it fits a message" : "the attributes fit no message of this session")) {
      return { told, out: 0 };
    }
    told.advertised = true;
    return { told, out: story.out };
  }

  private tellPolicy(
    story: ExportStory,
    told: ExplainedExport,
    add: (name: string, passed: boolean, text: string) => boolean,
  ): void {
    const { policy } = story;
    if (policy) {
      told.decidedBy = policy.reason;
      add("policy", policy.accepted, `${policy.accepted ? "accepted" : "rejected"} by ${policy.reason}`);
    } else if (story.gates.every(({ passed }) => passed)) {
      told.decidedBy = "no export policy: everything goes out";
      add("policy", true, told.decidedBy);
    }
    if (story.gate === ExportGate.noNextHop) add("next-hop", false, exportGateText[story.gate]);
  }

  private announced(group: UpdateGroup, attr: number, path: number): void {
    const { core, table, row, response } = this;
    response.advertised = true;
    response.route = routeMessage(core.routing, table, path, attr, this.nowS, row);
    response.update = group.message(row, attr) ?? new Uint8Array(0);
    const from =
      path === 0 ? "originated here" : `learned from ${response.paths.at(-1)?.path?.neighbor ?? ""}`;
    const instead = response.paths.length > 1 ? `; ${response.paths.length - 1} better may not go to it` : "";
    response.summary = this.sentence(true, `${from}${instead}`);
  }

  private sentence(goes: boolean, why: string): string {
    const { neighbor, prefix } = this.response;
    return goes
      ? `${prefix} is announced to ${neighbor}: ${why}`
      : `${prefix} is not announced to ${neighbor}: ${why}`;
  }

  private whyNoBest(): string {
    const { row, table } = this;
    if (row === 0 || table.head[row] === 0) return "there is no path to it at all";
    return "none of its paths may be chosen (rejected on import)";
  }

  private gate(name: string, passed: boolean, text: string): boolean {
    this.response.gates.push(gateMessage(name, passed, text));
    if (!passed) this.response.summary = this.sentence(false, text);
    return passed;
  }
}
