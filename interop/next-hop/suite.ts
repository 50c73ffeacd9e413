/**
 * Next-hop tracking: the same routes, the same kernel and the same changes for cairn and for FRR (with zebra). Two exits
 * tell of one prefix over iBGP; an external neighbor sees by the AS path which of them is chosen.
 */
import path from "node:path";
import { type Checks, eventually, stays } from "../lib/checks.ts";
import type { Router, RouterKind } from "../lib/router.ts";
import { type RouterPlan, type SpeakerPlan, withScene } from "../lib/scene.ts";
import type { Speakers } from "../lib/speakers.ts";
import type { WireRoute } from "../lib/wire.ts";

const asn = 65001;
/** In this order the links are link0 to link3. */
const sessions = [
  { name: "a", asn, local: "10.0.1.2" },
  { name: "b", asn, local: "10.0.2.2" },
  { name: "observer", asn: 65010, local: "10.0.3.2" },
  { name: "edge", asn: 65020, local: "10.0.4.2" },
] as const satisfies readonly SpeakerPlan[];

const prefix = "198.51.100.0/24";
/** Loopbacks of the exits, which no address of a link leads to. */
const behind = { a: "172.16.1.1", b: "172.16.2.1" } as const;

export async function nextHopTracking(checks: Checks, kind: RouterKind, folder: string): Promise<void> {
  await withScene(folder, { [kind]: plan(kind) }, sessions, async ({ routers, speakers }) => {
    const router = routers[kind];
    const ip = (...words: string[]): Promise<string> => router.inside("ip", ...words);
    const add = (text: string): Promise<string> => ip("route", "add", ...text.split(" "));
    const remove = (text: string): Promise<string> => ip("route", "del", ...text.split(" "));
    const chosen = (which: "a" | "b" | "none", of = prefix): Promise<void> =>
      eventually(`path to ${of}`, which, () => exitOf(speakers, of), 10_000);

    await speakers.announce("a", [exit("a", prefix)]);
    await speakers.announce("b", [exit("b", prefix)]);
    await checks.check("no way to either next hop: nothing is chosen", async () => {
      await heard(router, kind);
      await stays("path", "none", () => exitOf(speakers, prefix));
    });
    await checks.check("a way to one of them appears", async () => {
      await add(`${behind.a}/32 via 10.0.1.2 metric 20`);
      await chosen("a");
    });
    await checks.check("the nearer exit wins, and follows the metric", async () => {
      await add(`${behind.b}/32 via 10.0.2.2 metric 10`);
      await chosen("b");
      await add(`${behind.b}/32 via 10.0.2.2 metric 30`);
      await remove(`${behind.b}/32 via 10.0.2.2 metric 10`);
      await chosen("a");
    });
    await checks.check("a more specific route that is worse counts", async () => {
      await remove(`${behind.a}/32 via 10.0.1.2 metric 20`);
      await add("172.16.1.0/24 via 10.0.1.2 metric 5");
      await chosen("a");
      await add(`${behind.a}/32 via 10.0.1.2 metric 50`);
      await chosen("b");
      await remove(`${behind.a}/32 via 10.0.1.2 metric 50`);
      await chosen("a");
    });
    await checks.check("the route goes with its link, and the exit with it", async () => {
      await ip("link", "set", "link0", "down");
      await chosen("b");
      await ip("link", "set", "link0", "up");
      await add("172.16.1.0/24 via 10.0.1.2 metric 5");
      await chosen("a");
    });
    await checks.check("a nexthop object, and its end", async () => {
      await ip("nexthop", "add", "id", "7000", "via", "10.0.2.2", "dev", "link1");
      await add(`${behind.b}/32 nhid 7000 metric 1`);
      await chosen("b");
      // zebra 8.4 does not notice that the route goes with its object.
      if (kind === "frr") await remove(`${behind.b}/32 nhid 7000 metric 1`);
      await ip("nexthop", "del", "id", "7000");
      await chosen("a");
    });
    await checks.check("the default route counts or does not, as declared", async () => {
      const far = "198.18.7.0/24";
      await speakers.announce("b", [{ ...exit("b", far), nextHop: "192.88.99.9" }]);
      await add("default via 10.0.2.2");
      await viaDefault(router, kind, true);
      await chosen("b", far);
      await viaDefault(router, kind, false);
      await chosen("none", far);
      await viaDefault(router, kind, true);
      await chosen("b", far);
      await remove("default via 10.0.2.2");
      await chosen("none", far);
    });
    const inner = "203.0.113.0/24";
    const carried = "198.18.0.0/24";
    await checks.check("a BGP route leads to a next hop, and takes it away", async () => {
      await speakers.announce("b", [{ ...exit("b", carried), nextHop: "203.0.113.9" }]);
      await stays("path", "none", () => exitOf(speakers, carried));
      await speakers.announce("a", [exit("a", inner)]);
      await chosen("b", carried);
      await remove("172.16.1.0/24 via 10.0.1.2 metric 5");
      await chosen("none", carried);
      await add("172.16.1.0/24 via 10.0.1.2 metric 5");
      await chosen("b", carried);
      await speakers.withdraw("a", [inner]);
      await chosen("none", carried);
    });
    await checks.check("the next hop of an external neighbor must be on its link", async () => {
      const off: WireRoute = {
        prefix: "198.19.1.0/24",
        origin: "igp",
        asPath: "65020 65200",
        nextHop: behind.a,
      };
      await speakers.announce("edge", [off, { ...off, prefix: "198.19.2.0/24", nextHop: "10.0.4.2" }]);
      await chosen("b", "198.19.2.0/24");
      await stays("path", "none", () => exitOf(speakers, off.prefix));
    });
    await checks.check("a link that goes down takes its external session along at once", async () => {
      await ip("link", "set", "link3", "down");
      const state = (): Promise<boolean> => isEstablished(router, kind, "10.0.4.2");
      await eventually("the session is up", false, state, 3_000);
      await chosen("none", "198.19.2.0/24");
    });
    if (kind === "cairn") await ownView(checks, router, speakers, ip);
  });
}

