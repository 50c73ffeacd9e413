import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { parsePrefix } from "../base/ip.ts";
import { type RouteFilter, RouteFilterSchema } from "../gen/cairn/v1/types_pb.ts";
import { encodeBlock } from "../wire/block.ts";
import { ipv4Unicast } from "../wire/family.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import { emptyAttributes } from "../wire/path-attributes.ts";
import { RouteBatch } from "./route-batch.ts";
import { type PreparedFilter, prepareFilter } from "./route-filter.ts";
import { BestWalk, ReceivedWalk } from "./route-walk.ts";
import { type ResumePoint, resumePoint, TableWatch } from "./route-watch.ts";
import { Routing } from "./routing.ts";
import { Watchers } from "./watchers.ts";

/** A table of IPv4 routes that neighbors 1 and 2 announce with a MED, and a model of it. */
function newRouting(): Routing {
  const routing = new Routing();
  for (const id of [1, 2]) {
    routing.ensureNeighbor(id);
    routing.neighbors.setAddress(id, Uint8Array.of(192, 0, 2, id));
  }
  return routing;
}

class Scene {
  readonly routing = newRouting();
  readonly table = this.routing.table(ipv4Unicast);
  readonly watchers = new Watchers(this.routing);
  /** MED by prefix by neighbor. */
  readonly model = new Map<string, Map<number, number>>();
  private readonly writer = new MessageWriter();

  announce(neighbor: number, prefix: string, med: number): void {
    const parsed = parsePrefix(prefix);
    assert(typeof parsed !== "string");
    this.writer.reset();
    encodeBlock({ ...emptyAttributes(), nextHop: Uint8Array.of(192, 0, 2, neighbor), med }, this.writer);
    const attr = this.routing.attributes.intern(this.writer.bytes, 0, this.writer.at);
    this.table.announce(neighbor, this.table.prefix(parsed.bytes, 0, parsed.length), 0, attr, attr, 0, 0);
    this.routing.attributes.release(attr);
    const paths = this.model.get(prefix) ?? new Map();
    this.model.set(prefix, paths.set(neighbor, med));
  }

  withdraw(neighbor: number, prefix: string): void {
    const parsed = parsePrefix(prefix);
    assert(typeof parsed !== "string");
    const row = this.table.prefixes.find(parsed.bytes, 0, parsed.length);
    if (row !== 0) this.table.withdraw(neighbor, row, 0);
    const paths = this.model.get(prefix);
    paths?.delete(neighbor);
    if (paths?.size === 0) this.model.delete(prefix);
  }

  reap(): void {
    this.table.reap(this.watchers.passed(this.table) ?? this.table.changes.revision, 100);
  }

  filter(fields: Partial<RouteFilter> = {}): PreparedFilter {
    const filter = prepareFilter(this.routing, ipv4Unicast, create(RouteFilterSchema, fields as never));
    assert(filter.ok);
    return filter.value;
  }

  watch(resume: ResumePoint | undefined = undefined, fields: Partial<RouteFilter> = {}): TableWatch {
    return new TableWatch(
      this.routing,
      this.table,
      this.filter(fields),
      this.watchers,
      1000,
      resume,
      () => 0,
    );
  }
}

/** Applies what a watch says to what its reader knows. */
function follow(watch: TableWatch, known: Map<string, string>, max = 1000): number {
  for (;;) {
    const updated = new RouteBatch();
    const withdrawn: string[] = [];
    const { caughtUp, revision } = watch.next(updated, withdrawn, max);
    for (const route of updated.routes()) known.set(route.prefix, `${route.nextHop} ${route.med}`);
    for (const prefix of withdrawn) known.delete(prefix);
    if (caughtUp) return revision;
  }
}

function best(scene: Scene, matches: (prefix: string) => boolean = () => true): Map<string, string> {
  const routes: [string, string][] = [];
  for (const [prefix, paths] of scene.model) {
    const [neighbor, med] = [...paths].sort((a, b) => a[1] - b[1] || a[0] - b[0])[0];
    if (matches(prefix)) routes.push([prefix, `192.0.2.${neighbor} ${med}`]);
  }
  return new Map(routes.sort());
}

