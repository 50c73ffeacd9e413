/**
 * Whether the rules that neighbors send may be used (RFC 8955 section 6, RFC 9117): decided when one comes in, and again
 * when the unicast routes change that the decision rests on. The decision itself is `validateFlow`; here is what it
 * looks at, and which rules a unicast route concerns. All work is done in slices.
 */
import { formatIp4, formatPrefix, type Prefix } from "../../base/ip.ts";
import { AttributeFlag } from "../../policy/attribute-table.ts";
import type { AttrId } from "../../rib/attribute-store.ts";
import type { FlowTable } from "../../rib/flow-table.ts";
import { RejectReason, reasonMask } from "../../rib/path-flags.ts";
import type { RouteTable } from "../../rib/route-table.ts";
import { families, unicastFamily } from "../../wire/family.ts";
import { destinationOf, unknownTypeOf } from "../../wire/flowspec/nlri.ts";
import {
  type FlowFault,
  type FlowOrigin,
  flowFaultTexts,
  type UnicastMatch,
  type UnicastRoutes,
  validateFlow,
} from "../../wire/flowspec/validation.ts";
import type { NeighborRecord } from "../neighbor-record.ts";
import type { Part } from "../part.ts";
import type { Routing } from "../routing.ts";
import { type Destination, Destinations } from "./destinations.ts";

export interface FlowValidationHost {
  neighbor(id: number): NeighborRecord | undefined;
  /** Runs import again for one path. */
  reimport(record: NeighborRecord, table: RouteTable, path: number): void;
}

/** Unicast rows that are looked at in a microsecond, and rows that one rule costs. */
const rowsPerMicro = 2;
const rowsPerRule = 16;

export class FlowValidation implements Part {
  private readonly byFamily: readonly (FamilyValidation | undefined)[];

  constructor(routing: Routing, host: FlowValidationHost) {
    this.byFamily = families.map((family) =>
      family.nlri === "flow" ? new FamilyValidation(routing, routing.table(family), host) : undefined,
    );
  }

  /** Whether a rule of a neighbor may be used; it is looked at again when that may be otherwise. */
  verdict(record: NeighborRecord, table: RouteTable, rule: Uint8Array, received: AttrId): RejectReason {
    if (!record.config.flowspecValidation) return RejectReason.none;
    const fault = this.byFamily[table.family.index]!.judge(record, rule, received);
    return fault === undefined ? RejectReason.none : RejectReason.flowValidation;
  }

  /** One clause on why a rule is not used, for people. */
  describe(record: NeighborRecord, table: RouteTable, rule: Uint8Array, received: AttrId): string {
    return this.byFamily[table.family.index]!.describe(record, rule, received);
  }

  run(micros: number): void {
    for (const each of this.byFamily) if (each?.hasWork) each.run(micros * rowsPerMicro);
  }

  get hasWork(): boolean {
    return this.byFamily.some((each) => each?.hasWork);
  }

  passed(table: RouteTable): number | undefined {
    for (const each of this.byFamily) if (each?.unicast === table) return each.destinations.passed;
    return undefined;
  }
}

/** Not all unicast routes were looked at yet. */
type Fault = FlowFault | "unknown-yet";

class FamilyValidation implements UnicastRoutes {
  readonly unicast: RouteTable;
  readonly destinations: Destinations;
  private readonly routing: Routing;
  private readonly table: RouteTable;
  private readonly rules: FlowTable;
  private readonly host: FlowValidationHost;
  /** Destinations whose rules are to be looked at again. */
  private readonly dirty = new Set<Destination>();
  /** Unicast prefixes that changed, with rules for destinations inside of them. */
  private readonly moved: Prefix[] = [];
  private walk: RuleWalk | undefined;
  /** Size at which destinations without rules are looked for, and where that is; 0 while it is not done. */
  private tidyAt = 1024;
  private tidying = 0;

  constructor(routing: Routing, table: RouteTable, host: FlowValidationHost) {
    this.routing = routing;
    this.table = table;
    this.rules = table.rules!;
    this.host = host;
    this.unicast = routing.table(unicastFamily(table.family.addressBytes));
    this.destinations = new Destinations(this.unicast, routing.attributes, {
      changed: (destination) => this.dirty.add(destination),
      moved: (address, length) => this.prefixMoved(address, length),
    });
  }

