/** Rules that tell of packets, each so many a second: the daemon makes events of them. */
import type { Problem } from "../../base/problem.ts";
import { type LogMark, logPrefix, packetLogGroup } from "../../dataplane/logged-packet.ts";
import { invalid } from "../kind.ts";
import { limitRate, rule } from "../nft/expressions.ts";

interface LogFields {
  readonly log: boolean;
  readonly logRatePerS?: number;
}

const ratePerSDefault = 5;

/** Statements that tell of a packet, with a bound of their own. */
export function logging({ logRatePerS }: LogFields, mark: LogMark): string {
  return rule(limitRate(logRatePerS ?? ratePerSDefault), logStatement(mark));
}

/** The same without a bound. */
export function logStatement(mark: LogMark): string {
  return `log prefix "${logPrefix(mark)}" group ${packetLogGroup}`;
}

/** A rate of what is not told is hardly meant. */
export function checkLog({ log, logRatePerS }: LogFields): Problem[] {
  if (log || logRatePerS === undefined) return [];
  return [invalid("log_rate_per_s", "there is no log to bound", "set log")];
}
