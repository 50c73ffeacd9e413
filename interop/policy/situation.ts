/**
 * A policy situation: what is fed, what must come out, and the same policy in four languages. One YAML file each in
 * situations/, named NUMBER-WORDS.yaml. Situation N has 10.N.0.0/16 and 2001:db8:N::/48 to itself, and what it defines
 * is called sN (see render-*.ts).
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";
import type { WireRoute } from "../lib/wire.ts";

export const daemons = ["cairn", "frr", "bird", "gobgp"] as const;
export type DaemonName = (typeof daemons)[number];

/** Attributes that differ from what the receiver would see without policy; null takes one away. */
export type Changes = { readonly [K in keyof Omit<WireRoute, "prefix">]?: WireRoute[K] | null };
export type Outcome = "reject" | Changes;

export interface FeedRoute {
  readonly prefix: string;
  readonly attributes: Partial<WireRoute>;
  readonly expect: Outcome;
}

export interface Difference {
  readonly why: string;
  /** Outcomes by prefix, in place of what is expected. */
  readonly got: Readonly<Record<string, Outcome>>;
}

export interface Situation {
  readonly number: number;
  /** File name without its ending. */
  readonly file: string;
  readonly title: string;
  /**
   * import: policy of the external sender's session, observed by the internal receiver. export: policy of an external
   * receiver's session, observed there.
   */
  readonly direction: "import" | "export";
  /** Who sends; only for export other than external. */
  readonly from: "external" | "internal";
  /** Who observes. */
  readonly to: ReceiverName;
  readonly feed: readonly FeedRoute[];
  /** In the daemon's language; undefined when it has none for it. */
  readonly spelling: Readonly<Record<DaemonName, unknown>>;
  /** Why there is no spelling. */
  readonly absent: Readonly<Partial<Record<DaemonName, string>>>;
  readonly differences: Readonly<Partial<Record<DaemonName, Difference>>>;
}

/** A session of the laboratory: the speaker's AS and address, and the daemon's address. */
export interface Session {
  readonly asn: number;
  readonly local: string;
  readonly remote: string;
  /** remove-private-as of the session; BIRD has no such setting. */
  readonly removePrivateAs?: { readonly cairn: string; readonly frr: string; readonly gobgp: string };
}

const external = (link: number, removePrivateAs?: Session["removePrivateAs"]): Session => ({
  asn: 65020,
  local: `192.0.2.${link * 4 + 2}`,
  remote: `192.0.2.${link * 4 + 1}`,
  removePrivateAs,
});

/** AS numbers and addresses of the laboratory. */
export const lab = {
  asn: 65001,
  nextHop6: "2001:db8:ffff::2",
  senders: {
    external: { ...external(0), asn: 65010 },
    internal: { ...external(3), asn: 65001 },
  },
  receivers: {
    internal: { ...external(1), asn: 65001 },
    external: external(2),
    "private-removed": external(4, { cairn: "all", frr: "remove-private-AS all", gobgp: "all" }),
    "private-replaced": external(5, {
      cairn: "replace",
      frr: "remove-private-AS all replace-AS",
      gobgp: "replace",
    }),
  },
} as const satisfies {
  asn: number;
  nextHop6: string;
  senders: Record<string, Session>;
  receivers: Record<string, Session>;
};
export type ReceiverName = keyof typeof lab.receivers;

/** All sessions by what the suite calls them. */
export const sessions: Readonly<Record<string, Session>> = Object.fromEntries([
  ...Object.entries(lab.senders).map(([name, session]) => [`${name}-sender`, session] as const),
  ...Object.entries(lab.receivers).map(([name, session]) => [`${name}-receiver`, session] as const),
]);

/** Neighbors whose export policy the situations are about. */
export const externalReceivers: readonly Session[] = Object.entries(lab.receivers)
  .filter(([name]) => name !== "internal")
  .map(([, session]) => session);

const folder = path.join(import.meta.dirname, "situations");

/** All situations, in order. @throws Error that names the file and what is wrong with it */
export function readSituations(): Situation[] {
  const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
  const situations = files.map((name) => readSituation(name));
  situations.sort((a, b) => a.number - b.number);
  situations.forEach(({ number, file }, i) => {
    if (number !== i + 1) throw new Error(`${file}: its number should be ${i + 1}`);
  });
  return situations;
}

