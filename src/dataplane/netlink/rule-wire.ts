/** Policy routing rules (linux/fib_rules.h): messages to values and back, and what they are as artifacts. */
import { formatPrefix, type Prefix, parseIp } from "../../base/ip.ts";
import type { Facts } from "../artifact.ts";
import { ownProtocol, protocolName } from "../kernel-model.ts";
import type { KernelFact } from "../kernel-port.ts";
import { AddressFamily, RouteMessage } from "./route-wire.ts";
import { eachAttribute, MessageFlag, type NetlinkWriter, read32, readText } from "./wire.ts";

/** FRA_* */
const RuleAttribute = {
  to: 1,
  from: 2,
  iif: 3,
  priority: 6,
  mark: 10,
  suppressPrefixLength: 14,
  table: 15,
  mask: 16,
  oif: 17,
  protocol: 21,
} as const;
/** What says nothing of which packets are meant: suppressing interface groups, unused, padding. */
const silentAttributes: ReadonlySet<number> = new Set([5, 7, 8, 9, 13, 18]);

/** FR_ACT_TO_TBL */
const actionTable = 1;
/** FIB_RULE_INVERT */
const flagInvert = 2;
/** A rule that suppresses no route says so with this. */
const suppressesNothing = 0xffff_ffff;

/** Which packets a rule is for. Empty and undefined: whatever they have there. */
export interface RuleSelector {
  readonly from?: Prefix | undefined;
  readonly to?: Prefix | undefined;
  readonly iif?: string;
  readonly oif?: string;
  readonly mark?: { readonly value: number; readonly mask: number } | undefined;
}

/** A rule that leads to a table. */
export interface KernelRule extends RuleSelector {
  readonly ipVersion: 4 | 6;
  readonly priority: number;
  readonly table: number;
  /** Routes of the table with a prefix of at most this length are passed over; -1: none are. */
  readonly suppress: number;
  /** Who put it there (RTPROT). */
  readonly protocol: number;
}

