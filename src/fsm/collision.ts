/**
 * Two connections with one neighbor (RFC 4271 6.8). Both live side by side until both OPENs are read; then one goes.
 *
 * - Neither is Established: the connection opened by the side with the higher BGP identifier stays, with equal
 *   identifiers that of the larger AS number (RFC 6286 2.3).
 * - One is Established and the other was begun before that (an ordinary collision whose messages crossed): the same
 *   comparison, so that both sides decide alike. But the Established one only goes once the other has its KEEPALIVE,
 *   for a neighbor that prefers Established closes the other itself, and then none would be left.
 * - One is Established and the other came later: the neighbor has restarted and its old connection is dead, whatever
 *   our TCP believes (RFC 4724 section 5 in spirit). The new one replaces the old when its KEEPALIVE is there: a
 *   neighbor that still holds the old session would have answered our OPEN with a Cease. So a restarted neighbor is
 *   never locked out until the hold timer expires, and a stray connection never ends a healthy session.
 */
import type { State } from "./session.ts";

/** One of the two connections. */
export interface Contender {
  readonly state: State;
  /** We opened it. */
  readonly outbound: boolean;
  /** It was begun while the other one was Established already. */
  readonly late: boolean;
  /** Connections in the order in which they began. */
  readonly order: number;
}

export interface Speakers {
  readonly localRouterId: number;
  readonly localAsn: number;
  readonly remoteRouterId: number;
  readonly remoteAsn: number;
}

/** True when connections that we opened win over those of the neighbor. */
export function localWins(speakers: Speakers): boolean {
  const { localRouterId, remoteRouterId, localAsn, remoteAsn } = speakers;
  return localRouterId === remoteRouterId ? localAsn > remoteAsn : localRouterId > remoteRouterId;
}

/**
 * Which of two connections has to go after an OPEN was read, or a KEEPALIVE is about to make `fresh` Established.
 * @param fresh the connection on which the message arrived
 * @param keepalive the message is the KEEPALIVE that completes `fresh`
 * @returns undefined while it is too early to tell
 */
export function loser(
  fresh: Contender,
  other: Contender,
  speakers: Speakers,
  keepalive: boolean,
): "fresh" | "other" | undefined {
  if (other.state !== "OpenConfirm" && other.state !== "Established") return undefined;
  if (other.state === "Established" && fresh.late) return keepalive ? "other" : undefined;
  // Two on the same side: the neighbor opened the newer one after giving up the older.
  const freshWins =
    fresh.outbound === other.outbound ? fresh.order > other.order : fresh.outbound === localWins(speakers);
  if (!freshWins) return "fresh";
  return other.state === "Established" && !keepalive ? undefined : "other";
}
