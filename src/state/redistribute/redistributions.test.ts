import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type DescMessage, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import { parsePrefix } from "../../base/ip.ts";
import { limits } from "../../base/limits.ts";
import type { KernelRoute } from "../../dataplane/kernel-model.ts";
import type { RouteNews, RouteScope } from "../../dataplane/redistribute/messages.ts";
import { GlobalSpecSchema } from "../../gen/cairn/v1/global_service_pb.ts";
import { PolicyAction, PolicySpecSchema, PrefixSetSpecSchema } from "../../gen/cairn/v1/policy_service_pb.ts";
import { RedistributeSpecSchema, RouteSource } from "../../gen/cairn/v1/redistribute_kinds_pb.ts";
import { ResourcePhaseSchema } from "../../gen/cairn/v1/resource_types_pb.ts";
import { families, ipv4Unicast } from "../../wire/family.ts";
import { Core, emptyState } from "../core.ts";
import { CoreView } from "../core-view.ts";
import type { MutationOp, MutationOutcome } from "../mutation.ts";

const wallMs = 1_700_000_000_000;

/** A core whose kernel is what the test says. */
class Rig {
  readonly core: Core;
  readonly view: CoreView;
  nowMs = 0;
  scopes: readonly RouteScope[] = [];
  outcome: MutationOutcome | undefined;

  constructor() {
    const core = Core.create(emptyState, () => 0.5, 0, wallMs, "memory");
    assert.ok(core.ok);
    this.core = core.value;
    this.view = new CoreView(this.core);
    this.input({ kind: "kernel.links", changed: [], gone: [] });
    this.put("Global", GlobalSpecSchema, { asn: 65001, routerId: "192.0.2.1" });
  }

  private input(input: Parameters<Core["handle"]>[0]): void {
    this.core.handle(input, this.nowMs, wallMs + this.nowMs);
  }

  settle(turns = 30): void {
    for (let i = 0; i < turns; i++) {
      this.nowMs++;
      this.core.turn(this.nowMs, wallMs + this.nowMs);
      for (const effect of this.core.effects.list.splice(0)) {
        if (effect.kind === "reply") this.outcome = effect.outcome as MutationOutcome;
        if (effect.kind === "routes.watch") this.scopes = effect.scopes;
        if (effect.kind === "store.persist") this.input({ kind: "store.committed", seq: effect.seq });
      }
    }
  }

  change(...ops: MutationOp[]): MutationOutcome {
    const rest = { expectedGeneration: 0, dryRun: false, reason: "", requestId: "", principal: "test" };
    this.input({ kind: "mutate", call: 1, mutation: { ops, ...rest, source: "api" } });
    this.settle();
    return this.outcome!;
  }

  put<D extends DescMessage>(kind: string, schema: D, init: MessageInitShape<D>): void {
    const outcome = this.change({ op: "put", kind, spec: create(schema, init) as Message });
    assert.ok(outcome.ok, JSON.stringify(outcome));
  }

  /** The reader has news of the first scope. */
  news(news: Partial<RouteNews>): void {
    const none = { scope: this.scopes[0].id, all: false, changed: [], gone: [], over: 0, failure: "" };
    this.input({ kind: "routes.news", news: { ...none, ...news } });
    this.settle();
  }

  /** Local paths: prefix, MED and communities of each. */
  paths(): string[] {
    const found: string[] = [];
    for (const family of families) {
      const table = this.core.routing.table(family);
      if (table.rules) continue;
      for (let path = 1; path < table.paths.rows; path++) {
        if (table.paths.received[path] === 0) continue;
        found.push(`${table.paths.neighbor[path]} ${table.paths.idOf(path) - 2 ** 31}`);
      }
    }
    return found;
  }

  /** Best paths of these prefixes. */
  best(...prefixes: readonly string[]): string[] {
    return prefixes.flatMap((prefix) => {
      const told = this.view.explainBestPath(prefix);
      if (!told.ok) return [];
      const { route, source } = told.value.candidates[0];
      const marks = route!.communities.length > 0 ? ` ${route!.communities.join()}` : "";
      return [`${prefix} origin ${route!.origin} med ${route!.med}${marks} of ${source.split(":")[0]}`];
    });
  }

