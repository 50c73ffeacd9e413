/** BFD sessions as the API shows them. */
import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { diagnosticText, BfdState as WireState } from "../bfd/packet.ts";
import {
  type BfdDiscards,
  BfdDiscardsSchema,
  type BfdSession,
  BfdSessionSchema,
  BfdState,
} from "../gen/cairn/v1/bfd_service_pb.ts";
import { type BfdEntry, downReason } from "./bfd.ts";
import type { Core } from "./core.ts";

/** The session of a neighbor; undefined when it has none. */
export function bfdSession({ bfd, wallMs }: Core, neighbor: string): BfdSession | undefined {
  const entry = bfd.get(neighbor);
  if (!entry) return undefined;
  const { plan, report } = entry;
  const heard = report !== undefined && report.remote.discriminator !== 0;
  const remote = heard ? report.remote : undefined;
  return create(BfdSessionSchema, {
    neighbor,
    peerAddress: plan.peer,
    localAddress: plan.local ?? "",
    interface: plan.interface ?? "",
    multihop: plan.multihop,
    minimumTtl: plan.minTtl,
    state: bfdState(entry),
    diagnostic: diagnosticOf(report?.diagnostic ?? 0),
    remoteState: remote ? ((remote.state + 1) as BfdState) : BfdState.UNSPECIFIED,
    remoteDiagnostic: diagnosticOf(remote?.diagnostic ?? 0),
    localDiscriminator: plan.discriminator,
    remoteDiscriminator: remote?.discriminator ?? 0,
    minTx: spanOf(plan.minTxUs),
    minRx: spanOf(plan.minRxUs),
    multiplier: plan.multiplier,
    remoteMinTx: remote && spanOf(remote.minTxUs),
    remoteMinRx: remote && spanOf(remote.minRxUs),
    remoteMultiplier: remote?.multiplier ?? 0,
    transmitInterval: heard ? spanOf(report.transmitUs) : undefined,
    detectionTime: heard ? spanOf(report.detectionUs) : undefined,
    polling: report?.polling ?? false,
    remoteControlPlaneIndependent: remote?.independent ?? false,
    remoteDemand: remote?.demand ?? false,
    since: report && durationFromMs(Math.max(0, wallMs - report.changedAtMs)),
    ups: report?.ups ?? 0,
    downs: report?.downs ?? 0,
    lastDown:
      report && report.downs > 0
        ? {
            time: timestampFromMs(report.downAtMs),
            reason: downReason(report),
            administrative: report.cause === "neighbor-admin-down" || report.cause === "admin-down",
          }
        : undefined,
    packetsReceived: BigInt(entry.received),
    packetsSent: BigInt(entry.sent),
    packetsDiscarded: BigInt(entry.discarded),
    status: status(entry),
  });
}

/** Packets that belonged to no session, or not to be taken, by reason. */
export function bfdDiscards({ bfd }: Core): BfdDiscards[] {
  return bfd.discards.map(({ reason, count, source }) =>
    create(BfdDiscardsSchema, { reason, packets: BigInt(count), lastSource: source }),
  );
}

/** `UNSPECIFIED` for a neighbor without BFD. */
export function bfdState(entry: BfdEntry | undefined): BfdState {
  return entry ? (((entry.report?.state ?? WireState.down) + 1) as BfdState) : BfdState.UNSPECIFIED;
}

function diagnosticOf(diagnostic: number): string {
  return diagnostic === 0 ? "" : diagnosticText(diagnostic);
}

function spanOf(us: number): Duration {
  return durationFromMs(us / 1000);
}

function status({ failure, gate, report, config, record }: BfdEntry): string {
  if (failure !== "") return failure;
  if (gate !== "") return `the BGP session is ${gate}`;
  if (report?.state === WireState.up) return "";
  if (report?.cause === "neighbor-admin-down") {
    return "the neighbor has taken BFD down; BGP goes on without it";
  }
  if (record.negotiated) return "BGP is up without BFD";
  return config.strict ? "" : "BGP may come up without BFD";
}
