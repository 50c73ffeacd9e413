/**
 * The tests of policies: what may stand in one, and running them with the engine itself. A test names a route, the
 * policies to run it through and what must become of it.
 */
import { assert } from "../base/assert.ts";
import { parseIp, parsePrefix } from "../base/ip.ts";
import type { Problem } from "../base/problem.ts";
import {
  PolicyAction,
  PolicyDirection,
  type PolicySpec,
  type PolicyTest,
  type PolicyTestCase,
  type PolicyTestRoute,
} from "../gen/cairn/v1/policy_service_pb.ts";
import { parseAsPath } from "../wire/as-path-text.ts";
import { unicastFamily } from "../wire/family.ts";
import { emptyAttributes, type PathAttributes } from "../wire/path-attributes.ts";
import type { Direction, PolicyContext } from "./actions.ts";
import { checkAttributeName, hasAttribute } from "./attribute-names.ts";
import { checkCommunity, compileCommunityValues } from "./community-set.ts";
import type { CompiledPolicy, CompiledStatement } from "./compile.ts";
import { describeChanges, describeDecision } from "./explain.ts";
import { FakeAttributeTable } from "./fake-table.ts";
import type { PolicyLibrary } from "./library.ts";
import { Program, type Watcher } from "./program.ts";
import type { AspaState, RpkiState } from "./route-key.ts";
import { aspaStateNames, RouteKey, RouteType, routeTypeNames, rpkiStateNames } from "./route-key.ts";
import { asnsReadBy } from "./session-asns.ts";

/** Cases of one policy, and statements looked at for the tests of one transaction. */
const CASES_MAX = 1_000;
const STATEMENTS_MAX = 1 << 20;

/** A case that did not come out as expected. */
export interface TestFailure {
  readonly policy: string;
  readonly test: string;
  /** Of the case, inside the spec: `tests[0].cases[2]`. */
  readonly path: string;
  readonly prefix: string;
  /** What came instead; at least one. */
  readonly findings: readonly string[];
}

/** What is wrong with the tests of a policy, with paths inside the spec. */
export function validateTests(spec: PolicySpec): Problem[] {
  const problems: Problem[] = [];
  const invalid = (path: string, message: string, value?: string): void => {
    problems.push({ code: "INVALID", path, message, ...(value === undefined ? {} : { value }) });
  };
  const cases = spec.tests.reduce((sum, test) => sum + test.cases.length, 0);
  if (cases > CASES_MAX) {
    const message = `more than ${CASES_MAX} cases in the tests of one policy`;
    problems.push({ code: "LIMIT", path: "tests", message });
  }
  spec.tests.forEach((test, i) => {
    const { address } = test.neighbor ?? { address: "" };
    if (address !== "" && !parseIp(address)) {
      invalid(`tests[${i}].neighbor.address`, `"${address}" is not an address`, address);
    }
    if (test.cases.length === 0) invalid(`tests[${i}].cases`, "the test has no cases");
    test.cases.forEach((each, j) => {
      const path = `tests[${i}].cases[${j}]`;
      if (each.expect !== PolicyAction.ACCEPT && each.expect !== PolicyAction.REJECT) {
        invalid(`${path}.expect`, "a route is accepted or rejected");
      }
      if (!readDecider(each.by)) {
        const fix = '"statement 3", "statement NAME", "default", each also after a policy\'s name, or "end"';
        problems.push({ code: "INVALID", path: `${path}.by`, message: "is not what decides", fix });
      }
      if (each.given) checkRoute(each.given, `${path}.given`, false, invalid);
      if (!each.with) return;
      checkRoute(each.with, `${path}.with`, true, invalid);
      if (each.expect === PolicyAction.REJECT) invalid(`${path}.with`, "a rejected route has no attributes");
    });
  });
  return problems;
}

type Tell = (path: string, message: string, value?: string) => void;

function checkRoute(route: PolicyTestRoute, path: string, isResult: boolean, tell: Tell): void {
  const givenOnly = {
    prefix: route.prefix,
    route_type: route.routeType,
    rpki_state: route.rpkiState,
    aspa_state: route.aspaState,
  };
  if (isResult) {
    for (const [field, value] of Object.entries(givenOnly)) {
      if (value !== "") tell(`${path}.${field}`, `${field} belongs to what is given`, value);
    }
  } else {
    const prefix = parsePrefix(route.prefix);
    if (typeof prefix === "string") tell(`${path}.prefix`, prefix, route.prefix);
    word(`${path}.route_type`, route.routeType, routeTypeNames, tell);
    word(`${path}.rpki_state`, route.rpkiState, rpkiStateNames, tell);
    word(`${path}.aspa_state`, route.aspaState, aspaStateNames, tell);
    if (route.absent.length > 0) tell(`${path}.absent`, "absent belongs to what is expected");
  }
  if (route.asPath !== undefined && !parseAsPath(route.asPath)) {
    tell(`${path}.as_path`, `"${route.asPath}" is not an AS path`, route.asPath);
  }
  if (route.nextHop !== "" && !parseIp(route.nextHop)) {
    tell(`${path}.next_hop`, `"${route.nextHop}" is not an address`, route.nextHop);
  }
  route.communities.forEach((text, i) => {
    const message = asnsReadBy([text]) === 0 ? checkCommunity(text) : `"${text}" is not one community`;
    if (message !== undefined) tell(`${path}.communities[${i}]`, message, text);
  });
  route.absent.forEach((name, i) => {
    const message = checkAttributeName(name);
    if (message !== undefined) tell(`${path}.absent[${i}]`, message, name);
  });
}

