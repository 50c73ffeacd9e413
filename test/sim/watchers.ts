/** Readers of best-path changes outside the cores: they read now and then, stall, resume, and keep what they were told. */

import type { Route } from "../../src/gen/cairn/v1/types_pb.ts";
import { RouteBatch } from "../../src/state/route-batch.ts";
import type { RouteWatch } from "../../src/state/view.ts";
import { type Family, prefixFamilies } from "../../src/wire/family.ts";
import type { Speaker } from "./speaker.ts";
import type { World } from "./world.ts";

export interface Watcher {
  readonly id: number;
  readonly speaker: Speaker;
  readonly family: Family;
  /** Start of the speaker that the watch belongs to. */
  run: number;
  watch: RouteWatch;
  /** Best paths by prefix, as told. */
  readonly table: Map<string, string>;
  revision: number;
  /** Everything up to `revision` was told. */
  caughtUp: boolean;
}

const watchersMax = 12;

export class SimWatchers {
  readonly all: Watcher[] = [];
  private readonly world: World;
  private nextId = 1;

  constructor(world: World) {
    this.world = world;
  }

  open(speaker: Speaker): void {
    if (!speaker.view || !speaker.reading || this.all.length >= watchersMax) return;
    const family = this.world.dice.pick(prefixFamilies);
    const id = this.nextId++;
    const watch = this.begin(speaker, id, family, 0).watch;
    this.all.push({
      id,
      speaker,
      family,
      run: speaker.runs,
      watch,
      table: new Map(),
      revision: 0,
      caughtUp: false,
    });
  }

  private begin(
    speaker: Speaker,
    id: number,
    family: Family,
    resume: number,
  ): { watch: RouteWatch; compacted: boolean } {
    this.world.record({ t: "watch", s: speaker.index, id, family: family.index, resume });
    const result = speaker.view!.watchRoutes(family, undefined, resume);
    if (!result.ok) throw new Error("a watch without filter was refused");
    return result.value;
  }

  /** One of the watchers reads a piece, or is closed, or resumes. */
  read(): void {
    if (this.all.length === 0) return;
    const { dice } = this.world;
    const watcher = dice.pick(this.all);
    if (!watcher.speaker.view || !watcher.speaker.reading) return;
    if (watcher.run !== watcher.speaker.runs) this.resume(watcher);
    else if (dice.chance(0.1) && watcher.caughtUp) {
      this.close(watcher);
      if (dice.chance(0.7)) this.resume(watcher);
      else this.all.splice(this.all.indexOf(watcher), 1);
      return;
    }
    this.next(watcher, dice.skewed(1, 1000));
  }

  private close(watcher: Watcher): void {
    this.world.record({ t: "watch.close", s: watcher.speaker.index, id: watcher.id });
    watcher.watch.close();
  }

  /** Goes on from the last revision: what was told stays good unless the answer is that it was compacted. */
  private resume(watcher: Watcher): void {
    const { speaker, id, family } = watcher;
    const resume = watcher.caughtUp ? watcher.revision : 0;
    const { watch, compacted } = this.begin(speaker, id, family, resume);
    if (compacted || resume === 0) {
      watcher.table.clear();
      watcher.caughtUp = false;
    }
    watcher.run = speaker.runs;
    watcher.watch = watch;
  }

  private next(watcher: Watcher, max: number): void {
    this.world.record({ t: "watch.next", s: watcher.speaker.index, id: watcher.id, max });
    const updated = new RouteBatch();
    const withdrawn: string[] = [];
    const { caughtUp, revision } = watcher.watch.next(updated, withdrawn, max);
    for (const route of updated.routes()) watcher.table.set(route.prefix, routeText(route));
    for (const prefix of withdrawn) watcher.table.delete(prefix);
    watcher.caughtUp = caughtUp;
    watcher.revision = revision;
  }

  /** At rest: all read to the end. */
  finish(): void {
    for (const watcher of this.all) {
      if (watcher.run !== watcher.speaker.runs) this.resume(watcher);
      do this.next(watcher, 500);
      while (!watcher.caughtUp);
    }
  }

  closeAll(): void {
    for (const watcher of this.all.splice(0)) if (watcher.run === watcher.speaker.runs) this.close(watcher);
  }
}

/** What two tellings of one route must agree in. */
export function routeText(route: Route): string {
  const { neighbor, pathId, nextHop, origin, asPathText, localPref, med, communities, largeCommunities } =
    route;
  return [neighbor, pathId, nextHop, origin, asPathText, localPref, med, communities, largeCommunities].join(
    "|",
  );
}
