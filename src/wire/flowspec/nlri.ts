/**
 * NLRI of flow specifications (RFC 8955 section 4, RFC 8956 section 3): a length, and components in ascending order of
 * types.
 *
 * A rule is known everywhere by the bytes of its NLRI without the length, in canonical form: bits that RFC 8955 and 8956
 * say are to be ignored are zero, so that two rules are the same exactly when their bytes are.
 */
import { assert } from "../../base/assert.ts";
import type { Prefix } from "../../base/ip.ts";
import type { Family } from "../family.ts";
import type { MessageWriter } from "../message-writer.ts";
import { Verdict } from "../verdict.ts";

/** What the codec needs to know of a family: 4 bytes of address (RFC 8955) or 16 (RFC 8956). */
export type FlowFamily = Pick<Family, "addressBytes">;

/** Types of components (RFC 8955 4.2.2, RFC 8956 3). */
export const FlowType = {
  destination: 1,
  source: 2,
  /** In IPv6 the upper-layer protocol. */
  protocol: 3,
  /** Source or destination port. */
  port: 4,
  destinationPort: 5,
  sourcePort: 6,
  icmpType: 7,
  icmpCode: 8,
  tcpFlags: 9,
  packetLength: 10,
  dscp: 11,
  fragment: 12,
  /** IPv6 only. */
  flowLabel: 13,
} as const;

/** Bits of a numeric operator (RFC 8955 4.2.1.1): none is never true, all is always true. */
export const NumericOp = { less: 4, greater: 2, equal: 1 } as const;
/** Bits of a bitmask operator (RFC 8955 4.2.1.2): without `match`, one bit in common is enough. */
export const BitmaskOp = { not: 2, match: 1 } as const;

/** One operator with its value. Terms with `and` bind closer than the alternatives. */
export interface FlowTerm {
  /** Holds together with the term before it; never set in the first. */
  readonly and: boolean;
  /** `NumericOp` or `BitmaskOp`. */
  readonly op: number;
  readonly value: bigint;
  /** Bytes that the value takes on the wire. */
  readonly width: 1 | 2 | 4 | 8;
}

export type FlowComponent =
  | {
      readonly kind: "prefix";
      readonly type: number;
      /** All address bytes; bits before `offset` and after `length` are zero. */
      readonly bytes: Uint8Array;
      readonly length: number;
      /** Leading bits that are not looked at; 0 in IPv4. */
      readonly offset: number;
    }
  | { readonly kind: "numeric" | "bitmask"; readonly type: number; readonly terms: readonly FlowTerm[] }
  /** The rest of the rule, as where an unknown component ends is not known. `bytes` are without the type. */
  | { readonly kind: "unknown"; readonly type: number; readonly bytes: Uint8Array };

export type DecodedFlow =
  | {
      readonly ok: true;
      /** Canonical, a copy. */
      readonly flow: Uint8Array;
      /** Where the next NLRI begins. */
      readonly next: number;
    }
  | {
      readonly ok: false;
      /**
       * `treatAsWithdraw` when only this rule is malformed (RFC 8955 section 10, RFC 7606), `resetSession` when what
       * follows cannot be found.
       */
      readonly verdict: Verdict;
      /** One sentence without a full stop. */
      readonly text: string;
      readonly next: number;
    };

/** The longest rule that a length of 12 bits can say. */
export const flowBytesMax = 4095;
/** Lengths from here on take two bytes. */
const longLength = 0xf0;

const endOfList = 0x80;
const andBit = 0x40;

/**
 * Reads one NLRI of `bytes[at, end)`. RFC 8955 4.2 calls a rule with an unknown component malformed; it is read all the
 * same, see `unknownTypeOf`, because its length says where it ends and nothing else of the message is in doubt.
 */
export function decodeFlow(bytes: Uint8Array, at: number, end: number, family: FlowFamily): DecodedFlow {
  const lengthBytes = bytes[at] < longLength ? 1 : 2;
  const from = at + lengthBytes;
  const length = lengthBytes === 1 ? bytes[at] : ((bytes[at] & 15) << 8) | bytes[at + 1];
  const next = from + length;
  if (from > end || next > end) {
    return { ok: false, verdict: Verdict.resetSession, text: "a flow specification is cut off", next: end };
  }
  const flow = bytes.slice(from, next);
  const text = makeCanonical(flow, family);
  return text === "" ? { ok: true, flow, next } : { ok: false, verdict: Verdict.treatAsWithdraw, text, next };
}

/**
 * Checks the value of an NLRI, and clears bits that are to be ignored.
 * @returns what is wrong with it, as a sentence without a full stop; empty when it is valid
 */
