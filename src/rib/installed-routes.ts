/**
 * What the kernel holds of a table's routes, for groups that announce a route only when packets can follow it
 * (`suppress_fib_pending`).
 *
 *   change list:  ... [front]  p3  [FIB]  p9  p1     the front stops before the FIB: it knows what it says of p3, not of p9
 */
import type { PrefixId } from "./prefix-table.ts";
import type { RouteTable } from "./route-table.ts";

export const Installed = {
  /** The kernel sends packets as the best path says, in every table that takes it. */
  yes: 0,
  /** On its way there. */
  pending: 1,
  /** The kernel refused it, it is beyond a bound, or no way to its next hop is known. */
  refused: 2,
  /** No table takes it. */
  none: 3,
} as const;
export type Installed = (typeof Installed)[keyof typeof Installed];

export interface InstalledRoutes {
  /** How the best path of a prefix stands. The prefix is touched when that changes. */
  stateOf(table: RouteTable, prefix: PrefixId): Installed;
  /** True for the place of somebody who has to look at a change first. */
  isBarrier(table: RouteTable, marker: number): boolean;
  /** All that was there after the start has been brought into the kernel. */
  isCaughtUp(table: RouteTable): boolean;
}
