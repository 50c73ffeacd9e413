/**
 * A netlink socket of the route family: requests whose answers are matched to them by sequence number, and multicast
 * groups. Requests go out in batches, the next one when all answers to the last are in, so that answers never need more
 * than the socket's buffer. Whoever writes to the kernel uses the same class: an error belongs to its request alone.
 */
import {
  type Acknowledgement,
  eachMessage,
  type Message,
  MessageType,
  NetlinkWriter,
  readAcknowledgement,
} from "../netlink/wire.ts";

/** The calls of the native addon that are needed here; results are negative for -errno. */
export interface NetlinkCalls {
  socket(family: number, type: number, protocol: number): number;
  close(fd: number): number;
  bind(fd: number, address: Uint8Array): number;
  getsockname(fd: number, address: Uint8Array): number;
  setsockopt(fd: number, level: number, name: number, value: number | Uint8Array): number;
  send(fd: number, bytes: Uint8Array, flags: number): number;
  recv(fd: number, bytes: Uint8Array, flags: number): number;
  pollOpen(fd: number, ready: (events: number, status: number) => void): object | number;
  pollSet(handle: object, events: number): number;
  pollClose(handle: object): number;
}

export interface Request {
  /** Appends the message; `sequence` and the flag that asks for an acknowledgement are for its header. */
  write(out: NetlinkWriter, sequence: number): void;
  /** A dump is sent alone: the kernel carries out one at a time per socket. */
  readonly isDump: boolean;
  /** One message of the answer. */
  message(bytes: Uint8Array, message: Message): void;
  /** The answer is complete. */
  done(result: Acknowledgement): void;
}

export interface NetlinkEvents {
  /** A message of a group, or one that no request waits for. */
  message(bytes: Uint8Array, message: Message): void;
  /** Messages were lost: what is known has to be asked for again. Requests under way have ended with this error. */
  overrun(): void;
  /**
   * Calls back after a moment in which the socket is not looked at: messages that come one by one in a flood are then
   * read many at a time. Absent: every one is read as it comes.
   */
  rest?(call: () => void): void;
  /** From `route-filter.ts`: messages that are not even received. */
  readonly filter?: Uint8Array;
}

const NETLINK = { family: 16, type: 3, route: 0, level: 270, join: 1, capAck: 10, extAck: 11, strict: 12 };
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_ATTACH_FILTER = 26;
const SO_RCVBUFFORCE = 33;
const MSG_TRUNC = 0x20;
const EAGAIN = -11;
const ENOBUFS = -105;
const READABLE = 1;

/** What may wait in the socket: about 100,000 route changes. */
const receiveBytes = 8 << 20;
/** The largest datagram of the kernel is 32 KiB unless it was offered more. */
const datagramBytesMax = 1 << 16;
/** Datagrams read before other sockets have their turn. */
const datagramsPerRead = 128;
const requestsPerBatch = 128;

export class NetlinkSocket {
  private readonly calls: NetlinkCalls;
  private readonly events: NetlinkEvents;
  private readonly fd: number;
  private readonly poll: object;
  private readonly buffer = new Uint8Array(datagramBytesMax);
  private readonly out = new NetlinkWriter();
  private readonly waiting: Request[] = [];
  private readonly underWay = new Map<number, Request>();
  private sequence = 1;
  private closed = false;

  /**
   * @param groups multicast groups to join
   * @param protocol family of netlink; NETLINK_ROUTE unless given
   * @returns the socket, or the errno (negative) of the call that failed
   */
  static open(
    calls: NetlinkCalls,
    groups: readonly number[],
    events: NetlinkEvents,
    protocol: number = NETLINK.route,
  ): NetlinkSocket | number {
    const fd = openNetlink(calls, groups, protocol);
    if (fd < 0) return fd;
    if (events.filter) filterMessages(calls, fd, events.filter);
    const socket = new NetlinkSocket(calls, fd, events);
    if (typeof socket.poll === "object") return socket;
    calls.close(fd);
    return socket.poll;
  }

