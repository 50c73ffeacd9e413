/** cairnctl top by its frames: the Ink app with a feed of our own, a live daemon with --once, and a terminal in tmux. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import { createElement } from "react";
import { plain } from "../../src/cli/style.ts";
import { frameLines, sparkline } from "../../src/cli/top/frame.ts";
import { emptyModel, type TopInput, type TopModel, update } from "../../src/cli/top/model.ts";
import { firstView } from "../../src/cli/top/view.ts";
import { GetHealthResponseSchema } from "../../src/gen/cairn/v1/control_service_pb.ts";
import { EventSchema } from "../../src/gen/cairn/v1/event_service_pb.ts";
import { type Neighbor, NeighborSchema, SessionState } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { GetRibSummaryResponseSchema } from "../../src/gen/cairn/v1/rib_service_pb.ts";
import { daemon } from "../cli/harness.ts";

function neighbor(address: string, up: boolean, updates: number): Neighbor {
  return create(NeighborSchema, {
    spec: { address, remoteAsn: 65_001, description: `link ${address}` },
    state: {
      sessionState: up ? SessionState.ESTABLISHED : SessionState.ACTIVE,
      uptime: { seconds: up ? 187_200n : 0n },
      families: [{ family: "ipv4-unicast", received: 1_000_000n, accepted: 999_999n, advertised: 5n }],
      received: { updates: BigInt(updates) },
      sent: { updates: 0n },
      lastResetReason: up ? "" : "hold timer expired",
    },
  });
}

function health(uptimeS: number, healthy = true) {
  return create(GetHealthResponseSchema, {
    healthy,
    version: "1.2.3",
    uptime: { seconds: BigInt(uptimeS) },
    generation: 7n,
    name: "edge1",
    asn: 65_000,
    routerId: "192.0.2.254",
    subsystems: [{ name: "store", healthy, detail: healthy ? "" : "disk is full" }],
  });
}

/** A model with three neighbors, one of them down, and two samples ten seconds apart. */
function filled(): TopModel {
  const list = (updates: number) => [
    neighbor("192.0.2.1", true, updates),
    neighbor("192.0.2.2", false, 0),
    neighbor("2001:db8:1234:5678:9abc:def0:1234:5678", true, 0),
  ];
  const inputs: TopInput[] = [
    { input: "health", health: health(60) },
    {
      input: "summary",
      summary: create(GetRibSummaryResponseSchema, {
        families: [{ family: "ipv4-unicast", prefixes: 1_000_000n, paths: 2_000_000n }],
        memoryBytes: 60_000_000n,
      }),
    },
    { input: "sample", neighbors: list(0), nowMs: 0 },
    { input: "sample", neighbors: list(1_200), nowMs: 10_000 },
    {
      input: "history",
      events: [
        create(EventSchema, { id: 1n, topic: "cairn.bgp.session.established", summary: "session is up" }),
      ],
    },
  ];
  return inputs.reduce(update, emptyModel);
}

function app(t: TestContext, start: TopModel) {
  let model = start;
  const listeners = new Set<() => void>();
  const asked: string[] = [];
  const feed = {
    model: () => model,
    subscribe: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    loadRoutes: (address: string) => void asked.push(address),
  };
  const take = (input: TopInput) => {
    model = update(model, input);
    for (const listener of listeners) listener();
  };
  return { feed, take, asked, mount: () => mount(t, feed) };
}

async function mount(t: TestContext, feed: ReturnType<typeof app>["feed"]) {
  const [{ render }, { App }] = await Promise.all([
    import("ink-testing-library"),
    import("../../src/cli/top/app.ts"),
  ]);
  const size = () => ({ columns: 80, rows: 24 });
  const screen = render(
    createElement(App, { feed, style: plain, address: "unix:///x", size, onResize: () => () => {} }),
  );
  t.after(() => screen.unmount());
  await settle();
  return screen;
}

/** Lets Ink take its input and draw; its escape key waits a moment for the rest of a sequence. */
async function settle(): Promise<void> {
  await sleep(60);
}

test("80x24: every line fits, the frame is full, who is down says why", () => {
  const lines = frameLines(filled(), firstView, { columns: 80, rows: 23 }, plain, "unix:///x");
  assert.equal(lines.length, 23);
  for (const line of lines) assert.ok(line.length <= 80, line);
  assert.equal(lines[0], "edge1  AS 65000  id 192.0.2.254  healthy  up 1m  generation 7  cairnd 1.2.3");
  assert.equal(lines[1], "2/3 sessions up  ipv4-unicast 1,000,000 routes, 2,000,000 paths  57.2 MiB RIB");
  assert.match(lines.join("\n"), /> {2}192\.0\.2\.1 +65001 +established +2d 4h +1,000,000/);
  const wide = frameLines(filled(), firstView, { columns: 140, rows: 23 }, plain, "unix:///x").join("\n");
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
  const { mount: start, asked } = app(t, filled());
  const { stdin, lastFrame } = await start();
  const press = async (keys: string) => {
    stdin.write(keys);
    await settle();
    return lastFrame() ?? "";
  };
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
  assert.match(await press("?"), /next sort column/);
  assert.match(await press("?"), /NEIGHBOR/);
  assert.match(await press("r"), /asking for the routes of/);
  assert.equal(asked.length, 1);
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
});

const tmux = spawnSync("tmux", ["-V"]).status === 0;

test("in a terminal of 80x24", { skip: tmux ? false : "tmux is not installed" }, async (t) => {
  const { address } = await daemon(t);
  const server = `cairn-test-${process.pid}`;
  const control = (...words: string[]) =>
    spawnSync("tmux", ["-L", server, "-f", "/dev/null", ...words], { encoding: "utf8" }).stdout;
  t.after(() => control("kill-server"));
  const launcher = fileURLToPath(new URL("../../bin/cairnctl", import.meta.url));
  const socket = join(address.slice("unix://".length));
  control(
    "new-session",
    "-d",
    "-x",
    "80",
    "-y",
    "24",
    "-s",
    "t",
    `${launcher} -s unix://${socket} top; echo LEFT; exec cat`,
  );
  const until = async (pattern: RegExp): Promise<string> => {
    for (let i = 0; i < 100; i++) {
      const screen = control("capture-pane", "-p", "-t", "t");
      if (pattern.test(screen)) return screen;
      await sleep(100);
    }
    assert.fail(`never saw ${pattern} in:\n${control("capture-pane", "-p", "-t", "t")}`);
  };
  await until(/fake {2}AS 65000[\s\S]*> {2}192\.0\.2\.1 +65001 +established/);
  control("send-keys", "-t", "t", "j");
  await until(/> {2}192\.0\.2\.2/);
  control("send-keys", "-t", "t", "Enter");
  await until(/192\.0\.2\.2 {2}AS 65002/);
  control("send-keys", "-t", "t", "q");
  const after = await until(/LEFT/);
  assert.doesNotMatch(after, /sessions up/, "the terminal is as it was before");
});
