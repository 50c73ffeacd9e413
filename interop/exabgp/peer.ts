/**
 * ExaBGP: configuration file, and its API as the command line. A helper process that ExaBGP starts copies what is
 * received into a file, and commands from another file back; the table is what those messages add up to.
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Daemon } from "../lib/lab.ts";
import { Peer, type PeerKind, type PeerSession, type PeerSetup } from "../lib/peer.ts";
import { type Family, families, type Route, route } from "../lib/routes.ts";

export class ExaBgp extends Peer {
  /** With enhanced refresh agreed on, ExaBGP 4.2 closes the connection when it is asked for its routes. */
  override readonly cairnSettings = ["enhanced_refresh = false"];
  protected readonly can = { path: true, set: true, aggregate: true, atomic: true };
  readonly daemon: Daemon;
  readonly #commands: string;
  readonly #messages: string;
  readonly #fourOctets: boolean;

  /** @param fourOctets false: it does not offer the capability of RFC 6793 */
  constructor(setup: PeerSetup, fourOctets: boolean) {
    super(setup);
    this.#fourOctets = fourOctets;
    this.#commands = this.file("commands", "");
    this.#messages = `${this.#commands}.received`;
    const helper = this.file(
      "helper.sh",
      `tail -n +1 -f '${this.#commands}' &\ntrap "kill $!" EXIT\ncat >> '${this.#messages}'\n`,
    );
    const config = this.file("exabgp.conf", this.#config(helper));
    this.daemon = setup.lab.daemon(setup.namespace, setup.name, ["exabgp", config], {
      "exabgp.daemon.user": "root",
      "exabgp.daemon.drop": "false",
      "exabgp.log.destination": "stdout",
      "exabgp.log.level": "INFO",
      "exabgp.api.cli": "false",
      "exabgp.api.ack": "false",
      "exabgp.tcp.port": "179",
      "exabgp.tcp.bind": setup.passive ? setup.sessions.map(({ own }) => own).join(" ") : "",
    });
  }

  /** Routes live in the daemon's memory only: they are put in after each start. */
  override async start(): Promise<void> {
    writeFileSync(this.#commands, ""); // the helper reads from its beginning
    await super.start();
    for (const family of families) await this.originationChanged(family);
  }

  #command(line: string): void {
    appendFileSync(this.#commands, `${line}\n`);
  }

  protected async answers(): Promise<boolean> {
    return this.daemon.log.includes("loaded new configuration successfully");
  }

  protected async originationChanged(family: Family): Promise<void> {
    const { cairn } = this.session(family);
    for (const prefix of this.gone(family)) {
      this.#command(`neighbor ${cairn} withdraw route ${prefix} next-hop self`);
    }
    for (const each of this.originated(family)) {
      this.#command(`neighbor ${cairn} announce route ${this.#routeText(each)}`);
    }
  }

  async established(family: Family): Promise<boolean> {
    return this.#sessionMessages(family) !== undefined;
  }

  async received(family: Family): Promise<Route[]> {
    const routes = new Map<string, Route>();
    for (const { neighbor } of this.#sessionMessages(family) ?? []) {
      const update = neighbor.message?.update;
      if (!update) continue;
      for (const each of update.withdraw?.[words(family)] ?? []) routes.delete(each.nlri);
      for (const [nextHop, list] of Object.entries(update.announce?.[words(family)] ?? {})) {
        for (const { nlri } of list) routes.set(nlri, parse(nlri, nextHop, update.attribute ?? {}));
      }
    }
    return [...routes.values()];
  }

  /** Without the capability, ExaBGP 4.2 takes the first two octets of AS4_AGGREGATOR for the AS. */
  override shows(received: Route): Route {
    const [asn, address] = received.aggregator?.split(" ") ?? [];
    if (this.#fourOctets || Number(asn ?? 0) <= 65535) return received;
    return { ...received, aggregator: `${Number(asn) >>> 16} ${address}` };
  }

  /** Bodies of received messages in hexadecimal, as they came. */
  packets(family: Family): string[] {
    const { cairn } = this.session(family);
    return this.#allMessages().flatMap(({ neighbor }) =>
      neighbor.address?.peer === cairn && neighbor.message?.body ? [neighbor.message.body.toLowerCase()] : [],
    );
  }

  /** ExaBGP cannot ask for one family of one neighbor; it sends to all that match. */
  async refresh(family: Family): Promise<void> {
    this.#command(`neighbor ${this.session(family).cairn} announce route-refresh ${words(family)}`);
  }

  async disable(): Promise<void> {
    for (const { cairn } of this.setup.sessions) this.#command(`neighbor ${cairn} teardown 2`);
  }

  async enable(): Promise<void> {}

  /** ExaBGP 4.2 fails while it decodes the text (it joins bytes and text), so this looks at the packet it logged. */
  async sawShutdownText(family: Family, text: string): Promise<boolean> {
    const { cairn } = this.session(family);
    const cease = `0602${Buffer.from([Buffer.byteLength(text)]).toString("hex")}${Buffer.from(text).toString("hex")}`;
    return this.#allMessages().some(({ type, neighbor }) => {
      if (type !== "notification" || neighbor.address?.peer !== cairn) return false;
      return neighbor.message?.body?.toLowerCase().endsWith(cease) ?? false;
    });
  }

  #allMessages(): ExaMessage[] {
    if (!existsSync(this.#messages)) return [];
    return readFileSync(this.#messages, "utf8")
      .split("\n")
      .filter((line) => line.startsWith("{") && line.endsWith("}"))
      .map((line) => JSON.parse(line.replace(/\p{Cc}/gu, "")) as ExaMessage) // it does not escape peers' texts
      .filter(({ neighbor }) => neighbor !== undefined);
  }

  /** Messages of the session that is up; undefined when none is. */
  #sessionMessages(family: Family): readonly ExaMessage[] | undefined {
    const address = this.session(family).cairn;
    const all = this.#allMessages().filter(({ neighbor }) => neighbor.address?.peer === address);
    const last = all.findLastIndex((message) => message.neighbor.state !== undefined);
    return last >= 0 && all[last].neighbor.state === "up" ? all.slice(last + 1) : undefined;
  }

  #routeText(each: Route): string {
    const path = this.external ? `${this.setup.asn} ${each.asPath}` : each.asPath;
    const list = (name: string, values: readonly string[]): string =>
      values.length === 0 ? "" : `${name} [ ${values.join(" ")} ]`;
    return [
      `${each.prefix} next-hop ${each.nextHop} origin ${each.origin}`,
      `as-path [ ${path.replaceAll("{", "( ").replaceAll("}", " )")} ]`,
      each.med === undefined ? "" : `med ${each.med}`,
      this.external ? "" : "local-preference 100",
      list("community", each.communities),
      list(
        "extended-community",
        each.extendedCommunities.map((each) => each.replace(/^rt:/, "target:")),
      ),
      list("large-community", each.largeCommunities),
      each.atomicAggregate ? "atomic-aggregate" : "",
      each.aggregator ? `aggregator ( ${each.aggregator.replace(" ", ":")} )` : "",
    ]
      .filter(Boolean)
      .join(" ");
  }

  #config(helper: string): string {
    const processes = `process helper {
  run /bin/sh ${helper};
  encoder json;
}`;
    return `${[processes, ...this.setup.sessions.map((session) => this.#neighbor(session))].join("\n")}\n`;
  }

  #neighbor({ family, own, cairn }: PeerSession): string {
    const { asn, cairnAsn, routerId, passive } = this.setup;
    return `neighbor ${cairn} {
  router-id ${routerId};
  local-address ${own};
  local-as ${asn};
  peer-as ${cairnAsn};
  passive ${passive};
  hold-time 90;
  family { ${words(family)}; }
  capability { asn4 ${this.#fourOctets ? "enable" : "disable"}; route-refresh enable; }
  api { processes [ helper ]; neighbor-changes; receive { packets; parsed; update; notification; } }
}`;
  }
}

