/** BMP: collectors, what they were sent, and how far they are behind. */
import type { Area, MetricSet } from "./metric-set.ts";

export function bmpMetrics(set: MetricSet): Area {
  const labels = ["collector"];
  const up = set.gauge("bmp_collector_up", "1 while the collector is connected, else 0.", labels);
  const complete = set.gauge(
    "bmp_collector_monitoring",
    "1 while the collector has been told of all that there was when it connected, else 0.",
    labels,
  );
  const peers = set.gauge("bmp_peers", "Neighbors that the collector was told are up.", labels);
  const lag = set.gauge("bmp_lag", "Changes of routes that the collector has not been told of.", labels);
  const queue = set.gauge("bmp_queue_bytes", "Bytes that wait for the connection to the collector.", labels);
  const connections = set.counter(
    "bmp_connections_total",
    "Connections to the collector that came up.",
    labels,
  );
  const messages = set.counter("bmp_messages_total", "BMP messages to the collector.", labels);
  const routeMessages = set.counter(
    "bmp_route_messages_total",
    "Route Monitoring messages to the collector.",
    labels,
  );
  const bytes = set.counter("bmp_bytes_total", "Bytes sent to the collector.", labels);
  const lapped = set.counter(
    "bmp_lapped_total",
    "Connections given up because the collector was too slow.",
    labels,
  );
  const mirrored = set.counter("bmp_mirrored_total", "BGP messages mirrored to the collector.", labels);
  const lost = set.counter(
    "bmp_mirror_lost_total",
    "BGP messages that were not mirrored for want of room.",
    labels,
  );
  const oversize = set.counter("bmp_oversize_total", "Routes that fit no message.", labels);
  return (view) => () => {
    for (const { metadata } of view.objects("BmpCollector")) {
      const state = view.bmpCollector(metadata.name);
      if (!state) continue;
      const collector = { collector: metadata.name };
      up.set(collector, state.connectedSince ? 1 : 0);
      complete.set(collector, state.sessionState === "monitoring" ? 1 : 0);
      peers.set(collector, state.peers);
      lag.set(collector, Number(state.lag));
      queue.set(collector, Number(state.queuedBytes));
      connections.inc(collector, Number(state.connections));
      messages.inc(collector, Number(state.messages));
      routeMessages.inc(collector, Number(state.routeMessages));
      bytes.inc(collector, Number(state.bytes));
      lapped.inc(collector, Number(state.lapped));
      mirrored.inc(collector, Number(state.mirrored));
      lost.inc(collector, Number(state.mirrorLost));
      oversize.inc(collector, Number(state.oversize));
    }
  };
}