function word(path: string, text: string, known: readonly string[], tell: Tell): void {
  if (text !== "" && !known.includes(text)) tell(path, `"${text}" is not one of ${known.join(", ")}`, text);
}

/** What decides, as `by` says it; undefined when the text says nothing of the kind. */
interface Decider {
  /** Undefined: whichever policy. */
  readonly policy: string | undefined;
  /** Number from 1 or name of a statement. */
  readonly what: number | string | undefined;
  readonly kind: "any" | "statement" | "default" | "end";
}

function readDecider(text: string): Decider | undefined {
  if (text === "") return { policy: undefined, what: undefined, kind: "any" };
  if (text === "end") return { policy: undefined, what: undefined, kind: "end" };
  const match = /^(?:([A-Za-z0-9._-]+) )?(?:(default)|statement ([A-Za-z0-9._-]+))$/.exec(text);
  if (!match) return undefined;
  const [, policy, byDefault, statement] = match;
  if (byDefault) return { policy, what: undefined, kind: "default" };
  return { policy, what: /^[0-9]+$/.test(statement) ? Number(statement) : statement, kind: "statement" };
}

/**
 * Runs the tests of these policies. What they name exists in the library, and `validateTests` has passed them.
 * @returns the cases that did not come out as expected
 */
export function runTests(library: PolicyLibrary, specs: Iterable<PolicySpec>): TestFailure[] {
  const failures: TestFailure[] = [];
  let table: FakeAttributeTable | undefined;
  const judge = new Judge();
  for (const spec of specs) {
    spec.tests.forEach((test, i) => {
      table ??= new FakeAttributeTable();
      const program = programOf(library, spec.name, test, table);
      test.cases.forEach((each, j) => {
        const findings = judge.findings(program, table!, each);
        if (findings.length === 0) return;
        const prefix = each.given?.prefix ?? "";
        failures.push({
          policy: spec.name,
          test: test.name,
          path: `tests[${i}].cases[${j}]`,
          prefix,
          findings,
        });
      });
    });
  }
  return failures;
}

/** The failure as a problem of the object `Policy/NAME`. */
export function testProblem({ policy, test, path, prefix, findings }: TestFailure): Problem {
  const message = `test "${test}", ${prefix}: ${findings.join("; ")}`;
  return { code: "TEST_FAILED", path: `Policy/${policy}.${path}`, message };
}

/** The policies that a test runs, in order. */
export function testChain(policy: string, test: PolicyTest): readonly string[] {
  return test.chain.length > 0 ? test.chain : [policy];
}

export function testDirection(test: PolicyTest): Direction {
  return test.direction === PolicyDirection.EXPORT ? "export" : "import";
}

function programOf(
  library: PolicyLibrary,
  policy: string,
  test: PolicyTest,
  table: FakeAttributeTable,
): Program {
  const { address, asn, peerGroup, localAsn } = {
    address: "",
    asn: 0,
    peerGroup: "",
    localAsn: 0,
    ...test.neighbor,
  };
  const context: PolicyContext = {
    neighbor: { address: parseIp(address) ?? Uint8Array.of(192, 0, 2, 1), asn: asn || 65_001, peerGroup },
    localAs: localAsn || 65_000,
    self4: Uint8Array.of(192, 0, 2, 254),
    self6: parseIp("2001:db8::fe"),
  };
  return new Program(library.chain(testChain(policy, test), testDirection(test)), table, context);
}

/** Runs cases one after the other, within a bound on the work of all. */
class Judge {
  private visited = 0;

  findings(program: Program, table: FakeAttributeTable, each: PolicyTestCase): string[] {
    const { given } = each;
    if (!given) return ["no route is given"];
    if (this.visited > STATEMENTS_MAX) {
      return [`not run: the tests come to more than ${STATEMENTS_MAX} statements`];
    }
    const verdict = new Verdict();
    const attr = table.add(attributesOf(given));
    const outcome = program.watch(attr, keyOf(given), verdict);
    table.release(attr);
    this.visited += verdict.visited;
    const word = outcome ? "accepted" : "rejected";
    if ((each.expect === PolicyAction.ACCEPT) !== (outcome !== undefined)) {
      return [`it was ${word} by ${verdict.reason}`];
    }
    const findings = verdict.isBy(readDecider(each.by)) ? [] : [`it was ${word}, but by ${verdict.reason}`];
    if (outcome && each.with) findings.push(...differences(each.with, outcome));
    return findings;
  }
}