/** The default of FRR 8.4 is no, of BIRD, GoBGP and cairn yes. */
async function viaDefault(router: Router, kind: RouterKind, counts: boolean): Promise<void> {
  if (kind === "cairn") {
    await router.cli("global", "set", `--${counts ? "" : "no-"}resolve-via-default`);
    return;
  }
  const words = ["vtysh", "--vty_socket", `${path.dirname(router.config)}/zebra`, "-d", "zebra"];
  const line = `${counts ? "" : "no "}ip nht resolve-via-default`;
  await router.inside(...words, "-c", "configure terminal", "-c", line);
}

/** What only cairn is asked: its own tables, and kinds of routes about which FRR thinks otherwise. */
async function ownView(
  checks: Checks,
  cairn: Router,
  speakers: Speakers,
  ip: (...words: string[]) => Promise<string>,
): Promise<void> {
  await checks.check("cairnctl nexthop, link and rib tell why", async () => {
    await ip("route", "add", "blackhole", `${behind.b}/32`);
    await eventually("next hop", "unreachable: the route 0.0.0.0/0 is of type blackhole", async () => {
      const hop = await nextHop(cairn, behind.b);
      return `${hop.reachable ? "reachable" : "unreachable"}: ${hop.reason ?? ""}`;
    });
    const { routes = [] } = JSON.parse(await cairn.cli("rib", "received", "10.0.2.2", prefix, "--json")) as {
      routes?: { rejectReason?: string }[];
    };
    await eventually("reason", true, async () =>
      /172\.16\.2\.1 cannot be reached/.test(routes[0].rejectReason!),
    );
    await ip("route", "del", "blackhole", `${behind.b}/32`);
    await ip("link", "set", "link3", "up");
    const up = async (): Promise<boolean> => {
      const { links } = JSON.parse(await cairn.cli("link", "link3", "--json")) as {
        links: { up?: boolean }[];
      };
      return links[0].up ?? false;
    };
    await eventually("link3", true, up);
  });
  await checks.check(
    "a flood of another daemon's routes costs a look each, and changes nothing",
    async () => {
      const lines: string[] = [];
      for (let i = 0; i < 20_000; i++) {
        lines.push(`route add 100.${64 + (i >> 8)}.${i & 255}.0/24 via 10.0.1.2`);
      }
      const before = await exitOf(speakers, prefix);
      await ip("-batch", cairn.file("flood", `${lines.join("\n")}\n`));
      await stays("path", before, () => exitOf(speakers, prefix));
      const hop = await nextHop(cairn, behind.a);
      await eventually("reachable", true, async () => hop.reachable ?? false);
    },
  );
}

async function nextHop(cairn: Router, address: string): Promise<{ reachable?: boolean; reason?: string }> {
  const { nextHops } = JSON.parse(await cairn.cli("nexthop", address, "--json")) as {
    nextHops: { reachable?: boolean; reason?: string }[];
  };
  return nextHops[0];
}

function exit(which: "a" | "b", to: string): WireRoute {
  const asPath = which === "a" ? "65100" : "65200";
  return { prefix: to, origin: "igp", asPath, nextHop: behind[which], localPref: 100 };
}

/** Which exit the observer is told of. */
async function exitOf(speakers: Speakers, to: string): Promise<string> {
  const held = (await speakers.routes("observer")).find((route) => route.prefix === to);
  return held ? (held.asPath.endsWith("65100") ? "a" : "b") : "none";
}

/** Waits until both paths have come in. */
async function heard(router: Router, kind: RouterKind): Promise<void> {
  await eventually("paths in the table", 2, async () => {
    if (kind === "cairn") {
      const counts = await Promise.all(
        ["10.0.1.2", "10.0.2.2"].map(async (address) => {
          const text = await router.cli("rib", "received", address, "--json");
          return (JSON.parse(text) as { routes?: unknown[] }).routes?.length ?? 0;
        }),
      );
      return counts.reduce((sum, count) => sum + count, 0);
    }
    const table = JSON.parse(await router.cli(`show bgp ipv4 unicast ${prefix} json`)) as {
      paths?: unknown[];
    };
    return table.paths?.length ?? 0;
  });
}

async function isEstablished(router: Router, kind: RouterKind, address: string): Promise<boolean> {
  if (kind === "cairn") {
    const text = await router.cli("neighbor", address, "--json");
    return text.includes("SESSION_STATE_ESTABLISHED");
  }
  return (await router.cli(`show bgp neighbor ${address} json`)).includes('"bgpState":"Established"');
}

function plan(kind: RouterKind): RouterPlan {
  return {
    kind,
    asn,
    routerId: "10.9.9.1",
    routes: true,
    neighbors: sessions.map(({ local, asn: remote }) => ({
      local: local.replace(/2$/, "1"),
      remote: local,
      asn: remote,
    })),
  };
}
