/**
 * Dynamic neighbors: whoever connects from a declared range becomes a neighbor of a peer group, for as long as its
 * session lasts and a little longer. They are no objects: nothing of them is in a generation or its hash.
 *
 * For everything that resolves settings this is a layer over the declared specs: a dynamic neighbor has a spec that
 * names its address and its group.
 */
import { create, type Message } from "@bufbuild/protobuf";
import { parseIp, parsePrefix } from "../base/ip.ts";
import {
  type DynamicRangeSpec,
  type DynamicRangeState,
  DynamicRangeStateSchema,
  NeighborSpecSchema,
} from "../gen/cairn/v1/neighbor_service_pb.ts";
import type { PeerGroupSpec } from "../gen/cairn/v1/peer_group_service_pb.ts";
import { type AsnSet, compileAsnSet } from "../policy/asn-set.ts";
import { anyAsn } from "./kinds/dynamic-range.ts";
import type { ObjectStore, Specs } from "./objects.ts";
import { durationMs } from "./schema.ts";

/** A neighbor that never got as far as Established is forgotten after this, or after the range's linger if shorter. */
const strangerLingerMs = 10_000;
const defaults = { max: 100, perSecond: 50, lingerMs: 60_000 };

/** A range as declared, ready to be asked. */
export interface Range {
  readonly name: string;
  /** Network-order address and length; undefined for a range by interface alone. */
  readonly prefix: { readonly bytes: Uint8Array; readonly length: number } | undefined;
  readonly interface: string;
  readonly peerGroup: string;
  /** Undefined: that of the group. */
  readonly asns: AsnSet | undefined;
  readonly max: number;
  readonly perSecond: number;
  readonly lingerMs: number;
}

/** One neighbor that came in by a range. */
export interface Member {
  readonly address: string;
  readonly bytes: Uint8Array;
  readonly interface: string;
  readonly createdWallMs: number;
  range: Range;
  /** As its OPEN told; 0 until then. */
  asn: number;
  /** It had an established session. */
  wasUp: boolean;
  /** When it is forgotten, monotonic milliseconds; Infinity while it has a connection. */
  forgetAtMs: number;
}

interface Tally {
  accepted: number;
  refusedLimit: number;
  refusedRate: number;
  /** Connections that may still come at once, as of `tokensAtMs`. */
  tokens: number;
  tokensAtMs: number;
}

/** What becomes of a connection from an address that is no declared neighbor. */
export type Admission =
  | { readonly kind: "stranger" }
  | { readonly kind: "refused"; readonly range: string; readonly why: string }
  | { readonly kind: "member"; readonly member: Member; readonly isNew: boolean };

export class Dynamic implements Specs {
  private readonly objects: ObjectStore;
  private readonly base: Specs;
  private ranges: Range[] = [];
  private readonly members = new Map<string, Member>();
  private readonly tallies = new Map<string, Tally>();

  constructor(objects: ObjectStore, base: Specs) {
    this.objects = objects;
    this.base = base;
    this.readRanges();
  }

  spec(kind: string, name: string): Message | undefined {
    return this.over(this.base).spec(kind, name);
  }

  /** The same layer over other specs, such as those of a plan. */
  over(base: Specs): Specs {
    return {
      spec: (kind, name) => {
        const declared = base.spec(kind, name);
        if (declared || kind !== "Neighbor") return declared;
        const member = this.members.get(name);
        return member && isBacked(member, base) ? specOf(member) : undefined;
      },
    };
  }

  member(address: string): Member | undefined {
    return this.members.get(address);
  }

  addresses(): IterableIterator<string> {
    return this.members.keys();
  }

  get size(): number {
    return this.members.size;
  }

  allRanges(): readonly Range[] {
    return this.ranges;
  }

  /** Looks at a connection; a new member is only proposed, `add` makes it one. */
  admit(address: string, zone: string, nowMs: number, wallMs: number): Admission {
    const bytes = parseIp(address.split("%")[0]);
    const range = bytes && this.match(bytes, zone);
    if (!bytes || !range) return { kind: "stranger" };
    const tally = this.tally(range);
    const refused = (why: string): Admission => ({ kind: "refused", range: range.name, why });
    const known = this.members.get(address);
    if (!known && this.count(range.name) >= range.max) {
      tally.refusedLimit++;
      return refused(`it has its ${range.max} neighbors`);
    }
    if (!takeToken(tally, range.perSecond, nowMs)) {
      tally.refusedRate++;
      return refused(`more than ${range.perSecond} new connections per second`);
    }
    tally.accepted++;
    if (known) return { kind: "member", member: known, isNew: false };
    const member: Member = {
      ...{ address, bytes, interface: zone, range, createdWallMs: wallMs },
      ...{ asn: 0, wasUp: false, forgetAtMs: Number.POSITIVE_INFINITY },
    };
    return { kind: "member", member, isNew: true };
  }

  add(member: Member): void {
    this.members.set(member.address, member);
  }

  remove(address: string): void {
    this.members.delete(address);
  }

  /** True when the neighbor may have this AS number. Those of the group are checked as for any neighbor. */
  allows({ range }: Member, asn: number): boolean {
    return range.asns === undefined || range.asns.has(asn);
  }

  /** When a member that has no connection since now is to be forgotten. */
  lingers(member: Member, nowMs: number): number {
    const { lingerMs } = member.range;
    return nowMs + (member.wasUp ? lingerMs : Math.min(lingerMs, strangerLingerMs));
  }

