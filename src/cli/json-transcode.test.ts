import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type DescMessage, type MessageInitShape, toBinary, toJson } from "@bufbuild/protobuf";
import fc from "fast-check";
import { EventSchema } from "../gen/cairn/v1/event_service_pb.ts";
import { NeighborSchema } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { ListBestRoutesResponseSchema } from "../gen/cairn/v1/rib_service_pb.ts";
import { RouteSchema } from "../gen/cairn/v1/types_pb.ts";
import { eachElement, jsonTranscoder } from "./json-transcode.ts";
import { TextBuffer } from "./text-buffer.ts";

function jsonOf(schema: DescMessage, bytes: Buffer): string {
  const out = new TextBuffer();
  jsonTranscoder(schema)(bytes, 0, bytes.length, out);
  return out.take().toString();
}

function check<D extends DescMessage>(schema: D, init: MessageInitShape<D>): void {
  const message = create(schema, init);
  const bytes = Buffer.from(toBinary(schema, message));
  assert.deepEqual(JSON.parse(jsonOf(schema, bytes)), toJson(schema, message));
}

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const route = fc.record({
  prefix: fc.string({ unit: "binary" }),
  pathId: u32,
  neighbor: fc.string(),
  origin: fc.integer({ min: 0, max: 7 }),
  asPath: fc.array(
    fc.record({ type: fc.integer({ min: 0, max: 4 }), asns: fc.array(u32, { maxLength: 5 }) }),
    { maxLength: 3 },
  ),
  localPref: fc.option(u32, { nil: undefined }),
  med: fc.option(u32, { nil: undefined }),
  communities: fc.array(fc.string({ unit: "grapheme" }), { maxLength: 3 }),
  best: fc.boolean(),
  age: fc.option(
    fc.record({
      seconds: fc.bigInt({ min: 0n, max: 1n << 35n }),
      nanos: fc.integer({ min: 0, max: 999_999_999 }),
    }),
    { nil: undefined },
  ),
  receivedAt: fc.option(
    fc.record({
      seconds: fc.bigInt({ min: -1_000_000n, max: 253_402_300_799n }),
      nanos: fc.integer({ min: 0, max: 999_999_999 }),
    }),
    { nil: undefined },
  ),
  unknownAttributes: fc.array(fc.record({ flags: u32, type: u32, value: fc.uint8Array({ maxLength: 9 }) }), {
    maxLength: 2,
  }),
});

test("the short way says what the protobuf library says", () => {
  fc.assert(
    fc.property(route, (init) => check(RouteSchema, init as MessageInitShape<typeof RouteSchema>)),
    { numRuns: 500 },
  );
});

test("maps, numbers beyond 2^53 and optional fields too", () => {
  check(EventSchema, { id: 18_446_744_073_709_551_615n, facts: { a: "b", c: "" }, summary: "x" });
  check(EventSchema, { id: 1n << 53n });
  check(NeighborSchema, { spec: { address: "192.0.2.1", passive: false, holdTime: { seconds: 0n } } });
});

test("fields out of order and unknown fields go the long way", () => {
  const one = Buffer.from(toBinary(RouteSchema, create(RouteSchema, { nextHop: "192.0.2.1" })));
  const two = Buffer.from(toBinary(RouteSchema, create(RouteSchema, { prefix: "10.0.0.0/8" })));
  const unknown = Buffer.from([0xf8, 0x3f, 1]);
  for (const bytes of [
    Buffer.concat([one, two]),
    Buffer.concat([two, unknown, one]),
    Buffer.concat([two, two]),
  ]) {
    const json = JSON.parse(jsonOf(RouteSchema, bytes)) as { prefix: string };
    assert.equal(json.prefix, "10.0.0.0/8");
  }
});

test("a list is taken apart into its elements and the rest", () => {
  const page = create(ListBestRoutesResponseSchema, {
    routes: [{ prefix: "a" }, { prefix: "b" }],
    nextPageToken: "t",
    totalSize: 2n,
  });
  const bytes = Buffer.from(toBinary(ListBestRoutesResponseSchema, page));
  const found: string[] = [];
  const rest = eachElement(bytes, 1, (from, to) => found.push(jsonOf(RouteSchema, bytes.subarray(from, to))));
  assert.deepEqual(found, ['{"prefix":"a"}', '{"prefix":"b"}']);
  assert.equal(rest.length, bytes.length - 10);
});

test("numbers and texts of any size and kind", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.maxSafeNat(), fc.nat({ max: 0xffff_ffff }), fc.nat({ max: 12 })),
      fc.string({ unit: "binary" }),
      (number, text) => {
        const out = new TextBuffer();
        out.number(number);
        assert.equal(out.take().toString(), String(number));
        const well = text.toWellFormed();
        out.text(well);
        assert.equal(out.take().toString(), well);
      },
    ),
  );
});
