/** cairnctl mrt: files of our own making through cat, stats and replay, and dumps of a daemon. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { RibWriter, writeMessage, writePeerIndexTable, writeStateChange } from "../../src/mrt/writer.ts";
import { scratchDirectory } from "../../src/services/testing/harness.ts";
import { keepaliveBytes } from "../../src/wire/keepalive.ts";
import { MessageWriter } from "../../src/wire/message-writer.ts";
import { encodeNotification } from "../../src/wire/notification.ts";
import { encodeOpen } from "../../src/wire/open.ts";
import { fromHex, update } from "../support/wire.ts";
import { daemon, run } from "./harness.ts";

const none = "unix:///nowhere";
const peer = { routerId: 9, address: fromHex("c0000202"), asn: 65_002 };
const other = { routerId: 8, address: fromHex("c0000203"), asn: 65_003 };

/** A table of two prefixes of one peer and one of another. */
function tableFile(): Uint8Array {
  const out = new MessageWriter();
  writePeerIndexTable(out, 1_700_000_000, 1, "", [peer, other]);
  const rib = new RibWriter(out);
  const block = fromHex("40010100 4002060201 0000fdea 400304c0000202".replaceAll(" ", ""));
  for (const last of [1, 2]) {
    rib.begin(1_700_000_000, 1, 1, false, Uint8Array.of(203, 0, last, 0), 24);
    rib.entry(0, 1_600_000_000, 0, block, 0, block.length);
    if (last === 1) rib.entry(1, 1_600_000_000, 0, block, 0, block.length);
    rib.end();
  }
  return out.take();
}

function updatesFile(): Uint8Array {
  const out = new MessageWriter();
  const ends = { peerAsn: 65_002, localAsn: 65_001, peerAddress: peer.address, localAddress: other.address };
  const announcement = update("40010100 4002060201 0000fdea 400304c0000202", "18cb0001");
  const withdrawal = update("", "", "18cb0001");
  writeStateChange(out, 1_700_000_000_000, ends, 5, 6);
  writeMessage(out, 1_700_000_000_250, ends, true, false, announcement, 0, announcement.length);
  writeMessage(out, 1_700_000_000_500, ends, true, false, withdrawal, 0, withdrawal.length);
  return out.take();
}

const tableLines = [
  "TABLE_DUMP2|1700000000|B|192.0.2.2|65002|203.0.1.0/24|65002|IGP|192.0.2.2|0|0||NAG||",
  "TABLE_DUMP2|1700000000|B|192.0.2.3|65003|203.0.1.0/24|65002|IGP|192.0.2.2|0|0||NAG||",
  "TABLE_DUMP2|1700000000|B|192.0.2.2|65002|203.0.2.0/24|65002|IGP|192.0.2.2|0|0||NAG||",
];

function fileOf(t: TestContext, bytes: Uint8Array): string {
  const path = join(scratchDirectory(t), "file");
  writeFileSync(path, bytes);
  t.after(() => rmSync(path, { force: true }));
  return path;
}

test("cat prints the lines of bgpdump, whatever the compression, and JSON", async (t) => {
  const table = tableFile();
  for (const bytes of [table, gzipSync(table), zstdCompressSync(table)]) {
    const { code, out, err } = await run(none, ["mrt", "cat", fileOf(t, bytes)]);
    assert.deepEqual([code, err, out.trimEnd().split("\n")], [0, "", tableLines]);
  }
  const { out } = await run(none, ["mrt", "cat", fileOf(t, updatesFile()), "-o", "ndjson"]);
  const [state, announced, withdrawn] = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    [state.kind, state.old, state.new, state.peer],
    ["state", "OpenConfirm", "Established", "192.0.2.2"],
  );
  assert.equal(announced.time, 1_700_000_000.25);
  assert.deepEqual(announced.routes[0].prefixes, [{ prefix: "203.0.1.0/24" }]);
  assert.equal(announced.routes[0].attributes.as_path, "65002");
  assert.equal(withdrawn.routes[0].withdrawn, true);
});

test("a file that is cut off, compressed or not, is printed up to there, and the exit code is 1", async (t) => {
  const table = tableFile();
  const cut = await run(none, ["mrt", "cat", fileOf(t, table.subarray(0, table.length - 3))]);
  assert.equal(cut.code, 1);
  assert.equal(cut.out.trimEnd(), tableLines.slice(0, 2).join("\n"));
  assert.match(cut.err, /offset 124: the file ends within a record: at least 3 bytes are missing/);
  const squeezed = gzipSync(table);
  const broken = await run(none, ["mrt", "cat", fileOf(t, squeezed.subarray(0, squeezed.length - 12))]);
  assert.equal(broken.code, 1);
  assert.match(broken.err, /cannot be decompressed/);
  const text = await run(none, [
    "mrt",
    "cat",
    fileOf(t, new TextEncoder().encode("no MRT at all, but text\n")),
  ]);
  assert.equal(text.code, 1);
  assert.equal(text.out, "");
  const missing = await run(none, ["mrt", "cat", "/nowhere/file"]);
  assert.equal(missing.code, 1);
  assert.match(missing.err, /ENOENT/);
});

test("stats counts records, peers, prefixes and sets of attributes", async (t) => {
  const file = fileOf(t, tableFile());
  const { out } = await run(none, ["mrt", "stats", file, "--json"]);
  const stats = JSON.parse(out);
  assert.deepEqual(stats.types, { "TABLE_DUMP_V2/1": 1, "TABLE_DUMP_V2/2": 2 });
  assert.deepEqual([stats.prefixes, stats.attribute_sets, stats.routes], [2, 1, { "ipv4-unicast": 3 }]);
  assert.deepEqual(
    stats.peers.map(({ address, asn, routes }: Record<string, unknown>) => [address, asn, routes]),
    [
      ["192.0.2.2", 65_002, 2],
      ["192.0.2.3", 65_003, 1],
    ],
  );
  assert.match((await run(none, ["mrt", "stats", file])).out, /192\.0\.2\.2 +65002 +2/);
});

