/** Translations as the API tells of them. */
import { create } from "@bufbuild/protobuf";
import { formatIp } from "../base/ip.ts";
import { protocolText } from "../base/ip-protocols.ts";
import { FlowStatus } from "../dataplane/netlink/conntrack-wire.ts";
import type { Translation as Found } from "../dataplane/translations.ts";
import { type Translation, TranslationSchema } from "../gen/cairn/v1/nat_service_pb.ts";

export type { TranslationFilter, TranslationRule, TranslationTable } from "../dataplane/translations.ts";
export { noTranslations } from "../dataplane/translations.ts";

/** States of TCP by the kernel's number (enum tcp_conntrack). */
const tcpStates = [
  "",
  "syn-sent",
  "syn-received",
  "established",
  "fin-wait",
  "close-wait",
  "last-ack",
  "time-wait",
  "closed",
  "syn-sent-both",
] as const;

export function translationMessage(found: Found): Translation {
  const { original, reply, packets, bytes } = found;
  // ICMP has one identifier, which the reply repeats.
  const isEcho = original.protocol === 1 || original.protocol === 58;
  return create(TranslationSchema, {
    protocol: protocolText(original.protocol),
    source: formatIp(original.source),
    sourcePort: original.sourcePort,
    destination: formatIp(original.destination),
    destinationPort: original.destinationPort,
    translatedSource: formatIp(reply.destination),
    translatedSourcePort: isEcho ? reply.sourcePort : reply.destinationPort,
    translatedDestination: formatIp(reply.source),
    translatedDestinationPort: isEcho ? 0 : reply.sourcePort,
    state: tcpStates[found.tcpState] ?? "",
    answered: (found.status & FlowStatus.seenReply) !== 0,
    expiresS: found.timeoutS,
    ...(packets !== undefined && { packets: BigInt(packets) }),
    ...(bytes !== undefined && { bytes: BigInt(bytes) }),
    mark: found.mark,
    zone: found.zone,
    rule: found.rule,
  });
}
