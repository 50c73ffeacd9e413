/** One BGP session of the load generator: connects from an address of its own, speaks just enough. */
import net from "node:net";

export interface SessionOptions {
  readonly host: string;
  readonly port: number;
  readonly localAddress: string;
  readonly asn: number;
  readonly holdTimeS: number;
  /** Called with each UPDATE: `bytes[start, end)`, header included. */
  update?(bytes: Buffer, start: number, end: number): void;
}

export class Session {
  readonly established: Promise<void>;
  /** Why the session ended; empty while it is up. */
  error = "";
  /** Milliseconds between the messages of the other side: the longest so far. */
  longestSilenceMs = 0;
  private readonly socket: net.Socket;
  private readonly options: SessionOptions;
  private rest: Buffer = Buffer.alloc(0);
  private lastHeardMs = performance.now();
  private readonly keepalive: NodeJS.Timeout;

  constructor(options: SessionOptions) {
    this.options = options;
    const { host, port, localAddress, asn, holdTimeS } = options;
    this.socket = net.connect({ host, port, localAddress });
    this.socket.setNoDelay(true);
    this.keepalive = setInterval(() => this.send(message(4)), (holdTimeS * 1000) / 3);
    this.established = new Promise((resolve, reject) => {
      const end = (reason: string): void => {
        this.error ||= reason;
        clearInterval(this.keepalive);
        reject(new Error(`${localAddress}: ${this.error}`));
      };
      this.socket.on("connect", () => this.send(open(asn, holdTimeS, localAddress)));
      this.socket.on("data", (chunk: Buffer) => this.read(chunk, resolve));
      this.socket.on("error", (error) => end(error.message));
      this.socket.on("close", () => end("closed"));
    });
    this.established.catch(() => {});
  }

  /** Hands bytes to the socket. @returns false when it wants no more for now */
  send(bytes: Uint8Array): boolean {
    return this.error === "" && this.socket.write(bytes);
  }

  async sendAll(bytes: Buffer): Promise<void> {
    const step = 1 << 18;
    for (let at = 0; at < bytes.length && this.error === ""; at += step) {
      if (this.send(bytes.subarray(at, at + step))) continue;
      await new Promise((resolve) => this.socket.once("drain", resolve).once("close", resolve));
    }
  }

  close(): void {
    clearInterval(this.keepalive);
    this.error ||= "closed by us";
    this.socket.destroy();
  }

  private read(chunk: Buffer, established: () => void): void {
    const now = performance.now();
    this.longestSilenceMs = Math.max(this.longestSilenceMs, now - this.lastHeardMs);
    this.lastHeardMs = now;
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 19) {
      const end = at + bytes.readUInt16BE(at + 16);
      if (end > bytes.length) break;
      const type = bytes[at + 18];
      if (type === 2) this.options.update?.(bytes, at, end);
      else if (type === 1) this.send(message(4));
      else if (type === 4) established();
      else if (type === 3) this.error ||= `NOTIFICATION ${bytes[at + 19]}/${bytes[at + 20]}`;
      at = end;
    }
    this.rest = bytes.subarray(at);
  }
}

function message(type: number, body: readonly number[] = []): Buffer {
  const length = 19 + body.length;
  return Buffer.from([...new Array(16).fill(255), length >> 8, length & 255, type, ...body]);
}

/** OPEN with IPv4 unicast and four-octet AS numbers. */
function open(asn: number, holdTimeS: number, routerId: string): Buffer {
  const as4 = [asn >>> 24, (asn >> 16) & 255, (asn >> 8) & 255, asn & 255];
  const capabilities = [1, 4, 0, 1, 0, 1, 65, 4, ...as4];
  const parameters = [2, capabilities.length, ...capabilities];
  const id = routerId.split(".").map(Number);
  return message(1, [
    4,
    0x5b,
    0xa0,
    holdTimeS >> 8,
    holdTimeS & 255,
    ...id,
    parameters.length,
    ...parameters,
  ]);
}