/** A neighbor that answers an OPEN, or refuses it; collects what it is sent. */
async function neighbor(t: TestContext, refuse = false): Promise<{ port: number; got: () => Buffer }> {
  const chunks: Buffer[] = [];
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      if (chunks.length === 0) {
        if (refuse) socket.end(encodeNotification(2, 2));
        else
          socket.write(
            Buffer.concat([
              encodeOpen({ asn: 65_001, holdTimeS: 90, routerId: 1, capabilities: [] }),
              keepaliveBytes,
            ]),
          );
      }
      chunks.push(bytes as Buffer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return { port: (server.address() as net.AddressInfo).port, got: () => Buffer.concat(chunks) };
}

/** NLRI and withdrawn routes of the UPDATEs among the messages, as hexadecimal digits. */
function routesSent(bytes: Buffer): string[] {
  const routes: string[] = [];
  for (let at = 0; at + 19 <= bytes.length; at += bytes.readUInt16BE(at + 16)) {
    if (bytes[at + 18] !== 2) continue;
    const end = at + bytes.readUInt16BE(at + 16);
    const withdrawn = bytes.readUInt16BE(at + 19);
    const attributes = bytes.readUInt16BE(at + 21 + withdrawn);
    const nlri = bytes.subarray(at + 23 + withdrawn + attributes, end).toString("hex");
    const gone = bytes.subarray(at + 21, at + 21 + withdrawn).toString("hex");
    if (nlri !== "") routes.push(`+${nlri}`);
    if (gone !== "") routes.push(`-${gone}`);
  }
  return routes;
}

test("replay sends the routes of one peer, then stays as long as it is told", async (t) => {
  const { port, got } = await neighbor(t);
  const words = [
    "mrt",
    "replay",
    fileOf(t, tableFile()),
    "--to",
    `127.0.0.1:${port}`,
    "--linger",
    "100ms",
    "-o",
    "json",
  ];
  const { code, out, err } = await run(none, words);
  assert.deepEqual([code, err], [0, ""]);
  assert.deepEqual(JSON.parse(out), {
    peer: "192.0.2.2",
    peer_asn: 65_002,
    announced: 2,
    withdrawn: 0,
    skipped: 0,
  });
  assert.deepEqual(routesSent(got()), ["+18cb000118cb0002"]);
});

test("replay of updates keeps their order and, with --speed, their times; of another peer on demand", async (t) => {
  const first = await neighbor(t);
  const updates = fileOf(t, updatesFile());
  const begun = performance.now();
  const to = (port: number): string[] => ["--to", `127.0.0.1:${port}`, "--linger", "100ms", "-o", "json"];
  await run(none, ["mrt", "replay", updates, ...to(first.port), "--speed", "1"]);
  assert.ok(performance.now() - begun >= 250);
  assert.deepEqual(routesSent(first.got()), ["+18cb0001", "-18cb0001"]);
  const second = await neighbor(t);
  const table = fileOf(t, tableFile());
  await run(none, [
    "mrt",
    "replay",
    table,
    ...to(second.port),
    "--peer",
    "192.0.2.3",
    "--next-hop",
    "192.0.2.77",
  ]);
  assert.deepEqual(routesSent(second.got()), ["+18cb0001"]);
  assert.ok(second.got().includes(Buffer.from("400304c000024d", "hex")));
});

test("replay says what is wrong: arguments, a peer without routes, a neighbor that refuses", async (t) => {
  const file = fileOf(t, tableFile());
  const fails = async (...words: string[]): Promise<string> => {
    const { code, err } = await run(none, ["mrt", "replay", file, ...words]);
    assert.notEqual(code, 0);
    return err;
  };
  assert.match(await fails(), /--to is missing/);
  assert.match(await fails("--to", "nowhere"), /is not ADDR or ADDR:PORT/);
  assert.match(await fails("--to", "127.0.0.1", "--asn", "0"), /not an AS number/);
  assert.match(await fails("--to", "127.0.0.1", "--speed", "-1"), /not a number above 0/);
  assert.match(await fails("--to", "127.0.0.1", "--peer", "192.0.2.9"), /no routes of 192\.0\.2\.9/);
  const { port } = await neighbor(t, true);
  assert.match(
    await fails("--to", `127.0.0.1:${port}`),
    /ended the session: OPEN Message Error\/Bad Peer AS/,
  );
});

test("dumps of a daemon: set, list, get, dump, delete", async (t) => {
  const { cli } = await daemon(t);
  assert.match((await cli("mrt")).out, /no dumps: cairnctl mrt set/);
  const set = await cli("mrt set rib --path %Y/rib.%Y%m%d.gz --interval 8h --max-files 9");
  assert.equal(set.code, 0, set.err);
  assert.match((await cli("mrt list")).out, /rib +received/);
  assert.equal((await cli("mrt set rib --content updates")).code, 0);
  const { mrtDump } = JSON.parse((await cli("mrt get rib --json")).out);
  assert.deepEqual(
    [mrtDump.spec.path, mrtDump.spec.content, mrtDump.spec.maxFiles],
    ["%Y/rib.%Y%m%d.gz", "MRT_CONTENT_UPDATES", 9],
  );
  assert.match((await cli("mrt dump rib")).out, /\/tmp\/rib: 2 routes, 4 B/);
  assert.equal((await cli("mrt delete rib")).code, 0);
  assert.equal((await cli("mrt get rib")).code, 1);
});
