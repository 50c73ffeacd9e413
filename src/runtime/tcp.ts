/**
 * TCP between Node's sockets and the core. Effects open, fill, pause and close connections; what happens on the wire
 * comes back as inputs. The core never sees a socket, only a number.
 *
 *   core --effect--> TcpPort.apply --> socket        bytes of one drain of effects leave as one writev
 *   core <--input--- post          <-- socket        all sockets read into one shared buffer
 *
 * `post` must take what it wants of `tcp.bytes` before it returns: the bytes lie in a buffer that the next read
 * overwrites. Measured against one buffer per read ('data' events): a quarter to a half of the CPU per byte.
 *
 * The core numbers the connections it opens from 1 up; accepted ones are numbered here from -1 down, so the two never
 * meet.
 *
 * With the native addon descriptors are ours (options before connect, accepted sockets with `onread`); without it the
 * same code runs on plain `net`, TTL settings are refused with a warning, and reading costs more.
 */
import net from "node:net";
import { formatIp, parseIp } from "../base/ip.ts";
import type { ConnectEffect, Effect } from "../state/effects.ts";
import type { ConnId, Input } from "../state/inputs.ts";
import { type Listener, openListener, type TcpLog } from "./listen.ts";
import { encodeSocketAddress, errnoName, native, nativeMissing, sys } from "./native.ts";
import { type Guarded, Protection } from "./protection.ts";

export type TcpEffect = Extract<Effect, { kind: `tcp.${string}` }>;
export type TcpInput = Extract<Input, { kind: `tcp.${string}` }>;
/** The kernel gives up after two minutes; the session's own retry timer is sooner, but it can be switched off. */
const connectTimeoutMs = 30_000;
/** After our FIN: how long the last bytes and the peer's FIN may take before the connection is reset. */
const lingerMs = 3_000;
const readBufferBytes = 1 << 16;

/** One connection that the core knows of. */
interface Conn extends Guarded {
  readonly id: ConnId;
  readonly socket: net.Socket;
  /** Only to be used while the socket is not destroyed. */
  readonly fd: number;
  connected: boolean;
  paused: boolean;
  /** Chunks of this drain, not yet handed to the socket, and their bytes. */
  batch: Uint8Array[];
  batchBytes: number;
  /** A `tcp.sent` is due. */
  sentDue: boolean;
  timer: NodeJS.Timeout | undefined;
}

export class TcpPort {
  readonly #post: (input: TcpInput) => void;
  readonly #log: TcpLog;
  readonly #readBuffer = new Uint8Array(readBufferBytes);
  readonly #conns = new Map<ConnId, Conn>();
  /** Sockets that the core has let go of and that still carry their last bytes. */
  readonly #lingering = new Set<net.Socket>();
  readonly #listeners: Listener[] = [];
  readonly #protection: Protection;
  readonly #toFlush: Conn[] = [];
  readonly #toReport: Conn[] = [];
  #flushDue = false;
  #reportDue = false;
  #lastAccepted = 0;

  constructor(post: (input: TcpInput) => void, log: TcpLog) {
    this.#post = post;
    this.#log = log;
    this.#protection = new Protection(log);
    if (nativeMissing) log("warn", `${nativeMissing}; TTL settings of neighbors have no effect`);
  }

  /** Addresses that are listened on, with the ports that the kernel chose for port 0. */
  get listening(): readonly { readonly address: string; readonly port: number }[] {
    return this.#listeners.map(({ address, port }) => ({ address, port }));
  }

