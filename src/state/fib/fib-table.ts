/**
 * One FibTable at work: which routes of the Loc-RIB it takes, and both families of what it holds in the kernel. A table
 * whose object is gone goes on as one that wants nothing, until nothing of it is left.
 */
import type { FibScope } from "../../dataplane/fib/messages.ts";
import type { Link } from "../../dataplane/kernel-model.ts";
import type { FibTableSpec } from "../../gen/cairn/v1/fib_kinds_pb.ts";
import { AttributeFlag } from "../../policy/attribute-table.ts";
import type { Program } from "../../policy/program.ts";
import { RouteKey, RouteType } from "../../policy/route-key.ts";
import { PrefixTable4, PrefixTable16 } from "../../rib/prefix-table.ts";
import type { RouteTable } from "../../rib/route-table.ts";
import { type Family, ipv4Unicast, ipv6Unicast } from "../../wire/family.ts";
import { isLinkLocal } from "../../wire/next-hop.ts";
import type { NeighborRecord } from "../neighbor-record.ts";
import type { Policies } from "../policies.ts";
import { policyContext } from "../policies.ts";
import type { Routing } from "../routing.ts";
import type { Watchers } from "../watchers.ts";
import { FibFamily } from "./fib-family.ts";
import { type RecipeHop, type RecipeId, Recipes, type RecipesHost } from "./recipes.ts";
import { Ways } from "./ways.ts";

export interface FibTableHost extends RecipesHost {
  readonly routing: Routing;
  readonly watchers: Watchers;
  readonly policies: Policies;
  record(neighbor: number): NeighborRecord | undefined;
  linkByIndex(index: number): Link | undefined;
  /** Somebody announces only those routes of the family that the kernel holds. */
  isAwaited(family: Family): boolean;
}

export class FibTable {
  readonly scope: FibScope;
  /** Key of its row in the ledger. */
  readonly key: string;
  /** Object that it is for; empty when it is to go. */
  name = "";
  readonly families: readonly FibFamily[];
  readonly ways = new Ways();
  readonly recipes: Recipes;
  private spec: FibTableSpec | undefined;
  private readonly host: FibTableHost;
  private readonly routeKey = new RouteKey();
  private readonly programs = new Map<number, Program | undefined>();
  private readonly allowed = new Map<number, boolean>();
  // What the manager keeps of it.
  /** The ledger has it on disk. */
  durable = false;
  /** Sequence number with which the ledger's row is written; 0 when it was there. */
  persisting = 0;
  /** By family index: what the kernel holds was told at least once. */
  readonly known: boolean[] = [false, false];
  /** By family index: the kernel is to be asked for all, not before this, monotonic milliseconds. */
  readonly staleAtMs: number[] = [0, 0];
  readonly restUntilMs: number[] = [0, 0];
  /** Families that were written to since the start. */
  readonly begun: boolean[] = [false, false];
  /** By family index: all that was there after the start has been brought into the kernel. */
  readonly caughtUp: boolean[] = [false, false];
  /** Failed routes are tried again then; Infinity when there are none. */
  retryAtMs = Number.POSITIVE_INFINITY;
  retryMs = 0;
  /** Why the kernel cannot be written to at all. */
  failure = "";
  /** By family index: another hand was noticed since the last dump. */
  readonly drifts: boolean[] = [false, false];

  constructor(scope: FibScope, host: FibTableHost) {
    this.scope = scope;
    this.key = `${scope.table} ${scope.metric}`;
    this.host = host;
    this.recipes = new Recipes(this.ways, host);
    this.families = [ipv4Unicast, ipv6Unicast].map((family) => {
      const table = host.routing.table(family);
      return new FibFamily({
        table,
        watchers: host.watchers,
        recipes: this.recipes,
        ways: this.ways,
        recipeOf: (prefix) => this.recipeOf(table, prefix),
        room: () => this.room(),
        isAwaited: () => host.isAwaited(family),
      });
    });
  }

  get leaves(): boolean {
    return this.spec === undefined;
  }

  /** Name of a link; its index where it is gone. */
  linkName(index: number): string {
    return this.host.linkByIndex(index)?.name ?? String(index);
  }

  /** Takes over what is declared; undefined: everything is to go. */
  configure(name: string, spec: FibTableSpec | undefined): void {
    this.name = name;
    this.spec = spec;
    this.programs.clear();
    this.allowed.clear();
    for (const family of this.families) {
      const wanted = spec && (spec.families.length === 0 || spec.families.includes(family.family.name));
      if (wanted) {
        family.follow();
        // The bound may be another one.
        family.sweep();
      } else family.leave();
    }
  }

