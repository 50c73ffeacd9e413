/** What was acknowledged survives anything; what cannot be made durable is refused, and routing goes on. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { databaseName } from "../../src/store/database.ts";
import { openSql } from "../../src/store/sqlite.ts";
import { CallError, Daemon, finallyDo, type Json, neighborToml, scratch, until } from "./harness.ts";
import { Speaker } from "./speaker.ts";

/** Mutations one after the other until the daemon is gone; what was acknowledged, and what was under way. */
class Stream {
  readonly acked: number[] = [];
  generation = 0;
  inFlight = -1;
  private readonly send: (i: number) => Promise<Json>;

  constructor(send: (i: number) => Promise<Json>) {
    this.send = send;
  }

  async run(): Promise<void> {
    for (let i = 0; ; i++) {
      this.inFlight = i;
      try {
        const answer = await this.send(i);
        this.acked.push(i);
        this.generation = Number(answer.generation ?? 0);
      } catch (error) {
        if (error instanceof CallError) throw error;
        return;
      }
    }
  }

  /** What may be there: what was acknowledged, and perhaps what was under way. */
  check(there: readonly number[], what: string): void {
    const sorted = [...there].sort((a, b) => a - b);
    const expected = sorted.includes(this.inFlight) ? [...this.acked, this.inFlight] : this.acked;
    assert.deepEqual(sorted, expected, what);
  }
}

const steps = ["before-begin:9", "after-insert:7", "before-commit:11", "after-commit:8", "before-ack:10"];

for (const fault of steps) {
  test(`kill -9 at ${fault} under a stream of mutations`, async (t) => {
    const daemon = await Daemon.start(t, { env: { CAIRN_STORE_FAULT: fault } });
    const neighbors = new Stream((i) =>
      daemon.call("NeighborService/AddNeighbor", {
        spec: { address: `127.1.0.${i}`, remoteAsn: 65_000 + i },
        requestId: `n${i}`,
      }),
    );
    const paths = new Stream((i) =>
      daemon.call("InjectionService/AddPath", {
        path: { prefix: `10.0.${i}.0/24`, owner: "a" },
        requestId: `p${i}`,
      }),
    );
    // Each bulk message is one transaction: it takes three routes back and adds three.
    const three = (i: number): string[] => [0, 1, 2].map((j) => `10.${100 + i}.${j}.0/24`);
    const bulk = new Stream(async (i) => {
      const add = three(i).map((prefix) => ({ prefix, owner: "b" }));
      const drop = i === 0 ? [] : three(i - 1).map((prefix) => ({ prefix }));
      for await (const answer of daemon.stream("InjectionService/InjectPaths", { add, delete: drop }))
        return answer;
      throw new Error("no answer");
    });
    await Promise.all([neighbors.run(), paths.run(), bulk.run()]);
    assert.equal((await daemon.exited).signal, "SIGKILL");
    const acknowledged = neighbors.acked.length + paths.acked.length + bulk.acked.length;
    t.diagnostic(`${acknowledged} mutations were acknowledged`);

    const next = await daemon.again();
    const list = await next.call("NeighborService/ListNeighbors");
    const there: Json[] = list.neighbors ?? [];
    neighbors.check(
      there.map(({ spec }) => Number(spec.address.split(".")[3])),
      "neighbors",
    );
    const { generation } = await next.call("ControlService/GetHealth");
    assert.equal(Number(generation), 1 + there.length, "one generation for each neighbor");
    const injected: Json[] = (await next.call("InjectionService/ListInjected")).paths ?? [];
    const prefixes = (owner: string): string[] =>
      injected
        .filter(({ path }) => path.owner === owner)
        .map(({ path }) => path.prefix)
        .sort();
    paths.check(
      prefixes("a").map((prefix) => Number(prefix.split(".")[2])),
      "paths",
    );
    const last = bulk.acked.at(-1);
    const choices = [last, bulk.inFlight].map((i) => (i === undefined ? "" : three(i).join(" ")));
    assert.ok(choices.includes(prefixes("b").join(" ")), `a mixture: ${prefixes("b").join(" ")}`);
    assert.deepEqual(await next.best(), [...prefixes("a"), ...prefixes("b")].sort());
    // The same requests once more: acknowledged ones answer as they did, the one under way takes effect once.
    for (const i of [...neighbors.acked, neighbors.inFlight]) {
      const spec = { address: `127.1.0.${i}`, remoteAsn: 65_000 + i };
      await next.call("NeighborService/AddNeighbor", { spec, requestId: `n${i}` });
    }
    const after = await next.call("NeighborService/ListNeighbors");
    assert.equal(Number(after.totalSize), neighbors.acked.length + 1);
  });
}

