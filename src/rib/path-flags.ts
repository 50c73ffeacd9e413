/**
 * The flags byte of a path: why it may not be chosen (low 4 bits), and the epoch of its neighbor that brought it (3
 * bits). An epoch is a session, or the time from one refresh to the next: a path of an earlier one is stale.
 */

/** Why a path is not eligible; 0 when it is. The order is that of the checks. */
export const RejectReason = {
  none: 0,
  ownAs: 1,
  firstAs: 2,
  originatorLoop: 3,
  clusterLoop: 4,
  noPolicy: 5,
  policy: 6,
  nextHopIsSelf: 7,
  pathTooLong: 8,
  routeLeak: 9,
  prefixLimit: 10,
  acceptedLimit: 11,
  pathLimit: 12,
  /** A rule that unicast routes do not bear out (RFC 8955 6); looked at again when they change. */
  flowValidation: 13,
  /** Policy accepted it, and `attr` is what policy made of it; it waits for its next hop. */
  nextHop: 14,
  /** Policy accepted it; it is suppressed until it has been quiet for a while (RFC 2439). */
  damped: 15,
} as const;
export type RejectReason = (typeof RejectReason)[keyof typeof RejectReason];

/** Text per reason; policy rejections are told in more detail by the policy itself, next hops by their tracker. */
export const rejectReasonText: Readonly<Record<number, string>> = {
  [RejectReason.none]: "",
  [RejectReason.ownAs]: "own AS in AS_PATH",
  [RejectReason.firstAs]: "first AS is not the neighbor's (enforce_first_as)",
  [RejectReason.originatorLoop]: "ORIGINATOR_ID is our own (RFC 4456)",
  [RejectReason.clusterLoop]: "own cluster id in CLUSTER_LIST (RFC 4456)",
  [RejectReason.noPolicy]: "no import policy on an eBGP neighbor (RFC 8212)",
  [RejectReason.policy]: "import policy",
  [RejectReason.nextHopIsSelf]: "next hop is our own address",
  [RejectReason.pathTooLong]: "AS_PATH is longer than max_as_path_length",
  [RejectReason.routeLeak]: "route leak: ONLY_TO_CUSTOMER says that it must not come this way (RFC 9234)",
  [RejectReason.prefixLimit]: "prefix limit",
  [RejectReason.acceptedLimit]: "prefix limit after policy",
  [RejectReason.pathLimit]: "limit of paths per prefix (add_path.receive_max)",
  [RejectReason.flowValidation]: "unicast routes do not bear it out (RFC 8955 section 6, RFC 9117)",
  [RejectReason.damped]: "suppressed: it has flapped too often (RFC 2439)",
  [RejectReason.nextHop]: "next hop cannot be reached (RFC 4271 9.1.2)",
};

export const reasonMask = 0x0f;
export const epochShift = 4;
export const epochMask = 0x70;
/** Epochs are counted modulo this. */
export const epochs = 8;

/** Import let the path in: it is chosen from, or would be if its next hop could be reached. */
export function isAccepted(flags: number): boolean {
  const reason = flags & reasonMask;
  return reason === RejectReason.none || reason === RejectReason.nextHop;
}
