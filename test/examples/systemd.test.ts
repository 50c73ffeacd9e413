/** examples/systemd: what systemd says of the unit, and what cairnd tells systemd. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { Daemon, finallyDo, root, run, scratch } from "../e2e/harness.ts";
import { env, missing, until } from "./rig.ts";

const unit = readFileSync(join(root, "examples/systemd/cairnd.service"), "utf8");

/** Highest exposure that `systemd-analyze security` may find, in tenths. */
const exposureMax = 25;

test("systemd takes the unit and finds little exposed", {
  skip: missing("systemd-analyze"),
  timeout: 60_000,
}, async (t) => {
  const file = join(scratch(t), "cairnd.service");
  writeFileSync(
    file,
    unit.replaceAll("/opt/cairn/", `${root}/`).replace(/^(User|Group)=cairn$/gm, "$1=root"),
  );
  const verified = await run("systemd-analyze", ["verify", "--man=no", file]);
  assert.equal(verified.code, 0, verified.err);
  assert.doesNotMatch(verified.err, /cairnd\.service:\d+/, "no line of it is complained about");

  writeFileSync(file, unit);
  const words = ["security", "--offline=true", `--threshold=${exposureMax}`, "--no-pager", file];
  const judged = await run("systemd-analyze", words);
  assert.equal(judged.code, 0, judged.out + judged.err);
});

test("the command of the unit tells systemd when it is ready and when it stops", {
  skip: missing("python3"),
  timeout: 60_000,
}, async (t) => {
  const [, options = ""] =
    /^ExecStart=\/opt\/cairn\/bin\/cairnd \/etc\/cairn\/cairn\.toml (.*)$/m.exec(unit) ?? [];
  assert.equal(options, "--state-dir /var/lib/cairn", "what the daemon below is started with");
  const path = join(scratch(t), "notify");
  const receiver = spawn("python3", ["-u", "-c", receive, path]);
  finallyDo(t, () => receiver.kill());
  const told: string[] = [];
  createInterface({ input: receiver.stdout }).on("line", (line) => told.push(line));
  await until("somebody listens", () => told.shift() === "listening");

  const daemon = await Daemon.start(t, { env: { ...env, NOTIFY_SOCKET: path } });
  await until("ready", () => told.length > 0);
  assert.deepEqual(told, ["READY=1"]);
  daemon.signal("SIGHUP"); // ExecReload
  await until("reloaded", () => daemon.log.some(({ msg }) => msg === "applied the file"));
  const { code } = await daemon.stop();
  assert.equal(code, 0);
  await until("stopping", () => told.length > 1);
  assert.deepEqual(told, ["READY=1", "STOPPING=1"]);
  receiver.kill();
  await once(receiver, "exit");
});

/** Node has no datagram sockets in the file system. */
const receive = `
import socket, sys
door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
door.bind(sys.argv[1])
print("listening")
while True: print(door.recv(4096).decode())
`;
