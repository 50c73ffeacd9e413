/**
 * The states of routes (RFC 6811, ASPA), as policy, best path, lists and explanations ask for them. Nothing is computed
 * unless somebody asks, and nothing is kept but what best path compares by.
 */
import { type AspaState, RouteKey, type RpkiState } from "../policy/route-key.ts";
import type { AttrId } from "../rib/attribute-store.ts";
import type { PathId } from "../rib/path-columns.ts";
import { type PathValidator, packStates } from "../rib/path-validator.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { type AspaDirection, directionOf, verifyPath } from "../rpki/aspa.ts";
import type { RpkiSources } from "../rpki/sources.ts";
import { noOrigin } from "../rpki/vrp-table.ts";
import { AttributeFlag } from "../wire/attribute-flags.ts";
import { decodeBlock } from "../wire/block.ts";
import type { AsPathSegment } from "../wire/path-attributes.ts";
import { AttributeBlock } from "../wire/scratch.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import type { Routing } from "./routing.ts";

export interface ValidationHost {
  /** The AS that a path without AS numbers begins in: our own. */
  ownAsn(): number;
  /** Undefined for us, and for a neighbor that is gone. */
  neighbor(id: number): NeighborRecord | undefined;
}

const unverified = 0 satisfies AspaState;

export class Validation implements PathValidator {
  private readonly routing: Routing;
  private readonly sources: RpkiSources;
  private readonly host: ValidationHost;
  private readonly key = new RouteKey();
  private readonly address = new Uint8Array(16);
  private readonly block = new AttributeBlock();

  constructor(routing: Routing, sources: RpkiSources, host: ValidationHost) {
    this.routing = routing;
    this.sources = sources;
    this.host = host;
    routing.validator = this;
  }

  /** True when anything is known that a state could rest on. */
  get hasData(): boolean {
    const { inForce } = this.sources.vrps;
    return inForce[4] + inForce[16] > 0 || this.sources.aspas.hasAny;
  }

  origin(route: RouteKey, attr: AttrId): RpkiState {
    return this.sources.vrps.stateOf(route, this.originOf(attr));
  }

  /** The route origin of RFC 6811 2: our own AS for what began here or in our confederation, none for a set. */
  originOf(attr: AttrId): number {
    const { flags, originAs } = this.routing.attributes;
    if ((flags[attr] & AttributeFlag.endsWithSet) !== 0) return noOrigin;
    if ((flags[attr] & AttributeFlag.endsWithConfederation) !== 0) return this.host.ownAsn();
    return originAs[attr] || this.host.ownAsn();
  }

  path(attr: AttrId, neighbor: number): AspaState {
    const direction = this.directionFrom(neighbor);
    return direction ? verifyPath(this.pathOf(attr), direction, this.sources.aspas) : unverified;
  }

  /** How paths from a neighbor are verified; undefined when they are not: iBGP, or a session without a role. */
  directionFrom(neighbor: number): AspaDirection | undefined {
    const config = this.host.neighbor(neighbor)?.config;
    return config?.external ? directionOf(config.role, config.remoteAsn) : undefined;
  }

  pathOf(attr: AttrId): AsPathSegment[] {
    const { block } = this;
    this.routing.attributes.block(attr, block);
    return decodeBlock(block.bytes, block.start, block.end).asPath;
  }

  /** Fills a key with a prefix of a table. */
  keyOf(table: RouteTable, prefix: number): RouteKey {
    table.prefixes.writeAddress(prefix, this.address, 0);
    return this.key.setNlri(table.family, this.address, 0, table.prefixes.length[prefix]);
  }

  /** State of the origin of a prefix with these attributes. */
  originIn(table: RouteTable, prefix: number, attr: AttrId): RpkiState {
    return this.origin(this.keyOf(table, prefix), attr);
  }

  ofPath(table: RouteTable, path: PathId, wantsOrigin: boolean, wantsPath: boolean): number {
    const { received, prefix, neighbor } = table.paths;
    const attr = received[path];
    return packStates(
      wantsOrigin ? this.originIn(table, prefix[path], attr) : 0,
      wantsPath ? this.path(attr, neighbor[path]) : 0,
    );
  }
}
