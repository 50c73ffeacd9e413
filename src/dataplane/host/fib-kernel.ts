/**
 * Writes BGP routes into Linux, for a thread of its own: a call is over when the kernel has carried it out. Requests go
 * out some hundred at a time, and only the last asks for an acknowledgement; each one that fails is answered all the same.
 *
 * The socket also hears of routes that others change. What was done through it would come back as well, with its own port
 * number: a filter keeps most of that away, the rest is passed over.
 */
import {
  type AddressSize,
  type FibBatch,
  type FibDump,
  type FibMoved,
  type FibOutcome,
  type FibScope,
  FibVerb,
  unicast,
} from "../fib/messages.ts";
import { ownBgpProtocol } from "../kernel-model.ts";
import { FibDumpReader, FibWriter, wayTail } from "../netlink/fib-wire.ts";
import { withoutOwnNotices } from "../netlink/route-filter.ts";
import { AddressFamily, askRoutes, RouteAttribute, RouteGroup, RouteMessage } from "../netlink/route-wire.ts";
import {
  eachAttribute,
  eachMessage,
  type Message,
  MessageFlag,
  MessageType,
  NetlinkWriter,
  read32,
  readAcknowledgement,
} from "../netlink/wire.ts";
import { filterMessages, type NetlinkCalls, openNetlink } from "./netlink-socket.ts";

export interface FibKernelHost {
  moved(moved: FibMoved): void;
  errnoName(errno: number): string;
}

const requestsPerSend = 256;
/** A dump that was disturbed by changes is asked for again so often. */
const dumpAttempts = 4;
const datagramBytesMax = 1 << 17;
const MSG_TRUNC = 0x20;
const EAGAIN = -11;
const ENOBUFS = -105;
const READABLE = 1;
/** EBUSY: not asked of the kernel at all. */
const busy = 16;

export class FibKernel {
  private readonly calls: NetlinkCalls;
  private readonly host: FibKernelHost;
  private readonly fd: number;
  private readonly poll: object;
  private readonly buffer = new Uint8Array(datagramBytesMax);
  private readonly writer = new FibWriter();
  private readonly asker = new NetlinkWriter();
  private scopes: readonly FibScope[] = [];
  /**
   * Sets of routes in whose place somebody else put one since they were last read: the kernel would replace a route of somebody else
   * just as well, so nothing is replaced before they are read again.
   */
  private readonly doubtful = new Set<string>();
  private sequence = 1;
  /** Number of the socket; 0 where it cannot be known, and is told by the first answer. */
  private port: number;
  // What the call under way waits for.
  private firstSequence = 0;
  private lastSequence = 0;
  private isAnswered = true;
  private isLost = false;
  private readonly failures: { row: number; errno: number }[] = [];
  private dump: { readonly reader: FibDumpReader; errno: number; disturbed: boolean } | undefined;

  /** @returns the errno (negative) of the call that failed */
  static open(calls: NetlinkCalls, host: FibKernelHost): FibKernel | number {
    const fd = openNetlink(calls, [RouteGroup.ip4Route, RouteGroup.ip6Route]);
    if (fd < 0) return fd;
    const kernel = new FibKernel(calls, fd, host);
    if (typeof kernel.poll === "object") return kernel;
    calls.close(fd);
    return kernel.poll;
  }

  private constructor(calls: NetlinkCalls, fd: number, host: FibKernelHost) {
    this.calls = calls;
    this.fd = fd;
    this.host = host;
    this.port = portOfSocket(calls, fd);
    if (this.port !== 0) filterMessages(calls, fd, withoutOwnNotices(this.port));
    this.poll = calls.pollOpen(fd, () => this.drain()) as object;
    if (typeof this.poll === "object") calls.pollSet(this.poll, READABLE);
  }

  close(): void {
    this.calls.pollClose(this.poll);
    this.calls.close(this.fd);
  }

  watch(scopes: readonly FibScope[]): void {
    this.scopes = scopes;
  }

