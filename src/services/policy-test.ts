/** TestPolicy: candidates over the live tables, in steps that leave the thread to routing, told as it goes. */
import { create } from "@bufbuild/protobuf";
import {
  type PolicyDifference,
  type PolicyTestCounts,
  type TestPolicyRequest,
  type TestPolicyResponse,
  TestPolicyResponseSchema,
} from "../gen/cairn/v1/policy_service_pb.ts";
import type { ServiceContext } from "./context.ts";
import { Pacer } from "./pacer.ts";
import { unwrap } from "./problems.ts";
import { checked } from "./request.ts";

/** Rows looked at between rests, and differences in one message. */
const rowsPerStep = 256;
const differencesPerMessage = 256;
const candidatesMax = 10_000;

export async function* testPolicy(
  services: ServiceContext,
  request: TestPolicyRequest,
  signal: AbortSignal,
): AsyncGenerator<TestPolicyResponse> {
  const { view } = services.owner;
  const neighbors = checked((check) => {
    check.count("policies", request.policies, candidatesMax);
    check.count("neighbors", request.neighbors, candidatesMax);
    return request.neighbors.map((address, i) => check.neighbor(`neighbors[${i}]`, address));
  });
  const trial = unwrap(view.testPolicy({ ...request, neighbors }));
  const { generation } = view;
  const pacer = new Pacer();
  let differences: PolicyDifference[] = [];
  let counts: PolicyTestCounts[] = [];
  for (;;) {
    await pacer.rest();
    signal.throwIfAborted();
    const done = trial.next(differences, counts, rowsPerStep);
    if (!done && counts.length === 0 && differences.length < differencesPerMessage) continue;
    const answer = { differences, counts, done, generation: BigInt(generation) };
    yield create(TestPolicyResponseSchema, answer);
    if (done) return;
    differences = [];
    counts = [];
    pacer.restart();
  }
}
