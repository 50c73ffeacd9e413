/** Flow specifications for properties: canonical, as the decoder hands them out. */
import fc from "fast-check";
import type { FlowAction } from "../../src/wire/flowspec/actions.ts";
import {
  BitmaskOp,
  type FlowComponent,
  type FlowTerm,
  FlowType,
  isBitmask,
  lastType,
  writeFlow,
} from "../../src/wire/flowspec/nlri.ts";
import { arbitraryPrefix } from "./wire.ts";

type AddressBytes = 4 | 16;

function arbitraryPattern(type: number, addressBytes: AddressBytes): fc.Arbitrary<FlowComponent> {
  return fc
    .tuple(arbitraryPrefix(addressBytes), fc.oneof(fc.constant(0), fc.nat(127)))
    .map(([{ bytes, length }, drawn]) => {
      const offset = addressBytes === 4 || length === 0 ? 0 : drawn % length;
      const masked = bytes.slice();
      for (let i = 0; i < offset; i++) masked[i >> 3] &= ~(0x80 >> (i & 7));
      return { kind: "prefix", type, bytes: masked, length, offset } as const;
    });
}

/** Few values, so that rules are often equal in part. */
const fewValues = fc.oneof(
  fc.constantFrom(0n, 1n, 6n, 80n, 255n, 256n, 65_535n),
  fc.bigInt(0n, 0xffff_ffff_ffff_ffffn),
);

function arbitraryTerms(type: number, addressBytes: AddressBytes): fc.Arbitrary<FlowComponent> {
  const widths = type === FlowType.dscp || type === FlowType.fragment ? [1] : [1, 2, 4, 8];
  const fits = type === FlowType.tcpFlags ? [1, 2] : widths;
  const mask =
    type === FlowType.dscp ? 63n : type === FlowType.fragment ? (addressBytes === 4 ? 15n : 14n) : -1n;
  const term = fc
    .tuple(fc.boolean(), fc.nat(7), fewValues, fc.constantFrom(...fits))
    .map(([and, op, value, width]): FlowTerm => {
      const bits = isBitmask(type) ? BitmaskOp.not | BitmaskOp.match : 7;
      return {
        and,
        op: op & bits,
        value: BigInt.asUintN(width * 8, value) & mask,
        width: width as FlowTerm["width"],
      };
    });
  return fc.array(term, { minLength: 1, maxLength: 4 }).map(([first, ...rest]) => ({
    kind: isBitmask(type) ? "bitmask" : "numeric",
    type,
    terms: [{ ...first, and: false }, ...rest],
  }));
}

/** @param known no component that cairn does not know */
export function arbitraryFlow(addressBytes: AddressBytes, known = false): fc.Arbitrary<Uint8Array> {
  const last = lastType({ addressBytes });
  const component = (type: number): fc.Arbitrary<FlowComponent> =>
    type > last
      ? fc
          .uint8Array({ maxLength: 6 })
          .map((bytes): FlowComponent => ({ kind: "unknown", type, bytes: Uint8Array.from(bytes) }))
      : type <= FlowType.source
        ? arbitraryPattern(type, addressBytes)
        : arbitraryTerms(type, addressBytes);
  const types = Array.from({ length: last }, (_, i) => i + 1);
  const unknown = known
    ? fc.constant([])
    : fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, fc.constant([last + 1]));
  return fc
    .tuple(fc.subarray(types, { maxLength: 4 }), unknown)
    .filter(([some, other]) => some.length + other.length > 0)
    .chain(([some, other]) => fc.tuple(...[...some, ...other].map(component)))
    .map((components) => writeFlow(components, { addressBytes })!);
}

const arbitraryRate = fc.oneof(
  fc.constantFrom(0, 1, 9600, 1e9),
  fc.float({ min: 0, noDefaultInfinity: true, noNaN: true }),
);

const arbitraryAddress = fc
  .constantFrom(4, 16)
  .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }))
  .map((bytes) => Uint8Array.from(bytes));

const arbitraryAction: fc.Arbitrary<FlowAction> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("rate-bytes" as const, "rate-packets" as const),
    asn: fc.oneof(fc.constant(0), fc.nat(65_535)),
    rate: arbitraryRate.map((rate) => Math.abs(rate)),
  }),
  fc.record({ kind: fc.constant("mark" as const), dscp: fc.nat(63) }),
  fc.record({ kind: fc.constant("redirect-ip" as const), address: arbitraryAddress, copy: fc.boolean() }),
  fc.record({ kind: fc.constant("redirect-next-hop" as const), copy: fc.boolean() }),
  fc.record({
    kind: fc.constant("redirect" as const),
    target: fc.constantFrom(
      "64500:1",
      "0:4294967295",
      "4200000000:1",
      "1L:65535",
      "192.0.2.1:7",
      "[2001:db8::1]:9",
    ),
  }),
);

/** Actions in any order, bits of traffic-action at most once. */
export const arbitraryActions: fc.Arbitrary<FlowAction[]> = fc
  .tuple(
    fc.array(arbitraryAction, { maxLength: 4 }),
    fc.option(
      fc.record({
        kind: fc.constant("traffic-action" as const),
        sample: fc.boolean(),
        terminal: fc.boolean(),
      }),
    ),
    fc.nat(4),
  )
  .map(([actions, bits, at]) => (bits ? [...actions.slice(0, at), bits, ...actions.slice(at)] : actions));
