/** Routes of the fake owner: a best table with a change list, injected paths, and per-neighbor views of it. */
import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Result } from "../../base/problem.ts";
import { type Injected, type InjectedPath, InjectedSchema } from "../../gen/cairn/v1/injection_service_pb.ts";
import {
  AsPathSegment_Type,
  Origin,
  type Route,
  type RouteFilter,
  RouteSchema,
} from "../../gen/cairn/v1/types_pb.ts";
import type { RouteBatch } from "../../state/route-batch.ts";
import type { RouteTable, RouteWalk, RouteWatch } from "../../state/view.ts";
import type { Family } from "../../wire/family.ts";

export class FakeTables {
  /** Rows looked at by all walks and watches, to see that readers pull only what they need. */
  rowsRead = 0;
  openWatches = 0;
  revision = 0;
  /** Changes up to this revision can no longer be resumed from. */
  compactedTo = 0;
  readonly injections = new Map<string, Injected>();
  readonly #best = new Map<string, Route>();
  readonly #changedAt = new Map<string, number>();
  #order: string[] | undefined;
  readonly #watches = new Set<FakeWatch>();

  constructor(count: number) {
    for (let i = 0; i < count; i++) {
      const prefix = `10.${(i >> 8) & 255}.${i & 255}.0/24`;
      this.announce(this.#route(prefix, i));
    }
    for (let i = 0; i < Math.min(count, 16); i++)
      this.announce(this.#route(`2001:db8:${i.toString(16)}::/48`, i));
  }

  announce(route: Route): void {
    this.#best.set(route.prefix, route);
    this.#touch(route.prefix);
  }

  withdraw(prefix: string): boolean {
    if (!this.#best.delete(prefix)) return false;
    this.#touch(prefix);
    return true;
  }

  inject(path: InjectedPath, principal: string): boolean {
    const key = `${path.prefix} ${path.pathId}`;
    const known = this.injections.has(key);
    this.injections.set(
      key,
      create(InjectedSchema, { path, principal, created: timestampFromMs(Date.now()) }),
    );
    this.announce(
      create(RouteSchema, {
        prefix: path.prefix,
        pathId: path.pathId,
        family: path.prefix.includes(":") ? "ipv6-unicast" : "ipv4-unicast",
        neighbor: "local",
        nextHop: path.nextHop,
        origin: Origin.IGP,
        communities: path.communities,
        best: true,
        owner: path.owner,
      }),
    );
    return !known;
  }

  retract(prefix: string, pathId: number): boolean {
    this.withdraw(prefix);
    return this.injections.delete(`${prefix} ${pathId}`);
  }

  get(prefix: string): Route | undefined {
    return this.#best.get(prefix);
  }

  count(family: string): number {
    let total = 0;
    for (const route of this.#best.values()) if (route.family === family) total++;
    return total;
  }

  walk(
    table: RouteTable,
    family: Family,
    filter: RouteFilter | undefined,
    position: string,
  ): Result<RouteWalk> {
    if (filter?.asPath) {
      try {
        new RegExp(filter.asPath);
      } catch {
        return fail("filter.as_path", "is not a regular expression");
      }
    }
    if (position !== "" && !position.startsWith("at:")) return fail("page_token", "is not a position");
    const order = this.order();
    let last = position.slice(3);
    let at = last === "" ? 0 : order.findIndex((prefix) => compareText(prefix, last) > 0);
    if (at < 0) at = order.length;
    const inTable = (route: Route): boolean => route.family === family.name && tableHolds(table, route);
    return {
      ok: true,
      value: {
        next: (out, max, rows) => {
          let taken = 0;
          for (; rows > 0 && at < order.length && taken < max; rows--, at++) {
            this.rowsRead++;
            last = order[at];
            const route = this.#best.get(last);
            if (!route || !inTable(route) || !matches(route, filter)) continue;
            out.addMessage(shape(table, route));
            taken++;
          }
          return at >= order.length;
        },
        position: () => `at:${last}`,
        total: () => {
          let total = 0;
          for (const route of this.#best.values()) if (inTable(route)) total++;
          return total;
        },
      },
    };
  }

  watch(
    family: Family,
    filter: RouteFilter | undefined,
    from: number,
  ): { watch: RouteWatch; compacted: boolean } {
    const compacted = from > 0 && from < this.compactedTo;
    const watch = new FakeWatch(this, family, filter, compacted ? 0 : from, () =>
      this.#watches.delete(watch),
    );
    this.#watches.add(watch);
    this.openWatches++;
    return { watch, compacted };
  }

  /** Prefixes changed after `revision`, oldest change first. */
  *changedAfter(revision: number): Generator<[prefix: string, revision: number]> {
    for (const [prefix, at] of this.#changedAt) if (at > revision) yield [prefix, at];
  }

  order(): string[] {
    return (this.#order ??= [...this.#best.keys()].sort(compareText));
  }

  #touch(prefix: string): void {
    this.#order = undefined;
    this.#changedAt.delete(prefix);
    this.#changedAt.set(prefix, ++this.revision);
    for (const watch of this.#watches) watch.onChange?.();
  }

  #route(prefix: string, i: number): Route {
    const neighbor = `192.0.2.${(i % 3) + 1}`;
    const asns = [65_001 + (i % 3), 64_500 + (i % 97)];
    return create(RouteSchema, {
      prefix,
      neighbor,
      family: prefix.includes(":") ? "ipv6-unicast" : "ipv4-unicast",
      nextHop: prefix.includes(":") ? "2001:db8::1" : neighbor,
      origin: Origin.IGP,
      asPath: [{ type: AsPathSegment_Type.AS_SEQUENCE, asns }],
      asPathText: asns.join(" "),
      med: i % 2 === 0 ? 0 : undefined,
      communities: [`65000:${i % 10}`],
      best: true,
      rejectReason: i % 50 === 49 ? "policy bogons, statement drop" : "",
    });
  }
}

class FakeWatch implements RouteWatch {
  onChange: (() => void) | undefined;
  #at: number;
  readonly #tables: FakeTables;
  readonly #family: Family;
  readonly #filter: RouteFilter | undefined;
  readonly #end: () => void;

  constructor(
    tables: FakeTables,
    family: Family,
    filter: RouteFilter | undefined,
    from: number,
    end: () => void,
  ) {
    this.#tables = tables;
    this.#family = family;
    this.#filter = filter;
    this.#at = from;
    this.#end = end;
  }

  next(updated: RouteBatch, withdrawn: string[], max: number): { caughtUp: boolean; revision: number } {
    let taken = 0;
    for (const [prefix, revision] of this.#tables.changedAfter(this.#at)) {
      if (taken >= max) return { caughtUp: false, revision: this.#at };
      this.#tables.rowsRead++;
      this.#at = revision;
      const route = this.#tables.get(prefix);
      if (route && (route.family !== this.#family.name || !matches(route, this.#filter))) continue;
      if (!route && prefix.includes(":") !== (this.#family.afi === 2)) continue;
      if (route) updated.addMessage(route);
      else withdrawn.push(prefix);
      taken++;
    }
    return { caughtUp: true, revision: this.#at };
  }

  close(): void {
    this.#tables.openWatches--;
    this.#end();
  }
}

function tableHolds(table: RouteTable, route: Route): boolean {
  switch (table.table) {
    case "best":
    case "past":
      return route.rejectReason === "";
    case "received":
      return route.neighbor === table.neighbor && (table.prePolicy || route.rejectReason === "");
    case "rejected":
      return route.neighbor === table.neighbor && route.rejectReason !== "";
    case "advertised":
      return route.neighbor !== table.neighbor && route.rejectReason === "";
    case "withheld":
      return false;
  }
}

function shape(table: RouteTable, route: Route): Route {
  if (table.table === "best") return route;
  const copy = clone(RouteSchema, route);
  copy.best = table.table === "received" && route.rejectReason === "";
  return copy;
}

function matches(route: Route, filter: RouteFilter | undefined): boolean {
  if (!filter) return true;
  if (filter.prefix !== "" && !filter.longer && route.prefix !== filter.prefix) return false;
  if (filter.prefix !== "" && filter.longer && !route.prefix.startsWith(filter.prefix.split(".0")[0]))
    return false;
  if (filter.neighbor !== "" && route.neighbor !== filter.neighbor) return false;
  if (filter.nextHop !== "" && route.nextHop !== filter.nextHop) return false;
  if (filter.originAsn !== undefined && route.asPath.at(-1)?.asns.at(-1) !== filter.originAsn) return false;
  if (!filter.communities.every((community) => route.communities.includes(community))) return false;
  return filter.asPath === "" || new RegExp(filter.asPath.replaceAll("_", "\\b")).test(route.asPathText);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function fail(path: string, message: string): Result<never> {
  return { ok: false, problems: [{ code: "INVALID", path, message }] };
}
