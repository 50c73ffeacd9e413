/**
 * RFC 6811, 8893 and ASPA in the whole core: states in policy, best path, lists and explanations, and what becomes of
 * routes when VRPs and ASPAs change. The router is AS 65001; its cache is played by the test.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { BgpRole } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { PolicyAction } from "../../src/gen/cairn/v1/policy_service_pb.ts";
import { RpkiCacheSpecSchema } from "../../src/gen/cairn/v1/rpki_service_pb.ts";
import { RouteFilterSchema } from "../../src/gen/cairn/v1/types_pb.ts";
import { parseVrpFile } from "../../src/rpki/json-records.ts";
import { parseSlurm } from "../../src/rpki/slurm.ts";
import { RouteBatch } from "../../src/state/route-batch.ts";
import type { RpkiInput } from "../../src/state/rpki-inputs.ts";
import { ipv4Unicast } from "../../src/wire/family.ts";
import { FakeCache } from "../support/rtr-cache.ts";
import { CoreRig } from "./core-rig.ts";

/** Caches by host, and the wires between them and the core. */
class Caches {
  private readonly rig: CoreRig;
  private readonly byHost = new Map<string, FakeCache>();
  private readonly conns = new Map<number, FakeCache>();
  private readonly waiting: RpkiInput[] = [];

  constructor(rig: CoreRig) {
    this.rig = rig;
    rig.watch = (effect) => {
      if (effect.kind === "rtr.connect") {
        const cache = this.byHost.get(effect.host);
        if (cache) {
          cache.connected();
          this.conns.set(effect.conn, cache);
          this.waiting.push({ kind: "rtr.connected", conn: effect.conn });
        } else this.waiting.push({ kind: "rtr.closed", conn: effect.conn, error: "ECONNREFUSED" });
      } else if (effect.kind === "rtr.send") {
        const { conn } = effect;
        for (const bytes of this.conns.get(conn)?.receive(effect.bytes) ?? [])
          this.waiting.push({ kind: "rtr.bytes", conn, bytes });
      } else if (effect.kind === "rtr.close") this.conns.delete(effect.conn);
    };
  }

  /** Declares a cache that has these records. */
  add(name: string, records: readonly string[], spec: { preference?: number } = {}): FakeCache {
    const cache = new FakeCache(records);
    this.byHost.set(name, cache);
    const init = create(RpkiCacheSpecSchema, { name, host: name, ...spec });
    this.rig.mutate({ op: "put", kind: "RpkiCache", spec: init });
    this.settle();
    return cache;
  }

  /** A cache changes, and says so. */
  change(cache: FakeCache, put: readonly string[], drop: readonly string[] = []): void {
    cache.change(put, drop);
    for (const [conn, each] of this.conns)
      if (each === cache) this.rig.input({ kind: "rtr.bytes", conn, bytes: cache.notify() });
    this.settle();
  }

  /** The process of a cache ends and does not come back. */
  kill(name: string): void {
    const cache = this.byHost.get(name);
    this.byHost.delete(name);
    for (const [conn, each] of this.conns) {
      if (each !== cache) continue;
      this.conns.delete(conn);
      this.rig.input({ kind: "rtr.closed", conn, error: undefined });
    }
    this.settle();
  }

  settle(): void {
    this.rig.advance(0);
    for (let input = this.waiting.shift(); input; input = this.waiting.shift()) this.rig.input(input);
  }

  /** Lets time pass, with caches that answer. */
  advance(seconds: number): void {
    for (let s = 0; s < seconds; s += 10) {
      this.rig.advance(10_000);
      this.settle();
    }
  }
}

const p = "192.0.2.0/24";
const q = "198.51.100.0/24";

/** Policy that refuses what is invalid and marks what is valid. */
const rov = {
  name: "rov",
  statements: [
    { name: "invalid", match: { rpkiStates: ["invalid"] }, action: PolicyAction.REJECT },
    { name: "valid", match: { rpkiStates: ["valid"] }, set: { localPref: 200 }, action: PolicyAction.ACCEPT },
    { name: "other", action: PolicyAction.ACCEPT },
  ],
};

