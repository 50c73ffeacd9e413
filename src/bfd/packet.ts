/**
 * BFD control packets, RFC 5880 4.1: bytes to values and back. What 6.8.6 refuses without looking at a session is
 * refused here, with the reason that is counted.
 *
 *    |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
 *    |                       My Discriminator                        |
 *    |                      Your Discriminator                       |
 *    |                    Desired Min TX Interval                    |
 *    |                   Required Min RX Interval                    |
 *    |                 Required Min Echo RX Interval                 |
 */

/** bfd.SessionState as on the wire. */
export const BfdState = { adminDown: 0, down: 1, init: 2, up: 3 } as const;
export type BfdState = (typeof BfdState)[keyof typeof BfdState];

/** bfd.LocalDiag as on the wire. */
export const Diagnostic = {
  none: 0,
  detectionTimeExpired: 1,
  echoFailed: 2,
  neighborSignaledDown: 3,
  forwardingPlaneReset: 4,
  pathDown: 5,
  concatenatedPathDown: 6,
  administrativelyDown: 7,
  reverseConcatenatedPathDown: 8,
} as const;

const diagnosticTexts: readonly string[] = [
  "no diagnostic",
  "control detection time expired",
  "echo function failed",
  "neighbor signaled session down",
  "forwarding plane reset",
  "path down",
  "concatenated path down",
  "administratively down",
  "reverse concatenated path down",
];

/** The words of RFC 5880 4.1. */
export function diagnosticText(diagnostic: number): string {
  return diagnosticTexts[diagnostic] ?? `diagnostic ${diagnostic}`;
}

/** A control packet without authentication. Intervals are in microseconds. */
export interface ControlPacket {
  readonly diagnostic: number;
  readonly state: BfdState;
  readonly poll: boolean;
  readonly final: boolean;
  /** C: the sender's BFD does not share the fate of its control plane. */
  readonly independent: boolean;
  readonly demand: boolean;
  readonly multiplier: number;
  readonly myDiscriminator: number;
  readonly yourDiscriminator: number;
  readonly desiredMinTxUs: number;
  readonly requiredMinRxUs: number;
  readonly requiredMinEchoRxUs: number;
}

/** Why a packet was thrown away; the order is that of the checks. The last four need a session or how it came. */
export const discardReasons = [
  "length",
  "version",
  "multiplier",
  "multipoint",
  "my-discriminator",
  "state",
  "authentication",
  "ttl",
  "unknown-discriminator",
  "unknown-source",
  "elsewhere",
] as const;
export type DiscardReason = (typeof discardReasons)[number];

const version = 1;
export const controlBytes = 24;
/** The authentication section has at least type and length. */
const authenticatedBytes = 26;

/**
 * @param length bytes of the datagram; what follows the packet's own length is ignored
 * @returns the packet, or why RFC 5880 6.8.6 has it thrown away. Authentication is not supported: no session uses it, so
 * that packets with the A bit are to be thrown away
 */
export function decodeControl(bytes: Uint8Array, length: number): ControlPacket | DiscardReason {
  if (length < controlBytes) return "length";
  if (bytes[0] >> 5 !== version) return "version";
  const flags = bytes[1];
  const authenticated = (flags & 0x04) !== 0;
  if (bytes[3] < (authenticated ? authenticatedBytes : controlBytes) || bytes[3] > length) return "length";
  if (bytes[2] === 0) return "multiplier";
  if ((flags & 0x01) !== 0) return "multipoint";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const myDiscriminator = view.getUint32(4);
  if (myDiscriminator === 0) return "my-discriminator";
  const yourDiscriminator = view.getUint32(8);
  const state = (flags >> 6) as BfdState;
  if (yourDiscriminator === 0 && state !== BfdState.down && state !== BfdState.adminDown) return "state";
  if (authenticated) return "authentication";
  return {
    diagnostic: bytes[0] & 0x1f,
    state,
    poll: (flags & 0x20) !== 0,
    final: (flags & 0x10) !== 0,
    independent: (flags & 0x08) !== 0,
    demand: (flags & 0x02) !== 0,
    multiplier: bytes[2],
    myDiscriminator,
    yourDiscriminator,
    desiredMinTxUs: view.getUint32(12),
    requiredMinRxUs: view.getUint32(16),
    requiredMinEchoRxUs: view.getUint32(20),
  };
}

/** Writes the packet into the first 24 bytes of `out`. */
export function encodeControl(packet: ControlPacket, out: Uint8Array): void {
  const view = new DataView(out.buffer, out.byteOffset, controlBytes);
  out[0] = (version << 5) | packet.diagnostic;
  out[1] =
    (packet.state << 6) |
    (packet.poll ? 0x20 : 0) |
    (packet.final ? 0x10 : 0) |
    (packet.independent ? 0x08 : 0) |
    (packet.demand ? 0x02 : 0);
  out[2] = packet.multiplier;
  out[3] = controlBytes;
  view.setUint32(4, packet.myDiscriminator);
  view.setUint32(8, packet.yourDiscriminator);
  view.setUint32(12, packet.desiredMinTxUs);
  view.setUint32(16, packet.requiredMinRxUs);
  view.setUint32(20, packet.requiredMinEchoRxUs);
}
