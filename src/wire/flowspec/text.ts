/**
 * Flow specifications as people write them, both ways and one to one:
 *
 *   dst 192.0.2.0/24 proto udp dst-port 123,>=1024 pkt-len 64-128&!=100 tcp-flags syn&!ack fragment is-fragment -> drop
 *
 * Commas separate alternatives, `&` binds closer. docs/flowspec.md has the grammar.
 */
import { formatIp, maskBytes, parseIp, parsePrefix } from "../../base/ip.ts";
import { nearestName, type Problem, type Result } from "../../base/problem.ts";
import { hex } from "../message.ts";
import { formatActions, parseActions } from "./action-text.ts";
import type { FlowAction } from "./actions.ts";
import {
  type FlowComponent,
  type FlowFamily,
  FlowType,
  flowBytesMax,
  isBitmask,
  lastType,
  readFlow,
  writeFlow,
} from "./nlri.ts";
import { formatTerms, parseTerms } from "./term-text.ts";
import { typeByWord, wordByType } from "./words.ts";

export interface ParsedFlow {
  /** Bytes of an address: 4 for IPv4, 16 for IPv6. */
  readonly addressBytes: 4 | 16;
  /** Canonical. */
  readonly flow: Uint8Array;
  /** Undefined when the text ends before the arrow; none for `accept`. */
  readonly actions: readonly FlowAction[] | undefined;
}

/**
 * The match of a canonical rule, without actions. One of IPv6 in which no address says so begins with `ipv6`.
 */
export function formatFlow(flow: Uint8Array, family: FlowFamily): string {
  const components = readFlow(flow, family);
  const isTold = components.some(({ type }) => type <= FlowType.source);
  const words = components.map((component) => {
    const word = wordByType.get(component.type);
    if (component.kind === "unknown")
      return `other 0x${hex(Uint8Array.of(component.type, ...component.bytes))}`;
    return `${word} ${component.kind === "prefix" ? prefixText(component) : formatTerms(component.type, component.terms)}`;
  });
  return `${family.addressBytes === 16 && !isTold ? "ipv6 " : ""}${words.join(" ")}`;
}

/** Match and actions. */
export function formatRule(flow: Uint8Array, family: FlowFamily, actions: readonly FlowAction[]): string {
  return `${formatFlow(flow, family)} -> ${formatActions(actions)}`;
}

/**
 * Parses what `formatFlow` and `formatRule` write.
 * @param path of the field that holds the text, for problems
 */
export function parseFlow(text: string, path = ""): Result<ParsedFlow> {
  const words = text
    .replace(/\s*([,&])\s*/g, "$1")
    .split(/\s+/)
    .filter((word) => word !== "");
  const arrow = words.indexOf("->");
  const problems: Problem[] = [];
  const match = parseMatch(arrow < 0 ? words : words.slice(0, arrow), path, problems);
  const actions = arrow < 0 ? undefined : parseActions(words.slice(arrow + 1), path, problems);
  if (problems.length > 0 || !match) return { ok: false, problems };
  return { ok: true, value: { ...match, actions } };
}

function parseMatch(
  words: readonly string[],
  path: string,
  problems: Problem[],
): { addressBytes: 4 | 16; flow: Uint8Array } | undefined {
  const said = words[0] === "ipv4" ? 4 : words[0] === "ipv6" ? 16 : undefined;
  const parts = said === undefined ? words : words.slice(1);
  const addressBytes = said ?? familyOf(parts);
  const family: FlowFamily = { addressBytes };
  const report = (message: string, value: string, fix?: string): void => {
    problems.push({ code: "INVALID", path, message, value, ...(fix ? { fix } : {}) });
  };
  if (parts.length === 0) {
    const message = "a flow specification needs a component";
    problems.push({ code: "REQUIRED", path, message, fix: "write dst 192.0.2.0/24 proto udp" });
  }
  const components = new Map<number, FlowComponent>();
  for (let i = 0; i < parts.length; i += 2) {
    const [word, value] = [parts[i], parts[i + 1]];
    const isOther = word === "other";
    const type = isOther ? otherType(value) : typeByWord.get(word);
    const isMissing = value === undefined || typeByWord.has(value);
    if (type !== undefined && isMissing) {
      report(`${word} has no value`, word, `write ${word} and its value`);
      i--; // what stands there is a component of its own
    } else if (type === undefined) {
      if (isOther) report("other needs the bytes of its component", value ?? "", "write other 0x0e8105");
      else {
        const near = nearestName(word, typeByWord.keys());
        report(`there is no component "${word}"`, word, near ? `did you mean ${near}` : undefined);
      }
    } else if (components.has(type)) {
      report(`${word} occurs twice`, word, "put alternatives into one, with commas between them");
    } else if (isOther !== type > lastType(family)) {
      const known = wordByType.get(type);
      if (!isOther) report(`${word} is only in IPv6`, word, "begin with ipv6");
      else report(`${type} is no type of another component`, value, known && `write ${known}`);
    } else {
      const component = isOther
        ? { kind: "unknown" as const, type, bytes: bytesOf(value.slice(4)) }
        : componentOf(type, word, value, family, report);
      if (component) components.set(type, component);
    }
  }
  if (problems.length > 0) return undefined;
  const list = [...components.values()];
  if (list.filter(({ kind }) => kind === "unknown").length > 1) {
    report(
      "where another component ends is not known, so there can only be one",
      "other",
      "put all into one",
    );
    return undefined;
  }
  const flow = writeFlow(list, family);
  if (flow) return { addressBytes, flow };
  report(`a flow specification is longer than ${flowBytesMax} bytes`, "", "make several of it");
  return undefined;
}

