/** Netlink sockets for tests of the host's side, without a kernel. */
import { readFileSync } from "node:fs";
import { eachMessage } from "../../netlink/wire.ts";
import type { NetlinkCalls } from "../netlink-socket.ts";

export const { recorded } = JSON.parse(
  readFileSync(new URL("../../netlink/recorded.json", import.meta.url), "utf8"),
) as { recorded: Record<string, string[]> };

/** The socket that joins groups is the first that is opened. */
export const noticesFd = 3;

/** NLMSG_DONE with no error. */
export const endOfDump = "14000000030002000000000000000000" + "00000000";

/** Netlink sockets whose answers were recorded from a kernel. */
export class FakeSockets implements NetlinkCalls {
  readonly inbox = new Map<number, (Uint8Array | number)[]>();
  readonly asked: number[] = [];
  /** Names of recorded answers by the type of the question; none for a dump that holds nothing. */
  readonly answers: Record<number, string> = { 18: "links", 22: "addresses", 26: "route to 10.9.1.1" };
  /** Recorded messages, to be changed by tests. */
  readonly recorded: Record<string, string[]> = structuredClone(recorded);
  private readonly ready = new Map<number, (events: number, status: number) => void>();
  private nextFd = noticesFd;

  socket(): number {
    this.inbox.set(this.nextFd, []);
    return this.nextFd++;
  }
  close(): number {
    return 0;
  }
  bind(): number {
    return 0;
  }
  getsockname(): number {
    return 0;
  }
  setsockopt(): number {
    return 0;
  }
  pollOpen(fd: number, ready: (events: number, status: number) => void): object {
    this.ready.set(fd, ready);
    return {};
  }
  pollSet(): number {
    return 0;
  }
  pollClose(): number {
    return 0;
  }
  send(fd: number, bytes: Uint8Array): number {
    eachMessage(bytes, bytes.length, ({ type, sequence }) => {
      this.asked.push(type);
      const answer = this.recorded[this.answers[type]] ?? [endOfDump];
      for (const hex of answer) this.inbox.get(fd)!.push(withSequence(hex, sequence));
    });
    return bytes.length;
  }
  recv(fd: number, bytes: Uint8Array): number {
    const next = this.inbox.get(fd)!.shift();
    if (next === undefined) return -11;
    if (typeof next === "number") return next;
    bytes.set(next);
    return next.length;
  }
  /** Lets all sockets be read until nothing is left. */
  pump(): void {
    while ([...this.inbox.values()].some((list) => list.length > 0))
      for (const [fd, ready] of this.ready) if (this.inbox.get(fd)!.length > 0) ready(1, 0);
  }
}

export function withSequence(hex: string, sequence: number): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(hex, "hex"));
  const view = new DataView(bytes.buffer);
  eachMessage(bytes, bytes.length, ({ at }) => view.setUint32(at - 8, sequence, true));
  return bytes;
}