export function makeCanonical(flow: Uint8Array, family: FlowFamily): string {
  if (flow.length === 0) return "a flow specification has no components";
  if (flow.length > flowBytesMax) return `a flow specification is longer than ${flowBytesMax} bytes`;
  let previous = 0;
  for (let at = 0; at < flow.length; ) {
    const type = flow[at];
    if (type === previous) return type === 0 ? "a component has type 0" : `component ${type} occurs twice`;
    if (type < previous) return `component ${type} stands behind component ${previous}`;
    if (type > lastType(family)) return "";
    previous = type;
    const next =
      type <= FlowType.source ? settlePrefix(flow, at, family) : settleTerms(flow, at, type, family);
    if (typeof next === "string") return next;
    at = next;
  }
  return "";
}

/** The type of the component that cairn does not know, from which on a canonical rule is carried as it came; 0 for none. */
export function unknownTypeOf(flow: Uint8Array, family: FlowFamily): number {
  const last = lastType(family);
  for (let at = 0; at < flow.length; at = componentEnd(flow, at, family))
    if (flow[at] > last) return flow[at];
  return 0;
}

/**
 * The destination that validation is about (RFC 8955 section 6); undefined when the rule names none, or one that does not
 * begin with the first bit (RFC 8956 section 5).
 */
export function destinationOf(flow: Uint8Array, family: FlowFamily): Prefix | undefined {
  if (flow[0] !== FlowType.destination) return undefined;
  const { bytes, length, offset } = readPrefix(flow, 0, family);
  return offset === 0 ? { bytes, length } : undefined;
}

/** Components of a canonical rule. */
export function readFlow(flow: Uint8Array, family: FlowFamily): FlowComponent[] {
  const components: FlowComponent[] = [];
  for (let at = 0; at < flow.length; ) {
    const type = flow[at];
    const end = componentEnd(flow, at, family);
    if (type > lastType(family)) components.push({ kind: "unknown", type, bytes: flow.slice(at + 1, end) });
    else if (type <= FlowType.source) components.push(readPrefix(flow, at, family));
    else components.push({ kind: isBitmask(type) ? "bitmask" : "numeric", type, terms: readTerms(flow, at) });
    at = end;
  }
  return components;
}

/**
 * The canonical rule of these components, in whatever order they are given; the caller has seen to it that each type
 * occurs once and that values fit.
 * @returns undefined when it is longer than an NLRI can be
 */
export function writeFlow(components: readonly FlowComponent[], family: FlowFamily): Uint8Array | undefined {
  const bytes: number[] = [];
  for (const component of [...components].sort((a, b) => a.type - b.type)) {
    bytes.push(component.type);
    if (component.kind === "unknown") bytes.push(...component.bytes);
    else if (component.kind === "prefix") writePrefix(component, family, bytes);
    else writeTerms(component.terms, bytes);
  }
  if (bytes.length > flowBytesMax) return undefined;
  const flow = Uint8Array.from(bytes);
  const fault = makeCanonical(flow, family);
  assert(fault === "", fault);
  return flow;
}

/** Bytes of the NLRI of a rule, its length included. */
export function flowNlriBytes(flow: Uint8Array): number {
  return flow.length + (flow.length < longLength ? 1 : 2);
}

/** Appends the NLRI of a canonical rule. */
export function encodeFlow(flow: Uint8Array, out: MessageWriter): void {
  if (flow.length < longLength) out.u8(flow.length);
  else out.u16((longLength << 8) | flow.length);
  out.copy(flow);
}

/** Where the component at `at` of a canonical rule ends. */
export function componentEnd(flow: Uint8Array, at: number, family: FlowFamily): number {
  const type = flow[at];
  if (type > lastType(family)) return flow.length;
  if (type > FlowType.source) return termsEnd(flow, at);
  if (family.addressBytes === 4) return at + 2 + octets(flow[at + 1]);
  return at + 3 + octets(flow[at + 1] - flow[at + 2]);
}

export function isBitmask(type: number): boolean {
  return type === FlowType.tcpFlags || type === FlowType.fragment;
}

/** The highest type of a component that is known in a family. */
export function lastType({ addressBytes }: FlowFamily): number {
  return addressBytes === 4 ? FlowType.fragment : FlowType.flowLabel;
}

function octets(bits: number): number {
  return (bits + 7) >> 3;
}

const cutOff = "a component is cut off";