  standing(name: string): string {
    const status = this.core.resources.status("Redistribute", name);
    if (!status) return "none";
    const phase = ResourcePhaseSchema.value[status.phase].localName;
    return `${phase} ${status.reason} ${status.values.announced}/${status.values.offered}`.replace(
      / {2,}/,
      " ",
    );
  }
}

function route(prefix: string, metric = 0): KernelRoute {
  const destination = parsePrefix(prefix);
  assert.ok(typeof destination !== "string");
  return {
    ...{ destination, table: 254, protocol: 4, metric, type: "unicast", nextHopObject: 0, source: undefined },
    hops: [{ link: 2, gateway: undefined, weight: 1, dead: false }],
  };
}

const statics = { name: "static", sources: [RouteSource.STATIC] };

describe("Redistribute", () => {
  it("asks for what it takes, and for nothing when it is gone", () => {
    const rig = new Rig();
    rig.put("Redistribute", RedistributeSpecSchema, { ...statics, families: ["ipv4-unicast"], maxRoutes: 7 });
    assert.deepEqual(rig.scopes, [
      { id: 0, table: 254, protocols: [3, 4], ipv4: true, ipv6: false, defaultRoute: false, max: 7 },
    ]);
    assert.equal(rig.standing("static"), "PROGRESSING 0/0");
    rig.change({ op: "delete", kind: "Redistribute", name: "static" });
    assert.deepEqual(rig.scopes, []);
  });

  it("brings routes in with origin incomplete and the metric, changes them and withdraws them", () => {
    const rig = new Rig();
    rig.put("Redistribute", RedistributeSpecSchema, statics);
    rig.news({ all: true, changed: [route("10.0.0.0/8", 20), route("2001:db8::/32", 1024)] });
    assert.deepEqual(rig.best("10.0.0.0/8", "2001:db8::/32"), [
      "10.0.0.0/8 origin 3 med 20 of Redistribute/static",
      "2001:db8::/32 origin 3 med 1024 of Redistribute/static",
    ]);
    assert.equal(rig.standing("static"), "APPLIED 2/2");
    rig.news({ changed: [route("10.0.0.0/8", 5)], gone: ["2001:db8::/32"] });
    assert.deepEqual(rig.best("10.0.0.0/8", "2001:db8::/32"), [
      "10.0.0.0/8 origin 3 med 5 of Redistribute/static",
    ]);
  });

  it("goes through policy, and through it again when it changes", () => {
    const rig = new Rig();
    rig.put("PrefixSet", PrefixSetSpecSchema, { name: "ten", prefixes: [{ prefix: "10.0.0.0/8", le: 32 }] });
    const mark = { match: { prefixSets: ["ten"] }, set: { communitiesAdd: ["65001:7"], med: 77 } };
    const policy = { name: "p", statements: [{ ...mark, action: PolicyAction.ACCEPT }] };
    rig.put("Policy", PolicySpecSchema, policy);
    rig.put("Redistribute", RedistributeSpecSchema, { ...statics, policy: "p" });
    rig.news({ all: true, changed: [route("10.1.0.0/16"), route("172.16.0.0/12")] });
    assert.deepEqual(rig.best("10.1.0.0/16", "172.16.0.0/12"), [
      "10.1.0.0/16 origin 3 med 77 65001:7 of Redistribute/static",
    ]);
    assert.equal(rig.standing("static"), "APPLIED 1/2");
    const told = rig.view.explainBestPath("172.16.0.0/12");
    assert.ok(!told.ok);
    assert.match(
      told.problems[0].message,
      /; Redistribute\/static: kernel route, .* is refused by end of chain/,
    );
    rig.put("PrefixSet", PrefixSetSpecSchema, { name: "ten", prefixes: [{ prefix: "172.16.0.0/12" }] });
    assert.deepEqual(rig.best("10.1.0.0/16", "172.16.0.0/12"), [
      "172.16.0.0/12 origin 3 med 77 65001:7 of Redistribute/static",
    ]);
  });

  it("keeps what it had when the kernel cannot be asked, and puts itself right when it is told all", () => {
    const rig = new Rig();
    rig.put("Redistribute", RedistributeSpecSchema, statics);
    rig.news({ all: true, changed: [route("10.0.0.0/8"), route("10.1.0.0/16")] });
    rig.news({ failure: "no memory" });
    assert.equal(rig.standing("static"), "FAILED UNAVAILABLE 2/2");
    rig.news({ all: true, changed: [route("10.1.0.0/16")] });
    assert.equal(rig.standing("static"), "APPLIED 1/1");
    assert.deepEqual(rig.best("10.0.0.0/8"), []);
  });

  it("says so when routes are left out", () => {
    const rig = new Rig();
    rig.put("Redistribute", RedistributeSpecSchema, statics);
    rig.news({ all: true, changed: [route("10.0.0.0/8")], over: 3 });
    assert.equal(rig.standing("static"), "DEGRADED MAX_ROUTES 1/1");
  });

  it("knows objects apart, and does not touch what was injected", () => {
    const rig = new Rig();
    rig.put("Redistribute", RedistributeSpecSchema, statics);
    rig.put("Redistribute", RedistributeSpecSchema, { name: "other", protocols: [16] });
    const [first, second] = rig.scopes.map(({ id }) => id);
    assert.notEqual(first, second);
    rig.news({ scope: first, all: true, changed: [route("10.0.0.0/8")] });
    rig.news({ scope: second, all: true, changed: [route("10.0.0.0/8")] });
    assert.deepEqual(rig.paths(), ["0 0", "0 1"]);
    rig.change({ op: "delete", kind: "Redistribute", name: "static" });
    assert.deepEqual(rig.paths(), ["0 1"]);
    // Its number is free again, and news of the one that is gone concern nobody.
    rig.put("Redistribute", RedistributeSpecSchema, { ...statics, name: "third" });
    assert.deepEqual(rig.scopes.map(({ id }) => id).sort(), [0, 1]);
  });

  it("takes a large table in several turns, and lets go of all of it", () => {
    const rig = new Rig();
    rig.put("Redistribute", RedistributeSpecSchema, { ...statics, maxRoutes: 5000 });
    const many = Array.from({ length: 2000 }, (_, i) => route(`10.${i >> 8}.${i & 255}.0/24`));
    const before = rig.core.routing.attributes.count;
    rig.core.handle(
      { kind: "routes.news", news: { scope: 0, all: true, changed: many, gone: [], over: 0, failure: "" } },
      rig.nowMs,
      wallMs,
    );
    rig.settle(1);
    const table = rig.core.routing.table(ipv4Unicast);
    assert.equal(table.bestCount, limits.redistributedPerTurn);
    rig.settle();
    assert.equal(table.bestCount, many.length);
    rig.change({ op: "delete", kind: "Redistribute", name: "static" });
    assert.equal(table.bestCount, 0);
    assert.equal(rig.core.routing.attributes.count, before);
  });

  it("refuses what would come back as ours, and what says nothing", () => {
    const rig = new Rig();
    const refused = (init: MessageInitShape<typeof RedistributeSpecSchema>): string => {
      const spec = create(RedistributeSpecSchema, { name: "x", ...init });
      const outcome = rig.change({ op: "put", kind: "Redistribute", spec });
      return outcome.ok ? "" : outcome.problems.map(({ path }) => path.replace("Redistribute/x.", "")).join();
    };
    assert.equal(refused({ protocols: [68] }), "protocols[0]");
    assert.equal(refused({ protocols: [16, 67] }), "protocols[1]");
    assert.equal(refused({}), "sources");
    assert.equal(refused({ table: 255 }), "table");
    assert.equal(refused({ sources: [RouteSource.STATIC], families: ["ipv4-flowspec"] }), "families[0]");
    assert.equal(refused({ table: 100 }), "");
  });
});
