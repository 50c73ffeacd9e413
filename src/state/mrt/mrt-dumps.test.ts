/** Dumps in a whole core in virtual time, with a disk that the test plays. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { CoreRig, type Peer } from "../../../test/rfc/core-rig.ts";
import { attributesHex, nlriHex } from "../../../test/rfc/wire-text.ts";
import { update } from "../../../test/support/wire.ts";
import { limits } from "../../base/limits.ts";
import { MrtContent, MrtDumpSpecSchema, type MrtDumpState } from "../../gen/cairn/v1/mrt_service_pb.ts";
import { PolicyAction } from "../../gen/cairn/v1/policy_service_pb.ts";
import { dumpLines } from "../../mrt/lines.ts";
import { MrtReader } from "../../mrt/reader.ts";
import type { Effect, MrtOpenEffect } from "../effects.ts";
import type { OperationOutcome } from "../operation.ts";

interface File {
  readonly open: MrtOpenEffect;
  readonly pieces: Uint8Array[];
  /** Undefined until it was closed; then whether it is to be kept. */
  keep: boolean | undefined;
}

/** A rig whose MRT files the test has in hand. */
class DumpRig extends CoreRig {
  readonly files: File[] = [];
  readonly replies: OperationOutcome[] = [];
  private readonly byId = new Map<number, File>();

  constructor() {
    super();
    const { effects } = this.core;
    const push = effects.push.bind(effects);
    effects.push = (effect: Effect): void => {
      if (effect.kind === "mrt.open") {
        const file: File = { open: effect, pieces: [], keep: undefined };
        this.byId.set(effect.file, file);
        this.files.push(file);
      } else if (effect.kind === "mrt.write") this.byId.get(effect.file)?.pieces.push(effect.bytes);
      else if (effect.kind === "mrt.close") this.byId.get(effect.file)!.keep = effect.keep;
      else if (effect.kind === "reply" && effect.call >= 1000)
        this.replies.push(effect.outcome as OperationOutcome);
      else push(effect);
    };
  }

  dump(init: MessageInitShape<typeof MrtDumpSpecSchema>): void {
    this.mutate({ op: "put", kind: "MrtDump", spec: create(MrtDumpSpecSchema, { name: "d", ...init }) });
  }

  trigger(name = "d"): void {
    this.input({ kind: "operate", call: 1000, operation: { op: "mrt-dump", name } });
  }

  /** All that was handed over is on disk. */
  take(file: File): void {
    this.input({ kind: "mrt.taken", file: file.open.file, queued: 0, bytes: undefined });
  }

  finish(file: File, error = ""): void {
    const bytes = error === "" ? file.pieces.reduce((sum, { length }) => sum + length, 0) : 0;
    this.input({ kind: "mrt.closed", file: file.open.file, path: `/mrt/${file.open.path}`, bytes, error });
  }

  state(): MrtDumpState {
    const state = this.view.mrtDump("d");
    assert.ok(state);
    return state;
  }
}

function linesOf({ pieces }: File): string[] {
  const reader = new MrtReader();
  const lines: string[] = [];
  for (const piece of pieces) {
    reader.push(piece);
    while (reader.next()) {
      assert.notEqual(reader.body.kind, "fault");
      if (reader.body.kind !== "fault") lines.push(...dumpLines(reader.header, reader.body));
    }
  }
  assert.equal(reader.end(), undefined);
  return lines;
}

/** A line from the peer on, without the next hop. */
const short = (line: string): string => line.split("|").slice(3, 7).join(" ");

/** 12,000 routes that take more room in a file than may wait for the disk. */
function announceMuch(peer: Peer): void {
  const long = Array.from({ length: 200 }, (_, i) => 65_100 + i).join(" ");
  for (let i = 0; i < 240; i++) {
    const prefixes = Array.from({ length: 50 }, (_, j) => `10.${i}.${j}.0/24`);
    peer.announce(prefixes, { path: `65002 ${i + 1} ${long}` });
  }
}

test("what neighbors sent is dumped as they sent it; what policy refuses too", () => {
  const rig = new DumpRig();
  const first = rig.peer("192.0.2.2", { import: ["reject-all"], softReconfiguration: true });
  const second = rig.peer("192.0.2.3", { remoteAsn: 65003 });
  first.announce(["203.0.113.0/24"], { path: "65002 65010" });
  second.announce(["203.0.113.0/24", "198.51.100.0/24"], { path: "65003" });
  rig.dump({ path: "rib.%Y%m%d.%H%M%S" });
  rig.trigger();
  const [file] = rig.files;
  assert.equal(file.open.path, "rib.20231114.221321");
  assert.equal(file.keep, true);
  assert.deepEqual(linesOf(file).map(short).sort(), [
    "192.0.2.2 65002 203.0.113.0/24 65002 65010",
    "192.0.2.3 65003 198.51.100.0/24 65003",
    "192.0.2.3 65003 203.0.113.0/24 65003",
  ]);
  assert.equal(rig.replies.length, 0);
  rig.finish(file);
  const [outcome] = rig.replies;
  assert.ok(outcome.ok);
  assert.equal(outcome.dump?.routes, 3);
  assert.equal(outcome.dump?.path, "/mrt/rib.20231114.221321");
  assert.equal(rig.state().lastRoutes, 3n);
  assert.ok(rig.topics().includes("cairn.mrt.dump.completed"));
});

