/**
 * Redistribute: routes of the kernel as local paths of the Loc-RIB. Each object has a path id of its own, so that objects
 * know nothing of each other, nor of injected routes; which path is best is decided as for any other.
 *
 *   kernel -> reader's thread -> offered routes of an object -> policy -> local path -> best path -> neighbors
 *
 * Nothing of it is stored: after a restart the kernel tells anew.
 */
import { formatPrefix, parsePrefix } from "../../base/ip.ts";
import { limits } from "../../base/limits.ts";
import { type KernelRoute, protocolName } from "../../dataplane/kernel-model.ts";
import type { RouteNews, RouteScope } from "../../dataplane/redistribute/messages.ts";
import type { GlobalSpec } from "../../gen/cairn/v1/global_service_pb.ts";
import type { RedistributeSpec } from "../../gen/cairn/v1/redistribute_kinds_pb.ts";
import { ResourcePhase } from "../../gen/cairn/v1/resource_types_pb.ts";
import { explainChain } from "../../policy/explain.ts";
import type { Program } from "../../policy/program.ts";
import { RouteKey, RouteType } from "../../policy/route-key.ts";
import { scopeOf } from "../../resources/redistribute/kind.ts";
import { RejectReason } from "../../rib/path-flags.ts";
import type { RouteTable } from "../../rib/route-table.ts";
import { encodeBlock } from "../../wire/block.ts";
import { unicastFamily } from "../../wire/family.ts";
import { MessageWriter } from "../../wire/message-writer.ts";
import { emptyAttributes } from "../../wire/path-attributes.ts";
import type { Effects } from "../effects.ts";
import { redistributedPathIds } from "../injection-parse.ts";
import type { Specs, Touched } from "../objects.ts";
import type { Inputs } from "../part.ts";
import { libraryKinds, type Policies } from "../policies.ts";
import type { ResourceStanding } from "../resources.ts";
import type { Routing } from "../routing.ts";
import type { SessionHost } from "../session-port.ts";

const kind = "Redistribute";
/** Neighbor number of the local speaker. */
const local = 0;
/** ORIGIN of routes that were learned by other means (RFC 4271 5.1.1). */
const originIncomplete = 2;
/** Came and went are told together at most so often. */
const tellMs = 1000;

export interface RedistributionsHost {
  /** Specs that are durable. */
  readonly specs: Specs;
  names(kind: string): Iterable<string>;
  readonly effects: Effects;
  readonly routing: Routing;
  readonly policies: Policies;
  /** Name of a link. */
  linkName(index: number): string;
  /** The object stands otherwise than before. */
  changed(name: string): void;
  nowMs(): number;
  /** Wall-clock seconds. */
  nowS(): number;
  readonly event: SessionHost["event"];
}

/** An object at work; one that is gone goes on until its paths are withdrawn. */
interface Entry {
  readonly name: string;
  readonly slot: number;
  spec: RedistributeSpec | undefined;
  scope: RouteScope;
  /** What the kernel offers, by prefix. */
  offered: Map<string, KernelRoute>;
  /** Prefixes that are in the table, and those that policy refuses. */
  readonly announced: Set<string>;
  readonly refused: Set<string>;
  /** Prefixes to look at. */
  readonly dirty: Set<string>;
  program: Program | undefined;
  /** The kernel has told what it has. */
  known: boolean;
  over: number;
  failure: string;
  /** Not told yet. */
  came: number;
  went: number;
  tellAtMs: number;
}

/** Of one object, for metrics. */
export interface RedistributeSummary {
  readonly name: string;
  readonly announced: number;
  readonly refused: number;
  readonly over: number;
}

export class Redistributions {
  private readonly host: RedistributionsHost;
  /** False: this daemon does not look at the kernel. */
  readonly enabled: boolean;
  private readonly entries = new Map<string, Entry>();
  /** Objects that are gone, and whose paths are not yet. */
  private readonly leaving = new Set<Entry>();
  private readonly key = new RouteKey();
  private readonly writer = new MessageWriter(256);
  private watched = "[]";
  readonly inputs: Inputs = { "routes.news": ({ news }) => this.news(news) };

