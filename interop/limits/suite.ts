/** Prefix limits against BIRD: what is kept out, what comes in when others go, and what each action does. */
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { Lab } from "../lib/lab.ts";
import { Router } from "../lib/router.ts";

/** One session per action, each with ten routes from BIRD: five of "first", then five of "second". */
const actions = ["warn", "stop", "restart", "drop", "drop-accepted"] as const;
type Action = (typeof actions)[number];
const max = 6;

export async function actionsOfLimits(checks: Checks, folder: string): Promise<void> {
  const lab = new Lab(folder);
  try {
    const [ours, theirs] = [await lab.namespace("cairn"), await lab.namespace("other")];
    const link = (end: 1 | 2): string[] => actions.map((_, i) => `10.0.${i + 1}.${end}/24`);
    await lab.link(ours, link(1), theirs, link(2));
    const cairn = new Router(lab, ours, "cairn", cairnConfig());
    const bird = new Router(lab, theirs, "bird", birdConfig());
    await Promise.all([cairn.start(), bird.start()]);
    await checks.check("warn: all routes, the session stays, an event tells", async () => {
      await eventually("routes", { up: true, received: 10, accepted: 10, over: 0 }, () =>
        stateOf(cairn, "warn"),
      );
      await eventually("event", true, async () =>
        (await cairn.cli("events")).includes("passed its limit of 6"),
      );
    });
    await checks.check("stop: Cease 1, down until enabled; BIRD has seen why", async () => {
      await eventually("routes", { up: false, received: 0, accepted: 0, over: 0 }, () =>
        stateOf(cairn, "stop"),
      );
      await eventually("BIRD saw", true, async () =>
        /b1: Received: Maximum number of prefixes reached/i.test(bird.daemon.log),
      );
    });
    await checks.check("drop: six are in, four are kept out and say why; the session stays", async () => {
      await eventually("routes", { up: true, received: 10, accepted: 6, over: 4 }, () =>
        stateOf(cairn, "drop"),
      );
      const rejected = JSON.parse(await cairn.cli("rib", "rejected", remote("drop"), "--json")) as Rejected;
      equal(
        "reasons",
        Array(4).fill("prefix limit"),
        rejected.routes?.map(({ rejectReason }) => rejectReason),
      );
    });
    await checks.check("drop after policy: the same for accepted routes", () =>
      eventually("routes", { up: true, received: 10, accepted: 6, over: 4 }, () =>
        stateOf(cairn, "drop-accepted"),
      ),
    );
    await checks.check("explain names the limit", async () => {
      const rejected = JSON.parse(await cairn.cli("rib", "rejected", remote("drop"), "--json")) as Rejected;
      const [first] = rejected.routes ?? [];
      const told = await cairn.cli("rib", "received", remote("drop"), first.prefix, "--explain");
      equal("explanation", true, told.includes("prefix limit"));
    });
    await checks.check("five go, and all that were kept out come in", async () => {
      await bird.cli("disable", "s1");
      for (const action of ["drop", "drop-accepted"] as const)
        await eventually(action, { up: true, received: 5, accepted: 5, over: 0 }, () =>
          stateOf(cairn, action),
        );
    });
    await checks.check("a higher limit lets everything in, a lower one keeps out again", async () => {
      await bird.cli("enable", "s1");
      await eventually("drop", { up: true, received: 10, accepted: 6, over: 4 }, () =>
        stateOf(cairn, "drop"),
      );
      for (const [limit, accepted] of [
        [20, 10],
        [3, 3],
      ]) {
        const value = `family=ipv4-unicast,max=${limit},action=drop`;
        await cairn.cli("neighbor", "set", remote("drop"), "--prefix-limit", value);
        const expected = { up: true, received: 10, accepted, over: 10 - accepted };
        await eventually(`limit ${limit}`, expected, () => stateOf(cairn, "drop"));
      }
    });
    await checks.check("restart: comes back after two seconds, and is stopped again", () =>
      eventually("sessions", true, async () => (await neighbor(cairn, "restart")).establishedCount! >= 2),
    );
  } finally {
    await lab.close();
  }
}

interface State {
  readonly sessionState: string;
  readonly establishedCount?: number;
  readonly families?: readonly { received?: string; accepted?: string; overLimit?: string }[];
}

interface Rejected {
  readonly routes?: readonly { readonly prefix: string; readonly rejectReason: string }[];
}

const remote = (action: Action): string => `10.0.${actions.indexOf(action) + 1}.2`;

async function neighbor(cairn: Router, action: Action): Promise<State> {
  const answer = JSON.parse(await cairn.cli("neighbor", remote(action), "--json")) as {
    neighbor: { state: State };
  };
  return answer.neighbor.state;
}

async function stateOf(cairn: Router, action: Action) {
  const { sessionState, families } = await neighbor(cairn, action);
  const [family] = families ?? [];
  return {
    up: sessionState === "SESSION_STATE_ESTABLISHED",
    received: Number(family?.received ?? 0),
    accepted: Number(family?.accepted ?? 0),
    over: Number(family?.overLimit ?? 0),
  };
}

function cairnConfig(): string {
  const neighbors = actions.map((action) => {
    const limit = {
      family: "ipv4-unicast",
      max,
      action: action === "drop-accepted" ? "drop" : action,
      ...(action === "drop-accepted" ? { after_policy: true } : {}),
      ...(action === "restart" ? { restart_after: "2s" } : {}),
    };
    return {
      ...{ address: remote(action), remote_asn: 65002, passive: true, prefix_limits: [limit] },
      ...{ import: ["accept-all"], export: ["reject-all"] },
    };
  });
  return JSON.stringify({
    global: { asn: 65001, router_id: "10.9.9.1", listen: ["0.0.0.0:179"] },
    neighbors,
  });
}

function birdConfig(): string {
  const routes = (from: number): string =>
    Array.from({ length: 5 }, (_, i) => `route 198.51.${from + i}.0/24 blackhole;`).join(" ");
  const sessions = actions.map((_, i) =>
    [
      `protocol bgp b${i} {`,
      `  local 10.0.${i + 1}.2 as 65002; neighbor 10.0.${i + 1}.1 as 65001;`,
      "  connect retry time 1; connect delay time 0; error wait time 1, 1;",
      "  ipv4 { import none; export where source = RTS_STATIC; };",
      "}",
    ].join("\n"),
  );
  return [
    "log stderr all;",
    "router id 10.9.9.2;",
    "protocol device { }",
    `protocol static s1 { ipv4; ${routes(0)} }`,
    `protocol static s2 { ipv4; ${routes(10)} }`,
    ...sessions,
    "",
  ].join("\n");
}
