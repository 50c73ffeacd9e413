/**
 * BFD with FRR's bfdd and BIRD: single hop over IPv4 and IPv6, multihop between loopbacks. A path that dies without a
 * word, seen from both sides with its time and its reasons; BFD taken away; strict mode; timers changed while up.
 */
import { type Checks, equal, eventually, stays } from "../lib/checks.ts";
import { Lab, type Namespace, pause } from "../lib/lab.ts";
import { Router } from "../lib/router.ts";
import { FrrWithBfd } from "./frr.ts";

/** Sessions by what lies between. */
const ends = {
  four: { ours: "10.0.0.1", theirs: "10.0.0.2" },
  six: { ours: "fd00::1", theirs: "fd00::2" },
  far: { ours: "10.255.0.1", theirs: "10.255.0.2" },
} as const;
type End = keyof typeof ends;
const all = Object.keys(ends) as End[];
const [ourAs, theirAs] = [65001, 65002];
/** Milliseconds that the other side wants; cairn wants 300 and a multiplier of 3. */
const theirMs = 250;
/** From 3 x 300 ms: the other side sends every 300 ms, for we want no more. */
const detectionMs = 900;

const bfd = { min_tx: "300ms", min_rx: "300ms" };

interface Other {
  /** State words of BFD, in lower case, by end. */
  bfd(): Promise<Record<string, string>>;
  established(end: End): Promise<boolean>;
  /** Why it last ended the session to us, in its own words. */
  lastReset(end: End): Promise<string>;
  /** The words that `lastReset` is to have after a detection time without packets. */
  readonly deadWords: string;
  /** How it ends the session when we take BFD away. */
  readonly offence: string;
  /** How we tell it. */
  readonly cease: string;
  /** What it detects us by, in milliseconds. */
  detection(end: End): Promise<number>;
}

export async function bfdWith(checks: Checks, kind: "frr" | "bird", folder: string): Promise<void> {
  const lab = new Lab(folder);
  try {
    const [ours, theirs] = [await lab.namespace("cairn"), await lab.namespace(kind)];
    await lab.link(ours, ["10.0.0.1/24", "fd00::1/64"], theirs, ["10.0.0.2/24", "fd00::2/64"]);
    await lab.in(ours, ["ip", "address", "add", `${ends.far.ours}/32`, "dev", "lo"]);
    await lab.in(theirs, ["ip", "address", "add", `${ends.far.theirs}/32`, "dev", "lo"]);
    await lab.in(ours, ["ip", "route", "add", ends.far.theirs, "via", "10.0.0.2", "src", ends.far.ours]);
    await lab.in(theirs, ["ip", "route", "add", ends.far.ours, "via", "10.0.0.1", "src", ends.far.theirs]);
    const cairn = new Router(lab, ours, "cairn", cairnConfig());
    const frr = kind === "frr" ? new FrrWithBfd(lab, theirs, frrBgp(), frrBfd()) : undefined;
    const bird = kind === "bird" ? new Router(lab, theirs, "bird", birdConfig()) : undefined;
    const other = frr ? frrSide(frr) : birdSide(bird!);
    await Promise.all([cairn.start(), frr?.start(), bird?.start()]);
    await comesUp(checks, cairn, other);
    await pathDies(checks, lab, theirs, cairn, other);
    await timersChange(checks, cairn, other);
    if (frr) await takenAway(checks, cairn, frr, other);
    await takenAwayByUs(checks, cairn, other);
    await strict(checks, lab, cairn, theirs);
  } finally {
    await lab.close();
  }
}

