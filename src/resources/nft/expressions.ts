/**
 * The words of nftables that kinds are written in. They are put as nft prints them, so that what the kernel holds can be
 * compared with what is asked for.
 */
import { formatIp, type Prefix, parsePrefix, prefixContains } from "../../base/ip.ts";
import type { Artifact } from "../../dataplane/artifact.ts";
import { normalRule } from "../../dataplane/nft/ruleset.ts";
import type { DriftAction } from "../../gen/cairn/v1/resource_types_pb.ts";
import { artifact } from "../kind.ts";

export type Family = 4 | 6;

const setTypes = { 4: "ipv4_addr", 6: "ipv6_addr" } as const;
const keywords = { 4: "ip", 6: "ip6" } as const;

/** What an object asks of nftables: groups of rules, and the sets that they need. */
export class NftGroups {
  readonly artifacts: Artifact[] = [];
  private readonly owner: string;
  private readonly spec: { readonly drift: DriftAction };

  /** @param owner KIND/NAME */
  constructor(owner: string, spec: { readonly drift: DriftAction }) {
    this.owner = owner;
    this.spec = spec;
  }

  /**
   * Rules in a chain; none for no group.
   * @param order place in the chain before the owner's name, digits and dots of the same length for all groups of a step
   */
  rules(chain: string, order: string, rules: readonly string[]): void {
    if (rules.length === 0) return;
    const facts = { rules: rules.map(normalRule) };
    this.artifacts.push(artifact(this.treatment, "nft", `${chain} ${order} ${this.owner}`, facts));
  }

  /**
   * A set of networks of one family.
   * @returns how rules refer to it
   */
  set(name: string, family: Family, cidrs: readonly string[]): string {
    const facts = { type: setTypes[family], elements: elementsOf(cidrs, family) };
    this.artifacts.push(artifact(this.treatment, "nft", `set ${name}`, facts));
    return `@${name}`;
  }

  /**
   * Matches of an address that are alternatives of each other; `[""]` for any address.
   * @param suffix tells the own set from others of the object
   * @param sets names of AddressSet objects
   */
  addresses(
    side: "saddr" | "daddr",
    suffix: string,
    family: Family,
    cidrs: readonly string[],
    sets: readonly string[],
  ): string[] {
    const found = this.networks(suffix, family, cidrs, sets);
    if (cidrs.length === 0 && sets.length === 0) return [""];
    return found.map((networks) => `${keywords[family]} ${side} ${networks}`);
  }

  /** A match that none of these networks has. */
  notAddresses(
    side: "saddr" | "daddr",
    suffix: string,
    family: Family,
    cidrs: readonly string[],
    sets: readonly string[],
  ): string {
    return this.networks(suffix, family, cidrs, sets)
      .map((networks) => `${keywords[family]} ${side} != ${networks}`)
      .join(" ");
  }

  private networks(
    suffix: string,
    family: Family,
    cidrs: readonly string[],
    sets: readonly string[],
  ): string[] {
    const own = elementsOf(cidrs, family);
    const found = sets.map((name) => `@${setName(name, family)}`);
    if (own.length === 0) return found;
    const name = `${this.owner.replace("/", ".")}.${suffix}${family === 6 ? ".v6" : ""}`;
    return [own.length === 1 ? own[0] : this.set(name, family, cidrs), ...found];
  }

  private get treatment(): { readonly drift: DriftAction; readonly adopt: boolean } {
    // All in our table is ours, whether or not the ledger remembers.
    return { drift: this.spec.drift, adopt: true };
  }
}

/** Name in the kernel of an AddressSet's networks of a family. */
export function setName(name: string, family: Family): string {
  return `AddressSet.${name}.v${family}`;
}

/** Networks of a family as elements of a set: sorted, none inside another, hosts without a length. */
export function elementsOf(cidrs: readonly string[], family: Family): string[] {
  const prefixes = cidrs
    .map((text) => parsePrefix(text))
    .filter((prefix): prefix is Prefix => typeof prefix !== "string")
    .filter(({ bytes }) => bytes.length === (family === 4 ? 4 : 16))
    .sort((a, b) => compareBytes(a.bytes, b.bytes) || a.length - b.length);
  const outer: Prefix[] = [];
  for (const prefix of prefixes) {
    const last = outer.at(-1);
    if (!last || !prefixContains(last, prefix.bytes)) outer.push(prefix);
  }
  return outer
    .map(({ bytes, length }) => `${formatIp(bytes)}${length === bytes.length * 8 ? "" : `/${length}`}`)
    .sort();
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}

/** One of these links. */
export function links(direction: "iifname" | "oifname", names: readonly string[]): string {
  // A star at the end would stand for all names that begin so.
  const quoted = [...new Set(names)].sort().map((name) => `"${name.replace(/\*$/, "\\*")}"`);
  return quoted.length === 1 ? `${direction} ${quoted[0]}` : `${direction} { ${quoted.join(", ")} }`;
}

/** Parts of a rule, without those that are empty. */
export function rule(...parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join(" ");
}

/** Lets so many packets a second match. */
export function limitRate(perSecond: number): string {
  return `limit rate ${perSecond}/second`;
}

/** A priority as part of an order. */
export function orderOf(step: number, priority: number): string {
  return `${String(step).padStart(3, "0")}.${String(priority).padStart(5, "0")}`;
}

/** A port or a range of ports; undefined when the text is neither. */
export function parsePorts(text: string): { first: number; last: number } | undefined {
  const parts = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (!parts) return undefined;
  const first = Number(parts[1]);
  const last = parts[2] === undefined ? first : Number(parts[2]);
  return first >= 1 && last <= 65535 && first <= last ? { first, last } : undefined;
}

/** Ports as nft prints them. */
export function portsText({ first, last }: { first: number; last: number }): string {
  return first === last ? String(first) : `${first}-${last}`;
}