test("content best has one route a prefix, as import policy left it", () => {
  const rig = new DumpRig();
  rig.policy({ name: "up", statements: [{ set: { localPref: 700 }, action: PolicyAction.ACCEPT }] });
  rig.peer("192.0.2.2").announce(["203.0.113.0/24"], { path: "65002" });
  rig
    .peer("192.0.2.3", { remoteAsn: 65003, import: ["up"] })
    .announce(["203.0.113.0/24"], { path: "65003 65009" });
  rig.inject({ prefix: "198.51.100.0/24", nextHop: "192.0.2.9" });
  rig.dump({ path: "best", content: MrtContent.BEST });
  rig.trigger();
  const lines = linesOf(rig.files[0]);
  assert.deepEqual(lines.map(short).sort(), [
    "0.0.0.0 0 198.51.100.0/24 ",
    "192.0.2.3 65003 203.0.113.0/24 65003 65009",
  ]);
  assert.match(lines.find((line) => line.includes("65009")) ?? "", /\|700\|0\|/);
});

test("routes with path identifiers stand in records of their own", () => {
  const rig = new DumpRig();
  const families = [{ family: "ipv4-unicast", receive: true }];
  const peer = rig.peer("192.0.2.2", { addPath: families }, { addPath: true });
  peer.announce(["1 203.0.113.0/24"], { path: "65002" });
  peer.announce(["7 203.0.113.0/24"], { path: "65002 65010" });
  rig.peer("192.0.2.3", { remoteAsn: 65003 }).announce(["203.0.113.0/24"], { path: "65003" });
  rig.dump({ path: "rib" });
  rig.trigger();
  assert.deepEqual(
    linesOf(rig.files[0])
      .map((line) => `${line.split("|")[0]} ${line.split("|").slice(3, 8).join(" ")}`)
      .sort(),
    [
      "TABLE_DUMP2 192.0.2.3 65003 203.0.113.0/24 65003 IGP",
      "TABLE_DUMP2_AP 192.0.2.2 65002 203.0.113.0/24 1 65002",
      "TABLE_DUMP2_AP 192.0.2.2 65002 203.0.113.0/24 7 65002 65010",
    ],
  );
});

test("a schedule counts from midnight; a file that is not complete when the next is due stays the only one", () => {
  const rig = new DumpRig();
  rig.peer("192.0.2.2").announce(["203.0.113.0/24"], { path: "65002" });
  rig.dump({ path: "rib.%H%M%S", interval: { seconds: 600n } });
  assert.equal(rig.files.length, 0);
  rig.advance(600_000);
  assert.deepEqual(
    rig.files.map(({ open }) => open.path),
    ["rib.222000"],
  );
  rig.advance(600_000);
  assert.equal(rig.files.length, 1);
  assert.ok(rig.topics().includes("cairn.mrt.dump.skipped"));
  rig.finish(rig.files[0]);
  rig.advance(600_000);
  assert.equal(rig.files[1].open.path, "rib.224000");
  rig.trigger();
  assert.ok(!rig.replies[0].ok && rig.replies[0].problems[0].code === "BUSY");
});

test("a table never waits for the disk in memory: at the bound the walk rests, and goes on when there is room", () => {
  const rig = new DumpRig();
  const peer = rig.peer("192.0.2.2");
  announceMuch(peer);
  rig.dump({ path: "rib" });
  rig.trigger();
  const [file] = rig.files;
  const held = (): number => file.pieces.reduce((sum, { length }) => sum + length, 0);
  assert.equal(file.keep, undefined);
  assert.ok(held() <= limits.mrtQueueBytesMax + (1 << 18));
  assert.equal(rig.core.hasWork(), false);
  // Behind the walk and ahead of it, the table changes.
  peer.withdraw(["10.0.0.0/24", "10.239.49.0/24"]);
  peer.announce(["192.0.2.0/24"], { path: "65002" });
  rig.take(file);
  assert.equal(file.keep, true);
  const prefixes = linesOf(file).map((line) => line.split("|")[5]);
  assert.equal(new Set(prefixes).size, prefixes.length);
  assert.ok(prefixes.includes("10.0.0.0/24"));
  assert.ok(!prefixes.includes("10.239.49.0/24"));
  assert.ok(prefixes.length >= 11_999);
});

test("a neighbor that is gone in the middle of a dump is not mistaken for the one that has its number then", () => {
  const rig = new DumpRig();
  const peer = rig.peer("192.0.2.2");
  announceMuch(peer);
  rig.dump({ path: "rib" });
  rig.trigger();
  rig.mutate({ op: "delete", kind: "Neighbor", name: "192.0.2.2" });
  rig.advance(1000);
  rig.peer("192.0.2.9", { remoteAsn: 65009 }).announce(["10.250.0.0/24"], { path: "65009" });
  rig.take(rig.files[0]);
  for (const line of linesOf(rig.files[0])) assert.match(line, /\|192\.0\.2\.2\|65002\|10\./);
});

