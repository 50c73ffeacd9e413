/** What the owner's thread and the thread that writes BGP routes tell each other. */
import type {
  AddressSize,
  FibBatch,
  FibDump,
  FibMoved,
  FibOutcome,
  FibScope,
} from "../dataplane/fib/messages.ts";

export type ToFib =
  | { readonly kind: "watch"; readonly scopes: readonly FibScope[] }
  | { readonly kind: "dump"; readonly scope: FibScope; readonly size: AddressSize }
  | { readonly kind: "write"; readonly batch: FibBatch }
  | { readonly kind: "close" };

export type FromFib =
  | { readonly kind: "moved"; readonly moved: readonly FibMoved[] }
  | { readonly kind: "dumped"; readonly dump: FibDump }
  | { readonly kind: "written"; readonly outcome: FibOutcome };