  /**
   * Takes ranges and groups as they are declared now. Members that match no more, or are declared themselves, are
   * dropped here.
   * @returns addresses of all members before, whose settings may be others now
   */
  refresh(): string[] {
    this.readRanges();
    const addresses = [...this.members.keys()];
    for (const member of this.members.values()) {
      const range = this.match(member.bytes, member.interface);
      const isDeclared = this.base.spec("Neighbor", member.address) !== undefined;
      const isAllowed = member.asn === 0 || range?.asns === undefined || range.asns.has(member.asn);
      if (!range || isDeclared || !isAllowed) this.members.delete(member.address);
      else member.range = range;
    }
    return addresses;
  }

  /** Counts of a range; `established` says whether the session of an address is up. */
  state(name: string, established: (address: string) => boolean): DynamicRangeState | undefined {
    const range = this.ranges.find((each) => each.name === name);
    if (!range) return undefined;
    const tally = this.tally(range);
    const own = [...this.members.values()].filter((member) => member.range.name === name);
    return create(DynamicRangeStateSchema, {
      neighbors: own.length,
      established: own.filter(({ address }) => established(address)).length,
      accepted: BigInt(tally.accepted),
      refusedLimit: BigInt(tally.refusedLimit),
      refusedRate: BigInt(tally.refusedRate),
    });
  }

  /** The longest matching prefix; of equal ones that with an interface; a range by interface alone comes last. */
  private match(bytes: Uint8Array, zone: string): Range | undefined {
    let best: Range | undefined;
    for (const range of this.ranges) {
      if (range.interface !== "" && range.interface !== zone) continue;
      if (range.prefix && !contains(range.prefix, bytes)) continue;
      if (!best || rank(range) > rank(best)) best = range;
    }
    return best;
  }

  private count(name: string): number {
    let count = 0;
    for (const member of this.members.values()) if (member.range.name === name) count++;
    return count;
  }

  private readRanges(): void {
    this.ranges = [];
    for (const { name } of this.objects.entries("DynamicRange")) {
      const spec = this.base.spec("DynamicRange", name) as DynamicRangeSpec | undefined;
      const group = spec && (this.base.spec("PeerGroup", spec.peerGroup) as PeerGroupSpec | undefined);
      if (spec && group) this.ranges.push(rangeOf(spec));
    }
    const names = new Set(this.ranges.map(({ name }) => name));
    for (const name of this.tallies.keys()) if (!names.has(name)) this.tallies.delete(name);
  }

  private tally({ name, perSecond }: Range): Tally {
    let tally = this.tallies.get(name);
    if (!tally) {
      tally = { accepted: 0, refusedLimit: 0, refusedRate: 0, tokens: perSecond, tokensAtMs: 0 };
      this.tallies.set(name, tally);
    }
    return tally;
  }
}

/** Its range and group are declared there, and give it an AS number or a choice of them. */
function isBacked({ range }: Member, base: Specs): boolean {
  const group = base.spec("PeerGroup", range.peerGroup) as PeerGroupSpec | undefined;
  if (!group || !base.spec("DynamicRange", range.name)) return false;
  return range.asns !== undefined || group.remoteAsn !== undefined;
}

function specOf({ address, range, asn }: Member): Message {
  // AS 0 stands for one that is not known yet: only where the group has none that all members share.
  const remoteAsn = range.asns === undefined ? undefined : asn;
  return create(NeighborSpecSchema, { address, remoteAsn, passive: true, peerGroup: range.peerGroup });
}

function rangeOf(spec: DynamicRangeSpec): Range {
  const prefix = spec.prefix === "" ? undefined : parsePrefix(spec.prefix);
  const asns = spec.remoteAsns.map((text) => (text === anyAsn ? "1-4294967295" : text));
  return {
    name: spec.name,
    prefix: typeof prefix === "string" ? undefined : prefix,
    interface: spec.interface,
    peerGroup: spec.peerGroup,
    asns: asns.length === 0 ? undefined : compileAsnSet(asns),
    max: spec.maxNeighbors ?? defaults.max,
    perSecond: spec.acceptsPerSecond ?? defaults.perSecond,
    lingerMs: spec.linger ? durationMs(spec.linger) : defaults.lingerMs,
  };
}

function rank({ prefix, interface: zone }: Range): number {
  return (prefix ? prefix.length + 1 : 0) * 2 + Number(zone !== "");
}

function contains(
  prefix: { readonly bytes: Uint8Array; readonly length: number },
  bytes: Uint8Array,
): boolean {
  if (prefix.bytes.length !== bytes.length) return false;
  const whole = prefix.length >> 3;
  for (let i = 0; i < whole; i++) if (prefix.bytes[i] !== bytes[i]) return false;
  const rest = prefix.length & 7;
  return rest === 0 || ((prefix.bytes[whole] ^ bytes[whole]) & (0xff << (8 - rest)) & 0xff) === 0;
}

function takeToken(tally: Tally, perSecond: number, nowMs: number): boolean {
  const gained = ((nowMs - tally.tokensAtMs) / 1000) * perSecond;
  tally.tokens = Math.min(perSecond, tally.tokens + Math.max(0, gained));
  tally.tokensAtMs = nowMs;
  if (tally.tokens < 1) return false;
  tally.tokens--;
  return true;
}
