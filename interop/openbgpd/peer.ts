/** OpenBGPD: configuration file and bgpctl. */
import { mkdirSync } from "node:fs";
import type { Daemon } from "../lib/lab.ts";
import { Peer, type PeerKind, type PeerSession, type PeerSetup } from "../lib/peer.ts";
import { type Family, type Route, route } from "../lib/routes.ts";

class OpenBgpd extends Peer {
  // A network statement can prepend its own AS and neighbors' only.
  protected readonly can = { path: false, set: false, aggregate: false, atomic: false };
  readonly daemon: Daemon;
  readonly #socket: string;

  constructor(setup: PeerSetup) {
    super(setup);
    this.#socket = `${setup.lab.folder}/${setup.name}/bgpd.ctl`;
    mkdirSync("/run/openbgpd", { recursive: true, mode: 0o755 }); // chroot of its unprivileged processes
    this.daemon = setup.lab.daemon(setup.namespace, setup.name, [
      "/usr/sbin/bgpd",
      "-d",
      "-v",
      "-f",
      this.#configure(),
    ]);
  }

  #bgpctl(...args: readonly string[]): Promise<string> {
    return this.cli("bgpctl", "-s", this.#socket, ...args);
  }

  async #json<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.#bgpctl("-j", ...args)) as T;
  }

  protected async answers(): Promise<boolean> {
    return (await this.#bgpctl("show").catch(() => "")).includes("Neighbor");
  }

  protected async originationChanged(): Promise<void> {
    this.#configure();
    await this.#bgpctl("reload");
  }

  async #neighbor(family: Family): Promise<OpenBgpdNeighbor> {
    const address = this.session(family).cairn;
    return (await this.#json<{ neighbors: OpenBgpdNeighbor[] }>("show", "neighbor", address)).neighbors[0];
  }

  async established(family: Family): Promise<boolean> {
    return (await this.#neighbor(family)).state === "Established";
  }

  async received(family: Family): Promise<Route[]> {
    const address = this.session(family).cairn;
    const answer = await this.#json<{ rib?: OpenBgpdPath[] }>(
      "show",
      "rib",
      "in",
      "neighbor",
      address,
      "detail",
    );
    return (answer.rib ?? []).map(parse);
  }

  /** OpenBGPD shows its defaults where a route has no MED or local preference. */
  override shows(received: Route): Route {
    return { ...received, med: received.med ?? 0, localPref: received.localPref ?? 100 };
  }

  /** Its Adj-RIB-Out already holds what we would be sent again, so a request is counted and no UPDATE comes. */
  override async refreshRequests(family: Family): Promise<number> {
    return (await this.#neighbor(family)).stats["route-refresh"].received.request;
  }

  async refresh(family: Family): Promise<void> {
    await this.#bgpctl("neighbor", this.session(family).cairn, "refresh");
  }

  async disable(text: string): Promise<void> {
    for (const { cairn } of this.setup.sessions) await this.#bgpctl("neighbor", cairn, "down", text);
  }

  async enable(): Promise<void> {
    for (const { cairn } of this.setup.sessions) await this.#bgpctl("neighbor", cairn, "up");
  }

  /** Its idle hold time starts at 30 s, doubles, and cannot be configured. */
  override async hurry(family: Family): Promise<void> {
    await this.#bgpctl("neighbor", this.session(family).cairn, "up");
  }

  async sawShutdownText(family: Family, text: string): Promise<boolean> {
    return (await this.#neighbor(family)).last_shutdown_reason === text;
  }

  #configure(): string {
    const { asn, routerId, sessions } = this.setup;
    const lines = [
      `AS ${asn}`,
      `router-id ${routerId}`,
      "fib-update no",
      "connect-retry 1",
      `socket "${this.#socket}"`,
      "nexthop qualify via default",
      ...sessions.map(({ own }) => `listen on ${own}`),
      ...sessions.flatMap(({ family }) => this.originated(family).map(network)),
      ...sessions.map((session) => this.#session(session)),
      "allow from any",
      "allow to any",
      "",
    ];
    return this.file("bgpd.conf", lines.join("\n"));
  }

  #session({ family, own, cairn }: PeerSession): string {
    const { cairnAsn, passive } = this.setup;
    const announce = family === "ipv4-unicast" ? "IPv4 unicast" : "IPv6 unicast";
    return `neighbor ${cairn} {
  remote-as ${cairnAsn}
  local-address ${own}
  announce ${announce}
  ${passive ? "passive" : ""}
}`;
  }
}

interface OpenBgpdNeighbor {
  readonly state: string;
  readonly last_shutdown_reason?: string;
  readonly stats: { readonly "route-refresh": { readonly received: { readonly request: number } } };
}

interface OpenBgpdPath {
  readonly prefix: string;
  readonly aspath?: string;
  readonly exit_nexthop: string;
  readonly origin: string;
  readonly metric?: number;
  readonly localpref?: number;
  readonly communities?: readonly string[];
  readonly extended_communities?: readonly string[];
  readonly large_communities?: readonly string[];
  readonly attributes?: readonly {
    readonly type: string;
    readonly AS?: number;
    readonly router_id?: string;
  }[];
}

function network(each: Route): string {
  const set = [
    `origin ${each.origin}`,
    each.med === undefined ? "" : `med ${each.med}`,
    ...each.communities.map((each) => `community ${each}`),
    ...each.extendedCommunities.map((each) => `ext-community ${each.replace(":", " ")}`),
    ...each.largeCommunities.map((each) => `large-community ${each}`),
  ].filter(Boolean);
  return `network ${each.prefix} set { ${set.join(" ")} }`;
}

function parse(path: OpenBgpdPath): Route {
  const aggregator = path.attributes?.find((each) => each.type === "Aggregator");
  return route(path.prefix, path.exit_nexthop, {
    origin: path.origin.toLowerCase() as Route["origin"],
    asPath: path.aspath,
    med: path.metric,
    localPref: path.localpref,
    communities: path.communities,
    extendedCommunities: path.extended_communities?.map((each) => each.replace(" ", ":")),
    largeCommunities: path.large_communities,
    atomicAggregate: path.attributes?.some((each) => each.type === "Atomic Aggregate"),
    aggregator: aggregator && `${aggregator.AS} ${aggregator.router_id}`,
  });
}

export const openbgpd: PeerKind = {
  name: "openbgpd",
  programs: ["/usr/sbin/bgpd", "bgpctl"],
  version: ["/usr/sbin/bgpd", "-V"],
  create: (setup) => new OpenBgpd(setup),
};
