/**
 * Listening sockets. With the native addon we accept ourselves, because `net.Server` cannot give the sockets it
 * accepts a buffer of ours to read into; without it, `net.Server` accepts.
 */
import net from "node:net";
import { formatIp, parseHostPort, parseIp } from "../base/ip.ts";
import { decodeSocketAddress, encodeSocketAddress, errnoName, native, sys } from "./native.ts";

export type TcpLog = (
  level: "debug" | "info" | "warn" | "error",
  message: string,
  fields?: Readonly<Record<string, string | number | boolean>>,
) => void;

export interface Listener {
  readonly address: string;
  /** The kernel's choice when 0 was asked for. */
  readonly port: number;
  /** The descriptor; -1 without the addon. */
  readonly fd: number;
  /** Starts to accept. Until then the kernel keeps those who connect in the backlog. */
  accept(): void;
  close(): void;
}

/** Takes accepted connections: as a descriptor when the addon is there, else as a paused socket. */
export interface Acceptor {
  fd(fd: number): void;
  socket(socket: net.Socket): void;
}

/** How long a listener rests when descriptors ran out. */
const acceptRestMs = 1_000;
/** Connections accepted per readiness event, so that a flood does not hold the loop. */
const acceptBatchMax = 64;
const listenBacklog = 1_024;

/**
 * Binds `ADDRESS:PORT` or `[V6]:PORT` and listens; `accept` opens the door. An IPv6 listener takes IPv6 only.
 * @throws Error with a sentence for the operator
 */
export async function openListener(text: string, acceptor: Acceptor, log: TcpLog): Promise<Listener> {
  const where = parseHostPort(text);
  const ip = where && parseIp(where.host);
  if (!where || !ip) throw new Error(`cannot listen on ${text}: it is not ADDRESS:PORT`);
  const address = formatIp(ip);
  const opened = native
    ? listenNative(address, where.port, acceptor, log)
    : await listenPlain(address, where.port, acceptor, log);
  if (typeof opened === "string") throw new Error(bindFailure(text, where.port, opened));
  return opened;
}

function listenNative(address: string, port: number, acceptor: Acceptor, log: TcpLog): Listener | string {
  const six = address.includes(":");
  const fd = native!.socket(six ? sys.AF_INET6 : sys.AF_INET, sys.SOCK_STREAM, 0);
  if (fd < 0) return errnoName(fd);
  const own = new Uint8Array(sys.SOCKADDR_BYTES);
  const steps = [
    () => native!.setsockopt(fd, sys.SOL_SOCKET, sys.SO_REUSEADDR, 1),
    () => (six ? native!.setsockopt(fd, sys.IPPROTO_IPV6, sys.IPV6_V6ONLY, 1) : 0),
    () => native!.bind(fd, encodeSocketAddress(address, port)!),
    () => native!.listen(fd, listenBacklog),
    () => native!.getsockname(fd, own),
  ];
  for (const step of steps) {
    const result = step();
    if (result >= 0) continue;
    native!.close(fd);
    return errnoName(result);
  }
  const accepting = pollAccepts(fd, acceptor, log);
  if (typeof accepting === "string") {
    native!.close(fd);
    return accepting;
  }
  const close = (): void => {
    accepting.stop();
    native!.close(fd);
  };
  return { address, port: decodeSocketAddress(own)!.port, fd, accept: accepting.start, close };
}

/** Hands accepted descriptors on between `start` and `stop`; an errno name when polling fails. */
function pollAccepts(fd: number, acceptor: Acceptor, log: TcpLog): { start(): void; stop(): void } | string {
  let rest: NodeJS.Timeout | undefined;
  const peer = new Uint8Array(sys.SOCKADDR_BYTES);
  const handle = native!.pollOpen(fd, () => {
    for (let i = 0; i < acceptBatchMax; i++) {
      const accepted = native!.accept(fd, peer);
      if (accepted >= 0) {
        acceptor.fd(accepted);
        continue;
      }
      const error = errnoName(accepted);
      if (error === "EAGAIN") return;
      if (error === "EMFILE" || error === "ENFILE" || error === "ENOBUFS" || error === "ENOMEM") {
        // Readiness is level-triggered: without a rest this would spin until something is freed.
        log("error", "cannot accept BGP connections: out of descriptors or memory", { error });
        setReadable(false);
        rest = setTimeout(() => setReadable(true), acceptRestMs);
        return;
      }
      // Anything else is about one connection that is gone already (accept(2) lists a dozen network errors).
    }
  });
  if (typeof handle === "number") return errnoName(handle);
  const setReadable = (on: boolean): void => {
    native!.pollSet(handle, on ? sys.READABLE : 0);
  };
  return {
    start: () => setReadable(true),
    stop: () => {
      clearTimeout(rest);
      native!.pollClose(handle);
    },
  };
}

function listenPlain(
  address: string,
  port: number,
  acceptor: Acceptor,
  log: TcpLog,
): Promise<Listener | string> {
  return new Promise((resolve) => {
    // `net.Server` accepts at once: what comes before `accept` waits here, as many as the backlog would hold.
    let early: net.Socket[] | undefined = [];
    const server = net.createServer({ pauseOnConnect: true }, (socket) => {
      if (!early) acceptor.socket(socket);
      else if (early.length < listenBacklog) early.push(socket);
      else socket.resetAndDestroy();
    });
    const accept = (): void => {
      const waiting = early ?? [];
      early = undefined;
      for (const socket of waiting) acceptor.socket(socket);
    };
    const close = (): void => {
      for (const socket of early ?? []) socket.resetAndDestroy();
      server.close();
    };
    const code = (error: NodeJS.ErrnoException): string => error.code ?? error.message;
    server.once("error", (error) => resolve(code(error)));
    server.listen({ host: address, port, ipv6Only: true, exclusive: true, backlog: listenBacklog }, () => {
      server.on("error", (error) => log("error", "cannot accept BGP connections", { error: code(error) }));
      const bound = server.address() as net.AddressInfo;
      resolve({ address, port: bound.port, fd: -1, accept, close });
    });
  });
}

function bindFailure(text: string, port: number, code: string): string {
  const cannot = `cannot listen on ${text}: `;
  switch (code) {
    case "EACCES":
    case "EPERM":
      if (port >= 1024) return `${cannot}permission denied (${code})`;
      return (
        `${cannot}ports below 1024 need CAP_NET_BIND_SERVICE. Run as root, or under systemd with ` +
        `AmbientCapabilities=CAP_NET_BIND_SERVICE, or run "setcap cap_net_bind_service=+ep ${process.execPath}", ` +
        "or choose a port from 1024 up"
      );
    case "EADDRINUSE":
      return (
        `${cannot}the address is in use. Another BGP daemon, or another cairnd, listens there; ` +
        `"ss -ltnp sport = :${port}" shows which`
      );
    case "EADDRNOTAVAIL":
      return `${cannot}no interface has this address; "ip address" lists those that exist`;
    case "EAFNOSUPPORT":
      return `${cannot}this system has no ${text.startsWith("[") ? "IPv6" : "IPv4"}`;
    default:
      return cannot + code;
  }
}
