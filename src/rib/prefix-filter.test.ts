import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { maskBytes, prefixContains } from "../base/ip.ts";
import type { FilterEntry } from "../wire/orf.ts";
import { PrefixFilter } from "./prefix-filter.ts";

const bits = 32;
/** Few distinct prefixes, so that entries and routes meet. */
const arbitraryBytes = fc.tuple(fc.constantFrom(10, 11), fc.nat(3), fc.nat(1), fc.nat(1));
const arbitraryEntry: fc.Arbitrary<FilterEntry> = fc
  .record({
    sequence: fc.nat(40),
    deny: fc.boolean(),
    bytes: arbitraryBytes,
    length: fc.nat(bits),
    more: fc.tuple(fc.nat(8), fc.nat(8)),
  })
  .map(({ sequence, deny, bytes, length, more: [a, b] }) => {
    const prefix = Uint8Array.from(bytes);
    maskBytes(prefix, length);
    const minLength = Math.min(bits, length + a);
    return { sequence, deny, bytes: prefix, length, minLength, maxLength: Math.min(bits, minLength + b) };
  });

/** RFC 5292 4, as it reads. */
function naive(entries: readonly FilterEntry[], address: Uint8Array, length: number): boolean {
  if (entries.length === 0) return true;
  for (const entry of [...entries].sort((a, b) => a.sequence - b.sequence)) {
    const covers = entry.length <= length && prefixContains(entry, address);
    if (covers && length >= entry.minLength && length <= entry.maxLength) return !entry.deny;
  }
  return false;
}

test("decides like a walk over all entries in order", () => {
  const step = fc.tuple(fc.constantFrom("add", "add", "add", "remove", "clear"), arbitraryEntry);
  const route = fc.tuple(arbitraryBytes, fc.nat(bits));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.array(route, { maxLength: 20 }), (steps, routes) => {
      const filter = new PrefixFilter(1000);
      const model = new Map<number, FilterEntry>();
      for (const [action, entry] of steps) {
        if (action === "add") {
          assert.ok(filter.add(entry));
          model.set(entry.sequence, entry);
        } else if (action === "remove") {
          const known = [...model.values()].find((each) => each.length === entry.length) ?? entry;
          filter.remove(known);
          if (model.get(known.sequence) === known) model.delete(known.sequence);
        } else if (entry.sequence === 0) {
          filter.clear();
          model.clear();
        }
      }
      assert.equal(filter.size, model.size);
      for (const [bytes, length] of routes) {
        const address = Uint8Array.from(bytes);
        maskBytes(address, length);
        assert.equal(filter.permits(address, 4, length), naive([...model.values()], address, length));
      }
    }),
    { numRuns: 300 },
  );
});

test("an entry takes the place of the one with its sequence; one that differs is not removed; there is a bound", () => {
  const filter = new PrefixFilter(2);
  const entry = {
    sequence: 5,
    deny: false,
    bytes: Uint8Array.of(10, 0, 0, 0),
    length: 8,
    minLength: 8,
    maxLength: 8,
  };
  assert.ok(filter.add(entry));
  assert.ok(filter.permits(Uint8Array.of(10, 0, 0, 0), 4, 8));
  assert.ok(filter.add({ ...entry, deny: true }));
  assert.equal(filter.permits(Uint8Array.of(10, 0, 0, 0), 4, 8), false);
  filter.remove(entry);
  assert.equal(filter.size, 1, "that is not the one it holds");
  assert.ok(filter.add({ ...entry, sequence: 6 }));
  assert.equal(filter.add({ ...entry, sequence: 7 }), false);
  assert.ok(
    filter.add({ ...entry, sequence: 6, length: 9, minLength: 9, maxLength: 9 }),
    "in place of another",
  );
  const copy = filter.copy();
  filter.clear();
  assert.ok(filter.permits(Uint8Array.of(1, 0, 0, 0), 4, 8), "without entries everything passes");
  assert.equal(copy.size, 2);
});
