/** Readiness for systemd: sd_notify(3), one datagram to the socket that NOTIFY_SOCKET names. */
import { errnoName, type Native, native, nativeMissing } from "./native.ts";

export type ServiceState = "READY=1" | "STOPPING=1";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
/** Bytes of `sun_path`. */
const pathBytesMax = 108;

/**
 * Tells systemd the state; does nothing when NOTIFY_SOCKET is not set.
 * @returns why systemd could not be told
 */
export function notifySystemd(state: ServiceState, path = process.env.NOTIFY_SOCKET): string | undefined {
  if (!path) return undefined;
  if (!native) return nativeMissing;
  const address = encodeUnixAddress(path);
  if (!address) return `NOTIFY_SOCKET is no address of a Unix socket: ${path}`;
  const result = send(native, Buffer.from(state), address);
  return result < 0 ? `cannot write to ${path}: ${errnoName(result)}` : undefined;
}

/** `struct sockaddr_un`; a path that begins with `@` is of the abstract namespace. */
function encodeUnixAddress(path: string): Uint8Array | undefined {
  const name = Buffer.from(path);
  const abstract = path.startsWith("@");
  if (name.length > pathBytesMax || !(abstract || path.startsWith("/"))) return undefined;
  if (abstract) name[0] = 0;
  return Buffer.concat([Buffer.from([AF_UNIX, 0]), name]);
}

function send(system: Native, bytes: Uint8Array, address: Uint8Array): number {
  const fd = system.socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0) return fd;
  const result = system.send(fd, bytes, 0, address);
  system.close(fd);
  return result;
}
