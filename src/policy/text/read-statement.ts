/** One statement of the policy language: `[NAME:] [if CONDITIONS then] ACTIONS`. */
import { create } from "@bufbuild/protobuf";
import { nearestName } from "../../base/problem.ts";
import {
  type Match,
  MatchSchema,
  PolicyAction,
  PrependSchema,
  type SetActions,
  SetActionsSchema,
  type Statement,
  StatementSchema,
} from "../../gen/cairn/v1/policy_service_pb.ts";
import { Origin } from "../../gen/cairn/v1/types_pb.ts";
import { readPrefixRule, type Spans, shown, type TokenSource } from "./source.ts";
import {
  actionWords,
  bounds,
  communityActions,
  conditionWords,
  listConditions,
  looks,
  type MatchList,
  originNames,
  questions,
} from "./vocabulary.ts";

const originNumbers: Readonly<Record<string, Origin>> = {
  igp: Origin.IGP,
  egp: Origin.EGP,
  incomplete: Origin.INCOMPLETE,
};

export class StatementReader {
  private readonly source: TokenSource;
  private readonly spans: Spans;
  private path = "";

  constructor(source: TokenSource, spans: Spans) {
    this.source = source;
    this.spans = spans;
  }

  /** @param path of the statement in its policy, for the places of its parts */
  statement(path: string): Statement {
    const { source } = this;
    this.path = path;
    const statement = create(StatementSchema);
    if (source.peek.kind === "word" && /^[A-Za-z0-9_.-]+:$/.test(source.peek.text)) {
      statement.name = source.take().text.slice(0, -1);
    }
    if (source.accept("if")) {
      const match = create(MatchSchema);
      const seen = new Set<string>();
      do this.condition(match, seen);
      while (source.accept("and"));
      statement.match = match;
      source.expect("then");
    }
    if (source.accept("{")) {
      while (!source.accept("}")) {
        this.action(statement);
        if (!source.accept(";") && source.peek.text !== "}") source.expect(";");
      }
      source.accept(";");
    } else {
      this.action(statement);
      if (source.peek.text !== "}") source.expect(";");
    }
    return statement;
  }

  private condition(match: Match, seen: Set<string>): void {
    const { source } = this;
    const negated = source.accept("not");
    const target = negated ? (match.not ??= create(MatchSchema)) : match;
    const part = negated ? "match.not" : "match";
    const token = source.word("a condition");
    const { text: word } = token;
    const once = (verb: string): void => {
      const key = `${negated ? "not " : ""}${word} ${verb}`;
      if (seen.has(key)) {
        const fix = "put all values into one list, or make it two statements";
        source.failAt(token, `"${`${word} ${verb}`.trim()}" stands in this statement already: ${fix}`);
      }
      seen.add(key);
    };
    if (word === "prefix") {
      source.expect("in");
      once("in");
      this.list(() => {
        if (source.accept("set") || !looks.prefix(source.peek.text)) {
          target.prefixSets.push(source.word("a prefix or a prefix set").text);
          this.placed(`${part}.prefix_sets[${target.prefixSets.length - 1}]`);
        } else {
          const { start } = source.peek;
          target.prefixes.push(readPrefixRule(source));
          this.placed(`${part}.prefixes[${target.prefixes.length - 1}]`, start);
        }
      });
      return;
    }
    if (word === "origin" || word === "tag") {
      source.expect("in");
      once("in");
      this.list(() => {
        if (word === "tag") target.tags.push(source.number("a tag"));
        else target.origins.push(this.origin());
      });
      return;
    }
    const bound = bounds.find(({ keyword }) => keyword === word);
    if (bound) {
      const sign = ["<=", ">=", "="].find((known) => source.accept(known));
      if (!sign) source.fail(`here should be >=, <= or =, not ${shown(source.peek)}`);
      for (const side of sign === "=" ? ["<=", ">="] : [sign ?? ""]) once(side);
      const value = source.number("a number");
      if (sign !== "<=") target[bound.ge] = value;
      if (sign !== ">=") target[bound.le] = value;
      this.placed(`${part}.${snake(sign === "<=" ? bound.le : bound.ge)}`, token.start);
      return;
    }
    const question = questions.find(({ keyword }) => keyword === word);
    if (question) {
      once("");
      target[question.field] = !source.accept("no");
      return;
    }
    const rows = listConditions.filter(({ keyword }) => keyword === word);
    if (rows.length === 0) {
      const near = nearestName(word, conditionWords);
      const hint = near ? `did you mean ${near}?` : `known are ${conditionWords.join(", ")}`;
      source.failAt(token, `"${word}" is not a condition: ${hint}`);
    }
    const verb = rows[0].verb === "" ? "" : source.oneOf(verbsOf(rows), `what ${word} can be asked`);
    const row = rows.find((candidate) => candidate.verb === verb)!;
    once(verb);
    this.list(() => this.value(target, part, row));
  }