  judge(record: NeighborRecord, rule: Uint8Array, received: AttrId): Fault | undefined {
    const destination = destinationOf(rule, this.table.family);
    if (destination) {
      const known = this.destinations.follow(destination.bytes, destination.length);
      if (!this.destinations.isReady(known)) return "unknown-yet";
    }
    return validateFlow(this.originOf(record, rule, received, destination), this);
  }

  describe(record: NeighborRecord, rule: Uint8Array, received: AttrId): string {
    const fault = this.judge(record, rule, received);
    if (fault === undefined) return "it is to be looked at again";
    if (fault === "unknown-yet") return "not all unicast routes were looked at yet";
    const destination = destinationOf(rule, this.table.family);
    const row = destination ? this.matchRow(destination) : 0;
    if (row === 0 || !destination) return flowFaultTexts[fault];
    const bytes = new Uint8Array(this.table.family.addressBytes);
    this.unicast.prefixes.writeAddress(row, bytes, 0);
    const prefix = formatPrefix({ bytes, length: this.unicast.prefixes.length[row] });
    const { originator, firstAs } = this.matchOf(row);
    const as = firstAs === 0 ? "" : `, first AS ${firstAs}`;
    return `${flowFaultTexts[fault]}: best is ${prefix} from ${originator}${as}`;
  }

  private originOf(
    { id, config }: NeighborRecord,
    rule: Uint8Array,
    attr: AttrId,
    destination: Prefix | undefined,
  ): FlowOrigin {
    const { attributes } = this.routing;
    return {
      destination,
      source: config.external ? "external" : "internal",
      originator: this.originator(id, attr),
      isLocal: attributes.pathLength[attr] === 0,
      hasUnknown: unknownTypeOf(rule, this.table.family) !== 0,
      firstAs: attributes.neighborAs[attr],
    };
  }

  private originator(neighbor: number, attr: AttrId): string {
    const { attributes, neighbors } = this.routing;
    const hasId = (attributes.flags[attr] & AttributeFlag.hasOriginatorId) !== 0;
    return hasId ? formatIp4(attributes.originatorId[attr]) : neighbors.text[neighbor];
  }

  bestMatch(destination: Prefix): UnicastMatch | undefined {
    const row = this.matchRow(destination);
    const known = this.destinations.find(destination.bytes, destination.length);
    if (known) known.matchLength = row === 0 ? -1 : this.unicast.prefixes.length[row];
    return row === 0 ? undefined : this.matchOf(row);
  }

  hasMoreSpecificFrom(destination: Prefix, otherThan: number): boolean {
    const known = this.destinations.find(destination.bytes, destination.length);
    return known !== undefined && this.destinations.hasPartOfOther(known, otherThan);
  }

  private matchRow({ bytes, length }: Prefix): number {
    return this.unicast.prefixes.longestMatch(bytes, length, (row) => this.unicast.bestOf(row) !== 0);
  }

  private matchOf(row: number): UnicastMatch {
    const { paths } = this.unicast;
    const best = this.unicast.bestOf(row);
    const attr = paths.received[best];
    return {
      originator: this.originator(paths.neighbor[best], attr),
      firstAs: this.routing.attributes.neighborAs[attr],
    };
  }

  // ------------------------------------------------------------------------------- what is looked at again

  get hasWork(): boolean {
    return (
      this.dirty.size > 0 || this.moved.length > 0 || this.walk !== undefined || this.destinations.hasWork
    );
  }

  run(rows: number): void {
    let left = Math.max(1, Math.floor(rows / rowsPerRule));
    while (left > 0 && this.hasRules()) left -= this.walk!.step(left);
    // What changed meanwhile waits in the change list while this is behind.
    if (left > 0) this.destinations.run(left * rowsPerRule);
    this.tidy();
  }

