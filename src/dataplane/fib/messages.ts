/**
 * What the core and whoever writes BGP routes into the kernel tell each other: columns, one row per route, so that
 * 100,000 routes are a few typed arrays and no objects.
 */
import { type RouteHop, routeTypes } from "../kernel-model.ts";

/** A way out, as the kernel keeps it. */
export interface FibHop {
  /** Index of the link. */
  readonly link: number;
  /** 4 or 16 bytes; of the other family for RFC 8950. Undefined when destinations are on the link. */
  readonly gateway: Uint8Array | undefined;
  /** Share of the flows against the sum: 1 to 256, and 1 for a single hop. */
  readonly weight: number;
}

/** What a route does with packets: hops in the order of `hopText`, none of them twice. */
export interface FibWay {
  /** Number of the route type (RTN_*): unicast 1, blackhole 6, or what somebody else made of a route of ours. */
  readonly type: number;
  readonly hops: readonly FibHop[];
  /** Nexthop object that the route stands on; 0 for none, as with all routes that cairn makes. */
  readonly object: number;
}

/** One set of routes that belongs to us: those with our mark, in this table with this metric. */
export interface FibScope {
  readonly table: number;
  readonly metric: number;
}

/** Bytes of an address: IPv4 or IPv6. */
export type AddressSize = 4 | 16;

export const FibVerb = { create: 0, replace: 1, delete: 2 } as const;

/** Routes as columns. */
export interface FibColumns {
  readonly size: AddressSize;
  readonly count: number;
  /** `size` bytes per route. */
  readonly addresses: Uint8Array;
  readonly lengths: Uint8Array;
  /** Index in `ways`. */
  readonly wayOf: Uint32Array;
  readonly ways: readonly FibWay[];
}

/** Changes, carried out in order. */
export interface FibBatch extends FibScope, FibColumns {
  readonly batch: number;
  /** `FibVerb`; the way of a route that is deleted says nothing. */
  readonly verbs: Uint8Array;
}

export interface FibOutcome {
  readonly batch: number;
  /** Rows that failed, and their errnos (positive). */
  readonly failed: Uint32Array;
  readonly errnos: Uint8Array;
  /** Answers were lost: what the kernel holds has to be asked. */
  readonly unsure: boolean;
  /** Why nothing could be done at all, a sentence; empty when it could. */
  readonly failure: string;
}

/** All that a scope holds of one family. */
export interface FibDump extends FibScope, FibColumns {
  /** Why it is not known, a sentence; empty when it is. */
  readonly failure: string;
}

/** Another hand has been at a table: `ours` when a route with our mark may be concerned. */
export interface FibMoved {
  readonly table: number;
  readonly ours: boolean;
}

export const unicast = routeTypes.indexOf("unicast");
export const blackhole = routeTypes.indexOf("blackhole");

export const discardWay: FibWay = { type: blackhole, hops: [], object: 0 };

/** One text for equal hops. */
export function hopText({ link, gateway, weight }: FibHop): string {
  return `${gateway?.join(".") ?? ""}@${link}*${weight}`;
}

/** One text for equal ways. */
export function wayText({ type, hops, object }: FibWay): string {
  return `${type} ${object} ${hops.map(hopText).join(" ")}`;
}

/** A way of these hops: equal ones are put together, weights have no common divisor, a single hop has weight 1. */
export function wayOf(hops: readonly Pick<RouteHop, "link" | "gateway" | "weight">[]): FibWay {
  const merged = new Map<string, FibHop>();
  for (const { link, gateway, weight } of hops) {
    const key = hopText({ link, gateway, weight: 0 });
    const before = merged.get(key);
    merged.set(key, { link, gateway, weight: weight + (before?.weight ?? 0) });
  }
  const sorted = [...merged].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, hop]) => hop);
  const divisor = sorted.reduce((sum, { weight }) => gcd(sum, weight), 0) || 1;
  const largest = Math.max(...sorted.map(({ weight }) => weight / divisor));
  const scale = largest > weightMax ? weightMax / largest : 1;
  const scaled = sorted.map((hop) => ({
    ...hop,
    weight: Math.max(1, Math.round((hop.weight / divisor) * scale)),
  }));
  return { type: unicast, hops: scaled, object: 0 };
}

/** The kernel keeps eight bits. */
const weightMax = 256;

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
