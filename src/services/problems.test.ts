import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Problem, ProblemCode } from "../base/problem.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RetryInfoSchema,
} from "../gen/google/rpc/error_details_pb.ts";
import { grpcName } from "./calls.ts";
import { errorFor, refusal } from "./problems.ts";

/** The mapping of API.md, by hand. */
const expected: Readonly<Record<ProblemCode, string>> = {
  INVALID: "INVALID_ARGUMENT",
  REQUIRED: "INVALID_ARGUMENT",
  UNKNOWN_FIELD: "INVALID_ARGUMENT",
  UNKNOWN_KIND: "INVALID_ARGUMENT",
  DUPLICATE: "INVALID_ARGUMENT",
  SYNTAX: "INVALID_ARGUMENT",
  SUSPECT: "INVALID_ARGUMENT",
  REF_MISSING: "FAILED_PRECONDITION",
  NOT_FOUND: "NOT_FOUND",
  ALREADY_EXISTS: "ALREADY_EXISTS",
  STILL_REFERENCED: "FAILED_PRECONDITION",
  STALE_GENERATION: "ABORTED",
  WRONG_STATE: "FAILED_PRECONDITION",
  LIMIT: "RESOURCE_EXHAUSTED",
  PENDING: "FAILED_PRECONDITION",
  TEST_FAILED: "FAILED_PRECONDITION",
  LOCK_OUT: "FAILED_PRECONDITION",
  GATE: "FAILED_PRECONDITION",
  STORE_FAILED: "UNAVAILABLE",
  DAMAGED: "DATA_LOSS",
  BUSY: "UNAVAILABLE",
};

for (const [code, grpc] of Object.entries(expected) as [ProblemCode, string][]) {
  test(`${code} is ${grpc}`, () => {
    const error = refusal([{ code, path: "spec.x", message: "is wrong", fix: "mend it", value: "7" }]);
    assert.equal(grpcName(error.code), grpc);
    assert.equal(error.rawMessage, "spec.x: is wrong (mend it)");
    const [info] = detailsOf(error, ErrorInfoSchema.typeName);
    assert.deepEqual(info, { reason: code, domain: "cairn", metadata: { field: "spec.x", value: "7" } });
    const has = (typeName: string): boolean => detailsOf(error, typeName).length > 0;
    assert.equal(has(BadRequestSchema.typeName), grpc === "INVALID_ARGUMENT");
    assert.equal(has(PreconditionFailureSchema.typeName), grpc === "FAILED_PRECONDITION");
    assert.equal(has(RetryInfoSchema.typeName), grpc === "UNAVAILABLE");
  });
}

test("several problems travel in one error, the most basic kind names it", () => {
  const problems: Problem[] = [
    { code: "REF_MISSING", path: "a", message: "names nothing" },
    { code: "INVALID", path: "b", message: "is malformed" },
    { code: "REQUIRED", path: "c", message: "must be set" },
  ];
  const error = refusal(problems);
  assert.equal(error.code, Code.InvalidArgument);
  assert.equal(error.rawMessage, "b: is malformed (and 2 more)");
  const [bad] = detailsOf(error, BadRequestSchema.typeName) as { fieldViolations: { field: string }[] }[];
  assert.deepEqual(
    bad.fieldViolations.map(({ field }) => field),
    ["b", "c"],
  );
  const [unmet] = detailsOf(error, PreconditionFailureSchema.typeName) as {
    violations: { subject: string }[];
  }[];
  assert.deepEqual(
    unmet.violations.map(({ subject }) => subject),
    ["a"],
  );
});

test("thrown values: bugs are hidden, ends of calls are not bugs", () => {
  const bug = errorFor(new TypeError("x is undefined"));
  assert.deepEqual(
    [bug.isBug, bug.error.code, bug.error.rawMessage],
    [true, Code.Internal, "internal error"],
  );
  const abort = errorFor(AbortSignal.abort().reason);
  assert.deepEqual([abort.isBug, abort.error.code], [false, Code.Canceled]);
  const known = new ConnectError("gone", Code.DataLoss);
  assert.deepEqual(errorFor(known), { error: known, isBug: false });
});

function detailsOf(error: ConnectError, typeName: string): unknown[] {
  return error.details.flatMap((detail) =>
    "desc" in detail && detail.desc.typeName === typeName ? [detail.value] : [],
  );
}

test("thousands of problems are told as far as a trailer goes, and counted", () => {
  const many = Array.from({ length: 5_000 }, (_, i): Problem => {
    return { code: "INVALID", path: `Neighbor/10.0.0.${i}.remote_asn`, message: "is wrong", fix: "mend it" };
  });
  const error = refusal(many);
  assert.match(error.rawMessage, /^Neighbor\/10\.0\.0\.0\.remote_asn: .*\(and 4999 more\)$/);
  const bytes = JSON.stringify(error.details.map(({ value }) => value)).length;
  assert.ok(bytes > 3_000 && bytes < 12_000, `${bytes} characters of details`);
});
