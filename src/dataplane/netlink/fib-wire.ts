/**
 * Routes of BGP on the wire of rtnetlink. Many routes share a way, so what follows the destination is written once per
 * way and copied.
 *
 *   header 16 | struct rtmsg 12 | RTA_DST | RTA_TABLE | RTA_PRIORITY | RTA_GATEWAY, RTA_OIF or RTA_MULTIPATH
 */
import { grown } from "../../base/columns.ts";
import {
  type AddressSize,
  blackhole,
  type FibBatch,
  type FibHop,
  type FibScope,
  FibVerb,
  type FibWay,
  unicast,
  wayOf,
} from "../fib/messages.ts";
import { ownBgpProtocol } from "../kernel-model.ts";
import { AddressFamily, RouteAttribute, RouteMessage, readRoute } from "./route-wire.ts";
import { headerBytes, MessageFlag, NetlinkWriter } from "./wire.ts";

const { request, ack, create, exclusive, replace } = MessageFlag;
const rtmsgBytes = 12;

/** Writes requests of a batch into one buffer. */
export class FibWriter {
  bytes = new Uint8Array(1 << 16);
  length = 0;

  reset(): void {
    this.length = 0;
  }

  /**
   * @param tail from `wayTail`
   * @param isLast asks for an acknowledgement; errors come for every request
   */
  route(
    batch: FibBatch,
    row: number,
    tail: Uint8Array,
    type: number,
    sequence: number,
    isLast: boolean,
  ): void {
    const { size } = batch;
    const prefixLength = batch.lengths[row];
    const verb = batch.verbs[row];
    const destination = prefixLength === 0 ? 0 : 4 + size;
    const length = headerBytes + rtmsgBytes + destination + tail.length;
    if (this.length + length > this.bytes.length) this.bytes = grown(this.bytes, this.bytes.length * 2);
    const { bytes } = this;
    let at = this.length;
    this.length += length;
    const isDelete = verb === FibVerb.delete;
    const how = isDelete ? 0 : verb === FibVerb.create ? create | exclusive : replace;
    at = put32(bytes, at, length);
    const flags = request | how | (isLast ? ack : 0);
    at = put32(bytes, at, (isDelete ? RouteMessage.delRoute : RouteMessage.newRoute) | (flags << 16));
    at = put32(bytes, at, sequence);
    at = put32(bytes, at, 0);
    const family = size === 4 ? AddressFamily.ip4 : AddressFamily.ip6;
    at = put32(bytes, at, family | (prefixLength << 8));
    // Table (in an attribute) 1, protocol 1, scope 1, type 1. A scope of "nowhere" deletes whatever scope there is.
    at = put32(bytes, at, (ownBgpProtocol << 8) | (isDelete ? 255 << 16 : type << 24));
    at = put32(bytes, at, 0);
    if (destination > 0) {
      at = put32(bytes, at, destination | (RouteAttribute.destination << 16));
      for (let i = row * size; i < (row + 1) * size; i++) bytes[at++] = batch.addresses[i];
    }
    bytes.set(tail, at);
  }
}

/** Attributes behind the destination. @param way undefined for a route that is deleted */
export function wayTail({ table, metric }: FibScope, way: FibWay | undefined, size: AddressSize): Uint8Array {
  const out = new NetlinkWriter();
  out.attribute32(RouteAttribute.table, table);
  out.attribute32(RouteAttribute.metric, metric);
  if (way && way.hops.length === 1) writeHop(out, way.hops[0], size);
  else if (way && way.hops.length > 1) {
    out.nested(RouteAttribute.multipath, () => {
      for (const hop of way.hops) {
        // `struct rtnexthop`: length 2, flags 1, weight less one 1, link 4.
        const at = out.length;
        out.u16(0);
        out.u8(0);
        out.u8(hop.weight - 1);
        out.u32(hop.link);
        writeGateway(out, hop, size);
        const length = out.length - at;
        out.bytes[at] = length & 255;
        out.bytes[at + 1] = length >>> 8;
      }
    });
  }
  return out.take();
}

