/** BFD sessions. */
import { type BfdSession, BfdState } from "../../gen/cairn/v1/bfd_service_pb.ts";
import type { Area, MetricSet } from "./metric-set.ts";

export function bfdMetrics(set: MetricSet): Area {
  const bfdUp = set.gauge("bfd_up", "1 while BFD with the neighbor is up, else 0.", ["neighbor"]);
  const bfdChanges = set.counter(
    "bfd_changes_total",
    "Times that BFD with the neighbor came up, and went down from up.",
    ["neighbor", "to"],
  );
  const bfdPackets = set.counter("bfd_packets_total", "Control packets of BFD.", ["neighbor", "direction"]);
  const bfdDetection = set.gauge(
    "bfd_detection_seconds",
    "Time without packets after which the neighbor is missed.",
    ["neighbor"],
  );
  const bfdDiscards = set.counter("bfd_discards_total", "Packets of BFD thrown away, by reason.", ["reason"]);
  return async (view, pacer) => {
    const sessions: BfdSession[] = [];
    for (const neighbor of view.bfdNeighbors()) {
      await pacer.rest();
      const session = view.bfdSession(neighbor);
      if (session) sessions.push(session);
    }
    return () => {
      for (const session of sessions) {
        const { neighbor, detectionTime } = session;
        bfdUp.set({ neighbor }, session.state === BfdState.UP ? 1 : 0);
        bfdChanges.inc({ neighbor, to: "up" }, session.ups);
        bfdChanges.inc({ neighbor, to: "down" }, session.downs);
        bfdPackets.inc({ neighbor, direction: "received" }, Number(session.packetsReceived));
        bfdPackets.inc({ neighbor, direction: "sent" }, Number(session.packetsSent));
        if (detectionTime)
          bfdDetection.set({ neighbor }, Number(detectionTime.seconds) + detectionTime.nanos / 1e9);
      }
      for (const { reason, packets } of view.bfdDiscards()) bfdDiscards.inc({ reason }, Number(packets));
    };
  };
}
