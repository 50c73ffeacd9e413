/**
 * Connections to RPKI caches, plain or with TLS, between Node's sockets and the core. The core numbers them. Bytes are
 * handed over as they come; a paused connection is not read from.
 */
import { readFileSync } from "node:fs";
import net from "node:net";
import tls from "node:tls";
import type { RpkiEffect, RpkiInput } from "../state/rpki-inputs.ts";

type ConnectEffect = Extract<RpkiEffect, { kind: "rtr.connect" }>;

/** A cache that does not answer the handshakes for so long is not there. */
const connectTimeoutMs = 30_000;
/** Idle connections are probed: a cache that is gone without a word shall be noticed before its data expires. */
const keepAliveMs = 60_000;
/** After our last bytes: how long they may take before the connection is reset. */
const lingerMs = 3_000;

export class RtrPort {
  readonly #post: (input: RpkiInput) => void;
  readonly #conns = new Map<number, net.Socket>();

  constructor(post: (input: RpkiInput) => void) {
    this.#post = post;
  }

  apply(effect: Extract<RpkiEffect, { kind: `rtr.${string}` }>): void {
    if (effect.kind === "rtr.connect") {
      this.#connect(effect);
      return;
    }
    const socket = this.#conns.get(effect.conn);
    if (!socket) return;
    if (effect.kind === "rtr.send") socket.write(effect.bytes);
    else if (effect.kind === "rtr.close") this.#end(effect.conn, socket);
    else if (effect.paused) socket.pause();
    else socket.resume();
  }

  close(): void {
    for (const socket of this.#conns.values()) socket.destroy();
    this.#conns.clear();
  }

  #connect(effect: ConnectEffect): void {
    const { conn } = effect;
    let socket: net.Socket;
    try {
      socket = open(effect);
    } catch (error) {
      // A file that cannot be read, or holds no certificate. The core is told as of any other failure, after this turn.
      const text = error instanceof Error ? error.message : String(error);
      setImmediate(() => this.#post({ kind: "rtr.closed", conn, error: text }));
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
    socket.on(effect.tls ? "secureConnect" : "connect", () => {
      connected = true;
      socket.setTimeout(0);
      if (isOurs()) this.#post({ kind: "rtr.connected", conn });
    });
    socket.on("data", (bytes: Uint8Array) => {
      if (isOurs()) this.#post({ kind: "rtr.bytes", conn, bytes });
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      failure = error.code === undefined ? error.message : explain(error);
    });
    socket.on("close", () => {
      if (!isOurs()) return;
      this.#conns.delete(conn);
      this.#post({ kind: "rtr.closed", conn, error: failure });
    });
  }

  #end(conn: number, socket: net.Socket): void {
    this.#conns.delete(conn);
    if (socket.connecting) {
      socket.destroy();
      return;
    }
    socket.resume();
    socket.end();
    setTimeout(() => socket.destroy(), lingerMs).unref();
  }
}

function open({ host, port, localAddress, tls: secure }: ConnectEffect): net.Socket {
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
