/** One BGP session of the generator: connects from an address of its own, speaks just enough. */
import net from "node:net";
import { daemonAddress4, daemonAddress6 } from "../namespace.ts";

export interface SessionOptions {
  readonly address: string;
  readonly asn: number;
  readonly ipv6: boolean;
  readonly routerId: number;
  /** Hold time that is offered, seconds; keepalives go out three times in it. */
  readonly holdTimeS: number;
  /** Called with each UPDATE: `bytes[start, end)`, header included; the bytes are only lent. */
  update?(bytes: Uint8Array, start: number, end: number): void;
}

const headerBytes = 19;
const writeBytes = 1 << 18;

/** Sockets read one after the other, and what they read is dealt with at once: one buffer serves all. */
const shared: Buffer = Buffer.allocUnsafe(1 << 18);

export class Session {
  readonly established: Promise<void>;
  /** Why the session ended; empty while it is up. */
  error = "";
  bytesIn = 0;
  bytesOut = 0;
  updatesIn = 0;
  private readonly socket: net.Socket;
  private readonly options: SessionOptions;
  /** The beginning of a message whose end has not come. */
  private readonly rest: Buffer = Buffer.allocUnsafe(1 << 16);
  private restBytes = 0;
  private readonly keepalive: NodeJS.Timeout;
  private up: () => void = () => {};

  constructor(options: SessionOptions) {
    this.options = options;
    const { address: localAddress, ipv6, holdTimeS } = options;
    const onread = { buffer: shared, callback: (count: number) => this.read(count) };
    this.socket = net.connect({
      host: ipv6 ? daemonAddress6 : daemonAddress4,
      port: 179,
      localAddress,
      onread,
    });
    this.socket.setNoDelay(true);
    this.keepalive = setInterval(() => this.send(message(4)), (holdTimeS * 1000) / 3);
    this.established = new Promise((resolve, reject) => {
      this.up = resolve;
      const end = (reason: string): void => {
        this.error ||= reason;
        clearInterval(this.keepalive);
        reject(new Error(`${localAddress}: ${this.error}`));
      };
      this.socket.on("connect", () => this.send(open(options)));
      this.socket.on("error", (error) => end(error.message));
      this.socket.on("close", () => end("closed"));
    });
    this.established.catch(() => {});
  }

  /** Hands bytes to the socket. @returns false when it wants no more for now */
  send(bytes: Uint8Array): boolean {
    this.bytesOut += bytes.length;
    return this.error === "" && this.socket.write(bytes);
  }

  async sendAll(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length && this.error === ""; at += writeBytes) {
      if (this.send(bytes.subarray(at, at + writeBytes))) continue;
      await new Promise((resolve) => this.socket.once("drain", resolve).once("close", resolve));
    }
  }

  /** Ends the session with a Cease. */
  close(): void {
    clearInterval(this.keepalive);
    if (this.error !== "") return;
    this.send(message(3, [6, 2]));
    this.error = "closed by us";
    this.socket.destroySoon();
  }

  private read(count: number): boolean {
    this.bytesIn += count;
    let at = 0;
    if (this.restBytes > 0) at = this.complete(count);
    while (count - at >= headerBytes) {
      const end = at + ((shared[at + 16] << 8) | shared[at + 17]);
      if (end > count) break;
      this.handle(shared, at, end);
      at = end;
    }
    if (at < count) {
      shared.copy(this.rest, this.restBytes, at, count);
      this.restBytes += count - at;
    }
    return true;
  }

  /** Puts together the message that an earlier read began. @returns where the next one begins */
  private complete(count: number): number {
    const { rest } = this;
    let at = 0;
    while (this.restBytes < headerBytes && at < count) rest[this.restBytes++] = shared[at++];
    if (this.restBytes < headerBytes) return at;
    const end = (rest[16] << 8) | rest[17];
    const missing = Math.min(end - this.restBytes, count - at);
    shared.copy(rest, this.restBytes, at, at + missing);
    this.restBytes += missing;
    if (this.restBytes < end) return count;
    this.restBytes = 0;
    this.handle(rest, 0, end);
    return at + missing;
  }

  private handle(bytes: Uint8Array, start: number, end: number): void {
    const type = bytes[start + 18];
    if (type === 2) {
      this.updatesIn++;
      this.options.update?.(bytes, start, end);
    } else if (type === 1) this.send(message(4));
    else if (type === 4) this.up();
    else if (type === 3) this.error ||= `NOTIFICATION ${bytes[start + 19]}/${bytes[start + 20]}`;
  }
}

function message(type: number, body: readonly number[] = []): Buffer {
  const length = headerBytes + body.length;
  return Buffer.from([...new Array(16).fill(255), length >> 8, length & 255, type, ...body]);
}

function u32(value: number): number[] {
  return [value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** OPEN with one family and four-octet AS numbers. */
function open({ asn, ipv6, routerId, holdTimeS }: SessionOptions): Buffer {
  const capabilities = [1, 4, 0, ipv6 ? 2 : 1, 0, 1, 65, 4, ...u32(asn)];
  const parameters = [2, capabilities.length, ...capabilities];
  const as2 = asn > 65_535 ? 23_456 : asn;
  const fixed = [4, as2 >> 8, as2 & 255, holdTimeS >> 8, holdTimeS & 255, ...u32(routerId)];
  return message(1, [...fixed, parameters.length, ...parameters]);
}
