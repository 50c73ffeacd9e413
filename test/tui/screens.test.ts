/** The screens of cairnctl top: what they ask of the daemon, what they show at both sizes, and what keys do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type DescMessage, type DescMethodUnary, type MessageInitShape } from "@bufbuild/protobuf";
import { plain } from "../../src/cli/style.ts";
import { frameLines } from "../../src/cli/top/frame.ts";
import { type TopModel, update } from "../../src/cli/top/model.ts";
import { parseRibFilter } from "../../src/cli/top/rib-filter.ts";
import type { Calls, Want } from "../../src/cli/top/screen.ts";
import { screens, tabs } from "../../src/cli/top/screens.ts";
import { folded } from "../../src/cli/top/text.ts";
import { firstView, type ScreenName } from "../../src/cli/top/view.ts";
import { BfdState } from "../../src/gen/cairn/v1/bfd_service_pb.ts";
import { Severity } from "../../src/gen/cairn/v1/event_service_pb.ts";
import { ResourcePhase } from "../../src/gen/cairn/v1/resource_types_pb.ts";
import { app, filled } from "./support.ts";

interface Asked {
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: requests are checked field by field
  readonly request: any;
}

/** A client whose answers are written here; it remembers what it was asked. */
function fakeClient(answers: Readonly<Record<string, object | ((request: never) => object)>>): {
  calls: Calls;
  asked: Asked[];
} {
  const asked: Asked[] = [];
  const call = async <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I>,
  ) => {
    const request = create(method.input, init);
    asked.push({ name: method.name, request });
    const answer = answers[method.name];
    if (!answer) throw new Error(`nobody answers ${method.name}`);
    const value = typeof answer === "function" ? answer(request as never) : answer;
    return create(method.output, value as MessageInitShape<O>);
  };
  return { calls: { call } as unknown as Calls, asked };
}

const routes = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    prefix: `10.0.${from + i}.0/24`,
    nextHop: "192.0.2.9",
    neighbor: "192.0.2.1",
    family: "ipv4-unicast",
    asPathText: "65001 65010",
    communities: ["65001:1"],
    best: i === 0,
  }));

/** A table of 40 routes behind cursors, as the daemon pages it. */
function page({ pageSize, pageToken }: { pageSize: number; pageToken: string }): object {
  const from = Number(pageToken || 0);
  const end = Math.min(40, from + pageSize);
  const nextPageToken = end < 40 ? String(end) : "";
  return { routes: routes(from, end - from), nextPageToken, totalSize: 40n };
}

const everything = {
  ListBestRoutes: page,
  ListReceivedRoutes: page,
  ListRejectedRoutes: { routes: [{ prefix: "10.9.0.0/16", rejectReason: "own AS" }], totalSize: 1n },
  ListAdvertisedRoutes: { routes: [] },
  LookupRoute: { prefix: "10.0.0.0/24", routes: routes(0, 1) },
  ExplainBestPath: {
    prefix: "10.0.0.0/24",
    summary: "one candidate",
    candidates: [{ route: routes(0, 1)[0], rank: 1 }],
  },
  ExplainImport: { neighbor: "192.0.2.1", prefix: "10.0.0.0/24", received: true, summary: "it is accepted" },
  ExplainAdvertisedRoute: { prefix: "10.0.0.0/24", summary: "it is not announced" },
  GetPolicyStats: {
    policies: [{ policy: "transit-in", statements: [{ statement: 1, name: "bogons", hits: 1_234n }] }],
  },
  ListEvents: {
    events: [
      { id: 9n, topic: "cairn.bgp.session.lost", severity: Severity.ERROR, summary: "hold timer expired" },
    ],
  },
  GetRpkiSummary: { ipv4Vrps: 400_000n, caches: 2, cachesSynchronized: 1, originsUsed: true },
  ListRpkiCaches: {
    caches: [
      { spec: { name: "office", host: "192.0.2.10" }, state: { sessionState: "synchronized", inUse: true } },
      {
        spec: { name: "far", host: "rtr.example" },
        state: { sessionState: "waiting", lastError: "refused" },
      },
    ],
  },
  ListSessions: {
    sessions: [{ neighbor: "192.0.2.1", state: BfdState.UP, diagnostic: "none" }],
    totalSize: 1n,
    discards: [{ reason: "ttl", packets: 7n, lastSource: "198.51.100.1" }],
  },
  ListMrtDumps: {
    mrtDumps: [
      { spec: { name: "rib", path: "rib.gz" }, state: { lastError: "no space left", failures: 3n } },
    ],
    totalSize: 1n,
  },
  ListBmpCollectors: {
    collectors: [
      { spec: { name: "noc", host: "192.0.2.20" }, state: { sessionState: "replaying", lag: 77n } },
    ],
    totalSize: 1n,
  },
  ListKinds: {
    kinds: [
      { kind: "Neighbor", objects: 3 },
      { kind: "IPv4Route", objects: 2, hasStatus: true },
    ],
  },
  ListResources: {
    resources: [
      { metadata: { kind: "IPv4Route", name: "good" }, status: { phase: ResourcePhase.APPLIED } },
      {
        metadata: { kind: "IPv4Route", name: "bad" },
        status: { phase: ResourcePhase.FAILED, reason: "EPERM", message: "the kernel refuses it" },
      },
    ],
  },
  ListDampenedRoutes: {
    routes: [{ neighbor: "192.0.2.1", prefix: "10.3.0.0/16", penalty: 3_000, flaps: 3, suppressed: true }],
    totalSize: 1n,
  },
};