/** @returns where the component ends, or what is wrong with it */
function settlePrefix(flow: Uint8Array, at: number, { addressBytes }: FlowFamily): number | string {
  const isIp4 = addressBytes === 4;
  const from = at + (isIp4 ? 2 : 3);
  if (from > flow.length) return cutOff;
  const length = flow[at + 1];
  const offset = isIp4 ? 0 : flow[at + 2];
  if (length > addressBytes * 8) return `a prefix length is ${length}`;
  // RFC 8956 3.1: nothing else is behind all of the prefix than all of no prefix.
  if (offset >= length && offset > 0) return `a prefix of length ${length} has offset ${offset}`;
  const end = from + octets(length - offset);
  if (end > flow.length) return cutOff;
  const spare = (end - from) * 8 - (length - offset);
  if (end > from) flow[end - 1] &= (0xff << spare) & 0xff;
  return end;
}

/** @returns where the component ends, or what is wrong with it */
function settleTerms(flow: Uint8Array, at: number, type: number, family: FlowFamily): number | string {
  // Reserved bits of the operator (RFC 8955 4.2.1), and AND where there is nothing before it.
  let kept = isBitmask(type) ? 0xb3 : 0xb7;
  const valueBits = valueBitsOf(type, family);
  const widthMax = type === FlowType.tcpFlags ? 2 : valueBits === undefined ? 8 : 1;
  for (let i = at + 1; i < flow.length; kept |= andBit) {
    const op = flow[i];
    const width = widthOf(op);
    if (width > widthMax) return `component ${type} has a value of ${width} bytes`;
    if (i + 1 + width > flow.length) return cutOff;
    flow[i] = op & kept;
    if (valueBits !== undefined) flow[i + 1] &= valueBits;
    i += 1 + width;
    if ((op & endOfList) !== 0) return i;
  }
  return cutOff;
}

/** Bits that count of a component whose values are single bytes (RFC 8955 4.2.2.11 and 12, RFC 8956 3.6). */
function valueBitsOf(type: number, { addressBytes }: FlowFamily): number | undefined {
  if (type === FlowType.dscp) return 0x3f;
  if (type === FlowType.fragment) return addressBytes === 4 ? 0x0f : 0x0e;
  return undefined;
}

function widthOf(op: number): 1 | 2 | 4 | 8 {
  return (1 << ((op >> 4) & 3)) as 1 | 2 | 4 | 8;
}

function termsEnd(flow: Uint8Array, at: number): number {
  let i = at + 1;
  for (let op = 0; (op & endOfList) === 0; i += 1 + widthOf(op)) {
    assert(i < flow.length);
    op = flow[i];
  }
  return i;
}

function readTerms(flow: Uint8Array, at: number): FlowTerm[] {
  const terms: FlowTerm[] = [];
  for (let i = at + 1, op = 0; (op & endOfList) === 0; ) {
    op = flow[i++];
    const width = widthOf(op);
    let value = 0n;
    for (const end = i + width; i < end; i++) value = (value << 8n) | BigInt(flow[i]);
    terms.push({ and: (op & andBit) !== 0, op: op & 7, value, width });
  }
  return terms;
}

function writeTerms(terms: readonly FlowTerm[], bytes: number[]): void {
  assert(terms.length > 0);
  terms.forEach(({ and, op, value, width }, i) => {
    const last = i === terms.length - 1 ? endOfList : 0;
    bytes.push(last | (and ? andBit : 0) | (Math.log2(width) << 4) | op);
    for (let shift = (width - 1) * 8; shift >= 0; shift -= 8)
      bytes.push(Number((value >> BigInt(shift)) & 0xffn));
  });
}

function readPrefix(
  flow: Uint8Array,
  at: number,
  { addressBytes }: FlowFamily,
): Extract<FlowComponent, { kind: "prefix" }> {
  const length = flow[at + 1];
  const offset = addressBytes === 4 ? 0 : flow[at + 2];
  const from = at + (addressBytes === 4 ? 2 : 3);
  const bytes = new Uint8Array(addressBytes);
  if (offset === 0) bytes.set(flow.subarray(from, from + octets(length)));
  else copyBits(flow, from * 8, bytes, offset, length - offset);
  return { kind: "prefix", type: flow[at], bytes, length, offset };
}

function writePrefix(
  { bytes: address, length, offset }: Extract<FlowComponent, { kind: "prefix" }>,
  { addressBytes }: FlowFamily,
  bytes: number[],
): void {
  bytes.push(length);
  if (addressBytes === 16) bytes.push(offset);
  const pattern = new Uint8Array(octets(length - offset));
  copyBits(address, offset, pattern, 0, length - offset);
  bytes.push(...pattern);
}

/** Sets the bits of `to`, which are zero, to those of `from`; places are in bits. */
function copyBits(from: Uint8Array, fromAt: number, to: Uint8Array, toAt: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const bit = (from[(fromAt + i) >> 3] >> (7 - ((fromAt + i) & 7))) & 1;
    to[(toAt + i) >> 3] |= bit << (7 - ((toAt + i) & 7));
  }
}
