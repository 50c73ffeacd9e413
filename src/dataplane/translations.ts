/**
 * Flows whose addresses the kernel translates: which of them are asked for, in which order they are told, and which rule
 * they come of. The kernel remembers no rule with a flow, so that is worked out: it is the first rule that would have
 * translated this flow in this way.
 */
import { type Prefix, prefixContains, readIp4 } from "../base/ip.ts";
import { FlowStatus, type FlowTuple, type TrackedFlow } from "./netlink/conntrack-wire.ts";

/** A flow and the rule that it comes of; empty for none of ours. */
export interface Translation extends TrackedFlow {
  readonly rule: string;
}

/** All that is set must be true of a flow. */
export interface TranslationFilter {
  /** Any of its four addresses is in here. */
  readonly address?: Prefix;
  /** Of its first packet, before translation. */
  readonly source?: Prefix;
  readonly destination?: Prefix;
  /** Any of its four ports. */
  readonly port?: number;
  /** IP protocol number. */
  readonly protocol?: number;
  readonly mark?: number;
  /** Name of a rule. */
  readonly rule?: string;
}

/** IPv4 addresses as pairs of first and last, in rising order and apart from each other. */
export type Ranges = Uint32Array;

/** What a rule translates, as far as it is seen in a flow. */
export interface TranslationRule {
  readonly name: string;
  /** Whether the source or the destination gets another address. */
  readonly side: "source" | "destination";
  /** Sources and destinations before translation; undefined: all. */
  readonly sources: Ranges | undefined;
  readonly destinations: Ranges | undefined;
  readonly excluded: Ranges;
  /** Addresses that it gives; undefined: any. */
  readonly given: Ranges | undefined;
  /** 0: all. */
  readonly protocol: number;
  /** Destination ports before translation. */
  readonly ports: { readonly first: number; readonly last: number } | undefined;
}

/** One page of a list. */
export interface TranslationQuery {
  readonly filter: TranslationFilter;
  readonly rules: readonly TranslationRule[];
  /** Position of the last one that was told; empty at the start. */
  readonly after: string;
  readonly max: number;
}

export interface TranslationPage {
  readonly translations: readonly Translation[];
  /** Where to go on; empty at the end. */
  readonly position: string;
  /** How many there are that pass the filter. */
  readonly total: number;
  /** Why the kernel did not tell; empty when it did. */
  readonly failure: string;
}

export interface Eviction {
  readonly evicted: number;
  /** Flows that ended by themselves meanwhile. */
  readonly gone: number;
  /** Flows that pass the filter and are still there: more than go in one call. */
  readonly left: number;
  /** Why the kernel did not do it; empty when it did. */
  readonly failure: string;
}

/** Where translations are: in the kernel, read and changed by another thread than the owner's. */
export interface TranslationTable {
  list(query: TranslationQuery): Promise<TranslationPage>;
  /** Makes the kernel forget flows. @param dryRun only counts them, as `left` */
  evict(query: Pick<TranslationQuery, "filter" | "rules">, dryRun: boolean): Promise<Eviction>;
}

/** The table of a kernel that translates nothing. */
export const noTranslations: TranslationTable = {
  list: () => Promise.resolve({ translations: [], position: "", total: 0, failure: "" }),
  evict: () => Promise.resolve({ evicted: 0, gone: 0, left: 0, failure: "" }),
};

/** Flows that one call evicts. */
export const evictionsMax = 65_536;

/** The bits of a flow that is translated. */
export const translated = FlowStatus.source | FlowStatus.destination;

/**
 * Takes flows in any order and keeps those of a page: the first ones behind a position, in the order of `positionOf`.
 * It never holds more than two pages.
 */
export class PageCollector {
  private readonly query: TranslationQuery;
  private kept: { readonly key: string; readonly translation: Translation }[] = [];
  private total = 0;
  private isMore = false;

  constructor(query: TranslationQuery) {
    this.query = query;
  }

  take(flow: TrackedFlow): void {
    const translation = matching(flow, this.query);
    if (!translation) return;
    this.total++;
    const key = positionOf(flow);
    if (key <= this.query.after) return;
    this.kept.push({ key, translation });
    if (this.kept.length >= 2 * this.query.max + 1) this.cut();
  }

  private cut(): void {
    this.kept.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    // A flow that moved while the kernel walked over its table comes twice.
    this.kept = this.kept.filter(({ key }, i) => i === 0 || key !== this.kept[i - 1].key);
    if (this.kept.length <= this.query.max) return;
    this.isMore = true;
    this.kept.length = this.query.max;
  }