test("kill -9 during the first start: the next start is a first start, or the file is there", async (t) => {
  for (const fault of ["before-begin:1", "before-commit:1", "after-commit:1"]) {
    const daemon = Daemon.spawn(t, {
      config: neighborToml("127.0.0.2", 65_002),
      env: { CAIRN_STORE_FAULT: fault },
    });
    assert.equal((await daemon.exited).signal, "SIGKILL");
    const next = await daemon.again();
    assert.equal(Number((await next.call("ControlService/GetHealth")).generation), 1);
    assert.equal((await next.neighbor("127.0.0.2")).spec.remoteAsn, 65_002);
    await next.stop();
  }
});

/** The state directory cannot be written between `break` and `mend`. */
interface Breakage {
  readonly text: RegExp;
  break(daemon: Daemon): void;
  mend(daemon: Daemon): void;
}

async function refusesAndGoesOn(t: TestContext, daemon: Daemon, how: Breakage): Promise<void> {
  const speaker = await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort });
  const other = await Speaker.establish(t, { local: "127.0.0.3", port: daemon.bgpPort, asn: 65_003 });
  const add = { spec: { address: "127.0.0.4", remoteAsn: 65_004 } };
  const path = { path: { prefix: "192.0.2.0/24" } };
  await daemon.call("InjectionService/AddPath", { path: { prefix: "198.51.100.0/24", ttl: "1s" } });
  await other.sees(["198.51.100.0/24"]);
  how.break(daemon);
  for (const [rpc, request] of [
    ["NeighborService/AddNeighbor", add],
    ["InjectionService/AddPath", path],
    ["NeighborService/DisableNeighbor", { address: "127.0.0.2", message: "bye" }],
  ] as const) {
    const error = await daemon.refused(rpc, request);
    assert.deepEqual([error.code, error.reason], ["unavailable", "STORE_FAILED"]);
    assert.match(error.message, how.text);
    assert.match(error.message, /could not be made durable and was taken back/);
  }
  const cli = await daemon.ctl("neighbor", "add", "127.0.0.4", "--asn", "65004");
  assert.equal(cli.code, 1);
  assert.match(cli.err, how.text);
  // Nothing of it happened, and everything else goes on.
  assert.equal(
    (await daemon.refused("NeighborService/GetNeighbor", { address: "127.0.0.4" })).code,
    "not_found",
  );
  assert.equal(Number((await daemon.call("ControlService/GetHealth")).generation), 1);
  const health = await daemon.call("ControlService/GetHealth");
  assert.equal(health.healthy ?? false, false);
  assert.match(health.subsystems.find(({ name }: Json) => name === "store").detail, how.text);
  speaker.announce(["203.0.113.0/24"]);
  await other.until("the route", () => other.routes.has("203.0.113.0/24"));
  speaker.withdraw(["203.0.113.0/24"]);
  await other.until("no route", () => !other.routes.has("203.0.113.0/24"));
  // The route whose time is over meanwhile is still there, without a storm of attempts.
  const lines = daemon.log.length;
  const cpu = cpuSeconds(daemon);
  await delay(1_500);
  assert.ok(daemon.log.length - lines < 40, `${daemon.log.length - lines} lines of log in 1.5 s`);
  assert.ok(cpuSeconds(daemon) - cpu < 0.75, `${cpuSeconds(daemon) - cpu} s of CPU in 1.5 s`);
  assert.ok(!speaker.closed && !other.closed);
  how.mend(daemon);
  await until("the store to be well", () =>
    daemon.call("NeighborService/AddNeighbor", add).catch(() => undefined),
  );
  assert.equal((await daemon.call("ControlService/GetHealth")).healthy, true);
  await other.until("the end of the route whose time is over", () => other.routes.size === 0, 10_000);
  assert.deepEqual(await daemon.best(), []);
  await daemon.stop("SIGKILL");
  const next = await daemon.again();
  assert.equal((await next.neighbor("127.0.0.4")).spec.remoteAsn, 65_004);
  assert.deepEqual((await next.call("InjectionService/ListInjected")).paths ?? [], []);
}