interface Written {
  title: string;
  direction: "import" | "export";
  from?: "internal";
  to?: ReceiverName;
  feed: ({ prefix: string; expect: Outcome } & Partial<WireRoute>)[];
  cairn: unknown;
  frr: unknown;
  bird: unknown;
  gobgp: unknown;
  differences?: Partial<Record<DaemonName, Difference>>;
}

function readSituation(name: string): Situation {
  const file = name.slice(0, -".yaml".length);
  const number = Number.parseInt(file, 10);
  const written = parse(readFileSync(path.join(folder, name), "utf8")) as Written;
  const fail = (message: string): never => {
    throw new Error(`${name}: ${message}`);
  };
  const feed = written.feed.map(({ prefix, expect, ...attributes }) => {
    if (!prefix.startsWith(`10.${number}.`) && !prefix.startsWith(`2001:db8:${number}:`)) {
      fail(`${prefix} is not in its block`);
    }
    if (expect === undefined) fail(`${prefix} has no expect`);
    return { prefix, expect, attributes };
  });
  const absent: Partial<Record<DaemonName, string>> = {};
  const spelling = Object.fromEntries(
    daemons.map((daemon) => {
      const text = written[daemon];
      if (text === undefined) fail(`no spelling for ${daemon}`);
      const why = (text as { absent?: string }).absent;
      if (why !== undefined) absent[daemon] = why;
      return [daemon, why === undefined ? text : undefined];
    }),
  ) as Record<DaemonName, unknown>;
  const situation: Situation = {
    number,
    file,
    title: written.title,
    direction: written.direction,
    from: written.from ?? "external",
    to: written.to ?? (written.direction === "import" ? "internal" : "external"),
    feed,
    spelling,
    absent,
    differences: written.differences ?? {},
  };
  for (const [daemon, { got }] of Object.entries(situation.differences)) {
    for (const [prefix, outcome] of Object.entries(got)) {
      const route = feed.find((each) => each.prefix === prefix) ?? fail(`${prefix} is not fed`);
      const [expected, other] = [
        outcomeText(situation, route, route.expect),
        outcomeText(situation, route, outcome),
      ];
      if (expected === other) fail(`${daemon}: ${prefix}: the difference is none`);
    }
  }
  return situation;
}

function outcomeText(situation: Situation, route: FeedRoute, outcome: Outcome): string {
  return JSON.stringify(received(situation, route, outcome));
}

/** The route as its sender announces it. */
export function sent(situation: Situation, { prefix, attributes }: FeedRoute): WireRoute {
  const internal = situation.from === "internal";
  return {
    prefix,
    origin: "igp",
    asPath: internal ? "65100" : "65010 65100",
    nextHop: prefix.includes(":") ? lab.nextHop6 : lab.senders[situation.from].local,
    ...(internal ? { localPref: 100 } : {}),
    ...attributes,
  };
}

/** The route as its receiver must see it; undefined when it must not. Keys in one order, lists sorted. */
export function received(situation: Situation, route: FeedRoute, outcome: Outcome): WireRoute | undefined {
  if (outcome === "reject") return undefined;
  const start = sent(situation, route);
  const plain: WireRoute =
    situation.direction === "import"
      ? { ...start, localPref: 100 }
      : {
          ...start,
          asPath: `${lab.asn} ${start.asPath}`.trim(),
          nextHop: lab.receivers[situation.to].remote,
          med: undefined,
          localPref: undefined,
        };
  return normalized({ ...plain, ...(outcome as Partial<WireRoute>) });
}

/** What is compared. An empty list and an absent attribute are one. */
export function normalized(route: WireRoute): WireRoute {
  const list = (values: readonly string[] | null | undefined): { value?: readonly string[] } =>
    values?.length ? { value: [...values].sort() } : {};
  const { prefix, origin, asPath, nextHop } = route;
  return JSON.parse(
    JSON.stringify({
      prefix,
      origin,
      asPath,
      nextHop,
      med: route.med ?? undefined,
      localPref: route.localPref ?? undefined,
      communities: list(route.communities).value,
      extendedCommunities: list(route.extendedCommunities).value,
      largeCommunities: list(route.largeCommunities).value,
    }),
  ) as WireRoute;
}
