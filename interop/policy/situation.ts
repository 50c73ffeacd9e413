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
   * import: policy of the external sender's session, observed by the internal receiver. export: policy of the external
   * receiver's session, observed there.
   */
  readonly direction: "import" | "export";
  /** Who sends; only for export other than external. */
  readonly from: "external" | "internal";
  readonly feed: readonly FeedRoute[];
  /** In the daemon's language; undefined when it has none for it. */
  readonly spelling: Readonly<Record<DaemonName, unknown>>;
  /** Why there is no spelling. */
  readonly absent: Readonly<Partial<Record<DaemonName, string>>>;
  readonly differences: Readonly<Partial<Record<DaemonName, Difference>>>;
}

/** AS numbers and addresses of the laboratory. */
export const lab = {
  asn: 65001,
  externalSender: { asn: 65010, local: "192.0.2.2", remote: "192.0.2.1" },
  internalReceiver: { asn: 65001, local: "192.0.2.6", remote: "192.0.2.5" },
  externalReceiver: { asn: 65020, local: "192.0.2.10", remote: "192.0.2.9" },
  internalSender: { asn: 65001, local: "192.0.2.14", remote: "192.0.2.13" },
  nextHop6: "2001:db8:ffff::2",
} as const;

export const neighbors = [
  lab.externalSender,
  lab.internalReceiver,
  lab.externalReceiver,
  lab.internalSender,
] as const;

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
    nextHop: prefix.includes(":") ? lab.nextHop6 : lab[internal ? "internalSender" : "externalSender"].local,
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
          nextHop: lab.externalReceiver.remote,
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
