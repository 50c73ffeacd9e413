/** With sockets that answer what a kernel would; the kernel itself is in interop/nat-firewall. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { LoggedPacket } from "../netlink/packet-log-wire.ts";
import type { NetlinkCalls } from "./netlink-socket.ts";
import { PacketBucket, PacketLog } from "./packet-log.ts";

const recorded = JSON.parse(
  readFileSync(new URL("../netlink/recorded-netfilter.json", import.meta.url), "utf8"),
) as { packets: string[] };

/** A kernel of one socket at a time. */
class Kernel implements NetlinkCalls {
  /** Errno with which the group is refused; 0 for none. */
  refuses = 0;
  open = 0;
  private ready: ((events: number, status: number) => void) | undefined;
  private readonly waiting: Uint8Array[] = [];

  socket = (): number => {
    this.open++;
    return 7;
  };
  close = (): number => {
    this.open--;
    return 0;
  };
  bind = (): number => 0;
  getsockname = (): number => 12;
  setsockopt = (): number => 0;
  send = (_: number, bytes: Uint8Array): number => {
    const answer = new Uint8Array(36);
    const view = new DataView(answer.buffer);
    view.setUint32(0, 36, true);
    view.setUint16(4, 2, true);
    answer.set(bytes.subarray(8, 12), 8);
    view.setInt32(16, -this.refuses, true);
    answer.set(bytes.subarray(0, 16), 20);
    this.say(answer);
    return bytes.length;
  };
  recv = (_: number, into: Uint8Array): number => {
    const bytes = this.waiting.shift();
    if (!bytes) return -11;
    into.set(bytes);
    return bytes.length;
  };
  pollOpen = (_: number, ready: (events: number, status: number) => void): object => {
    this.ready = ready;
    return {};
  };
  pollSet = (): number => 0;
  pollClose = (): number => 0;

  say(bytes: Uint8Array): void {
    this.waiting.push(bytes);
  }

  /** The socket can be read. */
  tell(): void {
    this.ready?.(1, 0);
  }
}

class Rig {
  readonly kernel = new Kernel();
  readonly packets: LoggedPacket[] = [];
  dropped = 0;
  readonly failures: string[] = [];
  nowMs = 0;
  private timers: { readonly atMs: number; readonly call: () => void }[] = [];
  readonly log: PacketLog;

  constructor(perSecond: number) {
    this.log = new PacketLog(this.kernel, perSecond, {
      logged: (packets, dropped) => {
        this.packets.push(...packets);
        this.dropped += dropped;
      },
      failed: (why) => void this.failures.push(why),
      later: (ms, call) => void this.timers.push({ atMs: this.nowMs + ms, call }),
      nowMs: () => this.nowMs,
      errnoName: (errno) => `E${errno}`,
    });
  }

  pass(ms: number): void {
    this.nowMs += ms;
    const due = this.timers.filter(({ atMs }) => atMs <= this.nowMs);
    this.timers = this.timers.filter(({ atMs }) => atMs > this.nowMs);
    for (const { call } of due) call();
  }
}

/** The recorded datagram, with packets that count from `first`. */
function datagram(first: number): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(recorded.packets[0], "hex"));
  let number = first;
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 16 <= bytes.length; at += (view.getUint32(at, true) + 3) & ~3) {
    const end = at + view.getUint32(at, true);
    for (let from = at + 20; from + 4 <= end; from += (view.getUint16(from, true) + 3) & ~3)
      if (view.getUint16(from + 2, true) === 12) view.setUint32(from + 4, number++);
  }
  return bytes;
}

describe("the group of logged packets", () => {
  it("is told together, and what the kernel lost is counted by the gaps", () => {
    const rig = new Rig(50);
    rig.log.want(true);
    rig.kernel.tell();
    rig.kernel.say(datagram(0));
    rig.kernel.say(datagram(12));
    rig.kernel.tell();
    assert.equal(rig.packets.length, 0);
    rig.pass(100);
    assert.deepEqual(
      rig.packets.map(({ sequence }) => sequence),
      [0, 1, 12, 13],
    );
    assert.equal(rig.dropped, 10);
    assert.deepEqual(rig.failures, []);
  });

  it("is told no faster than it is wanted", () => {
    const rig = new Rig(1);
    rig.log.want(true);
    for (let i = 0; i < 10; i++) rig.kernel.say(datagram(2 * i));
    rig.kernel.tell();
    rig.pass(100);
    assert.deepEqual([rig.packets.length, rig.dropped], [2, 18]);
    rig.pass(1000);
    rig.kernel.say(datagram(20));
    rig.kernel.tell();
    rig.pass(100);
    assert.deepEqual([rig.packets.length, rig.dropped], [3, 19]);
  });

  it("is asked for again while another program has it, and not once nobody wants it", () => {
    const rig = new Rig(50);
    rig.kernel.refuses = 16;
    rig.log.want(true);
    rig.kernel.tell();
    assert.deepEqual(rig.failures, ["another program listens to NFLOG group 67"]);
    assert.equal(rig.kernel.open, 0);
    rig.pass(5_000);
    rig.kernel.tell();
    assert.equal(rig.failures.length, 1, "the same is not said twice");
    rig.kernel.refuses = 0;
    rig.pass(5_000);
    rig.kernel.tell();
    assert.deepEqual(rig.failures.slice(1), [""]);
    rig.log.want(false);
    assert.equal(rig.kernel.open, 0);
    rig.pass(5_000);
    assert.equal(rig.kernel.open, 0);
  });
});

describe("the bucket", () => {
  it("fills with time up to two seconds' worth", () => {
    const bucket = new PacketBucket(10, 0);
    const taken = (nowMs: number): number => {
      let count = 0;
      while (bucket.take(nowMs)) count++;
      return count;
    };
    assert.deepEqual([taken(0), taken(0), taken(500), taken(60_000)], [20, 0, 5, 20]);
  });
});