async function comesUp(checks: Checks, cairn: Router, other: Other): Promise<void> {
  await checks.check(
    "BFD and BGP come up: one hop over IPv4 and IPv6, several between loopbacks",
    async () => {
      await eventually("BFD at cairn", { four: "UP", six: "UP", far: "UP" }, () => bfdStates(cairn));
      await eventually("BFD at the other side", { four: "up", six: "up", far: "up" }, () => other.bfd());
      await eventually("BGP", [true, true, true], () =>
        Promise.all(all.map((end) => other.established(end))),
      );
    },
  );
  await checks.check("both have agreed on the intervals", async () => {
    // We want 300 ms and so do we get them; its 250 ms are less than what we are ready for.
    const times = { transmitInterval: "0.300s", detectionTime: "0.900s" };
    const near = { ...times, multihop: false, minimumTtl: 255 };
    const far = { ...times, multihop: true, minimumTtl: 1 };
    await eventually("at cairn", { four: near, six: near, far }, async () => {
      const list = await sessions(cairn);
      const inForce = ({
        multihop = false,
        minimumTtl,
        transmitInterval,
        detectionTime,
      }: Session): object => ({
        ...{ transmitInterval, detectionTime, multihop, minimumTtl },
      });
      return Object.fromEntries(all.map((end) => [end, list[end] && inForce(list[end])]));
    });
    for (const end of all)
      await eventually(`${end} at the other side`, detectionMs, () => other.detection(end));
  });
}

async function pathDies(
  checks: Checks,
  lab: Lab,
  theirs: Namespace,
  cairn: Router,
  other: Other,
): Promise<void> {
  await checks.check(
    "a path that dies without a word: down within the detection time, with the reason on both sides",
    async () => {
      const cutAtMs = Date.now();
      await lab.in(theirs, ["nft", "-f", lab.file("cut.nft", cut)]);
      const doneMs = Date.now();
      try {
        const reset = `${other.cease}: control detection time expired`;
        await eventually("last resets", [reset, reset, reset], async () => {
          const states = await neighbors(cairn);
          return all.map((end) => states[end].lastResetReason);
        });
        for (const end of all)
          await eventually(`${end} at the other side`, other.deadWords, () => other.lastReset(end));
        const [states, list] = [await neighbors(cairn), await sessions(cairn)];
        for (const end of all) {
          const last = states[end].resets.find(({ code }) => code === 6)!;
          equal("code and subcode", [true, 6, 10], [last.local, last.code, last.subcode]);
          const atMs = Date.parse(last.time);
          // It is counted from the last packet, which may be an interval older than the cut.
          const inTime = atMs >= cutAtMs + detectionMs - 350 && atMs <= doneMs + detectionMs + 500;
          equal(`${end}: after ${atMs - cutAtMs} ms, the cut took ${doneMs - cutAtMs} ms`, true, inTime);
          const { lastDown, state } = list[end]!;
          equal("BFD", ["BFD_STATE_DOWN", "control detection time expired"], [state, lastDown?.reason]);
        }
      } finally {
        await lab.in(theirs, ["nft", "delete", "table", "inet", "cut"]);
      }
      await eventually("BFD at cairn", { four: "UP", six: "UP", far: "UP" }, () => bfdStates(cairn));
      await eventually("BGP", [true, true, true], () =>
        Promise.all(all.map((end) => other.established(end))),
      );
    },
  );
}

async function timersChange(checks: Checks, cairn: Router, other: Other): Promise<void> {
  await checks.check("timers change while up: agreed on by polls, and nothing goes down", async () => {
    const before = await counts(cairn);
    await cairn.cli("neighbor", "set", ends.four.theirs, "--bfd", "min_tx=500ms,min_rx=100ms,multiplier=4");
    // We send every 500 ms, four times; it sends every 250 ms now, as it wants.
    await eventually("at the other side", 2000, () => other.detection("four"));
    await eventually("at cairn", [`0.${theirMs * 3}s`, "0.500s"], async () => {
      const { detectionTime, transmitInterval } = await session(cairn, "four");
      return [detectionTime, transmitInterval];
    });
    await cairn.cli("neighbor", "set", ends.four.theirs, "--bfd", "min_tx=300ms,min_rx=300ms");
    await eventually("at the other side", detectionMs, () => other.detection("four"));
    equal("downs and resets", before, await counts(cairn));
  });
}

