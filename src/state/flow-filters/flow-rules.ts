/**
 * The best FlowSpec routes as FlowSpecFilter objects see them: rules in the order of RFC 8955 5.1, each with a label that
 * sorts alike. They are read anew, in slices, a moment after the tables changed, and only while there is such an object.
 *
 *   table changes -> settleMs -> walk in order, some rules a turn -> labels -> whoever looked at them is asked again
 *
 * A rule that stays keeps its label, so that a change touches nothing in the kernel but what came and went.
 */
import { limits } from "../../base/limits.ts";
import type { FlowRule } from "../../resources/flow-spec-filter/rules.ts";
import type { AttrId } from "../../rib/attribute-store.ts";
import type { RouteTable } from "../../rib/route-table.ts";
import { AttributeType } from "../../wire/attributes/descriptor.ts";
import { decodeBlock } from "../../wire/block.ts";
import { type Family, families } from "../../wire/family.ts";
import { decodeActions, type FlowAction } from "../../wire/flowspec/actions.ts";
import { hex } from "../../wire/message.ts";
import { AttributeBlock } from "../../wire/scratch.ts";
import type { NeighborRecord } from "../neighbor-record.ts";
import type { Part } from "../part.ts";
import type { Routing } from "../routing.ts";
import { labelsFor } from "./labels.ts";

export interface FlowRulesHost {
  readonly routing: Routing;
  /** There is an object that takes them. */
  isNeeded(): boolean;
  /** Routes of the family come in after a restart, and are not chosen yet. */
  isDeferred(family: Family): boolean;
  record(neighbor: number): NeighborRecord | undefined;
  /** They are others than before. */
  changed(): void;
  nowMs(): number;
}

/** Changes are collected this long. */
const settleMs = 50;
/** Microseconds that a rule costs. */
const microsPerRule = 10;

export class FlowRules implements Part {
  private readonly host: FlowRulesHost;
  private readonly sides: readonly Side[];
  private all: readonly FlowRule[] = [];

  constructor(host: FlowRulesHost) {
    this.host = host;
    this.sides = families
      .filter(({ nlri }) => nlri === "flow")
      .map((family) => new Side(host.routing.table(family), host));
  }

  /** Those of IPv4, then those of IPv6. */
  current(): readonly FlowRule[] {
    return this.all;
  }

  get hasWork(): boolean {
    return this.isActive && this.sides.some((side) => side.isWalking || side.isDue);
  }

  nextMs(): number {
    if (!this.isActive) return Number.POSITIVE_INFINITY;
    return Math.min(...this.sides.map((side) => side.dueMs));
  }

  run(micros: number): void {
    if (!this.host.isNeeded()) {
      if (this.all.length === 0) return;
      for (const side of this.sides) side.forget();
      this.all = [];
      return;
    }
    let isDone = false;
    for (const side of this.sides) {
      side.look();
      isDone = side.walk(Math.max(1, Math.floor(micros / microsPerRule))) || isDone;
    }
    if (!isDone) return;
    this.all = this.sides.flatMap(({ rules }) => rules);
    this.host.changed();
  }

  private get isActive(): boolean {
    return this.all.length > 0 || this.host.isNeeded();
  }
}

/** Rules of one family. */
class Side {
  rules: readonly FlowRule[] = [];
  /** When the walk is to begin; Infinity when nothing changed. */
  dueMs = Number.POSITIVE_INFINITY;
  private readonly host: FlowRulesHost;
  private readonly table: RouteTable;
  /** Number of changes of the table that the rules rest on; -1 before they were read. */
  private seen = -1;
  private walking: Walk | undefined;

  constructor(table: RouteTable, host: FlowRulesHost) {
    this.table = table;
    this.host = host;
  }

  get isWalking(): boolean {
    return this.walking !== undefined;
  }

  /** The table changed and nobody has taken note, or a walk is to begin now. */
  get isDue(): boolean {
    if (this.host.isDeferred(this.table.family)) return false;
    if (this.dueMs === Number.POSITIVE_INFINITY) return this.seen !== this.table.changes.changes;
    return this.dueMs <= this.host.nowMs();
  }

