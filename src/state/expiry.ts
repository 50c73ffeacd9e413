/** Injected routes whose time to live is over are retracted, as a change like any other. */
import type { Changes } from "./changes.ts";
import type { Injection } from "./injection.ts";

/** Retractions per turn. */
const expiriesPerTurn = 1000;

export interface ExpiryHost {
  readonly injection: Injection;
  readonly changes: Changes;
  nowMs(): number;
  wallMs(): number;
}

export class Expiry {
  private readonly host: ExpiryHost;

  constructor(host: ExpiryHost) {
    this.host = host;
  }

  tick(): void {
    const { injection, changes } = this.host;
    const wallMs = this.host.wallMs();
    if (injection.nextExpiry() > wallMs) return;
    const due = injection.due(wallMs, expiriesPerTurn);
    if (due.length === 0) return;
    changes.mutate(undefined, {
      ops: due.map((key) => ({ op: "retract", ...key })),
      expectedGeneration: 0,
      dryRun: false,
      reason: "time to live is over",
      requestId: "",
      principal: "cairnd",
      source: "expiry",
    });
  }

  nextMs(): number {
    return this.host.injection.nextExpiry() - this.host.wallMs() + this.host.nowMs();
  }
}
