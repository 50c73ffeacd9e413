/** The tests of policies as part of a transaction: those that rest on what it changes are run as it would leave things. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../base/problem.ts";
import type { PolicySpec } from "../gen/cairn/v1/policy_service_pb.ts";
import { type LibraryKind, type LibrarySpecs, PolicyLibrary } from "../policy/library.ts";
import { runTests, testChain, testDirection, testProblem } from "../policy/policy-tests.ts";
import type { Touched } from "./objects.ts";
import { libraryKinds, type Policies } from "./policies.ts";

/**
 * The tests that fail after a transaction, as problems with the code TEST_FAILED.
 * @param policies as they are now
 * @param touched what changes, with everything that is on its way to disk already
 */
export function failedTests(policies: Policies, touched: readonly Touched[]): Problem[] {
  const changed = touched.filter(({ kind }) => libraryKinds.includes(kind as LibraryKind));
  if (changed.length === 0) return [];
  const ids = new Set(changed.map(({ kind, name }) => `${kind}/${name}`));
  const names = new Set<string>();
  for (const { kind, name, after } of changed) {
    if (kind === "Policy" && after && (after as PolicySpec).tests.length > 0) names.add(name);
  }
  for (const name of policies.library.policyNames()) {
    const tests = ids.has(`Policy/${name}`) ? [] : (policies.library.policy(name)?.tests ?? []);
    if (tests.some((test) => policies.rests(testChain(name, test), testDirection(test), ids)))
      names.add(name);
  }
  if (names.size === 0) return [];
  const { library } = policies.fork(changed);
  const specs = [...names].flatMap((name) => library.policy(name) ?? []);
  return runTests(library, specs).map(testProblem);
}

/** The same for objects on their own, which name nothing outside. */
export function failedTestsOf(
  objects: Iterable<{ readonly kind: string; readonly spec: Message }>,
): Problem[] {
  const library = new PolicyLibrary();
  const specs: PolicySpec[] = [];
  for (const { kind, spec } of objects) {
    if (!libraryKinds.includes(kind as LibraryKind)) continue;
    library.put(kind as LibraryKind, spec as LibrarySpecs[LibraryKind]);
    if (kind === "Policy") specs.push(spec as PolicySpec);
  }
  return runTests(library, specs).map(testProblem);
}
