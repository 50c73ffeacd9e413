/** Limits on received prefixes: a warning at a share of the limit, then what the limit says. */
import type { Family } from "../wire/family.ts";
import { type NeighborRecord, objectOf } from "./neighbor-record.ts";
import type { PrefixLimitConfig } from "./session-port.ts";

export interface PrefixLimitsHost {
  event(
    topic: string,
    object: string,
    severity: 1 | 2 | 3,
    summary: string,
    facts: Readonly<Record<string, string>>,
  ): void;
  /** A limit whose action ends the session was passed. */
  reached(record: NeighborRecord, family: Family, limit: PrefixLimitConfig): void;
}

export class PrefixLimits {
  private readonly host: PrefixLimitsHost;
  /** Neighbors for which "over" was told in this session, by `id family`. */
  private readonly told = new Set<string>();

  constructor(host: PrefixLimitsHost) {
    this.host = host;
  }

  /** `over`: the maximum was passed; else the warning threshold. */
  check(record: NeighborRecord, family: Family, count: number, over: boolean): void {
    const limit = record.config.prefixLimits[family.index];
    if (!limit) return;
    const key = `${record.id} ${family.index}`;
    if (!record.limitWarned[family.index]) {
      record.limitWarned[family.index] = true;
      this.told.delete(key);
      const summary = `${record.config.address} sent ${count} ${family.name} prefixes; the limit is ${limit.max}`;
      this.host.event(
        "cairn.bgp.prefix_limit.near",
        objectOf(record),
        2,
        summary,
        facts(family, count, limit),
      );
    }
    if (!over || this.told.has(key)) return;
    this.told.add(key);
    const then = {
      warn: "only warned of",
      stop: "session stopped until enabled",
      restart: "session restarts later",
    };
    const summary = `${record.config.address} passed its limit of ${limit.max} ${family.name} prefixes: ${then[limit.action]}`;
    this.host.event(
      "cairn.bgp.prefix_limit.exceeded",
      objectOf(record),
      3,
      summary,
      facts(family, count, limit),
    );
    if (limit.action !== "warn") this.host.reached(record, family, limit);
  }
}

function facts(family: Family, count: number, limit: PrefixLimitConfig): Record<string, string> {
  return { family: family.name, count: String(count), limit: String(limit.max), action: limit.action };
}
