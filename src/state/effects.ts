/**
 * Everything the core wants done, as plain data. The shell carries effects out in order; what must wait for
 * durability is held back by the core itself, so an effect that leaves a turn may be done at once.
 */

import type { SessionPlan } from "../bfd/table.ts";
import type { ArtifactName } from "../dataplane/artifact.ts";
import type { AddressSize, FibBatch, FibScope } from "../dataplane/fib/messages.ts";
import type { KernelOperation } from "../dataplane/kernel-port.ts";
import type { ProbePlan } from "../dataplane/probe/messages.ts";
import type { RouteScope } from "../dataplane/redistribute/messages.ts";
import type { SimulatedKernel } from "../dataplane/simulated-kernel.ts";
import type { BmpEffect } from "./bmp-inputs.ts";
import type { CallId, ConnId } from "./inputs.ts";
import type { MrtFileId } from "./mrt/dump-files.ts";
import type { MutationOutcome } from "./mutation.ts";
import type { OperationOutcome } from "./operation.ts";
import type { StoreRow } from "./rows.ts";
import type { RpkiEffect } from "./rpki-inputs.ts";
import type { TcpAoKey } from "./session-port.ts";

export interface ConnectEffect {
  readonly kind: "tcp.connect";
  readonly conn: ConnId;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Source address; undefined lets the kernel choose. */
  readonly localAddress: string | undefined;
  /** IP TTL of outgoing packets; 0 leaves the system's default. */
  readonly ttl: number;
  /** Packets that arrive with a lower TTL are dropped; 0 takes all. */
  readonly minTtl: number;
}

/**
 * Keys of all connections with the addresses of a prefix, the longest one that matches; neither `md5` nor `ao`: none.
 * They hold for listeners, for connections to come, and for live ones.
 */
export interface KeyEffect {
  readonly kind: "tcp.key";
  readonly address: string;
  readonly length: number;
  readonly md5: string | undefined;
  readonly ao: readonly TcpAoKey[];
}

/** Begin an MRT file. Answered by `mrt.closed` when it is complete or cannot be written any more. */
export interface MrtOpenEffect {
  readonly kind: "mrt.open";
  readonly file: MrtFileId;
  /** Below the directory for dumps; and the pattern that it comes from, which tells the files that are counted with it. */
  readonly path: string;
  readonly pattern: string;
  readonly compression: "none" | "gzip" | "zstd";
  /** It is never put in place of another file, and kept even when it is not complete. */
  readonly appends: boolean;
  /** Older files beyond this number, or older than this, go when it is complete; 0: none. */
  readonly maxFiles: number;
  readonly maxAgeMs: number;
}

export type Effect =
  | RpkiEffect
  | BmpEffect
  | ConnectEffect
  /** Socket options of an accepted connection once its neighbor is known. */
  | {
      readonly kind: "tcp.configure";
      readonly conn: ConnId;
      readonly ttl: number;
      readonly minTtl: number;
    }
  | KeyEffect
  /** TTL of what listeners of a family send (0: the system's default), and the lowest that they take. */
  | {
      readonly kind: "tcp.listen-ttl";
      readonly family: 4 | 6;
      readonly ttl: number;
      readonly minTtl: number;
    }
  /** Interfaces on which neighbors are to be found by router advertisements, and told of us by ours; all of them. */
  | { readonly kind: "link.discover"; readonly interfaces: readonly string[] }
  /** Bytes to send. They may be shared with other connections: nobody changes them. */
  | { readonly kind: "tcp.send"; readonly conn: ConnId; readonly bytes: Uint8Array }
  /** Close after what was sent is out (`abort`: at once, with a reset). No `tcp.closed` follows. */
  | { readonly kind: "tcp.close"; readonly conn: ConnId; readonly abort: boolean }
  /** Stop (or go on) reading from the socket: the connection's inbox is full (or has room again). */
  | { readonly kind: "tcp.pause"; readonly conn: ConnId; readonly paused: boolean }
  /** Addresses to be told of by `kernel.routes` from now on, and those that are no longer of interest. */
  | {
      readonly kind: "kernel.watch";
      readonly watch: readonly Uint8Array[];
      readonly unwatch: readonly Uint8Array[];
    }
  /** Replaces what the simulated kernel holds. */
  | { readonly kind: "kernel.simulate"; readonly kernel: SimulatedKernel }
  /** Run a BFD session, or go on with other settings; the discriminator names it. */
  | { readonly kind: "bfd.set"; readonly plan: SessionPlan }
  | { readonly kind: "bfd.remove"; readonly discriminator: number }
  | MrtOpenEffect
  | { readonly kind: "mrt.write"; readonly file: MrtFileId; readonly bytes: Uint8Array }
  /** The file gets its name when all is on disk, or is thrown away; answered by `mrt.closed`. */
  | { readonly kind: "mrt.close"; readonly file: MrtFileId; readonly keep: boolean }
  /** Rows to make durable in one database transaction, answered by `store.committed` or `store.failed`. */
  | { readonly kind: "store.persist"; readonly seq: number; readonly rows: readonly StoreRow[] }
  /** Artifacts to be told of by `dataplane.facts`, now and when they change, and those that are no longer of interest. */
  | {
      readonly kind: "dataplane.watch";
      readonly watch: readonly ArtifactName[];
      readonly unwatch: readonly ArtifactName[];
    }
  /** Change the kernel, in this order; answered by `dataplane.applied`. */
  | {
      readonly kind: "dataplane.apply";
      readonly batch: number;
      readonly operations: readonly KernelOperation[];
    }
  /** Sets of routes to be told of by `fib.moved` from now on, all of them. */
  | { readonly kind: "fib.watch"; readonly scopes: readonly FibScope[] }
  /** Tell all routes of a set, answered by `fib.dumped`; and change some, answered by `fib.written`. */
  | ({ readonly kind: "fib.dump"; readonly size: AddressSize } & FibScope)
  | { readonly kind: "fib.write"; readonly batch: FibBatch }
  /** Routes of the kernel to be told of by `routes.news` from now on, all of them. */
  | { readonly kind: "routes.watch"; readonly scopes: readonly RouteScope[] }
  /** Send a probe of a health check, answered by `health.answered` unless it is given up before. */
  | { readonly kind: "health.probe"; readonly probe: number; readonly plan: ProbePlan }
  | { readonly kind: "health.cancel"; readonly probes: readonly number[] }
  /** Tell by `firewall.logged` of packets that rules log from now on, or no longer. */
  | { readonly kind: "firewall.log"; readonly wanted: boolean }
  | { readonly kind: "reply"; readonly call: CallId; readonly outcome: MutationOutcome | OperationOutcome }
  | {
      readonly kind: "log";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly message: string;
      readonly fields: Readonly<Record<string, string | number | boolean>>;
    }
  /** End the process with this exit code, after earlier effects are carried out. */
  | { readonly kind: "exit"; readonly code: number };

/** Collects the effects of a turn. The shell drains it and hands it in again. */
export class Effects {
  readonly list: Effect[] = [];

  push(effect: Effect): void {
    this.list.push(effect);
  }

  log(
    level: "debug" | "info" | "warn" | "error",
    message: string,
    fields: Readonly<Record<string, string | number | boolean>> = {},
  ): void {
    this.list.push({ kind: "log", level, message, fields });
  }
}