class Verdict implements Watcher {
  visited = 0;
  reason = "";
  private policy: CompiledPolicy | undefined;
  private decidedBy: CompiledStatement | undefined;

  statement(): void {
    this.visited++;
  }

  condition(): void {}

  changed(): void {}

  decided(_accepted: boolean, policy?: CompiledPolicy, statement?: CompiledStatement): void {
    this.policy = policy;
    this.decidedBy = statement;
    this.reason = describeDecision(policy, statement);
  }

  tooLarge(): void {
    this.reason = "the size of its attributes";
  }

  tooLong(statements: number): void {
    this.reason = `the bound of ${statements} statements`;
  }

  isBy(wanted: Decider | undefined): boolean {
    if (!wanted || wanted.kind === "any") return true;
    if (wanted.policy !== undefined && wanted.policy !== this.policy?.name) return false;
    if (wanted.kind === "end") return !this.policy;
    if (wanted.kind === "default") return this.policy !== undefined && !this.decidedBy;
    if (!this.decidedBy) return false;
    const { position, name } = this.decidedBy;
    return wanted.what === (typeof wanted.what === "number" ? position + 1 : name);
  }
}

function keyOf({ prefix: text, routeType, rpkiState, aspaState }: PolicyTestRoute): RouteKey {
  const prefix = parsePrefix(text);
  assert(typeof prefix !== "string", `unchecked prefix: ${prefix}`);
  const key = new RouteKey().setNlri(unicastFamily(prefix.bytes.length), prefix.bytes, 0, prefix.length);
  key.routeType =
    routeType === "" ? RouteType.external : (routeTypeNames.indexOf(routeType as "local") as RouteType);
  key.rpki = Math.max(0, rpkiStateNames.indexOf(rpkiState as "valid")) as RpkiState;
  key.aspa = Math.max(0, aspaStateNames.indexOf(aspaState as "valid")) as AspaState;
  return key;
}

function attributesOf(route: PolicyTestRoute): PathAttributes {
  const attributes = emptyAttributes();
  attributes.nextHop = parseIp(route.prefix.includes(":") ? "2001:db8::1" : "192.0.2.1")!;
  return Object.assign(attributes, namedFields(route, attributes));
}

/** The attributes that a route of a test names. @param base what marks that it leaves out are */
function namedFields(route: PolicyTestRoute, base: PathAttributes): Partial<PathAttributes> {
  const named: Partial<PathAttributes> = {};
  if (route.asPath !== undefined) named.asPath = parseAsPath(route.asPath)!;
  if (route.origin !== 0) named.origin = route.origin - 1;
  if (route.nextHop !== "") named.nextHop = parseIp(route.nextHop)!;
  if (route.localPref !== undefined) named.localPref = route.localPref;
  if (route.med !== undefined) named.med = route.med;
  if (route.otc !== undefined) named.otc = route.otc;
  const { weight, tag, discard } = route;
  if (weight !== undefined || tag !== undefined || discard !== undefined) {
    const marks = base.local ?? { weight: undefined, tag: undefined, discard: false };
    const given = {
      weight: weight ?? marks.weight,
      tag: tag ?? marks.tag,
      discard: discard ?? marks.discard,
    };
    named.local = given;
  }
  const { standard, extended, large } = compileCommunityValues(route.communities);
  if (standard.length > 0) named.communities = [...standard];
  if (extended.length > 0) named.extendedCommunities = [...extended];
  if (large.length > 0) named.largeCommunities = [...large];
  return named;
}

/** Where the outcome is not as expected, one sentence per field. The order of communities means nothing. */
function differences(expected: PolicyTestRoute, outcome: PathAttributes): string[] {
  const found = inOrder(outcome);
  const wanted = inOrder({ ...outcome, ...namedFields(expected, outcome) });
  const findings = describeChanges(wanted, found).map((text) => `expected -> found: ${text}`);
  for (const name of expected.absent) if (hasAttribute(outcome, name)) findings.push(`it has ${name}`);
  return findings;
}

function inOrder(attributes: PathAttributes): PathAttributes {
  const text = (parts: readonly number[]): string => parts.join(":");
  return {
    ...attributes,
    communities: attributes.communities.toSorted((a, b) => a - b),
    extendedCommunities: attributes.extendedCommunities.toSorted(),
    largeCommunities: attributes.largeCommunities.toSorted((a, b) => (text(a) < text(b) ? -1 : 1)),
  };
}
