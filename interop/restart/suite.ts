/**
 * Graceful restart (RFC 4724), the N bit (RFC 8538) and long-lived stale routes (RFC 9494) between cairn and a daemon,
 * each as helper of the other. Third routers count every withdrawal that reaches them:
 *
 *   witness -- cairn -- BIRD or FRR -- witness
 */
import { readFileSync, writeFileSync } from "node:fs";
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { Lab, pause } from "../lib/lab.ts";
import { Router } from "../lib/router.ts";
import { Speakers } from "../lib/speakers.ts";

type Kind = "bird" | "frr" | "gobgp";

/** What the other daemon originates, and what cairn does. */
const theirs = ["198.18.1.0/24", "198.18.2.0/24"];
const ours = ["203.0.113.0/24", "198.51.100.0/24"];
const restartTimeS = 8;
const longLivedS = 9;
/** Of cairn, which takes longer to start than the others do. */
const ownRestartTimeS = 60;
const holdTimeS = 6;
const other = "10.0.9.2";

interface Stage {
  readonly kind: Kind;
  readonly cairn: Router;
  readonly daemon: Router;
  /** Beyond cairn, and beyond the other daemon. */
  readonly seen: { cairn(): Promise<Seen>; daemon(): Promise<Seen> };
}

interface Seen {
  readonly routes: string[];
  readonly withdrawn: number;
}

interface Family {
  readonly stale?: string;
  readonly stalePhase?: string;
  readonly endOfRibReceived?: boolean;
}

interface State {
  readonly families?: readonly Family[];
  readonly resets?: readonly { readonly code?: number; readonly local?: boolean }[];
}

export async function restarts(checks: Checks, kind: Kind, folder: string): Promise<void> {
  const lab = new Lab(folder);
  let speakers: Speakers | undefined;
  try {
    const [witnesses, ourEnd, theirEnd] = [
      await lab.namespace("witnesses"),
      await lab.namespace("cairn"),
      await lab.namespace(kind),
    ];
    await lab.link(witnesses, ["10.0.1.2/24"], ourEnd, ["10.0.1.1/24"]);
    await lab.link(witnesses, ["10.0.2.2/24"], theirEnd, ["10.0.2.1/24"]);
    await lab.link(ourEnd, ["10.0.9.1/24"], theirEnd, ["10.0.9.2/24"]);
    const cairn = new Router(lab, ourEnd, "cairn", cairnConfig(kind));
    const daemon = new Router(lab, theirEnd, kind, configs[kind]());
    speakers = await Speakers.start(lab, witnesses);
    await Promise.all([cairn.start(), daemon.start()]);
    for (const prefix of ours) await cairn.cli("rib", "add", prefix);
    // GoBGP's routes live in its memory: it cannot have them again before its End-of-RIB.
    if (kind === "gobgp") for (const prefix of theirs) await daemon.cli("global", "rib", "add", prefix);
    // GoBGP's routes live in its memory: it cannot have them again before its End-of-RIB.
    if (kind === "gobgp") for (const prefix of theirs) await daemon.cli("global", "rib", "add", prefix);
    const witness = (name: string) => async (): Promise<Seen> => {
      const { routes, withdrawn } = await speakers!.report(name);
      return { routes: routes.map(({ prefix }) => prefix).sort(), withdrawn };
    };
    await speakers.open({
      ...{ name: "c", asn: 65010, routerId: "192.0.2.10", local: "10.0.1.2", remote: "10.0.1.1" },
    });
    await speakers.open({
      ...{ name: "d", asn: 65020, routerId: "192.0.2.20", local: "10.0.2.2", remote: "10.0.2.1" },
    });
    const stage: Stage = { kind, cairn, daemon, seen: { cairn: witness("c"), daemon: witness("d") } };
    const up = await checks.check("both witnesses see the routes of the far side", () => settled(stage));
    if (!up) return;
    if (kind !== "gobgp") await helps(checks, stage);
    await isHelped(checks, stage);
    if (kind !== "gobgp") await notifies(checks, stage);
    await isAway(checks, stage);
  } finally {
    speakers?.close();
    await lab.close();
  }
}

