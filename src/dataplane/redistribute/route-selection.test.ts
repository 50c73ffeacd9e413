import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { formatPrefix, parsePrefix } from "../../base/ip.ts";
import type { KernelRoute, RouteType } from "../kernel-model.ts";
import type { RouteNews, RouteScope } from "./messages.ts";
import { isTaken, RouteSelection } from "./route-selection.ts";

const scope: RouteScope = {
  ...{ id: 3, table: 254, protocols: [4], ipv4: true, ipv6: true, defaultRoute: false, max: 100 },
};

function route(prefix: string, more: Partial<KernelRoute> = {}): KernelRoute {
  const destination = parsePrefix(prefix);
  assert.ok(typeof destination !== "string", prefix);
  return {
    ...{
      destination,
      table: 254,
      protocol: 4,
      metric: 0,
      type: "unicast",
      nextHopObject: 0,
      source: undefined,
    },
    hops: [{ link: 2, gateway: undefined, weight: 1, dead: false }],
    ...more,
  };
}

function told(news: RouteNews | undefined): unknown {
  return (
    news && {
      all: news.all,
      changed: news.changed.map(({ destination, metric }) => `${formatPrefix(destination)} ${metric}`),
      gone: news.gone,
      over: news.over,
    }
  );
}

describe("the kernel's routes for BGP", () => {
  it("are those of the table and the protocols that are asked for, and never cairn's own", () => {
    const takes = (prefix: string, more: Partial<KernelRoute>, of: Partial<RouteScope> = {}): boolean =>
      isTaken(route(prefix, more), { ...scope, ...of });
    assert.ok(takes("10.0.0.0/8", {}));
    assert.ok(!takes("10.0.0.0/8", { table: 100 }));
    assert.ok(!takes("10.0.0.0/8", { protocol: 16 }));
    assert.ok(takes("10.0.0.0/8", { protocol: 16 }, { protocols: [] }));
    for (const protocol of [67, 68]) {
      assert.ok(!takes("10.0.0.0/8", { protocol }, { protocols: [] }));
      assert.ok(!takes("10.0.0.0/8", { protocol }, { protocols: [protocol] }));
    }
  });

  it("lead somewhere, or are dropped here on purpose", () => {
    const takes = (more: Partial<KernelRoute>): boolean => isTaken(route("10.0.0.0/8", more), scope);
    for (const type of ["blackhole", "unreachable", "prohibit"] as const)
      assert.ok(takes({ type, hops: [] }));
    for (const type of ["local", "broadcast", "multicast", "throw"] as RouteType[])
      assert.ok(!takes({ type }));
    const dead = { link: 2, gateway: undefined, weight: 1, dead: true };
    assert.ok(!takes({ hops: [dead] }));
    assert.ok(takes({ hops: [dead, { ...dead, dead: false }] }));
    assert.ok(takes({ hops: [], nextHopObject: 9 }));
  });

  it("mean something to others", () => {
    for (const prefix of ["127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "fe80::/64", "ff00::/8", "::1/128"])
      assert.ok(!isTaken(route(prefix), scope), prefix);
    for (const prefix of ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "fd00::/8"])
      assert.ok(isTaken(route(prefix), scope), prefix);
    for (const prefix of ["0.0.0.0/0", "::/0"]) {
      assert.ok(!isTaken(route(prefix), scope), prefix);
      assert.ok(isTaken(route(prefix), { ...scope, defaultRoute: true }), prefix);
    }
    assert.ok(!isTaken(route("10.0.0.0/8"), { ...scope, ipv4: false }));
    assert.ok(!isTaken(route("2001:db8::/32"), { ...scope, ipv6: false }));
  });

  it("are told once, then only what is different", () => {
    const selection = new RouteSelection(scope);
    const [a, b] = [route("10.0.0.0/8"), route("10.1.0.0/16")];
    assert.deepEqual(told(selection.update([a])), {
      all: true,
      changed: ["10.0.0.0/8 0"],
      gone: [],
      over: 0,
    });
    assert.equal(selection.update([a]), undefined);
    assert.deepEqual(told(selection.update([b, a])), {
      ...{ all: false, changed: ["10.1.0.0/16 0"], gone: [], over: 0 },
    });
    const moved = route("10.1.0.0/16", { hops: [{ ...b.hops[0], link: 5 }] });
    assert.deepEqual(told(selection.update([moved])), {
      ...{ all: false, changed: ["10.1.0.0/16 0"], gone: ["10.0.0.0/8"], over: 0 },
    });
  });

  it("are those that the kernel uses: of several to a prefix that with the lowest metric that is alive", () => {
    const selection = new RouteSelection(scope);
    const dead = { hops: [{ link: 2, gateway: undefined, weight: 1, dead: true }] };
    const routes = [30, 20, 40].map((metric) => route("10.0.0.0/8", { metric }));
    assert.deepEqual(told(selection.update([...routes, route("10.0.0.0/8", { metric: 10, ...dead })])), {
      ...{ all: true, changed: ["10.0.0.0/8 20"], gone: [], over: 0 },
    });
  });

  it("keep their places at the bound; who waits comes when one goes", () => {
    const selection = new RouteSelection({ ...scope, max: 2 });
    const [a, b, c] = ["10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16"].map((prefix) => route(prefix));
    selection.update([b, c]);
    assert.deepEqual(told(selection.update([a, b, c])), { all: false, changed: [], gone: [], over: 1 });
    assert.deepEqual(told(selection.update([a, c])), {
      ...{ all: false, changed: ["10.0.0.0/16 0"], gone: ["10.1.0.0/16"], over: 0 },
    });
  });

  it("come to the same, however often one looks", () => {
    const any = fc.record({
      prefix: fc.integer({ min: 0, max: 15 }),
      metric: fc.integer({ min: 0, max: 3 }),
      protocol: fc.constantFrom(2, 4, 68),
      link: fc.integer({ min: 1, max: 3 }),
    });
    const looks = fc.array(fc.array(any, { maxLength: 20 }), { maxLength: 12 });
    fc.assert(
      fc.property(looks, fc.integer({ min: 1, max: 8 }), (tables, max) => {
        const selection = new RouteSelection({ ...scope, max });
        const held = new Map<string, KernelRoute>();
        for (const table of tables) {
          const routes = table.map(({ prefix, metric, protocol, link }) =>
            route(`10.${prefix}.0.0/16`, {
              ...{ metric, protocol, hops: [{ link, gateway: undefined, weight: 1, dead: false }] },
            }),
          );
          const news = selection.update(routes);
          for (const prefix of news?.gone ?? []) assert.ok(held.delete(prefix), prefix);
          for (const each of news?.changed ?? []) held.set(formatPrefix(each.destination), each);
          const taken = routes.filter(({ protocol }) => protocol === 4);
          const prefixes = new Set(taken.map(({ destination }) => formatPrefix(destination)));
          assert.equal(held.size, Math.min(max, prefixes.size));
          if (news) assert.equal(news.over, Math.max(0, prefixes.size - max));
          for (const [prefix, { metric }] of held) {
            const same = taken.filter(({ destination }) => formatPrefix(destination) === prefix);
            assert.equal(metric, Math.min(...same.map((each) => each.metric)));
          }
        }
      }),
      { numRuns: Number(process.env.CAIRN_SELECTION_RUNS ?? 500) },
    );
  });
});