async function answered(model: TopModel, want: Want | undefined, calls: Calls): Promise<TopModel> {
  if (!want) return model;
  const data = await want.ask(calls, model.answers.get(want.screen)?.data);
  return update(model, {
    input: "answer",
    screen: want.screen,
    answer: { key: want.key, data, problem: "" },
  });
}

/** A word that must be seen on each screen. */
const seen: Readonly<Record<ScreenName, RegExp>> = {
  sessions: /> {2}192\.0\.2\.1/,
  rib: /> ?\* +10\.0\.0\.0\/24 +192\.0\.2\.9/,
  events: /session is up/,
  policy: /transit-in +1 +bogons +1,234/,
  rpki: /400,000 IPv4[\s\S]*office +synchronized/,
  bfd: /7 packets \(ttl\)[\s\S]*> {2}192\.0\.2\.1 +up/,
  mrt: /rib +received[\s\S]*failed: no space left/,
  bmp: /noc +replaying[\s\S]*77 changes behind/,
  objects: /IPv4Route 2[\s\S]*> {2}IPv4Route\/bad +failed[\s\S]*EPERM the kernel refuses it/,
  damped: /10\.3\.0\.0\/16 +192\.0\.2\.1 +3000 +3 +suppressed/,
  neighbor: /192\.0\.2\.1 {2}AS 65001/,
  explain: /one candidate/,
  help: /everywhere/,
};

for (const size of [
  { columns: 80, rows: 23 },
  { columns: 200, rows: 59 },
]) {
  test(`every screen fits ${size.columns}x${size.rows} with what the daemon answers`, async () => {
    const { calls } = fakeClient(everything);
    for (const screen of screens) {
      const view = {
        ...firstView,
        screen: screen.name,
        explain: { ...firstView.explain, prefix: "10.0.0.0/24" },
      };
      const start = filled();
      const before = frameLines(start, view, size, plain, "unix:///x");
      assert.equal(before.length, size.rows, `${screen.name} before an answer`);
      const model = await answered(
        start,
        screen.want?.({ model: start, view, size: { ...size, rows: size.rows - 4 } }),
        calls,
      );
      const lines = frameLines(model, view, size, plain, "unix:///x");
      assert.equal(lines.length, size.rows, screen.name);
      for (const line of lines) assert.ok(line.length <= size.columns, `${screen.name}: ${line}`);
      assert.match(lines.join("\n"), seen[screen.name], screen.name);
    }
  });
}

test("digits and tab lead through all screens, esc back, help tells the keys of where one was", async (t) => {
  const { mount } = app(t, filled());
  const { press } = await mount();
  for (const { key, name } of tabs) assert.match(await press(key!), new RegExp(`\\[${key} ${name}\\]`));
  assert.match(await press("\t"), /\[1 sessions\]/);
  assert.match(await press("\u001b[Z"), /\[0 damped\]/);
  assert.match(await press("2?"), /here: routes[\s\S]*rpki:invalid/);
  assert.match(await press("\u001b"), /\[2 rib\]/);
});