function scene(): { rig: CoreRig; caches: Caches } {
  const rig = new CoreRig();
  rig.policy(rov);
  return { rig, caches: new Caches(rig) };
}

describe("policy", () => {
  test("invalid routes are refused, valid ones marked; a change of VRPs is on the wire at once, and only that", () => {
    const { rig, caches } = scene();
    const cache = caches.add("one", [`${p} 24 65002`, `${q} 24 65099`]);
    const from = rig.peer("192.0.2.2", { import: ["rov"] });
    const to = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    from.announce([p, q, "203.0.113.0/24"]);
    assert.equal(rig.shown("192.0.2.2", p).rpkiState, "valid");
    assert.deepEqual([...to.routes.keys()].sort(), [p, "203.0.113.0/24"]);
    assert.match(rig.rejection("192.0.2.2", q) ?? "", /rov.*invalid/);
    // Another origin is allowed now: the route comes in, and the one that was valid goes.
    to.trail.length = 0;
    caches.change(cache, [`${q} 24 65002`, `${p} 24 65098`], [`${p} 24 65002`]);
    assert.deepEqual(to.trail.sort(), [`+${q}`, `-${p}`]);
    // Nothing is known of it any more.
    to.trail.length = 0;
    caches.change(cache, [], [`${p} 24 65098`]);
    assert.deepEqual(to.trail, [`+${p}`]);
    assert.equal(rig.shown("192.0.2.2", p).rpkiState, "not-found");
    // A VRP far away concerns no route.
    const { total } = rig.core.validation.revalidation;
    caches.change(cache, ["100.64.0.0/10 24 1"]);
    assert.equal(rig.core.validation.revalidation.total, total);
  });
  test("routes refused for their origin are kept without soft reconfiguration too (RFC 9324)", () => {
    const { rig, caches } = scene();
    const cache = caches.add("one", [`${p} 24 65099`]);
    const from = rig.peer("192.0.2.2", { import: ["rov"], softReconfiguration: false });
    from.announce(p);
    assert.equal(rig.best(p), undefined);
    const { refreshes } = from;
    caches.change(cache, [`${p} 24 65002`]);
    assert.equal(rig.best(p), "192.0.2.2");
    assert.equal(from.refreshes, refreshes);
  });
  test("RFC 8893: export policy sees the state too, and follows it", () => {
    const { rig, caches } = scene();
    const cache = caches.add("one", [`${p} 24 65002`]);
    const from = rig.peer("192.0.2.2");
    const to = rig.peer("192.0.2.3", { remoteAsn: 65003, export: ["rov"] });
    from.announce(p);
    assert.ok(to.routes.has(p));
    caches.change(cache, [`${p} 24 65050`], [`${p} 24 65002`]);
    assert.deepEqual([to.routes.has(p), rig.best(p)], [false, "192.0.2.2"]);
  });
  test("2: the origin is the last AS; our own for a path without; none for one that ends with a set", () => {
    const { rig, caches } = scene();
    caches.add("one", [`${p} 24 65001`, `${q} 24 65010`]);
    const inside = rig.peer("10.0.0.2", { remoteAsn: 65001 });
    const outside = rig.peer("192.0.2.2");
    inside.announce(p);
    outside.announce(q, { path: "65002 65010" });
    outside.announce("198.51.100.0/25", { path: "65002 65010" });
    const state = (neighbor: string, prefix: string): string => rig.shown(neighbor, prefix).rpkiState;
    assert.equal(state("10.0.0.2", p), "valid");
    assert.equal(state("192.0.2.2", q), "valid");
    assert.equal(state("192.0.2.2", "198.51.100.0/25"), "invalid");
    outside.announce(q, { path: "65002 {65010}" });
    assert.equal(state("192.0.2.2", q), "invalid");
  });
});

