/**
 * A LAN, a host that cairnd owns, and two uplinks to one server:
 *
 *                              link1 -- fiber -- link3
 *   client -- link0 -- host <                          > server
 *                              link2 -- lte ---- link4
 */
import path from "node:path";
import { Host } from "../dataplane/host.ts";
import { eventually } from "../lib/checks.ts";
import { type Daemon, Lab, type Namespace } from "../lib/lab.ts";
import { Router } from "../lib/router.ts";

export const address = {
  client: "10.0.0.5",
  lan: "10.0.0.1",
  fiber: "203.0.113.2",
  fiberGateway: "203.0.113.1",
  lte: "192.0.2.2",
  lteGateway: "192.0.2.1",
  server: "198.51.100.10",
  /** Of the server as well, for what is not to be translated. */
  office: "192.168.9.9",
  client6: "2001:db8:a::5",
  fiberGateway6: "2001:db8:b::1",
  lteGateway6: "2001:db8:c::1",
  server6: "2001:db8:d::10",
} as const;

const node = path.join(import.meta.dirname, "../../node_modules/.bin/node");
const flows = path.join(import.meta.dirname, "flows.ts");
export const port = 8000;

export type Uplink = "fiber" | "lte";

/** A connection that lasts. */
export class LongFlow {
  readonly #daemon: Daemon;

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  /** The address that the server sees. */
  get source(): string {
    return this.#lines[0] ?? "";
  }

  get echoes(): number {
    return this.#lines.filter((line) => /^\d+$/.test(line)).length;
  }

  get broken(): string {
    return this.#lines.find((line) => line.startsWith("broken")) ?? "";
  }

  get #lines(): string[] {
    return this.#daemon.log.split("\n");
  }

  /** Waits until the server has answered more, which it does while the path is alive. */
  async goesOn(): Promise<void> {
    const before = this.echoes;
    await eventually("the long flow goes on", "", async () => {
      if (this.broken !== "") return this.broken;
      return this.echoes >= before + 4 ? "" : `${this.echoes - before} echoes`;
    });
  }
}

export class Network {
  readonly host: Host;
  readonly lab: Lab;
  readonly bird: Router;
  readonly #client: Namespace;
  readonly #server: Namespace;
  readonly #uplinks: Readonly<Record<Uplink, Namespace>>;
  #started = 0;

  private constructor(
    lab: Lab,
    host: Host,
    client: Namespace,
    server: Namespace,
    uplinks: Record<Uplink, Namespace>,
  ) {
    this.lab = lab;
    this.host = host;
    this.#client = client;
    this.#server = server;
    this.#uplinks = uplinks;
    this.bird = new Router(lab, uplinks.lte, "bird", birdConfig);
  }

