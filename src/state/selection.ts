/** Best path and multipath as Global declares them, and choosing anew after a change of these. */
import type { StepName } from "../rib/best-path.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { Jobs } from "./jobs.ts";
import { multipathChanged, multipathConfig } from "./multipath-settings.ts";
import { bestPathChanged, type GlobalConfig } from "./resolve.ts";
import type { Routing } from "./routing.ts";

export class Selection {
  private readonly routing: Routing;
  private readonly jobs: Jobs;

  constructor(routing: Routing, jobs: Jobs) {
    this.routing = routing;
    this.jobs = jobs;
  }

  /** Takes the settings at start, before there are routes. */
  start(global: GlobalConfig): void {
    const { steps, ...options } = global.bestPath;
    this.routing.best.configure({ ...options, steps: steps as StepName[] });
    for (const table of this.routing.tables) {
      this.askForStates(table);
      table.configureMultipath(multipathConfig(global.multipath, table.family));
    }
  }

  /** Takes changed settings; tables that they concern choose again, over several turns. */
  change(before: GlobalConfig | undefined, after: GlobalConfig): void {
    const all = !before || bestPathChanged(before, after);
    const concerned = this.routing.tables.filter(
      ({ family }) => all || multipathChanged(before.multipath, after.multipath, family),
    );
    if (concerned.length === 0) return;
    this.start(after);
    for (const table of concerned) this.reselect(table);
  }

  /** Best path compares by states of validation only where a step asks for them; then they are kept per path. */
  private askForStates(table: RouteTable): void {
    const { best, validator } = this.routing;
    const origins = best.asks("rpki");
    const paths = best.asks("aspa");
    const isAsked = validator !== undefined && !table.rules && (origins || paths);
    table.stateOf = isAsked ? (path) => validator.ofPath(table, path, origins, paths) : undefined;
    table.paths.keepValidation(isAsked);
  }

  private reselect(table: RouteTable): void {
    let row = 1;
    this.jobs.start({
      key: `select ${table.family.index}`,
      step: (rows) => {
        const end = Math.min(table.prefixes.rows, row + rows);
        for (; row < end; row++) {
          if (table.isMarker(row) || table.head[row] === 0) continue;
          table.noteStates(row);
          table.reselect(row);
        }
        return row === table.prefixes.rows;
      },
    });
  }
}
