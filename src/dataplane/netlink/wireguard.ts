/**
 * WireGuard over generic netlink (linux/wireguard.h): keys and peers of a link as facts, and the requests that bring a
 * link from some to others. Peers that stay keep their sessions: only what differs is sent.
 *
 *   generic netlink: command 1 | version 1 | reserved 2 | attributes
 */
import { base64Text, base64Value } from "../../base/base64.ts";
import { formatIp, parseHostPort, parseIp } from "../../base/ip.ts";
import type { Facts } from "../artifact.ts";
import { eachAttribute, MessageFlag, type NetlinkWriter, read16, read32 } from "./wire.ts";

/** NETLINK_GENERIC */
export const genericNetlink = 16;

/** A peer, as it stands in the facts. What is secret, and what the kernel alters by itself, stand beside the peers. */
export type PeerFacts = {
  /** Base64, as wg(8) writes it. */
  readonly publicKey: string;
  /** Prefixes in the order of their texts. */
  readonly allowedIps: readonly string[];
  /** Seconds; 0 for none. */
  readonly keepaliveS: number;
};

export type WireGuardFacts = {
  /** Base64; absent: none. */
  readonly privateKey?: string;
  /** Absent: the kernel chooses. */
  readonly listenPort?: number;
  /** Mark of the packets that carry the tunnel; 0 for none. */
  readonly mark: number;
  /** In the order of their keys. */
  readonly peers: readonly PeerFacts[];
  /** `PUBLIC-KEY SECRET` of each peer that has one, in the order of the peers. */
  readonly presharedKeys: readonly string[];
  /** Where each peer is, by public key: `192.0.2.1:51820`, `[2001:db8::1]:51820`. */
  readonly endpoints: Readonly<Record<string, string>>;
};

const keyBytes = 32;
/** CTRL_CMD_GETFAMILY of the family that names families, and its attributes. */
const control = { type: 16, getFamily: 3, family: 1, name: 2 };
const Command = { get: 0, set: 1 };
const version = 1;
const Device = { name: 2, privateKey: 3, listenPort: 6, mark: 7, peers: 8 };
const Peer = { publicKey: 1, presharedKey: 2, flags: 3, endpoint: 4, keepalive: 5, allowedIps: 9 };
const PeerFlag = { remove: 1, replaceAllowedIps: 2 };
const AllowedIp = { family: 1, address: 2, length: 3 };
const ip4 = 2;
const ip6 = 10;
/** Peers in one message: with all of their networks they fit into an attribute of 64 KiB. */
const peersPerMessage = 5;
/** Networks of one peer. */
export const allowedIpsMax = 256;

/** Asks for the number of the family, which is the type of its messages. */
export function askFamily(out: NetlinkWriter, sequence: number): void {
  begin(out, control.type, MessageFlag.request | MessageFlag.ack, sequence, control.getFamily);
  out.text(control.name, "wireguard");
  out.end();
}

/** @returns 0 when the payload does not say */
export function readFamily(bytes: Uint8Array, at: number, end: number): number {
  let family = 0;
  eachAttribute(bytes, at + 4, end, (type, from, to) => {
    if (type === control.family && to - from >= 2) family = read16(bytes, from);
  });
  return family;
}

/** Asks for everything of a link. */
export function askDevice(out: NetlinkWriter, sequence: number, family: number, ifname: string): void {
  begin(out, family, MessageFlag.request | MessageFlag.dump, sequence, Command.get);
  out.text(Device.name, ifname);
  out.end();
}

/** Puts the messages of an answer together: peers, and networks of one peer, may go on in the next. */
export class DeviceReader {
  private privateKey: string | undefined;
  private listenPort = 0;
  private mark = 0;
  private readonly peers = new Map<string, { allowedIps: string[]; keepaliveS: number }>();
  private readonly presharedKeys = new Map<string, string>();
  private readonly endpoints: Record<string, string> = {};

  message(bytes: Uint8Array, at: number, end: number): void {
    eachAttribute(bytes, at + 4, end, (type, from, to) => {
      if (type === Device.privateKey) this.privateKey = keyText(bytes, from, to);
      else if (type === Device.listenPort && to - from >= 2) this.listenPort = read16(bytes, from);
      else if (type === Device.mark && to - from >= 4) this.mark = read32(bytes, from);
      else if (type === Device.peers) {
        eachAttribute(bytes, from, to, (_, peerFrom, peerTo) => this.peer(bytes, peerFrom, peerTo));
      }
    });
  }

