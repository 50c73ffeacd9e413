/**
 * RFC 7606 section 2: what an error in an UPDATE calls for, from mild to severe. When several errors meet, the most
 * severe wins, so verdicts are ordered numbers.
 */
export const Verdict = {
  ok: 0,
  /** Drop the attribute, keep the routes. */
  discardAttribute: 1,
  /** The routes of this UPDATE are handled as withdrawn. */
  treatAsWithdraw: 2,
  /** Ignore the family for the rest of the session ("AFI/SAFI disable"). */
  disableFamily: 3,
  /** NOTIFICATION and end of the session. */
  resetSession: 4,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];
