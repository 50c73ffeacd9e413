/** From a gRPC status with google.rpc details to what an operator reads. */
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
} from "../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import type { Target } from "./address.ts";
import { CliError, exitCode, type Violation } from "./exit.ts";

/** What the transport knows of a failed call. */
export interface CallFailure {
  readonly code: number;
  readonly details: string;
  /** Bytes of google.rpc.Status. */
  readonly detailsBin: Uint8Array | undefined;
  /** The connection stands: the status came from the daemon. */
  readonly connected: boolean;
  readonly connectExpired: boolean;
  readonly timeoutMs: number;
}

/** Names of gRPC codes by number. */
export const codeNames = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

const codeHints: Partial<Record<(typeof codeNames)[number], string>> = {
  ABORTED: "someone changed it meanwhile: look at it again, then repeat with the new generation",
  UNAUTHENTICATED: "give --token-file FILE (or CAIRN_TOKEN_FILE), or a client certificate",
  PERMISSION_DENIED: "this listener or role is not granted that: use the Unix socket, or another role",
  UNIMPLEMENTED: "the daemon does not know this call: compare cairnctl version with the daemon's",
};

/** The error to throw for a failed call. */
export function toCliError(failure: CallFailure, target: Target): CliError {
  const code = codeNames[failure.code] ?? "UNKNOWN";
  if (failure.connectExpired || (code === "UNAVAILABLE" && !failure.connected))
    return noConnection(failure, target);
  if (code === "DEADLINE_EXCEEDED") {
    return new CliError(
      exitCode.timeout,
      "TIMEOUT",
      `no answer from ${target.address} within ${failure.timeoutMs / 1000} s`,
      {
        hints: ["raise it with --timeout 60s"],
      },
    );
  }
  const details = decodeDetails(failure.detailsBin);
  return new CliError(exitCode.failed, code, details.message || unescapeReserved(failure.details) || code, {
    reason: details.reason,
    violations: details.violations,
    hints: codeHints[code] ? [codeHints[code]] : [],
  });
}

function noConnection(failure: CallFailure, target: Target): CliError {
  const why =
    /\b(connect E[A-Z]+|E[A-Z]{4,}|(?:[\w-]+ )*certificate[^.:;]*|getaddrinfo \w+)/.exec(
      failure.details,
    )?.[0] ?? "";
  const hints: string[] = [];
  if (/EACCES|EPERM/.test(why)) {
    hints.push(`you may not open ${target.socketPath}: use sudo, or join the group that owns the socket`);
  } else if (/certificate|SSL|TLS/i.test(failure.details)) {
    hints.push("check --tls-ca, --tls-cert and --tls-key against the daemon's certificates");
  } else {
    hints.push(
      target.socketPath
        ? `start a daemon:   cairnd CONFIG.toml --state-dir ${parentOf(target.socketPath)}`
        : "start a daemon with that listener in its [[api.tcp]] section",
      "or say where one listens:   cairnctl -s ADDR ...   (or CAIRN_ADDR)",
    );
  }
  const reason = failure.connectExpired ? "no connection after 5 s" : (explain(why) ?? spoken(target));
  return new CliError(
    exitCode.noConnection,
    "NO_CONNECTION",
    `cannot reach cairnd at ${target.address}: ${reason}`,
    {
      hints,
    },
  );
}

function explain(why: string): string | undefined {
  if (why.includes("ENOENT")) return "there is no such socket";
  if (why.includes("ECONNREFUSED")) return "nothing listens there (connection refused)";
  if (/EACCES|EPERM/.test(why)) return "permission denied";
  if (why.includes("getaddrinfo")) return "the host name does not resolve";
  return why === "" ? undefined : why;
}

/** Why a connection that was made came to nothing: the library only says that it failed. */
function spoken(target: Target): string {
  if (target.socketPath) return "what listens there speaks no gRPC";
  return target.tls
    ? "what listens there speaks no TLS"
    : "what listens there speaks no plain gRPC (if TLS: https://)";
}

function parentOf(path: string): string {
  return path.replace(/\/[^/]*$/, "") || "/";
}

/**
 * grpc-js reads grpc-message with decodeURI, which leaves the escapes of reserved characters; details carry the
 * message whole, so this is only for a status without them.
 */
function unescapeReserved(message: string): string {
  return message.replace(/%(3B|2F|3F|3A|40|26|3D|2B|24|2C|23)/gi, decodeURIComponent);
}

interface Details {
  message: string;
  reason: string;
  violations: Violation[];
}

/** Decodes google.rpc.Status with BadRequest, ErrorInfo and PreconditionFailure; what is broken is left out. */
export function decodeDetails(bytes: Uint8Array | undefined): Details {
  const details: Details = { message: "", reason: "", violations: [] };
  if (!bytes) return details;
  try {
    const status = fromBinary(StatusSchema, bytes);
    details.message = status.message;
    for (const any of status.details) {
      details.reason ||= anyUnpack(any, ErrorInfoSchema)?.reason ?? "";
      for (const { field, description } of anyUnpack(any, BadRequestSchema)?.fieldViolations ?? []) {
        details.violations.push({ field, description });
      }
      for (const { subject, description } of anyUnpack(any, PreconditionFailureSchema)?.violations ?? []) {
        details.violations.push({ field: subject, description });
      }
    }
  } catch {
    // details are a help, not a need: a broken one must not hide the status
  }
  return details;
}