  forget(): void {
    this.rules = [];
    this.seen = -1;
    this.walking = undefined;
    this.dueMs = Number.POSITIVE_INFINITY;
  }

  /** Notes that the table changed, and begins a walk when it is time. */
  look(): void {
    if (this.walking || !this.isDue) return;
    const nowMs = this.host.nowMs();
    if (this.dueMs === Number.POSITIVE_INFINITY) this.dueMs = nowMs + (this.seen < 0 ? 0 : settleMs);
    if (this.dueMs > nowMs) return;
    this.dueMs = Number.POSITIVE_INFINITY;
    this.seen = this.table.changes.changes;
    this.walking = new Walk(this.table, this.host, this.rules);
  }

  /** @returns whether there are other rules now */
  walk(count: number): boolean {
    if (!this.walking?.step(count)) return false;
    const { found } = this.walking;
    this.walking = undefined;
    const isSame = found.length === this.rules.length && found.every((rule, i) => rule === this.rules[i]);
    this.rules = found;
    return !isSame;
  }
}

/** One reading of a table in its order; rules that are as they were are the same objects. */
class Walk {
  found: FlowRule[] = [];
  private readonly table: RouteTable;
  private readonly host: FlowRulesHost;
  private readonly before: ReadonlyMap<string, FlowRule>;
  private readonly keys: string[] = [];
  private readonly actions = new Map<AttrId, readonly FlowAction[]>();
  private readonly block = new AttributeBlock();
  /** Value of the last rule; undefined at the beginning. */
  private last: Uint8Array | undefined;

  constructor(table: RouteTable, host: FlowRulesHost, before: readonly FlowRule[]) {
    this.table = table;
    this.host = host;
    this.before = new Map(before.map((rule) => [hex(rule.flow), rule]));
  }

  /** @returns true at the end */
  step(count: number): boolean {
    const rules = this.table.rules!;
    let row = this.last ? rules.after(this.last) : rules.following(0);
    for (let left = count; left > 0 && row !== 0; left--, row = rules.following(row)) {
      if (this.found.length === limits.flowFilterRulesMax) row = 0;
      if (row === 0) break;
      const best = this.table.bestOf(row);
      if (best !== 0) this.add(rules.value(row).slice(), best);
      if (left === 1) this.last = rules.value(row).slice();
    }
    if (row !== 0) return false;
    this.label();
    return true;
  }

  private add(flow: Uint8Array, best: number): void {
    const { paths, family } = this.table;
    const key = hex(flow);
    const config = this.host.record(paths.neighbor[best])?.config;
    const rule: FlowRule = {
      addressBytes: family.addressBytes,
      flow,
      actions: this.actionsOf(paths.attr[best]),
      label: "",
      neighbor: config?.address ?? "",
      peerGroup: config?.peerGroup ?? "",
    };
    const old = this.before.get(key);
    this.keys.push(key);
    this.found.push(old && isSame(old, rule) ? old : rule);
  }

  private actionsOf(attr: AttrId): readonly FlowAction[] {
    const known = this.actions.get(attr);
    if (known) return known;
    this.host.routing.attributes.block(attr, this.block);
    const { extendedCommunities, unknown } = decodeBlock(this.block.bytes, this.block.start, this.block.end);
    const ip6 = unknown.find(({ type }) => type === AttributeType.ipv6ExtendedCommunities);
    const actions = decodeActions(extendedCommunities, ip6?.value);
    this.actions.set(attr, actions);
    return actions;
  }

  private label(): void {
    const labels = labelsFor(this.keys.map((key) => this.before.get(key)?.label));
    this.found = this.found.map((rule, i) =>
      rule.label === labels[i] ? rule : { ...rule, label: labels[i] },
    );
  }
}

function isSame(a: FlowRule, b: FlowRule): boolean {
  return (
    a.neighbor === b.neighbor &&
    a.peerGroup === b.peerGroup &&
    JSON.stringify(a.actions) === JSON.stringify(b.actions)
  );
}
