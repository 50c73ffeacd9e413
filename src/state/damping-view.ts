/** Routes that have flapped, as the API shows them. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { canonicalPeer } from "../base/peer-address.ts";
import type { Result } from "../base/problem.ts";
import { type DampenedRoute, DampenedRouteSchema } from "../gen/cairn/v1/rib_service_pb.ts";
import { type Flap, penaltyAt } from "../rib/damping.ts";
import type { Core } from "./core.ts";
import { timeLeftMs } from "./damping.ts";
import type { DampenedPage, DampenedQuery } from "./view.ts";

/** One page. The place is a count, so that changes between pages may hide a route or show it twice. */
export function dampenedPage(
  core: Core,
  { neighbor, family, all }: DampenedQuery,
  position: string,
  max: number,
): Result<DampenedPage> {
  const record = neighbor === "" ? undefined : core.neighbors.named(canonicalPeer(neighbor));
  if (neighbor !== "" && !record) {
    const message = `there is no neighbor ${neighbor}`;
    return { ok: false, problems: [{ code: "NOT_FOUND", path: "neighbor", message }] };
  }
  const from = Number(position || "0");
  const flaps = core.damping
    .list(record)
    .filter((flap) => (all || flap.suppressed) && (!family || flap.table.family === family));
  const end = Math.min(flaps.length, from + max);
  const page = {
    routes: flaps.slice(from, end).map((flap) => routeOf(core, flap)),
    position: end < flaps.length ? String(end) : "",
    total: flaps.length,
    overflow: core.damping.flaps.overflow,
  };
  return { ok: true, value: page };
}

function routeOf(core: Core, flap: Flap): DampenedRoute {
  const { neighbor, table, prefix, pathId, flaps, suppressed, firstMs } = flap;
  return create(DampenedRouteSchema, {
    neighbor: core.neighbors.addressOf(neighbor),
    family: table.family.name,
    prefix: core.watchers.prefixText(table, prefix),
    pathId,
    penalty: Math.round(penaltyAt(flap, core.nowMs)),
    flaps,
    suppressed,
    announced: table.find(neighbor, prefix, pathId) !== 0,
    timeLeft: durationFromMs(timeLeftMs(flap, core.nowMs)),
    since: durationFromMs(Math.floor(core.nowMs - firstMs)),
  });
}
