/** The writer of links, addresses and routes against sockets without a kernel. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { KernelFact } from "../kernel-port.ts";
import { writeRoute } from "../netlink/route-write.ts";
import { NetlinkWriter } from "../netlink/wire.ts";
import { fullCheckMs, LinuxDataplane } from "./linux-dataplane.ts";
import { KernelObserver } from "./observer.ts";
import { endOfDump, FakeSockets } from "./testing/fake-sockets.ts";

/** What waits for less is done at once, as if it had passed. */
const soonMs = 1_000;

class Bench {
  readonly sockets = new FakeSockets();
  /** Keys that were told, by class: all of it, or `+` and `-` for changes. */
  told: Record<string, string[]> = {};
  private waiting: { readonly ms: number; readonly call: () => void }[] = [];

  constructor() {
    const later = (ms: number, call: () => void): void => void this.waiting.push({ ms, call });
    const observer = new KernelObserver({
      links: (changed, gone) => writer.linksSeen(changed.filter(({ index }) => !gone.includes(index))),
      routes: () => undefined,
      later,
      nowMs: () => 0,
    });
    const writer = new LinuxDataplane(observer, {
      facts: (all, facts) => this.note(all, facts),
      applied: () => undefined,
      later,
      errnoName: String,
    });
    const out = new NetlinkWriter();
    const facts = { type: "unicast", hops: [{ gateway: "10.0.0.2", weight: 1 }] };
    writeRoute(out, 1, "create", "254 192.0.2.0/24 0", facts, () => undefined);
    this.sockets.recorded.ours = [Buffer.from(out.take()).toString("hex"), endOfDump];
    this.sockets.answers[26] = "ours";
    assert.equal(writer.open(this.sockets), 0);
    assert.equal(observer.open(this.sockets), 0);
  }

  private note(all: string | undefined, facts: readonly KernelFact[]): void {
    // Both families are answered alike.
    if (all !== undefined) this.told[all] = [...new Set(facts.map(({ key }) => key))];
    else {
      for (const { class: name, key, observed } of facts)
        this.told[name] = [...(this.told[name] ?? []), `${observed ? "+" : "-"} ${key}`];
    }
  }

  /** Lets happen what happens within a second. */
  async settle(): Promise<void> {
    for (let n = 0; n < 20; n++) {
      this.sockets.pump();
      await new Promise((resolve) => setImmediate(resolve));
      const soon = this.waiting.filter(({ ms }) => ms < soonMs);
      this.waiting = this.waiting.filter(({ ms }) => ms >= soonMs);
      for (const { call } of soon) call();
    }
  }

  /** As much time as a full check may take. */
  async fullCheck(): Promise<void> {
    let left = fullCheckMs;
    while (left > 0) {
      const [next] = this.waiting;
      assert.equal(this.waiting.length, 1, "the next part of the check");
      left -= next.ms;
      this.waiting = [];
      next.call();
      await this.settle();
    }
  }
}

describe("LinuxDataplane", () => {
  test("reads everything anew now and then, so that what was lost without notice is told", async () => {
    const bench = new Bench();
    await bench.settle();
    const addresses = bench.told.address;
    assert.ok(addresses.includes("va 10.0.0.1/24"), addresses.join());
    assert.deepEqual(bench.told.route, ["254 192.0.2.0/24 0"]);
    bench.told = {};
    // The kernel holds something else, and tells nobody.
    bench.sockets.answers[22] = "";
    bench.sockets.answers[26] = "";
    await bench.settle();
    assert.deepEqual(bench.told, {});
    await bench.fullCheck();
    assert.deepEqual([bench.told.address, bench.told.route, bench.told.rule], [[], [], []]);
    assert.ok(bench.told.link.includes("va"));
    // And again.
    bench.sockets.answers[26] = "ours";
    await bench.fullCheck();
    assert.deepEqual(bench.told.route, ["254 192.0.2.0/24 0"]);
  });
});