/** All routes everywhere, nothing stale, End-of-RIB there. */
async function settled({ cairn, seen }: Stage): Promise<void> {
  await eventually(
    "routes",
    {
      beyondCairn: [...theirs, ...ours].sort(),
      beyondOther: [...ours, ...theirs].sort(),
      stale: "0",
      end: true,
    },
    async () => {
      const { stale = "0", endOfRibReceived: end } = await familyOf(cairn);
      return {
        beyondCairn: (await seen.cairn()).routes,
        beyondOther: (await seen.daemon()).routes,
        stale,
        end,
      };
    },
    60_000,
  );
}

// --------------------------------------------------------------------------------------- cairn is the helper

async function helps(checks: Checks, stage: Stage): Promise<void> {
  const { kind, cairn, daemon, seen } = stage;
  await checks.check(
    `${kind} is killed and comes back with one route less: only that one is withdrawn`,
    async () => {
      const before = (await seen.cairn()).withdrawn;
      originate(daemon, [theirs[0]]);
      await daemon.daemon.kill();
      await eventually("stale", { stale: "2", phase: "restarting" }, () => staleOf(cairn));
      equal("withdrawn", before, (await seen.cairn()).withdrawn);
      await again(stage);
      await eventually(
        "beyond cairn",
        { routes: [theirs[0], ...ours].sort(), withdrawn: before + 1 },
        seen.cairn,
        40_000,
      );
      await eventually("stale", { stale: "0", phase: "" }, () => staleOf(cairn));
    },
  );
  await checks.check(`${kind} restarts as planned: nothing is withdrawn`, async () => {
    const before = (await seen.cairn()).withdrawn;
    originate(daemon, theirs);
    if (kind === "bird") await daemon.cli("graceful", "restart");
    else daemon.daemon.signal("SIGTERM");
    await eventually("ended", false, async () => daemon.daemon.running);
    await again(stage);
    await settled(stage);
    equal("withdrawn", before, (await seen.cairn()).withdrawn);
  });
}

function originate({ kind, config }: Router, prefixes: readonly string[]): void {
  const text = readFileSync(config, "utf8");
  const changed = kind === "bird" ? birdConfig(prefixes) : frrConfig(prefixes);
  if (text !== changed) writeFileSync(config, changed);
}

/** BIRD says that it has restarted only when it is told so. */
async function again({ kind, daemon }: Stage): Promise<void> {
  await (kind === "bird" ? daemon.startAgain("-R") : daemon.start());
}

// ----------------------------------------------------------------------------------- the other is the helper

async function isHelped(checks: Checks, stage: Stage): Promise<void> {
  const { kind, cairn, seen } = stage;
  const unbroken = async (end: () => Promise<unknown>): Promise<void> => {
    const before = (await seen.daemon()).withdrawn;
    await end();
    await eventually("ended", false, async () => cairn.daemon.running);
    await pause(500);
    equal("routes while cairn is away", [...ours, ...theirs].sort(), (await seen.daemon()).routes);
    await cairn.start();
    await settled(stage);
    equal("withdrawn", before, (await seen.daemon()).withdrawn);
  };
  await checks.check(`cairn is killed: ${kind} withdraws nothing`, () => unbroken(() => cairn.daemon.kill()));
  if (kind === "gobgp") return;
  await checks.check(`cairnctl shutdown --graceful: ${kind} withdraws nothing`, () =>
    unbroken(() => cairn.cli("shutdown", "--graceful")),
  );
  await checks.check(`SIGTERM: ${kind} withdraws nothing`, () =>
    unbroken(async () => cairn.daemon.signal("SIGTERM")),
  );
  await checks.check(
    "the suite fails where it should: an ordinary shutdown withdraws all of it",
    async () => {
      const before = (await seen.daemon()).withdrawn;
      await cairn.cli("shutdown");
      const gone = { routes: [...theirs], withdrawn: before + ours.length };
      await eventually("beyond the other", gone, seen.daemon);
      await eventually("ended", false, async () => cairn.daemon.running);
      await cairn.start();
      await settled(stage);
    },
  );
}

// ---------------------------------------------------------------------------------------------- NOTIFICATION

/**
 * The other side's hold timer runs out. FRR sends a NOTIFICATION, which with the N bit is no reason to drop anything; BIRD
 * closes without one where long-lived restart was agreed on.
 */
