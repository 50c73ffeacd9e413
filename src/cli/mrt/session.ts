/** A small speaker that sends what it is given to one neighbor and takes nothing in. */
import net from "node:net";
import { families } from "../../wire/family.ts";
import { Frame, Framer } from "../../wire/framer.ts";
import { keepaliveBytes } from "../../wire/keepalive.ts";
import { MessageType } from "../../wire/message.ts";
import { decodeNotification, describeNotification, encodeNotification } from "../../wire/notification.ts";
import { decodeOpen, encodeOpen, isWireError } from "../../wire/open.ts";
import { UpdateEncoder } from "../../wire/update-encode.ts";
import { CliError, exitCode } from "../exit.ts";

export interface SessionOptions {
  readonly host: string;
  readonly port: number;
  readonly localAddress: string | undefined;
  readonly asn: number;
  readonly routerId: number;
}

const holdTimeS = 90;
const connectTimeoutMs = 10_000;
const receiveBytes = 1 << 16;

export class ReplaySession {
  /** AS number of the neighbor, from its OPEN. */
  remoteAsn = 0;
  private readonly socket: net.Socket;
  private readonly framer = new Framer();
  private pending: Buffer = Buffer.alloc(0);
  private readonly keepalive: NodeJS.Timeout;
  private failure: CliError | undefined;
  private failed: (error: CliError) => void = () => {};
  /** Rejects when the session ends. */
  private readonly ended: Promise<never>;
  private up: () => void = () => {};
  private readonly target: string;

  private constructor(options: SessionOptions) {
    const { host, port, localAddress } = options;
    this.target = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    this.ended = new Promise((_, reject) => (this.failed = reject));
    this.ended.catch(() => {});
    this.socket = net.connect({ host, port, ...(localAddress === undefined ? {} : { localAddress }) });
    this.socket.setNoDelay(true);
    const capabilities = [
      ...families
        .filter(({ safi }) => safi === 1)
        .map(({ afi, safi }) => ({ kind: "multiprotocol", afi, safi }) as const),
      { kind: "four-octet-as", asn: options.asn } as const,
    ];
    const { asn, routerId } = options;
    this.socket.on("connect", () =>
      this.socket.write(encodeOpen({ asn, holdTimeS, routerId, capabilities })),
    );
    this.socket.on("data", (bytes: Buffer) => this.received(bytes));
    this.socket.on("error", (error) => this.fail(`${this.target}: ${error.message}`));
    this.socket.on("close", () => this.fail(`${this.target} closed the connection`));
    this.keepalive = setInterval(() => this.socket.write(keepaliveBytes), (holdTimeS * 1000) / 3);
  }

  /** Resolves when the session is established. @throws CliError */
  static async open(options: SessionOptions): Promise<ReplaySession> {
    const session = new ReplaySession(options);
    const timer = setTimeout(
      () => session.fail(`${session.target} does not establish a session`),
      connectTimeoutMs,
    );
    try {
      await Promise.race([new Promise<void>((resolve) => (session.up = resolve)), session.ended]);
      return session;
    } catch (error) {
      session.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends whole messages; resolves when the neighbor has room for more. @throws CliError when the session has ended */
  async send(bytes: Uint8Array): Promise<void> {
    if (this.failure) throw this.failure;
    if (bytes.length === 0 || this.socket.write(bytes)) return;
    await Promise.race([new Promise((resolve) => this.socket.once("drain", resolve)), this.ended]);
  }

  /** Sends the End-of-RIB markers of all families. */
  async endOfRib(): Promise<void> {
    const encoder = new UpdateEncoder();
    encoder.reset({ fourOctetAs: true, addPath: 0, maxMessageBytes: 4096 });
    for (const family of families) if (family.safi === 1) encoder.endOfRib(family);
    await this.send(encoder.writer.take());
  }

  /** Stays for so long, or until the neighbor or the operator ends it. @throws CliError when the neighbor does */
  async linger(ms: number | undefined, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
    try {
      await Promise.race([promise, this.ended]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the session with Cease / Administrative Shutdown. */
  close(): void {
    clearInterval(this.keepalive);
    this.failure ??= new CliError(exitCode.failed, "SESSION", "the session has ended");
    if (this.socket.connecting) this.socket.destroy();
    else this.socket.end(encodeNotification(6, 2));
    // Whatever still comes is of no interest.
    this.socket.resume().setTimeout(1000, () => this.socket.destroy());
  }

  private fail(message: string): void {
    clearInterval(this.keepalive);
    if (this.failure) return;
    this.failure = new CliError(exitCode.failed, "SESSION", message);
    this.failed(this.failure);
  }

  private received(bytes: Buffer): void {
    this.pending = this.pending.length === 0 ? bytes : Buffer.concat([this.pending, bytes]);
    const { framer, pending } = this;
    let at = 0;
    for (;;) {
      const frame = framer.next(pending, at, pending.length, receiveBytes);
      if (frame === Frame.incomplete) break;
      if (frame === Frame.error) {
        this.fail(`${this.target} sends no BGP: ${framer.error?.text}`);
        this.socket.destroy();
        return;
      }
      this.message(framer.type, pending, framer.start, framer.end);
      at = framer.end;
    }
    this.pending = pending.subarray(at);
  }

  private message(type: number, bytes: Buffer, start: number, end: number): void {
    if (type === MessageType.open) {
      const open = decodeOpen(bytes, start, end);
      if (isWireError(open)) this.fail(`${this.target}: ${open.text}`);
      else {
        this.remoteAsn = open.asn;
        this.socket.write(keepaliveBytes);
      }
    } else if (type === MessageType.keepalive) this.up();
    else if (type === MessageType.notification) {
      const { code, subcode, shutdownMessage } = decodeNotification(bytes, start, end);
      const text = shutdownMessage === "" ? "" : ` (${shutdownMessage})`;
      this.fail(`${this.target} ended the session: ${describeNotification(code, subcode)}${text}`);
    }
  }
}
