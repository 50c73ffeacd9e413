/** The journal of route changes as Global declares it, and as the API asks for it. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Problem, Result } from "../base/problem.ts";
import { type RouteEvent, RouteEvent_Kind, RouteEventSchema } from "../gen/cairn/v1/rib_service_pb.ts";
import type { Route } from "../gen/cairn/v1/types_pb.ts";
import { stepNames } from "../rib/best-path.ts";
import { ChangeCause, ChangeKind, type RouteChange, type RouteHistory } from "../rib/history.ts";
import { rejectReasonText } from "../rib/path-flags.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { Family } from "../wire/family.ts";
import type { Jobs } from "./jobs.ts";
import { RouteBatch } from "./route-batch.ts";
import { prefixText } from "./route-message.ts";
import type { Routing } from "./routing.ts";

/** Remembers so many changes from now on; what is too much is let go over several turns. */
export function keepHistory({ history }: Routing, jobs: Jobs, changes: number): void {
  if (history.limit === changes) return;
  history.configure(changes);
  if (!history.trim(0)) jobs.start({ key: "history", step: (rows) => history.trim(rows) });
}

/** Why a moment cannot be told of; undefined when it can. @param path field of the request */
export function beyondHistory(
  history: RouteHistory,
  timeMs: number,
  wallMs: number,
  path: string,
): Problem | undefined {
  const reach = history.reachesBackToMs;
  if (reach === undefined) return notRemembered;
  const value = isoTime(timeMs);
  if (timeMs > wallMs) return { code: "INVALID", path, message: `${value} has not come yet`, value };
  if (timeMs >= reach) return undefined;
  const message = `${value} is too long ago: what is remembered reaches back to ${isoTime(reach)}`;
  const fix = `ask for a later time, or remember more: history_changes in Global is ${history.limit}`;
  return { code: "WRONG_STATE", path, message, fix, value };
}

const notRemembered: Problem = {
  code: "WRONG_STATE",
  path: "",
  message: "changes of routes are not remembered",
  fix: "set history_changes in Global, for example to 1000000; it counts from then on",
};

function isoTime(timeMs: number): string {
  const date = new Date(timeMs);
  return Number.isNaN(date.getTime()) ? String(timeMs) : date.toISOString();
}

/** Which changes are asked for. */
export interface RouteEventQuery {
  readonly family: Family;
  /** Undefined: all. */
  readonly prefix: { readonly bytes: Uint8Array; readonly length: number } | undefined;
  /** Empty: all. */
  readonly neighbor: string;
  readonly bestOnly: boolean;
  /** Wall-clock milliseconds; undefined: no bound. */
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
}

/** What an event and each of its routes take in a message, without attributes. */
const eventBytes = 250;
const routeBytes = 120;

/** A walk over the journal, newest first. Changes that come meanwhile are not seen. */
export class RouteEventWalk {
  private readonly routing: Routing;
  private readonly query: RouteEventQuery;
  /** Newest change that was not looked at yet, and the oldest one to look at. */
  private at: number;
  private readonly end: number;
  bytes = 0;

  /** @param position what `position` told of an earlier walk; empty at the start */
  static start(routing: Routing, query: RouteEventQuery, position: string): Result<RouteEventWalk> {
    if (routing.history.reachesBackToMs === undefined) return { ok: false, problems: [notRemembered] };
    return { ok: true, value: new RouteEventWalk(routing, query, position) };
  }

  private constructor(routing: Routing, query: RouteEventQuery, position: string) {
    this.routing = routing;
    this.query = query;
    const { history } = routing;
    const { sinceMs, untilMs } = query;
    const newest = untilMs === undefined ? history.next : history.firstAfter(untilMs - 1);
    this.at = position === "" ? newest - 1 : Number(position);
    this.end = sinceMs === undefined ? 0 : history.firstAfter(sinceMs - 1);
  }

  /** Appends up to `max` events, looking at `changes` changes. @returns true at the end */
  next(out: RouteEvent[], max: number, changes: number): boolean {
    const { history } = this.routing;
    const { family, bestOnly, neighbor, prefix } = this.query;
    const table = this.routing.table(family);
    const row = prefix ? table.prefixes.find(prefix.bytes, 0, prefix.length) : 0;
    if (prefix && row === 0) return true;
    const end = Math.max(this.end, history.first);
    const full = out.length + max;
    for (let left = changes; left > 0 && out.length < full && this.at >= end; left--, this.at--) {
      if (!history.is(this.at, bestOnly ? ChangeKind.best : 0, family.index, row)) continue;
      const change = history.read(this.at);
      const isHis = [change.neighborBefore, change.neighborAfter].includes(neighbor);
      if (neighbor !== "" && !isHis) continue;
      const event = routeEvent(this.routing, table, change);
      out.push(event);
      this.bytes += eventBytes;
      for (const attr of [change.attrBefore, change.attrAfter]) {
        // As text an attribute set is at most some four times as long.
        if (attr !== 0) this.bytes += routeBytes + 4 * this.routing.attributes.sizeOf(attr);
      }
    }
    return this.at < end;
  }