function cpuSeconds(daemon: Daemon): number {
  const fields = readFileSync(`/proc/${daemon.pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const two = neighborToml("127.0.0.2", 65_002) + neighborToml("127.0.0.3", 65_003);

test("a file size limit: changes are refused, routing goes on, and it recovers", async (t) => {
  const daemon = await Daemon.start(t, { config: two });
  const limit = (size: string): void => {
    const { status, stderr } = spawnSync("prlimit", ["--pid", `${daemon.pid}`, `--fsize=${size}:unlimited`]);
    assert.equal(status, 0, String(stderr));
  };
  if (spawnSync("prlimit", ["--version"]).status !== 0) {
    t.skip("needs prlimit");
    return;
  }
  await refusesAndGoesOn(t, daemon, {
    text: /disk fails|disk .* is full/,
    break: () => limit("4096"),
    mend: () => limit("unlimited"),
  });
});

test("a full disk: changes are refused, routing goes on, and it recovers", async (t) => {
  const mount = scratch(t);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "cairn-e2e", mount]).status === 0;
  if (!mounted) {
    t.skip("needs root, to mount a small tmpfs");
    return;
  }
  finallyDo(t, () => spawnSync("umount", ["-l", mount]));
  const stateDir = join(mount, "state");
  mkdirSync(stateDir);
  const daemon = await Daemon.start(t, { config: two, stateDir });
  await refusesAndGoesOn(t, daemon, {
    text: /the disk of the state directory is full/,
    break: () => void spawnSync("sh", ["-c", `cat /dev/zero > ${mount}/ballast`]),
    mend: () => void spawnSync("rm", [`${mount}/ballast`]),
  });
});

test("a locked database: changes are refused, routing goes on, and it recovers", async (t) => {
  const daemon = await Daemon.start(t, { config: two });
  const other = openSql(join(daemon.stateDir, databaseName), 0);
  finallyDo(t, () => other.close());
  await refusesAndGoesOn(t, daemon, {
    text: /another program holds a lock on the state database/,
    break: () => other.exec("BEGIN IMMEDIATE"),
    mend: () => other.exec("ROLLBACK"),
  });
});

test("a second daemon on the same state directory is refused, and the first goes on", async (t) => {
  const first = await Daemon.start(t);
  const second = Daemon.spawn(t, { stateDir: first.stateDir });
  assert.deepEqual(await second.exited, { code: 1, signal: null });
  assert.match(
    second.noise,
    new RegExp(`^cairnd: the state directory .* is in use by another cairnd \\(pid ${first.pid}\\)`),
  );
  assert.doesNotMatch(second.noise, /\n {4}at /);
  assert.equal((await first.call("ControlService/GetHealth")).healthy, true);
  await first.call("InjectionService/AddPath", { path: { prefix: "192.0.2.0/24" } });
});

test("an address that cannot be bound is fatal, with the reason", async (t) => {
  const taken = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  finallyDo(t, () => taken.close());
  const { port } = taken.address() as net.AddressInfo;
  for (const [listen, text] of [
    [`127.0.0.1:${port}`, /cannot listen on 127\.0\.0\.1:\d+: the address is in use.*ss -ltnp/],
    ["192.0.2.55:0", /cannot listen on 192\.0\.2\.55:0: no interface has this address/],
  ] as const) {
    const daemon = Daemon.spawn(t, { listen: [listen] });
    assert.deepEqual(await daemon.exited, { code: 1, signal: null });
    assert.match(daemon.noise, text);
    assert.doesNotMatch(daemon.noise, /\n {4}at /);
    // With a mended file the same command works: what could not be bound was not kept.
    const mended = await Daemon.start(t, { stateDir: daemon.stateDir, config: "" });
    assert.equal((await mended.call("ControlService/GetHealth")).healthy, true);
  }
});

test("SIGTERM tells the neighbors, and everything is there after the next start", async (t) => {
  const daemon = await Daemon.start(t, { config: neighborToml("127.0.0.2", 65_002) });
  const speaker = await Speaker.establish(t, { local: "127.0.0.2", port: daemon.bgpPort });
  await daemon.call("InjectionService/AddPath", {
    path: { prefix: "192.0.2.0/24", communities: ["65001:7"] },
  });
  await speaker.sees(["192.0.2.0/24"]);
  assert.deepEqual(await daemon.stop(), { code: 0, signal: null });
  assert.equal(await speaker.notification(), "6/2");
  const next = await daemon.again();
  const again = await Speaker.establish(t, { local: "127.0.0.2", port: next.bgpPort });
  await again.sees(["192.0.2.0/24"]);
  assert.deepEqual(again.routes.get("192.0.2.0/24")?.attributes.communities, [0xfde9_0007]);
});
