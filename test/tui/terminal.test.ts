/** cairnctl top in a real terminal (tmux) in front of a real cairnd: by keyboard alone, through a restart. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Daemon, finallyDo, neighborToml } from "../e2e/harness.ts";

const hasTmux = spawnSync("tmux", ["-V"]).status === 0;

test("in a terminal", { skip: hasTmux ? false : "tmux is not installed" }, async (t) => {
  const config = neighborToml("127.0.0.2", 65_002) + neighborToml("127.0.0.3", 65_003);
  const daemon = await Daemon.start(t, { config });
  await daemon.ctl("rib", "add", "203.0.113.0/24", "--next-hop", "192.0.2.7");
  const server = `cairn-test-${process.pid}`;
  const control = (...words: string[]) =>
    spawnSync("tmux", ["-L", server, "-f", "/dev/null", ...words], { encoding: "utf8" }).stdout;
  finallyDo(t, () => control("kill-server"));
  const launcher = fileURLToPath(new URL("../../bin/cairnctl", import.meta.url));
  const command = `${launcher} -s unix://${daemon.socket} top; echo LEFT; exec cat`;
  control("new-session", "-d", "-x", "80", "-y", "24", "-s", "t", command);
  const screen = () => control("capture-pane", "-p", "-t", "t");
  const until = async (pattern: RegExp): Promise<string> => {
    for (let i = 0; i < 150; i++) {
      const shown = screen();
      if (pattern.test(shown)) return shown;
      await sleep(100);
    }
    assert.fail(`never saw ${pattern} in:\n${screen()}`);
  };
  const keys = (...names: string[]) => control("send-keys", "-t", "t", ...names);

  await until(/0\/2 sessions up[\s\S]*> {2}127\.0\.0\.2 +65002 +active/);
  keys("j");
  await until(/> {2}127\.0\.0\.3/);
  keys("Enter");
  await until(/127\.0\.0\.3 {2}AS 65003/);
  keys("Escape");
  await until(/NEIGHBOR\*/);

  // routes, and why one of them is as it is
  keys("2");
  await until(/best routes[\s\S]*>\* +203\.0\.113\.0\/24 +192\.0\.2\.7/);
  keys("l");
  keys("203.0.113.9", "Enter");
  await until(/203\.0\.113\.9 matches 203\.0\.113\.0\/24/);
  keys("Enter");
  await until(/why this path to 203\.0\.113\.0\/24[\s\S]*only candidate/);
  keys("o");
  await until(/is not announced to 127\.0\.0\.3[\s\S]*STOP/);

  // an action, asked for again before it is done
  keys("1", "a", "d");
  await until(/text for 127\.0\.0\.3/);
  keys("fibre work", "Enter");
  await until(/DISABLE 127\.0\.0\.3/);
  keys("y");
  await until(/127\.0\.0\.3 is disabled/);
  await until(/> {2}127\.0\.0\.3 +65003 +admin-down/);
  const { neighbor } = await daemon
    .neighbor("127.0.0.3")
    .then((found) => ({ neighbor: found.neighbor ?? found }));
  assert.equal(neighbor.state.adminDown, true);

  // a larger terminal is filled, and a restart is survived
  control("resize-window", "-t", "t", "-x", "200", "-y", "60");
  await until(/-- tables --\nFAMILY/);
  await daemon.stop("SIGKILL");
  await until(/NO CONNECTION/);
  const again = await daemon.again();
  await until(/cairnd has restarted/);
  await until(/> {2}127\.0\.0\.3 +65003 +admin-down/);
  assert.ok(again.running);
  keys("q");
  assert.doesNotMatch(await until(/LEFT/), /sessions up/, "the terminal is as it was before");
});
