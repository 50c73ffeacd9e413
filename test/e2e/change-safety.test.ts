/**
 * What keeps an operator safe, through the binary: every attempt is in the audit, a change that was not confirmed goes
 * back also when the daemon is killed, and a state directory is never started over or used damaged without a word.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openSql } from "../../src/store/sqlite.ts";
import { Daemon, type Json, neighborToml, root, run, scratch, until } from "./harness.ts";
import { Speaker } from "./speaker.ts";

const address = "127.0.0.2";
const apply = (spec: Json, more: Json = {}): Json => ({
  source: {
    ops: { put: [{ kind: "Neighbor", spec: { address, remote_asn: 65_002, passive: true, ...spec } }] },
  },
  ...more,
});

test("every attempt leaves one row: refused by access, validation, state, gate; carried out; operations", async (t) => {
  const directory = scratch(t);
  const readOnly = join(directory, "ro.sock");
  const config = `${neighborToml(address, 65_002)}
[[api.unix]]
path = "${readOnly}"
access = "read_only"
`;
  const daemon = await Daemon.start(t, { config });
  const entries = async (): Promise<Json[]> =>
    (await daemon.call("ConfigService/ListAudit", { oldestFirst: true, pageSize: 1000 })).entries;
  const start = (await entries()).length;

  const viewer = (...words: string[]) =>
    run(join(root, "bin/cairnctl"), ["-s", `unix://${readOnly}`, "--json", ...words]);
  assert.notEqual((await viewer("neighbor", "disable", address)).code, 0, "refused by access class");
  assert.notEqual((await viewer("audit")).code, 0, "a viewer may not read the audit");
  await daemon.refused("ConfigService/Apply", apply({ hold_time: "1s" }, { reason: "invalid" }));
  await daemon.refused("ConfigService/Apply", apply({}, { reason: "stale", expectedGeneration: 77 }));
  await daemon.refused("ConfigService/Apply", { source: {}, reason: "no source" });
  await daemon.refused("NeighborService/DeleteNeighbor", { address: "127.0.0.9", reason: "not there" });
  await daemon.call(
    "ConfigService/Apply",
    apply({ description: "new" }, { reason: "why", requestId: "r-1" }),
  );
  await Speaker.establish(t, { local: address, port: daemon.bgpPort });
  await daemon.refused(
    "ConfigService/Apply",
    apply({ port: 1179 }, { reason: "gate", gates: { maxResets: 0 } }),
  );
  assert.equal((await daemon.neighbor(address)).state.sessionState, "SESSION_STATE_ESTABLISHED");
  await daemon.call("NeighborService/HardReset", { address });
  await daemon.refused("NeighborService/HardReset", { address: "127.0.0.9" });
  await daemon.call("ConfigService/Apply", apply({ description: "dry" }, { dryRun: true }));
  await daemon.call("ControlService/GetHealth");

  const rows = (await until("all rows", async () => {
    const all = await entries();
    return all.length >= start + 9 && all;
  })) as Json[];
  const uid = `unix:${process.getuid?.()}`;
  const told = rows.slice(start).map((row: Json) => {
    const method = row.method.split("/")[1];
    return [
      row.principal,
      row.address ?? "",
      method,
      row.reason ?? "",
      row.accepted ?? false,
      row.code ?? "",
    ];
  });
  assert.deepEqual(told, [
    [uid, uid, "DisableNeighbor", "", false, "ACCESS_DENIED"],
    [uid, uid, "Apply", "invalid", false, "INVALID"],
    [uid, uid, "Apply", "stale", false, "STALE_GENERATION"],
    [uid, uid, "Apply", "no source", false, "REQUIRED"],
    [uid, uid, "DeleteNeighbor", "not there", false, "NOT_FOUND"],
    [uid, uid, "Apply", "why", true, ""],
    [uid, uid, "Apply", "gate", false, "GATE"],
    [uid, uid, "HardReset", "", true, ""],
    [uid, uid, "HardReset", "", false, "NOT_FOUND"],
  ]);
  const exported = await daemon.ctl("audit", "--json");
  assert.equal(exported.code, 0, exported.err);
  assert.match(exported.out, /"requestId": ?"r-1"/);

  await daemon.call("ControlService/Shutdown", { message: "over" });
  await daemon.exited;
  const again = await daemon.again();
  const { entries: newest } = await again.call("ConfigService/ListAudit", { pageSize: 5 });
  assert.ok(
    newest.some(({ method }: Json) => method === "cairn.v1.ControlService/Shutdown"),
    "the shutdown too",
  );
  assert.equal((await again.call("ConfigService/ListAudit", { verify: true })).chain.intact, true);
  await again.stop();

  // Somebody with the file in hands puts a row in; altered and missing ones are in src/store/history.test.ts.
  const last = Number(newest[0].id);
  const sql = openSql(join(daemon.stateDir, "cairn.db"), 1000);
  const columns =
    "time, principal, address, method, reason, request_id, accepted, code, detail, generation, hash";
  sql.exec(`INSERT INTO audit (id, ${columns}) SELECT ${last + 1}, ${columns} FROM audit WHERE id = 2`);
  sql.close();
  const next = await again.again();
  const { chain } = await next.call("ConfigService/ListAudit", { verify: true });
  await next.stop();
  assert.deepEqual([chain.intact ?? false, Number(chain.brokenAt)], [false, last + 1]);
});

test("not confirmed: taken back on time after kill -9, and before sessions start when it is overdue", async (t) => {
  const config = neighborToml(address, 65_002, 'description = "old"');
  let daemon = await Daemon.start(t, { config });
  const description = async (): Promise<string> => (await daemon.neighbor(address)).spec.description ?? "";
  const confirm = { confirmWithin: "4s", conditions: [{ expression: "bgp.neighbors >= 1" }], holdFor: "4s" };
  await daemon.call(
    "ConfigService/Apply",
    apply({ description: "one" }, { confirm: { confirmWithin: "4s" } }),
  );
  const begun = performance.now();
  await daemon.stop("SIGKILL");
  daemon = await daemon.again();
  const restarted = performance.now() - begun;
  if (restarted < 3_500) assert.equal(await description(), "one", "still in force before its deadline");
  await until("the change is taken back", async () => (await description()) === "old", 6_000);
  const took = performance.now() - begun;
  assert.ok(took > 3_900 && took < Math.max(restarted, 4_000) + 2_000, `after ${took} ms`);
  // The objects are seen as they were at once; the change stops waiting when that is on disk.
  const pending = async (): Promise<Json> => (await daemon.call("ConfigService/GetPending")).pending;
  await until("nothing waits for confirmation", async () => (await pending()) === undefined, 1_000);

  await daemon.call(
    "ConfigService/Apply",
    apply({ description: "two" }, { confirm: { ...confirm, confirmWithin: "1s", holdFor: "1s" } }),
  );
  await daemon.stop("SIGKILL");
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  daemon = await daemon.again();
  assert.equal(await description(), "old", "overdue at the start");
  const { generations } = await daemon.call("ConfigService/ListGenerations");
  assert.deepEqual(generations.map(({ source }: Json) => source).slice(0, 4), [
    "revert",
    "api",
    "revert",
    "api",
  ]);
  await daemon.stop();
});

test("the file and the database differ: it is said, SIGHUP applies the file, --reseed starts over with a backup", async (t) => {
  const config = neighborToml(address, 65_002, 'description = "file"');
  let daemon = await Daemon.start(t, { config });
  await daemon.call("ConfigService/Apply", apply({ description: "api" }));
  await daemon.stop();
  daemon = await daemon.again();
  const said = daemon.log.find(({ msg }) => /differs from the database in 1 objects/.test(msg));
  assert.match(said?.fix ?? "", /SIGHUP.*--reseed/);
  const description = async (): Promise<string> => (await daemon.neighbor(address)).spec.description;
  assert.equal(await description(), "api", "the database is in force");
  daemon.signal("SIGHUP");
  await until("the file is applied", async () => (await description()) === "file", 20_000);
  const { configHash } = (await daemon.call("ConfigService/GetGeneration")).generation;
  await daemon.call("ConfigService/Apply", apply({ description: "api again" }));
  await daemon.stop();

  daemon = await daemon.again({ args: ["--reseed"] });
  const { generation } = await daemon.call("ConfigService/GetGeneration");
  assert.deepEqual([generation.generation, generation.configHash], ["1", configHash]);
  const backups = readdirSync(join(daemon.stateDir, "backups"));
  assert.equal(backups.length, 1, "the database that was, is kept");
  await daemon.stop();

  const path = join(daemon.stateDir, "cairn.db");
  writeFileSync(path, Buffer.alloc(statSync(path).size, 0x5a));
  for (const file of ["cairn.db-wal", "cairn.db-shm"])
    if (existsSync(join(daemon.stateDir, file))) truncateSync(join(daemon.stateDir, file), 0);
  const damaged = Daemon.spawn(t, { stateDir: daemon.stateDir });
  const { code } = await damaged.exited;
  assert.equal(code, 1);
  const words = damaged.noise + damaged.logText();
  assert.match(words, /damaged/);
  assert.ok(words.includes(backups[0]), `the last backup is offered: ${words}`);
});
