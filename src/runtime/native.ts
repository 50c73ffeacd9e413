/**
 * The native addon (`native/sys.c`), typed. It is optional: without a compiler at install it is absent, `native` is
 * undefined, and each feature that needs it says so. Calls answer like the system calls do: a number, negative for
 * -errno.
 */
import { createRequire } from "node:module";
import { getSystemErrorName } from "node:util";
import { formatIp, parseIp } from "../base/ip.ts";

/** A poll handle; opaque. */
export type PollHandle = object & { readonly __poll: unique symbol };

/** All descriptors are non-blocking and close-on-exec. */
export interface Native {
  socket(family: number, type: number, protocol: number): number;
  close(fd: number): number;
  bind(fd: number, address: Uint8Array): number;
  connect(fd: number, address: Uint8Array): number;
  listen(fd: number, backlog: number): number;
  /** Writes the peer's socket address into `address`; answers with the new descriptor. */
  accept(fd: number, address: Uint8Array): number;
  getsockname(fd: number, address: Uint8Array): number;
  /** The value of SO_ATTACH_FILTER is the instructions (`struct sock_filter`). */
  setsockopt(fd: number, level: number, name: number, value: number | Uint8Array): number;
  getsockopt(fd: number, level: number, name: number, value: Uint8Array): number;
  send(fd: number, bytes: Uint8Array, flags: number, address?: Uint8Array, control?: Uint8Array): number;
  /** `lengths`: 12 bytes that receive the lengths of address and control messages, and the flags, 32 bits each. */
  recv(
    fd: number,
    bytes: Uint8Array,
    flags: number,
    address?: Uint8Array,
    control?: Uint8Array,
    lengths?: Uint8Array,
  ): number;
  /** Watches a descriptor. Nothing happens before `pollSet`. A number is -errno. */
  pollOpen(fd: number, ready: (events: number, status: number) => void): PollHandle | number;
  /** `events`: the sum of `sys.READABLE` and `sys.WRITABLE`, or 0 to stop. */
  pollSet(handle: PollHandle, events: number): number;
  /** To be called before the descriptor is closed. */
  pollClose(handle: PollHandle): number;
  /** Gives what was freed back to the system; 1 when there was any. Absent from an addon that was built before. */
  trim?(): number;
}

/** Linux numbers, the same on x64 and arm64. */
export const sys = {
  AF_INET: 2,
  AF_INET6: 10,
  SOCK_STREAM: 1,
  SOL_SOCKET: 1,
  SO_REUSEADDR: 2,
  SO_LINGER: 13,
  SO_BINDTODEVICE: 25,
  IPPROTO_IP: 0,
  IP_TTL: 2,
  IP_MINTTL: 21,
  IPPROTO_TCP: 6,
  TCP_NODELAY: 1,
  TCP_MD5SIG_EXT: 32,
  TCP_AO_ADD_KEY: 38,
  TCP_AO_DEL_KEY: 39,
  TCP_AO_INFO: 40,
  IPPROTO_IPV6: 41,
  IPV6_UNICAST_HOPS: 16,
  IPV6_V6ONLY: 26,
  IPV6_MINHOPCOUNT: 73,
  ENOSYS: 38,
  READABLE: 1,
  WRITABLE: 2,
  /** Room for any socket address. */
  SOCKADDR_BYTES: 128,
} as const;

/** Why `native` is undefined; undefined when it is there. */
export let nativeMissing: string | undefined;
/** The addon, or undefined with the reason in `nativeMissing`. */
export const native: Native | undefined = load();

function load(): Native | undefined {
  if (process.platform !== "linux") {
    nativeMissing = `the native addon is for Linux, this is ${process.platform}`;
    return undefined;
  }
  if (process.env.CAIRN_NATIVE === "off") {
    nativeMissing = "the native addon is switched off by CAIRN_NATIVE=off";
    return undefined;
  }
  try {
    return createRequire(import.meta.url)("../../build/sys.node") as Native;
  } catch (error) {
    const absent = (error as { code?: string }).code === "MODULE_NOT_FOUND";
    nativeMissing = absent
      ? "the native addon was not built; run `npm run postinstall` with a C compiler at hand"
      : `the native addon does not load: ${(error as Error).message}`;
    return undefined;
  }
}

/** Name of an error number: `errnoName(-98)` is "EADDRINUSE". Takes the negative result of a call. */
export function errnoName(result: number): string {
  return getSystemErrorName(result);
}

/** A socket address as numbers and canonical text. */
export interface SocketAddress {
  readonly address: string;
  readonly port: number;
  /** Interface index of a link-local IPv6 address, otherwise 0. */
  readonly scope: number;
}

/** `struct sockaddr_in` or `sockaddr_in6`; undefined when `address` is not an IP address. */
export function encodeSocketAddress(address: string, port: number, scope = 0): Uint8Array | undefined {
  const ip = parseIp(address);
  if (!ip) return undefined;
  const four = ip.length === 4;
  const bytes = new Uint8Array(four ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, four ? sys.AF_INET : sys.AF_INET6, LITTLE);
  view.setUint16(2, port);
  bytes.set(ip, four ? 4 : 8);
  if (!four) view.setUint32(24, scope, LITTLE);
  return bytes;
}

/** Reads `struct sockaddr_in` or `sockaddr_in6`; undefined for any other family. */
export function decodeSocketAddress(bytes: Uint8Array): SocketAddress | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, LITTLE);
  const port = view.getUint16(2);
  if (family === sys.AF_INET) return { address: formatIp(bytes, 4, 4), port, scope: 0 };
  if (family === sys.AF_INET6)
    return { address: formatIp(bytes, 8, 16), port, scope: view.getUint32(24, LITTLE) };
  return undefined;
}

/** Both architectures that we build for are little-endian; the kernel wants its own order. */
const LITTLE = true;
