/**
 * What a transaction would do to routes, counted on the live table: for each prefix the paths are put through candidate
 * import policies, the best of them is chosen again, and what each group of neighbors would be told is compared with
 * what it was told. Nothing is changed; attribute sets that this makes are let go at the end of each chunk.
 *
 *   prefix -> paths (import again where it differs) -> best -> export of each unit -> appear, vanish, change
 *
 * A unit is a set of neighbors that are in one group now and would be in one afterwards.
 */
import type { FamilyImpact, RouteCounts } from "../gen/cairn/v1/config_service_pb.ts";
import { BestPath, type StepName } from "../rib/best-path.ts";
import type { ChosenPath } from "../rib/export-gates.ts";
import { Exporter } from "../rib/exporter.ts";
import { NeighborColumns } from "../rib/neighbor-columns.ts";
import { PathColumns } from "../rib/path-columns.ts";
import { isAccepted, reasonMask } from "../rib/path-flags.ts";
import type { RouteTable } from "../rib/route-table.ts";
import type { UpdateGroup } from "../rib/update-group.ts";
import { neighborFlags, originatesDefault } from "./groups.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import { flagsChange, type NeighborPlan, type PlanScope } from "./plan-neighbors.ts";
import { prefixText } from "./route-message.ts";

/** Prefixes whose results are held together. */
const chunkRows = 256;
/** Prefixes that are named per neighbor and family. */
const examplesMax = 10;

/** No route. */
const nothing: ChosenPath = { pathId: 0, attr: 0, source: 0 };

export class Counts {
  appear = 0;
  vanish = 0;
  change = 0;
  readonly examples: string[] = [];

  count(before: boolean, after: boolean, differs: boolean, by = 1): void {
    if (!before && after) this.appear += by;
    else if (before && !after) this.vanish += by;
    else if (before && after && differs) this.change += by;
  }

  example(text: () => string): void {
    if (this.examples.length < examplesMax) this.examples.push(text());
  }

  message(partial: boolean): Omit<RouteCounts, "$typeName" | "$unknown"> {
    const { appear, vanish, change, examples } = this;
    return { appear: BigInt(appear), vanish: BigInt(vanish), change: BigInt(change), partial, examples };
  }
}

interface Unit {
  readonly group: UpdateGroup;
  readonly exporter: Exporter;
  /** Its export differs; otherwise only prefixes with another best path matter. */
  readonly changed: boolean;
  readonly members: readonly NeighborRecord[];
  readonly memberIds: ReadonlyMap<number, Counts>;
  /** For a member that is the source of no route. */
  readonly counts: Counts;
}

interface Walk {
  readonly table: RouteTable;
  readonly units: readonly Unit[];
  /** Some unit may announce paths behind the best one. */
  readonly ranks: boolean;
  row: number;
}

export class RoutePlan {
  private readonly scope: PlanScope;
  private readonly walks: Walk[] = [];
  private readonly best: BestPath;
  private readonly columns: NeighborColumns;
  /** Neighbors whose import differs, and what is counted for them by family index. */
  private readonly imports = new Map<number, NeighborRecord>();
  private readonly received = new Map<number, Counts[]>();
  private readonly incomplete = new Set<number>();
  private readonly removed = new Set<number>();
  private readonly scratch = new PathColumns();
  // What the chunk under way found: attributes after import and source of the best path, 0 for none.
  private readonly rows = new Uint32Array(chunkRows);
  private readonly attrs = new Uint32Array(chunkRows);
  private readonly sources = new Uint16Array(chunkRows);
  private readonly moved = new Uint8Array(chunkRows);
  /** Paths best first, for units that choose for themselves; undefined where they are those of the table. */
  private readonly ranked: (readonly ChosenPath[] | undefined)[] = [];
  private readonly held: number[] = [];
  private readonly chainAttrs: number[] = [];
  /** Work done, in prefixes and evaluations. */
  work = 0;
  done = false;