async function notifies(checks: Checks, stage: Stage): Promise<void> {
  const { kind, cairn, seen } = stage;
  await checks.check(
    `cairn stands still, the hold timer of ${kind} runs out: its witness sees nothing`,
    async () => {
      const before = { cairn: (await seen.cairn()).withdrawn, daemon: (await seen.daemon()).withdrawn };
      cairn.daemon.signal("SIGSTOP");
      try {
        await eventually("down at the other", false, () => establishedAt(stage), (holdTimeS + 5) * 1000);
        await pause(1000);
        equal("withdrawn", before.daemon, (await seen.daemon()).withdrawn);
      } finally {
        cairn.daemon.signal("SIGCONT");
      }
      await settled(stage);
      equal("withdrawn", before.daemon, (await seen.daemon()).withdrawn);
      // BIRD sets the F bit only when it was restarted: cairn has to drop its routes when it is back without it.
      if (kind !== "frr") return;
      equal("withdrawn", before.cairn, (await seen.cairn()).withdrawn);
      const [{ code, local = false }] = (await stateOf(cairn)).resets ?? [];
      equal("it was a NOTIFICATION", { code: 4, local: false }, { code, local });
    },
  );
  await checks.check("neighbor disable is a hard reset: all routes are withdrawn", async () => {
    const before = (await seen.daemon()).withdrawn;
    await cairn.cli("neighbor", "disable", other);
    await eventually(
      "beyond the other",
      { routes: [...theirs], withdrawn: before + ours.length },
      seen.daemon,
    );
    await cairn.cli("neighbor", "enable", other);
    await settled(stage);
  });
}

async function establishedAt({ kind, daemon }: Stage): Promise<boolean> {
  if (kind === "bird") {
    return /BGP state:\s+Established/.test(await daemon.cli("show", "protocols", "all", "cairn"));
  }
  const text = await daemon.cli("show bgp neighbors 10.0.9.1 json");
  return (JSON.parse(text) as Record<string, { bgpState: string }>)["10.0.9.1"].bgpState === "Established";
}

// --------------------------------------------------------------------------------------------- away for long

async function isAway(checks: Checks, stage: Stage): Promise<void> {
  const { kind, cairn, daemon, seen } = stage;
  await checks.check(
    `${kind} does not come back: its routes go when its ${restartTimeS} s are over`,
    async () => {
      const before = (await seen.cairn()).withdrawn;
      const begin = performance.now();
      await daemon.daemon.kill();
      const gone = { routes: [...ours].sort(), withdrawn: before + theirs.length };
      await eventually("beyond cairn", gone, seen.cairn, (restartTimeS + 3) * 1000);
      const tookS = (performance.now() - begin) / 1000;
      equal("in time", true, tookS > restartTimeS - 0.2 && tookS < restartTimeS + 2);
    },
  );
  if (kind === "frr") return;
  await checks.check(
    "the witness knows no long-lived routes; here they are, marked, for their time",
    async () => {
      equal("long-lived", { stale: "2", phase: "long-lived" }, await staleOf(cairn));
      const { routes = [] } = JSON.parse(
        await cairn.cli("rib", "--neighbor", other, "--family", "ipv4-unicast", "--json"),
      ) as { routes?: { prefix: string; communities?: string[] }[] };
      const marked = routes.filter(({ communities }) => communities?.includes("llgr-stale"));
      equal("marked", [...theirs], marked.map(({ prefix }) => prefix).sort());
      await eventually("swept", { stale: "0", phase: "" }, () => staleOf(cairn), (longLivedS + 3) * 1000);
    },
  );
  await checks.check(`cairn stays away: ${kind} keeps its routes as long-lived ones`, async () => {
    await daemon.startAgain();
    if (kind === "gobgp") for (const prefix of theirs) await daemon.cli("global", "rib", "add", prefix);
    await settled(stage);
    await cairn.cli("neighbor", "set", other, "--restart-time", "2s");
    await cairn.cli("neighbor", "disable", other);
    await cairn.cli("neighbor", "enable", other);
    await settled(stage);
    await cairn.daemon.kill();
    await eventually("marked at the other", ours.length, () => markedAt(stage), 8000);
    await cairn.start();
    await settled(stage);
    equal("marked", 0, await markedAt(stage));
  });
}

// -------------------------------------------------------------------------------------------------- questions

/** Routes of cairn that the other daemon shows as long-lived stale ones. */
async function markedAt({ kind, daemon }: Stage): Promise<number> {
  const show =
    kind === "bird" ? ["show", "route", "all", "protocol", "cairn"] : ["neighbor", "10.0.9.1", "adj-in"];
  const mark = kind === "bird" ? "(65535,6)" : "llgr-stale";
  return (await daemon.cli(...show)).split(mark).length - 1;
}

