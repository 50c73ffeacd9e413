/**
 * Segments that the kernel refused: unsigned, wrongly signed, or from too far away. It counts them over all
 * connections and says nothing of who sent them, so a neighbor without a session is told what came lately, and no more.
 */
import type { RefusedSegments } from "./inputs.ts";
import type { Inputs } from "./part.ts";
import type { NeighborConfig, SessionHost } from "./session-port.ts";

export interface RefusedLogHost {
  readonly event: SessionHost["event"];
  nowMs(): number;
}

/** How long refusals stay in the status of neighbors. */
const recentMs = 60_000;
/** One event in this time. */
const quietMs = 60_000;

const texts: Readonly<Record<keyof RefusedSegments, string>> = {
  md5Missing: "without an MD5 signature",
  md5Unexpected: "with an MD5 signature where no password is set",
  md5Wrong: "with a wrong MD5 signature",
  aoMissing: "without a TCP-AO signature",
  aoUnknownKey: "with an unknown TCP-AO key id",
  aoWrong: "with a wrong TCP-AO signature",
  ttlTooLow: "with too low a TTL",
};
const reasons = Object.keys(texts) as (keyof RefusedSegments)[];

export class RefusedLog {
  /** As last told; the first time is where counting starts. */
  counts: RefusedSegments | undefined;
  private readonly seenMs = new Map<keyof RefusedSegments, number>();
  private saidMs = Number.NEGATIVE_INFINITY;
  private readonly host: RefusedLogHost;
  readonly inputs: Inputs = {
    "host.refusals": ({ counts }) => this.add(counts),
  };

  constructor(host: RefusedLogHost) {
    this.host = host;
  }

  private add(counts: RefusedSegments): void {
    const before = this.counts;
    this.counts = counts;
    if (!before) return;
    const nowMs = this.host.nowMs();
    const told: string[] = [];
    for (const reason of reasons) {
      const more = counts[reason] - before[reason];
      if (more <= 0) continue;
      this.seenMs.set(reason, nowMs);
      told.push(`${more} ${texts[reason]}`);
    }
    if (told.length === 0 || nowMs - this.saidMs < quietMs) return;
    this.saidMs = nowMs;
    const facts = Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, String(count)]));
    const summary = `the kernel refused TCP segments: ${told.join(", ")}`;
    this.host.event("cairn.bgp.segment.refused", "", 2, summary, facts);
  }

  /** What may keep this neighbor down, for its status; empty when there is nothing. */
  hint(config: Pick<NeighborConfig, "password" | "keychain" | "minTtl">): string {
    const nowMs = this.host.nowMs();
    const isRecent = (reason: keyof RefusedSegments): boolean =>
      nowMs - (this.seenMs.get(reason) ?? Number.NEGATIVE_INFINITY) < recentMs;
    const relevant = reasons.filter((reason) => isRecent(reason) && concerns(reason, config));
    if (relevant.length === 0) return "";
    return `the kernel has just refused segments ${relevant.map((reason) => texts[reason]).join(", ")}`;
  }
}

function concerns(
  reason: keyof RefusedSegments,
  { password, keychain, minTtl }: Pick<NeighborConfig, "password" | "keychain" | "minTtl">,
): boolean {
  if (reason === "md5Unexpected") return password === undefined;
  if (reason.startsWith("md5")) return password !== undefined;
  return reason === "ttlTooLow" ? minTtl > 0 : keychain !== "";
}
