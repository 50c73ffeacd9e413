/**
 * Finds neighbors on interfaces by their router advertisements, and sends our own so that they find us. One raw ICMPv6
 * socket for all interfaces; what interfaces there are comes from the host at each look, because they come and go.
 */
import { networkInterfaces } from "node:os";
import { formatIp, parseIp } from "../base/ip.ts";
import { isLinkLocalAddress } from "../base/peer-address.ts";
import type { Effect } from "../state/effects.ts";
import type { Input } from "../state/inputs.ts";
import {
  encodeRouterAdvertisement,
  isRouterAdvertisement,
  onLinkHopLimit,
  routerAdvertisementType,
} from "../wire/router-advertisement.ts";
import {
  decodeSocketAddress,
  encodeSocketAddress,
  errnoName,
  native,
  nativeMissing,
  type PollHandle,
  sys,
} from "./native.ts";

/** Linux numbers that only this file needs. */
const icmp = { SOCK_RAW: 3, IPPROTO_ICMPV6: 58, ICMPV6_FILTER: 1, MULTICAST_HOPS: 18, MULTICAST_LOOP: 19 };
const control = { RECVHOPLIMIT: 51, HOPLIMIT: 52, bytes: 64 };

const allNodes = "ff02::1";
const lookMs = 1_000;
/** As FRR does for neighbors on interfaces; RFC 4861 has ten minutes as the longest. */
const advertiseMs = 10_000;
/** RFC 4861 10: the first ones come faster. */
const firstAdvertisements = 3;
/** Packets read per readiness event, so that a flood does not hold the loop. */
const readBatchMax = 64;

interface Watched {
  /** 0 as long as the interface cannot be used. */
  index: number;
  sent: number;
  nextMs: number;
  /** Address heard last. */
  heard: string;
}

type DiscoverEffect = Extract<Effect, { kind: "link.discover" }>;
type DiscoveryInput = Extract<Input, { kind: "link.router" | "link.failed" }>;

