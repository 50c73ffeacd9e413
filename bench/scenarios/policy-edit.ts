import { makeFilter, targets } from "../load/filter.ts";
import type { Table } from "../load/table.ts";
import { prefixesPerSet, type Scenario, withRig } from "./scenario.ts";

const setEntries = 10_000;

export const policyEdit: Scenario = {
  name: "policy-edit",
  title: "edit of the import policy on 1,000,000 routes, 50 sinks: every route changes; from the command on",
  size: 1_000_000,
  compared: ["time_s", "cpu_s", "peak_mb"],
  targets: [
    { metric: "time_s", of: "bird", most: 1 },
    { metric: "loop_p99_ms", plus: 20 },
  ],
  can: (adapter) => adapter.changeFilter !== undefined,
  run: (adapter, size) => {
    const filter = (table: Table) => makeFilter(table, Math.min(setEntries, size / 20), 1);
    const shape = {
      feeders: 1,
      prefixes: size,
      sets: Math.ceil(size / prefixesPerSet),
      sinks: 50,
      filter,
      keepReceived: true,
    };
    return withRig(adapter, shape, async (rig) => {
      const { setup, table, daemon } = rig;
      if (!setup.filter || !adapter.changeFilter) throw new Error("no filter");
      rig.expect(targets(table, setup.filter));
      await rig.feed();
      await rig.converged();
      const edited = { ...setup.filter, last: setup.filter.last + 1 };
      rig.expect(targets(table, edited));
      rig.loopDelay();
      rig.begin();
      const changed = adapter.changeFilter({ ...setup, filter: edited }, daemon.directory);
      const { timeS, cpuS } = await rig.converged();
      await changed;
      return { time_s: timeS, cpu_s: cpuS };
    });
  },
};
