/** `test "NAME" { ... }`: a route, the chain to run it through, and what is to become of it. */
import { formatIp, parseIp, parsePrefix } from "../../base/ip.ts";
import { parseAsPath } from "../../wire/as-path-text.ts";
import { parseCommunity, parseExtendedCommunity, parseLargeCommunity } from "../../wire/community-text.ts";
import type { PathAttributes } from "../../wire/path-attributes.ts";
import { emptyAttributes } from "../../wire/path-attributes.ts";
import type { RouteType } from "../route-key.ts";
import { routeTypeNames } from "../route-key.ts";
import { shown, type TokenSource } from "./source.ts";
import { originNames } from "./vocabulary.ts";

export interface PolicyTest {
  readonly name: string;
  /** Offsets of the head, for messages. */
  readonly start: number;
  readonly end: number;
  readonly direction: "import" | "export";
  readonly chain: readonly string[];
  readonly neighbor: {
    readonly address: string;
    readonly asn: number;
    readonly peerGroup: string;
    readonly localAs: number;
  };
  readonly cases: readonly TestCase[];
}

export interface TestCase {
  /** Offsets of `given` and its `expect`. */
  readonly start: number;
  readonly end: number;
  readonly prefix: string;
  readonly routeType: RouteType;
  readonly attributes: PathAttributes;
  readonly accepted: boolean;
  /** What is to decide; undefined for whatever does. */
  readonly by: { readonly policy: string | undefined; readonly what: number | "default" | "end" } | undefined;
  /** Fields of the outcome that must be so. */
  readonly expected: ReadonlyMap<keyof PathAttributes, PathAttributes[keyof PathAttributes]>;
}

type Field = (source: TokenSource, attributes: PathAttributes) => keyof PathAttributes;

const fields: Readonly<Record<string, Field>> = {
  "as-path": (source, attributes) => {
    const token = source.string("an AS path");
    const path = parseAsPath(token.text);
    if (!path) return source.failAt(token, `"${token.text}" is not an AS path`);
    attributes.asPath = path;
    return "asPath";
  },
  "local-pref": (source, attributes) => {
    attributes.localPref = source.number("a local preference");
    return "localPref";
  },
  med: (source, attributes) => {
    attributes.med = source.accept("none") ? undefined : source.number("a MED");
    return "med";
  },
  otc: (source, attributes) => {
    attributes.otc = source.number("an AS number");
    return "otc";
  },
  origin: (source, attributes) => {
    attributes.origin = originNames.indexOf(source.oneOf(originNames, "an origin") as "igp");
    return "origin";
  },
  "next-hop": (source, attributes) => {
    const token = source.word("an address");
    const address = parseIp(token.text);
    if (!address) return source.failAt(token, `"${token.text}" is not an address`);
    attributes.nextHop = address;
    return "nextHop";
  },
  community: (source, attributes) => {
    const values: number[] = [];
    eachWord(source, (text) => {
      const value = parseCommunity(text);
      if (value === undefined) return false;
      values.push(value);
      return true;
    });
    attributes.communities = values;
    return "communities";
  },
  "large-community": (source, attributes) => {
    const values: PathAttributes["largeCommunities"] = [];
    eachWord(source, (text) => {
      const value = parseLargeCommunity(text);
      if (value) values.push(value);
      return value !== undefined;
    });
    attributes.largeCommunities = values;
    return "largeCommunities";
  },
  "extended-community": (source, attributes) => {
    const values: string[] = [];
    eachWord(source, (text) => {
      const value = parseExtendedCommunity(text);
      if (value) values.push(value);
      return value !== undefined;
    });
    attributes.extendedCommunities = values;
    return "extendedCommunities";
  },
};

function eachWord(source: TokenSource, take: (text: string) => boolean): void {
  const one = (): void => {
    const token = source.word("a community");
    if (token.text !== "none" && !take(token.text))
      source.failAt(token, `"${token.text}" is not such a community`);
  };
  if (!source.accept("(")) {
    one();
    return;
  }
  do one();
  while (source.accept(","));
  source.expect(")");
}

