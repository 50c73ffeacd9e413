/** Opening sockets: a Unix socket whose stale file is replaced, and telling HTTP/1.1 from HTTP/2 on one port. */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import net from "node:net";

/** A connection that says nothing for this long is closed. */
const silenceMs = 10_000;
/** A client that vanished without a word is found out, and its watches end. */
export const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 };
/** HTTP/2 connections start with "PRI * HTTP/2.0". */
const http2Start = Buffer.from("PRI");

/** A server that hands each connection over as soon as it is known which HTTP it speaks. */
export function sniffingServer(
  onHttp1: (socket: net.Socket) => void,
  onHttp2: (socket: net.Socket) => void,
): net.Server {
  return net.createServer(socketOptions, (socket) => {
    let start = Buffer.alloc(0);
    const destroy = (): void => void socket.destroy();
    const read = (): void => {
      const chunk: Buffer | null = socket.read();
      if (chunk) start = Buffer.concat([start, chunk]);
      const length = Math.min(start.length, http2Start.length);
      const maybeHttp2 = start.subarray(0, length).equals(http2Start.subarray(0, length));
      if (maybeHttp2 && length < http2Start.length) return;
      socket.off("readable", read).off("error", destroy).off("end", destroy).off("timeout", destroy);
      socket.setTimeout(0);
      socket.unshift(start);
      (maybeHttp2 ? onHttp2 : onHttp1)(socket);
    };
    socket.setTimeout(silenceMs);
    socket.on("error", destroy).on("end", destroy).on("timeout", destroy).on("readable", read);
  });
}

/** Listens on a Unix socket. A file left over by a process that is gone is replaced; a live one is an error. */
export async function listenUnix(server: net.Server, path: string, mode: number): Promise<void> {
  await removeStale(path);
  // The file must never be open to others, not even between bind and chmod.
  const umask = process.umask(0o777 & ~mode);
  try {
    await listening(server, () => server.listen({ path, backlog: 512 }));
    chmodSync(path, mode);
  } finally {
    process.umask(umask);
  }
}

/** Listens on an address; the port that was taken is in `server.address()`. */
export async function listenTcp(server: net.Server, host: string, port: number): Promise<void> {
  await listening(server, () => server.listen({ host, port, backlog: 512 }));
}

async function removeStale(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return;
  if (!stat.isSocket())
    throw new Error(`${path} exists and is not a socket; choose another path or move it away`);
  if (await answers(path)) {
    throw new Error(`${path} is in use: another process listens there (is cairnd running already?)`);
  }
  unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      else if (error.code === "EAGAIN") resolve(true);
      else reject(new Error(`cannot tell whether ${path} is in use: ${error.message}`));
    });
  });
}

function listening(server: net.Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      resolve();
    });
    listen();
  });
}