const words = (family: Family): string => family.replace("-", " ");

interface ExaMessage {
  readonly type: string;
  readonly neighbor: {
    readonly address?: { readonly peer: string };
    readonly state?: string;
    /** Decoded, or the packet. */
    readonly message?: { readonly update?: ExaUpdate; readonly body?: string };
  };
}

interface ExaUpdate {
  readonly attribute?: ExaAttributes;
  /** Family, next hop, prefixes. */
  readonly announce?: Record<string, Record<string, readonly { nlri: string }[]>>;
  readonly withdraw?: Record<string, readonly { nlri: string }[]>;
}

interface ExaAttributes {
  readonly origin?: Route["origin"];
  readonly "as-path"?: readonly (number | readonly number[])[];
  readonly "as-set"?: readonly number[];
  readonly med?: number;
  readonly "local-preference"?: number;
  readonly community?: readonly (readonly number[])[];
  readonly "large-community"?: readonly (readonly number[])[];
  readonly "extended-community"?: readonly { readonly string: string }[];
  readonly "atomic-aggregate"?: boolean;
  readonly aggregator?: string;
}

function parse(prefix: string, nextHop: string, attributes: ExaAttributes): Route {
  const set = attributes["as-set"];
  const path = (attributes["as-path"] ?? []).join(" ") + (set ? ` {${set.join(" ")}}` : "");
  return route(prefix, nextHop, {
    origin: attributes.origin,
    asPath: path,
    med: attributes.med,
    localPref: attributes["local-preference"],
    communities: attributes.community?.map((each) => each.join(":")),
    extendedCommunities: attributes["extended-community"]?.map((each) =>
      each.string.replace(/^target:/, "rt:"),
    ),
    largeCommunities: attributes["large-community"]?.map((each) => each.join(":")),
    atomicAggregate: attributes["atomic-aggregate"],
    aggregator: attributes.aggregator?.replace(":", " "),
  });
}

export const exabgp: PeerKind = {
  name: "exabgp",
  programs: ["exabgp"],
  version: ["exabgp", "--version"],
  shutdownText: "Administrative Shutdown",
  create: (setup) => new ExaBgp(setup, true),
};
