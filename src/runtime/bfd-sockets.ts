/**
 * UDP sockets of BFD through the native addon: Node's own tell neither TTL nor destination of what they receive. One
 * receives for all sessions per port and family; each session sends from one of its own, so that its source port stays
 * (RFC 5881 4). Packets leave with TTL 255. Those that come with another one are judged by the table, not by the kernel, so
 * that they are counted.
 */
import { readFileSync } from "node:fs";
import { formatIp } from "../base/ip.ts";
import type { Arrival, SessionPlan } from "../bfd/table.ts";
import {
  decodeSocketAddress,
  encodeSocketAddress,
  errnoName,
  type Native,
  type PollHandle,
  sys,
} from "./native.ts";
import { setTtl } from "./socket-options.ts";

export const singleHopPort = 3784;
export const multihopPort = 4784;
/** RFC 5881 4 and RFC 5883 5. */
const sourcePortMin = 49_152;
const sourcePorts = 16_384;
const bindTries = 64;
/** Internetwork control (RFC 4594), as other routers mark BFD. */
const trafficClass = 0xc0;

const udp = {
  SOCK_DGRAM: 2,
  SO_RCVBUF: 8,
  IP_TOS: 1,
  IP_PKTINFO: 8,
  IP_RECVTTL: 12,
  IPV6_RECVPKTINFO: 49,
  IPV6_PKTINFO: 50,
  IPV6_RECVHOPLIMIT: 51,
  IPV6_HOPLIMIT: 52,
  IPV6_TCLASS: 67,
} as const;

/** Room for all sessions' packets of a moment in which we do not run. */
const receiveBytes = 1 << 20;
/** Longest datagram that is looked at whole; a control packet is shorter. */
const datagramBytes = 512;
/** Datagrams of one socket before the others have their turn. */
const receiveAtOnce = 256;
const littleEndian = true;

/** Hands out one datagram; the bytes are used again. */
export type Received = (bytes: Uint8Array, length: number, arrival: Arrival) => void;

/** The socket that receives for one port and family. */
export class ReceiveSocket {
  readonly #native: Native;
  readonly #fd: number;
  readonly #poll: PollHandle;
  readonly #multihop: boolean;
  readonly #received: Received;
  readonly #bytes = new Uint8Array(datagramBytes);
  readonly #address = new Uint8Array(sys.SOCKADDR_BYTES);
  readonly #control = new Uint8Array(256);
  readonly #lengths = new Uint8Array(12);

  private constructor(native: Native, fd: number, poll: PollHandle, multihop: boolean, received: Received) {
    this.#native = native;
    this.#fd = fd;
    this.#poll = poll;
    this.#multihop = multihop;
    this.#received = received;
  }

  /**
   * @param readable called when there is something to `drain`
   * @returns the errno name when it cannot be opened
   */
  static open(
    native: Native,
    six: boolean,
    multihop: boolean,
    received: Received,
    readable: () => void,
  ): ReceiveSocket | string {
    const fd = native.socket(six ? sys.AF_INET6 : sys.AF_INET, udp.SOCK_DGRAM, 0);
    if (fd < 0) return errnoName(fd);
    const options: readonly (readonly [level: number, name: number, value: number])[] = six
      ? [
          [sys.IPPROTO_IPV6, sys.IPV6_V6ONLY, 1],
          [sys.IPPROTO_IPV6, udp.IPV6_RECVPKTINFO, 1],
          [sys.IPPROTO_IPV6, udp.IPV6_RECVHOPLIMIT, 1],
        ]
      : [
          [sys.IPPROTO_IP, udp.IP_PKTINFO, 1],
          [sys.IPPROTO_IP, udp.IP_RECVTTL, 1],
        ];
    native.setsockopt(fd, sys.SOL_SOCKET, udp.SO_RCVBUF, receiveBytes);
    const results = options.map(([level, name, value]) => native.setsockopt(fd, level, name, value));
    const any = encodeSocketAddress(six ? "::" : "0.0.0.0", multihop ? multihopPort : singleHopPort)!;
    results.push(native.bind(fd, any));
    const failed = results.find((result) => result < 0);
    const poll = failed === undefined ? native.pollOpen(fd, readable) : failed;
    if (typeof poll === "number") {
      native.close(fd);
      return errnoName(poll);
    }
    native.pollSet(poll, sys.READABLE);
    return new ReceiveSocket(native, fd, poll, multihop, received);
  }