describe("best path", () => {
  const steps = (rig: CoreRig): string[] => {
    const told = rig.view.explainBestPath(p);
    assert.ok(told.ok);
    return told.value.candidates[1].steps.map(({ name }) => name);
  };
  test("states do not count unless asked for; then they go before all else, and follow the cache", () => {
    const { rig, caches } = scene();
    const cache = caches.add("one", [`${p} 24 65003`]);
    rig.peer("192.0.2.2", {}).announce(p, { path: "65002" });
    rig.peer("192.0.2.3", { remoteAsn: 65003 }).announce(p, { path: "65003 65003 65003" });
    assert.equal(rig.best(p), "192.0.2.2");
    assert.equal(steps(rig).includes("rpki"), false);
    rig.global({ bestPath: { preferRpkiValid: true } });
    assert.equal(rig.best(p), "192.0.2.3");
    assert.deepEqual(steps(rig), ["stale", "rpki"]);
    caches.change(cache, [`${p} 24 65002`], [`${p} 24 65003`]);
    assert.equal(rig.best(p), "192.0.2.2");
    caches.change(cache, [], [`${p} 24 65002`]);
    assert.equal(rig.best(p), "192.0.2.2");
    assert.ok(steps(rig).includes("as-path-length"));
    // A path that comes later is known at once.
    caches.change(cache, [`${p} 24 65004`]);
    rig.peer("192.0.2.4", { remoteAsn: 65004 }).announce(p, { path: "65004 65004 65004 65004" });
    assert.equal(rig.best(p), "192.0.2.4");
    rig.global({});
    assert.equal(rig.best(p), "192.0.2.2");
  });
  test("steps may name it anywhere", () => {
    const { rig, caches } = scene();
    caches.add("one", [`${p} 24 65003`]);
    rig.peer("192.0.2.2", {}).announce(p, { path: "65002" });
    rig.peer("192.0.2.3", { remoteAsn: 65003 }).announce(p, { path: "65003 65003" });
    rig.global({ bestPath: { steps: ["as-path-length", "rpki"] } });
    assert.equal(rig.best(p), "192.0.2.2");
    rig.global({ bestPath: { steps: ["rpki", "as-path-length"] } });
    assert.equal(rig.best(p), "192.0.2.3");
  });
});