test("the RIB browser holds one page, follows the daemon's cursor, and explains the selected route", async (t) => {
  const { feed, mount, take, wants } = app(t, filled());
  const { calls, asked } = fakeClient(everything);
  const { press } = await mount();
  const answer = async (): Promise<void> => {
    const want = wants.at(-1)!;
    const data = await want.ask(calls, undefined);
    take({ input: "answer", screen: want.screen, answer: { key: want.key, data, problem: "" } });
  };
  await press("2");
  await answer();
  const size = asked[0].request.pageSize;
  assert.equal(size, 24 - 1 - 4 - 3, "a page is what the screen has room for");
  assert.match(await press(" "), /page 2/);
  await answer();
  assert.equal(asked[1].request.pageToken, String(size));
  assert.match(await press(""), new RegExp(`>\\*? +10\\.0\\.${size}\\.0/24`));
  const held = feed.model().answers.get("rib")?.data as { routes: unknown[] };
  assert.equal(held.routes.length, size, "never more than a page");
  // a second key before the answer must not skip a page
  await press(" ");
  await press(" ");
  await answer();
  assert.match(await press(""), /page 3, 8 of 40/);
  await press("b");
  await answer();
  assert.equal(asked.at(-1)?.request.pageToken, String(size));
  // up from the first row: the page before, its last row
  await press("k");
  await answer();
  assert.match(await press(""), new RegExp(`> +10\\.0\\.${size - 1}\\.0/24`));
  assert.match(await press("\r"), /why this path to 10\.0\.15\.0\/24/);
  await answer();
  assert.equal(asked.at(-1)?.request.prefix, "10.0.15.0/24");
  assert.match(await press(""), /one candidate/);
  await press("i");
  await answer();
  assert.deepEqual([asked.at(-1)?.name, asked.at(-1)?.request.neighbor], ["ExplainImport", "192.0.2.1"]);
  assert.match(await press(""), /it is accepted/);
  // told to a neighbor that is chosen with the arrow keys
  await press("ot");
  assert.match(await press("\u001b[B"), /told to: 192\.0\.2\.2_/);
  await press("\r");
  await answer();
  assert.deepEqual(
    [asked.at(-1)?.name, asked.at(-1)?.request.neighbor],
    ["ExplainAdvertisedRoute", "192.0.2.2"],
  );
  assert.match(await press(""), /it is not announced/);
});

test("longest match, filter and the tables of a neighbor", async (t) => {
  const { mount, take, wants } = app(t, filled());
  const { calls, asked } = fakeClient(everything);
  const { press } = await mount();
  const answer = async (): Promise<string> => {
    const want = wants.at(-1)!;
    const data = await want.ask(calls, undefined);
    take({ input: "answer", screen: want.screen, answer: { key: want.key, data, problem: "" } });
    return press("");
  };
  await press("2l10.0.0.7\r");
  assert.match(await answer(), /10\.0\.0\.7 matches 10\.0\.0\.0\/24/);
  assert.equal(asked.at(-1)?.request.target, "10.0.0.7");
  await press("/10.0.0.0/8 as:65010\r");
  assert.match(await answer(), /best routes; ipv4-unicast; only 10\.0\.0\.0\/8 as:65010/);
  const { filter } = asked.at(-1)!.request;
  assert.deepEqual([filter.prefix, filter.longer, filter.originAsn], ["10.0.0.0/8", true, 65_010]);
  assert.match(
    await press("/ x\r"),
    /"x" is no prefix and none of/,
    "what cannot be read is asked for again",
  );
  await press("\u001b");
  await press("tttn");
  assert.match(await answer(), /rejected of 192\.0\.2\.2[\s\S]*own AS/);
  assert.deepEqual([asked.at(-1)?.name, asked.at(-1)?.request.neighbor], ["ListRejectedRoutes", "192.0.2.2"]);
});

test("conditions on routes", () => {
  const read = (text: string) => {
    const parsed = parseRibFilter(text);
    return parsed.ok ? parsed.filter : parsed.problem;
  };
  assert.equal(read("  "), undefined);
  assert.partialDeepStrictEqual(
    read("=2001:db8::/32 com:1:2 com:1:2:3 path:_1$ from:local nh:::1 rpki:invalid"),
    {
      prefix: "2001:db8::/32",
      longer: false,
      communities: ["1:2", "1:2:3"],
      asPath: "_1$",
      neighbor: "local",
      nextHop: "::1",
      rpkiState: "invalid",
    },
  );
  assert.match(String(read("10.0.0.1/8")), /did you mean 10\.0\.0\.0\/8/);
  assert.match(String(read("10.0.0.0/8 10.0.0.0/9")), /only one prefix/);
  assert.match(String(read("as:99999999999")), /no AS number/);
});

test("events by severity and topic are asked of the daemon", async (t) => {
  const { mount, take, wants } = app(t, filled());
  const { calls, asked } = fakeClient(everything);
  const { press } = await mount();
  assert.match(await press("3vv"), /errors\s+asking/);
  await press("/session\r");
  const want = wants.at(-1)!;
  take({
    input: "answer",
    screen: "events",
    answer: { key: want.key, data: await want.ask(calls, undefined), problem: "" },
  });
  const { filter } = asked[0].request;
  assert.deepEqual([filter.minSeverity, filter.topics], [Severity.ERROR, ["*session*"]]);
  const frame = await press("");
  assert.match(frame, /errors of session[\s\S]*hold timer expired/);
  assert.doesNotMatch(frame, /session is up/);
});