  /** Hands out what has come. @returns false when there may be more */
  drain(): boolean {
    for (let i = 0; i < receiveAtOnce; i++) {
      const length = this.#native.recv(this.#fd, this.#bytes, 0, this.#address, this.#control, this.#lengths);
      if (length < 0) return true;
      const source = decodeSocketAddress(this.#address);
      if (!source) continue;
      const controlLength = new DataView(this.#lengths.buffer).getUint32(4, littleEndian);
      const { ttl, destination, interfaceIndex } = readControl(this.#control, controlLength);
      this.#received(this.#bytes, length, {
        source: source.address,
        destination,
        interface: interfaceName(interfaceIndex),
        ttl,
        multihop: this.#multihop,
      });
    }
    return false;
  }

  close(): void {
    this.#native.pollClose(this.#poll);
    this.#native.close(this.#fd);
  }
}

/** What the kernel says beside a datagram: `struct cmsghdr` with a length of 8 bytes, level, type, then the data. */
export function readControl(
  control: Uint8Array,
  length: number,
): { ttl: number; destination: string; interfaceIndex: number } {
  const view = new DataView(control.buffer, control.byteOffset, control.byteLength);
  const found = { ttl: 0, destination: "", interfaceIndex: 0 };
  for (let at = 0; at + 16 <= length; ) {
    const bytes = view.getUint32(at, littleEndian);
    const level = view.getInt32(at + 8, littleEndian);
    const type = view.getInt32(at + 12, littleEndian);
    const data = at + 16;
    if (bytes < 16) break;
    if (level === sys.IPPROTO_IP && type === sys.IP_TTL) found.ttl = view.getInt32(data, littleEndian);
    if (level === sys.IPPROTO_IP && type === udp.IP_PKTINFO) {
      found.interfaceIndex = view.getInt32(data, littleEndian);
      found.destination = formatIp(control, data + 8, 4);
    }
    if (level === sys.IPPROTO_IPV6 && type === udp.IPV6_HOPLIMIT)
      found.ttl = view.getInt32(data, littleEndian);
    if (level === sys.IPPROTO_IPV6 && type === udp.IPV6_PKTINFO) {
      found.destination = formatIp(control, data, 16);
      found.interfaceIndex = view.getUint32(data + 16, littleEndian);
    }
    at += (bytes + 7) & ~7;
  }
  return found;
}

/** The socket that one session sends from. */
export class SendSocket {
  readonly #native: Native;
  readonly #fd: number;
  readonly #to: Uint8Array;

  private constructor(native: Native, fd: number, to: Uint8Array) {
    this.#native = native;
    this.#fd = fd;
    this.#to = to;
  }

  /** @returns what is in the way, for people */
  static open(native: Native, plan: SessionPlan, random: () => number): SendSocket | string {
    const six = plan.peer.includes(":");
    const scope = plan.interface === undefined ? 0 : interfaceIndex(plan.interface);
    if (scope === undefined) return `there is no interface ${plan.interface}`;
    const fd = native.socket(six ? sys.AF_INET6 : sys.AF_INET, udp.SOCK_DGRAM, 0);
    if (fd < 0) return errnoName(fd);
    const results = [setTtl(fd, six, 255)];
    results.push(
      six
        ? native.setsockopt(fd, sys.IPPROTO_IPV6, udp.IPV6_TCLASS, trafficClass)
        : native.setsockopt(fd, sys.IPPROTO_IP, udp.IP_TOS, trafficClass),
    );
    if (plan.interface !== undefined) {
      const name = new TextEncoder().encode(`${plan.interface}\0`);
      results.push(native.setsockopt(fd, sys.SOL_SOCKET, sys.SO_BINDTODEVICE, name));
    }
    // Nobody sends to this port; what strangers send there stays where it is.
    native.setsockopt(fd, sys.SOL_SOCKET, udp.SO_RCVBUF, 0);
    results.push(bindSource(native, fd, plan.local ?? (six ? "::" : "0.0.0.0"), scope, random));
    const failed = results.find((result) => result < 0);
    if (failed === undefined) {
      const port = plan.multihop ? multihopPort : singleHopPort;
      return new SendSocket(native, fd, encodeSocketAddress(plan.peer, port, scope)!);
    }
    native.close(fd);
    const from = plan.local === undefined ? "" : ` from ${plan.local}`;
    return `packets${from} cannot be sent: ${errnoName(failed)}`;
  }

  /** @returns what is in the way, for people; undefined when the packet is on its way */
  send(bytes: Uint8Array): string | undefined {
    let result = this.#native.send(this.#fd, bytes, 0, this.#to);
    // An error that an earlier packet brought back is told with the next one.
    if (result < 0) result = this.#native.send(this.#fd, bytes, 0, this.#to);
    return result < 0 ? `packets cannot be sent: ${errnoName(result)}` : undefined;
  }

  close(): void {
    this.#native.close(this.#fd);
  }
}

function bindSource(native: Native, fd: number, local: string, scope: number, random: () => number): number {
  let result = 0;
  for (let tries = 0; tries < bindTries; tries++) {
    const port = sourcePortMin + Math.floor(random() * sourcePorts);
    result = native.bind(fd, encodeSocketAddress(local, port, scope)!);
    if (result >= 0 || errnoName(result) !== "EADDRINUSE") break;
  }
  return result;
}

/** Interfaces with an IPv6 address by index; read again for one that is not known, but not for every packet. */
let names = new Map<number, string>();
let namesReadMs = Number.NEGATIVE_INFINITY;

/** Name of an interface; empty when it has no IPv6 address, for only link-local sessions name one. */
function interfaceName(index: number): string {
  if (!names.has(index) && performance.now() - namesReadMs > 1000) readNames();
  return names.get(index) ?? "";
}

function interfaceIndex(name: string): number | undefined {
  readNames();
  for (const [index, each] of names) if (each === name) return index;
  return undefined;
}

/** Of this network namespace; /sys may be of another one. */
function readNames(): void {
  namesReadMs = performance.now();
  names = new Map();
  let lines: string[] = [];
  try {
    lines = readFileSync("/proc/net/if_inet6", "utf8").split("\n");
  } catch {
    return; // no IPv6 on this host
  }
  for (const line of lines) {
    const [, index, , , , name] = line.trim().split(/\s+/);
    if (name !== undefined) names.set(Number.parseInt(index, 16), name);
  }
}
