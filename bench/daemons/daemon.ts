/** What the driver needs to know of a daemon that it measures. */
import type { Filter } from "../load/filter.ts";

/** AS of the daemon under test. */
export const daemonAs = 65_000;
export const routerId = "10.99.0.1";

export interface Peer {
  readonly address: string;
  readonly asn: number;
  readonly feeds: boolean;
}

/** What a daemon is to be configured for. It accepts all, tells everything to everybody, installs nothing. */
export interface Setup {
  readonly peers: readonly Peer[];
  readonly ipv6: boolean;
  /** Route server: AS path and next hop untouched. Else plain eBGP with ourselves as next hop. */
  readonly routeServer: boolean;
  /** Hold time of all sessions, seconds. */
  readonly holdTimeS: number;
  /** All threads of the daemon share one core. */
  readonly oneCore?: boolean;
  /** Import policy of the feeders; absent: accept all. */
  readonly filter?: Filter;
  /** An RPKI cache; feeders' routes with an invalid origin are refused. Of the daemons here only cairn is asked. */
  readonly rpki?: { readonly host: string; readonly port: number };
  /** Routes are kept as they were received, so that another policy needs no session anew. cairn always does. */
  readonly keepReceived?: boolean;
  /** Nothing is loaded into the daemon that looks at its event loop, which would wake it up all the time. */
  readonly unwatched?: boolean;
}

export interface Started {
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A daemon as configured in `directory`. Everything it writes stands there. */
export interface Adapter {
  readonly name: string;
  /** Where its program may be; the first that exists is taken. */
  readonly programs: readonly string[];
  /** What else it must be able to do; absent: everything but filters. */
  can?(setup: Setup): boolean;
  configure(setup: Setup, directory: string): Started;
  /** A command of its own client that writes all best routes to standard output. */
  list?(setup: Setup, directory: string): readonly string[];
  /** Takes over another import policy, as an operator would; resolves when the daemon has answered. */
  changeFilter?(setup: Setup, directory: string): Promise<void>;
  /** Quiet that it wants between the last session and the first route, in seconds; default 1. */
  readonly warmUpS?: number;
}
