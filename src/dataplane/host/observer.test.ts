/** The observer against a socket that answers with what a kernel said (netlink/recorded.json). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatIp, parseIp } from "../../base/ip.ts";
import type { Link, RouteAnswer } from "../kernel-model.ts";
import { KernelObserver } from "./observer.ts";
import { FakeSockets, noticesFd, recorded, withSequence } from "./testing/fake-sockets.ts";

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
    bench.sockets.answers[26] = "route to 1.1.1.1";
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
    bench.sockets.answers[26] = "route to 10.7.1.1";
    bench.sockets.inbox.get(noticesFd)!.push(-105);
    bench.settle();
    const { overruns, linkDumps } = bench.observer.counts;
    assert.deepEqual([overruns, linkDumps], [1, 2]);
    assert.equal(bench.answers.at(-1)!.route!.hops.length, 2);
  });
});
