/**
 * BMP as Wireshark's dissector reads it off the wire: sessions with BIRD and with speakers, all RIBs, a collector that
 * goes away and comes back. What the dissector makes of the messages is compared with what cairn lists.
 */
import { execFileSync } from "node:child_process";
import path from "node:path";
import { type Checks, eventually } from "../lib/checks.ts";
import { type Daemon, type Lab, type Namespace, pause } from "../lib/lab.ts";
import type { Router } from "../lib/router.ts";
import { type RouterPlan, type SpeakerPlan, withScene } from "../lib/scene.ts";
import type { WireRoute } from "../lib/wire.ts";

const sessions = [
  { name: "a", asn: 65010, local: "10.0.1.2" },
  { name: "b", asn: 65020, local: "10.0.2.2" },
] as const satisfies readonly SpeakerPlan[];
const port = 1790;
const bird = "10.0.9.2";
const neighbors = ["10.0.1.2", bird];

const routesOf = (asn: number, nextHop: string, prefixes: readonly string[]): WireRoute[] =>
  prefixes.map((prefix) => ({ prefix, origin: "igp", nextHop, asPath: `${asn} 65100` }));
const fromA = ["203.0.113.0/24", "198.51.100.0/25", "192.88.99.0/24"];
const fromB = ["203.0.113.0/24", "100.64.0.0/10"];

export async function bmp(checks: Checks, folder: string): Promise<void> {
  await withScene(folder, plans, sessions, async ({ lab, outside, routers, speakers }) => {
    const { cairn } = routers;
    await speakers.announce("a", routesOf(65010, "10.0.1.2", fromA));
    await speakers.announce("b", routesOf(65020, "10.0.2.2", fromB));
    await eventually("routes at cairn", 4, async () => (await listed(cairn)).length);
    const capture = new Capture(lab, outside, 1);
    await capture.start();
    let station = startCollector(lab, outside, 1);
    await station.start();
    const ribs = ["--adj-rib-in-pre", "--adj-rib-in-post", "--adj-rib-out-post", "--loc-rib"];
    const words = ["--host", "10.0.1.2", "--port", String(port), "--retry", "1s", "--max-retry", "1s"];
    await cairn.cli("bmp", "set", "shark", ...words, ...ribs, "--statistics-interval", "1s");
    const state = async (): Promise<unknown> => {
      const { collector } = JSON.parse(await cairn.cli("bmp", "get", "shark", "--json"));
      return collector.state.sessionState;
    };
    const same = async (what: string): Promise<void> => {
      const wanted = await tablesOf(cairn);
      await eventually(what, wanted, async () => tablesFrom(capture.read()));
    };
    await checks.check("the collector is told of everything", () => eventually("state", "monitoring", state));
    await checks.check("the dissector reads the tables that cairn lists", () => same("tables"));
    await checks.check("it reads sessions with both OPENs", async () => {
      const up = (): unknown =>
        capture
          .read()
          .filter(({ type }) => type === "3")
          .map(({ peer, opens }) => `${peer} ${opens}`)
          .sort();
      await eventually("Peer Ups", ["10.0.1.2 2", "10.0.9.2 2", "loc 2"], async () => up());
    });
    await checks.check("changes follow", async () => {
      await speakers.withdraw("a", fromA.slice(0, 2));
      await speakers.announce("b", routesOf(65020, "10.0.2.2", ["198.18.0.0/15"]));
      await eventually("at cairn", 4, async () => (await listed(cairn)).length);
      await same("tables");
    });
    await checks.check("statistics come by the second", async () => {
      const reports = (): boolean => capture.read().filter(({ type }) => type === "1").length >= 3;
      await eventually("three reports", true, async () => reports());
    });
    const downs = (): string[] =>
      capture
        .read()
        .filter(({ type }) => type === "2")
        .map(({ peer, reason }) => `${peer} ${reason}`);
    await checks.check("a session that the other side closes without a word", async () => {
      await speakers.end("a");
      await eventually("Peer Downs", ["10.0.1.2 4"], async () => downs());
    });
    await checks.check("a collector that comes back is told of everything again", async () => {
      await station.stop();
      await eventually("state", true, async () => ["waiting", "connecting"].includes(String(await state())));
      await capture.restart(2);
      station = startCollector(lab, outside, 2);
      await station.start();
      await eventually("state", "monitoring", state);
      await same("tables");
    });
    await checks.check("a session that we end with a NOTIFICATION", async () => {
      await cairn.cli("neighbor", "set", bird, "--shutdown", "--shutdown-message", "maintenance");
      await eventually("Peer Downs", [`${bird} 1`], async () => downs());
    });
    await checks.check("one that is deleted is told so", async () => {
      await cairn.cli("bmp", "delete", "shark");
      const last = (): unknown => capture.read().at(-1)?.type;
      await eventually("last message", "5", async () => last());
    });
    // RFC 9069 5.1: tshark 4.0 does not know that anything may follow the OPENs, and takes the name for a BGP message.
    await checks.check("nothing is malformed to it but the name of the Loc-RIB", () =>
      eventually("faults", ["3 loc"], async () =>
        capture
          .read()
          .filter(({ malformed }) => malformed)
          .map(({ type, peer }) => `${type} ${peer}`),
      ),
    );
    await capture.stop();
    await station.stop();
  });
}

const plans: Readonly<Record<string, RouterPlan>> = {
  cairn: {
    kind: "cairn",
    asn: 65001,
    routerId: "10.9.9.1",
    neighbors: [
      { local: "10.0.1.1", remote: "10.0.1.2", asn: 65010 },
      { local: "10.0.9.1", remote: bird, asn: 65002 },
    ],
  },
  other: {
    kind: "bird",
    asn: 65002,
    routerId: "10.9.9.2",
    neighbors: [
      { local: "10.0.2.1", remote: "10.0.2.2", asn: 65020 },
      { local: bird, remote: "10.0.9.1", asn: 65001 },
    ],
  },
};

