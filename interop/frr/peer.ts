/** FRR's bgpd on its own, without zebra: configuration file and vtysh. */
import { chmodSync } from "node:fs";
import type { Daemon } from "../lib/lab.ts";
import { Peer, type PeerKind, type PeerSession, type PeerSetup } from "../lib/peer.ts";
import { type Family, families, type Route, route } from "../lib/routes.ts";

class Frr extends Peer {
  // Of "set aggregator as 4200000077", FRR 8.4 makes another number.
  protected readonly can = {
    path: true,
    set: false,
    aggregate: true,
    atomic: true,
    alwaysMed: true,
    aggregator: "65020 192.0.2.77",
  };
  readonly daemon: Daemon;
  readonly #folder: string;

  constructor(setup: PeerSetup) {
    super(setup);
    this.#folder = `${setup.lab.folder}/${setup.name}`;
    const config = this.file("bgpd.conf", this.#config());
    chmodSync(this.#folder, 0o755);
    const listen = setup.sessions.flatMap(({ own }) => ["-l", own]);
    const command = ["/usr/lib/frr/bgpd", "-Z", "-S", "-f", config, "-i", `${this.#folder}/bgpd.pid`].concat(
      ["--vty_socket", this.#folder, "-u", "root", "-g", "root", "-P", "0"],
      listen,
    );
    this.daemon = setup.lab.daemon(setup.namespace, setup.name, command);
  }

  #vtysh(...lines: readonly string[]): Promise<string> {
    const commands = lines.flatMap((line) => ["-c", line]);
    return this.cli("vtysh", "--vty_socket", this.#folder, "-d", "bgpd", ...commands);
  }

  async #json<T>(line: string): Promise<T> {
    return JSON.parse(await this.#vtysh(`${line} json`)) as T;
  }

  #configure(...lines: readonly string[]): Promise<string> {
    return this.#vtysh("configure terminal", `router bgp ${this.setup.asn}`, ...lines);
  }

  protected async answers(): Promise<boolean> {
    return (await this.#vtysh("show version").catch(() => "")).includes("FRRouting");
  }

  protected async originationChanged(family: Family): Promise<void> {
    const lines = this.gone(family).map((prefix) => `no network ${prefix}`);
    await this.#configure(`address-family ${words(family)}`, ...lines, ...this.#networks(family));
  }

  async #show(family: Family): Promise<FrrNeighbor> {
    const address = this.session(family).cairn;
    return (await this.#json<Record<string, FrrNeighbor>>(`show bgp neighbors ${address}`))[address];
  }

  async established(family: Family): Promise<boolean> {
    return (await this.#show(family)).bgpState === "Established";
  }

  async received(family: Family): Promise<Route[]> {
    const address = this.session(family).cairn;
    const list = await this.#json<{ routes?: Record<string, unknown> }>(
      `show bgp ${words(family)} neighbors ${address} routes`,
    );
    const routes: Route[] = [];
    for (const prefix of Object.keys(list.routes ?? {})) {
      const { paths } = await this.#json<{ paths: readonly FrrPath[] }>(
        `show bgp ${words(family)} ${prefix}`,
      );
      for (const path of paths.filter((each) => each.peer?.peerId === address))
        routes.push(parse(prefix, path));
    }
    return routes;
  }

  async refresh(family: Family): Promise<void> {
    await this.#vtysh(`clear bgp ${words(family)} ${this.session(family).cairn} in`);
  }

  async disable(text: string): Promise<void> {
    await this.#configure(
      ...this.setup.sessions.map(({ cairn }) => `neighbor ${cairn} shutdown message ${text}`),
    );
  }

  async enable(): Promise<void> {
    await this.#configure(...this.setup.sessions.map(({ cairn }) => `no neighbor ${cairn} shutdown`));
  }

  async sawShutdownText(family: Family, text: string): Promise<boolean> {
    return (await this.#show(family)).lastShutdownDescription === text;
  }

  #config(): string {
    const { asn, routerId, sessions } = this.setup;
    return [
      "frr defaults traditional",
      "log stdout",
      `bgp as-path access-list NOT-BACK deny ^${this.setup.cairnAsn}_`,
      "bgp as-path access-list NOT-BACK permit .*",
      `router bgp ${asn}`,
      ` bgp router-id ${routerId}`,
      " no bgp ebgp-requires-policy",
      " no bgp default ipv4-unicast",
      " no bgp network import-check",
      ...sessions.flatMap((session) => this.#neighbor(session)),
      ...families.flatMap((family) => [
        ` address-family ${words(family)}`,
        ...this.#networks(family).map((line) => `  ${line}`),
        `  neighbor ${this.session(family).cairn} activate`,
        // An update group is sent its own routes back otherwise; they would be refused as loops.
        `  neighbor ${this.session(family).cairn} filter-list NOT-BACK out`,
        " exit-address-family",
      ]),
      "exit",
      ...families.flatMap((family) => this.#routeMaps(family)),
      "",
    ].join("\n");
  }

  #neighbor({ cairn, own }: PeerSession): string[] {
    const { cairnAsn, passive } = this.setup;
    return [
      `neighbor ${cairn} remote-as ${cairnAsn}`,
      `neighbor ${cairn} update-source ${own}`,
      `neighbor ${cairn} timers connect 1`,
      `neighbor ${cairn} advertisement-interval 0`,
      ...(passive ? [`neighbor ${cairn} passive`] : []),
    ].map((line) => ` ${line}`);
  }

  #networks(family: Family): string[] {
    return this.originated(family).map((each) => `network ${each.prefix} route-map ${mapName(each)}`);
  }

  #routeMaps(family: Family): string[] {
    return this.originated(family).flatMap((each) => [
      `route-map ${mapName(each)} permit 10`,
      ` set origin ${each.origin}`,
      ...(each.asPath ? [` set as-path prepend ${each.asPath}`] : []),
      ...(each.med === undefined ? [] : [` set metric ${each.med}`]),
      ...(each.communities.length ? [` set community ${each.communities.join(" ")}`] : []),
      ...(each.largeCommunities.length ? [` set large-community ${each.largeCommunities.join(" ")}`] : []),
      ...each.extendedCommunities.map((each) => ` set extcommunity rt ${each.slice("rt:".length)}`),
      ...(each.atomicAggregate ? [" set atomic-aggregate"] : []),
      ...(each.aggregator ? [` set aggregator as ${each.aggregator}`] : []),
      "exit",
    ]);
  }
}

