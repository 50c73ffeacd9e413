/** BIRD 2: configuration file and birdc. */
import type { Daemon } from "../lib/lab.ts";
import { Peer, type PeerKind, type PeerSession, type PeerSetup } from "../lib/peer.ts";
import { type Family, families, type Route, route } from "../lib/routes.ts";

class Bird extends Peer {
  protected readonly can = { path: true, set: false, aggregate: false, atomic: false };
  readonly daemon: Daemon;
  readonly #socket: string;

  constructor(setup: PeerSetup) {
    super(setup);
    const config = this.#configure();
    this.#socket = `${setup.lab.folder}/${setup.name}/bird.ctl`;
    const command = ["bird", "-f", "-c", config, "-s", this.#socket, "-P", `${config}.pid`];
    this.daemon = setup.lab.daemon(setup.namespace, setup.name, command);
  }

  #birdc(...args: readonly string[]): Promise<string> {
    return this.cli("birdc", "-s", this.#socket, ...args);
  }

  protected async answers(): Promise<boolean> {
    return (await this.#birdc("show", "status").catch(() => "")).includes("Daemon is up and running");
  }

  protected async originationChanged(): Promise<void> {
    this.#configure();
    await this.#birdc("configure");
  }

  async established(family: Family): Promise<boolean> {
    const text = await this.#birdc("show", "protocols", "all", protocol(family));
    return /BGP state:\s+Established/.test(text);
  }

  async received(family: Family): Promise<Route[]> {
    const text = await this.#birdc("show", "route", "all", "protocol", protocol(family));
    return text
      .split(/^(?=[0-9a-f:][0-9a-f.:]*\/\d+ )/m)
      .slice(1)
      .map(parseRoute);
  }

  /** On eBGP, BIRD gives every route its default local preference. */
  override shows(received: Route): Route {
    return { ...received, localPref: received.localPref ?? 100 };
  }

  async refresh(family: Family): Promise<void> {
    await this.#birdc("reload", "in", protocol(family));
  }

  async disable(text: string): Promise<void> {
    for (const family of families) await this.#birdc("disable", protocol(family), `"${text}"`);
  }

  async enable(): Promise<void> {
    for (const family of families) await this.#birdc("enable", protocol(family));
  }

  async sawShutdownText(family: Family, text: string): Promise<boolean> {
    return this.daemon.log.includes(`${protocol(family)}: Received: Administrative shutdown: "${text}"`);
  }

  #configure(): string {
    const parts = [
      "log stderr all;",
      `router id ${this.setup.routerId};`,
      "protocol device { }",
      ...families.flatMap((family) => [this.#statics(family), this.#filter(family)]),
      ...this.setup.sessions.map((session) => this.#protocol(session)),
    ];
    return this.file("bird.conf", `${parts.join("\n")}\n`);
  }

  #protocol({ family, own, cairn }: PeerSession): string {
    const { asn, cairnAsn, passive } = this.setup;
    return `protocol bgp ${protocol(family)} {
  local ${own} as ${asn};
  neighbor ${cairn} as ${cairnAsn};
  direct;
  passive ${passive ? "on" : "off"};
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ${channel(family)} { import all; export filter ${originates(family)}; next hop self; };
}`;
  }

  /** Sets MED, which BIRD takes out of anything that goes to another AS before this filter. */
  #filter(family: Family): string {
    const meds = this.originated(family).map((each) =>
      each.med === undefined ? "" : `  if net = ${each.prefix} then bgp_med = ${each.med};`,
    );
    const lines = [
      `filter ${originates(family)} {`,
      "  if source != RTS_STATIC then reject;",
      ...meds.filter(Boolean),
    ];
    return [...lines, "  accept;", "}"].join("\n");
  }

  #statics(family: Family): string {
    const routes = this.originated(family).map((each) => {
      const path = each.asPath.split(" ").filter(Boolean).reverse();
      const pair = (text: string): string => `(${text.replaceAll(":", ",")})`;
      const statements = [
        each.origin === "igp" ? "" : `bgp_origin = ORIGIN_${each.origin.toUpperCase()};`,
        ...path.map((asn) => `bgp_path.prepend(${asn});`),
        ...each.communities.map((each) => `bgp_community.add(${pair(each)});`),
        ...each.extendedCommunities.map((each) => `bgp_ext_community.add(${pair(each)});`),
        ...each.largeCommunities.map((each) => `bgp_large_community.add(${pair(each)});`),
      ].filter(Boolean);
      return `  route ${each.prefix} unreachable { ${statements.join(" ")} };`;
    });
    return `protocol static {\n  ${channel(family)};\n${routes.join("\n")}\n}`;
  }
}

const protocol = (family: Family): string => `cairn_${channel(family)}`;
const originates = (family: Family): string => `originated_${channel(family)}`;
const channel = (family: Family): string => family.slice(0, 4);

function parseRoute(text: string): Route {
  const attribute = (name: string): string | undefined =>
    new RegExp(`^\\s+BGP\\.${name}:[ \\t]*(.*)$`, "m").exec(text)?.[1].trim();
  const number = (name: string): number | undefined => {
    const value = attribute(name);
    return value === undefined ? undefined : Number(value);
  };
  // "(rt, 65001, 7) (rt, 65010, 8)"
  const list = (name: string): string[] =>
    [...(attribute(name) ?? "").matchAll(/\(([^)]*)\)/g)].map(([, each]) => each.split(/,\s*/).join(":"));
  const aggregator = /^(\S+) AS(\d+)$/.exec(attribute("aggregator") ?? "");
  return route(text.slice(0, text.indexOf(" ")), attribute("next_hop")!.split(" ")[0], {
    origin: attribute("origin")!.toLowerCase() as Route["origin"],
    asPath: attribute("as_path"),
    med: number("med"),
    localPref: number("local_pref"),
    communities: list("community"),
    extendedCommunities: list("ext_community"),
    largeCommunities: list("large_community"),
    atomicAggregate: attribute("atomic_aggr") !== undefined,
    aggregator: aggregator ? `${aggregator[2]} ${aggregator[1]}` : undefined,
  });
}

export const bird: PeerKind = {
  name: "bird",
  programs: ["bird", "birdc"],
  version: ["bird", "--version"],
  create: (setup) => new Bird(setup),
};
