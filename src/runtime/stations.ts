/**
 * Connections that we open to stations (RPKI caches, BMP collectors), plain or with TLS, between Node's sockets and the
 * core. The core numbers them. Bytes are handed over as they come; a paused connection is not read from.
 */
import { readFileSync } from "node:fs";
import net from "node:net";
import tls from "node:tls";
import type { ClientTls } from "../state/client-tls.ts";

export interface StationTarget {
  readonly conn: number;
  /** Address or host name. */
  readonly host: string;
  readonly port: number;
  /** Source address; empty lets the kernel choose. */
  readonly localAddress: string;
  readonly tls: ClientTls | undefined;
}

/** What the core is told. */
export interface StationEvents {
  connected(conn: number): void;
  bytes(conn: number, bytes: Uint8Array): void;
  /** The kernel has taken bytes; `queued` are still waiting. Only for those who want to know. */
  sent?(conn: number, queued: number): void;
  /** The connection ended, or the attempt failed. */
  closed(conn: number, error: string | undefined): void;
}

/** A station that does not answer the handshakes for so long is not there. */
const connectTimeoutMs = 30_000;
/** Idle connections are probed: a station that is gone without a word shall be noticed. */
const keepAliveMs = 60_000;
/** After our last bytes: how long they may take before the connection is reset. */
const lingerMs = 3_000;

export class Stations {
  readonly #events: StationEvents;
  readonly #conns = new Map<number, net.Socket>();

  constructor(events: StationEvents) {
    this.#events = events;
  }

  connect(target: StationTarget): void {
    const { conn } = target;
    const events = this.#events;
    let socket: net.Socket;
    try {
      socket = open(target);
    } catch (error) {
      // A file that cannot be read, or holds no certificate. The core is told as of any other failure, after this turn.
      const text = error instanceof Error ? error.message : String(error);
      setImmediate(() => events.closed(conn, text));
      return;
    }
    this.#conns.set(conn, socket);
    let failure: string | undefined;
    let connected = false;
    const isOurs = (): boolean => this.#conns.get(conn) === socket;
    socket.setTimeout(connectTimeoutMs, () => {
      if (!connected) socket.destroy(new Error("ETIMEDOUT"));
    });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    socket.on(target.tls ? "secureConnect" : "connect", () => {
      connected = true;
      socket.setTimeout(0);
      if (isOurs()) events.connected(conn);
    });
    socket.on("data", (bytes: Uint8Array) => {
      if (isOurs()) events.bytes(conn, bytes);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      failure = error.code === undefined ? error.message : explain(error);
    });
    socket.on("close", () => {
      if (!isOurs()) return;
      this.#conns.delete(conn);
      events.closed(conn, failure);
    });
  }

  send(conn: number, bytes: Uint8Array): void {
    const socket = this.#conns.get(conn);
    if (!socket) return;
    const { sent } = this.#events;
    if (!sent) socket.write(bytes);
    else {
      socket.write(bytes, () => {
        if (this.#conns.get(conn) === socket) sent(conn, socket.writableLength);
      });
    }
  }

  pause(conn: number, paused: boolean): void {
    const socket = this.#conns.get(conn);
    if (paused) socket?.pause();
    else socket?.resume();
  }

  /** Ends a connection after what was sent is out (`abort`: at once). Nothing more is told of it. */
  close(conn: number, abort = false): void {
    const socket = this.#conns.get(conn);
    this.#conns.delete(conn);
    if (!socket) return;
    if (socket.connecting || abort) {
      socket.destroy();
      return;
    }
    socket.resume();
    socket.end();
    setTimeout(() => socket.destroy(), lingerMs).unref();
  }

  closeAll(): void {
    for (const socket of this.#conns.values()) socket.destroy();
    this.#conns.clear();
  }
}

function open({ host, port, localAddress, tls: secure }: StationTarget): net.Socket {
  const target = { host, port, ...(localAddress !== "" && { localAddress }) };
  if (!secure) return net.connect(target);
  return tls.connect({
    ...target,
    ...(secure.ca !== "" && { ca: readFileSync(secure.ca) }),
    ...(secure.cert !== "" && { cert: readFileSync(secure.cert), key: readFileSync(secure.key) }),
    // An address is no name that may be asked for (RFC 6066 3); the certificate is checked against it all the same.
    ...(net.isIP(secure.serverName) === 0 && { servername: secure.serverName }),
    checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(secure.serverName, certificate),
    minVersion: "TLSv1.2",
    ALPNProtocols: [],
  });
}

/** The errno or the reason of OpenSSL, with what it says where that is more. */
function explain(error: NodeJS.ErrnoException): string {
  return error.code?.startsWith("E") && !error.code.startsWith("ERR_")
    ? error.code
    : `${error.code}: ${error.message}`;
}
