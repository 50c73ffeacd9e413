import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ip4Bytes, type Prefix, parseIp, parsePrefix } from "../base/ip.ts";
import { FlowStatus, type TrackedFlow } from "./netlink/conntrack-wire.ts";
import {
  matching,
  PageCollector,
  positionOf,
  rangesOf,
  type TranslationFilter,
  type TranslationRule,
} from "./translations.ts";

interface Ends {
  readonly source?: string;
  readonly destination?: string;
  readonly as?: string;
  readonly to?: string;
  readonly protocol?: number;
  readonly sourcePort?: number;
  readonly port?: number;
  readonly toPort?: number;
}

/** A flow from `source` to `destination`, which goes on as from `as` to `to`. */
function flow({ protocol = 6, sourcePort = 1000, port = 443, ...ends }: Ends): TrackedFlow {
  const { source = "10.0.0.5", destination = "203.0.113.9" } = ends;
  const { as = source, to = destination, toPort = port } = ends;
  const ip = (text: string): Uint8Array => parseIp(text)!;
  const status = (as === source ? 0 : FlowStatus.source) | (to === destination ? 0 : FlowStatus.destination);
  return {
    ...{ status, timeoutS: 1, mark: 0, zone: 0, id: 1, tcpState: 3, packets: 1, bytes: 1 },
    name: new Uint8Array(0),
    original: {
      ...{ source: ip(source), destination: ip(destination), protocol },
      ...{ sourcePort, destinationPort: port },
    },
    reply: {
      ...{ source: ip(to), destination: ip(as), protocol },
      ...{ sourcePort: toPort, destinationPort: sourcePort },
    },
  };
}

function prefix(text: string): Prefix {
  const found = parsePrefix(text);
  assert.ok(typeof found !== "string", String(found));
  return found;
}

const none = new Uint32Array(0);

function rule(name: string, given: Partial<TranslationRule>): TranslationRule {
  const any = { sources: undefined, destinations: undefined, given: undefined, ports: undefined };
  return { name, side: "source", ...any, excluded: none, protocol: 0, ...given };
}

describe("the rule of a translation", () => {
  const rules = [
    rule("web", {
      ...{ side: "destination", protocol: 6, ports: { first: 8080, last: 8089 } },
      given: rangesOf([prefix("10.0.0.5/32")]),
    }),
    rule("pool", {
      sources: rangesOf([prefix("10.0.1.0/24")]),
      given: rangesOf([prefix("203.0.113.2/32"), prefix("203.0.113.3/32")]),
    }),
    rule("out", {
      sources: rangesOf([prefix("10.0.0.0/16")]),
      excluded: rangesOf([prefix("192.168.0.0/16")]),
      given: rangesOf([prefix("203.0.113.1/32")]),
    }),
    rule("rest", {}),
  ];
  const found = (ends: Ends): string | undefined => matching(flow(ends), { filter: {}, rules })?.rule;

  it("is the first one that would translate so", () => {
    const outside = { source: "198.51.100.7", destination: "203.0.113.1", to: "10.0.0.5", toPort: 80 };
    assert.equal(found({ ...outside, port: 8080 }), "web");
    assert.equal(found({ ...outside, port: 8089 }), "web");
    assert.equal(found({ ...outside, port: 8090 }), "", "no rule forwards this port");
    assert.equal(found({ ...outside, port: 8080, protocol: 17 }), "");
    assert.equal(found({ as: "203.0.113.1" }), "out");
    assert.equal(found({ source: "10.0.1.7", as: "203.0.113.3" }), "pool");
    assert.equal(found({ source: "10.0.1.7", as: "203.0.113.1" }), "out", "not an address of the pool");
    assert.equal(found({ as: "203.0.113.1", destination: "192.168.1.1" }), "rest", "excluded");
    assert.equal(found({ source: "2001:db8::1", destination: "2001:db8::2", as: "2001:db8::3" }), "");
    const hairpin = { destination: "203.0.113.1", to: "10.0.0.5", as: "10.0.0.1", port: 8080 };
    assert.equal(found(hairpin), "web");
  });
});

describe("a filter", () => {
  const given = flow({ as: "203.0.113.1", sourcePort: 1000, port: 443 });
  const passes = (filter: TranslationFilter): boolean => matching(given, { filter, rules: [] }) !== undefined;

  it("asks for all that it says", () => {
    assert.ok(passes({}));
    for (const inside of ["10.0.0.0/24", "203.0.113.1/32", "203.0.113.9/32"]) {
      assert.ok(passes({ address: prefix(inside) }), inside);
    }
    assert.ok(!passes({ address: prefix("10.0.1.0/24") }));
    assert.ok(!passes({ address: prefix("::/0") }), "the other family");
    assert.ok(passes({ source: prefix("10.0.0.5/32"), destination: prefix("203.0.113.9/32") }));
    assert.ok(!passes({ source: prefix("203.0.113.1/32") }), "that is after translation");
    assert.ok(passes({ port: 1000 }) && passes({ port: 443 }) && !passes({ port: 444 }));
    assert.ok(passes({ protocol: 6, mark: 0 }) && !passes({ protocol: 17 }) && !passes({ mark: 1 }));
    assert.ok(!passes({ rule: "out" }));
  });
});

describe("ranges", () => {
  it("contain what their networks contain", () => {
    const network = fc
      .tuple(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 0, max: 32 }))
      .map(([address, length]) => {
        const mask = length === 0 ? 0 : (0xffff_ffff << (32 - length)) >>> 0;
        return { bytes: ip4Bytes((address & mask) >>> 0), length };
      });
    fc.assert(
      fc.property(
        fc.array(network, { maxLength: 8 }),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        (list, any) => {
          const only = rule("x", { sources: rangesOf(list) });
          for (const address of [any, ...list.map(({ bytes }) => new DataView(bytes.buffer).getUint32(0))]) {
            const source = [...ip4Bytes(address)].join(".");
            const expected = list.some(({ bytes, length }) => {
              const first = new DataView(bytes.buffer).getUint32(0);
              return address >= first && address < first + 2 ** (32 - length);
            });
            const as = source === "203.0.113.1" ? "203.0.113.2" : "203.0.113.1";
            const name = matching(flow({ source, as }), { filter: {}, rules: [only] })!.rule;
            assert.equal(name === "x", expected);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("pages", () => {
  it("have every flow once, in order, however the kernel tells them", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat({ max: 5000 }), { maxLength: 60 }),
        fc.integer({ min: 1, max: 20 }),
        fc.infiniteStream(fc.nat()),
        (ports, max, order) => {
          const all = ports.map((sourcePort) => flow({ sourcePort, as: "203.0.113.1" }));
          const told: number[] = [];
          for (let after = ""; ; ) {
            const collector = new PageCollector({ filter: {}, rules: [], after, max });
            const shuffled = all
              .map((each) => [order.next().value, each] as const)
              .sort(([a], [b]) => a - b)
              .map(([, each]) => each);
            for (const each of shuffled) collector.take(each);
            // The kernel may tell one twice.
            if (shuffled.length > 0) collector.take(shuffled[0]);
            const page = collector.page("");
            assert.ok(page.translations.length <= max);
            told.push(...page.translations.map(({ original }) => original.sourcePort));
            if (page.position === "") break;
            assert.equal(page.position, positionOf(page.translations.at(-1)!));
            after = page.position;
          }
          assert.deepEqual(
            told,
            [...ports].sort((a, b) => a - b),
          );
        },
      ),
      { numRuns: 200 },
    );
  });
});
