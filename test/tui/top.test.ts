/** cairnctl top by its frames: the Ink app with a feed of our own, a live daemon with --once, and a terminal in tmux. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { plain } from "../../src/cli/style.ts";
import { frameLines } from "../../src/cli/top/frame.ts";
import { update } from "../../src/cli/top/model.ts";
import { sparkline } from "../../src/cli/top/text.ts";
import { firstView } from "../../src/cli/top/view.ts";
import { daemon } from "../cli/harness.ts";
import { app, filled, health, neighbor, settle } from "./support.ts";

test("80x24: every line fits, the frame is full, who is down says why", () => {
  const lines = frameLines(filled(), firstView, { columns: 80, rows: 23 }, plain, "unix:///x");
  assert.equal(lines.length, 23);
  for (const line of lines) assert.ok(line.length <= 80, line);
  assert.equal(lines[0], "edge1  AS 65000  id 192.0.2.254  healthy  up 1m  generation 7  cairnd 1.2.3");
  assert.equal(lines[1], "2/3 sessions up  ipv4-unicast 1,000,000 routes, 2,000,000 paths  57.2 MiB RIB");
  assert.match(lines.join("\n"), /> {2}192\.0\.2\.1 +65001 +established +2d 4h +1,000,000/);
  assert.match(lines.join("\n"), / {3}192\.0\.2\.2: hold timer expired/);
  const wide = frameLines(filled(), firstView, { columns: 150, rows: 23 }, plain, "unix:///x").join("\n");
  assert.match(wide, /192\.0\.2\.2 .* active .* hold timer expired/);
  assert.match(wide, / 120 +0 +█/);
});

test("a session that starts over does not show a negative rate", () => {
  const model = update(filled(), {
    input: "sample",
    neighbors: [neighbor("192.0.2.1", true, 40)],
    nowMs: 20_000,
  });
  assert.deepEqual(model.rates.get("192.0.2.1")?.received, [120, 4]);
});

test("sparklines", () => {
  assert.equal(sparkline([], 8), "");
  assert.equal(sparkline([0, 0], 4), "  ▁▁");
  assert.equal(sparkline([9, 9, 0, 4, 8], 3), "▁▅█");
});

test("a lost daemon is said, and so is its return", () => {
  const lost = update(filled(), { input: "lost", problem: "cannot reach cairnd" });
  const lines = frameLines(lost, firstView, { columns: 80, rows: 23 }, plain, "unix:///x");
  assert.match(lines[0], /NO CONNECTION/);
  assert.match(lines[2], /cannot reach cairnd; trying again/);
  assert.match(lines.join("\n"), /192\.0\.2\.1/, "the last state stays in view");
  const back = update(lost, { input: "health", health: health(2) });
  assert.match(frameLines(back, firstView, { columns: 80, rows: 23 }, plain, "")[2], /cairnd has restarted/);
  assert.equal(update(back, { input: "health", health: health(70) }).notice, "");
  const ill = update(back, { input: "health", health: health(3, false) });
  assert.match(frameLines(ill, firstView, { columns: 80, rows: 23 }, plain, "")[2], /store: disk is full/);
});

test("keys: select, detail, back, sort, filter, events, routes, help, quit", async (t) => {
  const { mount: start, wants } = app(t, filled());
  const { press } = await start();
  assert.match(await press("j"), /> {2}192\.0\.2\.2/);
  assert.match(await press("\u001b[A"), /> {2}192\.0\.2\.1/);
  assert.match(await press("G"), /> {2}2001:db8/);
  assert.match(await press("g"), /> {2}192\.0\.2\.1/);
  assert.match(await press("j\r"), /192\.0\.2\.2 {2}AS 65001 {2}active/);
  assert.match(await press("\u001b"), /NEIGHBOR\*/);
  assert.match(await press("s"), /STATE\*/);
  assert.match(await press("/2001"), /filter: 2001_/);
  const filteredFrame = await press("\r");
  assert.doesNotMatch(filteredFrame, /192\.0\.2\.1 /);
  assert.match(filteredFrame, /\[2001\]/);
  assert.match(await press("\u001b"), /192\.0\.2\.1 /);
  assert.match(await press("e"), /session is up/);
  assert.match(await press("e"), /NEIGHBOR/);
  assert.match(await press("?"), /ends of established sessions/);
  assert.match(await press("?"), /NEIGHBOR/);
  assert.match(await press("r"), /received from 192\.0\.2\.2\s+asking \.\.\./);
  assert.equal(wants.at(-1)?.screen, "rib");
});

test("the selection follows the neighbor when others come and go", async (t) => {
  const { mount: start, take } = app(t, filled());
  const { stdin, lastFrame } = await start();
  stdin.write("j");
  await settle();
  take({ input: "changed", neighbors: [neighbor("10.0.0.1", true, 0)] });
  await settle();
  assert.match(lastFrame() ?? "", /> {2}192\.0\.2\.2/);
  take({ input: "deleted", neighbors: [neighbor("192.0.2.2", false, 0)] });
  await settle();
  assert.match(lastFrame() ?? "", /> {2}10\.0\.0\.1/);
});

test("--once prints one frame of a live daemon as plain text", async (t) => {
  const { cli } = await daemon(t);
  const { code, out } = await cli("top --once --interval 200ms");
  assert.equal(code, 0);
  assert.match(out, /^fake {2}AS 65000/);
  assert.match(out, /192\.0\.2\.1 +65001 +established/);
  assert.match(out, /-- events --/);
  const table = await cli("top --once --screen rib --interval 200ms");
  assert.equal(table.code, 0);
  assert.match(table.out, /best routes; ipv4-unicast[\s\S]*10\.0\.48\.0\/24/);
  assert.equal((await cli("top --once --screen nothing")).code, 2);
});