test("updates are written as they came, with states, and files follow each other", () => {
  const rig = new DumpRig();
  rig.dump({ path: "updates.%H%M%S", content: MrtContent.UPDATES, interval: { seconds: 60n }, maxFiles: 3 });
  assert.equal(rig.files[0].open.appends, true);
  assert.equal(rig.files[0].open.maxFiles, 3);
  const peer = rig.peer("192.0.2.2");
  peer.announce(["203.0.113.0/24"], { path: "65002" });
  peer.withdraw(["203.0.113.0/24"]);
  rig.advance(60_000);
  const [first, second] = rig.files;
  assert.equal(first.keep, true);
  assert.equal(second.open.path, "updates.221400");
  const lines = linesOf(first);
  assert.deepEqual(
    lines.filter((line) => !line.includes("STATE")).map((line) => line.split("|").slice(2, 7).join(" ")),
    ["A 192.0.2.2 65002 203.0.113.0/24 65002", "W 192.0.2.2 65002 203.0.113.0/24"],
  );
  assert.match(
    lines.find((line) => line.endsWith("|5|6")) ?? "",
    /^BGP4MP_ET\|[0-9]+\.[0-9]{6}\|STATE\|192\.0\.2\.2\|65002\|5\|6$/,
  );
  rig.finish(first);
  assert.equal(rig.state().files, 1n);
  assert.equal(rig.state().lastRecords, BigInt(lines.length));
});

test("a disk that takes nothing costs updates, not memory, and says so once a file", () => {
  const rig = new DumpRig();
  rig.dump({ path: "updates.%H%M%S", content: MrtContent.UPDATES });
  const peer = rig.peer("192.0.2.2");
  // An attribute that nobody knows, to have long messages.
  const attributes = attributesHex(
    { origin: "igp", path: "65002", nextHop: "192.0.2.2", other: `f0fa0ee0${"00".repeat(3808)}` },
    4,
  );
  const message = update(attributes, nlriHex("203.0.113.0/24"));
  for (let i = 0; i < 2400; i++) peer.send(message);
  const { dropped, queuedBytes } = rig.state();
  assert.ok(dropped > 100n, `${dropped}`);
  assert.ok(queuedBytes < BigInt(limits.mrtQueueBytesMax + 8192));
  assert.equal(rig.topics().filter((topic) => topic === "cairn.mrt.updates.dropped").length, 1);
  assert.equal(rig.best("203.0.113.0/24"), "192.0.2.2");
  rig.take(rig.files[0]);
  const before = rig.state().dropped;
  peer.announce(["203.0.113.0/24"], { path: "65002" });
  assert.equal(rig.state().dropped, before);
});

test("a file that cannot be written is an event; a table is tried again when due, updates go on in a new file", () => {
  const rig = new DumpRig();
  rig.peer("192.0.2.2");
  rig.dump({ path: "rib" });
  rig.trigger();
  rig.finish(rig.files[0], "ENOSPC: no space left on device, write");
  assert.ok(!rig.replies[0].ok);
  assert.match(rig.state().lastError, /no space left/);
  assert.equal(rig.state().failures, 1n);
  assert.ok(rig.topics().includes("cairn.mrt.dump.failed"));
  rig.mutate({ op: "delete", kind: "MrtDump", name: "d" });
  rig.dump({ path: "u.%H%M%S", content: MrtContent.UPDATES });
  rig.finish(rig.files[1], "ENOSPC: no space left on device, write");
  assert.equal(rig.files.length, 2);
  rig.advance(10_000);
  assert.equal(rig.files.length, 3);
});

test("a dump that is deleted or changed ends its file, and a daemon that ends completes updates", () => {
  const rig = new DumpRig();
  rig.dump({ path: "u.%H%M%S", content: MrtContent.UPDATES });
  rig.dump({ path: "v.%H%M%S", content: MrtContent.UPDATES });
  assert.equal(rig.files[0].keep, true);
  assert.equal(rig.files[1].keep, undefined);
  rig.mutate({ op: "delete", kind: "MrtDump", name: "d" });
  assert.equal(rig.files[1].keep, true);
  assert.equal(rig.view.mrtDump("d"), undefined);
  rig.trigger();
  assert.ok(!rig.replies[0].ok && rig.replies[0].problems[0].code === "NOT_FOUND");
  rig.dump({ path: "w.%H%M%S", content: MrtContent.UPDATES });
  rig.trigger();
  assert.ok(!rig.replies[1].ok && rig.replies[1].problems[0].code === "WRONG_STATE");
  rig.operate({ op: "shutdown", message: "", hard: false, graceful: false });
  assert.equal(rig.files[2].keep, true);
});

test("with no dump of updates nothing is written for them", () => {
  const rig = new DumpRig();
  rig.dump({ path: "rib" });
  rig.peer("192.0.2.2").announce(["203.0.113.0/24"]);
  assert.equal(rig.core.mrt.isTapping, false);
  assert.equal(rig.files.length, 0);
});