  constructor(scope: PlanScope, plans: ReadonlyMap<string, NeighborPlan>) {
    this.scope = scope;
    const { core } = scope;
    for (const { record, after, reimport } of plans.values()) {
      if (record && !after) this.removed.add(record.id);
      if (!record || !after || !reimport) continue;
      this.imports.set(record.id, after);
      this.received.set(
        record.id,
        core.routing.tables.map(() => new Counts()),
      );
      // Without soft reconfiguration what is refused now is not kept, so what would be let in is not known.
      if (!record.config.softReconfiguration || !after.config.softReconfiguration) {
        this.incomplete.add(record.id);
      }
    }
    const flagged = [...plans.values()].filter(flagsChange);
    this.columns = flagged.length > 0 ? this.candidateColumns(flagged) : core.routing.neighbors;
    this.best = new BestPath(core.routing.attributes, this.columns);
    const bestPath = scope.global?.bestPath;
    if (bestPath) this.best.configure({ ...bestPath, steps: bestPath.steps as StepName[] });
    const choosesAgain = this.imports.size > 0 || this.removed.size > 0 || scope.bestPathChanges;
    for (const table of core.routing.tables) {
      const units = this.unitsOf(table, plans, flagged.length > 0);
      const ranks = units.some(({ exporter }) => exporter.looksBehindBest);
      if (choosesAgain || units.some((unit) => unit.changed))
        this.walks.push({ table, units, ranks, row: 1 });
    }
    this.done = this.walks.length === 0;
  }

  private candidateColumns(flagged: readonly NeighborPlan[]): NeighborColumns {
    const { neighbors } = this.scope.core.routing;
    const columns = new NeighborColumns();
    columns.flags = neighbors.flags.slice();
    columns.routerId = neighbors.routerId;
    columns.address = neighbors.address;
    columns.text.push(...neighbors.text.slice(1));
    for (const { after } of flagged) columns.flags[after!.id] = neighborFlags(after!);
    return columns;
  }

  /** Established neighbors that keep their session, by present group and future export. */
  private unitsOf(
    table: RouteTable,
    plans: ReadonlyMap<string, NeighborPlan>,
    columnsChange: boolean,
  ): Unit[] {
    const { core, requirePolicy } = this.scope;
    const { routing } = core;
    const units = new Map<string, Unit & { members: NeighborRecord[]; memberIds: Map<number, Counts> }>();
    for (const record of core.neighbors.all()) {
      const group = record.groups[table.family.index];
      const plan = plans.get(record.config.address);
      if (!group || plan?.resets || (plan && !plan.after)) continue;
      const after = plan?.after ?? record;
      let key = `${group.id} same`;
      let config = group.exporter.config;
      let changed = columnsChange;
      if (plan?.reexport) {
        const policies = this.scope.policiesFor(after.config.exportPolicies, "export");
        const candidate = core.groups.candidate(after, table.family, requirePolicy, policies);
        key = `${group.id} ${candidate.key}`;
        ({ config } = candidate);
        changed ||= !core.groups.isIn(group, candidate.key);
      }
      let unit = units.get(key);
      if (!unit) {
        const exporter = new Exporter(table, routing.attributes, this.columns, routing.exportCache, config);
        exporter.fits = group.exporter.fits;
        exporter.counting = false;
        const counts = new Counts();
        unit = { group, exporter, changed, members: [], memberIds: new Map(), counts };
        units.set(key, unit);
        this.countNewDefault(unit);
      }
      unit.members.push(record);
      unit.memberIds.set(record.id, new Counts());
      unit.exporter.memberAddresses.set(record.config.address, record.id);
    }
    return [...units.values()];
  }

  /** A default route that begins to be originated where the table has no such prefix: no walk comes by it. */
  private countNewDefault({ group: { table }, exporter, counts }: Unit): void {
    if (this.defaultRow(table) !== 0 || !originatesDefault(exporter.config)) return;
    counts.count(false, true, false);
    counts.example(() => (table.family.addressBytes === 4 ? "0.0.0.0/0" : "::/0"));
  }

  private defaultRow(table: RouteTable): number {
    return table.prefixes.find(new Uint8Array(16), 0, 0);
  }

  /** Goes on for about `rows` prefixes. @returns true at the end */
  step(rows: number): boolean {
    for (let left = rows; left > 0 && this.walks.length > 0; left -= chunkRows) {
      const [walk] = this.walks;
      this.chunk(walk);
      if (walk.row < walk.table.prefixes.rows) continue;
      this.finished.push(...walk.units);
      this.walks.shift();
    }
    this.done = this.walks.length === 0;
    return this.done;
  }