  constructor(enabled: boolean, host: RedistributionsHost) {
    this.enabled = enabled;
    this.host = host;
    this.key.routeType = RouteType.local;
  }

  start(): void {
    this.configure();
  }

  apply(touched: readonly Touched[]): void {
    if (touched.some((each) => each.kind === kind)) this.configure();
    const isConcerned = touched.some(
      ({ kind: other }) => other === "Global" || libraryKinds.some((each) => each === other),
    );
    if (isConcerned) for (const entry of this.entries.values()) if (entry.spec?.policy) lookAtAll(entry);
  }

  private configure(): void {
    if (!this.enabled) return;
    const left = new Set(this.entries.values());
    for (const name of this.host.names(kind)) {
      const spec = this.host.specs.spec(kind, name) as RedistributeSpec | undefined;
      if (!spec) continue;
      const known = this.entries.get(name);
      if (known) {
        left.delete(known);
        known.spec = spec;
        known.scope = scopeOf(spec, known.slot);
        lookAtAll(known);
      } else this.entries.set(name, this.make(name, spec));
      this.host.changed(name);
    }
    for (const entry of left) {
      this.entries.delete(entry.name);
      entry.spec = undefined;
      entry.offered = new Map();
      for (const prefix of entry.announced) entry.dirty.add(prefix);
      this.leaving.add(entry);
    }
    this.watch();
  }

  private make(name: string, spec: RedistributeSpec): Entry {
    const used = new Set([...this.entries.values(), ...this.leaving].map(({ slot }) => slot));
    let slot = 0;
    while (used.has(slot)) slot++;
    return {
      ...{ name, slot, spec, scope: scopeOf(spec, slot) },
      offered: new Map(),
      announced: new Set(),
      refused: new Set(),
      dirty: new Set(),
      program: undefined,
      ...{ known: false, over: 0, failure: "", came: 0, went: 0 },
      tellAtMs: Number.POSITIVE_INFINITY,
    };
  }

  private watch(): void {
    const scopes = [...this.entries.values()].map(({ scope }) => scope);
    const text = JSON.stringify(scopes);
    if (text === this.watched) return;
    this.watched = text;
    this.host.effects.push({ kind: "routes.watch", scopes });
  }

  private news({ scope, all, changed, gone, over, failure }: RouteNews): void {
    const entry = [...this.entries.values()].find(({ slot }) => slot === scope);
    if (!entry) return;
    if (failure !== "") {
      // What was offered stands until the kernel can be asked again.
      entry.failure = failure;
      this.host.changed(entry.name);
      return;
    }
    const isFirst = !entry.known;
    entry.failure = "";
    entry.known = true;
    entry.over = over;
    if (all) {
      for (const prefix of entry.offered.keys()) entry.dirty.add(prefix);
      entry.offered = new Map();
    }
    for (const route of changed) {
      const prefix = formatPrefix(route.destination);
      entry.offered.set(prefix, route);
      entry.dirty.add(prefix);
    }
    for (const prefix of gone) {
      entry.offered.delete(prefix);
      entry.dirty.add(prefix);
    }
    if (isFirst || entry.dirty.size === 0) this.host.changed(entry.name);
  }

  get hasWork(): boolean {
    if (this.leaving.size > 0) return true;
    for (const { dirty } of this.entries.values()) if (dirty.size > 0) return true;
    return false;
  }

  nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { tellAtMs } of this.entries.values()) next = Math.min(next, tellAtMs);
    return next;
  }

  run(): void {
    let left: number = limits.redistributedPerTurn;
    for (const entry of this.leaving) {
      left = this.work(entry, left);
      if (entry.dirty.size === 0) this.leaving.delete(entry);
    }
    for (const entry of this.entries.values()) {
      if (entry.dirty.size > 0) {
        left = this.work(entry, left);
        if (entry.dirty.size === 0) this.host.changed(entry.name);
      }
      if (entry.tellAtMs <= this.host.nowMs()) this.tell(entry);
    }
  }

  /** @returns how many more prefixes may be looked at in this turn */
  private work(entry: Entry, left: number): number {
    for (const prefix of entry.dirty) {
      if (left-- <= 0) return 0;
      entry.dirty.delete(prefix);
      this.settle(entry, prefix);
    }
    return left;
  }

  private settle(entry: Entry, prefix: string): void {
    const route = entry.offered.get(prefix);
    const was = entry.announced.has(prefix);
    entry.refused.delete(prefix);
    const isIn = route !== undefined && this.announce(entry, route);
    if (route && !isIn) entry.refused.add(prefix);
    if (isIn) entry.announced.add(prefix);
    else if (was) {
      entry.announced.delete(prefix);
      this.withdraw(entry, prefix);
    }
    if (isIn === was) return;
    if (isIn) entry.came++;
    else entry.went++;
    if (entry.tellAtMs === Number.POSITIVE_INFINITY) entry.tellAtMs = this.host.nowMs() + tellMs;
  }

  /** @returns false when policy refuses it */
  private announce(entry: Entry, route: KernelRoute): boolean {
    const { routing } = this.host;
    const { bytes, length } = route.destination;
    const table = routing.table(unicastFamily(bytes.length));
    const offered = this.attributesOf(entry, route);
    const attr = this.judge(entry, table, route, offered);
    routing.attributes.release(offered);
    if (attr === 0) return false;
    const prefix = table.prefix(bytes, 0, length);
    table.announce(local, prefix, pathIdOf(entry), attr, attr, RejectReason.none, this.host.nowS());
    routing.attributes.release(attr);
    return true;
  }

  private withdraw(entry: Entry, prefix: string): void {
    const parsed = parsePrefix(prefix);
    if (typeof parsed === "string") return;
    const table = this.host.routing.table(unicastFamily(parsed.bytes.length));
    const row = table.prefixes.find(parsed.bytes, 0, parsed.length);
    if (row !== 0) table.withdraw(local, row, pathIdOf(entry));
  }

  /** What policy is asked about, with one reference: a next hop of zeros is ourselves. */
  private attributesOf({ spec }: Entry, { destination, metric }: KernelRoute): number {
    const attributes = emptyAttributes();
    attributes.origin = originIncomplete;
    attributes.nextHop = new Uint8Array(destination.bytes.length);
    attributes.med = spec?.med ?? metric;
    this.writer.reset();
    encodeBlock(attributes, this.writer);
    return this.host.routing.attributes.intern(this.writer.bytes, 0, this.writer.at);
  }

  /** @returns the attribute set after policy, with one reference; 0 when it is refused */
  private judge(entry: Entry, table: RouteTable, { destination }: KernelRoute, offered: number): number {
    const { attributes } = this.host.routing;
    if (!entry.spec?.policy) {
      attributes.retain(offered);
      return offered;
    }
    entry.program ??= this.bind(entry.spec.policy);
    this.key.setNlri(table.family, destination.bytes, 0, destination.length);
    return entry.program.evaluate(offered, this.key);
  }

  private bind(policy: string): Program {
    const { policies, routing, specs } = this.host;
    const global = specs.spec("Global", "global") as GlobalSpec | undefined;
    const neighbor = { address: new Uint8Array(4), asn: 0, peerGroup: "" };
    const context = { neighbor, localAs: global?.asn ?? 0 };
    return policies.library.program([policy], "import", routing.attributes, context);
  }

  private tell(entry: Entry): void {
    const { name, came, went, announced } = entry;
    entry.tellAtMs = Number.POSITIVE_INFINITY;
    entry.came = 0;
    entry.went = 0;
    if (came + went === 0) return;
    const summary = `${kind}/${name}: ${came} routes of the kernel came, ${went} went; ${announced.size} are in BGP`;
    const facts = { came: String(came), went: String(went), announced: String(announced.size) };
    this.host.event("cairn.redistribute.routes.changed", `${kind}/${name}`, 1, summary, facts);
  }

  // What is told

  /** How an object stands; undefined for one that is not there. */
  standing(name: string): ResourceStanding | undefined {
    const entry = this.entries.get(name);
    if (!entry) return undefined;
    const { scope, offered, announced, refused, over } = entry;
    const values = {
      table: String(scope.table),
      protocols: scope.protocols.length === 0 ? "all" : scope.protocols.map(protocolName).join(", "),
      offered: String(offered.size),
      announced: String(announced.size),
      refused: String(refused.size),
      over_limit: String(over),
    };
    return { ...phaseOf(entry), values };
  }

  *summaries(): Generator<RedistributeSummary> {
    for (const { name, announced, refused, over } of this.entries.values())
      yield { name, announced: announced.size, refused: refused.size, over };
  }

  /** Where a local path comes from, a sentence; undefined when it is none of ours. */
  sourceOf(table: RouteTable, path: number): string | undefined {
    const slot = table.paths.idOf(path) - redistributedPathIds;
    if (table.paths.neighbor[path] !== local || slot < 0) return undefined;
    const entry = [...this.entries.values()].find((each) => each.slot === slot);
    if (!entry) return undefined;
    const bytes = new Uint8Array(table.family.addressBytes);
    const row = table.paths.prefix[path];
    table.prefixes.writeAddress(row, bytes, 0);
    const route = entry.offered.get(formatPrefix({ bytes, length: table.prefixes.length[row] }));
    return `${kind}/${entry.name}${route ? `: ${this.textOf(route)}` : ""}`;
  }

  private textOf({ protocol, table, metric, type, hops }: KernelRoute): string {
    const ways = hops.map(({ link }) => this.host.linkName(link)).join(", ");
    const out = type === "unicast" ? `dev ${ways || "?"}` : type;
    return `kernel route, protocol ${protocolName(protocol)}, ${out}, table ${table}, metric ${metric}`;
  }

  /** Why a prefix of the kernel is in BGP, or is not, by object: a sentence each. */
  explain(prefix: string): string[] {
    const told: string[] = [];
    for (const entry of this.entries.values()) {
      const route = entry.offered.get(prefix);
      if (!route) continue;
      const verdict = entry.announced.has(prefix)
        ? "is in BGP"
        : `is refused by ${this.reasonOf(entry, route)}`;
      told.push(`${kind}/${entry.name}: ${this.textOf(route)} ${verdict}`);
    }
    return told;
  }

  private reasonOf(entry: Entry, route: KernelRoute): string {
    const policy = entry.spec?.policy;
    if (!policy) return "nothing";
    const { routing } = this.host;
    const table = routing.table(unicastFamily(route.destination.bytes.length));
    const offered = this.attributesOf(entry, route);
    const program = (entry.program ??= this.bind(policy));
    this.key.setNlri(table.family, route.destination.bytes, 0, route.destination.length);
    const { reason } = explainChain(program, offered, this.key);
    routing.attributes.release(offered);
    return reason;
  }
}

function lookAtAll(entry: Entry): void {
  entry.program = undefined;
  for (const prefix of entry.offered.keys()) entry.dirty.add(prefix);
}

function pathIdOf({ slot }: Entry): number {
  return redistributedPathIds + slot;
}

function phaseOf(entry: Entry): Omit<ResourceStanding, "values"> {
  const { APPLIED, PROGRESSING, DEGRADED, FAILED } = ResourcePhase;
  const { known, over, failure, dirty, announced, refused } = entry;
  if (failure !== "") return { phase: FAILED, reason: "UNAVAILABLE", message: failure };
  if (over > 0) {
    const message = `${over} routes are beyond max_routes and are left out`;
    return { phase: DEGRADED, reason: "MAX_ROUTES", message };
  }
  if (!known || dirty.size > 0) return { phase: PROGRESSING, reason: "", message: "" };
  const also = refused.size === 0 ? "" : `, policy refuses ${refused.size}`;
  const message = `${announced.size} routes of the kernel are in BGP${also}`;
  return { phase: APPLIED, reason: "", message };
}
