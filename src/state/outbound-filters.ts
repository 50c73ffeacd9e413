/**
 * Outbound route filtering (RFC 5291) with filters by prefix (RFC 5292). What a neighbor sends stands before our export
 * to it, in an update group of its own; what we send it is a prefix set.
 *
 * A neighbor that said that it sends filters is told nothing before it has asked for its routes, with a filter or
 * without (RFC 5291 6).
 */
import { maskBytes, parsePrefix } from "../base/ip.ts";
import { limits } from "../base/limits.ts";
import type { PrefixSetSpec } from "../gen/cairn/v1/policy_service_pb.ts";
import { lengthRange } from "../policy/prefix-set.ts";
import { PrefixFilter } from "../rib/prefix-filter.ts";
import type { UpdateGroup } from "../rib/update-group.ts";
import type { Family } from "../wire/family.ts";
import { encodeFilter, type FilterEntry, type FilterRequest } from "../wire/orf.ts";
import { familiesOf } from "./importer.ts";
import type { Jobs } from "./jobs.ts";
import { type NeighborRecord, type OutboundFilter, objectOf } from "./neighbor-record.ts";
import type { Specs } from "./objects.ts";
import type { Negotiated } from "./session-port.ts";

export interface OutboundFiltersHost {
  readonly durable: Specs;
  readonly jobs: Jobs;
  /** Joins an Established neighbor to its update group. */
  join(record: NeighborRecord, family: Family): void;
  /** Sends the neighbor everything again. */
  resend(record: NeighborRecord, family: Family): void;
  /** Sends ROUTE-REFRESH messages. */
  send(record: NeighborRecord, messages: readonly Uint8Array[]): void;
  stateChanged(record: NeighborRecord): void;
  event(
    topic: string,
    object: string,
    severity: 1 | 2 | 3,
    summary: string,
    facts: Readonly<Record<string, string>>,
  ): void;
}

export class OutboundFilters {
  private readonly host: OutboundFiltersHost;

  constructor(host: OutboundFiltersHost) {
    this.host = host;
  }

  /** The session came up. @returns families in which nothing may be announced yet, one bit each */
  established(record: NeighborRecord, { orfReceive, orfSend }: Negotiated): number {
    record.outboundFilters.fill(undefined);
    for (const { index } of familiesOf(orfReceive)) {
      const active = new PrefixFilter(limits.outboundFilterMax);
      record.outboundFilters[index] = { active, staged: undefined, waiting: true, discarded: "" };
    }
    for (const family of familiesOf(orfSend)) this.tell(record, family, false);
    return orfReceive;
  }

  /** Sends our filter for a family: all of it, in place of what the neighbor has. */
  private tell(record: NeighborRecord, family: Family, replaces: boolean): void {
    const name = record.config.orf[family.index]?.send ?? "";
    const entries = filterOf(this.host.durable, name, family);
    this.host.send(record, encodeFilter(family, entries, replaces, record.negotiated!.maxMessageBytes));
    const facts = { family: family.name, prefix_set: name, entries: String(entries.length) };
    const summary = `sent prefix set ${name} as the filter for ${family.name}`;
    this.host.event("cairn.bgp.orf.sent", objectOf(record), 1, summary, facts);
  }

  /** Prefix sets are others now: neighbors that were sent one of them get it again. */
  setsChanged(records: Iterable<NeighborRecord>, names: ReadonlySet<string>): void {
    for (const record of records) {
      for (const family of familiesOf(record.negotiated?.orfSend ?? 0)) {
        if (names.has(record.config.orf[family.index]?.send ?? "")) this.tell(record, family, true);
      }
    }
  }

  /**
   * A neighbor asks for its routes.
   * @param request what it sent of filters; undefined for a plain ROUTE-REFRESH
   */
  requested(record: NeighborRecord, family: Family, request: FilterRequest | undefined): void {
    const filter = record.outboundFilters[family.index];
    if (!filter) {
      if (request?.immediate ?? true) this.host.resend(record, family);
      return;
    }
    if (request) this.take(record, family, filter, request);
    if (request && !request.immediate) {
      this.host.stateChanged(record);
      return;
    }
    const changed = request !== undefined || filter.staged !== undefined;
    if (filter.staged) filter.active.assign(filter.staged);
    filter.staged = undefined;
    if (filter.waiting) this.release(record, family);
    else if (changed) this.runAgain(record, family);
    else this.host.resend(record, family);
    this.host.stateChanged(record);
  }