async function takenAway(checks: Checks, cairn: Router, frr: FrrWithBfd, other: Other): Promise<void> {
  await checks.check("BFD that the other side takes away (AdminDown) leaves BGP alone", async () => {
    const before = await resets(cairn);
    await frr.cli("configure terminal", "bfd", "profile slow", "shutdown");
    // FRR says so for a moment and then nothing more.
    const reason = "the neighbor took BFD away (AdminDown)";
    await eventually("at cairn", ["BFD_STATE_DOWN", reason, true], async () => {
      const { state, lastDown } = await session(cairn, "four");
      return [state, lastDown?.reason, lastDown?.administrative];
    });
    await stays("BGP", true, () => other.established("four"));
    equal("resets", before, await resets(cairn));
    const { status } = await session(cairn, "four");
    equal("status", "the neighbor has taken BFD down; BGP goes on without it", status);
    await frr.cli("configure terminal", "bfd", "profile slow", "no shutdown");
    await eventually("BFD at cairn", "BFD_STATE_UP", async () => (await session(cairn, "four")).state);
  });
}

/** RFC 5882 3.2 has AdminDown say nothing of the path; BIRD 2.0.12 and FRR 8.4 take it for a failure. */
async function takenAwayByUs(checks: Checks, cairn: Router, other: Other): Promise<void> {
  await checks.check(
    "BFD that cairn takes away: the other side ends the session, and takes it up again",
    async () => {
      await cairn.cli("neighbor", "set", ends.six.theirs, "--bfd", "enabled=false");
      await eventually(
        "last reset",
        other.offence,
        async () => (await neighbor(cairn, "six")).lastResetReason,
      );
      await eventually("BGP", true, () => other.established("six"));
      await cairn.cli("neighbor", "set", ends.six.theirs, "--bfd", "min_tx=300ms,min_rx=300ms");
      await eventually("BFD at the other side", "up", async () => (await other.bfd()).six);
    },
  );
}

async function strict(checks: Checks, lab: Lab, cairn: Router, theirs: Namespace): Promise<void> {
  await checks.check("strict: BGP waits for BFD, and comes up with it", async () => {
    await cairn.cli("neighbor", "set", ends.six.theirs, "--bfd", "min_tx=300ms,min_rx=300ms,strict=true");
    // Only BFD is cut: BGP itself could come up.
    await lab.in(theirs, ["nft", "-f", lab.file("cut-bfd.nft", cutBfd)]);
    await eventually("at cairn", "waiting for BFD", async () => (await neighbor(cairn, "six")).status);
    await pause(3000);
    equal("state", "SESSION_STATE_IDLE", (await neighbor(cairn, "six")).sessionState);
    equal("the other, which is not strict", "SESSION_STATE_ESTABLISHED", await eventualState(cairn, "four"));
    await lab.in(theirs, ["nft", "delete", "table", "inet", "cutbfd"]);
    await eventually(
      "at cairn",
      "SESSION_STATE_ESTABLISHED",
      async () => (await neighbor(cairn, "six")).sessionState,
    );
    equal("BFD", "BFD_STATE_UP", (await session(cairn, "six")).state);
  });
}

async function eventualState(cairn: Router, end: End): Promise<string> {
  const established = "SESSION_STATE_ESTABLISHED";
  await eventually("BGP", established, async () => (await neighbor(cairn, end)).sessionState);
  return established;
}

const drop = (name: string, what: string): string => `table inet ${name} {
  chain in { type filter hook input priority 0; ${what} }
  chain out { type filter hook output priority 0; ${what} }
}
`;
const cut = drop("cut", "drop;");
const cutBfd = drop("cutbfd", "udp dport { 3784, 4784 } drop;");

// cairn

interface Session {
  readonly neighbor: string;
  readonly state: string;
  readonly remoteState?: string;
  readonly multihop?: boolean;
  readonly minimumTtl: number;
  readonly transmitInterval?: string;
  readonly detectionTime?: string;
  readonly downs?: number;
  readonly status?: string;
  readonly lastDown?: { readonly reason: string; readonly administrative?: boolean };
}

