import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatPrefix, maskBytes, parsePrefix } from "../base/ip.ts";
import { type Family, ipv4Unicast, ipv6Unicast } from "./family.ts";
import { decodeFilters, encodeFilter, type FilterChange, type FilterEntry } from "./orf.ts";
import { decodeRefresh } from "./refresh.ts";

const entryText = ({ sequence, deny, bytes, length, minLength, maxLength }: FilterEntry): string =>
  `${sequence} ${deny ? "deny" : "permit"} ${formatPrefix({ bytes, length })} ${minLength}-${maxLength}`;

const changeText = (change: FilterChange): string =>
  "entry" in change
    ? `${change.kind} ${entryText(change.entry)}`
    : change.kind === "reset"
      ? `reset: ${change.why}`
      : change.kind;

/** What stands in these bytes after the fixed part. */
function read(hex: string, family: Family = ipv4Unicast): { immediate: boolean; changes: string[] } {
  const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
  const { immediate, changes } = decodeFilters(bytes, 0, bytes.length, family);
  return { immediate, changes: changes.map(changeText) };
}

const changes = (entries: string, type = "40"): string[] => {
  const length = (entries.replaceAll(" ", "").length / 2).toString(16).padStart(4, "0");
  return read(`01 ${type} ${length} ${entries}`).changes;
};

test("the bytes of a message, by hand", () => {
  const prefix = parsePrefix("10.0.0.0/8");
  assert.ok(typeof prefix !== "string");
  const entry = { sequence: 5, deny: true, ...prefix, minLength: 16, maxLength: 24 };
  const [remove, add] = encodeFilter(ipv4Unicast, [entry], true, 4096).map((bytes) =>
    Buffer.from(bytes).toString("hex").slice(32),
  );
  assert.equal(remove, "001c05 00010001 02 40 0001 80".replaceAll(" ", ""));
  assert.equal(add, "002405 00010001 01 40 0009 20 00000005 10 18 08 0a".replaceAll(" ", ""));
});

test("RFC 5292 3: lengths that are 0 are not given", () => {
  assert.deepEqual(changes("00 00000005 00 00 08 0a"), ["add 5 permit 10.0.0.0/8 8-8"]);
  assert.deepEqual(changes("00 00000005 10 00 08 0a"), ["add 5 permit 10.0.0.0/8 16-32"]);
  assert.deepEqual(changes("00 00000005 00 10 08 0a"), ["add 5 permit 10.0.0.0/8 8-16"]);
  assert.deepEqual(changes("60 00000005 10 18 08 0a"), ["remove 5 deny 10.0.0.0/8 16-24"]);
  assert.deepEqual(changes("00 00000001 00 00 00"), ["add 1 permit 0.0.0.0/0 0-0"]);
  assert.deepEqual(
    changes("00 00000001 00 00 09 0aff"),
    ["add 1 permit 10.128.0.0/9 9-9"],
    "host bits are cut",
  );
});

test("remove-all is one octet, as of the RFC and as FRR sends it", () => {
  assert.deepEqual(changes("80 00 00000005 00 00 08 0a"), ["removeAll", "add 5 permit 10.0.0.0/8 8-8"]);
  assert.deepEqual(changes("c0"), ["removeAll"]);
});

test("RFC 5291 6: what is not understood removes the filter", () => {
  assert.deepEqual(changes("00 00000005 00 00 21 0a000000 00"), ["reset: prefix length 33 is more than 32"]);
  assert.deepEqual(changes("00 00000005 00 21 08 0a"), ["reset: prefix length 33 is more than 32"]);
  assert.deepEqual(changes("00 00000005 07 00 08 0a"), [
    "reset: lengths 7 to 0 do not go with a prefix of 8",
  ]);
  assert.deepEqual(changes("00 00000005 18 10 08 0a"), [
    "reset: lengths 24 to 16 do not go with a prefix of 8",
  ]);
  assert.deepEqual(changes("00 00000005 00 00 08"), ["reset: an entry is cut off"]);
  assert.deepEqual(changes("00 0000"), ["reset: an entry is cut off"]);
  assert.deepEqual(read("01 40 0010 00"), { immediate: true, changes: ["reset: a filter is cut off"] });
  assert.deepEqual(read("01 40"), { immediate: true, changes: ["reset: a filter is cut off"] });
  assert.deepEqual(read("07 40 0000"), { immediate: true, changes: ["reset: when-to-refresh 7"] });
  assert.deepEqual(changes("00 00000005 00 00 08 0a", "80"), [], "another type of filter is passed over");
  assert.deepEqual(read("02"), { immediate: false, changes: [] });
});

function arbitraryEntries(family: Family): fc.Arbitrary<FilterEntry[]> {
  const bits = family.addressBytes * 8;
  const entry = fc
    .tuple(
      fc.uint8Array({ minLength: family.addressBytes, maxLength: family.addressBytes }),
      fc.nat(bits),
      fc.boolean(),
      fc.tuple(fc.nat(bits), fc.nat(bits)),
    )
    .map(([bytes, length, deny, [a, b]]) => {
      maskBytes(bytes, length);
      const [low, high] = [Math.max(length, Math.min(a, b)), Math.max(length, a, b)];
      // Length 0 as a bound cannot be said apart from none, and a longest length of 0 not at all.
      const [minLength, maxLength] = high === 0 ? [0, 0] : [low, high];
      return { sequence: 0, deny, bytes, length, minLength, maxLength };
    });
  return fc
    .array(entry, { maxLength: 300 })
    .map((entries) => entries.map((each, i) => ({ ...each, sequence: (i + 1) * 5 })));
}

test("a filter comes out as it went in, over as many messages as it takes; only the last one asks for the routes", () => {
  for (const family of [ipv4Unicast, ipv6Unicast]) {
    fc.assert(
      fc.property(arbitraryEntries(family), fc.boolean(), (entries, replaces) => {
        const messages = encodeFilter(family, entries, replaces, 512);
        const told: string[] = [];
        for (const [i, bytes] of messages.entries()) {
          assert.ok(bytes.length <= 512);
          const refresh = decodeRefresh(bytes, 0, bytes.length);
          assert.ok("filtersAt" in refresh && refresh.filtersAt !== undefined);
          const request = decodeFilters(bytes, refresh.filtersAt, bytes.length, family);
          assert.equal(request.immediate, i === messages.length - 1);
          told.push(...request.changes.map(changeText));
        }
        const wanted = entries.map((entry) => `add ${entryText(entry)}`);
        assert.deepEqual(told, replaces ? ["removeAll", ...wanted] : wanted);
      }),
      { numRuns: 60 },
    );
  }
});

test("no bytes at all make the reader fail or go on for ever", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(ipv4Unicast, ipv6Unicast),
      (bytes, family) => {
        const { changes: told } = decodeFilters(bytes, 0, bytes.length, family);
        assert.ok(told.length <= bytes.length + 1);
      },
    ),
    { numRuns: 300 },
  );
});
