/**
 * A BMP collector of the tests' own: it rebuilds the tables of each peer from what it is sent, and fails on anything
 * that a collector could not make sense of. UPDATEs are read by a parser of its own (rfc/wire-text.ts).
 */
import assert from "node:assert/strict";
import { formatIp } from "../../src/base/ip.ts";
import { BmpReader } from "../../src/bmp/decode.ts";
import { type BmpMessage, BmpType, DownReason, PeerFlag, PeerType } from "../../src/bmp/types.ts";
import type { Route } from "../../src/gen/cairn/v1/types_pb.ts";
import type { Capability } from "../../src/wire/capabilities.ts";
import { decodeOpen, isWireError } from "../../src/wire/open.ts";
import { type RouteText, readUpdate } from "../rfc/wire-text.ts";

export type RibName = "pre" | "post" | "out" | "loc";
type MessageOf<T extends number> = Extract<BmpMessage, { readonly type: T }>;

export interface CollectedPeer {
  readonly up: MessageOf<typeof BmpType.peerUp>;
  /** Routes by RIB: `PREFIX` (`ID PREFIX` with Add-Path) to text. */
  readonly ribs: Map<RibName, Map<string, string>>;
  /** `RIB AFI` of End-of-RIB markers that came. */
  readonly ends: Set<string>;
  /** IPv4 routes have path identifiers, in and out. */
  readonly pathIds: { readonly in: boolean; readonly out: boolean };
}

export class BmpCollector {
  readonly messages: BmpMessage[] = [];
  /** Peers that are up, by address; the Loc-RIB is `loc`. */
  readonly peers = new Map<string, CollectedPeer>();
  readonly downs: MessageOf<typeof BmpType.peerDown>[] = [];
  readonly mirrored: MessageOf<typeof BmpType.routeMirroring>[] = [];
  readonly statistics = new Map<string, MessageOf<typeof BmpType.statistics>>();
  routeMessages = 0;
  /** Messages are counted and not kept. */
  lean = false;
  private readonly reader = new BmpReader();

  push(bytes: Uint8Array): void {
    for (const message of this.reader.push(bytes)) {
      if (message.type === "fault") assert.fail(message.text);
      this.take(message);
    }
  }

  private take(message: BmpMessage): void {
    if (this.messages.length === 0) assert.equal(message.type, BmpType.initiation, "Initiation comes first");
    if (!this.lean || this.messages.length === 0) this.messages.push(message);
    switch (message.type) {
      case BmpType.peerUp: {
        const name = nameOf(message.peer);
        assert.ok(!this.peers.has(name), `${name} is up twice`);
        const pathIds = pathIdsOf(message);
        this.peers.set(name, { up: message, ribs: new Map(), ends: new Set(), pathIds });
        break;
      }
      case BmpType.peerDown:
        assert.ok(this.peers.delete(nameOf(message.peer)), "it was not up");
        assert.equal(message.reason === DownReason.locRib, message.peer.type === PeerType.locRib);
        this.downs.push(message);
        break;
      case BmpType.routeMonitoring:
        this.route(message);
        break;
      case BmpType.statistics:
        this.statistics.set(nameOf(message.peer), message);
        break;
      case BmpType.routeMirroring:
        assert.ok(this.peers.has(nameOf(message.peer)), "a message of a peer that is not up");
        this.mirrored.push(message);
        break;
      default:
    }
  }

  private route({ peer, update }: MessageOf<typeof BmpType.routeMonitoring>): void {
    this.routeMessages++;
    const collected = this.peers.get(nameOf(peer));
    assert.ok(collected, `a route of ${nameOf(peer)}, which is not up`);
    const rib = ribOf(peer);
    const isOut = rib === "out";
    const asBytes = peer.type !== PeerType.locRib && (peer.flags & PeerFlag.twoOctetAs) !== 0 ? 2 : 4;
    const read = readUpdate(update, asBytes, isOut ? collected.pathIds.out : collected.pathIds.in);
    if (read.endOfRib) {
      collected.ends.add(`${rib} ${update.length === 23 ? 1 : 2}`);
      return;
    }
    let routes = collected.ribs.get(rib);
    if (!routes) {
      routes = new Map();
      collected.ribs.set(rib, routes);
    }
    assert.ok(
      read.types.every((type) => type !== 0),
      "a mark that is for us alone",
    );
    const text = textOf(read.route);
    for (const prefix of read.withdrawn) routes.delete(prefix);
    for (const prefix of read.reach) routes.set(prefix, text);
  }

  /** Routes that a RIB of a peer holds, `PREFIX TEXT`, in order. */
  table(peer: string, rib: RibName): string[] {
    const routes = this.peers.get(peer)?.ribs.get(rib) ?? new Map<string, string>();
    return [...routes].map(([prefix, text]) => `${prefix} ${text}`).sort();
  }

  ofType<T extends number>(type: T): MessageOf<T>[] {
    return this.messages.filter((message): message is MessageOf<T> => message.type === type);
  }
}

/** What the API lists, in the same form. */
export function listed(routes: readonly Route[], pathIds = false): string[] {
  return routes
    .map((route) => {
      const prefix =
        pathIds && route.family === "ipv4-unicast" ? `${route.pathId} ${route.prefix}` : route.prefix;
      const nextHop = [route.nextHop, route.nextHopLinkLocal].filter((hop) => hop !== "").join(" ");
      const { asPathText: path, med, localPref } = route;
      const communities = route.communities.join(" ");
      return `${prefix} ${[nextHop, path, med, localPref, communities].join("|")}`;
    })
    .sort();
}

function textOf({ nextHop = "", path = "", med, localPref, communities = "" }: RouteText): string {
  return [nextHop, path, med, localPref, communities].join("|");
}

function nameOf({ type, address }: { readonly type: number; readonly address: Uint8Array }): string {
  return type === PeerType.locRib ? "loc" : formatIp(address);
}

function ribOf({ type, flags }: { readonly type: number; readonly flags: number }): RibName {
  if (type === PeerType.locRib) return "loc";
  if ((flags & PeerFlag.adjRibOut) !== 0) return "out";
  return (flags & PeerFlag.postPolicy) !== 0 ? "post" : "pre";
}

/** RFC 7911: what both OPENs say of IPv4 unicast. */
function pathIdsOf({ sentOpen, receivedOpen }: MessageOf<typeof BmpType.peerUp>): CollectedPeer["pathIds"] {
  const [ours, theirs] = [sentOpen, receivedOpen].map((bytes) => {
    const open = decodeOpen(bytes, 0, bytes.length);
    assert.ok(!isWireError(open), "an OPEN that cannot be read");
    const found = open.capabilities.find(
      (each): each is Extract<Capability, { kind: "add-path" }> => each.kind === "add-path",
    );
    return found?.families.find(({ afi, safi }) => afi === 1 && safi === 1)?.mode ?? 0;
  });
  return { in: (ours & 1) !== 0 && (theirs & 2) !== 0, out: (ours & 2) !== 0 && (theirs & 1) !== 0 };
}