export class RouterDiscovery {
  readonly #post: (input: DiscoveryInput) => void;
  readonly #watched = new Map<string, Watched>();
  readonly #message = encodeRouterAdvertisement();
  readonly #bytes = new Uint8Array(1500);
  readonly #address = new Uint8Array(sys.SOCKADDR_BYTES);
  readonly #control = new Uint8Array(control.bytes);
  readonly #lengths = new Uint8Array(12);
  #fd = -1;
  #poll: PollHandle | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(post: (input: DiscoveryInput) => void) {
    this.#post = post;
  }

  /** Watches these interfaces and no others. What is in the way comes back as `link.failed`. */
  apply({ interfaces }: DiscoverEffect): void {
    for (const name of [...this.#watched.keys()]) if (!interfaces.includes(name)) this.#watched.delete(name);
    for (const name of interfaces)
      if (!this.#watched.has(name)) this.#watched.set(name, { index: 0, sent: 0, nextMs: 0, heard: "" });
    if (interfaces.length === 0) {
      this.close();
      return;
    }
    const failure = this.#fd >= 0 ? "" : this.#open();
    if (failure !== "") {
      process.nextTick(() => {
        for (const name of interfaces) this.#post({ kind: "link.failed", interface: name, why: failure });
      });
      return;
    }
    this.#timer ??= setInterval(() => this.#look(), lookMs);
    this.#look();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#poll) native!.pollClose(this.#poll);
    this.#poll = undefined;
    if (this.#fd >= 0) native!.close(this.#fd);
    this.#fd = -1;
  }

  /** @returns what is in the way, for people; empty when it is open */
  #open(): string {
    if (!native) return nativeMissing ?? "there is no native addon";
    const fd = native.socket(sys.AF_INET6, icmp.SOCK_RAW, icmp.IPPROTO_ICMPV6);
    if (fd < 0) {
      const name = errnoName(fd);
      return name === "EPERM" || name === "EACCES" ? `cairnd needs CAP_NET_RAW (${name})` : name;
    }
    const filter = new Uint8Array(32).fill(0xff);
    filter[routerAdvertisementType >> 3] &= ~(1 << (routerAdvertisementType & 7));
    const results = [
      native.setsockopt(fd, icmp.IPPROTO_ICMPV6, icmp.ICMPV6_FILTER, filter),
      native.setsockopt(fd, sys.IPPROTO_IPV6, icmp.MULTICAST_HOPS, onLinkHopLimit),
      native.setsockopt(fd, sys.IPPROTO_IPV6, icmp.MULTICAST_LOOP, 0),
      native.setsockopt(fd, sys.IPPROTO_IPV6, control.RECVHOPLIMIT, 1),
    ];
    const handle = native.pollOpen(fd, () => this.#read());
    const failed = results.find((result) => result < 0) ?? (typeof handle === "number" ? handle : 0);
    if (typeof handle !== "number" && failed === 0) {
      native.pollSet(handle, sys.READABLE);
      this.#fd = fd;
      this.#poll = handle;
      return "";
    }
    if (typeof handle !== "number") native.pollClose(handle);
    native.close(fd);
    return errnoName(failed);
  }

  /** Sends what is due on interfaces that are there. One that comes back begins anew. */
  #look(): void {
    const nowMs = performance.now();
    const indexes = linkLocalIndexes();
    for (const [name, watched] of this.#watched) {
      const index = indexes.get(name) ?? 0;
      if (index !== watched.index) Object.assign(watched, { index, sent: 0, nextMs: nowMs, heard: "" });
      if (index !== 0 && nowMs >= watched.nextMs) this.#advertise(watched, nowMs);
    }
  }

  #advertise(watched: Watched, nowMs: number): void {
    const to = encodeSocketAddress(allNodes, 0, watched.index)!;
    native!.send(this.#fd, this.#message, 0, to);
    watched.sent++;
    watched.nextMs = nowMs + (watched.sent < firstAdvertisements ? lookMs : advertiseMs);
  }

  #read(): void {
    for (let i = 0; i < readBatchMax && this.#fd >= 0; i++) {
      const length = native!.recv(this.#fd, this.#bytes, 0, this.#address, this.#control, this.#lengths);
      if (length < 0) return;
      const from = decodeSocketAddress(this.#address);
      const bytes = from && parseIp(from.address);
      if (!from || !bytes) continue;
      const controlBytes = new DataView(this.#lengths.buffer).getUint32(4, true);
      const hops = hopLimitOf(this.#control, controlBytes);
      if (isRouterAdvertisement(this.#bytes, length, hops, isLinkLocalAddress(bytes)))
        this.#heard(from.scope, formatIp(bytes));
    }
  }

  #heard(index: number, address: string): void {
    for (const [name, watched] of this.#watched) {
      if (watched.index !== index || watched.heard === address) continue;
      watched.heard = address;
      this.#post({ kind: "link.router", interface: name, address });
      // Whoever is new has not heard of us either.
      this.#advertise(watched, performance.now());
    }
  }
}

/** Indexes of the interfaces that are up and have a link-local address, by name. */
function linkLocalIndexes(): Map<string, number> {
  const indexes = new Map<string, number>();
  for (const [name, entries] of Object.entries(networkInterfaces())) {
    for (const entry of entries ?? [])
      if (entry.family === "IPv6" && entry.scopeid) indexes.set(name, entry.scopeid);
  }
  return indexes;
}

/** The hop limit of a packet from its control messages; -1 when they do not tell. */
function hopLimitOf(bytes: Uint8Array, length: number): number {
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 16 <= length; ) {
    const size = Number(view.getBigUint64(at, true));
    if (size < 16) return -1;
    const isHopLimit =
      view.getInt32(at + 8, true) === sys.IPPROTO_IPV6 && view.getInt32(at + 12, true) === control.HOPLIMIT;
    if (isHopLimit && size >= 20) return view.getInt32(at + 16, true);
    at += (size + 7) & ~7;
  }
  return -1;
}
