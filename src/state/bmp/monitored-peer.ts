/** A neighbor as a collector knows it: what its messages begin with, and how its routes are written. */
import { globalPeer, type PeerBytes, type PeerUp } from "../../bmp/encode.ts";
import { PeerFlag } from "../../bmp/types.ts";
import { families } from "../../wire/family.ts";
import type { NeighborRecord } from "../neighbor-record.ts";
import type { Routing } from "../routing.ts";
import type { Negotiated, SessionOpening } from "../session-port.ts";
import type { RouteRun, RouteStream } from "./route-run.ts";

/** What is monitored of neighbors. */
export interface MonitoredRibs {
  readonly pre: boolean;
  readonly post: boolean;
  readonly out: boolean;
}

/** The encoders that a feed's routes go through: what is in one does not break up the runs of another. */
export interface Runs {
  readonly received: RouteRun;
  readonly accepted: RouteRun;
  readonly sent: RouteRun;
}

/** Streams of one family. */
export interface PeerStreams {
  /** Adj-RIB-In before policy; the same for both RIBs where policy changes nothing; after policy. */
  readonly pre: RouteStream;
  readonly both: RouteStream;
  readonly post: RouteStream;
  readonly out: RouteStream;
}

export interface MonitoredPeer {
  readonly record: NeighborRecord;
  readonly header: PeerBytes;
  /** By family index; undefined for families that were not agreed on. */
  readonly streams: readonly (PeerStreams | undefined)[];
  /** Of messages that we sent. */
  readonly outFlags: number;
  /** By family index: its Adj-RIB-In is being replayed. */
  readonly walking: boolean[];
  /** Messages were not mirrored since the last one that was. */
  mirrorLost: boolean;
}

const { postPolicy, adjRibOut, twoOctetAs } = PeerFlag;

export function monitoredPeer(
  record: NeighborRecord,
  negotiated: Negotiated,
  routing: Routing,
  runs: Runs,
): MonitoredPeer {
  const { remoteAsn, remoteRouterId, fourOctetAs, addPathReceive, addPathSend } = negotiated;
  const header = globalPeer(record.config.addressBytes, remoteAsn, remoteRouterId);
  const outFlags = postPolicy | adjRibOut | (fourOctetAs ? 0 : twoOctetAs);
  // AS paths that came in are kept, and told, with four octets, whatever the session has.
  const received = { fourOctetAs: true, addPath: addPathReceive };
  const sent = { fourOctetAs, addPath: addPathSend };
  const streams = families.map((family) => {
    if ((negotiated.families & (1 << family.index)) === 0) return undefined;
    const table = routing.table(family);
    return {
      pre: runs.received.streamOf(header, [0], table, received),
      both: runs.received.streamOf(header, [0, postPolicy], table, received),
      post: runs.accepted.streamOf(header, [postPolicy], table, received),
      out: runs.sent.streamOf(header, [outFlags], table, sent),
    };
  });
  return { record, header, streams, outFlags, walking: families.map(() => false), mirrorLost: false };
}

export function peerUpOf(
  { config }: NeighborRecord,
  { localAddress }: Negotiated,
  { sentOpen, receivedOpen, localPort, remotePort }: SessionOpening,
): PeerUp {
  const bytes = config.addressBytes.length;
  return {
    localAddress: localAddress.length === bytes ? localAddress : new Uint8Array(bytes),
    ...{ sentOpen, receivedOpen, localPort, remotePort, info: [] },
  };
}