function startCollector(lab: Lab, where: Namespace, run: number): Daemon {
  const program = path.join(import.meta.dirname, "collector.ts");
  return lab.daemon(where, `collector-${run}`, [process.execPath, program, String(port)]);
}

/** One BMP message, as the dissector reads it. */
interface Dissected {
  readonly type: string;
  /** Address of the peer; `loc` for the Loc-RIB, empty without a per-peer header. */
  readonly peer: string;
  readonly rib: "pre" | "post" | "out" | "loc";
  readonly reason: string;
  readonly announced: readonly string[];
  readonly withdrawn: readonly string[];
  /** OPENs in it. */
  readonly opens: number;
  readonly malformed: boolean;
}

/** tcpdump beside the collector, and tshark over what it wrote. */
class Capture {
  readonly #lab: Lab;
  readonly #where: Namespace;
  #file: string;
  #daemon: Daemon;

  constructor(lab: Lab, where: Namespace, run: number) {
    this.#lab = lab;
    this.#where = where;
    this.#file = "";
    this.#daemon = this.#make(run);
  }

  #make(run: number): Daemon {
    this.#file = path.join(this.#lab.folder, `bmp-${run}.pcap`);
    const words = ["-i", "any", "-U", "-s", "0", "-w", this.#file, "tcp", "port", String(port)];
    return this.#lab.daemon(this.#where, `tcpdump-${run}`, ["tcpdump", ...words]);
  }

  async start(): Promise<void> {
    await this.#daemon.start();
    while (!this.#daemon.log.includes("listening on")) await pause(50);
  }

  async restart(run: number): Promise<void> {
    await this.#daemon.stop();
    this.#daemon = this.#make(run);
    await this.start();
  }

  stop(): Promise<void> {
    return this.#daemon.stop();
  }

  read(): Dissected[] {
    const words = ["-r", this.#file, "-d", `tcp.port==${port},bmp`, "-Y", "bmp", "-T", "pdml"];
    return messagesOf(
      execFileSync("tshark", words, { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] }).toString(),
    );
  }
}

/** The messages in tshark's XML: each is a `proto` of its own. */
function messagesOf(pdml: string): Dissected[] {
  return pdml
    .split('<proto name="bmp"')
    .slice(1)
    .map((part) => {
      const values = (field: string): string[] =>
        [...part.matchAll(new RegExp(`<field name="${field}"[^>]* show="([^"]*)"`, "g"))].map(
          ([, show]) => show,
        );
      const [type = ""] = values("bmp.type");
      const isLoc = values("bmp.peer.type")[0] === "3";
      const isOn = (field: string): boolean => ["1", "True"].includes(values(field)[0] ?? "");
      const isOut = isOn("bmp.peer.flags.adj_rib_out");
      const isPost = isOn("bmp.peer.flags.post_policy");
      const announced: string[] = [];
      const withdrawn: string[] = [];
      // Prefixes that are withdrawn stand under a heading of their own, before the attributes.
      const heading = part.indexOf('name="bgp.update.withdrawn_routes"');
      const attributes = part.indexOf('name="bgp.update.path_attributes.length"');
      for (const match of part.matchAll(/<field name="" show="([\d.]+\/\d+)"/g)) {
        const isGone = heading >= 0 && match.index > heading && match.index < attributes;
        (isGone ? withdrawn : announced).push(match[1]);
      }
      return {
        ...{ type, peer: isLoc ? "loc" : (values("bmp.peer.ip.addr")[0] ?? "") },
        rib: isLoc ? "loc" : isOut ? "out" : isPost ? "post" : "pre",
        reason: values("bmp.peer.down.reason")[0] ?? "",
        ...{ announced, withdrawn },
        opens: values("bgp.type").filter((each) => each === "1").length,
        malformed: /_ws\.malformed|_ws\.unreassembled/.test(part),
      };
    });
}

type Tables = Readonly<Record<string, readonly string[]>>;

/** What a station holds after these messages. */
function tablesFrom(messages: readonly Dissected[]): Tables {
  const tables = new Map<string, Set<string>>();
  for (const { type, peer, rib, announced, withdrawn } of messages) {
    if (type !== "0") continue;
    const name = peer === "loc" ? "loc" : `${peer} ${rib}`;
    const held = tables.get(name) ?? new Set();
    tables.set(name, held);
    for (const prefix of withdrawn) held.delete(prefix);
    for (const prefix of announced) held.add(prefix);
  }
  return Object.fromEntries(
    [...tables]
      .filter(([, held]) => held.size > 0)
      .map(([name, held]) => [name, [...held].sort()] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** What cairn lists. */
async function tablesOf(cairn: Router): Promise<Tables> {
  const words: [string, readonly string[]][] = [
    ["loc", []],
    ...neighbors.flatMap((neighbor): [string, readonly string[]][] => [
      [`${neighbor} pre`, ["received", neighbor]],
      [`${neighbor} post`, ["received", neighbor, "--post"]],
      [`${neighbor} out`, ["advertised", neighbor]],
    ]),
  ];
  const tables = await Promise.all(
    words.map(async ([name, list]) => [name, await listed(cairn, ...list)] as const),
  );
  return Object.fromEntries(
    tables.filter(([, held]) => held.length > 0).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

async function listed(cairn: Router, ...words: readonly string[]): Promise<string[]> {
  const text = await cairn.cli("rib", ...words, "--json");
  const { routes = [] } = JSON.parse(text) as { routes?: { prefix: string }[] };
  return routes.map(({ prefix }) => prefix).sort();
}
