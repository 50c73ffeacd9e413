/** Who we are to a neighbor: one AS, a member of a confederation, or the confederation as a whole (RFC 5065 4). */
import type { Confederation } from "../gen/cairn/v1/global_service_pb.ts";
import type { NeighborConfig } from "./session-port.ts";

export type SessionAses = Pick<
  NeighborConfig,
  "external" | "confederationMember" | "confederation" | "localAsn" | "globalAsn"
>;

/**
 * @param localAsn local_asn where it is set
 * @param global our own AS, in a confederation that of our member, and the confederation
 */
export function sessionAses(
  remoteAsn: number | undefined,
  localAsn: number | undefined,
  { asn, confederation }: { readonly asn: number; readonly confederation?: Confederation | undefined },
): SessionAses {
  const isMember =
    remoteAsn !== undefined && remoteAsn !== asn && confederation?.memberAses.includes(remoteAsn) === true;
  const inside = isMember || remoteAsn === asn;
  const globalAsn = inside || !confederation ? asn : confederation.identifier;
  return {
    localAsn: localAsn ?? globalAsn,
    globalAsn,
    external: !isMember && remoteAsn !== (localAsn ?? globalAsn),
    confederationMember: isMember,
    confederation: confederation && { memberAsn: asn, identifier: confederation.identifier },
  };
}