  private constructor(calls: NetlinkCalls, fd: number, events: NetlinkEvents) {
    this.calls = calls;
    this.fd = fd;
    this.events = events;
    this.poll = calls.pollOpen(fd, () => this.read()) as object;
    if (typeof this.poll === "object") calls.pollSet(this.poll, READABLE);
  }

  /** Sends a request, now or when those before it are answered. */
  request(request: Request): void {
    this.waiting.push(request);
    this.sendWaiting();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.calls.pollClose(this.poll);
    this.calls.close(this.fd);
  }

  private sendWaiting(): void {
    while (!this.closed && this.underWay.size === 0 && this.waiting.length > 0) {
      const { out } = this;
      out.reset();
      const dumpAt = this.waiting.findIndex(({ isDump }) => isDump);
      const count = dumpAt === 0 ? 1 : dumpAt < 0 ? requestsPerBatch : Math.min(dumpAt, requestsPerBatch);
      for (const request of this.waiting.splice(0, count)) {
        const sequence = this.sequence;
        this.sequence = (this.sequence + 1) >>> 0 || 1;
        this.underWay.set(sequence, request);
        request.write(out, sequence);
      }
      const sent = this.calls.send(this.fd, out.bytes.subarray(0, out.length), 0);
      if (sent < 0) this.failAll(-sent);
    }
  }

  private failAll(errno: number): void {
    const failed = [...this.underWay.values()];
    this.underWay.clear();
    for (const request of failed) request.done({ errno, text: "" });
  }

  private read(): void {
    for (let n = 0; n < datagramsPerRead && !this.closed; n++) {
      const length = this.calls.recv(this.fd, this.buffer, MSG_TRUNC);
      if (length === EAGAIN || length === 0) break;
      if (length < 0 || length > this.buffer.length) {
        this.failAll(-ENOBUFS);
        this.events.overrun();
        if (length < 0 && length !== ENOBUFS) break;
        continue;
      }
      eachMessage(this.buffer, length, (message) => this.take(message));
    }
    this.sendWaiting();
    if (!this.events.rest || this.closed) return;
    this.calls.pollSet(this.poll, 0);
    this.events.rest(() => {
      if (!this.closed) this.calls.pollSet(this.poll, READABLE);
    });
  }

  private take(message: Message): void {
    const request = this.underWay.get(message.sequence);
    if (!request) {
      if (message.type !== MessageType.noop) this.events.message(this.buffer, message);
      return;
    }
    if (message.type !== MessageType.error && message.type !== MessageType.done) {
      request.message(this.buffer, message);
      return;
    }
    this.underWay.delete(message.sequence);
    request.done(readAcknowledgement(this.buffer, message));
  }
}

/** Spares reading what the filter drops. Where the kernel does not take it, more is read and nothing else changes. */
export function filterMessages(calls: NetlinkCalls, fd: number, filter: Uint8Array): void {
  calls.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, filter);
}

/**
 * A netlink socket that has joined these multicast groups.
 * @returns its number, or the errno (negative) of the call that failed
 */
export function openNetlink(
  calls: NetlinkCalls,
  groups: readonly number[],
  protocol: number = NETLINK.route,
): number {
  const fd = calls.socket(NETLINK.family, NETLINK.type, protocol);
  if (fd < 0) return fd;
  let failed = calls.bind(fd, new Uint8Array([NETLINK.family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
  for (const group of groups) {
    if (failed >= 0) failed = calls.setsockopt(fd, NETLINK.level, NETLINK.join, group);
  }
  for (const option of [NETLINK.capAck, NETLINK.extAck, NETLINK.strict]) {
    if (failed >= 0) failed = calls.setsockopt(fd, NETLINK.level, option, 1);
  }
  if (failed >= 0 && calls.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, receiveBytes) < 0) {
    // Without the capability as much as the system allows.
    calls.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, receiveBytes);
  }
  if (failed >= 0) return fd;
  calls.close(fd);
  return failed;
}