describe("sources", () => {
  test("caches of one preference count together; others stand by until the data of these expires", () => {
    const { rig, caches } = scene();
    caches.add("a", [`${p} 24 65002`], { preference: 10 });
    caches.add("b", [`${q} 24 65002`], { preference: 10 });
    caches.add("c", [`${p} 24 65099`], { preference: 20 });
    const from = rig.peer("192.0.2.2", { import: ["rov"] });
    from.announce([p, q]);
    const states = (): string[] => [p, q].map((each) => rig.shown("192.0.2.2", each).rpkiState);
    assert.deepEqual(states(), ["valid", "valid"]);
    assert.equal(rig.view.rpki.cache("c")?.inUse, false);
    caches.kill("a");
    caches.kill("b");
    assert.deepEqual(states(), ["valid", "valid"]);
    caches.advance(7_200);
    assert.deepEqual(states(), ["invalid", "not-found"]);
    assert.ok(rig.topics().includes("cairn.rpki.cache.expired"));
    assert.equal(rig.view.rpki.cache("c")?.inUse, true);
    assert.equal(rig.best(p), undefined);
  });
  test("a deleted cache takes its VRPs with it; one that is shut down too", () => {
    const { rig, caches } = scene();
    caches.add("a", [`${p} 24 65099`]);
    rig.peer("192.0.2.2", { import: ["rov"] }).announce(p);
    assert.equal(rig.best(p), undefined);
    const shut = create(RpkiCacheSpecSchema, { name: "a", host: "a", shutdown: true });
    rig.mutate({ op: "put", kind: "RpkiCache", spec: shut });
    assert.equal(rig.best(p), "192.0.2.2");
    assert.equal(rig.core.validation.rpki.sources.vrps.count, 0);
  });
  test("files and SLURM: filters take out, assertions stay, a bad file changes nothing", () => {
    const { rig, caches } = scene();
    caches.add("a", [`${p} 24 65099`]);
    rig.peer("192.0.2.2", { import: ["rov"] }).announce([p, q]);
    rig.global({ rpki: { files: ["/etc/vrps.json"], slurm: ["/etc/slurm.json"] } });
    const vrps = parseVrpFile(
      JSON.stringify({
        roas: [
          { prefix: q, maxLength: 24, asn: "AS65099" },
          { prefix: q, asn: 1, expires: 5 },
        ],
      }),
      10,
    );
    assert.ok(vrps.ok);
    rig.input({ kind: "rpki.file", path: "/etc/vrps.json", pdus: vrps.value, error: "" });
    assert.equal(rig.best(q), undefined);
    const slurm = parseSlurm(
      JSON.stringify({
        slurmVersion: 1,
        validationOutputFilters: {
          prefixFilters: [{ prefix: "192.0.0.0/16" }, { asn: 7 }],
          bgpsecFilters: [],
        },
        locallyAddedAssertions: { prefixAssertions: [{ asn: 65002, prefix: q }], bgpsecAssertions: [] },
      }),
    );
    assert.ok(slurm.ok);
    rig.input({ kind: "rpki.file", path: "/etc/slurm.json", slurm: slurm.value, error: "" });
    assert.deepEqual([rig.best(p), rig.best(q)], ["192.0.2.2", "192.0.2.2"]);
    const all = rig.view.rpki.vrps({ prefix: "", asn: undefined, source: "", all: true }, "", 10).items;
    assert.deepEqual(
      all.map(({ prefix, asn, inForce, filtered }) => `${prefix} ${asn} ${inForce} ${filtered}`).sort(),
      [`${p} 65099 false true`, `${q} 65002 true false`, `${q} 65099 true false`].sort(),
    );
    rig.input({ kind: "rpki.file", path: "/etc/vrps.json", error: "no JSON" });
    const [file] = rig.view.rpki.summary().files;
    assert.deepEqual([file.error, file.ipv4Vrps], ["no JSON", 1n]);
    assert.ok(rig.topics().includes("cairn.rpki.file.refused"));
    rig.global({});
    assert.deepEqual([rig.best(p), rig.best(q)], [undefined, "192.0.2.2"]);
  });
});

