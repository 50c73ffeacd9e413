/**
 * What all messages of the netfilter family share (linux/netfilter/nfnetlink.h): a header of four bytes before the
 * attributes, and integers in network order.
 *
 *   family 1 | version 1 | resource 2, network order | attributes ...
 */
import type { NetlinkWriter } from "./wire.ts";

/** Family of netlink for everything of netfilter. */
export const netfilterProtocol = 12;

/** Upper byte of a message's type. */
export const Subsystem = { conntrack: 1, log: 4, tables: 10 } as const;

/** Bytes before the attributes of a message. */
export const netfilterHeaderBytes = 4;

/** Begins a message of a subsystem. */
export function beginNetfilter(
  out: NetlinkWriter,
  subsystem: number,
  message: number,
  flags: number,
  sequence: number,
  family: number,
  resource = 0,
): void {
  out.begin((subsystem << 8) | message, flags, sequence);
  out.u8(family);
  out.u8(0);
  out.u8(resource >>> 8);
  out.u8(resource & 255);
}

/** A 16-bit number in network order. */
export function network16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

/** A 32-bit number in network order. */
export function network32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

/** A 64-bit number in network order; beyond 2^53 the lowest bits are lost. */
export function network64(bytes: Uint8Array, at: number): number {
  return network32(bytes, at) * 0x1_0000_0000 + network32(bytes, at + 4);
}

/** The value of an attribute in network order. */
export function networkBytes32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}
