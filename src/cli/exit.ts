/** Exit codes of cairnctl and the errors that carry them. */
export const exitCode = {
  ok: 0,
  /** The daemon refused, or something failed. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** A plan or diff has changes. */
  changes: 3,
  /** No daemon answered at the address. */
  noConnection: 4,
  timeout: 5,
} as const;

/** One thing wrong with one field of a request. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** A failure that is told to the operator and ends the command. */
export class CliError extends Error {
  readonly exit: number;
  /** Stable name: a gRPC code such as NOT_FOUND, or USAGE, NO_CONNECTION, TIMEOUT. */
  readonly code: string;
  /** Stable reason of google.rpc.ErrorInfo, when the daemon gave one. */
  readonly reason: string;
  readonly violations: readonly Violation[];
  /** What to do about it, one line each. */
  readonly hints: readonly string[];

  constructor(
    exit: number,
    code: string,
    message: string,
    more: { reason?: string; violations?: readonly Violation[]; hints?: readonly string[] } = {},
  ) {
    super(message);
    this.exit = exit;
    this.code = code;
    this.reason = more.reason ?? "";
    this.violations = more.violations ?? [];
    this.hints = more.hints ?? [];
  }
}

/** The command line is wrong. `hints` say how it is meant. */
export function usageError(message: string, ...hints: string[]): CliError {
  return new CliError(exitCode.usage, "USAGE", message, { hints });
}

/** Thrown when the reader of stdout is gone (`| head`); ends the command quietly. */
export class OutputClosed extends Error {}
