/** What Statistics Reports say: gauges of the tables, and counters that the session keeps. */
import { type Stat, StatType } from "../../bmp/types.ts";
import { families } from "../../wire/family.ts";
import type { NeighborRecord } from "../neighbor-record.ts";
import type { Routing } from "../routing.ts";

export function peerStatistics(
  routing: Routing,
  { id, groups, negotiated, treatAsWithdraw }: NeighborRecord,
): Stat[] {
  const received = routing.tables.map((table) => table.received[id]);
  const advertised = groups.map((group) => group?.advertisedTo(id) ?? 0);
  const stats = [
    total(StatType.adjRibIn, received),
    total(StatType.updatesAsWithdraw, [treatAsWithdraw]),
    total(StatType.adjRibOutPost, advertised),
  ];
  for (const { index, afi, safi } of families) {
    if (((negotiated?.families ?? 0) & (1 << index)) === 0) continue;
    stats.push({ type: StatType.adjRibInOfFamily, afi, safi, value: BigInt(received[index]) });
    stats.push({ type: StatType.adjRibOutPostOfFamily, afi, safi, value: BigInt(advertised[index]) });
  }
  return stats;
}

export function locRibStatistics({ tables }: Routing): Stat[] {
  return [
    total(
      StatType.locRib,
      tables.map(({ bestCount }) => bestCount),
    ),
    ...tables.map(({ family: { afi, safi }, bestCount }) => {
      return { type: StatType.locRibOfFamily, afi, safi, value: BigInt(bestCount) };
    }),
  ];
}

function total(type: number, counts: readonly number[]): Stat {
  return { type, afi: 0, safi: 0, value: BigInt(counts.reduce((sum, count) => sum + count, 0)) };
}
