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
import { changeKeys, KeyTable, type SocketKey, setMinTtl, setTtl } from "./socket-options.ts";

export type TcpEffect = Extract<Effect, { kind: `tcp.${string}` }>;
export type TcpInput = Extract<Input, { kind: `tcp.${string}` }>;
/** The kernel gives up after two minutes; the session's own retry timer is sooner, but it can be switched off. */
const connectTimeoutMs = 30_000;
/** After our FIN: how long the last bytes and the peer's FIN may take before the connection is reset. */
const lingerMs = 3_000;
const readBufferBytes = 1 << 16;

/** One connection that the core knows of. */
interface Conn {
  readonly id: ConnId;
  readonly socket: net.Socket;
  /** The socket's descriptor; -1 without the addon. Only to be used while the socket is not destroyed. */
  readonly fd: number;
  /** Canonical text of the neighbor's address. */
  readonly remote: string;
  /** Keys that the socket has. */
  key: SocketKey | undefined;
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
  readonly #keys = new KeyTable();
  /** Keys that a listener did not take, as `ADDRESS/LENGTH`: who connects from there is not let in. */
  readonly #unkeyed = new Set<string>();
  /** By address family of the listener. */
  readonly #listenTtl = new Map<4 | 6, { readonly ttl: number; readonly minTtl: number }>();
  readonly #toFlush: Conn[] = [];
  readonly #toReport: Conn[] = [];
  #flushDue = false;
  #reportDue = false;
  #lastAccepted = 0;
  #ttlWarned = false;
  #protected = false;

  constructor(post: (input: TcpInput) => void, log: TcpLog) {
    this.#post = post;
    this.#log = log;
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
        this.#limitTtl(listener);
        for (const key of this.#keys.all()) this.#keyListener(listener, undefined, key);
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
      this.#changeKey(effect);
      return;
    }
    if (effect.kind === "tcp.listen-ttl") {
      this.#listenTtl.set(effect.family, effect);
      for (const listener of this.#listeners)
        if (familyOf(listener.address) === effect.family) this.#limitTtl(listener);
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
    return this.#keys.size > 0 || this.#protected;
  }

  // --------------------------------------------------------------------------------------------- protection

  #changeKey(key: SocketKey): void {
    const before = this.#keys.set(key);
    const after = this.#keys.get(`${key.address}/${key.length}`);
    this.#unkeyed.delete(`${key.address}/${key.length}`);
    for (const listener of this.#listeners) this.#keyListener(listener, before, after);
    for (const conn of this.#conns.values()) this.#keyConnection(conn);
  }

  /** A listener that does not take a key lets nobody in from there. */
  #keyListener(listener: Listener, before: SocketKey | undefined, after: SocketKey | undefined): void {
    const key = after ?? before;
    if (!key || familyOf(listener.address) !== familyOf(key.address)) return;
    const error = listener.fd < 0 ? "ENOSYS" : changeKeys(listener.fd, before, after, true);
    if (error === undefined) return;
    const where = `${key.address}/${key.length}`;
    if (after) this.#unkeyed.add(where);
    this.#log("error", "a listening socket does not take a key; connections from there are refused", {
      prefix: where,
      listener: `${listener.address}:${listener.port}`,
      error,
      fix: error === "ENOMEM" ? "raise the sysctl net.core.optmem_max and restart" : "",
    });
  }