const step = fc.record({
  what: fc.constantFrom("announce", "announce", "withdraw", "read", "some", "reap", "resume"),
  neighbor: fc.integer({ min: 1, max: 2 }),
  prefix: fc.constantFrom("10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "192.0.2.0/24"),
  med: fc.nat(2),
});

suite("TableWatch", () => {
  test("a reader that applies what it is told holds the table, also after it went away and came back", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
        const scene = new Scene();
        for (const id of [1, 2]) scene.routing.neighbors.routerId[id] = id;
        scene.announce(1, "10.0.0.0/8", 0);
        let watch = scene.watch();
        let known = new Map<string, string>();
        for (const { what, neighbor, prefix, med } of steps) {
          if (what === "announce") scene.announce(neighbor, prefix, med);
          else if (what === "withdraw") scene.withdraw(neighbor, prefix);
          else if (what === "reap") scene.reap();
          else if (what === "some") {
            const updated = new RouteBatch();
            const withdrawn: string[] = [];
            watch.next(updated, withdrawn, 1);
            for (const route of updated.routes()) known.set(route.prefix, `${route.nextHop} ${route.med}`);
            for (const gone of withdrawn) known.delete(gone);
          } else if (what === "read") {
            follow(watch, known);
            assert.deepEqual(new Map([...known].sort()), best(scene));
          } else {
            const revision = follow(watch, known);
            watch.close();
            scene.announce(neighbor, prefix, med);
            scene.withdraw(neighbor, "10.1.0.0/16");
            if (med > 0) scene.reap();
            const resume = resumePoint(scene.table, 1000, revision);
            if (resume === undefined) known = new Map();
            watch = scene.watch(resume);
            follow(watch, known);
            assert.deepEqual(new Map([...known].sort()), best(scene));
          }
        }
        follow(watch, known);
        assert.deepEqual(new Map([...known].sort()), best(scene));
        watch.close();
        assert.equal(scene.watchers.cursorCount, 0);
      }),
    );
  });

  test("an exact prefix is that prefix only; longer takes what is inside", () => {
    const scene = new Scene();
    for (const prefix of ["10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "192.0.2.0/24"])
      scene.announce(1, prefix, 0);
    const read = (fields: Partial<RouteFilter>): string[] => {
      const known = new Map<string, string>();
      follow(scene.watch(undefined, fields), known, 1);
      const listed = new RouteBatch();
      const walk = new BestWalk(
        { routing: scene.routing, table: scene.table, filter: scene.filter(fields), nowS: () => 0 },
        "",
        "best",
      );
      while (!walk.next(listed, listed.count + 1, 1)) assert(walk.position());
      assert.deepEqual(
        listed
          .routes()
          .map(({ prefix }) => prefix)
          .sort(),
        [...known.keys()].sort(),
        "a list shows the same",
      );
      return [...known.keys()].sort();
    };
    assert.deepEqual(read({ prefix: "10.1.0.0/16" }), ["10.1.0.0/16"]);
    assert.deepEqual(read({ prefix: "10.1.0.0/16", longer: true }), ["10.1.0.0/16", "10.1.1.0/24"]);
    assert.deepEqual(read({ prefix: "10.2.0.0/16" }), []);
    assert.deepEqual(read({}).length, 4);
    assert.deepEqual(read({ nextHop: "192.0.2.9" }), []);
  });

  test("lists of what a neighbor sent resume at any row and count what they hold", () => {
    const scene = new Scene();
    for (let i = 0; i < 20; i++) scene.announce(1 + (i % 2), `10.${i}.0.0/16`, i % 3);
    const seen: string[] = [];
    let position = "";
    for (;;) {
      const scope = { routing: scene.routing, table: scene.table, filter: scene.filter(), nowS: () => 0 };
      const walk = new ReceivedWalk(scope, position, 1, "received", () => "");
      assert.equal(walk.total(), 10);
      const page = new RouteBatch();
      const done = walk.next(page, 3, 1000);
      seen.push(...page.routes().map(({ prefix }) => prefix));
      position = walk.position();
      if (done) break;
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 10 }, (_, i) => `10.${i * 2}.0.0/16`),
    );
  });
});