interface NeighborState {
  readonly sessionState: string;
  readonly status?: string;
  readonly lastResetReason?: string;
  readonly resets: readonly { local?: boolean; code?: number; subcode?: number; time: string }[];
}

/** All sessions by end, with one call: each takes half a second of CPU. */
async function sessions(cairn: Router): Promise<Partial<Record<End, Session>>> {
  const { sessions: list = [] } = JSON.parse(await cairn.cli("bfd", "--json")) as { sessions?: Session[] };
  return Object.fromEntries(
    all.flatMap((end) => {
      const found = list.find((each) => each.neighbor === ends[end].theirs);
      return found ? [[end, found]] : [];
    }),
  );
}

async function session(cairn: Router, end: End): Promise<Session> {
  const found = (await sessions(cairn))[end];
  if (!found) throw new Error(`cairn has no session ${end}`);
  return found;
}

async function bfdStates(cairn: Router): Promise<Record<string, string>> {
  const list = await sessions(cairn);
  return Object.fromEntries(all.map((end) => [end, list[end]?.state.replace("BFD_STATE_", "") ?? "none"]));
}

async function neighbors(cairn: Router): Promise<Record<End, NeighborState>> {
  const list = JSON.parse(await cairn.cli("neighbor", "--json")) as {
    neighbors: { spec: { address: string }; state: NeighborState }[];
  };
  const stateOf = (end: End): NeighborState =>
    list.neighbors.find(({ spec }) => spec.address === ends[end].theirs)!.state;
  return { four: stateOf("four"), six: stateOf("six"), far: stateOf("far") };
}

async function neighbor(cairn: Router, end: End): Promise<NeighborState> {
  return (await neighbors(cairn))[end];
}

/** Times that each session went down, and that BGP did. */
async function counts(cairn: Router): Promise<{ downs: number[]; resets: number[] }> {
  const list = await sessions(cairn);
  return { downs: all.map((end) => list[end]?.downs ?? 0), resets: await resets(cairn) };
}

async function resets(cairn: Router): Promise<number[]> {
  const states = await neighbors(cairn);
  return all.map((end) => states[end].resets.length);
}

function cairnConfig(): string {
  const common = {
    remote_asn: theirAs,
    connect_retry_time: "1s",
    import: ["accept-all"],
    export: ["accept-all"],
  };
  const neighbors = all.map((end) => ({
    ...common,
    address: ends[end].theirs,
    local_address: ends[end].ours,
    ...(end === "far" ? { multihop_ttl: 5 } : {}),
    bfd,
  }));
  return JSON.stringify({
    global: { asn: ourAs, router_id: "10.9.9.1", listen: ["0.0.0.0:179", "[::]:179"] },
    neighbors,
  });
}

// FRR

interface FrrPeer {
  readonly peer: string;
  readonly status: string;
  readonly "detect-multiplier": number;
  readonly "remote-detect-multiplier": number;
  readonly "receive-interval": number;
  readonly "remote-transmit-interval": number;
}

interface FrrNeighbor {
  readonly bgpState: string;
  readonly lastNotificationReason?: string;
}

function frrSide(frr: FrrWithBfd): Other {
  const peers = async (): Promise<FrrPeer[]> => JSON.parse(await frr.cli("show bfd peers json")) as FrrPeer[];
  const bgp = async (end: End): Promise<FrrNeighbor> => {
    const { ours } = ends[end];
    return (JSON.parse(await frr.cli(`show bgp neighbors ${ours} json`)) as Record<string, FrrNeighbor>)[
      ours
    ];
  };
  return {
    deadWords: "Cease/BFD Down",
    cease: "sent Cease/BFD Down as Hard Reset (RFC 8538)",
    offence: "received Cease/BFD Down as Hard Reset (RFC 8538)",
    bfd: async () => {
      const list = await peers();
      return Object.fromEntries(
        all.map((end) => [end, list.find(({ peer }) => peer === ends[end].ours)?.status ?? ""]),
      );
    },
    established: async (end) => (await bgp(end)).bgpState === "Established",
    lastReset: async (end) => (await bgp(end)).lastNotificationReason ?? "",
    detection: async (end) => {
      const peer = (await peers()).find((each) => each.peer === ends[end].ours)!;
      const interval = Math.max(peer["receive-interval"], peer["remote-transmit-interval"]);
      return peer["remote-detect-multiplier"] * interval;
    },
  };
}