  /** Brings a live connection to the keys for its address as they are now. */
  #keyConnection(conn: Conn): void {
    const wanted = this.#keys.find(conn.remote);
    if (wanted === conn.key || conn.socket.destroyed) return;
    const before = conn.key;
    // Whatever prefix the key came by, this socket has it for its own address (MD5) or as the listener had it (AO).
    const place =
      before && before.ao.length > 0
        ? { address: before.address, length: before.length }
        : ownPrefix(conn.remote);
    const at = (key: SocketKey | undefined): SocketKey | undefined => key && { ...key, ...place };
    const error = conn.fd < 0 ? "ENOSYS" : changeKeys(conn.fd, at(before), at(wanted), false);
    conn.key = wanted && { ...wanted, ...place };
    if (error === undefined) return;
    this.#log("warn", "a live connection does not take a changed key; reset it to use the new one", {
      neighbor: conn.remote,
      error,
    });
  }

  #configure(conn: Conn, ttl: number, minTtl: number): void {
    if (conn.socket.destroyed) return;
    const family = familyOf(conn.remote);
    const inherited = (this.#listenTtl.get(family)?.ttl ?? 0) > 0;
    if (ttl > 0 || inherited) this.#setTtl(conn.fd, family === 6, ttl || -1);
    if (minTtl > 0) this.#protected = true;
    const result = conn.fd < 0 ? -sys.ENOSYS : setMinTtl(conn.fd, family === 6, minTtl);
    if (result < 0 && minTtl > 0) this.#refuse(conn, errnoName(result));
  }

  /** What must protect a connection cannot be had, so there is none. */
  #refuse(conn: Conn, error: string): void {
    process.nextTick(() => this.#ended(conn, error));
  }

  #limitTtl(listener: Listener): void {
    const six = familyOf(listener.address) === 6;
    const wanted = this.#listenTtl.get(six ? 6 : 4);
    if (!wanted || listener.fd < 0) return; // without the addon, connections are refused one by one
    if (wanted.minTtl > 0) this.#protected = true;
    const results = [setTtl(listener.fd, six, wanted.ttl || -1), setMinTtl(listener.fd, six, wanted.minTtl)];
    const failed = results.find((result) => result < 0);
    if (failed !== undefined)
      this.#log("warn", "TTLs of a listening socket were not set", { error: errnoName(failed) });
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
    const key = this.#keys.find(remote);
    if (key && (fd < 0 || this.#unkeyed.has(`${key.address}/${key.length}`))) {
      socket.on("error", () => {});
      socket.destroy(); // the kernel did not check its segments
      return;
    }
    const conn = this.#adopt(id, socket, fd, remote);
    // The kernel copies keys from the listener, unless the connection is older than the key.
    conn.key = key;
    if (key?.md5 !== undefined) changeKeys(fd, undefined, { ...key, ...ownPrefix(remote), ao: [] }, false);
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
    const remoteIp = parseIp(effect.remoteAddress);
    const family = remoteIp?.length === 16 ? 6 : 4;
    const target = { host: effect.remoteAddress, port: effect.remotePort, family, autoSelectFamily: false };
    const fd = native ? this.#clientFd(effect, family === 6) : -1;
    if (typeof fd === "string") {
      this.#failLater(effect.conn, fd);
      return;
    }
    if (fd < 0 && effect.ttl > 0) this.#setTtl(fd, family === 6, effect.ttl);
    const key = this.#keys.find(effect.remoteAddress);
    if (fd < 0 && (key || effect.minTtl > 0)) {
      this.#failLater(effect.conn, "ENOSYS");
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
    conn.key = key && { ...key, ...ownPrefix(effect.remoteAddress) };
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
    if (effect.ttl > 0) this.#setTtl(fd, six, effect.ttl);
    const error = this.#protect(fd, six, effect);
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

  /** Keys and the lowest TTL, before the first packet. @returns the errno name when one cannot be set */
  #protect(fd: number, six: boolean, { remoteAddress, minTtl }: ConnectEffect): string | undefined {
    if (minTtl > 0) {
      this.#protected = true;
      const result = setMinTtl(fd, six, minTtl);
      if (result < 0) return errnoName(result);
    }
    const key = this.#keys.find(remoteAddress);
    return key && changeKeys(fd, undefined, { ...key, ...ownPrefix(remoteAddress) }, false);
  }

  #setTtl(fd: number, six: boolean, ttl: number): void {
    const result = fd >= 0 && native ? setTtl(fd, six, ttl) : undefined;
    if (result === 0 || (result === undefined && this.#ttlWarned)) return;
    this.#ttlWarned ||= result === undefined;
    this.#log("warn", "TTL of a BGP connection was not set", {
      ttl,
      error: result === undefined ? (nativeMissing ?? "") : errnoName(result),
    });
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

function familyOf(address: string): 4 | 6 {
  return address.includes(":") ? 6 : 4;
}

/** The prefix that is one address. */
function ownPrefix(address: string): { readonly address: string; readonly length: number } {
  return { address: address.split("%")[0], length: familyOf(address) === 4 ? 32 : 128 };
}