  /** Carries a batch out. */
  write(batch: FibBatch): FibOutcome {
    const failed: number[] = [];
    const errnos: number[] = [];
    let unsure = false;
    let failure = "";
    const tails = batch.ways.map((way) => wayTail(batch, way, batch.size));
    const bare = wayTail(batch, undefined, batch.size);
    this.drain();
    for (let from = 0; from < batch.count; from += requestsPerSend) {
      const to = Math.min(batch.count, from + requestsPerSend);
      const doubtful = this.doubtful.has(doubtKey(batch, batch.size));
      let last = to - 1;
      while (doubtful && last >= from && batch.verbs[last] === FibVerb.replace) last--;
      this.begin(last - from + 1);
      this.writer.reset();
      for (let row = from; row < to; row++) {
        if (doubtful && batch.verbs[row] === FibVerb.replace) {
          this.failures.push({ row: row - from, errno: busy });
          continue;
        }
        const isDelete = batch.verbs[row] === FibVerb.delete;
        const place = batch.wayOf[row];
        const tail = isDelete ? bare : tails[place];
        const type = isDelete ? unicast : batch.ways[place].type;
        this.writer.route(batch, row, tail, type, this.firstSequence + row - from, row === last);
      }
      const isNone = last < from;
      const errno = isNone ? 0 : this.send(this.writer.bytes.subarray(0, this.writer.length));
      if (isNone) this.isAnswered = true;
      if (errno !== 0) {
        failure = `routes cannot be sent to the kernel: ${this.host.errnoName(errno)}`;
        for (let row = from; row < batch.count; row++) {
          failed.push(row);
          errnos.push(errno);
        }
        break;
      }
      unsure ||= this.isLost;
      for (const { row, errno: why } of this.failures.sort((a, b) => a.row - b.row)) {
        failed.push(from + row);
        errnos.push(why);
      }
    }
    return {
      batch: batch.batch,
      failed: new Uint32Array(failed),
      errnos: new Uint8Array(errnos),
      unsure,
      failure,
    };
  }

  /** All routes of a scope and family. */
  ask(scope: FibScope, size: AddressSize): FibDump {
    let failure = "";
    for (let attempt = 0; attempt < dumpAttempts; attempt++) {
      this.drain();
      this.doubtful.delete(doubtKey(scope, size));
      this.begin(1);
      const dump = { reader: new FibDumpReader(scope, size), errno: 0, disturbed: false };
      this.dump = dump;
      this.asker.reset();
      const family = size === 4 ? AddressFamily.ip4 : AddressFamily.ip6;
      askRoutes(this.asker, this.firstSequence, family, scope.table, ownBgpProtocol);
      const errno = this.send(this.asker.bytes.subarray(0, this.asker.length)) || dump.errno;
      this.dump = undefined;
      // A table that was never used is not there.
      const isMissing = errno === noEntry;
      if (errno === 0 || isMissing) {
        if ((dump.disturbed || this.isLost) && !isMissing) {
          failure = "the kernel's table changes all the time";
          continue;
        }
        const { count } = dump.reader;
        return { ...scope, size, count, ...dump.reader.columns(), failure: "" };
      }
      failure = `routes cannot be read from the kernel: ${this.host.errnoName(errno)}`;
      break;
    }
    const empty = new FibDumpReader(scope, size).columns();
    return { ...scope, size, count: 0, ...empty, failure };
  }

  private begin(count: number): void {
    if (this.sequence + count > 0x7fff_ffff) this.sequence = 1;
    this.firstSequence = this.sequence;
    this.sequence += count;
    this.lastSequence = this.sequence - 1;
    this.failures.length = 0;
    this.isAnswered = false;
    this.isLost = false;
  }

