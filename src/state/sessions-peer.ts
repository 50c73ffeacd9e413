/** What sessions keep per neighbor, and per machine of a neighbor. Counters live here, so that no reset clears them. */
import { noAgreement, type RestartAgreement, type RestartMoment, steady } from "../fsm/graceful-restart.ts";
import type { Agreement, LocalSide } from "../fsm/negotiate.ts";
import { newSession, type Session, type Settings, type State, states, timerCount } from "../fsm/session.ts";
import { noData } from "../wire/message.ts";
import type { NeighborConfig, NeighborId, ResetInfo } from "./session-port.ts";
import type { Connection } from "./sessions-connection.ts";
import { TimerOwner } from "./sessions-timers.ts";

export interface MessageTally {
  opens: number;
  updates: number;
  keepalives: number;
  notifications: number;
  refreshes: number;
  bytes: number;
}

/** A reset with the monotonic time at which it happened. */
export interface ResetRecord extends ResetInfo {
  readonly atMs: number;
  /** How long the session had been Established; undefined when it never was. */
  readonly uptimeMs: number | undefined;
  /** Attempts in a row that ended like this; 0 for an Established session. */
  readonly attempts: number;
}

export const resetsKept = 10;

/** One machine with its timers and its connection: the neighbor's own, or a candidate beside it. */
export class Attempt extends TimerOwner {
  readonly peer: Peer;
  readonly order: number;
  session: Session;
  connection: Connection | undefined = undefined;
  agreement: Agreement | undefined = undefined;
  /** What our OPEN said of restarts. */
  moment: RestartMoment = steady;
  /** OPENs as they were on the wire; empty before. */
  sentOpen: Uint8Array = noData;
  receivedOpen: Uint8Array = noData;
  /** The AS that our OPEN told; 0 before. */
  toldAsn = 0;
  /** Begun while another session of the neighbor was Established. */
  late = false;
  /** Durations in force, for timers whose restart is only noted (see sessions-due.ts). */
  keepaliveFromMs = 0;
  keepaliveMs = 0;
  /** Removed; events still in the queue are ignored. */
  gone = false;

  constructor(peer: Peer, candidate: boolean, order: number) {
    super(timerCount);
    this.peer = peer;
    this.order = order;
    this.session = newSession(settingsOf(peer.config), candidate);
  }
}

/** Timers of the neighbor itself. */
export const PeerTimer = { start: 0 } as const;

export class Peer extends TimerOwner {
  readonly id: NeighborId;
  config: NeighborConfig;
  main: Attempt;
  readonly candidates: Attempt[] = [];
  /** An inbound connection that waits for the end of the idle hold. */
  parked: Connection | undefined = undefined;
  /** Held down by a prefix limit: the family's name and whether it ends by itself. */
  hold: { readonly family: string; readonly ends: boolean } | undefined = undefined;
  /** Why no session may come up at present, for the status sentence; empty when one may. */
  gate = "";
  /** The machine that `SessionHost.established` was called for. */
  up: Attempt | undefined = undefined;
  /** Graceful restart as agreed on for the session, or for the last one while its routes are kept. */
  restart: RestartAgreement = noAgreement;
  /** State last told to the host. */
  shownState: State = "Idle";
  readonly received = newTally();
  readonly sent = newTally();
  establishedCount = 0;
  establishedAtMs = 0;
  /** Newest first, at most `resetsKept`. */
  readonly resets: ResetRecord[] = [];
  /** Ends of Established sessions by NOTIFICATION code (those without one are 0): what we ended, and what the neighbor did. */
  readonly endsByUs = new Map<number, number>();
  readonly endsByNeighbor = new Map<number, number>();
  /** Why the last attempt to connect failed, for the status sentence. */
  connectError = "";
  /** Events about stray connections so far in this minute. */
  noise = 0;
  noiseFromMs = Number.NEGATIVE_INFINITY;

  constructor(id: NeighborId, config: NeighborConfig, order: number) {
    super(1);
    this.id = id;
    this.config = config;
    this.main = new Attempt(this, false, order);
  }

  get object(): string {
    return `Neighbor/${this.config.address}`;
  }

  attempts(): Attempt[] {
    return [this.main, ...this.candidates];
  }

  /** The machine that is furthest. */
  leading(): Attempt {
    let best = this.main;
    for (const candidate of this.candidates) {
      if (rank(candidate.session.state) > rank(best.session.state)) best = candidate;
    }
    return best;
  }
}

export function rank(state: State): number {
  return states.indexOf(state);
}

export function settingsOf(config: NeighborConfig): Settings {
  const { connectRetryMs, delayOpenMs, sendHoldMs, idleHoldMs } = config;
  const passive = config.passive || config.obstacle !== "";
  return { passive, connectRetryMs, delayOpenMs, sendHoldMs, idleHoldMs };
}

export function localSide(config: NeighborConfig): LocalSide {
  return config;
}

function newTally(): MessageTally {
  return { opens: 0, updates: 0, keepalives: 0, notifications: 0, refreshes: 0, bytes: 0 };
}
