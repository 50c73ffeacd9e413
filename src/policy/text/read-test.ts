/** `test "NAME" { ... }`: routes, the chain to run them through, and what is to become of them. */
import { create } from "@bufbuild/protobuf";
import {
  PolicyAction,
  PolicyDirection,
  type PolicyTest,
  type PolicyTestCase,
  PolicyTestCaseSchema,
  type PolicyTestNeighbor,
  PolicyTestNeighborSchema,
  type PolicyTestRoute,
  PolicyTestRouteSchema,
  PolicyTestSchema,
} from "../../gen/cairn/v1/policy_service_pb.ts";
import type { Origin } from "../../gen/cairn/v1/types_pb.ts";
import type { Spans, TokenSource } from "./source.ts";
import { originNames, testNumbers, testWords } from "./vocabulary.ts";

/** Reads a test. @param path of the test in its policy, for the places of its cases */
export function readTest(source: TokenSource, path: string, spans: Spans): PolicyTest {
  const { start } = source.expect("test");
  const test = create(PolicyTestSchema, { name: source.string("what is tested").text });
  spans.set(path, { start, end: source.last.end });
  source.expect("{");
  while (!source.accept("}")) {
    const { start: from } = source.peek;
    const word = source.oneOf(["import", "export", "neighbor", "given"], "part of a test");
    if (word === "given") {
      const at = `${path}.cases[${test.cases.length}]`;
      test.cases.push(readCase(source, at, spans));
      spans.set(at, { start: from, end: source.last.end });
      continue;
    }
    if (word === "neighbor") test.neighbor = readNeighbor(source);
    else {
      test.direction = word === "export" ? PolicyDirection.EXPORT : PolicyDirection.IMPORT;
      test.chain = [];
      while (source.peek.text !== ";") {
        const name = source.word("the name of a policy");
        spans.set(`${path}.chain[${test.chain.length}]`, name);
        test.chain.push(name.text);
        if (!source.accept(",")) break;
      }
    }
    source.expect(";");
  }
  return test;
}

function readNeighbor(source: TokenSource): PolicyTestNeighbor {
  const neighbor = create(PolicyTestNeighborSchema);
  while (source.peek.text !== ";") {
    if (source.accept("asn")) neighbor.asn = source.number("an AS number");
    else if (source.accept("local-as")) neighbor.localAsn = source.number("an AS number");
    else if (source.accept("group")) neighbor.peerGroup = source.word("a peer group").text;
    else if (neighbor.address === "") neighbor.address = source.word("an address").text;
    else source.fail("here should be asn, local-as, group or ;");
  }
  return neighbor;
}

function readCase(source: TokenSource, path: string, spans: Spans): PolicyTestCase {
  const given = create(PolicyTestRouteSchema);
  const prefix = source.word("a prefix");
  spans.set(`${path}.given.prefix`, prefix);
  given.prefix = prefix.text;
  while (source.peek.text !== ";") readField(source, given, `${path}.given`, spans);
  source.expect(";");
  source.expect("expect");
  const verdict = source.oneOf(["accept", "reject"], "an outcome");
  const expect = verdict === "accept" ? PolicyAction.ACCEPT : PolicyAction.REJECT;
  const found = create(PolicyTestCaseSchema, { given, expect });
  if (source.accept("by")) found.by = readBy(source);
  if (source.accept("with")) {
    found.with ??= create(PolicyTestRouteSchema);
    while (source.peek.text !== ";" && source.peek.text !== "without") {
      readField(source, found.with, `${path}.with`, spans);
    }
  }
  if (source.accept("without")) {
    const result = (found.with ??= create(PolicyTestRouteSchema));
    eachWord(source, "an attribute", (text, place) => {
      spans.set(`${path}.with.absent[${result.absent.length}]`, place);
      result.absent.push(text);
    });
  }
  source.expect(";");
  return found;
}

function readField(source: TokenSource, route: PolicyTestRoute, path: string, spans: Spans): void {
  const token = source.peek;
  const known = ["as-path", "origin", "next-hop", "community", "discard"];
  const numbers = testNumbers.map(({ keyword }) => keyword);
  const words = testWords.map(({ keyword }) => keyword);
  const word = source.oneOf([...known, ...numbers, ...words], "part of a route");
  const number = testNumbers.find(({ keyword }) => keyword === word);
  const text = testWords.find(({ keyword }) => keyword === word);
  const placed = (field: string): void => {
    spans.set(`${path}.${field}`, { start: token.start, end: source.last.end });
  };
  if (number) {
    route[number.field] = source.number(`a value of ${word}`);
  } else if (text) {
    route[text.field] = source.word(`a value of ${word}`).text;
    placed(text.name);
  } else if (word === "as-path") {
    route.asPath = source.string("an AS path").text;
    placed("as_path");
  } else if (word === "origin") {
    route.origin = (originNames.indexOf(source.oneOf(originNames, "an origin") as "igp") + 1) as Origin;
  } else if (word === "next-hop") {
    route.nextHop = source.word("an address").text;
    placed("next_hop");
  } else if (word === "discard") {
    route.discard = source.oneOf(["yes", "no"], "yes or no") === "yes";
  } else {
    eachWord(source, "a community", (community, place) => {
      spans.set(`${path}.communities[${route.communities.length}]`, place);
      route.communities.push(community);
    });
  }
}

/** One word, or several in parentheses. */
function eachWord(
  source: TokenSource,
  what: string,
  take: (text: string, place: { start: number; end: number }) => void,
): void {
  const one = (): void => {
    const token = source.word(what);
    take(token.text, { start: token.start, end: token.end });
  };
  if (!source.accept("(")) {
    one();
    return;
  }
  do one();
  while (source.accept(","));
  source.expect(")");
}

/** `statement 3`, `statement bogons`, `transit-in statement 3`, `default`, `transit-in default`, `end`. */
function readBy(source: TokenSource): string {
  const words = ["statement", "default", "end"];
  const policy = words.includes(source.peek.text) ? "" : `${source.word("the name of a policy").text} `;
  const what = source.oneOf(words, "what decides");
  if (what !== "statement") return `${policy}${what}`;
  return `${policy}statement ${source.word("the number or name of a statement").text}`;
}
