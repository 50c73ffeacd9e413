/** One listener of the API: its sockets, its TLS, its gate. */
import { readFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import type net from "node:net";
import tls from "node:tls";
import { ConnectError, type ConnectRouter, type ContextValues } from "@connectrpc/connect";
import { accessGate, type Peer, peerKey } from "./access.ts";
import { type NodeRequest, nodeAdapter, type RequestListener } from "./adapter.ts";
import { auditCall, auditInterceptor } from "./audit.ts";
import { callInterceptor, countCall } from "./calls.ts";
import type { ServiceContext } from "./context.ts";
import { FileWatch, TokenFile } from "./files.ts";
import type { ListenerOptions, TcpListenerOptions } from "./listener-options.ts";
import { TokenBucket } from "./rate.ts";
import { listenTcp, listenUnix, sniffingServer, socketOptions } from "./sockets.ts";

/** Bytes of the largest request message; also what gRPC clients take by default. */
const requestBytesMax = 4 << 20;
const connectionsMax = 1_024;
const http2Options = { settings: { maxConcurrentStreams: 256 }, maxSessionMemory: 32 };

export interface ListenerHost {
  readonly services: ServiceContext;
  readonly routes: (router: ConnectRouter) => void;
  /** Aborted with the error that open calls shall end with. */
  readonly shutdownSignal: AbortSignal;
  /** How often files are looked at for changes, in milliseconds. */
  readonly filePollMs: number;
  /** User id at the other end of a Unix socket, where the system tells. */
  readonly peerUid?: (socket: net.Socket) => number | undefined;
}

export interface Listener {
  /** `unix:///path` or `host:port`. */
  readonly address: string;
  /** Takes no new connections, lets open calls end for `graceMs`, then closes what is left. */
  close(graceMs: number): Promise<void>;
}

/** Opens the listener; rejects with a sentence that says what failed. The options are checked before. */
export async function openListener(options: ListenerOptions, host: ListenerHost): Promise<Listener> {
  const { services } = host;
  const watches: FileWatch[] = [];
  const tokens = options.tokenFile === undefined ? undefined : new TokenFile(options.tokenFile);
  const gate = accessGate({
    access: options.access ?? "full",
    tokens,
    roles: (options.kind === "tcp" ? options.roles : undefined) ?? [],
    rate:
      options.requestsPerS === undefined
        ? undefined
        : new TokenBucket(options.requestsPerS, () => performance.now()),
  });
  const handler = nodeAdapter({
    routes: host.routes,
    interceptors: [callInterceptor(services.log), auditInterceptor(services.owner)],
    requestGate: (context) => {
      countCall(services.metrics, context);
      try {
        gate(context);
      } catch (error) {
        auditCall(services.owner, context, undefined, ConnectError.from(error));
        throw error;
      }
    },
    shutdownSignal: host.shutdownSignal,
    readMaxBytes: requestBytesMax,
    describePeer: describePeer(options, host),
  });

  const connections = new Connections();
  const serve = connections.counting(handler);
  const secure = options.kind === "tcp" && options.certFile !== undefined ? options : undefined;
  const front = secure ? secureServer(secure, serve, connections) : plainServer(serve, connections);
  if (secure) {
    const reload = (): void => (front as tls.Server).setSecureContext(readTls(secure));
    watches.push(new FileWatch(tlsFiles(secure), host.filePollMs, services.log, reload));
  }
  front.maxConnections = connectionsMax;

  try {
    if (options.kind === "unix") await listenUnix(front, options.path, options.mode ?? 0o660);
    else await listenTcp(front, options.address, options.port);
  } catch (error) {
    for (const watch of watches) watch.close();
    throw new Error(`cannot listen for the API on ${addressOf(options, front)}: ${(error as Error).message}`);
  }
  front.on("error", (error) => services.log("error", "the API listener failed", { error: String(error) }));
  if (tokens && options.tokenFile !== undefined) {
    watches.push(new FileWatch([options.tokenFile], host.filePollMs, services.log, () => tokens.reload()));
  }
  const address = addressOf(options, front);
  services.log("info", "the API listens", { address, access: options.access ?? "full" });
  return {
    address,
    async close(graceMs) {
      for (const watch of watches) watch.close();
      const closed = new Promise<void>((resolve) => front.close(() => resolve()));
      connections.endIdle();
      const deadline = setTimeout(() => connections.destroy(), graceMs);
      await closed;
      clearTimeout(deadline);
    },
  };
}

function addressOf(options: ListenerOptions, front: net.Server): string {
  if (options.kind === "unix") return `unix://${options.path}`;
  const bound = front.address();
  const port = bound !== null && typeof bound === "object" ? bound.port : options.port;
  return options.address.includes(":") ? `[${options.address}]:${port}` : `${options.address}:${port}`;
}

/** HTTP/1.1 and HTTP/2 without TLS on one socket. */
function plainServer(serve: RequestListener, connections: Connections): net.Server {
  const http1 = http.createServer(serve);
  const http2Server = http2.createServer(http2Options, serve);
  http2Server.on("session", (session) => connections.addSession(session));
  http2Server.on("sessionError", ignore);
  const front = sniffingServer(
    (socket) => {
      connections.addHttp1(socket);
      http1.emit("connection", socket);
    },
    (socket) => void http2Server.emit("connection", socket),
  );
  front.on("connection", (socket) => connections.add(socket));
  return front;
}

/** TLS 1.3 with client certificates; ALPN tells which HTTP a connection speaks. */
function secureServer(
  options: TcpListenerOptions,
  serve: RequestListener,
  connections: Connections,
): net.Server {
  const server = http2.createSecureServer(
    {
      ...socketOptions,
      ...http2Options,
      ...readTls(options),
      requestCert: true,
      rejectUnauthorized: true,
      allowHTTP1: true,
      minVersion: "TLSv1.3",
    },
    serve,
  );
  server.on("session", (session) => connections.addSession(session));
  server.on("sessionError", ignore);
  server.on("tlsClientError", ignore);
  server.on("connection", (socket: net.Socket) => connections.add(socket));
  server.on("secureConnection", (socket: tls.TLSSocket) => {
    if (socket.alpnProtocol !== "h2") connections.addHttp1(socket);
  });
  return server;
}

function tlsFiles(options: TcpListenerOptions): string[] {
  return [options.certFile, options.keyFile, options.clientCaFile].filter((file) => file !== undefined);
}

/** Reads and checks the files; throws when they do not fit together. */
function readTls(options: TcpListenerOptions): { cert: Buffer; key: Buffer; ca: Buffer } {
  const [cert, key, ca] = tlsFiles(options).map((file) => readFileSync(file));
  tls.createSecureContext({ cert, key, ca });
  return { cert, key, ca };
}

/** The open connections of a listener, so that closing it is quick for those who wait and gentle for those at work. */
class Connections {
  readonly #sockets = new Set<net.Socket>();
  readonly #sessions = new Set<http2.ServerHttp2Session>();
  /** HTTP/1.1 connections between two requests. */
  readonly #idle = new Set<net.Socket>();
  #ending = false;

  add(socket: net.Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
  }

  addHttp1(socket: net.Socket): void {
    this.#idle.add(socket);
    socket.on("close", () => this.#idle.delete(socket));
  }

  addSession(session: http2.ServerHttp2Session): void {
    this.#sessions.add(session);
    session.on("error", ignore);
    session.on("close", () => this.#sessions.delete(session));
  }

  /** The same listener, which also notes which HTTP/1.1 connections are at work. */
  counting(serve: RequestListener): RequestListener {
    return (request, response) => {
      if (request.httpVersionMajor === 1) {
        const { socket } = request;
        this.#idle.delete(socket);
        response.once("close", () => {
          if (this.#ending) socket.end();
          else if (!socket.destroyed) this.#idle.add(socket);
        });
      }
      serve(request, response);
    };
  }

  endIdle(): void {
    this.#ending = true;
    for (const session of this.#sessions) session.close();
    for (const socket of this.#idle) socket.destroy();
  }

  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Tells the gate who is at the other end; worked out once per connection. */
function describePeer(
  options: ListenerOptions,
  host: ListenerHost,
): (request: NodeRequest, values: ContextValues) => void {
  const known = new WeakMap<object, Peer>();
  return (request, values) => {
    const connection = ("stream" in request ? request.stream.session : undefined) ?? request.socket;
    let peer = known.get(connection);
    if (!peer) {
      peer = peerOf(request.socket, options, host);
      known.set(connection, peer);
    }
    values.set(peerKey, peer);
  };
}

function peerOf(socket: net.Socket, options: ListenerOptions, host: ListenerHost): Peer {
  if (options.kind === "unix") {
    const uid = host.peerUid?.(socket);
    return { name: uid === undefined ? "unix" : `unix:${uid}`, certificateNames: [] };
  }
  const { remoteAddress: name = "unknown", localAddress = "", localPort = 0 } = socket;
  // A socket of both families writes IPv4 addresses as IPv6.
  const plain = (address: string): string => address.replace(/^::ffff:(?=[0-9.]+$)/, "");
  const path = { local: plain(localAddress), remote: plain(name), port: localPort };
  if (!("getPeerCertificate" in socket)) return { name, certificateNames: [], path };
  return { name, certificateNames: namesOf((socket as tls.TLSSocket).getPeerCertificate()), path };
}

/** SANs first, then the common name. */
function namesOf(certificate: tls.PeerCertificate): string[] {
  const sans = (certificate.subjectaltname ?? "").split(", ").filter((san) => /^(DNS|URI|email):/.test(san));
  const cn = certificate.subject?.CN;
  return cn === undefined ? sans : [...sans, ...[cn].flat().map((name) => `CN:${name}`)];
}

function ignore(): void {}