  /** Neighbors, groups, policies or sets changed: what is taken may be other routes. */
  reconsider(): void {
    if (!this.spec || (this.spec.policy === "" && !this.isSelective)) return;
    this.programs.clear();
    this.allowed.clear();
    for (const family of this.families) if (family.follows) family.follow();
  }

  /** Other links, or another way to this next hop. */
  moved(hop?: number): void {
    const isOther = hop === undefined ? this.recipes.allMoved() : this.recipes.hopMoved(hop);
    if (isOther) for (const family of this.families) family.sweep();
  }

  get isEmpty(): boolean {
    return this.families.every((family) => family.isEmpty);
  }

  get wanted(): number {
    return this.families.reduce((sum, { counts }) => sum + counts.wanted, 0);
  }

  private room(): number {
    const max = this.spec?.maxRoutes ?? 0;
    return max === 0 ? Number.POSITIVE_INFINITY : max - this.wanted;
  }

  private get isSelective(): boolean {
    return this.spec !== undefined && this.spec.neighbors.length + this.spec.peerGroups.length > 0;
  }

  private recipeOf(table: RouteTable, prefix: number): RecipeId {
    const { spec } = this;
    const best = table.bestOf(prefix);
    if (best === 0 || !spec) return 0;
    const { attributes } = this.host.routing;
    const { paths, multipath } = table;
    const attr = paths.attr[best];
    const isDiscard = (attributes.flags[attr] & AttributeFlag.discard) !== 0;
    if (isDiscard && spec.discards === false) return 0;
    if (!this.takes(table, prefix, best)) return 0;
    if (isDiscard) return this.recipes.of([]);
    if (spec.ecmp !== false && multipath?.has(best)) {
      const hops: RecipeHop[] = [];
      for (const { path, weight } of multipath.shares(paths, best)) {
        const hop = attributes.nextHop[paths.attr[path]];
        if (weight > 0 && hop !== 0) hops.push({ hop, zone: this.zoneOf(hop, paths.neighbor[path]), weight });
      }
      return hops.length === 0 ? 0 : this.recipes.of(hops);
    }
    const hop = attributes.nextHop[attr];
    if (hop === 0) return 0;
    const zone = this.zoneOf(hop, paths.neighbor[best]);
    return zone === "" ? this.recipes.ofHop(hop) : this.recipes.of([{ hop, zone, weight: 1 }]);
  }

  private zoneOf(hop: number, neighbor: number): string {
    // IPv4 next hops have even numbers.
    if ((hop & 1) === 0 || !isLinkLocal(this.host.nextHops.address(hop), 0)) return "";
    return this.host.record(neighbor)?.config.interface ?? "";
  }

  private takes(table: RouteTable, prefix: number, path: number): boolean {
    const spec = this.spec!;
    const neighbor = table.paths.neighbor[path];
    if (this.isSelective && !this.allows(neighbor)) return false;
    if (spec.policy === "") return true;
    let program = this.programs.get(neighbor);
    if (!program) {
      program = this.bind(neighbor);
      this.programs.set(neighbor, program);
    }
    const record = this.host.record(neighbor);
    const { routeKey } = this;
    const { prefixes } = table;
    if (prefixes instanceof PrefixTable4) routeKey.setIp4(prefixes.address[prefix], prefixes.length[prefix]);
    else if (prefixes instanceof PrefixTable16) {
      const { words } = prefixes;
      const at = prefix * 4;
      routeKey.family = table.family;
      routeKey.w0 = words[at];
      routeKey.w1 = words[at + 1];
      routeKey.w2 = words[at + 2];
      routeKey.w3 = words[at + 3];
      routeKey.length = prefixes.length[prefix];
    }
    routeKey.family = table.family;
    const { local, internal, external } = RouteType;
    routeKey.routeType = !record ? local : record.config.external ? external : internal;
    const { attributes } = this.host.routing;
    const result = program.evaluate(table.paths.attr[path], routeKey);
    if (result !== 0) attributes.release(result);
    return result !== 0;
  }

  private allows(neighbor: number): boolean {
    let allowed = this.allowed.get(neighbor);
    if (allowed === undefined) {
      const { neighbors, peerGroups } = this.spec!;
      const config = this.host.record(neighbor)?.config;
      allowed =
        config !== undefined && (neighbors.includes(config.address) || peerGroups.includes(config.peerGroup));
      this.allowed.set(neighbor, allowed);
    }
    return allowed;
  }

  private bind(neighbor: number): Program {
    const record = this.host.record(neighbor);
    const context = record
      ? policyContext(record, undefined)
      : { neighbor: { address: new Uint8Array(4), asn: 0, peerGroup: "" }, localAs: 0 };
    const { policies, routing } = this.host;
    return policies.library.program([this.spec!.policy], "import", routing.attributes, context);
  }
}
