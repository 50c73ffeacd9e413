/** What the tables ask of validation, which knows VRPs and ASPAs. */
import type { AspaState, RouteKey, RpkiState } from "../policy/route-key.ts";
import type { AttrId } from "./attribute-store.ts";
import type { PathId } from "./path-columns.ts";
import type { RouteTable } from "./route-table.ts";

export interface PathValidator {
  /** False while nothing is known that a state could rest on. */
  readonly hasData: boolean;
  /** State of the origin of a route with these attributes (RFC 6811). */
  origin(route: RouteKey, attr: AttrId): RpkiState;
  /** State of the AS path of attributes that came from a neighbor (ASPA). */
  path(attr: AttrId, neighbor: number): AspaState;
  /** Both states of a path as received, packed; a state that is not wanted is 0. */
  ofPath(table: RouteTable, path: PathId, wantsOrigin: boolean, wantsPath: boolean): number;
}

/** Tells both states of a path that was put into a table, as `packStates` packs them. */
export type StateOfPath = (path: PathId) => number;

/** Both states in one number, as `PathColumns` keeps them. */
export function packStates(rpki: RpkiState, aspa: AspaState): number {
  return rpki | (aspa << 2);
}

export function rpkiOf(states: number): RpkiState {
  return (states & 3) as RpkiState;
}

export function aspaOf(states: number): AspaState {
  return (states >> 2) as AspaState;
}
