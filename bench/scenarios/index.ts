/** All scenarios, in the order in which they run. */
import { bmp } from "./bmp.ts";
import { churn } from "./churn.ts";
import { tenSmall, twoFeeders, twoSmall } from "./feeders.ts";
import { fourPaths } from "./four-paths.ts";
import { fullTable } from "./full-table.ts";
import { idle } from "./idle.ts";
import { ipv6 } from "./ipv6.ts";
import { lateSink } from "./late-sink.ts";
import { list } from "./list.ts";
import { lostBest, lostNeighbor } from "./lost-neighbor.ts";
import { manySinks } from "./many-sinks.ts";
import { mrtDump } from "./mrt-dump.ts";
import { mrtTable } from "./mrt-file.ts";
import { overlap } from "./overlap.ts";
import { policy } from "./policy.ts";
import { policyEdit } from "./policy-edit.ts";
import { routeServer } from "./route-server.ts";
import { rpki } from "./rpki.ts";
import type { Scenario } from "./scenario.ts";
import { soak } from "./soak.ts";
import { thousandNeighbors } from "./thousand-neighbors.ts";
import { watch } from "./watch.ts";

export const scenarios: readonly Scenario[] = [
  idle,
  fullTable,
  lateSink,
  twoFeeders,
  tenSmall,
  twoSmall,
  routeServer,
  overlap,
  manySinks,
  thousandNeighbors,
  churn,
  lostNeighbor,
  lostBest,
  ipv6,
  fourPaths,
  policy,
  policyEdit,
  list,
  watch,
  mrtDump,
  mrtTable,
  rpki,
  bmp,
  soak,
];
