/**
 * The health of paths as others see it: EgressRoutePolicy asks here which candidates may be used. What probes, and how
 * health follows from them, is in health-checks.ts and check.ts.
 */

/** `unknown` until enough probes were made, and again when they can be made no longer. */
export type Health = "healthy" | "unhealthy" | "unknown";

export interface HealthState {
  readonly health: Health;
  /** Since when, monotonic milliseconds. */
  readonly sinceMs: number;
  /** Why it is not healthy, one sentence without a full stop; empty when it is. */
  readonly why: string;
}

export type HealthListener = (name: string, state: HealthState) => void;

export interface HealthSource {
  /** Of the HealthCheck of this name; unknown for one that does not exist. */
  healthOf(name: string): HealthState;
  /**
   * Calls `listener` whenever the health of a check changes, within the turn in which it does; a check that is deleted
   * becomes unknown. Listeners note that there is work for their own `run`, and do it there.
   */
  onChange(listener: HealthListener): void;
}
