/** What a suite needs of another daemon. Each adapter drives the daemon's own configuration and command line. */
import { type Daemon, type Lab, type Namespace, pause } from "./lab.ts";
import { canonicalPath, type Family, familyOf, type Route, route } from "./routes.ts";

export interface PeerSession {
  readonly family: Family;
  /** The daemon's address and cairn's. */
  readonly own: string;
  readonly cairn: string;
}

export interface PeerSetup {
  readonly lab: Lab;
  readonly namespace: Namespace;
  /** Distinguishes files and logs when a lab has several. */
  readonly name: string;
  readonly asn: number;
  readonly cairnAsn: number;
  readonly routerId: string;
  /** Number of the link to cairn; gives addresses and prefixes. */
  readonly link: number;
  readonly sessions: readonly PeerSession[];
  /** Never connects, only accepts. */
  readonly passive: boolean;
}

/** What a daemon can originate from its configuration. */
export interface Origination {
  /** Any AS path, not only its own AS. */
  readonly path: boolean;
  /** AS_SET. */
  readonly set: boolean;
  /** AGGREGATOR, and ATOMIC_AGGREGATE with it. */
  readonly aggregate: boolean;
  readonly atomic: boolean;
  /** Another AGGREGATOR than the usual one. */
  readonly aggregator?: string;
  /** MED stands on every route, 0 where none is set. */
  readonly alwaysMed?: boolean;
}

export abstract class Peer {
  readonly setup: PeerSetup;
  protected abstract readonly can: Origination;
  abstract readonly daemon: Daemon;
  /** Lines of cairn's neighbor that this daemon needs. */
  readonly cairnSettings: readonly string[] = [];
  /** Prefixes that it does not announce at the moment. */
  protected readonly withdrawn = new Set<string>();

  constructor(setup: PeerSetup) {
    this.setup = setup;
  }

  get external(): boolean {
    return this.setup.asn !== this.setup.cairnAsn;
  }

  session(family: Family): PeerSession {
    return this.setup.sessions.find((each) => each.family === family)!;
  }

  async start(): Promise<void> {
    await this.daemon.start();
    for (let tries = 0; !(await this.answers()); tries++) {
      if (!this.daemon.running) throw new Error(`it ended:\n${this.daemon.log.slice(-2000)}`);
      if (tries > 100) throw new Error("its command line does not answer");
      await pause(100);
    }
  }

  /** What it originates, with its own fields; the same in every scenario. */
  originated(family: Family): Route[] {
    const [plain, rich, aggregate] = originatedPrefixes(family, this.setup.link);
    const own = this.session(family).own;
    const path = this.can.path ? "65020 4200000020" : "";
    const set = this.can.set ? " {65030 65031}" : "";
    const routes = [
      route(plain, own),
      route(rich, own, {
        origin: "egp",
        asPath: path,
        med: 77,
        communities: ["65002:5", "65020:65535"],
        extendedCommunities: ["rt:65002:9"],
        largeCommunities: ["65002:1:4294967295"],
      }),
    ];
    if (this.can.aggregate) {
      const fields = {
        atomicAggregate: this.can.atomic,
        aggregator: this.can.aggregator ?? "4200000077 192.0.2.77",
      } as const;
      routes.push(route(aggregate, own, { ...fields, origin: "incomplete", asPath: path + set }));
    }
    return routes.filter((each) => !this.withdrawn.has(each.prefix));
  }

  /** The same, as cairn must show it in its Adj-RIB-In. */
  announced(family: Family): Route[] {
    return this.originated(family).map((each) => ({
      ...each,
      asPath: canonicalPath(this.external ? `${this.setup.asn} ${each.asPath}` : each.asPath),
      localPref: this.external ? undefined : 100,
      med: each.med ?? (this.can.alwaysMed ? 0 : undefined),
    }));
  }

  async withdraw(prefix: string): Promise<void> {
    this.withdrawn.add(prefix);
    await this.originationChanged(familyOf(prefix));
  }

  async announceAgain(prefix: string): Promise<void> {
    this.withdrawn.delete(prefix);
    await this.originationChanged(familyOf(prefix));
  }

  /** Runs one of the daemon's own commands. */
  protected cli(...command: readonly string[]): Promise<string> {
    return this.setup.lab.in(this.setup.namespace, command);
  }

  protected file(name: string, text: string): string {
    return this.setup.lab.file(`${this.setup.name}/${name}`, text);
  }

  /** Withdrawn prefixes of a family. */
  protected gone(family: Family): string[] {
    return [...this.withdrawn].filter((prefix) => familyOf(prefix) === family);
  }

  /** True when the command line can be used. */
  protected abstract answers(): Promise<boolean>;
  protected abstract originationChanged(family: Family): Promise<void>;
  abstract established(family: Family): Promise<boolean>;
  /** Routes from cairn, as the daemon's own command line shows them. */
  abstract received(family: Family): Promise<Route[]>;
  /** What its command line makes of a route that it received; as it is, unless a daemon fills in defaults. */
  shows(received: Route): Route {
    return received;
  }

  /** ROUTE-REFRESH requests that it counted, for a daemon that answers them with what changed only: nothing. */
  refreshRequests(_family: Family): Promise<number> | undefined {
    return undefined;
  }

  /** Sends ROUTE-REFRESH to cairn. */
  abstract refresh(family: Family): Promise<void>;
  /** Administrative shutdown of both sessions, with a text, and back. */
  abstract disable(text: string): Promise<void>;
  abstract enable(): Promise<void>;
  /** Ends whatever keeps it from connecting again at once. */
  async hurry(_family: Family): Promise<void> {}
  /** The daemon's own words about the last Cease from cairn: true when the text stands there. */
  abstract sawShutdownText(family: Family, text: string): Promise<boolean>;
}

export interface PeerKind {
  readonly name: string;
  /** Programs that must exist. */
  readonly programs: readonly string[];
  readonly version: readonly string[];
  /** The text that its shutdown always carries, when it takes no other. */
  readonly shutdownText?: string;
  /** Why it cannot be told to send ROUTE-REFRESH. */
  readonly cannotRefresh?: string;
  create(setup: PeerSetup): Peer;
}

/** Three prefixes a family, different on every link. */
export function originatedPrefixes(family: Family, link: number): readonly [string, string, string] {
  const net = 16 + link * 4;
  if (family === "ipv4-unicast")
    return [`172.${net}.0.0/16`, `172.${net + 1}.128.0/17`, `172.${net + 2}.0.0/15`];
  return [`2001:db8:${link}a::/48`, `2001:db8:${link}b:8000::/49`, `2001:db8:${link}c::/46`].map((text) =>
    text.replace(":0", ":"),
  ) as [string, string, string];
}