  /** Sees to it that there is a walk over rules, if any are to be looked at. */
  private hasRules(): boolean {
    while (this.walk === undefined || this.walk.isDone) {
      const [destination] = this.dirty;
      const prefix = this.moved[0];
      if (destination) {
        this.dirty.delete(destination);
        this.walk = new RuleWalk(this.rules, destination, true, (rule) => this.settle(rule));
      } else if (prefix) {
        this.moved.shift();
        this.walk = new RuleWalk(this.rules, prefix, false, (rule) => this.matchMoved(rule, prefix));
      } else {
        this.walk = undefined;
        return false;
      }
    }
    return true;
  }

  private prefixMoved(address: Uint8Array, length: number): void {
    if (this.rules.firstInside(address, length) === 0) return;
    this.moved.push({ bytes: address.slice(), length });
  }

  /** The best match of a rule's destination may be another one. */
  private matchMoved(rule: number, { length }: Prefix): void {
    const bytes = new Uint8Array(this.table.family.addressBytes);
    this.rules.writeAddress(rule, bytes, 0);
    const destination = this.destinations.find(bytes, this.rules.length[rule]);
    // A longer prefix that leads to it hides this one.
    if (destination && destination.matchLength <= length) this.dirty.add(destination);
  }

  /** Looks at the paths of a rule again. */
  private settle(rule: number): void {
    const { paths } = this.table;
    const value = this.rules.value(rule).slice();
    const chain: number[] = [];
    for (let path = this.table.head[rule]; path !== 0; path = paths.next[path]) chain.push(path);
    for (const path of chain) {
      const record = this.host.neighbor(paths.neighbor[path]);
      if (!record?.config.flowspecValidation) continue;
      const isRefused = (paths.flags[path] & reasonMask) === RejectReason.flowValidation;
      const isFaulty = this.judge(record, value, paths.received[path]) !== undefined;
      if (isRefused !== isFaulty) this.host.reimport(record, this.table, path);
    }
  }

  /** Forgets destinations that no rule has any more, now and then. */
  private tidy(): void {
    if (this.tidying === 0) {
      if (
        this.destinations.size < this.tidyAt &&
        (this.table.paths.count > 0 || this.destinations.size === 0)
      )
        return;
      this.tidying = 1;
    }
    const gone: Destination[] = [];
    this.tidying = this.destinations.some(this.tidying, 1024, (destination) => {
      if (!this.isUsed(destination)) gone.push(destination);
    });
    for (const destination of gone) {
      this.dirty.delete(destination);
      this.destinations.forget(destination);
    }
    if (this.tidying === 0) this.tidyAt = Math.max(1024, this.destinations.size * 2);
  }

  private isUsed({ bytes, length }: Destination): boolean {
    const first = this.rules.fromDestination(bytes, length);
    return first !== 0 && this.rules.length[first] === length && this.rules.isInside(first, bytes, length);
  }
}

/** Visits the rules for destinations inside of a prefix, or for exactly that one, some at a time. */
class RuleWalk {
  isDone = false;
  private readonly rules: FlowTable;
  private readonly prefix: Prefix;
  private readonly isExact: boolean;
  private readonly visit: (rule: number) => void;
  /** The rule visited last: it may be gone when the walk goes on. */
  private last: Uint8Array | undefined;

  constructor(rules: FlowTable, prefix: Prefix, isExact: boolean, visit: (rule: number) => void) {
    this.rules = rules;
    this.prefix = prefix;
    this.isExact = isExact;
    this.visit = visit;
  }

  /** @returns how many rules were visited, 1 at least */
  step(max: number): number {
    const { rules, prefix, isExact } = this;
    const { bytes, length } = prefix;
    let rule = this.last
      ? rules.after(this.last)
      : isExact
        ? rules.fromDestination(bytes, length)
        : rules.firstInside(bytes, length);
    let visited = 0;
    for (; rule !== 0 && visited < max; visited++) {
      if (!rules.isInside(rule, bytes, length) || (isExact && rules.length[rule] !== length)) {
        this.isDone = true;
        return visited + 1;
      }
      const next = rules.following(rule);
      if (visited === max - 1) this.last = rules.value(rule).slice();
      this.visit(rule);
      rule = next;
    }
    this.isDone = rule === 0;
    return Math.max(1, visited);
  }
}
