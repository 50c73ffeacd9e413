/** Several feeders with prefixes of their own, one sink. */
import {
  converge,
  loopTargets,
  otherTargets,
  prefixesPerSet,
  type Scenario,
  type Target,
} from "./scenario.ts";

function feeders(
  name: string,
  count: number,
  size: number,
  targets: readonly Target[],
  quick: boolean,
): Scenario {
  return {
    name,
    title: `${count} feeders x ${size.toLocaleString("en")}, 1 sink`,
    size,
    ...(quick ? { quickSize: size } : {}),
    compared: ["time_s", "cpu_s", "peak_mb"],
    targets: [...targets, ...loopTargets],
    run: (adapter, prefixes) =>
      converge(adapter, { feeders: count, prefixes, sets: Math.ceil(prefixes / prefixesPerSet), sinks: 1 }),
  };
}

const small: readonly Target[] = [{ metric: "time_s", of: "bird", most: 1, plus: 0.15 }];

export const twoFeeders: Scenario = feeders(
  "2x100k",
  2,
  100_000,
  [{ metric: "time_s", of: "bird", most: 0.8 }, ...otherTargets],
  true,
);
export const tenSmall: Scenario = feeders("10x1k", 10, 1000, small, false);
export const twoSmall: Scenario = feeders("2x10k", 2, 10_000, small, false);
