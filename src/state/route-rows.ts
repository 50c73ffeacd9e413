/** Routes of a walk as rows for readers in this process: what an attribute set says is shared, not encoded and read again. */
import type { Route } from "../gen/cairn/v1/types_pb.ts";
import { aspaStateNames, rpkiStateNames } from "../policy/route-key.ts";
import type { AttrId } from "../rib/attribute-store.ts";
import { reasonMask, rejectReasonText } from "../rib/path-flags.ts";
import { aspaOf, rpkiOf } from "../rib/path-validator.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { RouteBatch } from "./route-batch.ts";
import { attributesMessage, prefixText } from "./route-message.ts";
import type { Routing } from "./routing.ts";

/** A route of a table. */
export interface RouteRow {
  readonly prefix: string;
  readonly neighbor: string;
  readonly pathId: number;
  /** Only its attributes are set; the same object for the same set, so that what is made of it can be kept. */
  readonly attributes: Route;
  readonly best: boolean;
  readonly stale: boolean;
  /** Wall-clock seconds of the last change; 0 when that is not known. */
  readonly timeS: number;
  readonly rpkiState: string;
  readonly aspaState: string;
  readonly rejectReason: string;
}

/** Takes what walks append. */
export class RouteRows extends RouteBatch {
  rows: RouteRow[] = [];

  override clear(): void {
    super.clear();
    this.rows = [];
  }

  override addPath(
    routing: Routing,
    table: RouteTable,
    path: number,
    attr: AttrId,
    nowS: number,
    prefix = table.paths.prefix[path],
    neighbor = table.paths.neighbor[path],
    rejectReason = "",
    pathId = table.paths.idOf(path),
  ): void {
    const { paths, validator } = table;
    const states = path !== 0 && validator?.hasData ? validator.ofPath(table, path, true, true) : undefined;
    this.count++;
    this.rows.push({
      prefix: prefixText(table.prefixes, prefix),
      neighbor: routing.neighbors.text[neighbor],
      pathId,
      attributes: attributesMessage(routing, attr),
      best: path !== 0 && table.bestOf(prefix) === path,
      stale: path !== 0 && table.isStale(path),
      timeS: nowS === 0 ? 0 : paths.time[path],
      rpkiState: states === undefined ? "" : rpkiStateNames[rpkiOf(states)],
      aspaState: states === undefined ? "" : aspaStateNames[aspaOf(states)],
      rejectReason: rejectReason || rejectReasonText[paths.flags[path] & reasonMask],
    });
  }

  override addMessage(route: Route): void {
    this.count++;
    this.rows.push(rowOf(route));
  }
}

/** A route that is a message already. */
export function rowOf(route: Route): RouteRow {
  const { prefix, neighbor, pathId, best, stale, rpkiState, aspaState, rejectReason } = route;
  const timeS = Number(route.receivedAt?.seconds ?? 0n);
  return {
    prefix,
    neighbor,
    pathId,
    attributes: route,
    best,
    stale,
    timeS,
    rpkiState,
    aspaState,
    rejectReason,
  };
}
