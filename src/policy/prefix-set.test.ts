import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatIp, formatIp4, maskBytes, parsePrefix, prefixContains } from "../base/ip.ts";
import { seededRandom } from "../base/random.ts";
import { ipv4Unicast, ipv6Unicast } from "../wire/family.ts";
import type { PrefixBounds } from "./prefix-set.ts";
import { compilePrefixSet, lengthRange } from "./prefix-set.ts";
import { formatRoute, RouteKey } from "./route-key.ts";

function routeOf(text: string): RouteKey {
  const prefix = parsePrefix(text);
  assert.ok(typeof prefix !== "string");
  return new RouteKey().setNlri(
    prefix.bytes.length === 4 ? ipv4Unicast : ipv6Unicast,
    prefix.bytes,
    0,
    prefix.length,
  );
}

test("exact, ge, le and both", () => {
  const table: [rule: PrefixBounds, route: string, matches: boolean][] = [
    [{ prefix: "10.0.0.0/8" }, "10.0.0.0/8", true],
    [{ prefix: "10.0.0.0/8" }, "10.0.0.0/9", false],
    [{ prefix: "10.0.0.0/8" }, "0.0.0.0/0", false],
    [{ prefix: "10.0.0.0/8", le: 24 }, "10.0.0.0/8", true],
    [{ prefix: "10.0.0.0/8", le: 24 }, "10.1.2.0/24", true],
    [{ prefix: "10.0.0.0/8", le: 24 }, "10.1.2.0/25", false],
    [{ prefix: "10.0.0.0/8", ge: 24 }, "10.1.0.0/16", false],
    [{ prefix: "10.0.0.0/8", ge: 24 }, "10.1.2.3/32", true],
    [{ prefix: "10.0.0.0/8", ge: 24, le: 25 }, "10.1.2.0/26", false],
    [{ prefix: "0.0.0.0/0" }, "0.0.0.0/0", true],
    [{ prefix: "0.0.0.0/0", le: 32 }, "255.255.255.255/32", true],
    [{ prefix: "0.0.0.0/0", le: 32 }, "::/0", false],
    [{ prefix: "::/0", ge: 49 }, "2001:db8::/48", false],
    [{ prefix: "::/0", ge: 49 }, "2001:db8::/49", true],
    [{ prefix: "2001:db8::/32", le: 128 }, "2001:db8::1/128", true],
    [{ prefix: "2001:db8::/32", le: 128 }, "2001:db9::1/128", false],
  ];
  for (const [rule, route, matches] of table) {
    assert.equal(
      compilePrefixSet([rule]).matches(routeOf(route)),
      matches,
      `${JSON.stringify(rule)} ${route}`,
    );
  }
  assert.equal(formatRoute(routeOf("2001:db8::/33")), "2001:db8::/33");
  assert.equal(formatRoute(routeOf("203.0.113.0/24")), "203.0.113.0/24");
});

/** Prefixes crowded into a small space, so that they nest and repeat. */
const prefixes = fc
  .oneof(
    fc.tuple(
      fc.constantFrom(4, 16),
      fc.array(fc.constantFrom(0, 1, 128, 192, 255), { minLength: 16, maxLength: 16 }),
    ),
  )
  .chain(([size, bytes]) =>
    fc.integer({ min: 0, max: size * 8 }).map((length) => {
      const address = Uint8Array.from(bytes.slice(0, size));
      maskBytes(address, length);
      return { text: `${formatIp(address)}/${length}`, bits: size * 8, length };
    }),
  );
const rules = prefixes.chain(({ text, bits, length }) =>
  fc
    .tuple(
      fc.option(fc.integer({ min: length, max: bits })),
      fc.option(fc.integer({ min: length, max: bits })),
    )
    .map(([a, b]): PrefixBounds => {
      if (a === null || b === null) return { prefix: text, ge: a ?? undefined, le: b ?? undefined };
      return { prefix: text, ge: Math.min(a, b), le: Math.max(a, b) };
    }),
);

test("agrees with asking every rule", () => {
  const run = (set: PrefixBounds[], routes: { text: string }[]): void => {
    const compiled = compilePrefixSet(set);
    for (const { text } of routes) {
      const route = parsePrefix(text);
      assert.ok(typeof route !== "string");
      const naive = set.some((rule) => {
        const prefix = parsePrefix(rule.prefix);
        assert.ok(typeof prefix !== "string");
        const [from, to] = lengthRange(rule, prefix.length, prefix.bytes.length * 8);
        const inside = prefix.length <= route.length && prefixContains(prefix, route.bytes);
        return inside && route.length >= from && route.length <= to;
      });
      assert.equal(compiled.matches(routeOf(text)), naive, text);
    }
  };
  fc.assert(
    fc.property(fc.array(rules, { maxLength: 60 }), fc.array(prefixes, { maxLength: 30 }), (set, routes) =>
      run(set, [...routes, ...set.map((rule) => ({ text: rule.prefix }))]),
    ),
    { numRuns: 300 },
  );
});

test("bits after the length in NLRI are ignored", () => {
  const set = compilePrefixSet([{ prefix: "10.128.0.0/9" }]);
  assert.equal(set.matches(new RouteKey().setNlri(ipv4Unicast, Uint8Array.of(10, 255), 0, 9)), true);
});

test("100,000 rules take at most 20 MB", () => {
  const random = seededRandom(4);
  const many: PrefixBounds[] = [];
  for (let i = 0; i < 50_000; i++) {
    const length = 16 + Math.floor(random() * 9);
    const address = (Math.floor(random() * 2 ** length) * 2 ** (32 - length)) >>> 0;
    many.push({ prefix: `${formatIp4(address)}/${length}`, le: 24 });
    const group = (): string => Math.floor(random() * 65_536).toString(16);
    many.push({ prefix: `2001:${group()}:${group()}::/48`, le: 64 });
  }
  const set = compilePrefixSet(many);
  assert.ok(set.size > 90_000);
  assert.ok(set.bytes <= 20_000_000, `${set.bytes} bytes`);
  assert.ok(set.bytes / set.size <= 40, `${set.bytes / set.size} bytes per rule`);
});