  private readonly finished: Unit[] = [];

  private chunk(walk: Walk): void {
    const { table } = walk;
    const end = table.prefixes.rows;
    let count = 0;
    for (; walk.row < end && count < chunkRows; walk.row++) {
      if (table.isMarker(walk.row)) continue;
      this.work++;
      this.choose(walk, walk.row, count);
      this.rows[count++] = walk.row;
    }
    for (const unit of walk.units) this.compare(table, unit, count);
    const { attributes } = this.scope.core.routing;
    for (const id of this.held) attributes.release(id);
    this.held.length = 0;
  }

  /** Finds what would be best for a prefix and puts it at `at` of the chunk. */
  private choose({ table, ranks }: Walk, row: number, at: number): void {
    const { paths } = table;
    this.ranked[at] = undefined;
    const before = table.bestOf(row);
    this.attrs[at] = before === 0 ? 0 : paths.attr[before];
    this.sources[at] = before === 0 ? 0 : paths.neighbor[before];
    this.moved[at] = 0;
    if (!this.mustChoose(table, row)) return;
    const { scratch, chainAttrs } = this;
    chainAttrs.length = 0;
    const chainPaths = new Map<number, number>();
    let head = 0;
    let tail = 0;
    for (let path = table.head[row]; path !== 0; path = paths.next[path]) {
      const neighbor = paths.neighbor[path];
      if (this.removed.has(neighbor)) continue;
      const copy = scratch.add(row, neighbor, paths.idOf(path));
      if (ranks) chainPaths.set(copy, path);
      this.work++;
      this.copyPath(table, path, copy);
      scratch.next[copy] = 0;
      if (tail === 0) head = copy;
      else scratch.next[tail] = copy;
      tail = copy;
      chainAttrs.push(copy);
    }
    const chosen = head === 0 ? 0 : this.best.select(scratch, head);
    const attr = chosen === 0 ? 0 : scratch.attr[chosen];
    const source = chosen === 0 ? 0 : scratch.neighbor[chosen];
    if (attr !== this.attrs[at] || source !== this.sources[at]) this.moved[at] = 1;
    this.attrs[at] = attr;
    this.sources[at] = source;
    if (ranks) {
      const order = head === 0 ? [] : this.best.rank(scratch, head);
      this.ranked[at] = order.map((copy) => {
        return { pathId: chainPaths.get(copy)!, attr: scratch.attr[copy], source: scratch.neighbor[copy] };
      });
    }
    for (const copy of chainAttrs) scratch.remove(copy);
  }

  private mustChoose(table: RouteTable, row: number): boolean {
    if (this.scope.bestPathChanges) return table.head[row] !== 0;
    if (this.imports.size === 0 && this.removed.size === 0) return false;
    const { paths } = table;
    for (let path = table.head[row]; path !== 0; path = paths.next[path]) {
      const neighbor = paths.neighbor[path];
      if (this.imports.has(neighbor) || this.removed.has(neighbor)) return true;
    }
    return false;
  }

  /** A path as it would be after import; counts what that means for the neighbor it came from. */
  private copyPath(table: RouteTable, path: number, copy: number): void {
    const { paths } = table;
    const { scratch } = this;
    const neighbor = paths.neighbor[path];
    const received = paths.received[path];
    scratch.setAttributes(copy, received, paths.attr[path]);
    scratch.time[copy] = paths.time[path];
    scratch.flags[copy] = paths.flags[path];
    const after = this.imports.get(neighbor);
    if (!after) return;
    const { importer } = this.scope.core;
    const attr = importer.decide(after, table, path, this.scope.requirePolicy);
    if (attr !== 0) this.held.push(attr);
    const accepted = isAccepted(paths.flags[path]);
    scratch.setAttributes(copy, received, attr === 0 ? received : attr);
    scratch.flags[copy] = (paths.flags[path] & ~reasonMask) | importer.reason;
    const counts = this.received.get(neighbor)![table.family.index];
    counts.count(accepted, attr !== 0, attr !== paths.attr[path]);
    if (accepted !== (attr !== 0)) counts.example(() => prefixText(table.prefixes, paths.prefix[path]));
  }

