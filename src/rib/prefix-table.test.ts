import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../base/random.ts";
import { NlriList } from "../wire/scratch.ts";
import { PrefixTable4, PrefixTable16 } from "./prefix-table.ts";

for (const make of [() => new PrefixTable4(), () => new PrefixTable16()]) {
  const { addressBytes } = make();
  const bits = addressBytes * 8;

  /** Addresses that share many leading bits, so that prefixes nest and meet. */
  const address = fc
    .array(fc.constantFrom(0, 1, 0x80, 0xff), { minLength: addressBytes, maxLength: addressBytes })
    .map((bytes) => Uint8Array.from(bytes));
  const prefix = fc.record({
    address,
    length: fc.oneof(fc.nat(bits), fc.constantFrom(0, 8, bits - 1, bits)),
  });
  const key = (bytes: Uint8Array, length: number): string => `${bitText(bytes).slice(0, length)}`;

  suite(make().constructor.name, () => {
    test("against a map: intern, find, remove, markers, counts; bits after the length do not matter", () => {
      const step = fc.record({
        what: fc.constantFrom("intern", "intern", "find", "remove", "marker"),
        prefix,
      });
      fc.assert(
        fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
          const table = make();
          const rows = new Map<string, number>();
          const markers: number[] = [];
          for (const { what, prefix } of steps) {
            const { length } = prefix;
            const name = key(prefix.address, length);
            const row = rows.get(name);
            if (what === "intern") {
              const id = table.intern(prefix.address, 0, length);
              assert.equal(id, row ?? id);
              assert(row !== undefined || ![...rows.values(), ...markers].includes(id), "the row is free");
              rows.set(name, id);
              const out = new Uint8Array(addressBytes);
              table.writeAddress(id, out, 0);
              assert.equal(bitText(out), name.padEnd(bits, "0"));
              assert.equal(table.length[id], length);
            } else if (what === "find") assert.equal(table.find(prefix.address, 0, length), row ?? 0);
            else if (what === "remove" && row !== undefined) {
              table.remove(row);
              rows.delete(name);
            } else if (what === "marker") {
              if (markers.length > 3) table.removeMarker(markers.pop()!);
              markers.push(table.addMarker());
            }
            assert.equal(table.count, rows.size);
          }
          for (const [name, row] of rows)
            assert.equal(table.find(bytesOf(name, addressBytes), 0, name.length), row);
          for (let length = 0; length <= bits; length++) {
            const expected = [...rows.keys()].filter((name) => name.length === length).length;
            assert.equal(table.countByLength[length], expected);
          }
        }),
      );
    });

    test("longest match is that of a scan", () => {
      fc.assert(
        fc.property(
          fc.array(prefix, { maxLength: 40 }),
          address,
          fc.nat(bits),
          (prefixes, wanted, maxLength) => {
            const table = make();
            const rows = prefixes.map((each) => table.intern(each.address, 0, each.length));
            const accepts = (row: number): boolean => row % 3 !== 0;
            const covering = prefixes
              .map(({ address, length }, i) => ({ name: key(address, length), row: rows[i] }))
              .filter(
                ({ name, row }) =>
                  name.length <= maxLength && key(wanted, name.length) === name && accepts(row),
              )
              .sort((a, b) => b.name.length - a.name.length);
            assert.equal(table.longestMatch(wanted, maxLength, accepts), covering[0]?.row ?? 0);
          },
        ),
      );
    });

    test("keeps every prefix while it grows and shrinks", () => {
      const table = make();
      const bytes = new Uint8Array(addressBytes);
      const view = new DataView(bytes.buffer);
      const each = (visit: (i: number) => void): void => {
        for (let i = 0; i < 10_000; i++) {
          view.setUint32(0, i << 12);
          visit(i);
        }
      };
      const rows: number[] = [];
      each((i) => (rows[i] = table.intern(bytes, 0, 20)));
      each((i) => assert.equal(table.find(bytes, 0, 20), rows[i]));
      each((i) => i % 3 === 0 || table.remove(rows[i]));
      each((i) => assert.equal(table.find(bytes, 0, 20), i % 3 === 0 ? rows[i] : 0));
      const capacity = table.capacity;
      each(() => table.intern(bytes, 0, 20));
      assert.equal(table.capacity, capacity, "free rows are used again");
      assert.equal(table.count, 10_000);
    });

    test("a list of prefixes has the rows that they would have one by one, over growths", () => {
      const random = seededRandom(11);
      const together = make();
      const apart = make();
      const bytes = new Uint8Array(4096 * addressBytes);
      const rows = new Uint32Array(4096);
      for (let round = 0; round < 200; round++) {
        const list = new NlriList();
        const count = 1 + Math.floor(random() * (round % 10 === 0 ? 1500 : 20));
        for (let i = 0; i < count; i++) {
          const at = i * addressBytes;
          for (let byte = 0; byte < 4; byte++) bytes[at + byte] = random() * 8;
          list.push(at, 16 + Math.floor(random() * 17), 0);
        }
        together.internAll(bytes, list, rows);
        const expected = Array.from({ length: count }, (_, i) =>
          apart.intern(bytes, list.at[i], list.length[i]),
        );
        assert.deepEqual([...rows.subarray(0, count)], expected);
        for (const row of new Set(expected)) {
          if (random() > 0.2) continue;
          together.remove(row);
          apart.remove(row);
        }
      }
      assert.equal(together.count, apart.count);
      assert(together.capacity > 4096, "the table grew");
    });

    test("rows that go while others move over after a growth take nothing along, and none comes back", () => {
      const random = seededRandom(7);
      const table = make();
      const bytes = new Uint8Array(addressBytes);
      const view = new DataView(bytes.buffer);
      const rows = new Map<number, number>();
      const alive: number[] = [];
      let bytesBefore = table.memoryBytes();
      let grownAt = Number.NEGATIVE_INFINITY;
      const find = (i: number): number => {
        view.setUint32(0, i << 12);
        return table.find(bytes, 0, 20);
      };
      for (let i = 0; i < 20_000; i++) {
        view.setUint32(0, i << 12);
        rows.set(i, table.intern(bytes, 0, 20));
        alive.push(i);
        if (table.memoryBytes() - bytesBefore > 4096) grownAt = i;
        bytesBefore = table.memoryBytes();
        const isGrown = i - grownAt < 30;
        for (let n = isGrown ? 3 : 0; n > 0; n--) {
          const at = Math.floor(random() * alive.length);
          const [gone] = alive.splice(at, 1, alive[alive.length - 1]);
          alive.pop();
          table.remove(rows.get(gone)!);
          rows.delete(gone);
          assert.equal(find(gone), 0);
          if (alive.length === 0) break;
        }
        if (isGrown) for (const [each, row] of rows) assert.equal(find(each), row);
      }
      assert.equal(table.count, rows.size);
    });
  });
}

function bitText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
}

function bytesOf(bits: string, count: number): Uint8Array {
  const text = bits.padEnd(count * 8, "0");
  return Uint8Array.from({ length: count }, (_, i) => Number.parseInt(text.slice(i * 8, i * 8 + 8), 2));
}