  /**
   * Listens on every `ADDRESS:PORT` or `[V6]:PORT`; those who connect wait until `accept`. IPv6 listeners take IPv6 only.
   * @throws Error with a sentence for the operator when one cannot be bound; none is left open then
   */
  async listen(addresses: readonly string[]): Promise<void> {
    try {
      for (const text of addresses) {
        const accept = {
          fd: (fd: number) => this.#acceptFd(fd),
          socket: (s: net.Socket) => this.#acceptSocket(s),
        };
        const listener = await openListener(text, accept, this.#log);
        this.#listeners.push(listener);
        this.#protection.listen(listener);
      }
    } catch (error) {
      this.stopListening();
      throw error;
    }
  }

  /** Takes connections from now on: whoever connects meets neighbors that are known. */
  accept(): void {
    for (const listener of this.#listeners) listener.accept();
  }

  /** Carries out one effect. Failures come back as `tcp.closed`, never from here, and never before this returns. */
  apply(effect: TcpEffect): void {
    if (effect.kind === "tcp.connect") {
      this.#connect(effect);
      return;
    }
    if (effect.kind === "tcp.key") {
      this.#protection.setKey(effect, this.#listeners, this.#conns.values());
      return;
    }
    if (effect.kind === "tcp.listen-ttl") {
      this.#protection.setListenTtl(effect, this.#listeners);
      return;
    }
    const conn = this.#conns.get(effect.conn);
    if (!conn) return; // it ended while the effect was under way; the core has or will get `tcp.closed`
    switch (effect.kind) {
      case "tcp.configure":
        this.#configure(conn, effect.ttl, effect.minTtl);
        return;
      case "tcp.send":
        if (conn.batch.length === 0) this.#toFlush.push(conn);
        conn.batch.push(effect.bytes);
        conn.batchBytes += effect.bytes.length;
        if (!this.#flushDue) {
          this.#flushDue = true;
          process.nextTick(this.#flush); // after the drain of effects that this is part of
        }
        return;
      case "tcp.pause":
        conn.paused = effect.paused;
        if (effect.paused) conn.socket.pause();
        else conn.socket.resume();
        return;
      case "tcp.close":
        this.#close(conn, effect.abort);
        return;
    }
  }

  /** True once there are keys or TTLs whose breach the kernel counts. */
  get isProtecting(): boolean {
    return this.#protection.isActive;
  }

  /** Stops listening. Connections stay. */
  stopListening(): void {
    for (const listener of this.#listeners.splice(0)) listener.close();
  }

  /** Ends everything; resolves when the last bytes of every connection are out, or after `lingerMs`. */
  async close(): Promise<void> {
    this.stopListening();
    for (const conn of [...this.#conns.values()]) this.#close(conn, !conn.connected);
    await Promise.all(
      [...this.#lingering].map((socket) => new Promise((done) => socket.once("close", done))),
    );
  }

  // ---------------------------------------------------------------------------------------------- accepting

  #acceptFd(fd: number): void {
    const id = --this.#lastAccepted;
    let socket: net.Socket;
    try {
      socket = new net.Socket({ ...ownFd(fd), ...this.#reading(id) });
    } catch (error) {
      native!.close(fd);
      this.#log("error", "cannot use an accepted connection", { error: codeOf(error) });
      return;
    }
    this.#accept(id, socket, fd);
  }

  #acceptSocket(socket: net.Socket): void {
    const id = --this.#lastAccepted;
    socket.on("data", (bytes) => this.#received(id, bytes as Buffer));
    this.#accept(id, socket, -1);
  }

  #accept(id: ConnId, socket: net.Socket, fd: number): void {
    const { remoteAddress, remotePort, localAddress, localPort } = socket;
    if (remoteAddress === undefined || localAddress === undefined) {
      socket.on("error", () => {});
      socket.destroy(); // reset before we looked
      return;
    }
    const remote = canonical(remoteAddress);
    if (!this.#protection.admits(fd, remote)) {
      socket.on("error", () => {});
      socket.destroy();
      return;
    }
    const conn = this.#adopt(id, socket, fd, remote);
    this.#protection.accepted(conn);
    conn.connected = true;
    socket.setNoDelay(true);
    this.#post({
      kind: "tcp.accepted",
      conn: conn.id,
      localAddress: canonical(localAddress),
      localPort: localPort!,
      remoteAddress: remote,
      remotePort: remotePort!,
    });
    if (this.#conns.has(id) && !conn.paused) socket.resume(); // starts reading
  }

  // --------------------------------------------------------------------------------------------- connecting

  #connect(effect: ConnectEffect): void {
    const remoteIp = parseIp(effect.remoteAddress.split("%")[0]);
    const family = remoteIp?.length === 16 ? 6 : 4;
    const target = { host: effect.remoteAddress, port: effect.remotePort, family, autoSelectFamily: false };
    const fd = native ? this.#clientFd(effect, family === 6) : -1;
    if (typeof fd === "string") {
      this.#failLater(effect.conn, fd);
      return;
    }
    const failure = fd < 0 ? this.#protect(fd, effect) : undefined;
    if (failure !== undefined) {
      this.#failLater(effect.conn, failure);
      return;
    }
    let socket: net.Socket;
    try {
      socket = new net.Socket({ ...(fd < 0 ? {} : ownFd(fd)), ...this.#reading(effect.conn) });
    } catch (error) {
      if (fd >= 0) native!.close(fd);
      this.#failLater(effect.conn, codeOf(error));
      return;
    }
    const conn = this.#adopt(effect.conn, socket, fd, effect.remoteAddress);
    this.#protection.dialled(conn);
    conn.timer = setTimeout(() => this.#ended(conn, "ETIMEDOUT"), connectTimeoutMs);
    socket.once("connect", () => {
      clearTimeout(conn.timer);
      conn.connected = true;
      socket.setNoDelay(true);
      const { localAddress, localPort } = socket;
      if (localAddress === undefined) {
        this.#ended(conn, "ECONNRESET"); // reset before we looked
        return;
      }
      const local = { localAddress: canonical(localAddress), localPort: localPort! };
      this.#post({ kind: "tcp.connected", conn: conn.id, ...local });
    });
    try {
      socket.connect(fd < 0 ? { ...target, localAddress: effect.localAddress } : target);
    } catch (error) {
      this.#forget(conn);
      socket.destroy();
      this.#failLater(effect.conn, codeOf(error));
    }
  }

  /** A descriptor with everything set that must be set before connect; the errno name when that fails. */
  #clientFd(effect: ConnectEffect, six: boolean): number | string {
    const fd = native!.socket(six ? sys.AF_INET6 : sys.AF_INET, sys.SOCK_STREAM, 0);
    if (fd < 0) return errnoName(fd);
    const error = this.#protect(fd, effect);
    if (error !== undefined) {
      native!.close(fd);
      return error;
    }
    if (effect.localAddress !== undefined) {
      const local = encodeSocketAddress(effect.localAddress, 0);
      const result = local ? native!.bind(fd, local) : undefined;
      if (result !== 0) {
        native!.close(fd);
        return result === undefined ? "EINVAL" : errnoName(result);
      }
    }
    return fd;
  }

  #protect(fd: number, { remoteAddress, ttl, minTtl }: ConnectEffect): string | undefined {
    return this.#protection.beforeConnect(fd, remoteAddress, ttl, minTtl);
  }

  #configure(conn: Conn, ttl: number, minTtl: number): void {
    if (conn.socket.destroyed) return;
    const error = this.#protection.configure(conn, ttl, minTtl);
    if (error !== undefined) process.nextTick(() => this.#ended(conn, error));
  }

  // ------------------------------------------------------------------------------------- life of a connection

  /** Options that make a socket read into the shared buffer. */
  #reading(id: ConnId): net.SocketConstructorOpts {
    const buffer = this.#readBuffer;
    const callback = (length: number): boolean => {
      this.#received(id, buffer.subarray(0, length));
      return true;
    };
    return { onread: { buffer, callback } };
  }

  #received(id: ConnId, bytes: Uint8Array): void {
    if (this.#conns.has(id)) this.#post({ kind: "tcp.bytes", conn: id, bytes });
  }

  #adopt(id: ConnId, socket: net.Socket, fd: number, remote: string): Conn {
    const conn: Conn = {
      id,
      socket,
      fd,
      remote,
      key: undefined,
      connected: false,
      paused: false,
      batch: [],
      batchBytes: 0,
      sentDue: false,
      timer: undefined,
    };
    this.#conns.set(id, conn);
    socket.on("error", (error) => this.#ended(conn, codeOf(error)));
    socket.on("end", () => this.#ended(conn, undefined));
    socket.on("close", () => this.#ended(conn, undefined));
    return conn;
  }

  /** The other side or the system ended it: the core is told, once. */
  #ended(conn: Conn, error: string | undefined): void {
    if (!this.#forget(conn)) return;
    conn.socket.destroy();
    this.#post({ kind: "tcp.closed", conn: conn.id, error });
  }

  #failLater(id: ConnId, error: string): void {
    process.nextTick(() => this.#post({ kind: "tcp.closed", conn: id, error }));
  }

  /** @returns false when it was forgotten before */
  #forget(conn: Conn): boolean {
    clearTimeout(conn.timer);
    return this.#conns.delete(conn.id);
  }

  /**
   * The core ended it. Closing a socket that has unread bytes resets the connection, and a reset destroys what the
   * peer has not read yet: the NOTIFICATION. So the orderly way is our FIN, then reading on until theirs.
   */
  #close(conn: Conn, abort: boolean): void {
    const { socket } = conn;
    if (!abort && conn.connected) this.#write(conn);
    this.#forget(conn);
    if (socket.destroyed) return;
    if (abort || !conn.connected) {
      reset(conn);
      return;
    }
    this.#lingering.add(socket);
    conn.timer = setTimeout(() => reset(conn), lingerMs);
    socket.once("close", () => {
      clearTimeout(conn.timer);
      this.#lingering.delete(socket);
    });
    socket.end();
    socket.resume();
  }

  // ------------------------------------------------------------------------------------------------ sending

  readonly #flush = (): void => {
    this.#flushDue = false;
    for (const conn of this.#toFlush) this.#write(conn);
    this.#toFlush.length = 0;
  };

  /** Hands the batch to the socket as one write; its completion is reported as one `tcp.sent`. */
  #write(conn: Conn): void {
    const { socket, batch } = conn;
    if (batch.length === 0) return;
    conn.batch = [];
    conn.batchBytes = 0;
    if (!this.#conns.has(conn.id) || socket.destroyed) return;
    socket.cork();
    for (let i = 0; i < batch.length - 1; i++) socket.write(batch[i]);
    socket.write(batch[batch.length - 1], () => this.#taken(conn));
    socket.uncork();
  }

  #taken(conn: Conn): void {
    if (conn.sentDue) return;
    conn.sentDue = true;
    this.#toReport.push(conn);
    if (this.#reportDue) return;
    this.#reportDue = true;
    process.nextTick(this.#report); // several batches often complete together
  }

  readonly #report = (): void => {
    this.#reportDue = false;
    for (const conn of this.#toReport.splice(0)) {
      conn.sentDue = false;
      if (!this.#conns.has(conn.id)) continue;
      this.#post({ kind: "tcp.sent", conn: conn.id, queued: conn.socket.writableLength + conn.batchBytes });
    }
  };
}

/** Options for a socket on a descriptor of ours, that does not read yet. `manualStart` is Node's, but untyped. */
function ownFd(fd: number): net.SocketConstructorOpts {
  const options = { fd, readable: true, writable: true, manualStart: true };
  return options;
}

/** Closes at once; with the addon also with RST, so that nothing unsent lingers in the kernel. */
function reset(conn: Conn): void {
  if (conn.socket.destroyed) return;
  const onWithoutDelay = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0); // struct linger { 1, 0 }
  if (conn.fd >= 0 && conn.connected)
    native?.setsockopt(conn.fd, sys.SOL_SOCKET, sys.SO_LINGER, onWithoutDelay);
  conn.socket.destroy();
}

/** The errno name of an error of Node's. */
function codeOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}

/** RFC 5952 text; a link-local address keeps its interface as `%name`. */
function canonical(text: string): string {
  const [address, zone] = text.split("%");
  const ip = parseIp(address);
  if (!ip) return text;
  return zone === undefined ? formatIp(ip) : `${formatIp(ip)}%${zone}`;
}
