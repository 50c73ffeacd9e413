/** Counters of segments that the kernel refused, from /proc/net/netstat of this network namespace. */
import { readFileSync } from "node:fs";
import type { RefusedSegments } from "../state/inputs.ts";

const names: Readonly<Record<keyof RefusedSegments, string>> = {
  md5Missing: "TCPMD5NotFound",
  md5Unexpected: "TCPMD5Unexpected",
  md5Wrong: "TCPMD5Failure",
  aoMissing: "TCPAORequired",
  aoUnknownKey: "TCPAOKeyNotFound",
  aoWrong: "TCPAOBad",
  ttlTooLow: "TCPMinTTLDrop",
};

/** The counters as they are now; undefined where the system does not tell. */
export function readRefusedSegments(): RefusedSegments | undefined {
  try {
    return parseNetstat(readFileSync("/proc/self/net/netstat", "utf8"));
  } catch {
    return undefined;
  }
}

/** Reads the TcpExt lines: names on one, values on the next. A counter that the kernel lacks is 0. */
export function parseNetstat(text: string): RefusedSegments | undefined {
  const [head, values] = text.split("\n").filter((line) => line.startsWith("TcpExt:"));
  if (head === undefined || values === undefined) return undefined;
  const numbers = values.split(" ");
  const at = new Map(head.split(" ").map((name, i) => [name, i]));
  const counts = Object.entries(names).map(([key, name]) => {
    const index = at.get(name);
    return [key, index === undefined ? 0 : Number(numbers[index])];
  });
  return Object.fromEntries(counts) as unknown as RefusedSegments;
}
