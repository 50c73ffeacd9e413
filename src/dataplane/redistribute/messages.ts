/** What the core and whoever reads the kernel's routes tell each other about routes for BGP. */
import type { KernelRoute } from "../kernel-model.ts";

/** Which routes are of interest. */
export interface RouteScope {
  /** Names the scope. */
  readonly id: number;
  readonly table: number;
  /** Numbers of protocols, sorted; none: all. Cairn's own are never taken. */
  readonly protocols: readonly number[];
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly defaultRoute: boolean;
  /** Routes at most. */
  readonly max: number;
}

/** What changed of a scope: one route per prefix, the one that the kernel uses. */
export interface RouteNews {
  readonly scope: number;
  /** These are all there are: what is not among them is gone. */
  readonly all: boolean;
  readonly changed: readonly KernelRoute[];
  /** Canonical texts of prefixes. */
  readonly gone: readonly string[];
  /** Routes beyond `max`, which are left out. */
  readonly over: number;
  /** Why nothing can be told, one sentence; empty when it can. */
  readonly failure: string;
}
