/** Neighbors: sessions, messages, routes by family. */
import {
  type FamilyState,
  type Neighbor,
  SessionStateSchema,
} from "../../gen/cairn/v1/neighbor_service_pb.ts";
import type { Area, MetricSet } from "./metric-set.ts";
import { secondsOf } from "./metric-set.ts";

export function neighborMetrics(set: MetricSet): Area {
  const sessions = set.gauge("sessions", "Neighbors by session state.", ["state"]);
  const up = set.gauge("neighbor_up", "1 while the session is established, else 0.", ["neighbor"]);
  const shutdown = set.gauge(
    "neighbor_shutdown",
    "1 while the neighbor is shut down by its configuration, else 0.",
    ["neighbor"],
  );
  const established = set.counter("neighbor_established_total", "Times the session was established.", [
    "neighbor",
  ]);
  const sessionUptime = set.gauge(
    "neighbor_uptime_seconds",
    "How long the session has been established; 0 while it is not.",
    ["neighbor"],
  );
  const holdLeft = set.gauge(
    "neighbor_hold_seconds_left",
    "Time until the hold timer expires if nothing arrives.",
    ["neighbor"],
  );
  const ends = set.counter(
    "neighbor_session_ends_total",
    "Established sessions that ended, by who ended them (us, neighbor) and NOTIFICATION code, 0 without one.",
    ["neighbor", "by", "code"],
  );
  const joined = set.counter(
    "neighbor_refreshes_joined_total",
    "Requests for all routes that were answered together with others.",
    ["neighbor"],
  );
  const messages = set.counter("neighbor_messages_total", "BGP messages by type.", [
    "neighbor",
    "direction",
    "type",
  ]);
  const bytes = set.counter("neighbor_bytes_total", "Bytes of BGP messages.", ["neighbor", "direction"]);
  const malformed = set.counter(
    "neighbor_malformed_updates_total",
    "UPDATEs mended by RFC 7606, by action.",
    ["neighbor", "action"],
  );
  const queue = set.gauge(
    "neighbor_queue_bytes",
    "Bytes received and not processed, or sent and not taken.",
    ["neighbor", "direction"],
  );
  const routes = set.gauge("neighbor_routes", "Routes: received, accepted, rejected, advertised.", [
    "neighbor",
    "family",
    "stage",
  ]);
  const overLimit = set.gauge("neighbor_routes_over_limit", "Routes that a prefix limit keeps out.", [
    "neighbor",
    "family",
  ]);
  const limits = set.gauge(
    "neighbor_prefix_limit",
    "Limit on routes that are received, or accepted by policy; no series without one.",
    ["neighbor", "family", "stage"],
  );
  const damped = set.gauge(
    "neighbor_routes_damped",
    "Routes that are suppressed because they flap (RFC 2439).",
    ["neighbor", "family"],
  );
  const orfEntries = set.gauge(
    "neighbor_orf_entries",
    "Entries of the filter that the neighbor sent (RFC 5292).",
    ["neighbor", "family"],
  );
  const staleRoutes = set.gauge("neighbor_stale_routes", "Routes kept from an earlier session or refresh.", [
    "neighbor",
    "family",
    "phase",
  ]);
  const staleLeft = set.gauge(
    "neighbor_stale_seconds_left",
    "Time until stale routes become long-lived or are withdrawn.",
    ["neighbor", "family"],
  );
  const deferred = set.gauge(
    "neighbor_selection_deferred",
    "1 while routes of the family wait for those of the neighbors after a restart, else 0.",
    ["neighbor", "family"],
  );
  return async (view, pacer) => {
    const neighbors: Neighbor[] = [];
    for (const address of view.neighborNames()) {
      await pacer.rest();
      const neighbor = view.neighbor(address);
      if (neighbor) neighbors.push(neighbor);
    }
    const showStale = (neighbor: string, state: FamilyState): void => {
      const { family, stale, stalePhase: phase, staleTimeLeft: left } = state;
      deferred.set({ neighbor, family }, state.deferred ? 1 : 0);
      if (phase !== "") staleRoutes.set({ neighbor, family, phase }, Number(stale));
      if (left) staleLeft.set({ neighbor, family }, secondsOf(left));
    };
    return () => {
      for (const { localName, number } of SessionStateSchema.values) {
        if (number !== 0) sessions.set({ state: localName.toLowerCase() }, 0);
      }
      for (const { spec, state, effective } of neighbors) {
        const neighbor = spec?.address ?? "";
        if (!state) continue;
        const session = SessionStateSchema.value[state.sessionState]?.localName ?? "UNSPECIFIED";
        sessions.inc({ state: session.toLowerCase() });
        up.set({ neighbor }, session === "ESTABLISHED" ? 1 : 0);
        shutdown.set({ neighbor }, effective?.shutdown ? 1 : 0);
        established.inc({ neighbor }, state.establishedCount);
        sessionUptime.set({ neighbor }, secondsOf(state.uptime));
        if (state.holdTimeLeft) holdLeft.set({ neighbor }, secondsOf(state.holdTimeLeft));
        for (const { local, code, count } of state.ends) {
          ends.inc({ neighbor, by: local ? "us" : "neighbor", code: String(code) }, Number(count));
        }
        for (const direction of ["received", "sent"] as const) {
          const counts = state[direction];
          for (const [type, field] of messageTypes) {
            messages.inc({ neighbor, direction, type }, Number(counts?.[field] ?? 0));
          }
          bytes.inc({ neighbor, direction }, Number(counts?.bytes ?? 0));
        }
        malformed.inc({ neighbor, action: "treat_as_withdraw" }, Number(state.treatAsWithdraw));
        malformed.inc({ neighbor, action: "attribute_discard" }, Number(state.attributeDiscard));
        joined.inc({ neighbor }, Number(state.refreshesJoined));
        queue.set({ neighbor, direction: "received" }, Number(state.inQueueBytes));
        queue.set({ neighbor, direction: "sent" }, Number(state.outQueueBytes));
        for (const family of state.families) {
          showStale(neighbor, family);
          for (const stage of ["received", "accepted", "rejected", "advertised"] as const) {
            routes.set({ neighbor, family: family.family, stage }, Number(family[stage]));
          }
          if (effective?.damping && effective.damping.enabled !== false)
            damped.set({ neighbor, family: family.family }, Number(family.damped));
          if (family.orf?.receives)
            orfEntries.set({ neighbor, family: family.family }, family.orf.totalEntries);
          if (family.limit > 0n)
            limits.set({ neighbor, family: family.family, stage: "received" }, Number(family.limit));
          if (family.acceptedLimit > 0n)
            limits.set({ neighbor, family: family.family, stage: "accepted" }, Number(family.acceptedLimit));
          if (family.limit > 0n || family.acceptedLimit > 0n)
            overLimit.set({ neighbor, family: family.family }, Number(family.overLimit));
        }
      }
    };
  };
}

const messageTypes = [
  ["open", "opens"],
  ["update", "updates"],
  ["keepalive", "keepalives"],
  ["notification", "notifications"],
  ["refresh", "refreshes"],
] as const;