  /** Sends, and reads until the last request is answered. @returns a positive errno, 0 for none */
  private send(bytes: Uint8Array): number {
    const sent = this.calls.send(this.fd, bytes, 0);
    if (sent < 0) {
      this.isAnswered = true;
      return -sent;
    }
    // The kernel has answered by the time that it returns; a dump goes on with each read.
    while (!this.isAnswered) {
      const length = this.calls.recv(this.fd, this.buffer, MSG_TRUNC);
      if (length === ENOBUFS || length > this.buffer.length) this.overrun();
      else if (length < 0 || length === 0) {
        // Nothing left to read: the answer is among what was lost.
        this.isAnswered = true;
        this.isLost = true;
      } else eachMessage(this.buffer, length, this.take);
    }
    return 0;
  }

  /** Reads what has come from others. */
  private drain(): void {
    for (;;) {
      const length = this.calls.recv(this.fd, this.buffer, MSG_TRUNC);
      if (length === EAGAIN || length === 0) return;
      if (length === ENOBUFS || length > this.buffer.length) this.overrun();
      else if (length < 0) return;
      else eachMessage(this.buffer, length, this.take);
    }
  }

  private overrun(): void {
    this.isLost = true;
    for (const scope of this.scopes) {
      this.doubt(scope);
      this.host.moved({ table: scope.table, ours: true });
    }
  }

  private doubt(scope: FibScope): void {
    for (const size of [4, 16] as const) this.doubtful.add(doubtKey(scope, size));
  }

  private readonly take = (message: Message): void => {
    const { type, sequence, flags, at, end } = message;
    if (type === MessageType.error || type === MessageType.done) {
      if (sequence < this.firstSequence || sequence > this.lastSequence) return;
      this.port = portOf(this.buffer, at);
      const { errno } = readAcknowledgement(this.buffer, message);
      if (this.dump) {
        this.dump.errno = errno;
        if ((flags & MessageFlag.dumpInterrupted) !== 0) this.dump.disturbed = true;
      } else if (errno !== 0) this.failures.push({ row: sequence - this.firstSequence, errno });
      if (sequence === this.lastSequence) this.isAnswered = true;
      return;
    }
    const isOfDump = (flags & MessageFlag.multi) !== 0 && sequence === this.firstSequence;
    if (this.dump && isOfDump) {
      if ((flags & MessageFlag.dumpInterrupted) !== 0) this.dump.disturbed = true;
      if (type === RouteMessage.newRoute) this.dump.reader.take(this.buffer, at, end);
    } else if (type === RouteMessage.newRoute || type === RouteMessage.delRoute) {
      if (portOf(this.buffer, at) !== this.port) this.noticed(message);
    }
  };

  private noticed({ type, at, end }: Message): void {
    const bytes = this.buffer;
    if (at + 12 > end) return;
    let table: number = bytes[at + 4];
    let metric = 0;
    eachAttribute(bytes, at + 12, end, (attribute, from, to) => {
      if (to - from !== 4) return;
      if (attribute === RouteAttribute.table) table = read32(bytes, from);
      else if (attribute === RouteAttribute.metric) metric = read32(bytes, from);
    });
    const isOwn = bytes[at + 5] === ownBgpProtocol;
    for (const scope of this.scopes) {
      if (scope.table !== table) continue;
      // One that takes the place of ours is told of, the one that gives way is not.
      const isInPlace = type === RouteMessage.newRoute && !isOwn && scope.metric === metric;
      if (isInPlace) this.doubt(scope);
      if (isOwn || isInPlace) this.host.moved({ table, ours: true });
      else if (type === RouteMessage.delRoute) this.host.moved({ table, ours: false });
    }
  }
}

function doubtKey({ table, metric }: FibScope, size: AddressSize): string {
  return `${table} ${metric} ${size}`;
}

/** The port that the kernel gave the socket, from `struct sockaddr_nl`: family 2, padding 2, port 4; 0 when it does not say. */
function portOfSocket(calls: NetlinkCalls, fd: number): number {
  const address = new Uint8Array(12);
  return calls.getsockname(fd, address) < 0 ? 0 : read32(address, 4);
}

/** Who caused a message: the last field of its header. */
function portOf(bytes: Uint8Array, payloadAt: number): number {
  return read32(bytes, payloadAt - 4);
}

const noEntry = 2;
