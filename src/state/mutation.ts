/**
 * A mutation is one transaction: puts, patches and deletes of objects, and routes injected or taken back. It is
 * checked as a whole and either becomes one generation or changes nothing.
 */
import type { JsonValue, Message } from "@bufbuild/protobuf";
import type { Problem } from "../base/problem.ts";
import type { InjectedFlowSpec, InjectedPath, PathReceipt } from "../gen/cairn/v1/injection_service_pb.ts";
import type { ObjectChange } from "../gen/cairn/v1/types_pb.ts";
import type { ClientPath } from "./lock-out.ts";

export type MutationOp =
  /** Creates or replaces. `mode` create: refuse when it exists; replace: refuse when it does not. */
  | {
      readonly op: "put";
      readonly kind: string;
      readonly spec: Message;
      readonly mode?: "create" | "replace";
      /** Secrets that the spec omits are cleared instead of kept: the spec comes from our own history. */
      readonly exact?: boolean;
      /** For metadata.managed_by, when it differs from the mutation's source. */
      readonly managedBy?: string;
    }
  /** Sets the fields of `mask` (snake_case names of the spec) as they are in `spec`; absent there means cleared. */
  | {
      readonly op: "patch";
      readonly kind: string;
      readonly name: string;
      readonly spec: Message;
      readonly mask: readonly string[];
    }
  | { readonly op: "delete"; readonly kind: string; readonly name: string }
  | { readonly op: "inject"; readonly path: InjectedPath }
  | { readonly op: "inject-flow"; readonly flowSpec: InjectedFlowSpec }
  /** `prefix` is as `readName` takes it. */
  | { readonly op: "retract"; readonly prefix: string; readonly pathId: number }
  /** Makes the pending change permanent, or takes it back; generation 0 means whichever is pending. Stands alone. */
  | { readonly op: "confirm"; readonly generation: number }
  | { readonly op: "abort"; readonly generation: number }
  /** Keeps a generation whatever its age, or no longer. Stands alone. */
  | { readonly op: "pin"; readonly generation: number; readonly pinned: boolean };

/** The change is taken back unless it is confirmed. */
export interface ConfirmTerms {
  readonly withinMs: number;
  /** Expressions of conditions.ts. */
  readonly conditions: readonly string[];
  readonly holdMs: number;
  readonly graceMs: number;
}

export interface Mutation {
  readonly ops: readonly MutationOp[];
  /** Generation that the caller saw; 0 accepts any. */
  readonly expectedGeneration: number;
  readonly dryRun: boolean;
  readonly reason: string;
  /** Empty for none. */
  readonly requestId: string;
  /** Who asks, for the record. */
  readonly principal: string;
  /** file, api, rollback or revert; also becomes metadata.managed_by of what is put. */
  readonly source: string;
  readonly confirm?: ConfirmTerms;
  /** Go on although policy tests fail; they become warnings. */
  readonly skipPolicyTests?: boolean;
  /** For rollback and revert: the generation whose objects are declared again. */
  readonly restores?: number;
  /** Tells requests with the same request id apart when the operations do not: they were worked out from the request. */
  readonly digest?: string;
  /** Where the request came from, for the audit: address of the client and PACKAGE.SERVICE/METHOD. */
  readonly address?: string;
  /** The TCP connection that it came over. */
  readonly client?: ClientPath;
  readonly method?: string;
}

export type MutationOutcome =
  | {
      readonly ok: true;
      readonly generation: number;
      readonly changes: readonly ObjectChange[];
      /** One per inject and inject-flow op, in order. */
      readonly receipts: readonly PathReceipt[];
      /** Retract and inject ops that found nothing to change. */
      readonly unchanged: number;
      /** Hash of everything declared afterwards. */
      readonly hash?: string;
      /** Something became durable, or would have without dry run. */
      readonly changed?: boolean;
      /** What is allowed but looks wrong. */
      readonly warnings?: readonly Problem[];
    }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** JSON form for the recorder and for replies to repeated request ids. */
export type OutcomeJson = JsonValue;
