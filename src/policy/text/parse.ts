/**
 * The policy language: sets, policies and their tests, to the model of the API. All errors of a text are told at once:
 * after one, reading goes on at the next statement. The text form is described in docs/policy.md.
 */
import { create, type Message } from "@bufbuild/protobuf";
import {
  AsnSetSpecSchema,
  AsPathSetSpecSchema,
  CommunitySetSpecSchema,
  NeighborSetSpecSchema,
  NextHopSetSpecSchema,
  PolicyAction,
  type PolicySpec,
  PolicySpecSchema,
  PrefixSetSpecSchema,
  type Statement,
} from "../../gen/cairn/v1/policy_service_pb.ts";
import { placeOf, type TextError, tokenize } from "./lexer.ts";
import { StatementReader } from "./read-statement.ts";
import { readTest } from "./read-test.ts";
import { readPrefixRule, type Spans, SyntaxFault, TokenSource } from "./source.ts";

/** An object of the text, with where it and its parts stand. */
export interface TextObject {
  readonly kind: string;
  readonly name: string;
  readonly spec: Message;
  /** Offsets by path inside the spec: "", `statements[3]`, `prefixes[0]`. */
  readonly spans: Spans;
}

export interface ParsedText {
  /** In the order of the text. A test is part of the policy that stands before it. */
  readonly objects: readonly TextObject[];
  readonly errors: readonly TextError[];
}

const errorsMax = 100;

export function parsePolicyText(text: string): ParsedText {
  const errors: TextError[] = [];
  const error = (start: number, end: number, message: string): void => {
    if (errors.length < errorsMax) errors.push({ ...placeOf(text, start), message, start, end });
  };
  const source = new TokenSource(tokenize(text, error), error);
  const objects: TextObject[] = [];
  let policy: TextObject | undefined;
  const seen = new Set<string>();
  while (source.peek.kind !== "end") {
    const before = source.at;
    try {
      const word = source.peek;
      if (word.text === "test") {
        if (!policy) source.fail("a test stands after the policy that it tests");
        const { tests } = policy!.spec as PolicySpec;
        tests.push(readTest(source, `tests[${tests.length}]`, policy!.spans));
      } else {
        const object = readObject(source);
        if (object.kind === "Policy") policy = object;
        const id = `${object.kind}/${object.name}`;
        if (seen.has(id)) error(word.start, word.end, `${id} stands here a second time`);
        seen.add(id);
        objects.push(object);
      }
    } catch (fault) {
      if (!(fault instanceof SyntaxFault)) throw fault;
      source.skipTo(before, topWords);
    }
  }
  errors.sort((a, b) => a.start - b.start);
  return { objects, errors };
}

const topWords = [
  ...[
    "policy",
    "test",
    "prefix-set",
    "as-path-set",
    "community-set",
    "neighbor-set",
    "asn-set",
    "next-hop-set",
  ],
];

function readObject(source: TokenSource): TextObject {
  const begin = source.peek.start;
  const word = source.oneOf(topWords, "a policy, a set or a test");
  const token = source.word("a name");
  const name = token.text;
  if (!/^[A-Za-z0-9._-]{1,63}$/.test(name)) {
    source.failAt(token, `"${name}" is not a name: letters, digits, dot, dash and underscore; 1 to 63`);
  }
  const spans: Spans = new Map([["", { start: begin, end: source.last.end }]]);
  if (word === "policy") return { kind: "Policy", name, spec: readPolicy(source, name, spans), spans };
  const { kind, spec } = readSet(source, word, name, spans);
  return { kind, name, spec, spans };
}

function readPolicy(source: TokenSource, name: string, spans: Spans): Message {
  const statements: Statement[] = [];
  let description = "";
  let defaultAction: PolicyAction = PolicyAction.UNSPECIFIED;
  source.expect("{");
  const reader = new StatementReader(source, spans);
  while (!source.accept("}")) {
    const before = source.at;
    const { start } = source.peek;
    if (source.peek.kind === "end") source.fail(`policy ${name} has no closing brace`);
    try {
      if (source.accept("description")) {
        description = source.string("the description").text;
        source.expect(";");
      } else if (source.accept("default")) {
        const verdict = source.oneOf(["accept", "reject"], "a default action");
        defaultAction = verdict === "accept" ? PolicyAction.ACCEPT : PolicyAction.REJECT;
        source.expect(";");
        if (source.peek.text !== "}") source.fail("default comes last");
      } else {
        statements.push(reader.statement(`statements[${statements.length}]`));
        spans.set(`statements[${statements.length - 1}]`, { start, end: source.last.end });
      }
    } catch (fault) {
      if (!(fault instanceof SyntaxFault)) throw fault;
      source.skipStatement(before);
    }
  }
  return create(PolicySpecSchema, { name, statements, description, defaultAction });
}

function readSet(
  source: TokenSource,
  word: string,
  name: string,
  spans: Spans,
): { kind: string; spec: Message } {
  const entries = <T>(field: string, read: () => T): T[] => {
    const values: T[] = [];
    source.expect("{");
    while (!source.accept("}")) {
      const { start } = source.peek;
      values.push(read());
      spans.set(`${field}[${values.length - 1}]`, { start, end: source.last.end });
      if (!source.accept(";") && source.peek.text !== "}") source.expect(";");
    }
    return values;
  };
  const words = (field: string, what: string): string[] => entries(field, () => source.word(what).text);
  switch (word) {
    case "prefix-set": {
      const prefixes = entries("prefixes", () => readPrefixRule(source));
      return { kind: "PrefixSet", spec: create(PrefixSetSpecSchema, { name, prefixes }) };
    }
    case "as-path-set": {
      const patterns = entries("patterns", () => source.string("an expression").text);
      return { kind: "AsPathSet", spec: create(AsPathSetSpecSchema, { name, patterns }) };
    }
    case "community-set": {
      const communities = words("communities", "a community");
      return { kind: "CommunitySet", spec: create(CommunitySetSpecSchema, { name, communities }) };
    }
    case "asn-set":
      return {
        kind: "AsnSet",
        spec: create(AsnSetSpecSchema, { name, asns: words("asns", "an AS number") }),
      };
    case "next-hop-set": {
      const addresses = words("addresses", "an address");
      return { kind: "NextHopSet", spec: create(NextHopSetSpecSchema, { name, addresses }) };
    }
    default: {
      const spec = create(NeighborSetSpecSchema, { name });
      entries("members", () => {
        if (source.accept("asn")) spec.asns.push(source.number("an AS number"));
        else if (source.accept("group")) spec.peerGroups.push(source.word("a peer group").text);
        else spec.addresses.push(source.word("an address").text);
      });
      return { kind: "NeighborSet", spec };
    }
  }
}
