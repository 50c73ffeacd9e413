/** Facts about an attribute set that many readers need, as bits computed once per set (see `deriveBlock`). */
export const AttributeFlag = {
  hasLocalPref: 1,
  hasMed: 2,
  /** Well-known communities present (RFC 1997, 3765, 8326, 7999). */
  noExport: 4,
  noAdvertise: 8,
  noExportSubconfed: 16,
  noPeer: 32,
  gracefulShutdown: 64,
  blackhole: 128,
  hasOriginatorId: 256,
  hasClusterList: 512,
  hasCommunities: 1024,
  hasUnknown: 2048,
  atomicAggregate: 4096,
  hasOtc: 8192,
  /** A local mark: traffic is to be dropped. */
  discard: 16384,
  /** RFC 9494: the community LLGR_STALE. */
  llgrStale: 32768,
  hasAigp: 65536,
  /** Confederation segments in AS_PATH (RFC 5065). */
  hasConfederation: 131072,
  /** The last segment of AS_PATH is a set; or one of a confederation. */
  endsWithSet: 262144,
  endsWithConfederation: 524288,
} as const;