  /** Announces to a neighbor that was waited for. @returns false when it was not */
  release(record: NeighborRecord, family: Family): boolean {
    const filter = record.outboundFilters[family.index];
    if (!filter?.waiting) return false;
    filter.waiting = false;
    this.host.join(record, family);
    return true;
  }

  private take(
    record: NeighborRecord,
    family: Family,
    filter: OutboundFilter,
    { immediate, changes }: FilterRequest,
  ): void {
    if (!immediate) filter.staged ??= filter.active.copy();
    const target = filter.staged ?? filter.active;
    filter.discarded = "";
    for (const change of changes) {
      if (change.kind === "removeAll") target.clear();
      else if (change.kind === "remove") target.remove(change.entry);
      else if (change.kind === "reset") this.discard(record, family, filter, change.why);
      else if (!target.add(change.entry)) {
        this.discard(record, family, filter, `it has more than ${limits.outboundFilterMax} entries`);
      }
      if (filter.discarded !== "") return;
    }
    const facts = { family: family.name, entries: String(target.size), immediate: String(immediate) };
    const summary = `sent a filter of ${target.size} entries for ${family.name}`;
    this.host.event("cairn.bgp.orf.received", objectOf(record), 1, summary, facts);
  }

  /** RFC 5291 6: a filter that is not understood is removed as a whole. The neighbor gets more than it wants, not less. */
  private discard(record: NeighborRecord, family: Family, filter: OutboundFilter, why: string): void {
    filter.active.clear();
    filter.staged = undefined;
    filter.discarded = why;
    const summary = `its filter for ${family.name} was thrown away: ${why}`;
    this.host.event("cairn.bgp.orf.discarded", objectOf(record), 2, summary, {
      family: family.name,
      reason: why,
    });
  }

  /** What passes differently now goes out or is withdrawn, then all that passes is sent again, as was asked for. */
  private runAgain(record: NeighborRecord, family: Family): void {
    const group = record.groups[family.index];
    if (!group) return;
    let from = 1;
    this.host.jobs.start({
      key: `orf ${group.id}`,
      step: (rows) => {
        if (group.closed) return true;
        from = group.reexport(from, rows);
        return from === 0;
      },
      done: () => this.sendAgain(record, family, group),
    });
  }

  private sendAgain(record: NeighborRecord, family: Family, group: UpdateGroup): void {
    if (!group.closed && record.groups[family.index] === group) this.host.resend(record, family);
  }
}

/** A prefix set as a filter. One that holds nothing of the family lets nothing pass, so it denies everything. */
export function filterOf(specs: Specs, name: string, family: Family): FilterEntry[] {
  const spec = specs.spec("PrefixSet", name) as PrefixSetSpec | undefined;
  const bits = family.addressBytes * 8;
  const entries: FilterEntry[] = [];
  const permit = (bytes: Uint8Array, length: number, minLength: number, maxLength: number): void => {
    const sequence = (entries.length + 1) * sequenceStep;
    entries.push({ sequence, deny: false, bytes, length, minLength, maxLength });
  };
  for (const rule of spec?.prefixes ?? []) {
    const prefix = parsePrefix(rule.prefix);
    if (typeof prefix === "string" || prefix.bytes.length !== family.addressBytes) continue;
    const [from, to] = lengthRange(rule, prefix.length, bits);
    if (!rule.covering) permit(prefix.bytes, prefix.length, from, to);
    else
      for (let length = from; length <= to; length++)
        permit(around(prefix.bytes, length), length, length, length);
  }
  if (entries.length > 0) return entries;
  const everything = { bytes: new Uint8Array(family.addressBytes), length: 0, minLength: 0, maxLength: bits };
  return [{ sequence: sequenceStep, deny: true, ...everything }];
}

/** Room between entries, as operators expect it of prefix lists. */
const sequenceStep = 5;

function around(bytes: Uint8Array, length: number): Uint8Array {
  const masked = bytes.slice();
  maskBytes(masked, length);
  return masked;
}