async function familyOf(cairn: Router): Promise<Family> {
  return (await stateOf(cairn)).families?.[0] ?? {};
}

async function staleOf(cairn: Router): Promise<{ stale: string; phase: string }> {
  const { stale = "0", stalePhase: phase = "" } = await familyOf(cairn);
  return { stale, phase };
}

async function stateOf(cairn: Router): Promise<State> {
  const text = await cairn.cli("neighbor", other, "--json");
  return (JSON.parse(text) as { neighbor: { state: State } }).neighbor.state;
}

// ---------------------------------------------------------------------------------------------- configurations

function cairnConfig(kind: Kind): string {
  const common = { import: ["accept-all"], export: ["accept-all"], families: ["ipv4-unicast"] };
  return JSON.stringify({
    global: { asn: 65001, router_id: "192.0.2.1", listen: ["0.0.0.0:179"] },
    neighbors: [
      { ...common, address: "10.0.1.2", remote_asn: 65010, passive: true },
      {
        ...common,
        address: other,
        remote_asn: 65002,
        connect_retry_time: "1s",
        graceful_restart: "full",
        hold_time: `${holdTimeS}s`,
        restart_time: `${ownRestartTimeS}s`,
        preserve_forwarding: true,
        ...(kind !== "frr" ? { long_lived_stale_time: "60s", long_lived_stale_max: `${longLivedS}s` } : {}),
      },
    ],
  });
}

const configs: Readonly<Record<Kind, () => string>> = {
  bird: birdConfig,
  frr: frrConfig,
  gobgp: gobgpConfig,
};

function gobgpConfig(): string {
  const family = "ipv4-unicast";
  const neighbor = (address: string, asn: number, passive: boolean, longLived: boolean): object => ({
    config: { "neighbor-address": address, "peer-as": asn },
    transport: { config: { "passive-mode": passive } },
    timers: { config: { "connect-retry": 1, "idle-hold-time-after-reset": 1 } },
    ...(longLived
      ? {
          "graceful-restart": {
            config: {
              ...{ enabled: true, "restart-time": restartTimeS, "notification-enabled": true },
              "long-lived-enabled": true,
            },
          },
        }
      : {}),
    "afi-safis": [
      {
        config: { "afi-safi-name": family },
        ...(longLived
          ? {
              "mp-graceful-restart": { config: { enabled: true } },
              "long-lived-graceful-restart": { config: { enabled: true, "restart-time": 60 } },
            }
          : {}),
      },
    ],
  });
  return JSON.stringify({
    global: { config: { as: 65002, "router-id": "192.0.2.2", port: 179 } },
    neighbors: [neighbor("10.0.9.1", 65001, false, true), neighbor("10.0.2.2", 65020, true, false)],
  });
}

function birdConfig(prefixes: readonly string[] = theirs): string {
  return `log stderr all;
router id 192.0.2.2;
protocol device { }
protocol static { ipv4; ${prefixes.map((prefix) => `route ${prefix} unreachable;`).join(" ")} }
template bgp common {
  local as 65002;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  graceful restart on; graceful restart time ${restartTimeS};
  ipv4 { import all; export all; next hop self; };
}
protocol bgp cairn from common {
  neighbor 10.0.9.1 as 65001;
  long lived graceful restart on; long lived stale time 60;
}
protocol bgp witness from common { neighbor 10.0.2.2 as 65020; passive on; }
`;
}

function frrConfig(prefixes: readonly string[] = theirs): string {
  return `frr defaults traditional
log stdout
bgp as-path access-list NOT-BACK deny ^65001_
bgp as-path access-list NOT-BACK permit .*
router bgp 65002
 bgp router-id 192.0.2.2
 no bgp ebgp-requires-policy
 no bgp network import-check
 bgp graceful-restart
 bgp graceful-restart preserve-fw-state
 bgp graceful-restart restart-time ${restartTimeS}
 bgp graceful-restart notification
 neighbor 10.0.9.1 remote-as 65001
 neighbor 10.0.9.1 timers connect 1
 neighbor 10.0.9.1 advertisement-interval 0
 neighbor 10.0.2.2 remote-as 65020
 neighbor 10.0.2.2 passive
 neighbor 10.0.2.2 advertisement-interval 0
 address-family ipv4 unicast
${prefixes.map((prefix) => `  network ${prefix}`).join("\n")}
  neighbor 10.0.9.1 filter-list NOT-BACK out
 exit-address-family
exit
`;
}
