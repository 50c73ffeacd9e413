/** The policies shipped in config/policies: their own tests, and a route server with three members that runs them. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { layOut } from "../src/policy/text/layout.ts";
import { checkPolicyText } from "../src/policy/text/load.ts";
import { parsePolicyText } from "../src/policy/text/parse.ts";
import { CoreRig, type Peer } from "./rfc/core-rig.ts";
import type { RouteText } from "./rfc/wire-text.ts";

const folder = path.join(import.meta.dirname, "../config/policies");
const files = globSync("*.policy", { cwd: folder }).sort();
const read = (file: string): string => readFileSync(path.join(folder, file), "utf8");

for (const file of files) {
  test(`${file} is good, passes its tests and looks canonical`, () => {
    const text = read(file);
    const others = files.filter((other) => other < file).map(read);
    const { errors, warnings, failures, cases } = checkPolicyText(text, others);
    assert.deepEqual({ errors, warnings, failures }, { errors: [], warnings: [], failures: [] });
    assert.ok(cases > 20);
    assert.equal(layOut(text), text);
  });
}

test("the policies in the documentation do what it says of them", () => {
  let cases = 0;
  for (const page of ["policy.md", "ixp.md"]) {
    const text = readFileSync(path.join(folder, "../../docs", page), "utf8");
    for (const [, block] of text.matchAll(/^```\n((?:policy|prefix-set|test) [^`]*)^```$/gm)) {
      // A test that stands alone needs a policy to belong to.
      const whole = block.startsWith("test") ? `policy shown { }\n${block}` : block;
      const checked = checkPolicyText(whole, files.map(read));
      const { errors, warnings, failures } = checked;
      assert.deepEqual({ errors, warnings, failures }, { errors: [], warnings: [], failures: [] }, block);
      cases += checked.cases;
    }
  }
  assert.ok(cases >= 5, `${cases} cases`);
});

/** Members with the AS numbers 100, 200 and 210000 of route server 50000. */
class Exchange {
  readonly rig = new CoreRig({ asn: 50_000 });
  readonly members: Readonly<Record<string, Peer>>;

  constructor() {
    const objects = files.flatMap((file) => parsePolicyText(read(file)).objects);
    this.rig.mutate(...objects.map(({ kind, spec }) => ({ op: "put", kind, spec }) as const));
    const member = (address: string, remoteAsn: number): Peer =>
      this.rig.peer(address, {
        remoteAsn,
        routeServerClient: true,
        import: ["ixp-in", "accept-all"],
        export: ["ixp-out", "ixp-scrub", "accept-all"],
      });
    this.members = {
      "100": member("192.0.2.10", 100),
      "200": member("192.0.2.20", 200),
      "210000": member("192.0.2.21", 210_000),
    };
  }

  /** The paths under which a route of member 100 reaches the others; "" where it does not. */
  reach(route: RouteText): Record<string, string> {
    const prefix = "193.0.0.0/21";
    const [from, ...others] = Object.values(this.members);
    from.announce(prefix, route);
    const paths = others.map((to) => [String(to.asn), to.has(prefix) ? (to.route(prefix).path ?? "") : ""]);
    from.withdraw(prefix);
    return Object.fromEntries(paths);
  }
}

test("members say by communities who gets their routes", () => {
  const exchange = new Exchange();
  const both = { "200": "100", "210000": "100" };
  const cases: [communities: string, large: string, reach: Record<string, string>][] = [
    ["", "", both],
    ["50000:50000", "", both],
    ["0:200", "", { "200": "", "210000": "100" }],
    ["", "50000:0:200", { "200": "", "210000": "100" }],
    ["", "50000:0:210000", { "200": "100", "210000": "" }],
    ["0:50000", "", { "200": "", "210000": "" }],
    ["0:50000 50000:200", "", { "200": "100", "210000": "" }],
    ["0:50000", "50000:1:210000", { "200": "", "210000": "100" }],
    ["", "50000:0:0 50000:1:200", { "200": "100", "210000": "" }],
    ["65501:200", "", { "200": "100 100", "210000": "100" }],
    ["65502:50000", "50000:103:210000", { "200": "100 100 100", "210000": "100 100 100 100" }],
    ["0:13392", "", both],
  ];
  for (const [communities, largeCommunities, reach] of cases) {
    const told = {
      ...(communities ? { communities } : {}),
      ...(largeCommunities ? { large: large(largeCommunities) } : {}),
    };
    assert.deepEqual(exchange.reach(told), reach, `${communities} ${largeCommunities}`);
  }
});

test("what members should not announce stays where it is, and is told why", () => {
  const { rig, members } = new Exchange();
  const from = members["100"];
  const cases: [prefix: string, route: RouteText, reason: RegExp][] = [
    ["0.0.0.0/0", {}, /no-bogons, statement 1 \(default-route\)/],
    ["10.0.0.0/8", {}, /no-bogons, statement 2 \(bogon\)/],
    ["193.0.0.0/25", {}, /length-limits, statement 1/],
    ["193.0.8.0/24", { path: "100 64512" }, /no-bogon-asns/],
    ["193.0.9.0/24", { path: "100 3356 7" }, /no-transit-leaks/],
    ["193.0.10.0/24", { path: "7 100" }, /first AS is not the neighbor's/],
  ];
  for (const [prefix, route, reason] of cases) {
    from.announce(prefix, route);
    assert.match(rig.rejection("192.0.2.10", prefix) ?? "not held", reason, prefix);
    assert.equal(members["200"].has(prefix), false);
  }
});

test("communities of the route server end there, and a blackhole goes no further than the members", () => {
  const { members } = new Exchange();
  const [from, to] = Object.values(members);
  from.announce("193.0.0.0/21", {
    communities: "100:7 0:300 65501:300",
    large: large("50000:0:300 100:1:1"),
  });
  const route = to.route("193.0.0.0/21");
  assert.deepEqual([route.communities, route.large], ["100:7", large("100:1:1")]);
  assert.equal(route.nextHop, "192.0.2.10");
  from.announce("193.0.0.1/32", { communities: "50000:666" });
  assert.equal(to.route("193.0.0.1/32").communities, "65535:666 65535:65281");
});

/** Large communities as they stand on the wire, in hexadecimal. */
function large(text: string): string {
  const digits = (number: string): string => Number(number).toString(16).padStart(8, "0");
  return text
    .split(" ")
    .map((community) => community.split(":").map(digits).join(""))
    .join(" ");
}
