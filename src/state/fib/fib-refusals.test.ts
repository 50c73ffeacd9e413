/** What the kernel refuses: a typed status, retries further and further apart, and the rest unharmed. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { CoreRig, type Peer } from "../../../test/rfc/core-rig.ts";
import { parseIp } from "../../base/ip.ts";
import { FakeFib } from "../../dataplane/fib/fake-fib.ts";
import { FibTableSpecSchema } from "../../gen/cairn/v1/fib_kinds_pb.ts";
import { ResourcePhase } from "../../gen/cairn/v1/resource_types_pb.ts";

const errnos = { EPERM: 1, ENOMEM: 12, ENOSPC: 28, ENOBUFS: 105 } as const;

class Bench {
  readonly rig = new CoreRig({}, undefined, "memory");
  readonly kernel = new FakeFib();
  readonly peer: Peer;
  /** When batches were written, milliseconds. */
  readonly writtenMs: number[] = [];

  constructor() {
    this.rig.watch = (effect) => {
      if (effect.kind === "fib.dump") {
        const dump = this.kernel.dump(effect, effect.size);
        this.rig.core.handle({ kind: "fib.dumped", dump }, this.rig.nowMs, this.rig.wallMs);
      } else if (effect.kind === "fib.write") {
        this.writtenMs.push(this.rig.nowMs);
        const outcome = this.kernel.write(effect.batch);
        this.rig.core.handle({ kind: "fib.written", outcome }, this.rig.nowMs, this.rig.wallMs);
      }
    };
    const addresses = [{ bytes: parseIp("192.0.2.1")!, length: 24 }];
    this.rig.simulate({ links: [{ name: "eth0", up: true, addresses }], routes: [] });
    this.rig.mutate({ op: "put", kind: "FibTable", spec: create(FibTableSpecSchema, { name: "f" }) });
    this.peer = this.rig.peer("192.0.2.2", { remoteAsn: 65002 });
  }

  status(): { phase: ResourcePhase; reason: string; message: string } {
    const { phase, reason, message } = this.rig.core.fib.standing("f")!;
    return { phase, reason, message };
  }
}

suite("routes that the kernel refuses", () => {
  for (const [name, errno] of Object.entries(errnos)) {
    test(`${name}: the object says so, further routes are tried, and all comes when the kernel takes it`, () => {
      const bench = new Bench();
      bench.peer.announce("203.0.113.0/24");
      bench.kernel.refuse = (prefix) => (prefix.startsWith("198.") ? errno : 0);
      bench.peer.announce(["198.51.100.0/24", "198.51.101.0/24", "203.0.114.0/24"]);
      const { phase, reason, message } = bench.status();
      assert.deepEqual({ phase, reason }, { phase: ResourcePhase.DEGRADED, reason: name });
      assert.match(message, /^the kernel refuses 2 routes: /);
      if (name === "EPERM") assert.match(message, /CAP_NET_ADMIN/);
      assert.equal(bench.kernel.ours({ table: 254, metric: 20 }).size, 2);
      bench.kernel.refuse = () => 0;
      bench.rig.advance(2000);
      assert.deepEqual(bench.status(), { phase: ResourcePhase.APPLIED, reason: "", message: "" });
      assert.equal(bench.kernel.ours({ table: 254, metric: 20 }).size, 4);
    });
  }

  test("nothing at all is taken: the object failed, and is tried further and further apart", () => {
    const bench = new Bench();
    bench.kernel.refuse = () => errnos.ENOSPC;
    bench.peer.announce("203.0.113.0/24");
    assert.equal(bench.status().phase, ResourcePhase.FAILED);
    bench.rig.advance(400_000);
    const gaps = bench.writtenMs.slice(1).map((atMs, i) => Math.round((atMs - bench.writtenMs[i]) / 1000));
    assert.deepEqual(gaps.slice(0, 9), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });
});
