/** What went over the links of our network namespace, as the kernel counts it. */
import { readFileSync } from "node:fs";
import type { LinkCount } from "../services/context.ts";

const file = "/proc/self/net/dev";

/** By name of the link; empty where the kernel does not tell. */
export function linkCounters(): ReadonlyMap<string, LinkCount> {
  try {
    return readCounters(readFileSync(file, "latin1"));
  } catch {
    return new Map();
  }
}

/**
 * Two lines of titles, then per link the name with a colon and sixteen numbers: received bytes, packets, errors, dropped,
 * fifo, frame, compressed, multicast, and the same of what was sent.
 */
export function readCounters(text: string): Map<string, LinkCount> {
  const counters = new Map<string, LinkCount>();
  for (const line of text.split("\n").slice(2)) {
    const colon = line.lastIndexOf(":");
    const numbers = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/);
    if (colon < 0 || numbers.length < 12 || !numbers.every((word) => /^\d+$/.test(word))) continue;
    const [rxBytes, rxPackets, rxErrors, rxDropped] = numbers.map(BigInt);
    const [txBytes, txPackets, txErrors, txDropped] = numbers.slice(8).map(BigInt);
    counters.set(line.slice(0, colon).trim(), {
      ...{ rxBytes, rxPackets, rxErrors, rxDropped },
      ...{ txBytes, txPackets, txErrors, txDropped },
    });
  }
  return counters;
}
