/**
 * Packets that rules log, from a group of NFLOG, for a thread of its own. What comes faster than it is wanted is counted
 * and passed over, as is what the kernel lost for want of room.
 */
import { readFileSync } from "node:fs";
import { packetLogGroup } from "../logged-packet.ts";
import { netfilterProtocol } from "../netlink/netfilter-wire.ts";
import { askPackets, type LoggedPacket, packetMessage, readPacket } from "../netlink/packet-log-wire.ts";
import { type NetlinkCalls, NetlinkSocket } from "./netlink-socket.ts";

export interface PacketLogHost {
  /** Packets since the last time, and how many there were besides. */
  logged(packets: readonly LoggedPacket[], dropped: number): void;
  /** Why packets do not come; empty once they do. */
  failed(why: string): void;
  later(ms: number, call: () => void): void;
  nowMs(): number;
  errnoName(errno: number): string;
}

/** Packets are told together at most this often. */
const tellMs = 100;
/** The socket is looked at this far apart: in a flood many packets are read at a time. */
const restMs = 5;
/** After this the group is asked for again. */
const againMs = 5_000;
const EPERM = 1;
const EBUSY = 16;

export class PacketLog {
  private readonly calls: NetlinkCalls;
  private readonly host: PacketLogHost;
  private readonly bucket: PacketBucket;
  private socket: NetlinkSocket | undefined;
  private packets: LoggedPacket[] = [];
  private dropped = 0;
  private lastSequence: number | undefined;
  private telling = false;
  private wanted = false;
  private failure = "";

  /** @param perSecond packets that are told, for a while twice as many */
  constructor(calls: NetlinkCalls, perSecond: number, host: PacketLogHost) {
    this.calls = calls;
    this.host = host;
    this.bucket = new PacketBucket(perSecond, host.nowMs());
  }

  /** Listens from now on, or no longer. */
  want(wanted: boolean): void {
    if (this.wanted === wanted) return;
    this.wanted = wanted;
    if (wanted) this.listen();
    else this.close();
  }

  close(): void {
    this.wanted = false;
    this.socket?.close();
    this.socket = undefined;
    this.failure = "";
  }

  private listen(): void {
    if (!this.wanted || this.socket) return;
    const socket = NetlinkSocket.open(
      this.calls,
      [],
      {
        message: (bytes, { type, at, end }) => {
          if (type === packetMessage) this.take(readPacket(bytes, at, end));
        },
        // Seen as a gap in the numbers of the packets.
        overrun: () => undefined,
        rest: (call) => this.host.later(restMs, call),
      },
      netfilterProtocol,
    );
    if (typeof socket === "number") {
      this.fail(-socket);
      return;
    }
    this.socket = socket;
    this.lastSequence = undefined;
    socket.request({
      isDump: false,
      write: (out, sequence) => askPackets(out, sequence, packetLogGroup),
      message: () => undefined,
      done: ({ errno }) => {
        if (errno !== 0) this.fail(errno);
        else this.say("");
      },
    });
  }

  private fail(errno: number): void {
    this.socket?.close();
    this.socket = undefined;
    this.say(this.why(errno));
    this.host.later(againMs, () => this.listen());
  }

  private say(failure: string): void {
    if (this.failure === failure) return;
    this.failure = failure;
    this.host.failed(failure);
  }

  private why(errno: number): string {
    // The kernel says the same of a group that belongs to another program.
    if (errno === EPERM && !mayAdministerNetwork())
      return "cairnd needs the capability CAP_NET_ADMIN to hear of logged packets";
    if (errno === EPERM || errno === EBUSY) return `another program listens to NFLOG group ${packetLogGroup}`;
    return `the kernel does not tell of logged packets (NFLOG): ${this.host.errnoName(errno)}`;
  }

  private take(packet: LoggedPacket): void {
    const { sequence } = packet;
    if (this.lastSequence !== undefined) this.dropped += (sequence - this.lastSequence - 1) >>> 0;
    this.lastSequence = sequence;
    if (this.bucket.take(this.host.nowMs())) this.packets.push(packet);
    else this.dropped++;
    if (this.telling) return;
    this.telling = true;
    this.host.later(tellMs, () => this.tell());
  }

  private tell(): void {
    this.telling = false;
    const { packets, dropped } = this;
    this.packets = [];
    this.dropped = 0;
    if (this.wanted) this.host.logged(packets, dropped);
  }
}

const CAP_NET_ADMIN = 12n;

function mayAdministerNetwork(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "latin1"));
  return effective !== null && ((BigInt(`0x${effective[1]}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}

/** Allows so many packets a second, and twice as many at once after a while without. */
export class PacketBucket {
  private readonly perSecond: number;
  private left: number;
  private atMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.perSecond = perSecond;
    this.left = 2 * perSecond;
    this.atMs = nowMs;
  }

  take(nowMs: number): boolean {
    const more = ((nowMs - this.atMs) / 1000) * this.perSecond;
    this.left = Math.min(2 * this.perSecond, this.left + more);
    this.atMs = nowMs;
    if (this.left < 1) return false;
    this.left--;
    return true;
  }
}
