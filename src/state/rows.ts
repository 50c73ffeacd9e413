/** Rows that the core asks the store to write, and what it gets back at start. Plain JSON values throughout. */
import type { JsonValue } from "@bufbuild/protobuf";

/** The state of one object as stored: its spec in proto3 JSON. */
export interface StoredObject {
  readonly kind: string;
  readonly name: string;
  readonly spec: JsonValue;
  /** Generation of the last change. */
  readonly generation: number;
  /** Wall-clock milliseconds. */
  readonly created: number;
  readonly updated: number;
  readonly managedBy: string;
}

/** A route put in over the API. The path is an `InjectedPath` in proto3 JSON. */
export interface StoredInjection {
  /** Canonical prefix text. */
  readonly prefix: string;
  readonly pathId: number;
  readonly path: JsonValue;
  readonly created: number;
  /** Wall-clock milliseconds at which it is withdrawn by itself; 0 for never. */
  readonly expires: number;
  readonly principal: string;
}

export interface StoredEvent {
  readonly id: number;
  /** Wall-clock milliseconds. */
  readonly time: number;
  readonly topic: string;
  readonly object: string;
  readonly severity: number;
  readonly summary: string;
  readonly facts: Readonly<Record<string, string>>;
  readonly generation: number;
}

export type StoreRow =
  /** A new generation with the objects it put and deleted. */
  | {
      readonly table: "generation";
      readonly generation: number;
      readonly time: number;
      readonly principal: string;
      /** Where it came from: file, api. */
      readonly source: string;
      readonly reason: string;
      /** `ObjectChange`s in proto3 JSON. */
      readonly changes: JsonValue;
      readonly puts: readonly StoredObject[];
      readonly deletes: readonly { readonly kind: string; readonly name: string }[];
    }
  /** Outcome of a request id, so that a repeated request gets the same answer for 24 hours. */
  | {
      readonly table: "mutation";
      readonly requestId: string;
      readonly principal: string;
      readonly time: number;
      /** Hash of the request; the same id with another request is an error. */
      readonly digest: string;
      readonly outcome: JsonValue;
    }
  | {
      readonly table: "injected";
      readonly put: readonly StoredInjection[];
      readonly drop: readonly { readonly prefix: string; readonly pathId: number }[];
    }
  | { readonly table: "events"; readonly events: readonly StoredEvent[] };

/** Everything the core starts from. */
export interface StoredState {
  readonly generation: number;
  readonly objects: readonly StoredObject[];
  readonly injected: Iterable<StoredInjection>;
  readonly lastEventId: number;
  /** The newest events, oldest first, up to the size of the ring. */
  readonly events: readonly StoredEvent[];
  /** Request ids of the last 24 hours. */
  readonly requests: readonly { requestId: string; digest: string; time: number; outcome: JsonValue }[];
}
