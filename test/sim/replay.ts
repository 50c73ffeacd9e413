/** Runs the cores of a trace again, without network, disks or dice, and says where it ends and with what hash. */

import { seededRandom } from "../../src/base/random.ts";
import { Core } from "../../src/state/core.ts";
import { CoreView } from "../../src/state/core-view.ts";
import { RouteBatch } from "../../src/state/route-batch.ts";
import type { RouteWatch } from "../../src/state/view.ts";
import { families } from "../../src/wire/family.ts";
import { Hash, hashCore, hashEffect } from "./hash.ts";
import type { Entry } from "./trace.ts";

export interface ReplayResult {
  readonly turns: number;
  readonly hash: string;
  /** What the trace says; equal to `hash` when the cores did the same again. */
  readonly recordedHash: string;
  readonly recordedFailure: string;
  /** What a core threw, as it may have in the recorded run. */
  readonly error: unknown;
}

interface Running {
  core: Core;
  view: CoreView;
  readonly watches: Map<number, RouteWatch>;
}

export function replay(entries: Iterable<Entry>): ReplayResult {
  const hash = new Hash();
  const running: (Running | undefined)[] = [];
  let turns = 0;
  let recordedHash = "";
  let recordedFailure = "";
  let error: unknown;
  for (const entry of entries) {
    if (entry.t === "end") {
      recordedHash = entry.hash;
      recordedFailure = entry.failure;
      break;
    }
    try {
      turns = Math.max(turns, run(entry, running, hash));
    } catch (thrown) {
      error = thrown;
    }
  }
  for (const speaker of running) if (speaker) hashCore(hash, speaker.core);
  return { turns, hash: hash.toString(), recordedHash, recordedFailure, error };
}

/** @returns number of the turn, 0 for what is none */
function run(entry: Exclude<Entry, { t: "end" }>, running: (Running | undefined)[], hash: Hash): number {
  if (entry.t === "start") {
    const created = Core.create(
      entry.stored,
      seededRandom(entry.seed),
      entry.now,
      entry.wall,
      entry.dataplane,
    );
    if (!created.ok) throw new Error("the trace starts a core that cannot start");
    running[entry.s] = { core: created.value, view: new CoreView(created.value), watches: new Map() };
    return 0;
  }
  const speaker = running[entry.s];
  if (!speaker) return 0;
  const { core, view, watches } = speaker;
  switch (entry.t) {
    case "crash":
      running[entry.s] = undefined;
      return 0;
    case "input":
      core.handle(entry.input, entry.now, entry.wall);
      drain(core, hash);
      return 0;
    case "turn":
      core.turn(entry.now, entry.wall, entry.budget);
      drain(core, hash);
      return entry.n;
    case "watch": {
      const opened = view.watchRoutes(families[entry.family], undefined, entry.resume);
      if (opened.ok) watches.set(entry.id, opened.value.watch);
      return 0;
    }
    case "watch.next":
      watches.get(entry.id)?.next(new RouteBatch(), [], entry.max);
      return 0;
    case "watch.close":
      watches.get(entry.id)?.close();
      return 0;
  }
}

function drain(core: Core, hash: Hash): void {
  for (const effect of core.effects.list) hashEffect(hash, effect);
  core.effects.list.length = 0;
}
