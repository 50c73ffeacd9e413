/** cairnd in a lab, driven and observed through cairnctl alone. */
import path from "node:path";
import { type Daemon, type Lab, type Namespace, pause } from "./lab.ts";
import { canonicalPath, type Family, families, injected, type Route, route } from "./routes.ts";

const bin = path.join(import.meta.dirname, "../../bin");

export interface CairnNeighbor {
  readonly address: string;
  readonly localAddress: string;
  readonly remoteAsn: number;
  readonly families: readonly Family[];
  readonly passive: boolean;
  readonly nextHopSelf?: boolean;
  readonly export?: string;
  /** Further lines. */
  readonly settings?: readonly string[];
}

/** The parts of proto3 JSON that checks look at. Numbers of 64 bits are text there. */
export interface NeighborState {
  readonly sessionState: string;
  readonly localPort: number;
  readonly remotePort: number;
  readonly families?: readonly {
    family: string;
    received?: string;
    accepted?: string;
    advertised?: string;
  }[];
  readonly resets?: readonly ResetReason[];
  readonly received?: Partial<Record<"updates" | "refreshes" | "notifications", string>>;
  readonly sent?: Partial<Record<"updates" | "refreshes" | "notifications", string>>;
  readonly negotiatedHoldTime?: string;
  readonly capabilities?: readonly {
    name: string;
    local?: boolean;
    remote?: boolean;
    negotiated?: boolean;
  }[];
}

export interface ResetReason {
  readonly local?: boolean;
  readonly text: string;
  readonly code?: number;
  readonly subcode?: number;
  readonly shutdownMessage?: string;
}

export class Cairn {
  readonly daemon: Daemon;
  readonly #lab: Lab;
  readonly #namespace: Namespace;
  readonly #socket: string;

  constructor(
    lab: Lab,
    namespace: Namespace,
    asn: number,
    routerId: string,
    neighbors: readonly CairnNeighbor[],
  ) {
    this.#lab = lab;
    this.#namespace = namespace;
    const state = path.join(lab.folder, "state");
    this.#socket = `unix://${state}/grpc.sock`;
    const config = lab.file("cairn.toml", configText(asn, routerId, neighbors));
    const command = [
      `${bin}/cairnd`,
      config,
      "--state-dir",
      state,
      "--dataplane",
      "none",
      "--log-level",
      "debug",
    ];
    this.daemon = lab.daemon(namespace, "cairnd", command);
  }

  /** Starts it and waits until it answers. */
  async start(): Promise<void> {
    await this.daemon.start();
    for (let tries = 0; ; tries++) {
      const { code, stderr } = await this.#lab.try(this.#namespace, this.#command(["health", "--json"]));
      if (code === 0) return;
      if (!this.daemon.running) throw new Error(`cairnd ended:\n${this.daemon.log.slice(-2000)}`);
      if (tries > 150) throw new Error(`cairnd does not answer: ${stderr}`);
      await pause(100);
    }
  }

  /** Runs cairnctl and answers with its JSON. */
  async ctl<T>(...args: readonly string[]): Promise<T> {
    const text = await this.#lab.in(this.#namespace, this.#command([...args, "--json"]));
    return (text.trim() === "" ? {} : JSON.parse(text)) as T;
  }

  #command(args: readonly string[]): string[] {
    return [`${bin}/cairnctl`, "-s", this.#socket, ...args];
  }

  /** Announces the common table of a family, or all. */
  async inject(which: readonly Family[] = families): Promise<void> {
    const lines = which.flatMap((family) => injected[family]).map((each) => JSON.stringify(each));
    const file = this.#lab.file("inject.ndjson", `${lines.join("\n")}\n`);
    await this.#lab.in(this.#namespace, this.#command(["rib", "load", file]));
  }

  async neighbor(address: string): Promise<NeighborState> {
    return (await this.ctl<{ neighbor: { state: NeighborState } }>("neighbor", address)).neighbor.state;
  }

  /** What a neighbor sent, before import policy. */
  async received(neighbor: string, family: Family): Promise<Route[]> {
    return normalized(await this.ctl("rib", "received", neighbor, "--family", family));
  }

  /** Best paths that were learned from a neighbor. */
  async best(neighbor: string, family: Family): Promise<Route[]> {
    return normalized(await this.ctl("rib", "--neighbor", neighbor, "--family", family));
  }

  async advertised(neighbor: string, family: Family): Promise<Route[]> {
    return normalized(await this.ctl("rib", "advertised", neighbor, "--family", family));
  }
}

function configText(asn: number, routerId: string, neighbors: readonly CairnNeighbor[]): string {
  const quoted = (value: string): string => JSON.stringify(value);
  const blocks = neighbors.map((neighbor) =>
    [
      "[[neighbors]]",
      `address = ${quoted(neighbor.address)}`,
      `local_address = ${quoted(neighbor.localAddress)}`,
      `remote_asn = ${neighbor.remoteAsn}`,
      `families = [${neighbor.families.map(quoted).join(", ")}]`,
      `passive = ${neighbor.passive}`,
      `next_hop_self = ${neighbor.nextHopSelf ?? false}`,
      'connect_retry_time = "1s"',
      'import = ["accept-all"]',
      `export = [${quoted(neighbor.export ?? "accept-all")}]`,
      ...(neighbor.settings ?? []),
    ].join("\n"),
  );
  const globals = `[global]\nasn = ${asn}\nrouter_id = ${quoted(routerId)}\nlisten = ["0.0.0.0:179", "[::]:179"]`;
  return `${[globals, ...blocks].join("\n\n")}\n`;
}

interface JsonRoute {
  readonly prefix: string;
  readonly nextHop: string;
  readonly origin?: string;
  readonly asPathText?: string;
  readonly med?: number;
  readonly localPref?: number;
  readonly communities?: string[];
  readonly extendedCommunities?: string[];
  readonly largeCommunities?: string[];
  readonly atomicAggregate?: boolean;
  readonly aggregator?: { asn: number; address: string };
}

function normalized(answer: { routes?: readonly JsonRoute[] }): Route[] {
  return (answer.routes ?? []).map((each) =>
    route(each.prefix, each.nextHop, {
      origin: each.origin?.replace("ORIGIN_", "").toLowerCase() as Route["origin"],
      asPath: canonicalPath(each.asPathText ?? ""),
      med: each.med,
      localPref: each.localPref,
      communities: each.communities,
      extendedCommunities: each.extendedCommunities,
      largeCommunities: each.largeCommunities,
      atomicAggregate: each.atomicAggregate,
      aggregator: each.aggregator && `${each.aggregator.asn} ${each.aggregator.address}`,
    }),
  );
}
