/**
 * Assertions state what our own code guarantees; a failed one is a bug of ours and ends the process (intent is on
 * disk, kernel routes stay). Input from outside never reaches an assertion: it becomes a verdict or a problem.
 */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws `AssertionError` unless `condition` holds. `message` is for the person who reads the crash. */
export function assert(condition: unknown, message = "assertion failed"): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Marks a branch that the type checker proves cannot be reached. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}
