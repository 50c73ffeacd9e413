/** What is written is what is read; whatever the bytes are, reading ends and tells where. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  arbitraryAttributes,
  arbitraryNextHop4,
  arbitraryNextHop16,
  arbitraryPrefix,
} from "../../test/support/wire.ts";
import { encodeBlock } from "../wire/block.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { encodeUpdate } from "../wire/update-simple.ts";
import type { DecodedBody } from "./decode.ts";
import { dumpLines } from "./lines.ts";
import { MrtReader } from "./reader.ts";
import { ribAttributes, ribPrefix, updateRoutes } from "./routes.ts";
import type { MessageRecord, MrtHeader, RibRecord, StateRecord } from "./types.ts";
import { RibWriter, writeMessage, writePeerIndexTable, writeStateChange } from "./writer.ts";

interface Found {
  readonly header: MrtHeader;
  readonly body: DecodedBody;
}

/** Reads a file that comes in pieces of `size` bytes. Views are copied. */
function readAll(bytes: Uint8Array, size: number): { found: Found[]; reader: MrtReader } {
  const reader = new MrtReader();
  const found: Found[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    reader.push(bytes.subarray(at, at + size));
    while (reader.next()) found.push({ header: reader.header, body: structuredClone(reader.body) });
  }
  return { found, reader };
}

const address = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
);
const asn = fc.integer({ min: 1, max: 0xffff_ffff });
const peer = fc.record({ routerId: fc.nat(0xffff_ffff), address, asn }, { noNullPrototype: true });
const chunk = fc.constantFrom(1, 7, 100, 65_536);

/** Marks of policy never leave the router. */
const onTheWire = (attributes: PathAttributes): PathAttributes => ({ ...attributes, local: undefined });

function blockOf(attributes: PathAttributes): Uint8Array {
  const out = new MessageWriter();
  encodeBlock(attributes, out);
  return out.take();
}

const route4 = fc.tuple(
  arbitraryPrefix(4),
  arbitraryAttributes(fc.oneof(arbitraryNextHop4, arbitraryNextHop16)),
);
const route6 = fc.tuple(arbitraryPrefix(16), arbitraryAttributes(arbitraryNextHop16));

test("a table that is written is the table that is read", () => {
  fc.assert(
    fc.property(
      fc.array(peer, { minLength: 1, maxLength: 5 }),
      fc.array(fc.oneof(route4, route6), { maxLength: 8 }),
      fc.boolean(),
      fc.nat(0xffff_ffff),
      chunk,
      (peers, routes, addPath, time, size) => {
        const out = new MessageWriter();
        writePeerIndexTable(out, time, 0x01020304, "vüe", peers);
        const rib = new RibWriter(out);
        for (const [prefix, attributes] of routes) {
          const block = blockOf(attributes);
          rib.begin(time, prefix.bytes.length === 4 ? 1 : 2, 1, addPath, prefix.bytes, prefix.length);
          for (const [i] of peers.entries()) rib.entry(i, i + 1, i + 7, block, 0, block.length);
          rib.end();
        }
        const { found, reader } = readAll(out.take(), size);
        assert.equal(reader.end(), undefined);
        assert.equal(reader.faulty + reader.skipped, 0);
        assert.deepEqual(found[0].body, {
          kind: "peer-index",
          collectorId: 0x01020304,
          viewName: "vüe",
          peers,
        });
        assert.equal(found.length, routes.length + 1);
        routes.forEach(([prefix, attributes], n) => {
          const { header, body } = found[n + 1];
          const record = body as RibRecord;
          assert.equal(header.timeS, time);
          assert.equal(record.sequence, n);
          assert.equal(record.addPath, addPath);
          assert.equal(record.afi, prefix.bytes.length === 4 ? 1 : 2);
          assert.match(ribPrefix(record).prefixes[0].text, new RegExp(`/${prefix.length}$`));
          assert.deepEqual(record.nlri.subarray(1), prefix.bytes.subarray(0, (prefix.length + 7) >>> 3));
          record.entries.forEach((entry, i) => {
            assert.deepEqual(entry.peer, peers[i]);
            assert.equal(entry.originatedS, i + 1);
            assert.equal(entry.pathId, addPath ? i + 7 : 0);
            const read = ribAttributes(record, entry);
            assert.deepEqual(read.faults, []);
            assert.deepEqual(blockOf(read.attributes), blockOf(onTheWire(attributes)));
          });
        });
      },
    ),
    { numRuns: 150 },
  );
});