  private compare(table: RouteTable, unit: Unit, count: number): void {
    const { exporter, group } = unit;
    const originated = originatesDefault(exporter.config)
      ? this.scope.core.groups.defaultRoute(exporter.config)
      : 0;
    if (originated !== 0) this.held.push(originated);
    const defaultRow = this.defaultRow(table);
    for (let i = 0; i < count; i++) {
      const differs = this.moved[i] !== 0 || (exporter.looksBehindBest && this.ranked[i] !== undefined);
      if (!unit.changed && !differs) continue;
      const row = this.rows[i];
      const isOurs = originated !== 0 && row === defaultRow;
      this.work++;
      const before = group.held(row);
      const after = isOurs ? [{ pathId: 0, attr: originated, source: 0 }] : this.offer(exporter, i);
      for (const pathId of new Set([...before, ...after].map((route) => route.pathId))) {
        const old = before.find((route) => route.pathId === pathId) ?? nothing;
        const next = after.find((route) => route.pathId === pathId) ?? nothing;
        if (old.attr === next.attr && old.source === next.source) continue;
        this.countRow(table, unit, row, old.attr, old.source, next.attr, next.source);
      }
    }
    exporter.endBatch();
  }

  /** What goes out for a prefix of the chunk, as `Exporter.chooseAll` would say with these paths in the table. */
  private offer(exporter: Exporter, i: number): readonly ChosenPath[] {
    const row = this.rows[i];
    if (this.attrs[i] === 0) return [];
    if (!exporter.looksBehindBest) {
      return exporter.chooseAmong(row, [{ pathId: 0, attr: this.attrs[i], source: this.sources[i] }]);
    }
    const ranked = this.ranked[i];
    return ranked ? exporter.chooseAmong(row, ranked) : exporter.chooseAll(row);
  }

  private countRow(
    table: RouteTable,
    unit: Unit,
    row: number,
    oldAttr: number,
    oldSource: number,
    attr: number,
    source: number,
  ): void {
    const before = oldAttr !== 0;
    const after = attr !== 0;
    const differs = attr !== oldAttr;
    unit.counts.count(before, after, differs);
    if (before !== after) unit.counts.example(() => prefixText(table.prefixes, row));
    // A member that is the source of the old or the new route does not get that one.
    const oldMember = before ? unit.memberIds.get(oldSource) : undefined;
    const newMember = after ? unit.memberIds.get(source) : undefined;
    for (const own of new Set([oldMember, newMember])) {
      if (!own) continue;
      own.count(before, after, differs, -1);
      own.count(before && own !== oldMember, after && own !== newMember, differs);
    }
  }

  /** What was counted for a neighbor, by family; families without a difference are left out. */
  impacts(record: NeighborRecord): Omit<FamilyImpact, "$typeName" | "$unknown">[] {
    const { core } = this.scope;
    const partial = !this.done;
    return core.routing.tables.flatMap((table) => {
      const unit = this.allUnits().find(
        (each) => each.group.table === table && each.memberIds.has(record.id),
      );
      const told = new Counts();
      const own = unit?.memberIds.get(record.id);
      if (unit && own) {
        told.appear = unit.counts.appear + own.appear;
        told.vanish = unit.counts.vanish + own.vanish;
        told.change = unit.counts.change + own.change;
        told.examples.push(...unit.counts.examples);
      }
      const got = this.received.get(record.id)?.[table.family.index];
      const unknown = this.incomplete.has(record.id) && table.received[record.id] > 0;
      const advertised = isEmpty(told) && !partial ? undefined : told.message(partial);
      const received =
        (!got || isEmpty(got)) && !unknown ? undefined : (got ?? new Counts()).message(partial || unknown);
      if (!advertised && !received) return [];
      if (partial && !unit && !received) return [];
      return [{ family: table.family.name, advertised, received } as unknown as FamilyImpact];
    });
  }

  private allUnits(): Unit[] {
    return [...this.finished, ...this.walks.flatMap((walk) => walk.units)];
  }
}

function isEmpty({ appear, vanish, change }: Counts): boolean {
  return appear === 0 && vanish === 0 && change === 0;
}
