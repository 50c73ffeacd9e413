/**
 * What a kind of router resource is: how a spec becomes artifacts in the kernel. A kind is a folder here with a `kind.ts`
 * and its tests; the message with its fields is in `proto/`. Nothing else knows it: store, transactions, API, CLI and
 * docs go by the registry. Kinds are functions of the spec and of what they look at, which is how it is known when to ask
 * them again.
 */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../base/problem.ts";
import type { Artifact, Facts } from "../dataplane/artifact.ts";
import type { Link } from "../dataplane/kernel-model.ts";
import { DriftAction } from "../gen/cairn/v1/resource_types_pb.ts";
import type { Selection } from "./egress-route-policy/selection.ts";
import type { FlowRule } from "./flow-spec-filter/rules.ts";

/** Finds the spec of an object as it would be after the transaction. */
export type SpecLookup = (kind: string, name: string) => Message | undefined;

/** Whether the transaction changes an object. */
export type Changed = (kind: string, name: string) => boolean;

/** What a kind may look at beside its spec. Whatever it looked at makes it be asked again when that changes. */
export interface Surroundings {
  readonly spec: SpecLookup;
  /** The link of this name in the kernel. */
  link(ifname: string): Link | undefined;
  /** Names of all objects of a kind. */
  names(kind: string): Iterable<string>;
  /** Where the API listens beside its Unix sockets. */
  apiListeners(): readonly HostPort[];
  /** What the EgressRoutePolicy of this name has chosen; undefined before it looked for the first time. */
  egress(policy: string): Selection | undefined;
  /** Best FlowSpec routes of both families, in the order of RFC 8955 5.1. */
  flowRules(): readonly FlowRule[];
}

export interface HostPort {
  /** An IP address. */
  readonly host: string;
  readonly port: number;
}

export interface Derivation {
  /** What the object asks of the kernel; with `pending` the part that can be had already. */
  readonly artifacts: readonly Artifact[];
  /** What it waits for. */
  readonly pending?: {
    /** A word for programs, such as DEVICE_MISSING. */
    readonly reason: string;
    /** One sentence without a full stop. */
    readonly message: string;
  };
  /** What is shown in its status and offered to other objects. */
  readonly values?: Readonly<Record<string, string>>;
}

export interface ResourceKind {
  /** As in metadata.kind. */
  readonly kind: string;
  /** What field options cannot say of a spec. Problem paths are inside the spec. */
  readonly check?: (spec: Message, lookup: SpecLookup) => Problem[];
  /** What only shows beside all others of the kind; see `KindRules`. */
  readonly checkAll?: (
    changed: Changed,
    objects: (kind: string) => Iterable<Message>,
  ) => { readonly name: string; readonly problem: Problem }[];
  /** Kinds whose changes make `check` run again for objects that refer to them. */
  readonly inherits?: readonly string[];
  derive(spec: Message, around: Surroundings): Derivation;
}

/** The part of a spec that says how its artifacts are to be treated. */
interface Treatment {
  readonly adopt?: boolean;
  readonly drift: DriftAction;
}

export function artifact(spec: Treatment, className: string, key: string, facts: Facts): Artifact {
  const repair = spec.drift !== DriftAction.REPORT;
  return { class: className, key, facts, adopt: spec.adopt ?? false, repair };
}

/** A problem of a field. */
export function invalid(path: string, message: string, fix?: string): Problem {
  return { code: "INVALID", path, message, ...(fix ? { fix } : {}) };
}
