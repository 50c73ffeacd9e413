/** A walk over rules in the order of RFC 8955 5.1. A position is the rule that was told last, so it may be gone. */
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { FlowSpecRoute, Route } from "../../gen/cairn/v1/types_pb.ts";
import type { FlowTable } from "../../rib/flow-table.ts";
import { hex } from "../../wire/message.ts";
import { type RouteRow, RouteRows } from "../route-rows.ts";
import type { RowWalk } from "../route-walk.ts";
import type { FlowWalk } from "../view.ts";
import { flowMessage } from "./flow-message.ts";

/** True for what `position` tells. */
export function isFlowPosition(text: string): boolean {
  return /^([0-9a-f]{2}){1,4095}$/.test(text);
}

export class OrderedFlowWalk implements FlowWalk {
  private readonly rules: FlowTable;
  private readonly walk: RowWalk;
  private last: Uint8Array | undefined;
  private readonly batch = new RouteRows();
  private readonly nowS: () => number;

  /**
   * @param walk tells what a row gives
   * @param position as it was told, empty for the start
   * @param nowS wall-clock seconds
   */
  constructor(rules: FlowTable, walk: RowWalk, position: string, nowS: () => number) {
    this.nowS = nowS;
    this.rules = rules;
    this.walk = walk;
    if (position !== "")
      this.last = Uint8Array.from(position.match(/../g)!, (digits) => Number.parseInt(digits, 16));
  }

  next(out: FlowSpecRoute[], max: number, rows: number): boolean {
    const { rules, batch } = this;
    const full = out.length + max;
    let row = this.last ? rules.after(this.last) : rules.following(0);
    let at = 0;
    for (let left = rows; row !== 0 && left > 0 && out.length < full; row = rules.following(row), left--) {
      at = row;
      batch.clear();
      this.walk.visitPrefix(row, batch);
      if (batch.count === 0) continue;
      const value = rules.value(row);
      for (const each of batch.rows) {
        const route = routeOf(each, rules.family.name, this.nowS());
        out.push(flowMessage(rules.family, value, each.attributes, route));
      }
    }
    if (at !== 0) this.last = rules.value(at).slice();
    return row === 0;
  }

  position(): string {
    return hex(this.last ?? new Uint8Array(0));
  }

  total(): number | undefined {
    return this.walk.total();
  }
}

/** The whole of a route, with the messages of its attributes shared. */
function routeOf(row: RouteRow, family: string, nowS: number): Route {
  const { prefix, neighbor, pathId, attributes, best, stale, timeS, rejectReason } = row;
  const known = { prefix, neighbor, pathId, best, stale, rejectReason, family };
  if (timeS === 0) return { ...attributes, ...known };
  const age = durationFromMs(Math.max(0, nowS - timeS) * 1000);
  return { ...attributes, ...known, age, receivedAt: timestampFromMs(timeS * 1000) };
}
