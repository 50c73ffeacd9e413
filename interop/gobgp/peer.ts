/** GoBGP: configuration file and gobgp. */
import type { Daemon } from "../lib/lab.ts";
import { Peer, type PeerKind, type PeerSession, type PeerSetup } from "../lib/peer.ts";
import { type Family, families, type Route, route } from "../lib/routes.ts";

class Gobgp extends Peer {
  protected readonly can = { path: true, set: true, aggregate: true, atomic: false };
  readonly daemon: Daemon;

  constructor(setup: PeerSetup) {
    super(setup);
    const config = this.file("gobgpd.toml", this.#config());
    const command = [
      "gobgpd",
      "-t",
      "toml",
      "-f",
      config,
      "--api-hosts",
      "127.0.0.1:50051",
      "--pprof-disable",
    ];
    this.daemon = setup.lab.daemon(setup.namespace, setup.name, [...command, "-l", "debug", "-p"]);
  }

  #gobgp(...args: readonly string[]): Promise<string> {
    return this.cli("gobgp", ...args);
  }

  /** Routes live in the daemon's memory only: they are put in after each start. */
  override async start(): Promise<void> {
    await super.start();
    for (const family of families) await this.originationChanged(family);
  }

  protected async answers(): Promise<boolean> {
    return (await this.#gobgp("global").catch(() => "")).includes(`AS:        ${this.setup.asn}`);
  }

  protected async originationChanged(family: Family): Promise<void> {
    const rib = ["global", "rib", "-a", short(family)];
    for (const prefix of this.gone(family)) await this.#gobgp(...rib, "del", prefix);
    for (const each of this.originated(family)) await this.#gobgp(...rib, "add", ...pathArguments(each));
  }

  async established(family: Family): Promise<boolean> {
    const neighbor = JSON.parse(await this.#gobgp("neighbor", this.session(family).cairn, "-j")) as {
      state: { session_state?: number };
    };
    return neighbor.state.session_state === 6;
  }

  async received(family: Family): Promise<Route[]> {
    const address = this.session(family).cairn;
    const text = await this.#gobgp("neighbor", address, "adj-in", "-a", short(family), "-j");
    if (!text.startsWith("[") && !text.startsWith("{")) return []; // "Network not in table"
    const paths = JSON.parse(text) as
      | Record<string, readonly GobgpPath[]>
      | readonly (readonly GobgpPath[])[];
    return Object.values(paths).flatMap((each) => each.map(parse));
  }

  async refresh(): Promise<void> {
    throw new Error(gobgp.cannotRefresh);
  }

  async disable(text: string): Promise<void> {
    for (const { cairn } of this.setup.sessions)
      await this.#gobgp("neighbor", cairn, "shutdown", "--reason", text);
  }

  async enable(): Promise<void> {
    for (const { cairn } of this.setup.sessions) await this.#gobgp("neighbor", cairn, "enable");
  }

  async sawShutdownText(family: Family, text: string): Promise<boolean> {
    const address = this.session(family).cairn;
    return this.daemon.log
      .split("\n")
      .some((line) => line.includes(address) && line.includes("Communicated-Reason") && line.includes(text));
  }

  #config(): string {
    const { asn, routerId, sessions } = this.setup;
    const addresses = sessions.map(({ own }) => JSON.stringify(own)).join(", ");
    const globals = `[global.config]
as = ${asn}
router-id = "${routerId}"
port = 179
local-address-list = [${addresses}]
`;
    return [globals, ...sessions.map((session) => this.#neighbor(session))].join("\n");
  }

  #neighbor({ family, own, cairn }: PeerSession): string {
    const { cairnAsn, passive } = this.setup;
    return `[[neighbors]]
[neighbors.config]
neighbor-address = "${cairn}"
peer-as = ${cairnAsn}
[neighbors.transport.config]
passive-mode = ${passive}
local-address = "${own}"
[neighbors.timers.config]
connect-retry = 1
idle-hold-time-after-reset = 1
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "${family}"
`;
  }
}

const short = (family: Family): string => family.slice(0, 4);

function pathArguments(each: Route): string[] {
  const named = (name: string, value: string | number | undefined): string[] =>
    value === undefined || value === "" ? [] : [name, String(value)];
  return [
    each.prefix,
    ...named("nexthop", each.nextHop),
    ...named("origin", each.origin),
    ...named(
      "aspath",
      each.asPath.replace(/\{([^}]*)\}/g, (_, members: string) => `{${members.replaceAll(" ", ",")}}`),
    ),
    ...named("med", each.med),
    ...named("community", each.communities.join(",")),
    ...named("large-community", each.largeCommunities.join(",")),
    ...each.extendedCommunities.flatMap((each) => ["rt", each.slice("rt:".length)]),
    ...(each.aggregator ? ["aggregator", each.aggregator.replace(" ", ":")] : []),
  ];
}

interface GobgpPath {
  readonly nlri: { readonly prefix: string };
  readonly attrs: readonly GobgpAttribute[];
}

interface GobgpAttribute {
  readonly type: number;
  readonly value?: unknown;
  readonly nexthop?: string;
  readonly metric?: number;
  readonly as_paths?: readonly { readonly segment_type: number; readonly asns: readonly number[] }[];
  readonly communities?: readonly number[];
  readonly as?: number;
  readonly address?: string;
}

function parse({ nlri, attrs }: GobgpPath): Route {
  const find = (type: number): GobgpAttribute | undefined => attrs.find((each) => each.type === type);
  const large = (find(32)?.value ?? []) as { ASN: number; LocalData1: number; LocalData2: number }[];
  const extended = (find(16)?.value ?? []) as { type: number; subtype: number; value: string }[];
  const segments = (find(2)?.as_paths ?? []).map(({ segment_type, asns }) =>
    segment_type === 1 ? `{${asns.join(" ")}}` : asns.join(" "),
  );
  const aggregator = find(7);
  return route(nlri.prefix, find(3)?.nexthop ?? find(14)?.nexthop ?? "", {
    origin: (["igp", "egp", "incomplete"] as const)[find(1)?.value as number],
    asPath: segments.join(" "),
    med: find(4)?.metric,
    localPref: find(5)?.value as number | undefined,
    communities: find(8)?.communities?.map((each) => `${each >>> 16}:${each & 0xffff}`),
    extendedCommunities: extended.map(({ subtype, value }) => `${subtype === 2 ? "rt" : subtype}:${value}`),
    largeCommunities: large.map((each) => `${each.ASN}:${each.LocalData1}:${each.LocalData2}`),
    atomicAggregate: find(6) !== undefined,
    aggregator: aggregator && `${aggregator.as} ${aggregator.address}`,
  });
}

export const gobgp: PeerKind = {
  name: "gobgp",
  programs: ["gobgpd", "gobgp"],
  version: ["gobgpd", "--version"],
  cannotRefresh: "GoBGP keeps its Adj-RIB-In and never sends ROUTE-REFRESH",
  create: (setup) => new Gobgp(setup),
};
