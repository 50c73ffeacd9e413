/**
 * Every size and bound in one place, with the relations between them asserted. Units are in the names.
 */
import { assert } from "./assert.ts";

export const limits = {
  /** RFC 4271 4.1 and RFC 8654. */
  messageBytesMin: 19,
  messageBytesMax: 4096,
  messageBytesMaxExtended: 65_535,
  /** Neighbors that can exist at a time; neighbor ids fit 16 bits. */
  neighborsMax: 16_384,
  /** Received bytes held per connection before the socket is paused. */
  connInboxBytesMax: 1 << 18,
  /** Bytes handed to a socket and not yet taken by the kernel before its cursor waits. */
  connOutboxBytesMax: 1 << 20,
  /** Connections that are not yet bound to an OPEN, over all and per source address. */
  pendingConnectionsMax: 512,
  pendingConnectionsPerSourceMax: 8,
  /** RPC inputs that may wait for a turn before RESOURCE_EXHAUSTED. */
  urgentInputsMax: 8_192,
  /** Replies parked until the store has made their change durable. */
  parkedRepliesMax: 8_192,
  /** Operations in one transaction. */
  transactionOpsMax: 20_000,
  /** Operations of a transaction that is checked within one turn; a larger one is spread over turns. */
  wholeTurnOps: 64,
  /** Objects of a generation that goes to the store as it is; the rows of a larger one go as text. */
  wholeRowObjects: 512,
  /** Neighbors that a change is brought to within the turn in which it becomes durable; more are spread over turns. */
  wholeTurnNeighbors: 64,
  /** Times that a large transaction begins anew because another came between, before others wait for it. */
  preparationRestartsMax: 3,
  /** Events kept in memory for watchers, and in the database. */
  eventRingMax: 16_384,
  eventsStoredMax: 1_000_000,
  /** Generations that can be gone back to, and for how long; pinned ones stay. */
  generationsMax: 10_000,
  generationsAgeMs: 400 * 24 * 3600 * 1000,
  /** How long a request id gives the same answer, and how many of them are kept in memory. */
  requestsKeptMs: 24 * 3600 * 1000,
  requestsKeptMax: 131_072,
  /** Attempts kept in the audit. */
  auditStoredMax: 200_000,
  /** Prefixes and evaluations that a plan looks at before its counts become lower bounds: a few seconds. */
  planWorkMax: 8_000_000,
  /** Conditions of a confirmed apply. */
  conditionsMax: 32,
  /** Rows a list answers with by default and at most. */
  pageSizeDefault: 1_000,
  pageSizeMax: 10_000,
  /** Paths of one prefix in an answer that is not paged. */
  pathsToldMax: 100,
  /** Routes in one message of a stream. */
  streamBatchRoutes: 512,
  watchersMax: 256,
  /** Bytes of the FlowSpec rules of one family, over all neighbors (RFC 8955). */
  flowArenaBytesMax: 1 << 28,
  /** Rules of one family that FlowSpecFilter objects look at, the first in order. */
  flowFilterRulesMax: 10_000,
  /** Refused routes kept of one neighbor and family without soft reconfiguration. */
  rejectedKeptMax: 1_000,
  /** BGP routes that lead on from one to the next on the way to a next hop, and those looked at to find it. */
  nextHopDepthMax: 8,
  nextHopLookupsMax: 64,
  /** Next hops worked out in one turn, and prefixes looked at whether they lead to one. */
  nextHopsPerTurn: 256,
  nextHopChangesPerTurn: 8_192,
  /** Next hops found and lost that are told one by one in one turn; the rest is counted. */
  nextHopEventsPerTurn: 16,
  /** Routes that a FIB table looks at in a turn, and those that go to the kernel in one piece. */
  fibRowsPerTurn: 4_096,
  fibBatchRows: 4_096,
  linkEventsPerTurn: 16,
  /** Routes of the kernel that are brought to the Loc-RIB in one turn. */
  redistributedPerTurn: 512,
  /** Entries of a filter that a neighbor sends (RFC 5291), and of those how many are told. */
  outboundFilterMax: 10_000,
  outboundFilterToldMax: 1_000,
  /** Routes of which it is remembered that they flapped (RFC 2439), over all neighbors. */
  flapsMax: 262_144,
  /** Logged packets that become events, a second; for a while twice as many. */
  loggedPacketsPerS: 50,
  /** Bytes of an MRT file that wait for the disk: then tables wait, and updates are dropped. */
  mrtQueueBytesMax: 1 << 23,
  /** BMP collectors; bytes that wait for one before it is given up; changed paths noted for all (a power of two). */
  bmpCollectorsMax: 16,
  bmpQueueBytesMax: 1 << 25,
  bmpJournalMax: 1 << 20,
  /** Routes injected over the API. */
  injectedMax: 4_000_000,
  /** Validated ROA payloads of all sources together, and of one prefix (RFC 6811). */
  vrpsMax: 4_000_000,
  vrpsPerPrefixMax: 1_024,
  /** Customers with an ASPA in one source. */
  aspasMax: 200_000,
  /** RPKI caches, and files of each kind: every source has a slot and needs a second one while it changes, of 32. */
  rpkiCachesMax: 8,
  rpkiFilesMax: 6,
  /** Time slice of one turn, in milliseconds. */
  turnSliceMs: 6,
} as const;

assert(limits.connInboxBytesMax >= 2 * limits.messageBytesMaxExtended);
assert(limits.connOutboxBytesMax >= limits.messageBytesMaxExtended);
assert(limits.pageSizeDefault <= limits.pageSizeMax);
// Local exceptions of SLURM are one more source.
assert((limits.rpkiCachesMax + limits.rpkiFilesMax + 1) * 2 <= 32);
