/** Why a run ended early. */
export type FailureKind = "crash" | "correctness" | "liveness";

export class Failure extends Error {
  readonly kind: FailureKind;
  readonly checker: string;

  constructor(kind: FailureKind, checker: string, text: string) {
    super(text);
    this.kind = kind;
    this.checker = checker;
  }
}

export function violated(checker: string, text: string): never {
  throw new Failure("correctness", checker, text);
}
