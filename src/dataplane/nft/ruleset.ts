/**
 * cairn's table as nft prints it (`nft -a list table inet cairn`), and as artifacts. A group of rules is one artifact: it
 * stands in a chain at the place that its key says, and each of its rules bears the key as comment. Keys are
 * `CHAIN ORDER KIND/NAME` for groups and `set NAME` for sets.
 */
import type { Facts, Observed } from "../artifact.ts";

/** Everything of cairn's in nftables is in this table, and everything in this table is cairn's. */
export const ownTable = "inet cairn";

/** The chains that groups may stand in, by name: where the kernel calls them. What passes through them goes on. */
export const chainHooks: Readonly<Record<string, string>> = {
  flow_prerouting: "type filter hook prerouting priority -450; policy accept;",
  flow_forward: "type filter hook forward priority filter - 5; policy accept;",
  steer: "type filter hook prerouting priority mangle; policy accept;",
  prerouting: "type nat hook prerouting priority dstnat; policy accept;",
  postrouting: "type nat hook postrouting priority srcnat; policy accept;",
  input: "type filter hook input priority filter; policy accept;",
  forward: "type filter hook forward priority filter; policy accept;",
  clamp: "type filter hook forward priority mangle; policy accept;",
};

export interface ListedRule {
  readonly handle: number;
  /** Without comment, handle and figures of counters, in the form of `normalRule`. */
  readonly text: string;
  /** Empty for none. */
  readonly comment: string;
  readonly packets: number;
  readonly bytes: number;
}

export interface ListedChain {
  /** Type, hook, priority and policy. */
  readonly hook: string;
  readonly rules: readonly ListedRule[];
}

export interface ListedSet {
  readonly type: string;
  readonly elements: readonly string[];
}

export interface Ruleset {
  readonly chains: ReadonlyMap<string, ListedChain>;
  readonly sets: ReadonlyMap<string, ListedSet>;
}

export const emptyRuleset: Ruleset = { chains: new Map(), sets: new Map() };

/** A group as it stands in a chain. */
export interface ListedGroup {
  /** `ORDER KIND/NAME` */
  readonly place: string;
  /** Its rules, and before them those of another hand that stand in front of it; behind the last one, too. */
  readonly rules: readonly ListedRule[];
  /** It stands behind one that should come after it, or in two pieces. */
  readonly misplaced: boolean;
}

/** Reads what nft prints of the table. Lines that it does not know are passed over. */
export function readRuleset(text: string): Ruleset {
  const chains = new Map<string, { hook: string; rules: ListedRule[] }>();
  const sets = new Map<string, { type: string; elements: string[] }>();
  let chain: { hook: string; rules: ListedRule[] } | undefined;
  let set: { type: string; elements: string[] } | undefined;
  let inElements = false;
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    const opened = /^(chain|set) (\S+) \{/.exec(line);
    if (opened) {
      chain = opened[1] === "chain" ? { hook: "", rules: [] } : undefined;
      set = opened[1] === "set" ? { type: "", elements: [] } : undefined;
      if (chain) chains.set(opened[2], chain);
      if (set) sets.set(opened[2], set);
    } else if (set && (inElements || line.startsWith("elements = {"))) {
      inElements = !line.includes("}");
      const list = line.replace("elements = {", "").replace("}", "");
      for (const element of list.split(",")) if (element.trim() !== "") set.elements.push(element.trim());
    } else if (line === "}") {
      chain = undefined;
      set = undefined;
    } else if (set && line.startsWith("type ")) set.type = line.slice(5);
    else if (chain && /^type .* hook /.test(line)) chain.hook = line;
    else if (chain) {
      const rule = readRule(line);
      if (rule) chain.rules.push(rule);
    }
  }
  return { chains, sets };
}

function readRule(line: string): ListedRule | undefined {
  const parts = /^(.*?)(?: comment "([^"]*)")? # handle (\d+)$/.exec(line);
  if (!parts) return undefined;
  let packets = 0;
  let bytes = 0;
  const text = parts[1].replace(/\bcounter packets (\d+) bytes (\d+)/g, (_, p: string, b: string) => {
    packets += Number(p);
    bytes += Number(b);
    return "counter";
  });
  return { handle: Number(parts[3]), text: normalRule(text), comment: parts[2] ?? "", packets, bytes };
}

/** One text for equal rules: the order inside braces means nothing, and nft has its own. */
export function normalRule(text: string): string {
  return text.replace(/\{ ([^{}]*) \}/g, (_, list: string) => `{ ${list.split(", ").sort().join(", ")} }`);
}

/** Groups of a chain in their order. Rules that are of no group belong to the one behind them, or to the last. */
export function groupsOf({ rules }: ListedChain): ListedGroup[] {
  const groups: { place: string; rules: ListedRule[]; misplaced: boolean }[] = [];
  let strangers: ListedRule[] = [];
  let highest = "";
  for (const rule of rules) {
    if (!/^\d\S* \S+$/.test(rule.comment)) {
      strangers.push(rule);
      continue;
    }
    const last = groups.at(-1);
    if (last?.place === rule.comment) {
      last.rules.push(...strangers, rule);
    } else {
      groups.push({ place: rule.comment, rules: [...strangers, rule], misplaced: rule.comment <= highest });
      if (rule.comment > highest) highest = rule.comment;
    }
    strangers = [];
  }
  groups.at(-1)?.rules.push(...strangers);
  return groups;
}

/**
 * What the table holds as artifacts, by key.
 * @param asAsked the words in which a rule or a hook was asked for, where nft prints it in others
 */
export function artifactsOf(
  { chains, sets }: Ruleset,
  asAsked: (text: string) => string,
): Map<string, Observed> {
  const artifacts = new Map<string, Observed>();
  for (const [name, { type, elements }] of sets) {
    const facts: Facts = { type, elements: [...elements].sort() };
    artifacts.set(`set ${name}`, { facts, identity: "" });
  }
  for (const [name, chain] of chains) {
    // A chain that is called elsewhere, or not at all, has none of our groups.
    if (!isRightChain(name, chain, asAsked)) continue;
    for (const { place, rules, misplaced } of groupsOf(chain)) {
      const key = `${name} ${place}`;
      const texts = misplaced || artifacts.has(key) ? [] : rules.map(({ text }) => asAsked(text));
      const sum = (field: "packets" | "bytes"): number => rules.reduce((all, rule) => all + rule[field], 0);
      artifacts.set(key, {
        facts: { rules: texts, packets: sum("packets"), bytes: sum("bytes") },
        identity: "",
      });
    }
  }
  return artifacts;
}

export function isRightChain(
  name: string,
  { hook }: ListedChain,
  asAsked: (text: string) => string,
): boolean {
  return asAsked(hook) === chainHooks[name];
}
