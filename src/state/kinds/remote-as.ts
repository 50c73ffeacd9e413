/**
 * The AS of a neighbor: one of the words of `remote_as`, or a number where there is none. What the neighbor says goes
 * before what its group does.
 */
import { type NeighborSpec, RemoteAs } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import type { PeerGroupSpec } from "../../gen/cairn/v1/peer_group_service_pb.ts";

type Given = Pick<NeighborSpec | PeerGroupSpec, "remoteAsn" | "remoteAs">;

export interface RemoteAsChoice {
  /** Undefined as long as the neighbor's OPEN has to tell it, or nothing is said at all. */
  readonly asn: number | undefined;
  /** EXTERNAL where the OPEN tells it, INTERNAL where it is ours, UNSPECIFIED where a number is given, or nothing. */
  readonly word: RemoteAs;
}

/** @param localAsn our AS toward the neighbor */
export function remoteAsOf(spec: Given, group: Given | undefined, localAsn: number): RemoteAsChoice {
  for (const given of [spec, group]) {
    if (given?.remoteAs === RemoteAs.INTERNAL) return { asn: localAsn, word: RemoteAs.INTERNAL };
    if (given?.remoteAs === RemoteAs.EXTERNAL) return { asn: undefined, word: RemoteAs.EXTERNAL };
    if (given?.remoteAsn !== undefined) return { asn: given.remoteAsn, word: RemoteAs.UNSPECIFIED };
  }
  return { asn: undefined, word: RemoteAs.UNSPECIFIED };
}