test("lists: search, sort by any column, the selection follows its row, a failed question is said", async (t) => {
  const { mount, take, wants } = app(t, filled());
  const { calls } = fakeClient(everything);
  const { press } = await mount();
  await press("5");
  const want = wants.at(-1)!;
  const data = await want.ask(calls, undefined);
  take({ input: "answer", screen: "rpki", answer: { key: want.key, data, problem: "" } });
  assert.match(await press("j"), /> {2}far[\s\S]*far: rtr\.example[\s\S]*refused/);
  const sorted = await press("s");
  assert.match(sorted, /CACHE\*/);
  assert.ok(sorted.indexOf("far  ") < sorted.indexOf("office"), "sorted by name");
  assert.match(sorted, /> {2}far/, "the selection stays on its row");
  assert.doesNotMatch(await press("/off"), /far {2}/);
  assert.match(await press("\u001b"), /far {2}/);
  take({ input: "answer", screen: "rpki", answer: { key: want.key, data, problem: "permission denied" } });
  assert.match(await press(""), /permission denied[\s\S]*office/, "what was known stays");
});

test("an action asks first, by name; only y does it", async (t) => {
  const { actions, mount } = app(t, filled());
  const { calls, asked } = fakeClient({
    DisableNeighbor: { generation: 8n, changes: [{ name: "192.0.2.1" }] },
  });
  const { press } = await mount();
  assert.match(await press("a"), /d {2}disable the neighbor/);
  assert.match(await press("d"), /text for 192\.0\.2\.1/);
  assert.match(await press("fibre work"), /fibre work_/);
  const question = await press("\r");
  assert.match(question, /DISABLE 192\.0\.2\.1 \(AS 65001, established\); 1,000,000 routes received go/);
  assert.match(question.replaceAll("\n", " "), /telling it "fibre work"\?/);
  await press("\r");
  await press("j");
  assert.equal(actions.length, 0, "enter is pressed by habit, and other keys do nothing");
  assert.doesNotMatch(await press("n"), /DISABLE/);
  assert.equal(actions.length, 0);
  await press("adfibre work\r");
  await press("y");
  assert.equal(actions.length, 1);
  const said = await actions[0].run(calls, "");
  assert.equal(said, "192.0.2.1 is disabled until it is enabled again");
  assert.partialDeepStrictEqual(asked[0].request, { address: "192.0.2.1", message: "fibre work" });
  assert.match(asked[0].request.requestId, /^[0-9a-f-]{36}$/);
  // RFC 9003 has room for 255 bytes
  await press(`ah${"é".repeat(300)}`);
  await press("\r");
  await press("y");
  const { calls: other, asked: reset } = fakeClient({ HardReset: {} });
  await actions[1].run(other, "");
  assert.equal(Buffer.byteLength(reset[0].request.message), 254);
});

test("each action is the call that it says", async (t) => {
  const { actions, mount, take, wants } = app(t, filled());
  const { calls, asked } = fakeClient({
    ...everything,
    EnableNeighbor: {},
    SoftResetIn: {},
    SoftResetOut: {},
    ClearDampening: {},
    RefreshRpkiCache: {},
    TriggerMrtDump: { path: "/x/rib.gz", routes: 5n },
  });
  const { press } = await mount();
  const list = async (digit: string): Promise<void> => {
    await press(digit);
    const want = wants.at(-1)!;
    take({
      input: "answer",
      screen: want.screen,
      answer: { key: want.key, data: await want.ask(calls, undefined), problem: "" },
    });
    await press("");
  };
  for (const key of ["e", "i", "r", "o", "c"]) await press(`a${key}y`);
  await list("5");
  await press("afy");
  await press("aFy");
  await list("7");
  await press("ady");
  await list("0");
  await press("acy");
  asked.length = 0;
  for (const action of actions) assert.notEqual(await action.run(calls, ""), "");
  assert.deepEqual(
    asked.map(({ name, request }) =>
      `${name} ${request.address ?? request.name ?? request.neighbor} ${request.refresh ?? request.reset ?? request.prefix ?? ""}`.trim(),
    ),
    [
      "EnableNeighbor 192.0.2.1",
      "SoftResetIn 192.0.2.1 false",
      "SoftResetIn 192.0.2.1 true",
      "SoftResetOut 192.0.2.1",
      "ClearDampening 192.0.2.1",
      "RefreshRpkiCache office false",
      "RefreshRpkiCache office true",
      "TriggerMrtDump rib",
      "ClearDampening 192.0.2.1 10.3.0.0/16",
    ],
  );
});

test("long lines go on below, further in", () => {
  assert.deepEqual(folded(["  one two three four", "five"], 14), [
    "  one two",
    "      three",
    "      four",
    "five",
  ]);
});