test("messages and changes of state come back with their times and ends", () => {
  const ends = fc.tuple(fc.constantFrom(4, 16), asn, asn).chain(([size, peerAsn, localAsn]) =>
    fc.record({
      peerAsn: fc.constant(peerAsn),
      localAsn: fc.constant(localAsn),
      peerAddress: fc.uint8Array({ minLength: size, maxLength: size }),
      localAddress: fc.uint8Array({ minLength: size, maxLength: size }),
    }),
  );
  fc.assert(
    fc.property(
      ends,
      fc.nat(4_000_000_000_000),
      fc.boolean(),
      arbitraryAttributes(arbitraryNextHop4),
      fc.array(arbitraryPrefix(4), { minLength: 1, maxLength: 5 }),
      chunk,
      (session, timeMs, fourOctetAs, attributes, reach, size) => {
        const update = encodeUpdate(
          { attributes, reach },
          { fourOctetAs, addPath: 0, maxMessageBytes: 65_535 },
        )!;
        const out = new MessageWriter();
        writeMessage(out, timeMs, session, fourOctetAs, false, update, 0, update.length);
        writeStateChange(out, timeMs, session, 5, 6);
        const { found, reader } = readAll(out.take(), size);
        assert.equal(reader.end(), undefined);
        const [first, second] = found;
        assert.equal(first.header.timeS * 1000 + first.header.micros / 1000, timeMs);
        const message = first.body as MessageRecord;
        const narrow = (value: number): number => (fourOctetAs || value <= 0xffff ? value : 23_456);
        assert.equal(message.peerAsn, narrow(session.peerAsn));
        assert.equal(message.localAsn, narrow(session.localAsn));
        assert.deepEqual(message.message, update);
        const { sets, faults } = updateRoutes(message);
        assert.deepEqual(faults, []);
        assert.equal(sets.length, 1);
        assert.equal(sets[0].prefixes.length, reach.length);
        assert.deepEqual(blockOf(sets[0].attributes!), blockOf(onTheWire(attributes)));
        const state = second.body as StateRecord;
        assert.deepEqual([state.oldState, state.newState, state.peerAsn], [5, 6, session.peerAsn]);
        assert.deepEqual(state.localAddress, session.localAddress);
      },
    ),
    { numRuns: 150 },
  );
});

test("a file that is cut off anywhere tells so, and all before the cut is read", () => {
  fc.assert(
    fc.property(fc.array(route4, { minLength: 1, maxLength: 4 }), fc.nat(), chunk, (routes, drawn, size) => {
      const out = new MessageWriter();
      writePeerIndexTable(out, 1, 1, "", []);
      const ends = [out.at];
      const rib = new RibWriter(out);
      for (const [{ bytes, length }, attributes] of routes) {
        const block = blockOf(attributes);
        rib.begin(1, 1, 1, false, bytes, length);
        rib.entry(0, 1, 0, block, 0, block.length);
        rib.end();
        ends.push(out.at);
      }
      const whole = out.take();
      const cut = drawn % whole.length;
      const { found, reader } = readAll(whole.subarray(0, cut), size);
      const complete = ends.filter((end) => end <= cut);
      assert.equal(found.length, complete.length);
      const fault = reader.end();
      const start = complete.at(-1) ?? 0;
      if (cut === start) assert.equal(fault, undefined);
      else assert.equal(fault?.offset, start);
    }),
    { numRuns: 200 },
  );
});

test("nonsense is passed over or refused, and never thrown at", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 400 }),
      fc.constantFrom(12, 13, 16, 17, 99),
      fc.nat(12),
      (bytes, type, subtype) => {
        const head = new Uint8Array(12);
        head[5] = type;
        head[7] = subtype;
        head[10] = bytes.length >> 8;
        head[11] = bytes.length;
        const { found, reader } = readAll(new Uint8Array([...head, ...bytes, ...head, ...bytes]), 64);
        assert.equal(reader.end(), undefined);
        assert.equal(found.length + reader.skipped, 2);
        for (const { header, body } of found) if (body.kind !== "fault") dumpLines(header, body);
      },
    ),
    { numRuns: 300 },
  );
});
