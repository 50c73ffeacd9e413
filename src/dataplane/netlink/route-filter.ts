/**
 * Socket filters that keep notices of routes away which nobody here needs: the kernel tells every listener of each of the
 * 100,000 routes that we write ourselves, and to read one costs as much as to write it. Classic BPF, whose loads are
 * big-endian while netlink is not.
 */
import { ownBgpProtocol } from "../kernel-model.ts";
import { RouteMessage } from "./route-wire.ts";
import { headerBytes, MessageFlag } from "./wire.ts";

/** Code, jump when true, jump when false (relative to the next instruction), operand. */
type Instruction = readonly [code: number, yes: number, no: number, operand: number];

const load8 = 0x30;
const load16 = 0x28;
const load32 = 0x20;
const equals = 0x15;
const hasBits = 0x45;
const answer = 0x06;
const all = 0xffff_ffff;

const typeAt = 4;
const flagsAt = 6;
const portAt = 12;
/** In `struct rtmsg`. */
const protocolAt = headerBytes + 5;

/** No notices of routes that BGP brings, whoever touches them. */
export function withoutBgpRoutes(): Uint8Array {
  return assembled([
    [load16, 0, 0, typeAt],
    [equals, 1, 0, swapped16(RouteMessage.newRoute)],
    [equals, 0, 3, swapped16(RouteMessage.delRoute)],
    [load8, 0, 0, protocolAt],
    [equals, 0, 1, ownBgpProtocol],
    [answer, 0, 0, 0],
    [answer, 0, 0, all],
  ]);
}

/** No notices of what the socket with this port did itself to routes; answers to its questions are let through. */
export function withoutOwnNotices(port: number): Uint8Array {
  return assembled([
    [load16, 0, 0, typeAt],
    [equals, 1, 0, swapped16(RouteMessage.newRoute)],
    [equals, 0, 5, swapped16(RouteMessage.delRoute)],
    [load32, 0, 0, portAt],
    [equals, 0, 3, swapped32(port)],
    [load16, 0, 0, flagsAt],
    [hasBits, 1, 0, swapped16(MessageFlag.multi)],
    [answer, 0, 0, 0],
    [answer, 0, 0, all],
  ]);
}

/** `struct sock_filter`: code 2, jumps 1 each, operand 4, in host order. */
function assembled(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(([code, yes, no, operand], i) => {
    view.setUint16(i * 8, code, true);
    view.setUint8(i * 8 + 2, yes);
    view.setUint8(i * 8 + 3, no);
    view.setUint32(i * 8 + 4, operand, true);
  });
  return bytes;
}

function swapped16(value: number): number {
  return ((value & 255) << 8) | (value >>> 8);
}

function swapped32(value: number): number {
  return ((swapped16(value & 0xffff) << 16) | swapped16(value >>> 16)) >>> 0;
}
