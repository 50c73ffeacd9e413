/** System calls for netlink whose messages are counted, and which stop where a test wants the daemon to end. */
import type { NetlinkCalls } from "../dataplane/host/netlink-socket.ts";
import { eachMessage } from "../dataplane/netlink/wire.ts";
import type { Failpoint } from "./failpoint.ts";

export interface NetlinkCounts {
  /** Questions and changes. */
  messages: number;
  /** System calls with one or many messages, each answered as a whole. */
  sends: number;
}

/** NETLINK_ROUTE */
const routeProtocol = 0;

export function countedCalls(calls: NetlinkCalls, counts: NetlinkCounts, failpoint: Failpoint): NetlinkCalls {
  const routeSockets = new Set<number>();
  return {
    ...calls,
    socket: (family, type, protocol) => {
      const fd = calls.socket(family, type, protocol);
      if (protocol === routeProtocol) routeSockets.add(fd);
      else routeSockets.delete(fd);
      return fd;
    },
    send: (fd, bytes, flags) => {
      /** Where each change in the batch ends. */
      const ends: number[] = [];
      counts.sends++;
      eachMessage(bytes, bytes.length, ({ type, end }) => {
        counts.messages++;
        if (routeSockets.has(fd) && !asks(type)) ends.push(end);
      });
      const allowed = failpoint.allowed(ends.length);
      const part = allowed < ends.length ? bytes.subarray(0, ends[allowed - 1]) : bytes;
      const sent = calls.send(fd, part, flags);
      failpoint.changed(allowed);
      return sent;
    },
  };
}

/** Of the four messages of each kind in rtnetlink the third asks. */
function asks(type: number): boolean {
  return (type & 3) === 2;
}
