/** Operations act on what is running without changing what is declared: resets, shutdown. */
import type { Problem } from "../base/problem.ts";
import type { SimulatedKernel } from "../dataplane/simulated-kernel.ts";
import type { DumpResult } from "./mrt/mrt-dumps.ts";

export type Operation =
  | {
      readonly op: "soft-reset-in";
      readonly address: string;
      readonly families: readonly string[];
      readonly refresh: boolean;
    }
  | { readonly op: "soft-reset-out"; readonly address: string; readonly families: readonly string[] }
  | { readonly op: "hard-reset"; readonly address: string; readonly message: string }
  /** Ends a hold that a prefix limit or damping put on a session (EnableNeighbor does this too). */
  | { readonly op: "clear-hold"; readonly address: string }
  /** Ends the session of a dynamic neighbor and forgets it. */
  | { readonly op: "forget"; readonly address: string }
  /** Forgets that routes have flapped; empty: of all neighbors, and all prefixes. */
  | { readonly op: "clear-damping"; readonly address: string; readonly prefix: string }
  /** Dumps the table of an MrtDump; answered when the file is complete. */
  | { readonly op: "mrt-dump"; readonly name: string }
  /** Tells of translations that the shell has made the kernel forget. */
  | {
      readonly op: "translations-evicted";
      readonly count: number;
      readonly filter: Readonly<Record<string, string>>;
      readonly principal: string;
    }
  /** Replaces what the simulated kernel holds. */
  | { readonly op: "simulate-kernel"; readonly kernel: SimulatedKernel }
  /** Asks an RPKI cache for what is new, or with `reset` for everything. */
  | { readonly op: "rpki-refresh"; readonly name: string; readonly reset: boolean }
  /** New flows of an EgressRoutePolicy take this candidate; empty: they take what ranks highest. */
  | { readonly op: "egress-pin"; readonly name: string; readonly candidate: string }
  /** `graceful`: neighbors with graceful restart in full are left to keep our routes. */
  | { readonly op: "shutdown"; readonly message: string; readonly hard: boolean; readonly graceful: boolean };

export type OperationOutcome =
  | { readonly ok: true; readonly dump?: DumpResult }
  | { readonly ok: false; readonly problems: readonly Problem[] };