function writeHop(out: NetlinkWriter, hop: FibHop, size: AddressSize): void {
  writeGateway(out, hop, size);
  out.attribute32(RouteAttribute.link, hop.link);
}

function writeGateway(out: NetlinkWriter, { gateway }: FibHop, size: AddressSize): void {
  if (!gateway) return;
  if (gateway.length === size) out.attribute(RouteAttribute.gateway, gateway);
  else {
    const family = gateway.length === 4 ? AddressFamily.ip4 : AddressFamily.ip6;
    out.attribute(RouteAttribute.via, new Uint8Array([family, 0, ...gateway]));
  }
}

function put32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value & 255;
  bytes[at + 1] = (value >>> 8) & 255;
  bytes[at + 2] = (value >>> 16) & 255;
  bytes[at + 3] = value >>> 24;
  return at + 4;
}

/** Collects the routes of a dump as columns. */
export class FibDumpReader {
  private addresses: Uint8Array;
  private lengths = new Uint8Array(1024);
  private wayOf = new Uint32Array(1024);
  private readonly ways: FibWay[] = [];
  /** Ways by the bytes that they were read from: most routes repeat one that was seen. */
  private readonly known = new Map<string, number>();
  private readonly size: AddressSize;
  private readonly scope: FibScope;
  count = 0;

  constructor(scope: FibScope, size: AddressSize) {
    this.scope = scope;
    this.size = size;
    this.addresses = new Uint8Array(1024 * size);
  }

  /** Takes the payload of an RTM_NEWROUTE, when it is one of the scope. */
  take(bytes: Uint8Array, at: number, end: number): void {
    if (at + rtmsgBytes > end || bytes[at + 5] !== ownBgpProtocol) return;
    const { size } = this;
    const prefixLength = bytes[at + 1];
    let place = -1;
    let destinationAt = -1;
    // What is left without destination and cache information is the same for all routes of a way.
    let key = `${bytes[at + 7]}`;
    for (let next = at + rtmsgBytes; next + 4 <= end; ) {
      const length = bytes[next] | (bytes[next + 1] << 8);
      const type = (bytes[next + 2] | (bytes[next + 3] << 8)) & 0x3fff;
      if (length < 4 || next + length > end) break;
      if (type === RouteAttribute.destination && length >= 4 + size) destinationAt = next + 4;
      else if (type !== cacheInfo) {
        for (let i = next; i < next + length; i++) key += String.fromCharCode(bytes[i]);
      }
      next += (length + 3) & ~3;
    }
    const known = this.known.get(key);
    if (known !== undefined) place = known;
    else {
      const route = readRoute(bytes, at, end);
      const isOurs =
        route && (route.table !== this.scope.table || route.metric !== this.scope.metric) ? false : !!route;
      if (isOurs) {
        const type = bytes[at + 7];
        const hops = type === unicast ? wayOf(route!.hops).hops : [];
        const way =
          type === blackhole ? { type, hops: [], object: 0 } : { type, hops, object: route!.nextHopObject };
        place = this.ways.push(way) - 1;
      }
      this.known.set(key, place);
    }
    if (place < 0) return;
    this.add(bytes, destinationAt, prefixLength, place);
  }

  private add(bytes: Uint8Array, from: number, prefixLength: number, place: number): void {
    const { size, count } = this;
    if (count === this.lengths.length) {
      this.addresses = grown(this.addresses, count * 2 * size);
      this.lengths = grown(this.lengths, count * 2);
      this.wayOf = grown(this.wayOf, count * 2);
    }
    if (from >= 0) for (let i = 0; i < size; i++) this.addresses[count * size + i] = bytes[from + i];
    this.lengths[count] = prefixLength;
    this.wayOf[count] = place;
    this.count++;
  }

  columns(): { addresses: Uint8Array; lengths: Uint8Array; wayOf: Uint32Array; ways: readonly FibWay[] } {
    const { count, size } = this;
    return {
      addresses: this.addresses.slice(0, count * size),
      lengths: this.lengths.slice(0, count),
      wayOf: this.wayOf.slice(0, count),
      ways: this.ways,
    };
  }
}

/** RTA_CACHEINFO */
const cacheInfo = 12;
