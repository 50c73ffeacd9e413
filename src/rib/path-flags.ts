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
} as const;
export type RejectReason = (typeof RejectReason)[keyof typeof RejectReason];

/** Text per reason; policy rejections are told in more detail by the policy itself. */
export const rejectReasonText: readonly string[] = [
  "",
  "own AS in AS_PATH",
  "first AS is not the neighbor's (enforce_first_as)",
  "ORIGINATOR_ID is our own (RFC 4456)",
  "own cluster id in CLUSTER_LIST (RFC 4456)",
  "no import policy on an eBGP neighbor (RFC 8212)",
  "import policy",
  "next hop is our own address",
  "AS_PATH is longer than max_as_path_length",
  "route leak: ONLY_TO_CUSTOMER says that it must not come this way (RFC 9234)",
  "prefix limit",
  "prefix limit after policy",
];

export const reasonMask = 0x0f;
export const epochShift = 4;
export const epochMask = 0x70;
/** Epochs are counted modulo this. */
export const epochs = 8;
