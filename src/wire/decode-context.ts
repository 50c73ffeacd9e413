/** What the UPDATE decoder must know about the session. Family masks have bit `family.index`. */
export interface DecodeContext {
  /** Both sides sent capability 65: AS numbers in AS_PATH and AGGREGATOR have four octets (RFC 6793). */
  readonly fourOctetAs: boolean;
  /** Families in which this neighbor sends path identifiers (RFC 7911). */
  readonly addPath: number;
  /** Families of IPv4 whose next hop may be an IPv6 address (RFC 8950); none when absent. */
  readonly extendedNextHop?: number;
  /** The neighbor is in another AS, and not in our confederation. */
  readonly external: boolean;
  /** The neighbor is in another member AS of our confederation (RFC 5065); no when absent. */
  readonly confederation?: boolean;
  /** AIGP is taken from this neighbor (RFC 7311); no when absent. */
  readonly aigp?: boolean;
  /** Negotiated families. NLRI of others are ignored with a problem. */
  readonly families: number;
}