  static async open(lab: Lab): Promise<Network> {
    const names = ["host", "client", "fiber", "lte", "server"];
    const [router, client, fiber, lte, server] = await Promise.all(names.map((name) => lab.namespace(name)));
    const both = (four: string, six: string): string[] => [`${four}/24`, `${six}/64`];
    await lab.link(
      ...([
        router,
        both(address.lan, "2001:db8:a::1"),
        client,
        both(address.client, address.client6),
      ] as const),
    );
    await lab.link(
      ...([
        router,
        both(address.fiber, "2001:db8:b::2"),
        fiber,
        both(address.fiberGateway, address.fiberGateway6),
      ] as const),
    );
    await lab.link(
      ...([
        router,
        both(address.lte, "2001:db8:c::2"),
        lte,
        both(address.lteGateway, address.lteGateway6),
      ] as const),
    );
    await lab.link(
      ...([fiber, both("172.16.1.1", "2001:db8:e::1"), server, both("172.16.1.2", "2001:db8:e::2")] as const),
    );
    await lab.link(
      ...([lte, both("172.16.2.1", "2001:db8:f::1"), server, both("172.16.2.2", "2001:db8:f::2")] as const),
    );
    const ip = (namespace: Namespace, ...words: string[]): Promise<string> =>
      lab.in(namespace, ["ip", ...words]);
    const route = (namespace: Namespace, text: string): Promise<string> =>
      ip(namespace, "route", "add", ...text.split(" "));
    await route(client, `default via ${address.lan}`);
    for (const own of [address.server, address.office])
      await ip(server, "address", "add", `${own}/32`, "dev", "lo");
    for (const [uplink, hop] of [
      [fiber, "172.16.1.2"],
      [lte, "172.16.2.2"],
    ] as const) {
      await lab.in(uplink, ["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
      await route(uplink, `${address.server} via ${hop}`);
    }
    // What is not translated comes back over lte, whichever way it went.
    const six = "2001:db8:a::/64";
    await route(client, "default via 2001:db8:a::1");
    await ip(server, "address", "add", `${address.server6}/128`, "dev", "lo");
    await route(fiber, `${address.server6} via 2001:db8:e::2`);
    await route(lte, `${address.server6} via 2001:db8:f::2`);
    await route(lte, `${six} via 2001:db8:c::2`);
    await route(server, `${six} via 2001:db8:f::1`);
    await route(server, "203.0.113.0/24 via 172.16.1.1");
    await route(server, "192.0.2.0/24 via 172.16.2.1");
    // The office is reached over lte, by its own addresses.
    await route(lte, `${address.office} via 172.16.2.2`);
    await route(lte, `10.0.0.0/24 via ${address.lte}`);
    await route(server, "10.0.0.0/24 via 172.16.2.1");
    const network = new Network(lab, Host.in(lab, router), client, server, { fiber, lte });
    await network.#serve("server", server, port);
    await network.#serve("client", client, 80);
    return network;
  }

  async #serve(name: string, namespace: Namespace, of: number): Promise<void> {
    const daemon = this.lab.daemon(namespace, `${name}-${of}`, [node, flows, "serve", String(of)]);
    await daemon.start();
    await eventually(`${name} listens`, true, async () => daemon.log.includes("ready"));
  }

  /** What the server sees of a new connection from the client, or why there was none. */
  async connect(to: string = address.server, of = port): Promise<string> {
    return this.#connect(this.#client, to, of);
  }

  /** The same from the server to the outside of the host. */
  async connectIn(to: string, of: number): Promise<string> {
    return this.#connect(this.#server, to, of);
  }

  async #connect(namespace: Namespace, to: string, of: number): Promise<string> {
    const script = `
      const s = require("node:net").connect({host:"${to}",port:${of},timeout:1500});
      s.once("data", (d) => { process.stdout.write(String(d).split("\\n")[0]); s.destroy(); })
        .on("error", (e) => console.log(e.code)).on("timeout", () => { console.log("timeout"); s.destroy(); });`;
    return (await this.lab.try(namespace, [process.execPath, "-e", script])).stdout.trim();
  }

  async longFlow(to: string = address.server): Promise<LongFlow> {
    const args = [node, flows, "long", to, String(port)];
    const daemon = this.lab.daemon(this.#client, `long-${this.#started++}`, args);
    await daemon.start();
    const flow = new LongFlow(daemon);
    await flow.goesOn();
    return flow;
  }

  /** Begins to open connections all the time. */
  async newFlows(): Promise<NewFlows> {
    const args = [node, flows, "new", address.server, String(port), "40"];
    const daemon = this.lab.daemon(this.#client, `new-${this.#started++}`, args);
    await daemon.start();
    return new NewFlows(daemon);
  }

  /** Whether packets get through an uplink whose link stays up. */
  async path(uplink: Uplink, isAlive: boolean): Promise<void> {
    const value = isAlive ? 1 : 0;
    const settings = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];
    await this.lab.in(this.#uplinks[uplink], [
      "sysctl",
      "-qw",
      ...settings.map((setting) => `${setting}=${value}`),
    ]);
  }

