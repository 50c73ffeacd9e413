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

  /** `over`: the maximum was passed; else the warning threshold. `accepted`: the limit on what policy lets in. */
  check(record: NeighborRecord, family: Family, count: number, over: boolean, accepted = false): void {
    const { config } = record;
    const limit = (accepted ? config.acceptedLimits : config.prefixLimits)[family.index];
    if (!limit) return;
    const key = `${record.id} ${family.index} ${accepted}`;
    const warned = accepted ? record.acceptedWarned : record.limitWarned;
    const what = `${family.name} prefixes${accepted ? " after policy" : ""}`;
    const told = facts(family, count, limit, accepted);
    if (!warned[family.index]) {
      warned[family.index] = true;
      this.told.delete(key);
      const summary = `${config.address} sent ${count} ${what}; the limit is ${limit.max}`;
      this.host.event("cairn.bgp.prefix_limit.near", objectOf(record), 2, summary, told);
    }
    if (!over || this.told.has(key)) return;
    this.told.add(key);
    const summary = `${config.address} passed its limit of ${limit.max} ${what}: ${then[limit.action]}`;
    this.host.event("cairn.bgp.prefix_limit.exceeded", objectOf(record), 3, summary, told);
    if (limit.action === "stop" || limit.action === "restart") this.host.reached(record, family, limit);
  }
}

const then: Readonly<Record<PrefixLimitConfig["action"], string>> = {
  warn: "only warned of",
  stop: "session stopped until enabled",
  restart: "session restarts later",
  drop: "the excess is kept out",
};

function facts(
  family: Family,
  count: number,
  limit: PrefixLimitConfig,
  accepted: boolean,
): Record<string, string> {
  return {
    family: family.name,
    count: String(count),
    limit: String(limit.max),
    action: limit.action,
    stage: accepted ? "accepted" : "received",
  };
}
