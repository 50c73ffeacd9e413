/** Who is at the other end of a Unix socket (SO_PEERCRED, unix(7)). */
import type net from "node:net";
import { native } from "./native.ts";

const solSocket = 1;
const soPeercred = 17;

/** User id of the connecting process; undefined without the addon or when the kernel does not tell. */
export function peerUid(socket: net.Socket): number | undefined {
  const fd = (socket as unknown as { _handle?: { fd?: number } })._handle?.fd;
  if (!native || fd === undefined || fd < 0) return undefined;
  const credentials = new Uint8Array(12); // struct ucred: pid, uid, gid
  if (native.getsockopt(fd, solSocket, soPeercred, credentials) < 0) return undefined;
  return new DataView(credentials.buffer).getUint32(4, true);
}
