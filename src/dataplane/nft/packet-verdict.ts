/**
 * What rules do with the first packet of a TCP connection to this host, worked out from their text. It knows the words
 * that cairn writes; of others it assumes the worse: that such a rule drops the packet, or does not let it in.
 */
import { formatIp, parseIp, parsePrefix, prefixContains } from "../../base/ip.ts";
import type { Artifact } from "../artifact.ts";

export interface FirstPacket {
  /** Link by which it comes. */
  readonly link: string;
  readonly source: Uint8Array;
  /** An address of this host. */
  readonly destination: Uint8Array;
  readonly port: number;
}

/** What becomes of a packet, and by which group of rules; `passes` without a group when no rule is for it. */
export interface PacketVerdict {
  readonly fate: "passes" | "dropped" | "forwarded";
  /** `ORDER KIND/NAME`, empty for none. */
  readonly place: string;
}

/** @param artifacts all of class nft that are asked for */
export function verdictOn(packet: FirstPacket, artifacts: Iterable<Artifact>): PacketVerdict {
  const sets = new Map<string, readonly string[]>();
  const groups = new Map<string, Group[]>();
  for (const { key, facts } of artifacts) {
    if (key.startsWith("set ")) sets.set(key.slice(4), textsOf(facts.elements));
    const space = key.indexOf(" ");
    const chain = key.slice(0, space);
    if (chain !== "prerouting" && chain !== "input") continue;
    const group = { place: key.slice(space + 1), rules: textsOf(facts.rules) };
    const list = groups.get(chain);
    if (list) list.push(group);
    else groups.set(chain, [group]);
  }
  const elsewhere = firstFate(groups.get("prerouting") ?? [], sets, packet);
  if (elsewhere && elsewhere.fate !== "passes") return elsewhere;
  return firstFate(groups.get("input") ?? [], sets, packet) ?? { fate: "passes", place: "" };
}

/** What the first rule of a chain that decides says; undefined when none does. */
function firstFate(
  groups: Group[],
  sets: ReadonlyMap<string, readonly string[]>,
  packet: FirstPacket,
): PacketVerdict | undefined {
  groups.sort((a, b) => (a.place < b.place ? -1 : 1));
  for (const { place, rules } of groups) {
    for (const text of rules) {
      const fate = fateBy(new Words(text, sets), packet);
      if (fate !== "none") return { fate, place };
    }
  }
  return undefined;
}

interface Group {
  readonly place: string;
  readonly rules: readonly string[];
}

function textsOf(fact: unknown): readonly string[] {
  return Array.isArray(fact) ? fact.map(String) : [];
}

/** A rule as words; what is in quotes or braces is one. */
class Words {
  private readonly words: readonly string[];
  private readonly sets: ReadonlyMap<string, readonly string[]>;
  private at = 0;

  constructor(text: string, sets: ReadonlyMap<string, readonly string[]>) {
    this.words = text.match(/"[^"]*"|\{[^}]*\}|\S+/g) ?? [];
    this.sets = sets;
  }

  get isEnd(): boolean {
    return this.at >= this.words.length;
  }

  next(): string {
    return this.words[this.at++] ?? "";
  }

  skip(count: number): void {
    this.at += count;
  }

  /** The values that follow, each as one text, and whether the rule asks for none of them. */
  values(): { readonly list: readonly string[]; readonly negated: boolean } {
    let word = this.next();
    const negated = word === "!=";
    if (negated) word = this.next();
    if (word.startsWith("@")) return { list: this.sets.get(word.slice(1)) ?? [], negated };
    const list = word.replace(/^\{ ?| ?\}$/g, "").split(/, ?/);
    return { list: list.map((each) => each.replace(/^"|"$/g, "")), negated };
  }

  /** Whether one of the values that follow is right, or none where the rule asks for that. */
  test(isRight: (value: string) => boolean): boolean {
    const { list, negated } = this.values();
    return list.some(isRight) !== negated;
  }
}

type Fate = PacketVerdict["fate"] | "none";

/** What a rule does with the packet. */
function fateBy(words: Words, packet: FirstPacket): Fate {
  const family = packet.source.length === 4 ? "ip" : "ip6";
  /** Something is asked of the packet that cannot be known here. */
  let isUncertain = false;
  /** The rule is for some of the packets only, one after the other. */
  let isLimited = false;
  while (!words.isEnd) {
    const word = words.next();
    switch (word) {
      case "counter":
        break;
      case "log":
        words.skip(4);
        break;
      case "limit":
        isLimited = true;
        words.skip(2);
        break;
      case "burst":
        words.skip(2);
        break;
      case "iifname":
        if (!words.test((name) => name.replace(/\\\*$/, "*") === packet.link)) return "none";
        break;
      case "oifname":
      case "icmp":
      case "icmpv6":
      case "udp":
        // It leaves by no link, and is TCP.
        return "none";
      case "ip":
      case "ip6": {
        const address = words.next() === "saddr" ? packet.source : packet.destination;
        const isRight = words.test((text) => contains(text, address));
        if (word !== family || !isRight) return "none";
        break;
      }
      case "tcp": {
        const field = words.next();
        const isRight = words.test((text) => inPorts(text, packet.port));
        // Its source port is not known.
        if (field === "sport") isUncertain = true;
        else if (field !== "dport") isUncertain = true;
        else if (!isRight) return "none";
        break;
      }
      case "meta": {
        const field = words.next();
        if (field === "nfproto") {
          if (!words.test((text) => text === (family === "ip" ? "ipv4" : "ipv6"))) return "none";
        } else if (field === "l4proto") {
          if (!words.test((text) => text === "tcp" || text === "6")) return "none";
        } else isUncertain = true;
        break;
      }
      case "ct": {
        const field = words.next();
        if (field === "state") {
          if (!words.test((text) => text.split(",").includes("new"))) return "none";
        } else if (field === "status") {
          if (!words.test((text) => text !== "dnat" && text !== "snat")) return "none";
        } else isUncertain = true;
        break;
      }
      case "fib":
        // fib daddr . iif type local
        words.skip(5);
        break;
      case "accept":
        return isUncertain ? "none" : "passes";
      case "drop":
      case "reject":
        // Of a connection that loses some packets the others come through.
        return isLimited ? "none" : "dropped";
      case "dnat":
      case "redirect":
        return "forwarded";
      default:
        isUncertain = true;
    }
  }
  return "none";
}

function contains(text: string, address: Uint8Array): boolean {
  const prefix = text.includes("/") ? parsePrefix(text) : undefined;
  if (prefix === undefined) {
    const bytes = parseIp(text);
    return bytes !== undefined && formatIp(bytes) === formatIp(address);
  }
  return (
    typeof prefix !== "string" && prefix.bytes.length === address.length && prefixContains(prefix, address)
  );
}

function inPorts(text: string, port: number): boolean {
  const [first, last = first] = text.split("-").map(Number);
  return port >= first && port <= last;
}
