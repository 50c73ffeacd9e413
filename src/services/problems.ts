/**
 * The one place where problems become gRPC errors: a code, a sentence, and google.rpc details that programs read.
 * All problems of a request travel together. A user's mistake is never INTERNAL.
 */

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { formatProblem, type Problem, type ProblemCode, type Result } from "../base/problem.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  RetryInfoSchema,
} from "../gen/google/rpc/error_details_pb.ts";

/** Domain of every `ErrorInfo`. */
export const errorDomain = "cairn";

/** Which gRPC code a problem has. When a request has several, the first of this order names the whole error. */
const codes: readonly (readonly [ProblemCode, Code])[] = [
  ["INVALID", Code.InvalidArgument],
  ["REQUIRED", Code.InvalidArgument],
  ["UNKNOWN_FIELD", Code.InvalidArgument],
  ["UNKNOWN_KIND", Code.InvalidArgument],
  ["DUPLICATE", Code.InvalidArgument],
  ["SYNTAX", Code.InvalidArgument],
  ["SUSPECT", Code.InvalidArgument],
  ["STALE_GENERATION", Code.Aborted],
  ["NOT_FOUND", Code.NotFound],
  ["ALREADY_EXISTS", Code.AlreadyExists],
  ["REF_MISSING", Code.FailedPrecondition],
  ["STILL_REFERENCED", Code.FailedPrecondition],
  ["WRONG_STATE", Code.FailedPrecondition],
  ["PENDING", Code.FailedPrecondition],
  ["TEST_FAILED", Code.FailedPrecondition],
  ["LOCK_OUT", Code.FailedPrecondition],
  ["GATE", Code.FailedPrecondition],
  ["LIMIT", Code.ResourceExhausted],
  ["BUSY", Code.Unavailable],
  ["STORE_FAILED", Code.Unavailable],
  ["DAMAGED", Code.DataLoss],
];
const codeOf = new Map(codes);
const rankOf = new Map(codes.map(([problem], rank) => [problem, rank]));

/** How long a client should wait before it asks a busy daemon again. */
const retryMs = 250;

/**
 * Characters of problems in the details of an error. They go into a trailer, and clients take some 8 KiB of these; a
 * larger one ends the call without any word.
 */
const toldCharactersMax = 4_500;

/** As many as fit into the details of an error, at least one. The sentence counts the others. */
function fitting(problems: readonly Problem[]): readonly Problem[] {
  let left = toldCharactersMax;
  const end = problems.findIndex((problem, i) => {
    left -= problem.code.length + problem.path.length + formatProblem({ ...problem, path: "" }).length + 12;
    return left < 0 && i > 0;
  });
  return end < 0 ? problems : problems.slice(0, end);
}

/** The error for these problems (at least one); those that do not fit are counted. */
export function refusal(problems: readonly Problem[]): ConnectError {
  const rank = (problem: Problem): number => rankOf.get(problem.code) ?? codes.length;
  const first = problems.reduce((best, problem) => (rank(problem) < rank(best) ? problem : best));
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
  const code = codeOf.get(first.code) ?? Code.FailedPrecondition;
  const error = new ConnectError(formatProblem(first) + more, code);

  const metadata: Record<string, string> = first.path === "" ? {} : { field: first.path };
  if (first.value !== undefined) metadata.value = first.value;
  error.details.push({ desc: ErrorInfoSchema, value: { reason: first.code, domain: errorDomain, metadata } });
  const told = fitting(problems);
  const bad = told.filter((problem) => codeOf.get(problem.code) === Code.InvalidArgument);
  if (bad.length > 0) {
    const fieldViolations = bad.map((problem) => ({
      field: problem.path,
      description: formatProblem({ ...problem, path: "" }),
      reason: problem.code,
    }));
    error.details.push({ desc: BadRequestSchema, value: { fieldViolations } });
  }
  // Of several problems all are told; one alone is in the sentence and in ErrorInfo, if it is no precondition.
  const unmet = told.filter(
    (problem) =>
      codeOf.get(problem.code) === Code.FailedPrecondition || (problems.length > 1 && !bad.includes(problem)),
  );
  if (unmet.length > 0) {
    const violations = unmet.map((problem) => ({
      type: problem.code,
      subject: problem.path,
      description: formatProblem({ ...problem, path: "" }),
    }));
    error.details.push({ desc: PreconditionFailureSchema, value: { violations } });
  }
  if (code === Code.Unavailable) {
    error.details.push({ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(retryMs) } });
  }
  return error;
}

/** The value, or throws the refusal. */
export function unwrap<T>(result: Result<T>): T {
  if (!result.ok) throw refusal(result.problems);
  return result.value;
}

export function notFound(kind: string, name: string): ConnectError {
  return refusal([
    { code: "NOT_FOUND", path: `${kind}/${name}`, message: `there is no ${kind} ${name}`, value: name },
  ]);
}

/**
 * Any thrown value as the error that the client sees. What is not meant for clients becomes INTERNAL without
 * details; `isBug` says so, and the caller logs it.
 */
export function errorFor(reason: unknown): { readonly error: ConnectError; readonly isBug: boolean } {
  if (reason instanceof ConnectError) return { error: reason, isBug: false };
  if (reason instanceof Error && reason.name === "Busy") {
    return { error: refusal([{ code: "BUSY", path: "", message: "cairn is busy" }]), isBug: false };
  }
  const error = ConnectError.from(reason, Code.Internal);
  if (error.code === Code.Canceled) return { error, isBug: false };
  return {
    error: new ConnectError("internal error", Code.Internal, undefined, undefined, reason),
    isBug: true,
  };
}
