import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Prefix, parsePrefix, prefixContains } from "../../base/ip.ts";
import { defaultFlowChecks, type FlowOrigin, type UnicastRoutes, validateFlow } from "./validation.ts";

interface Route {
  readonly prefix: string;
  readonly originator: string;
  readonly firstAs: number;
}

function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text);
  assert.ok(typeof prefix !== "string");
  return prefix;
}

/** Best routes, looked at one by one. */
function table(...routes: Route[]): UnicastRoutes {
  const all = routes.map((route) => ({ ...route, prefix: prefixOf(route.prefix) }));
  return {
    bestMatch: (destination) =>
      all
        .filter(
          ({ prefix }) => prefix.length <= destination.length && prefixContains(prefix, destination.bytes),
        )
        .sort((a, b) => b.prefix.length - a.prefix.length)[0],
    hasMoreSpecificFrom: (destination, otherThan) =>
      all.some(
        ({ prefix, firstAs }) =>
          prefix.length > destination.length &&
          prefixContains(destination, prefix.bytes) &&
          firstAs !== otherThan,
      ),
  };
}

const customer: Route = { prefix: "192.0.2.0/24", originator: "10.0.0.1", firstAs: 64501 };

/** From the neighbor that announces the customer's prefix. */
const fromCustomer: FlowOrigin = {
  destination: prefixOf("192.0.2.1/32"),
  source: "external",
  originator: "10.0.0.1",
  isLocal: false,
  hasUnknown: false,
  firstAs: 64501,
};

/** Made by a controller of our own AS. */
const fromController: FlowOrigin = {
  ...fromCustomer,
  source: "internal",
  originator: "10.0.0.9",
  isLocal: true,
  firstAs: 0,
};

describe("RFC 8955 section 6", () => {
  it("a rule from where its destination comes from is used", () => {
    assert.equal(validateFlow(fromCustomer, table(customer)), undefined);
    const other = { ...customer, prefix: "192.0.0.0/16", originator: "10.0.0.2", firstAs: 64502 };
    assert.equal(validateFlow(fromCustomer, table(customer, other)), undefined, "the longest prefix counts");
  });

  it("a: it must have a destination, unless that is not asked for", () => {
    const origin = { ...fromCustomer, destination: undefined };
    assert.equal(validateFlow(origin, table(customer)), "no-destination");
    assert.equal(validateFlow(origin, table(), { ...defaultFlowChecks, needsDestination: false }), undefined);
  });

  it("b: there must be a route that covers it, by the same originator", () => {
    assert.equal(validateFlow(fromCustomer, table()), "no-unicast-route");
    const longer = { ...customer, prefix: "192.0.2.1/32" };
    const covering = { ...fromCustomer, destination: prefixOf("192.0.0.0/16") };
    assert.equal(validateFlow(covering, table(longer)), "no-unicast-route");
    const elsewhere = { ...customer, originator: "10.0.0.2" };
    assert.equal(validateFlow(fromCustomer, table(elsewhere)), "other-originator");
  });

  it("c: no other AS may announce a part of it", () => {
    const covering = { ...fromCustomer, destination: prefixOf("192.0.2.0/24") };
    const part = { ...customer, prefix: "192.0.2.128/25", originator: "10.0.0.2" };
    assert.equal(validateFlow(covering, table(customer, part)), undefined, "the same AS may");
    assert.equal(
      validateFlow(covering, table(customer, { ...part, firstAs: 64502 })),
      "more-specific-from-other-as",
    );
  });
});

describe("RFC 9117", () => {
  it("4.1 b.2: a rule of our own AS need not come from where its destination does", () => {
    assert.equal(validateFlow(fromController, table(customer)), undefined);
    assert.equal(validateFlow(fromController, table()), undefined);
    const strict = { ...defaultFlowChecks, trustsLocal: false };
    assert.equal(validateFlow(fromController, table(customer), strict), "other-originator");
    assert.equal(validateFlow(fromController, table(), strict), "no-unicast-route");
    assert.equal(validateFlow({ ...fromController, isLocal: false }, table(customer)), "other-originator");
  });

  it("4.1: rule c holds for it as well", () => {
    const covering = { ...fromController, destination: prefixOf("192.0.2.0/24") };
    const part = { prefix: "192.0.2.128/25", originator: "10.0.0.2", firstAs: 64502 };
    assert.equal(validateFlow(covering, table(customer, part)), "more-specific-from-other-as");
  });

  it("4.2: over an external session the first AS is that of the unicast route", () => {
    assert.equal(validateFlow({ ...fromCustomer, firstAs: 64502 }, table(customer)), "other-first-as");
    // Through a route server: it is the originator of both, and not in the paths.
    assert.equal(validateFlow(fromCustomer, table({ ...customer, firstAs: 64501 })), undefined);
    const empty = { ...fromCustomer, isLocal: true, firstAs: 0 };
    assert.equal(validateFlow(empty, table({ ...customer, firstAs: 0 })), "other-first-as");
    const internal = { ...fromCustomer, source: "internal", firstAs: 64502 } as const;
    assert.equal(validateFlow(internal, table(customer)), undefined, "only there");
  });
});

it("rules of our own are always used", () => {
  assert.equal(
    validateFlow({ ...fromController, source: "own", destination: undefined }, table()),
    undefined,
  );
});

it("RFC 8955 4.2: a component that is not known is carried inside of our AS, and not taken from others", () => {
  assert.equal(validateFlow({ ...fromCustomer, hasUnknown: true }, table(customer)), "unknown-component");
  assert.equal(validateFlow({ ...fromController, hasUnknown: true }, table(customer)), undefined);
});