  private peer(bytes: Uint8Array, at: number, end: number): void {
    let key: string | undefined;
    eachAttribute(bytes, at, end, (type, from, to) => {
      if (type === Peer.publicKey) key = keyText(bytes, from, to);
    });
    if (key === undefined) return;
    const name = key;
    let peer = this.peers.get(name);
    if (!peer) {
      peer = { allowedIps: [], keepaliveS: 0 };
      this.peers.set(name, peer);
    }
    const { allowedIps } = peer;
    eachAttribute(bytes, at, end, (type, from, to) => {
      if (type === Peer.presharedKey) {
        const secret = keyText(bytes, from, to);
        if (secret !== undefined) this.presharedKeys.set(name, secret);
      } else if (type === Peer.keepalive && to - from >= 2) peer.keepaliveS = read16(bytes, from);
      else if (type === Peer.endpoint) {
        const endpoint = endpointText(bytes, from, to);
        if (endpoint !== "") this.endpoints[name] = endpoint;
      } else if (type === Peer.allowedIps) {
        eachAttribute(bytes, from, to, (_, ipFrom, ipTo) => {
          const prefix = prefixText(bytes, ipFrom, ipTo);
          if (prefix !== "") allowedIps.push(prefix);
        });
      }
    });
  }

  facts(): WireGuardFacts {
    const keys = [...this.peers.keys()].sort();
    return {
      ...(this.privateKey !== undefined && { privateKey: this.privateKey }),
      listenPort: this.listenPort,
      mark: this.mark,
      peers: keys.map((publicKey) => {
        const { allowedIps, keepaliveS } = this.peers.get(publicKey)!;
        return { publicKey, allowedIps: [...allowedIps].sort(), keepaliveS };
      }),
      presharedKeys: keys
        .filter((key) => this.presharedKeys.has(key))
        .map((key) => `${key} ${this.presharedKeys.get(key)}`),
      endpoints: this.endpoints,
    };
  }
}

/** One request of those that bring a link from `held` to `asked`. */
export type WireGuardWrite = (out: NetlinkWriter, sequence: number, family: number) => void;

/** @returns requests to be made in this order; peers are taken away first, so that their networks are free */
export function deviceWrites(ifname: string, held: Facts, asked: Facts): WireGuardWrite[] {
  const [before, after] = [held as Partial<WireGuardFacts>, asked as Partial<WireGuardFacts>];
  const kept = new Map((before.peers ?? []).map((peer) => [peer.publicKey, peer]));
  const wanted = new Set((after.peers ?? []).map(({ publicKey }) => publicKey));
  const gone = [...kept.keys()].filter((key) => !wanted.has(key));
  const secrets = secretsOf(after);
  const secretsBefore = secretsOf(before);
  const changed = (after.peers ?? []).filter((peer) => {
    const old = kept.get(peer.publicKey);
    const { publicKey: key } = peer;
    return (
      !old ||
      old.keepaliveS !== peer.keepaliveS ||
      old.allowedIps.join() !== peer.allowedIps.join() ||
      secrets.get(key) !== secretsBefore.get(key) ||
      (after.endpoints?.[key] ?? before.endpoints?.[key]) !== before.endpoints?.[key]
    );
  });
  const device: WireGuardWrite = (out, sequence, family) =>
    writeDevice(out, sequence, family, ifname, () => {
      const { privateKey, listenPort, mark } = after;
      if (privateKey !== before.privateKey) out.attribute(Device.privateKey, keyValue(privateKey));
      if (listenPort !== undefined && listenPort !== before.listenPort)
        out.attribute(Device.listenPort, little16(listenPort));
      if (mark !== before.mark) out.attribute32(Device.mark, mark ?? 0);
    });
  return [
    device,
    ...chunks(gone).map(
      (keys): WireGuardWrite =>
        (out, sequence, family) =>
          writeDevice(out, sequence, family, ifname, () =>
            writePeers(out, keys, (key) => writeGone(out, key)),
          ),
    ),
    ...chunks(changed).map(
      (peers): WireGuardWrite =>
        (out, sequence, family) =>
          writeDevice(out, sequence, family, ifname, () =>
            writePeers(out, peers, (peer) =>
              writePeer(out, peer, secrets.get(peer.publicKey), after.endpoints?.[peer.publicKey]),
            ),
          ),
    ),
  ];
}