type Report = (message: string, value: string, fix?: string) => void;

/** By the first address; without any, flow labels are of IPv6. */
function familyOf(parts: readonly string[]): 4 | 16 {
  for (let i = 0; i + 1 < parts.length; i += 2) {
    const type = typeByWord.get(parts[i]);
    if (type !== undefined && type <= FlowType.source) return parts[i + 1].includes(":") ? 16 : 4;
  }
  return parts.some((word, i) => i % 2 === 0 && typeByWord.get(word) === FlowType.flowLabel) ? 16 : 4;
}

function componentOf(
  type: number,
  word: string,
  value: string,
  family: FlowFamily,
  report: Report,
): FlowComponent | undefined {
  if (type > FlowType.source) {
    const terms = parseTerms(type, word, value, family, report);
    return terms && { kind: isBitmask(type) ? "bitmask" : "numeric", type, terms };
  }
  const prefix = parsePattern(value, family);
  if (typeof prefix !== "string") return { kind: "prefix", type, ...prefix };
  report(
    `${word}: ${prefix}`,
    value,
    `write ${word} ${family.addressBytes === 4 ? "192.0.2.0/24" : "2001:db8::/32"}`,
  );
  return undefined;
}

/** RFC 8956 3.8 writes an offset as `::1234:0:0/64-104`; `::1234:0:0/104/64` is read as well, and a bare address. */
function parsePattern(
  text: string,
  { addressBytes }: FlowFamily,
): { bytes: Uint8Array; length: number; offset: number } | string {
  const [address, ...rest] = text.split("/");
  const bytes = parseIp(address);
  if (!bytes) return `"${address}" is not an IP address`;
  if (bytes.length !== addressBytes) {
    return `${text} is not ${addressBytes === 4 ? "IPv4" : "IPv6"}, as the rest`;
  }
  const dashed = /^(\d{1,3})-(\d{1,3})$/.exec(rest[0] ?? "");
  const slashed = rest.length === 2 && rest.every((part) => /^\d{1,3}$/.test(part));
  if (!dashed && !slashed) {
    const prefix = parsePrefix(rest.length === 0 ? `${text}/${addressBytes * 8}` : text);
    return typeof prefix === "string" ? prefix : { ...prefix, offset: 0 };
  }
  const [offset, length] = (dashed && rest.length === 1 ? dashed.slice(1) : [rest[1], rest[0]]).map(Number);
  if (addressBytes === 4 && offset !== 0) return "only prefixes of IPv6 have an offset";
  if (!(length <= addressBytes * 8 && (offset < length || offset === 0))) {
    return `"${text}" does not end between its offset and ${addressBytes * 8}`;
  }
  const masked = bytes.slice();
  maskBytes(masked, length);
  clearBits(masked, offset);
  if (masked.some((byte, i) => byte !== bytes[i])) {
    return `"${text}" has bits set outside of the prefix; did you mean ${prefixText({ bytes: masked, length, offset })}`;
  }
  return { bytes, length, offset };
}

function prefixText({
  bytes,
  length,
  offset,
}: {
  bytes: Uint8Array;
  length: number;
  offset: number;
}): string {
  return `${formatIp(bytes)}/${offset === 0 ? "" : `${offset}-`}${length}`;
}

/** Clears the first `count` bits. */
function clearBits(bytes: Uint8Array, count: number): void {
  for (let i = 0; i < count; i++) bytes[i >> 3] &= ~(0x80 >> (i & 7));
}

/** `0x`, the type and the value of a component and all behind it. */
function otherType(value: string | undefined): number | undefined {
  return /^0x([0-9a-f]{2})+$/i.test(value ?? "") ? Number.parseInt(value!.slice(2, 4), 16) : undefined;
}

function bytesOf(digits: string): Uint8Array {
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16),
  );
}
