/** Runs the tests of a policy text with the engine itself. What they name has been checked to exist. */
import { parseIp, parsePrefix } from "../../base/ip.ts";
import { unicastFamily } from "../../wire/family.ts";
import type { PathAttributes } from "../../wire/path-attributes.ts";
import { describeChanges, explainChain } from "../explain.ts";
import { FakeAttributeTable } from "../fake-table.ts";
import type { PolicyLibrary } from "../library.ts";
import { RouteKey } from "../route-key.ts";
import type { PolicyTest, TestCase } from "./read-test.ts";

export interface TestOutcome {
  readonly test: PolicyTest;
  readonly case: TestCase;
  /** What is not as expected; empty when all is. */
  readonly failures: readonly string[];
}

export function runPolicyTests(library: PolicyLibrary, tests: readonly PolicyTest[]): TestOutcome[] {
  const table = new FakeAttributeTable();
  return tests.flatMap((test) => {
    const { address, asn, peerGroup, localAs } = test.neighbor;
    const self = { self4: Uint8Array.of(192, 0, 2, 254), self6: parseIp("2001:db8::fe")! };
    const context = { neighbor: { address: parseIp(address)!, asn, peerGroup }, localAs, ...self };
    const program = library.program(test.chain, test.direction, table, context);
    return test.cases.map((each) => {
      const prefix = parsePrefix(each.prefix);
      if (typeof prefix === "string") throw new Error(prefix);
      const family = unicastFamily(prefix.bytes.length);
      const key = new RouteKey().setNlri(family, prefix.bytes, 0, prefix.length);
      key.routeType = each.routeType;
      const attr = table.add(each.attributes);
      const { accepted, reason, attributes } = explainChain(program, attr, key);
      table.release(attr);
      return { test, case: each, failures: judge(each, accepted, reason, attributes) };
    });
  });
}

function judge(
  each: TestCase,
  accepted: boolean,
  reason: string,
  attributes: PathAttributes | undefined,
): string[] {
  const verdict = accepted ? "accepted" : "rejected";
  if (accepted !== each.accepted) return [`it was ${verdict} by ${reason}`];
  const failures: string[] = [];
  if (each.by && !decidedBy(each.by, reason)) failures.push(`it was ${verdict}, but by ${reason}`);
  if (attributes) {
    const wanted = { ...attributes, ...Object.fromEntries(each.expected) };
    failures.push(...describeChanges(wanted, attributes).map((text) => `wanted -> found: ${text}`));
  }
  return failures;
}

function decidedBy({ policy, what }: NonNullable<TestCase["by"]>, reason: string): boolean {
  if (what === "end") return reason === "end of chain";
  const match = /^policy (\S+), (?:statement (\d+)|default action)/.exec(reason);
  if (!match || (policy !== undefined && match[1] !== policy)) return false;
  return what === "default" ? match[2] === undefined : Number(match[2]) === what;
}