  page(failure: string): TranslationPage {
    this.cut();
    const position = this.isMore ? (this.kept.at(-1)?.key ?? "") : "";
    return {
      translations: this.kept.map(({ translation }) => translation),
      position,
      total: this.total,
      failure,
    };
  }
}

/** The flow with its rule; undefined when it is not asked for. */
export function matching(
  flow: TrackedFlow,
  { filter, rules }: Pick<TranslationQuery, "filter" | "rules">,
): Translation | undefined {
  const { original, reply } = flow;
  const { address, source, destination, port, protocol, mark } = filter;
  if (protocol !== undefined && original.protocol !== protocol) return undefined;
  if (mark !== undefined && flow.mark !== mark) return undefined;
  if (source && !isIn(source, original.source)) return undefined;
  if (destination && !isIn(destination, original.destination)) return undefined;
  const ends = [original.source, original.destination, reply.source, reply.destination];
  if (address && !ends.some((end) => isIn(address, end))) return undefined;
  const ports = [original.sourcePort, original.destinationPort, reply.sourcePort, reply.destinationPort];
  if (port !== undefined && !ports.includes(port)) return undefined;
  const rule = ruleOf(flow, rules);
  if (filter.rule !== undefined && rule !== filter.rule) return undefined;
  return { ...flow, rule };
}

function isIn(prefix: Prefix, address: Uint8Array): boolean {
  return prefix.bytes.length === address.length && prefixContains(prefix, address);
}

/** Name of the first rule that translates in this way; empty for none. */
function ruleOf({ original, reply, status }: TrackedFlow, rules: readonly TranslationRule[]): string {
  if (original.source.length !== 4) return "";
  const source = readIp4(original.source, 0);
  const destination = readIp4(original.destination, 0);
  for (const rule of rules) {
    const isSource = rule.side === "source";
    if ((status & (isSource ? FlowStatus.source : FlowStatus.destination)) === 0) continue;
    const given = readIp4(isSource ? reply.destination : reply.source, 0);
    if (rule.protocol !== 0 && rule.protocol !== original.protocol) continue;
    const { ports } = rule;
    const port = original.destinationPort;
    if (ports && (port < ports.first || port > ports.last)) continue;
    if (rule.sources && !inRanges(rule.sources, source)) continue;
    // A source is translated when the destination already was.
    const target = isSource ? readIp4(reply.source, 0) : destination;
    if (rule.destinations && !inRanges(rule.destinations, target)) continue;
    if (inRanges(rule.excluded, target)) continue;
    if (rule.given && !inRanges(rule.given, given)) continue;
    return rule.name;
  }
  return "";
}

/** Networks of IPv4 as ranges. @param prefixes others than of IPv4 are passed over */
export function rangesOf(prefixes: Iterable<Prefix>): Ranges {
  const spans: [number, number][] = [];
  for (const { bytes, length } of prefixes) {
    if (bytes.length !== 4) continue;
    const first = readIp4(bytes, 0);
    spans.push([first, first + 2 ** (32 - length) - 1]);
  }
  spans.sort(([a], [b]) => a - b);
  const joined: [number, number][] = [];
  for (const [first, last] of spans) {
    const before = joined.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else joined.push([first, last]);
  }
  return Uint32Array.from(joined.flat());
}

function inRanges(ranges: Ranges, address: number): boolean {
  let [low, high] = [0, ranges.length / 2];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranges[2 * middle + 1] < address) low = middle + 1;
    else high = middle;
  }
  return 2 * low < ranges.length && ranges[2 * low] <= address;
}

/** Text by which flows are ordered, and told apart: source, destination, ports, protocol, zone. */
export function positionOf({ original, zone }: TrackedFlow): string {
  const { source, destination, sourcePort, destinationPort, protocol } = original;
  const ends = `${source.length === 4 ? 4 : 6}${hex(source)}${hex(destination)}`;
  return `${ends}${hex16(sourcePort)}${hex16(destinationPort)}${hex16(protocol)}${hex16(zone)}`;
}

const hexOf = Array.from({ length: 256 }, (_, byte) => (byte + 256).toString(16).slice(1));

function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += hexOf[byte];
  return text;
}

function hex16(number: number): string {
  return hexOf[number >>> 8] + hexOf[number & 255];
}

export type { FlowTuple, TrackedFlow };