/** Key of a rule artifact: `ip4 PRIORITY SELECTOR`. */
export function ruleKey(ipVersion: 4 | 6, priority: number, selector: RuleSelector): string {
  const { from, to, iif = "", oif = "", mark } = selector;
  const words = [
    ...(from ? ["from", formatPrefix(from)] : []),
    ...(to ? ["to", formatPrefix(to)] : []),
    ...(iif === "" ? [] : ["iif", iif]),
    ...(oif === "" ? [] : ["oif", oif]),
    ...(mark ? ["fwmark", `${hex(mark.value)}/${hex(mark.mask)}`] : []),
  ];
  return `ip${ipVersion} ${priority} ${words.length === 0 ? "all" : words.join(" ")}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** What is asked of a rule beside its key. */
export function ruleFacts(table: number, suppress = -1): Facts {
  return { protocol: protocolName(ownProtocol), table, suppress };
}

/** The rules of one key as an artifact. Of several of ours none is right: there is to be one. */
export function ruleFact(key: string, rules: readonly KernelRule[]): KernelFact {
  const [{ table, suppress, protocol }] = rules;
  const facts = {
    protocol: protocolName(protocol),
    table: rules.length === 1 ? table : 0,
    suppress,
  };
  const identity = protocol === ownProtocol ? "cairn" : protocolName(protocol);
  return { class: "rule", key, observed: { facts, identity } };
}

/** Payload of RTM_NEWRULE; undefined for one that does something else than lead to a table, or selects otherwise. */
export function readRule(bytes: Uint8Array, at: number, end: number): KernelRule | undefined {
  if (at + 12 > end) return undefined;
  const ipVersion = bytes[at] === AddressFamily.ip4 ? 4 : bytes[at] === AddressFamily.ip6 ? 6 : undefined;
  if (ipVersion === undefined || bytes[at + 7] !== actionTable || bytes[at + 3] !== 0) return undefined;
  if ((read32(bytes, at + 8) & flagInvert) !== 0) return undefined;
  const size = ipVersion === 4 ? 4 : 16;
  const [toLength, fromLength] = [bytes[at + 1], bytes[at + 2]];
  let table = bytes[at + 4];
  let [priority, value, mask, protocol, suppress] = [0, 0, 0, 0, -1];
  let [iif, oif] = ["", ""];
  let from: Prefix | undefined;
  let to: Prefix | undefined;
  let isOther = false;
  const prefix = (start: number, stop: number, length: number): Prefix | undefined =>
    stop - start === size && length <= size * 8 ? { bytes: bytes.slice(start, stop), length } : undefined;
  eachAttribute(bytes, at + 12, end, (type, start, stop) => {
    const number = stop - start >= 4 ? read32(bytes, start) : 0;
    if (type === RuleAttribute.to) to = prefix(start, stop, toLength);
    else if (type === RuleAttribute.from) from = prefix(start, stop, fromLength);
    else if (type === RuleAttribute.iif) iif = readText(bytes, start, stop);
    else if (type === RuleAttribute.oif) oif = readText(bytes, start, stop);
    else if (type === RuleAttribute.priority) priority = number;
    else if (type === RuleAttribute.mark) value = number;
    else if (type === RuleAttribute.mask) mask = number;
    else if (type === RuleAttribute.table) table = number;
    else if (type === RuleAttribute.protocol && stop > start) protocol = bytes[start];
    else if (type === RuleAttribute.suppressPrefixLength)
      suppress = number === suppressesNothing ? -1 : number;
    else if (!silentAttributes.has(type)) isOther = true;
  });
  if (isOther) return undefined;
  const mark = value === 0 && mask === 0 ? undefined : { value, mask };
  return { ipVersion, priority, from, to, iif, oif, mark, table, suppress, protocol };
}

/** Asks for all rules of an IP version. */
export function askRules(out: NetlinkWriter, sequence: number, ipVersion: 4 | 6): void {
  out.begin(RouteMessage.getRule, MessageFlag.request | MessageFlag.dump, sequence);
  writeHeader(out, ipVersion, 0, 0, 0);
  out.end();
}

/** Makes a rule of ours, or takes away the one that is exactly so. */
export function writeRule(
  out: NetlinkWriter,
  sequence: number,
  verb: "create" | "delete",
  rule: KernelRule,
): void {
  const { from, to, iif = "", oif = "", mark } = rule;
  const { request, ack, create, exclusive } = MessageFlag;
  const isDelete = verb === "delete";
  out.begin(
    isDelete ? RouteMessage.delRule : RouteMessage.newRule,
    request | ack | (isDelete ? 0 : create | exclusive),
    sequence,
  );
  writeHeader(out, rule.ipVersion, to?.length ?? 0, from?.length ?? 0, actionTable);
  out.attribute32(RuleAttribute.priority, rule.priority);
  out.attribute32(RuleAttribute.table, rule.table);
  if (from) out.attribute(RuleAttribute.from, from.bytes);
  if (to) out.attribute(RuleAttribute.to, to.bytes);
  if (iif !== "") out.text(RuleAttribute.iif, iif);
  if (oif !== "") out.text(RuleAttribute.oif, oif);
  if (mark) {
    out.attribute32(RuleAttribute.mark, mark.value);
    out.attribute32(RuleAttribute.mask, mark.mask);
  }
  if (rule.suppress >= 0) out.attribute32(RuleAttribute.suppressPrefixLength, rule.suppress);
  out.attribute(RuleAttribute.protocol, new Uint8Array([rule.protocol]));
  out.end();
}

/** `struct fib_rule_hdr`: family, to length, from length, tos, table, 2 unused, action, flags 4. */
function writeHeader(
  out: NetlinkWriter,
  ipVersion: 4 | 6,
  toLength: number,
  fromLength: number,
  action: number,
): void {
  const family = ipVersion === 4 ? AddressFamily.ip4 : AddressFamily.ip6;
  for (const byte of [family, toLength, fromLength, 0, 0, 0, 0, action]) out.u8(byte);
  out.u32(0);
}

/** The rule of ours that an artifact asks for. @param key as `ruleKey` writes it */
export function ruleOf(key: string, facts: Facts): KernelRule {
  const [version, priority, ...words] = key.split(" ");
  const given = new Map<string, string>();
  for (let i = 0; i + 1 < words.length; i += 2) given.set(words[i], words[i + 1]);
  const prefix = (word: string): Prefix | undefined => {
    const [address, length] = (given.get(word) ?? "").split("/");
    return address === "" ? undefined : { bytes: parseIp(address)!, length: Number(length) };
  };
  const [value, mask] = (given.get("fwmark") ?? "").split("/").map(Number);
  return {
    ipVersion: version === "ip4" ? 4 : 6,
    priority: Number(priority),
    from: prefix("from"),
    to: prefix("to"),
    iif: given.get("iif") ?? "",
    oif: given.get("oif") ?? "",
    mark: mask === undefined ? undefined : { value, mask },
    table: Number(facts.table),
    suppress: Number(facts.suppress),
    protocol: ownProtocol,
  };
}
