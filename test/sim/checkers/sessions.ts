/** After healing, every declared pair is Established exactly once, and both sides hold the same connection. */
import { violated } from "../failure.ts";
import { connectionsOf } from "../internals.ts";
import type { World } from "../world.ts";

/** Why the sessions are not all up yet; undefined when they are. */
export function sessionsReady(world: World): string | undefined {
  for (const [a, b] of world.pairs) {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ]) {
      const { core } = world.speakers[from];
      const record = core?.neighbors.named(world.speakers[to].address);
      if (!core || !record) return `speaker ${from} does not know ${to}`;
      if (!core.sessions.isEstablished(record.id)) {
        const state = core.sessions.state(record.id, core.nowMs, core.wallMs);
        return `the session of ${from} with ${to} is not established: ${state.status}`;
      }
    }
  }
  // A connection whose other side is gone without a word lives until a timer ends it.
  for (const speaker of world.speakers) {
    const { size } = connectionsOf(speaker.core!);
    const wanted = world.peersOf(speaker).length;
    if (size !== wanted) return `speaker ${speaker.index} holds ${size} connections for ${wanted} sessions`;
  }
  return undefined;
}

export function checkSessions(world: World): void {
  for (const speaker of world.speakers) {
    const core = speaker.core!;
    const wanted = world.peersOf(speaker).length;
    let up = 0;
    for (const record of core.neighbors.all()) if (core.sessions.isEstablished(record.id)) up++;
    if (up !== wanted) violated("sessions", `speaker ${speaker.index} has ${up} sessions of ${wanted}`);
    // Nothing is left of connections that lost a collision or died half open.
    const connections = connectionsOf(core).size;
    if (connections !== wanted) {
      violated(
        "sessions",
        `speaker ${speaker.index} holds ${connections} connections for ${wanted} sessions`,
      );
    }
  }
}