const words = (family: Family): string => family.replace("-", " ");
const mapName = (each: Route): string => `FOR-${each.prefix.replace(/[/:]/g, "-")}`;

interface FrrNeighbor {
  readonly bgpState: string;
  readonly lastShutdownDescription?: string;
}

interface FrrPath {
  readonly aspath: { readonly string: string };
  readonly origin: string;
  readonly metric?: number;
  readonly locPrf?: number;
  readonly community?: { readonly list: readonly string[] };
  readonly largeCommunity?: { readonly list: readonly string[] };
  readonly extendedCommunity?: { readonly string: string };
  readonly atomicAggregate?: boolean;
  readonly aggregatorAs?: number;
  readonly aggregatorId?: string;
  readonly nexthops: readonly { readonly ip: string; readonly scope?: string }[];
  readonly peer?: { readonly peerId: string };
}

function parse(prefix: string, path: FrrPath): Route {
  const nextHop = path.nexthops.find((each) => each.scope !== "link-local")!;
  return route(prefix, nextHop.ip, {
    origin: path.origin.toLowerCase() as Route["origin"],
    asPath: path.aspath.string === "Local" ? "" : path.aspath.string,
    med: path.metric,
    localPref: path.locPrf,
    communities: path.community?.list,
    extendedCommunities: path.extendedCommunity?.string.split(" ").map((each) => each.replace(/^RT:/, "rt:")),
    largeCommunities: path.largeCommunity?.list,
    atomicAggregate: path.atomicAggregate,
    aggregator: path.aggregatorAs === undefined ? undefined : `${path.aggregatorAs} ${path.aggregatorId}`,
  });
}

export const frr: PeerKind = {
  name: "frr",
  programs: ["/usr/lib/frr/bgpd", "vtysh"],
  version: ["/usr/lib/frr/bgpd", "--version"],
  create: (setup) => new Frr(setup),
};