  position(): string {
    return String(this.at);
  }
}

const kindOf: Readonly<Record<ChangeKind, RouteEvent_Kind>> = {
  [ChangeKind.best]: RouteEvent_Kind.BEST_PATH,
  [ChangeKind.added]: RouteEvent_Kind.ADDED,
  [ChangeKind.changed]: RouteEvent_Kind.CHANGED,
  [ChangeKind.withdrawn]: RouteEvent_Kind.WITHDRAWN,
};

const causeName: Readonly<Record<ChangeCause, string>> = {
  [ChangeCause.announced]: "announced",
  [ChangeCause.withdrawn]: "withdrawn",
  [ChangeCause.swept]: "swept",
  [ChangeCause.evaluated]: "evaluated",
  [ChangeCause.nextHop]: "next-hop",
  [ChangeCause.selection]: "selection",
};

const causeText: Readonly<Record<ChangeCause, string>> = {
  [ChangeCause.announced]: "it was announced",
  [ChangeCause.withdrawn]: "it was withdrawn",
  [ChangeCause.swept]: "its session ended, or it was not sent again",
  [ChangeCause.evaluated]: "checks and import policy ran again",
  [ChangeCause.nextHop]: "its next hop changed",
  [ChangeCause.selection]: "how the best path is chosen changed, or what it rests on",
};

const bestCauseText: Readonly<Record<ChangeCause, string>> = {
  ...causeText,
  [ChangeCause.announced]: "a path was announced",
  [ChangeCause.withdrawn]: "a path was withdrawn",
  [ChangeCause.swept]: "the session of a path ended, or the path was not sent again",
  [ChangeCause.nextHop]: "a next hop changed",
};

function routeEvent(routing: Routing, table: RouteTable, change: RouteChange): RouteEvent {
  const isBest = change.kind === ChangeKind.best;
  const before =
    change.attrBefore === 0
      ? undefined
      : pastRoute(routing, table, change.prefix, {
          attr: change.attrBefore,
          neighbor: change.neighborBefore,
          pathId: change.pathIdBefore,
          timeS: change.pathTimeS,
          isBest,
          reason: change.reasonBefore,
        });
  const after =
    change.attrAfter === 0
      ? undefined
      : pastRoute(routing, table, change.prefix, {
          attr: change.attrAfter,
          neighbor: change.neighborAfter,
          pathId: change.pathIdAfter,
          timeS: 0,
          isBest,
          reason: change.reasonAfter,
        });
  const decidedBy = change.step === 0 ? "" : stepNames[change.step - 1];
  return create(RouteEventSchema, {
    id: BigInt(change.id),
    time: timestampFromMs(change.timeMs),
    family: table.family.name,
    prefix: prefixText(table.prefixes, change.prefix),
    kind: kindOf[change.kind],
    before,
    after,
    cause: causeName[change.cause],
    decidedBy,
    text: isBest ? bestText(change, decidedBy) : pathText(change),
  });
}

function bestText(change: RouteChange, decidedBy: string): string {
  const { neighborBefore, neighborAfter, pathIdBefore, pathIdAfter, cause } = change;
  const why = bestCauseText[cause];
  const from = pathName(neighborBefore, pathIdBefore);
  const to = pathName(neighborAfter, pathIdAfter);
  if (from === to) return `best path: still from ${to}, changed; ${why}`;
  return `best path: ${from || "none"} -> ${to || "none"}${decidedBy === "" ? "" : ` by ${decidedBy}`}; ${why}`;
}

function pathName(neighbor: string, pathId: number): string {
  return pathId === 0 ? neighbor : `${neighbor} (path id ${pathId})`;
}

function pathText(change: RouteChange): string {
  const { kind, cause, reasonBefore, reasonAfter } = change;
  const name = pathName(change.neighborAfter || change.neighborBefore, change.pathIdAfter);
  const refused = reasonAfter === 0 ? "" : `, refused: ${rejectReasonText[reasonAfter]}`;
  if (kind === ChangeKind.added) return `path from ${name} added${refused}`;
  if (kind === ChangeKind.withdrawn) return `path from ${name} gone; ${goneText(cause)}`;
  const accepted = reasonBefore !== 0 && reasonAfter === 0 ? ", accepted now" : "";
  return `path from ${name} changed${refused}${accepted}; ${causeText[cause]}`;
}

function goneText(cause: ChangeCause): string {
  return cause === ChangeCause.announced ? "what was announced in its place was refused" : causeText[cause];
}

/** A path as it was. */
export interface PastPath {
  readonly attr: number;
  readonly neighbor: string;
  readonly pathId: number;
  /** Wall-clock seconds of its last change; 0 when that is not told. */
  readonly timeS: number;
  readonly isBest: boolean;
  /** `RejectReason` */
  readonly reason: number;
}

const single = new RouteBatch();

/** A path as it was, as a message. */
function pastRoute(routing: Routing, table: RouteTable, prefix: number, path: PastPath): Route {
  single.clear();
  single.addPast(routing, table, prefix, path, 0);
  return single.routes()[0];
}
