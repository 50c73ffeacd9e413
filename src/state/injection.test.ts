import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type InjectedPath, InjectedPathSchema } from "../gen/cairn/v1/injection_service_pb.ts";
import { RouteFilterSchema } from "../gen/cairn/v1/types_pb.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { ipv4Unicast } from "../wire/family.ts";
import { Injection } from "./injection.ts";
import { type CheckedPath, checkInjectedPath } from "./injection-parse.ts";
import { pathSelector } from "./route-filter.ts";
import { Routing } from "./routing.ts";

const nobody = (): string[] => [];

function path(fields: Partial<InjectedPath>): InjectedPath {
  return create(InjectedPathSchema, { prefix: "192.0.2.0/24", ...fields } as never);
}

function checked(fields: Partial<InjectedPath> = {}): CheckedPath {
  const result = checkInjectedPath(path(fields), "path");
  assert(result.ok, JSON.stringify(result));
  return result.value;
}

suite("Injection", () => {
  test("what is put is in the table, is found again, and leaves nothing behind when dropped", () => {
    const routing = new Routing();
    const injection = new Injection(routing);
    const one = checked({
      asPathText: "64500 64501",
      med: 5,
      communities: ["64500:1"],
      owner: "me",
    });
    assert(!injection.isPresent(one));
    injection.put(one, 1000, 0, "alice");
    injection.put(checked({ pathId: 7 }), 1000, 0, "alice");
    assert(injection.isPresent(one));
    assert(!injection.isPresent(checked({ asPathText: "64500 64501", owner: "me" })), "another MED");
    assert.equal(injection.count, 2);
    const { paths, total } = injection.list("me", undefined, () => true, "", 10, 2000, nobody);
    assert.equal(total, 2);
    assert.deepEqual(
      paths.map(({ path, principal }) => [
        path?.prefix,
        path?.med,
        path?.communities,
        path?.nextHop,
        principal,
      ]),
      [["192.0.2.0/24", 5, ["64500:1"], "", "alice"]],
    );
    assert(injection.receipt("192.0.2.0/24", 0, true, nobody).accepted);
    assert(injection.drop("192.0.2.0/24", 0) && injection.drop("192.0.2.0/24", 7));
    assert(!injection.drop("192.0.2.0/24", 0));
    assert.equal(injection.count, 0);
    assert.equal(routing.attributes.count, 0);
  });

  test("a filter selects among the injected paths", () => {
    const routing = new Routing();
    const injection = new Injection(routing);
    injection.put(checked({ prefix: "10.1.0.0/16", communities: ["64500:7"] }), 0, 0, "");
    injection.put(checked({ prefix: "10.2.0.0/16" }), 0, 0, "");
    const listed = (filter: MessageInitShape<typeof RouteFilterSchema>): (string | undefined)[] => {
      const selector = pathSelector(routing, ipv4Unicast, create(RouteFilterSchema, filter));
      assert(selector.ok);
      const selects = (_: RouteTable, path: number): boolean => selector.value(path);
      const { paths } = injection.list("", ipv4Unicast, selects, "", 10, 0, nobody);
      return paths.map(({ path }) => path?.prefix);
    };
    assert.deepEqual(listed({}), ["10.1.0.0/16", "10.2.0.0/16"]);
    assert.deepEqual(listed({ prefix: "10.1.0.0/16" }), ["10.1.0.0/16"]);
    assert.deepEqual(listed({ prefix: "10.0.0.0/8" }), []);
    assert.deepEqual(listed({ prefix: "10.0.0.0/8", longer: true }), ["10.1.0.0/16", "10.2.0.0/16"]);
    assert.deepEqual(listed({ communities: ["64500:7"] }), ["10.1.0.0/16"]);
    assert.deepEqual(listed({ neighbor: "192.0.2.9" }), []);
    assert(!pathSelector(routing, ipv4Unicast, create(RouteFilterSchema, { prefix: "10.0.0.1/8" })).ok);
  });

  test("pages go on where the last one ended", () => {
    const injection = new Injection(new Routing());
    for (let i = 0; i < 10; i++) injection.put(checked({ prefix: `10.${i}.0.0/16` }), 0, 0, "");
    injection.put(checked({ prefix: "2001:db8::/32" }), 0, 0, "");
    const seen: (string | undefined)[] = [];
    let position = "";
    do {
      const page = injection.list("", undefined, () => true, position, 3, 0, nobody);
      assert.equal(page.total, 11);
      seen.push(...page.paths.map(({ path }) => path?.prefix));
      position = page.position;
    } while (position !== "");
    assert.equal(new Set(seen).size, 11);
    assert.equal(seen.length, 11);
  });

  test("a path whose time is over is named until it is gone; one that was put anew is not", () => {
    const injection = new Injection(new Routing());
    const put = (prefix: string, expires: number): void => injection.put(checked({ prefix }), 0, expires, "");
    put("10.1.0.0/16", 1000);
    put("10.2.0.0/16", 1000);
    put("10.2.0.0/16", 90_000);
    assert.equal(injection.nextExpiry(), 1000);
    assert.deepEqual(injection.due(999, 10), []);
    const due = [{ prefix: "10.1.0.0/16", pathId: 0 }];
    assert.deepEqual(injection.due(1000, 10), due);
    assert.deepEqual(injection.due(1001, 10), [], "its retraction is on the way");
    assert.deepEqual(injection.due(20_000, 10), due, "the retraction failed");
    injection.drop("10.1.0.0/16", 0);
    assert.deepEqual(injection.due(60_000, 10), []);
    assert.equal(injection.nextExpiry(), 90_000);
  });

  test("what expired while the daemon was down is not loaded", () => {
    const injection = new Injection(new Routing());
    const rows = [1, 2].map((i) => injection.stored(checked(), path({ prefix: `10.${i}.0.0/16` }), 0, ""));
    const stored = rows.map((row, i) => ({
      ...row,
      prefix: `10.${i + 1}.0.0/16`,
      expires: i === 0 ? 500 : 0,
    }));
    assert.deepEqual(injection.load(stored, 1000), [{ prefix: "10.1.0.0/16", pathId: 0 }]);
    assert.deepEqual([injection.has("10.1.0.0/16", 0), injection.has("10.2.0.0/16", 0)], [false, true]);
  });

  test("all that is wrong with a path is told at once", () => {
    const result = checkInjectedPath(
      path({ prefix: "10.0.0.1/8", nextHop: "::1", asPathText: "x", owner: "o".repeat(64) }),
      "add[3]",
    );
    assert(!result.ok);
    const fields = result.problems.map((problem) => problem.path);
    assert.deepEqual(fields, ["add[3].prefix", "add[3].next_hop", "add[3].as_path_text", "add[3].owner"]);
  });
});
