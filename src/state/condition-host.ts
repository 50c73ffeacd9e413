/** What conditions see of the core. */
import { SessionStateSchema } from "../gen/cairn/v1/neighbor_service_pb.ts";
import type { ConditionHost, RouteCount } from "./conditions.ts";
import type { Core } from "./core.ts";
import type { NeighborRecord } from "./neighbor-record.ts";

export function conditionHost(core: Core): ConditionHost {
  const named = (address: string): NeighborRecord | undefined => core.neighbors.named(address);
  return {
    bgp(what) {
      if (what === "neighbors") return core.neighbors.size;
      let up = 0;
      for (const record of core.neighbors.all()) if (record.negotiated) up++;
      return up;
    },
    rib(what, family) {
      let sum = 0;
      for (const table of core.routing.tables) {
        if (family !== "" && table.family.name !== family) continue;
        sum += what === "paths" ? table.paths.count : table.bestCount;
      }
      return sum;
    },
    neighborState(address) {
      const record = named(address);
      if (!record) return undefined;
      const { sessionState } = core.sessions.state(record.id, core.nowMs, core.wallMs);
      return SessionStateSchema.value[sessionState]?.localName.toLowerCase();
    },
    neighborUptime(address) {
      const record = named(address);
      if (!record?.negotiated) return undefined;
      return Number(core.sessions.state(record.id, core.nowMs, core.wallMs).uptime?.seconds ?? 0n);
    },
    neighborRoutes(address, what, family) {
      const record = named(address);
      if (!record) return undefined;
      let sum = 0;
      for (const table of core.routing.tables) {
        if (family === "" || table.family.name === family) sum += count(record, what, table);
      }
      return sum;
    },
  };
}

function count(record: NeighborRecord, what: RouteCount, table: Core["routing"]["tables"][number]): number {
  const received = table.received[record.id];
  const accepted = table.accepted[record.id];
  switch (what) {
    case "received":
      return received;
    case "accepted":
      return accepted;
    case "rejected":
      return received - accepted;
    case "advertised":
      return record.groups[table.family.index]?.advertisedTo(record.id) ?? 0;
  }
}
