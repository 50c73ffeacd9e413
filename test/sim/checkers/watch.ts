/** What a watcher was told adds up to the table. */

import { RouteBatch } from "../../../src/state/route-batch.ts";
import { violated } from "../failure.ts";
import { routeText } from "../watchers.ts";
import type { World } from "../world.ts";

export function checkWatches(world: World): void {
  for (const watcher of world.watchers.all) {
    const { speaker, family, table, id } = watcher;
    const best = new Map<string, string>();
    const walk = speaker.view!.walk({ table: "best", paths: "best" }, family, undefined, "");
    if (!walk.ok) throw new Error("a walk without filter was refused");
    for (let done = false; !done; ) {
      const routes = new RouteBatch();
      done = walk.value.next(routes, 1000, 10_000);
      for (const route of routes.routes()) best.set(route.prefix, routeText(route));
    }
    for (const [prefix, text] of best) {
      const told = table.get(prefix);
      if (told !== text) {
        violated(
          "watch",
          `watcher ${id} of speaker ${speaker.index} has ${prefix} as ${told}, the table as ${text}`,
        );
      }
    }
    for (const prefix of table.keys()) {
      if (!best.has(prefix))
        violated("watch", `watcher ${id} of speaker ${speaker.index} still has ${prefix}`);
    }
  }
}