export function readTest(source: TokenSource): PolicyTest {
  const { start } = source.expect("test");
  const name = source.string("what is tested").text;
  const { end } = source.last;
  source.expect("{");
  let direction: "import" | "export" = "import";
  let chain: string[] | undefined;
  let neighbor = { address: "192.0.2.1", asn: 65_001, peerGroup: "", localAs: 65_000 };
  const cases: TestCase[] = [];
  while (!source.accept("}")) {
    const word = source.oneOf(["import", "export", "neighbor", "given"], "part of a test");
    if (word === "given") {
      cases.push(readCase(source));
      continue;
    }
    if (word === "neighbor") neighbor = readNeighbor(source, neighbor);
    else {
      direction = word as "import" | "export";
      chain = [];
      do chain.push(source.word("the name of a policy").text);
      while (source.accept(","));
    }
    source.expect(";");
  }
  if (!chain)
    return source.failAt(source.last, "the test does not say which policies to run: import NAME, NAME;");
  return { name, start, end, direction, chain, neighbor, cases };
}

function readNeighbor(source: TokenSource, neighbor: PolicyTest["neighbor"]): PolicyTest["neighbor"] {
  const token = source.word("an address");
  const address = parseIp(token.text);
  if (!address) return source.failAt(token, `"${token.text}" is not an address`);
  let { asn, peerGroup, localAs } = neighbor;
  for (;;) {
    if (source.accept("asn")) asn = source.number("an AS number");
    else if (source.accept("local-as")) localAs = source.number("an AS number");
    else if (source.accept("group")) peerGroup = source.word("a peer group").text;
    else return { address: formatIp(address), asn, peerGroup, localAs };
  }
}

function readCase(source: TokenSource): TestCase {
  const { start } = source.last;
  const token = source.word("a prefix");
  const prefix = parsePrefix(token.text);
  if (typeof prefix === "string") source.failAt(token, prefix);
  const attributes = emptyAttributes();
  attributes.nextHop = parseIp(token.text.includes(":") ? "2001:db8::1" : "192.0.2.1")!;
  let routeType: RouteType = 2;
  while (source.peek.text !== ";") {
    if (source.accept("type")) {
      routeType = routeTypeNames.indexOf(
        source.oneOf(routeTypeNames, "a route type") as "local",
      ) as RouteType;
    } else readField(source, attributes);
  }
  source.expect(";");
  source.expect("expect");
  const accepted = source.oneOf(["accept", "reject"], "an outcome") === "accept";
  const by = source.accept("by") ? readBy(source) : undefined;
  const wanted = emptyAttributes();
  const expected = new Map<keyof PathAttributes, PathAttributes[keyof PathAttributes]>();
  if (source.accept("with")) {
    while (source.peek.text !== ";") {
      const field = readField(source, wanted);
      expected.set(field, wanted[field]);
    }
  }
  source.expect(";");
  return {
    ...{ start, end: source.last.end, prefix: token.text, routeType, attributes },
    ...{ accepted, by, expected },
  };
}

function readField(source: TokenSource, attributes: PathAttributes): keyof PathAttributes {
  if (source.peek.kind === "end") source.fail(`here should be ";", not ${shown(source.peek)}`);
  const word = source.oneOf(Object.keys(fields), "part of a route");
  return fields[word](source, attributes);
}

/** `statement 3`, `transit-in statement 3`, `default`, `transit-in default`, `end`. */
function readBy(source: TokenSource): TestCase["by"] {
  const words = ["statement", "default", "end"];
  const policy = words.includes(source.peek.text) ? undefined : source.word("the name of a policy").text;
  const what = source.oneOf(words, "what decides");
  return {
    policy,
    what: what === "statement" ? source.number("a statement number") : (what as "default" | "end"),
  };
}