function secretsOf({ presharedKeys = [] }: Partial<WireGuardFacts>): Map<string, string> {
  return new Map(presharedKeys.map((text) => text.split(" ") as [string, string]));
}

function chunks<T>(items: readonly T[]): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < items.length; at += peersPerMessage)
    parts.push(items.slice(at, at + peersPerMessage));
  return parts;
}

function writeDevice(
  out: NetlinkWriter,
  sequence: number,
  family: number,
  ifname: string,
  write: () => void,
): void {
  begin(out, family, MessageFlag.request | MessageFlag.ack, sequence, Command.set);
  out.text(Device.name, ifname);
  write();
  out.end();
}

function writePeers<T>(out: NetlinkWriter, peers: readonly T[], write: (peer: T) => void): void {
  out.nested(Device.peers, () => {
    for (const peer of peers) out.nested(0, () => write(peer));
  });
}

function writeGone(out: NetlinkWriter, publicKey: string): void {
  out.attribute(Peer.publicKey, keyValue(publicKey));
  out.attribute32(Peer.flags, PeerFlag.remove);
}

function writePeer(
  out: NetlinkWriter,
  { publicKey, allowedIps, keepaliveS }: PeerFacts,
  secret: string | undefined,
  endpoint: string | undefined,
): void {
  out.attribute(Peer.publicKey, keyValue(publicKey));
  out.attribute32(Peer.flags, PeerFlag.replaceAllowedIps);
  // All zeros: none.
  out.attribute(Peer.presharedKey, keyValue(secret));
  if (endpoint !== undefined) out.attribute(Peer.endpoint, endpointValue(endpoint));
  out.attribute(Peer.keepalive, little16(keepaliveS));
  out.nested(Peer.allowedIps, () => {
    for (const prefix of allowedIps) {
      const [host, length] = prefix.split("/");
      const address = parseIp(host)!;
      out.nested(0, () => {
        out.attribute(AllowedIp.family, little16(address.length === 4 ? ip4 : ip6));
        out.attribute(AllowedIp.address, address);
        out.attribute(AllowedIp.length, new Uint8Array([Number(length)]));
      });
    }
  });
}

function begin(out: NetlinkWriter, type: number, flags: number, sequence: number, command: number): void {
  out.begin(type, flags, sequence);
  for (const byte of [command, version, 0, 0]) out.u8(byte);
}

/** Undefined for all zeros, which is how none is told. */
function keyText(bytes: Uint8Array, at: number, end: number): string | undefined {
  const key = bytes.subarray(at, end);
  return key.length === keyBytes && key.some((byte) => byte !== 0) ? base64Text(key) : undefined;
}

function keyValue(text: string | undefined): Uint8Array {
  return (text !== undefined && base64Value(text)) || new Uint8Array(keyBytes);
}

function little16(value: number): Uint8Array {
  return new Uint8Array([value & 255, value >>> 8]);
}

/** `struct sockaddr_in` (16 bytes) or `sockaddr_in6` (28): family in host order, port in network order. */
function endpointText(bytes: Uint8Array, at: number, end: number): string {
  if (end - at < 8) return "";
  const family = read16(bytes, at);
  const port = (bytes[at + 2] << 8) | bytes[at + 3];
  if (family === ip4) return `${formatIp(bytes.slice(at + 4, at + 8))}:${port}`;
  if (family !== ip6 || end - at < 24) return "";
  return `[${formatIp(bytes.slice(at + 8, at + 24))}]:${port}`;
}

function endpointValue(text: string): Uint8Array {
  const { host, port } = parseHostPort(text)!;
  const address = parseIp(host)!;
  const isFour = address.length === 4;
  const bytes = new Uint8Array(isFour ? 16 : 28);
  bytes[0] = isFour ? ip4 : ip6;
  bytes[2] = port >>> 8;
  bytes[3] = port & 255;
  bytes.set(address, isFour ? 4 : 8);
  return bytes;
}

function prefixText(bytes: Uint8Array, at: number, end: number): string {
  let address: Uint8Array | undefined;
  let length = 0;
  eachAttribute(bytes, at, end, (type, from, to) => {
    if (type === AllowedIp.address && (to - from === 4 || to - from === 16)) address = bytes.slice(from, to);
    else if (type === AllowedIp.length && to > from) length = bytes[from];
  });
  return address ? `${formatIp(address)}/${length}` : "";
}
