/** What a scenario is. One file holds one; `index.ts` lists them. */
import type { Adapter } from "../daemons/daemon.ts";
import { type Metrics, Rig, type RigShape } from "../load/rig.ts";

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** Prefixes of one feeder, unless the scenario says otherwise; `--size` sets another. */
  readonly size: number;
  /** Size in the quick set; absent: not in it. */
  readonly quickSize?: number;
  /** Sizes of the plots; absent: no plot. */
  readonly sizes?: readonly number[];
  /** What the table compares with the reference, the first being what counts most. */
  readonly compared: readonly string[];
  readonly targets: readonly Target[];
  /** Only when it is asked for by name: it takes long. */
  readonly byName?: boolean;
  /** Daemons that it cannot be asked of are left out. */
  can?(adapter: Adapter): boolean;
  run(adapter: Adapter, size: number): Promise<Metrics>;
}

/** A promise about cairn in one scenario. */
export interface Target {
  readonly metric: string;
  /** Daemon whose median is multiplied; absent: `most` stands alone. */
  readonly of?: string;
  /** Factor of that daemon's median, or with `plus` alone 1. */
  readonly most?: number;
  readonly plus?: number;
}

/** Runs `work` on a rig of this shape, which is stopped whatever happens. */
export async function withRig(
  adapter: Adapter,
  shape: RigShape,
  work: (rig: Rig) => Promise<Metrics>,
): Promise<Metrics> {
  const rig = await Rig.start(adapter, shape);
  try {
    const metrics = await work(rig);
    return { ...rig.common(), ...metrics };
  } finally {
    await rig.stop(collect);
  }
}

/** Feeds the tables of all feeders and waits for the sinks. */
export function converge(adapter: Adapter, shape: RigShape): Promise<Metrics> {
  return withRig(adapter, shape, async (rig) => {
    const fed = rig.feed();
    const { timeS, cpuS } = await rig.converged();
    await fed;
    return { time_s: timeS, cpu_s: cpuS };
  });
}

let collect: ((directory: string) => void) | undefined;

/** `npm run profile` looks at the directory of the daemon after each run. */
export function setCollector(look: (directory: string) => void): void {
  collect = look;
}

/** Attribute sets of a table with so many prefixes. */
export const prefixesPerSet = 10;

/** Targets that hold in every scenario. */
export const loopTargets: readonly Target[] = [
  { metric: "loop_p99_ms", plus: 15 },
  { metric: "loop_max_ms", plus: 60 },
];

/** Against the daemons that are no match. */
export const otherTargets: readonly Target[] = [
  { metric: "time_s", of: "gobgp", most: 0.05 },
  { metric: "time_s", of: "openbgpd", most: 0.3 },
  { metric: "time_s", of: "frr", most: 0.5 },
];