  /** Takes the link of an uplink down at its other end, or up again. */
  async link(uplink: Uplink, isUp: boolean): Promise<void> {
    const device = uplink === "fiber" ? "link1" : "link2";
    const at = this.#uplinks[uplink];
    await this.lab.in(at, ["ip", "link", "set", device, isUp ? "up" : "down"]);
    // IPv6 addresses go with the link.
    const gateway = uplink === "fiber" ? address.fiberGateway6 : address.lteGateway6;
    if (isUp) await this.lab.in(at, ["ip", "address", "replace", `${gateway}/64`, "dev", device, "nodad"]);
  }

  /** Counts echo requests that pass an uplink, by the address of the host that they come from. */
  async countProbes(): Promise<void> {
    const rules = Object.entries({ fiber: address.fiber, lte: address.lte })
      .map(([name, from]) => `ip saddr ${from} icmp type echo-request counter comment "${name}"`)
      .join("; ");
    const file = this.lab.file(
      "probes.nft",
      `table ip probes { chain pass { type filter hook forward priority 0; ${rules}; }; }\n`,
    );
    for (const namespace of Object.values(this.#uplinks)) await this.lab.in(namespace, ["nft", "-f", file]);
  }

  /** Echo requests with an address of one uplink that passed an uplink. */
  async probes(through: Uplink, from: Uplink): Promise<number> {
    const listed = await this.lab.in(this.#uplinks[through], ["nft", "list", "table", "ip", "probes"]);
    const found = new RegExp(`packets (\\d+) bytes \\d+ comment "${from}"`).exec(listed);
    return Number(found?.[1] ?? -1);
  }

  /** What a run of nft that lists the table takes at the moment, the fastest of some. */
  async nftMs(): Promise<number> {
    const script = `
      const { execFileSync } = require("node:child_process");
      const took = Array.from({ length: 6 }, () => {
        const from = performance.now();
        execFileSync("nft", ["-a", "list", "table", "inet", "cairn"]);
        return performance.now() - from;
      });
      console.log(Math.round(Math.min(...took)));`;
    return Number(await this.lab.in(this.host.namespace, [process.execPath, "-e", script]));
  }

  /** All that cairn has in the kernel for steering, with the handles of rules and without what is counted. */
  async kernel(): Promise<string> {
    const rules = await this.lab.in(this.host.namespace, [
      "nft",
      "-a",
      "-s",
      "list",
      "table",
      "inet",
      "cairn",
    ]);
    const parts = [rules];
    for (const version of ["-4", "-6"]) {
      parts.push(await this.host.ip(version, "route", "show", "table", "all", "proto", "67"));
      parts.push(await this.host.ip(version, "rule"));
    }
    return parts.join("\n");
  }
}

/** Connections one after the other. */
export class NewFlows {
  readonly #daemon: Daemon;

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  /** In the order in which they began: when, wall-clock milliseconds, and what the server saw. */
  get all(): { readonly atMs: number; readonly saw: string }[] {
    return this.#daemon.log
      .split("\n")
      .filter((line) => /^\d+ \S+$/.test(line))
      .map((line) => ({ atMs: Number(line.split(" ")[0]), saw: line.split(" ")[1] }))
      .sort((a, b) => a.atMs - b.atMs);
  }

  /** When the first of those that began after a moment was seen with this address. */
  async movedTo(source: string, afterMs: number): Promise<number> {
    const first = (): number | undefined =>
      this.all.find(({ atMs, saw }) => atMs >= afterMs && saw === source)?.atMs;
    await eventually(`new flows come from ${source}`, true, async () => first() !== undefined);
    return first()!;
  }

  stop(): Promise<void> {
    return this.#daemon.stop();
  }
}

const birdConfig = `
log stderr all;
router id ${address.lteGateway};
protocol device {}
protocol bgp cairn {
  local ${address.lteGateway} as 65002;
  neighbor ${address.lte} as 65001;
  connect retry time 1;
  error wait time 1, 2;
  ipv4 { import all; export none; };
}
`;

export async function withNetwork(folder: string, body: (network: Network) => Promise<void>): Promise<void> {
  const lab = new Lab(folder);
  try {
    await body(await Network.open(lab));
  } finally {
    await lab.close();
  }
}
