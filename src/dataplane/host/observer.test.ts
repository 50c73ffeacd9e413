/** The observer against a socket that answers with what a kernel said (netlink/recorded.json). */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { formatIp, parseIp } from "../../base/ip.ts";
import type { Link, RouteAnswer } from "../kernel-model.ts";
import { eachMessage } from "../netlink/wire.ts";
import type { NetlinkCalls } from "./netlink-socket.ts";
import { KernelObserver } from "./observer.ts";

const { recorded } = JSON.parse(
  readFileSync(new URL("../netlink/recorded.json", import.meta.url), "utf8"),
) as { recorded: Record<string, string[]> };

const noticesFd = 3;

class FakeSockets implements NetlinkCalls {
  readonly inbox = new Map<number, (Uint8Array | number)[]>();
  readonly asked: number[] = [];
  /** Recorded answer to the question for a route. */
  route = "route to 10.9.1.1";
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
      const name = type === 18 ? "links" : type === 22 ? "addresses" : this.route;
      for (const hex of recorded[name]) this.inbox.get(fd)!.push(withSequence(hex, sequence));
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

function withSequence(hex: string, sequence: number): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(hex, "hex"));
  const view = new DataView(bytes.buffer);
  eachMessage(bytes, bytes.length, ({ at }) => view.setUint32(at - 8, sequence, true));
  return bytes;
}

class Bench {
  readonly sockets = new FakeSockets();
  readonly links: Link[] = [];
  readonly answers: RouteAnswer[] = [];
  private later: (() => void)[] = [];
  readonly observer = new KernelObserver({
    links: (changed) => void this.links.push(...changed),
    routes: (answers) => void this.answers.push(...answers),
    later: (_, call) => void this.later.push(call),
    nowMs: () => 0,
  });

  constructor() {
    assert.equal(this.observer.open(this.sockets), 0);
    this.settle();
  }

  /** Until nothing is left to read or to do. */
  settle(): void {
    for (let n = 0; n < 20; n++) {
      this.sockets.pump();
      for (const call of this.later.splice(0)) call();
    }
  }

  notice(name: string): void {
    for (const hex of recorded[name]) this.sockets.inbox.get(noticesFd)!.push(withSequence(hex, 0));
    this.settle();
  }
}

describe("KernelObserver", () => {
  test("tells links with their addresses first, then the routes that are watched, once", () => {
    const bench = new Bench();
    bench.observer.watch([parseIp("10.9.1.1")!], []);
    bench.settle();
    const va = bench.links.find(({ name }) => name === "va")!;
    assert.deepEqual(
      va.addresses.map(({ address }) => formatIp(address)),
      ["10.0.0.1", "172.31.0.1", "2001:db8::1", "fe80::ff:fe00:a"],
    );
    assert.equal(bench.answers.length, 1);
    assert.equal(bench.answers[0].route!.metric, 20);
    bench.notice("link down");
    assert.equal(bench.observer.counts.linkDumps, 2);
    assert.deepEqual([bench.links.length, bench.answers.length], [4, 1], "nothing differs, nothing is told");
  });

  test("a change of a route asks again for what it covers, and for nothing else", () => {
    const bench = new Bench();
    bench.observer.watch([parseIp("10.4.7.7")!, parseIp("10.9.1.1")!], []);
    bench.settle();
    const before = bench.observer.counts.routeLookups;
    bench.sockets.route = "route to 1.1.1.1";
    bench.notice("route deleted");
    assert.equal(bench.observer.counts.routeLookups, before + 1);
    const { address, route } = bench.answers.at(-1)!;
    assert.deepEqual([formatIp(address), route], ["10.4.7.7", undefined]);
    bench.observer.watch([], [parseIp("10.4.7.7")!]);
    bench.notice("route deleted");
    assert.equal(bench.observer.counts.routeLookups, before + 1);
  });

  test("lost notifications: everything is looked at again", () => {
    const bench = new Bench();
    bench.observer.watch([parseIp("10.9.1.1")!], []);
    bench.settle();
    bench.sockets.route = "route to 10.7.1.1";
    bench.sockets.inbox.get(noticesFd)!.push(-105);
    bench.settle();
    const { overruns, linkDumps } = bench.observer.counts;
    assert.deepEqual([overruns, linkDumps], [1, 2]);
    assert.equal(bench.answers.at(-1)!.route!.hops.length, 2);
  });
});
