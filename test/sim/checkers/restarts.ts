/**
 * Routes that outlive their session: the counters of stale paths are right, each stale path has a reason to be there,
 * long-lived ones carry their mark and no others of ours do, and what is known of neighbor and session agrees.
 */

import type { Core } from "../../../src/state/core.ts";
import { AttributeFlag } from "../../../src/wire/attribute-flags.ts";
import { families } from "../../../src/wire/family.ts";
import { violated } from "../failure.ts";
import type { Speaker } from "../speaker.ts";

/** Why a core is not at rest: stale routes, or a family that is not announced yet; empty when it is. */
export function waitsForRestart(core: Core): string {
  if (core.deferral.mask !== 0) return "waits for its neighbors after a restart";
  for (const record of core.neighbors.all()) {
    const stale = record.stale.find((each) => each !== undefined);
    if (stale) return `keeps stale routes of ${record.config.address}: ${stale.phase}`;
  }
  return "";
}

export function checkRestarts(speaker: Speaker): void {
  const core = speaker.core!;
  const fail = (text: string): never => violated("restarts", `speaker ${speaker.index}: ${text}`);
  for (const record of core.neighbors.all()) {
    const { id, config } = record;
    for (const family of families) {
      const stale = record.stale[family.index];
      const isUp = record.negotiated !== undefined;
      if (stale && isUp === (stale.phase === "restarting" || stale.phase === "long-lived")) {
        fail(`${config.address} is ${isUp ? "up" : "down"} and its ${family.name} routes are ${stale.phase}`);
      }
      const { paths, stale: counted } = core.routing.table(family);
      const isLong = (record.longLived & (1 << family.index)) !== 0;
      const isWalked = ["sweep", "import"].some((walk) => core.jobs.has(`${walk} ${id} ${family.index}`));
      let found = 0;
      for (let path = 1; path < paths.rows; path++) {
        if (paths.received[path] === 0 || paths.neighbor[path] !== id) continue;
        if (!core.routing.table(family).isStale(path)) continue;
        found++;
        const isMarked = (core.routing.attributes.flags[paths.attr[path]] & AttributeFlag.llgrStale) !== 0;
        if (isLong && !isMarked && !isWalked && paths.eligible(path)) {
          fail(`a long-lived route of ${config.address} is not marked`);
        }
      }
      if (found !== counted[id])
        fail(`${counted[id]} stale routes of ${config.address} counted, ${found} there`);
      if (found > 0 && !stale && !isWalked)
        fail(`stale routes of ${config.address} and nobody waits for them`);
    }
  }
}