function frrBgp(): string {
  return [
    "frr defaults traditional",
    "log stdout",
    `router bgp ${theirAs}`,
    " bgp router-id 10.9.9.2",
    " no bgp ebgp-requires-policy",
    ...all.flatMap((end) => [
      ` neighbor ${ends[end].ours} remote-as ${ourAs}`,
      ` neighbor ${ends[end].ours} update-source ${ends[end].theirs}`,
      ` neighbor ${ends[end].ours} timers connect 1`,
      ...(end === "far" ? [` neighbor ${ends[end].ours} ebgp-multihop 5`] : []),
      ` neighbor ${ends[end].ours} bfd`,
      ` neighbor ${ends[end].ours} bfd profile slow`,
    ]),
    " address-family ipv6 unicast",
    `  neighbor ${ends.six.ours} activate`,
    " exit-address-family",
    "exit",
    "",
  ].join("\n");
}

function frrBfd(): string {
  const profile = [" detect-multiplier 3", ` receive-interval ${theirMs}`, ` transmit-interval ${theirMs}`];
  return ["bfd", " profile slow", ...profile.map((line) => ` ${line}`), " exit", "exit", ""].join("\n");
}

// BIRD

function birdSide(bird: Router): Other {
  const protocol = (end: End): string => `p_${end}`;
  const rows = async (): Promise<string[][]> =>
    (await bird.cli("show", "bfd", "sessions")).split("\n").map((line) => line.trim().split(/\s+/));
  return {
    deadWords: "Error: BFD session down",
    cease: "sent Cease/BFD Down",
    offence: "received Cease",
    bfd: async () => {
      const list = await rows();
      const wordOf = (end: End): string =>
        list.find(([address]) => address === ends[end].ours)?.[2].toLowerCase() ?? "";
      return Object.fromEntries(all.map((end) => [end, wordOf(end)]));
    },
    established: async (end) =>
      /BGP state:\s+Established/.test(await bird.cli("show", "protocols", "all", protocol(end))),
    lastReset: async (end) => {
      const text = await bird.cli("show", "protocols", "all", protocol(end));
      return /Last error:\s+(.*)/.exec(text)?.[1].trim() ?? "";
    },
    detection: async (end) => {
      const row = (await rows()).find(([address]) => address === ends[end].ours)!;
      return Math.round(Number(row[row.length - 1]) * 1000);
    },
  };
}

function birdConfig(): string {
  const times = `min rx interval ${theirMs} ms; min tx interval ${theirMs} ms; multiplier 3;`;
  const session = (end: End): string =>
    [
      `protocol bgp p_${end} {`,
      `  local ${ends[end].theirs} as ${theirAs}; neighbor ${ends[end].ours} as ${ourAs};`,
      end === "far" ? "  multihop 5;" : "  direct;",
      "  bfd on; connect retry time 1; connect delay time 0; error wait time 1, 2;",
      end === "six" ? "  ipv6 { import all; export none; };" : "  ipv4 { import all; export none; };",
      "}",
    ].join("\n");
  return [
    "log stderr all;",
    "router id 10.9.9.2;",
    "protocol device { }",
    "protocol direct { ipv4; ipv6; }",
    `protocol bfd { interface "*" { ${times} }; multihop { ${times} }; }`,
    ...all.map(session),
    "",
  ].join("\n");
}
