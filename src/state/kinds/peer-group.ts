/** PeerGroup: settings that several neighbors share. What depends on the member is checked with each member. */
import type { Message } from "@bufbuild/protobuf";
import type { PeerGroupSpec } from "../../gen/cairn/v1/peer_group_service_pb.ts";
import type { KindRules } from "./rules.ts";
import { checkSessionFields } from "./session-fields.ts";

export const peerGroupRules: KindRules = {
  check: (message: Message, _lookup, host) => checkSessionFields(message as PeerGroupSpec, host),
};