describe("ASPA", () => {
  const verified = {
    name: "aspa",
    statements: [
      { match: { aspaStates: ["invalid"] }, action: PolicyAction.REJECT },
      { action: PolicyAction.ACCEPT },
    ],
  };
  test("a path from a customer may only go up; from a provider up and down; it follows the cache", () => {
    const { rig, caches } = scene();
    rig.policy(verified);
    const cache = caches.add("one", ["aspa 65010 65002", "aspa 65011 65099"]);
    const customer = rig.peer("192.0.2.2", { import: ["aspa"], role: BgpRole.PROVIDER });
    const provider = rig.peer("192.0.2.3", { import: ["aspa"], role: BgpRole.CUSTOMER, remoteAsn: 65003 });
    customer.announce(p, { path: "65002 65010" });
    customer.announce(q, { path: "65002 65011" });
    provider.announce("203.0.113.0/24", { path: "65003 65002 65011" });
    const state = (neighbor: string, prefix: string): string => rig.shown(neighbor, prefix).aspaState;
    assert.equal(state("192.0.2.2", p), "valid");
    assert.equal(state("192.0.2.2", q), "invalid");
    assert.equal(state("192.0.2.3", "203.0.113.0/24"), "unknown");
    assert.deepEqual([rig.best(p), rig.best(q)], ["192.0.2.2", undefined]);
    caches.change(cache, ["aspa 65011 65002", "aspa 65010 65098"]);
    assert.deepEqual([rig.best(p), rig.best(q)], [undefined, "192.0.2.2"]);
    caches.change(cache, [], ["aspa 65010 65098"]);
    assert.deepEqual([rig.best(p), state("192.0.2.2", p)], ["192.0.2.2", "unknown"]);
  });
  test("the first AS must be the neighbor's, but for a route server; without a role nothing is verified", () => {
    const { rig, caches } = scene();
    caches.add("one", ["aspa 65010 65002"]);
    const plain = { enforceFirstAs: false };
    rig.peer("192.0.2.2", { ...plain, role: BgpRole.PEER }).announce(p, { path: "65009" });
    rig
      .peer("192.0.2.3", { ...plain, remoteAsn: 65003, role: BgpRole.RS_CLIENT })
      .announce(p, { path: "65009" });
    rig.peer("192.0.2.4", { ...plain, remoteAsn: 65004 }).announce(p, { path: "65004" });
    const states = [2, 3, 4].map((n) => rig.shown(`192.0.2.${n}`, p).aspaState);
    assert.deepEqual(states, ["invalid", "valid", "unknown"]);
  });
  test("best path can prefer valid paths", () => {
    const { rig, caches } = scene();
    caches.add("one", ["aspa 65010 65003", "aspa 65011 1"]);
    rig.peer("192.0.2.2", { role: BgpRole.PEER }).announce(p, { path: "65002 65011" });
    rig
      .peer("192.0.2.3", { remoteAsn: 65003, role: BgpRole.PEER })
      .announce(p, { path: "65003 65010 65010" });
    assert.equal(rig.best(p), "192.0.2.2");
    rig.global({ bestPath: { preferAspaValid: true } });
    assert.equal(rig.best(p), "192.0.2.3");
  });
});

describe("what is told", () => {
  test("lists filter by state; explanations name the VRPs that cover a route", () => {
    const { rig, caches } = scene();
    caches.add("one", [`${p} 24 65002`, "198.51.0.0/16 20 65002"]);
    rig.peer("192.0.2.2").announce([p, q, "203.0.113.0/24"]);
    const listed = (rpkiState: string): string[] => {
      const filter = create(RouteFilterSchema, { rpkiState });
      const walk = rig.view.walk({ table: "best", paths: "best" }, ipv4Unicast, filter, "");
      if (!walk.ok) assert.fail(JSON.stringify(walk.problems));
      const batch = new RouteBatch();
      while (!walk.value.next(batch, 1000, 100_000));
      return batch.routes().map(({ prefix }) => prefix);
    };
    assert.deepEqual(listed("invalid"), [q]);
    assert.deepEqual(listed("valid"), [p]);
    assert.deepEqual(listed("not-found"), ["203.0.113.0/24"]);
    const told = rig.view.explainImport("192.0.2.2", q, 0);
    assert.ok(told.ok);
    const { validation } = told.value;
    assert.equal(validation?.rpkiState, "invalid");
    assert.match(validation?.rpkiText ?? "", /AS 65002 may announce 198\.51\.0\.0\/16 up to \/20/);
    assert.deepEqual(
      validation?.covering.map(({ prefix, maxLength, asn, sources }) => [prefix, maxLength, asn, sources]),
      [["198.51.0.0/16", 20, 65002, ["one"]]],
    );
    const lookup = rig.view.rpki.lookup(p, 65009);
    assert.deepEqual([lookup.state, lookup.covering.length], ["invalid", 1]);
    assert.match(lookup.text, /only AS 65002 may announce/);
  });
  test("without any source no state is told, and nothing is computed", () => {
    const { rig } = scene();
    rig.peer("192.0.2.2", { import: ["rov"] }).announce(p);
    assert.deepEqual([rig.shown("192.0.2.2", p).rpkiState, rig.best(p)], ["", "192.0.2.2"]);
  });
});