  /** Notes that a part of the statement stands from `start` (the last token) to the last token. */
  private placed(part: string, start = this.source.last.start): void {
    this.spans.set(`${this.path}.${part}`, { start, end: this.source.last.end });
  }

  private value(
    target: Match,
    part: string,
    { sets, values, asns, isValue, quoted }: (typeof listConditions)[number],
  ): void {
    const { source } = this;
    const push = (field: MatchList, text: string): void => {
      this.placed(`${part}.${snake(field)}[${target[field].length}]`);
      target[field].push(text);
    };
    if (sets && source.accept("set")) {
      push(sets, source.word("the name of a set").text);
    } else if (quoted && source.peek.kind === "string") {
      push(values!, source.take().text);
    } else if (asns && isValue?.(source.peek.text)) {
      target[asns].push(source.number("an AS number"));
      this.placed(`${part}.${snake(asns)}[${target[asns].length - 1}]`);
    } else {
      const token = source.word(sets ? "a value or the name of a set" : "a value");
      const field = sets && !isValue?.(token.text) ? sets : values;
      if (field) push(field, token.text);
      else source.failAt(token, `"${token.text}" is not a value here`);
    }
  }

  /** One entry, or several in parentheses. */
  private list(read: () => void): void {
    const { source } = this;
    if (!source.accept("(")) {
      read();
      return;
    }
    do read();
    while (source.accept(","));
    source.expect(")");
  }

  private origin(): Origin {
    return originNumbers[this.source.oneOf(originNames, "an origin")];
  }

  private action(statement: Statement): void {
    const { source } = this;
    const token = source.peek;
    if (statement.action !== PolicyAction.UNSPECIFIED) {
      source.fail(`nothing can follow after ${shown(source.last)}`);
    }
    const word = source.oneOf(actionWords, "an action");
    switch (word) {
      case "accept":
        statement.action = PolicyAction.ACCEPT;
        return;
      case "reject":
        statement.action = PolicyAction.REJECT;
        return;
      case "next":
        statement.action = source.accept("policy") ? PolicyAction.NEXT_POLICY : PolicyAction.NEXT_TERM;
        // The word that other languages have after it.
        if (statement.action === PolicyAction.NEXT_TERM) source.accept("term");
        return;
      case "call":
        if (statement.call !== "") source.failAt(token, "a statement calls one policy");
        statement.call = source.word("the name of a policy").text;
        this.placed("call");
        return;
    }
    if (statement.call !== "") source.failAt(token, "changes come before call");
    statement.set ??= create(SetActionsSchema);
    this.change(word, statement.set);
    const field = changeFields[word];
    if (field) this.placed(`set.${field}`, token.start);
  }

  private change(word: string, set: SetActions): void {
    const { source } = this;
    switch (word) {
      case "local-pref":
        if (source.accept("+")) set.localPrefAdd = source.number("a number");
        else if (source.accept("-")) set.localPrefSubtract = source.number("a number");
        else set.localPref = source.number("a local preference");
        return;
      case "med":
        if (source.accept("none")) set.medRemove = true;
        else if (source.accept("+")) set.medAdd = source.number("a number");
        else if (source.accept("-")) set.medSubtract = source.number("a number");
        else set.med = source.number("a MED");
        return;
      case "origin":
        set.origin = this.origin();
        return;
      case "next-hop":
        set.nextHop = source.peek.kind === "string" ? source.take().text : source.word("a next hop").text;
        return;
      case "community":
        this.changeCommunities(set);
        return;
      case "prepend": {
        const asn = source.accept("own") ? 0 : source.accept("last") ? -1 : source.number("an AS number");
        const count = /^[0-9]/.test(source.peek.text) ? source.number("a count") : 1;
        set.prepend = create(PrependSchema, { asn: Math.max(0, asn), lastAs: asn < 0, count });
        return;
      }
      case "strip-private-as":
        set.stripPrivateAs = true;
        return;
      case "aigp":
        set.aigp = source.number("a metric");
        return;
      case "weight":
        set.weight = source.number("a weight");
        return;
      case "tag":
        set.tag = source.number("a tag");
        return;
    }
  }

  private changeCommunities(set: SetActions): void {
    const { source } = this;
    const verbs = communityActions.map(({ verb }) => verb);
    const verb = source.oneOf(verbs, "what can be done to communities");
    const { values, sets } = communityActions.find((row) => row.verb === verb)!;
    this.list(() => {
      const named = source.accept("set");
      const { text } = source.word(named ? "a community set" : "a community or a community set");
      const field = !named && looks.community(text) ? values : sets;
      this.placed(`set.${snake(field)}[${set[field].length}]`);
      set[field].push(text);
    });
  }
}

/** Fields that actions may be found wrong in, by the word of the action. */
const changeFields: Readonly<Record<string, string>> = {
  "next-hop": "next_hop",
  prepend: "prepend",
  med: "med",
  "local-pref": "local_pref",
};

function snake(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function verbsOf(rows: readonly { readonly verb: string }[]): string[] {
  return rows.map(({ verb }) => verb);
}
