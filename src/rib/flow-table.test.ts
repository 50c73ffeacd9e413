import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { prefixContains } from "../base/ip.ts";
import { ipv4Flowspec, ipv6Flowspec } from "../wire/family.ts";
import { compareFlows } from "../wire/flowspec/compare.ts";
import { destinationOf, flowBytesMax } from "../wire/flowspec/nlri.ts";
import { parseFlow } from "../wire/flowspec/text.ts";
import { FlowTable } from "./flow-table.ts";

function flow(text: string): Uint8Array {
  const parsed = parseFlow(text);
  if (!parsed.ok) assert.fail(`${text}: ${JSON.stringify(parsed.problems)}`);
  return parsed.value.flow;
}

/** Rules that have much in common: order is about what differs. */
const rule4 = fc
  .record({
    dst: fc.option(
      fc.tuple(fc.constantFrom("10.0.0.0", "10.0.1.0", "10.0.1.128"), fc.constantFrom(24, 25, 32)),
    ),
    src: fc.option(fc.constantFrom("10.9.0.0/16", "0.0.0.0/0")),
    proto: fc.option(fc.constantFrom("udp", "tcp", "tcp,udp")),
    port: fc.option(fc.integer({ min: 1, max: 65_535 })),
  })
  .map(({ dst, src, proto, port }) => {
    const host = dst && (dst[0].endsWith("128") ? Math.max(25, dst[1]) : dst[1]);
    const parts = [
      dst ? `dst ${dst[0]}/${host}` : "",
      src ? `src ${src}` : "",
      proto ? `proto ${proto}` : "",
      port ? `port ${port}` : "",
    ].filter((part) => part !== "");
    return flow(parts.length === 0 ? "proto icmp" : parts.join(" "));
  });

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function inOrder(table: FlowTable): string[] {
  const rows: string[] = [];
  for (let id = table.following(0); id !== 0; id = table.following(id)) rows.push(hexOf(table.value(id)));
  return rows;
}

test("as a set in the order of RFC 8955, whatever comes and goes", () => {
  const step = fc.tuple(fc.boolean(), rule4);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new FlowTable(ipv4Flowspec);
      const model = new Map<string, Uint8Array>();
      for (const [comes, rule] of steps) {
        const id = table.find(rule, 0, rule.length);
        assert.equal(id !== 0, model.has(hexOf(rule)));
        if (comes) {
          const row = table.intern(rule, 0, rule.length);
          assert.deepEqual(table.value(row), rule);
          model.set(hexOf(rule), rule);
        } else if (id !== 0) {
          table.remove(id);
          model.delete(hexOf(rule));
        }
      }
      const sorted = [...model.values()].sort((a, b) => compareFlows(a, b, ipv4Flowspec));
      assert.deepEqual(inOrder(table), sorted.map(hexOf));
      assert.equal(table.count, model.size);
      for (const [i, rule] of sorted.entries()) {
        const next = table.after(rule);
        assert.equal(next === 0 ? "" : hexOf(table.value(next)), sorted[i + 1] ? hexOf(sorted[i + 1]) : "");
      }
    }),
    { numRuns: 200 },
  );
});

test("rules by their destinations: those inside of a prefix stand side by side", () => {
  const prefix = fc.tuple(
    fc.constantFrom("10.0.0.0", "10.0.1.0", "0.0.0.0"),
    fc.integer({ min: 0, max: 32 }),
  );
  fc.assert(
    fc.property(
      fc.uniqueArray(rule4, { maxLength: 40, selector: hexOf }),
      prefix,
      (rules, [text, length]) => {
        const table = new FlowTable(ipv4Flowspec);
        for (const rule of rules) table.intern(rule, 0, rule.length);
        const bytes = Uint8Array.from(text.split("."), Number);
        for (let bit = length; bit < 32; bit++) bytes[bit >> 3] &= ~(0x80 >> (bit & 7));
        const isInside = (rule: Uint8Array): boolean => {
          const destination = destinationOf(rule, ipv4Flowspec);
          if (!destination || destination.length < length) return false;
          return prefixContains({ bytes, length }, destination.bytes);
        };
        const found: string[] = [];
        for (
          let id = table.firstInside(bytes, length);
          id !== 0 && table.isInside(id, bytes, length);
          id = table.following(id)
        )
          found.push(hexOf(table.value(id)));
        const wanted = rules.filter(isInside).sort((a, b) => compareFlows(a, b, ipv4Flowspec));
        assert.deepEqual(found, wanted.map(hexOf));
      },
    ),
    { numRuns: 300 },
  );
});

test("what reads a row as a prefix sees the destination, and none where bits before it are left out", () => {
  const table = new FlowTable(ipv6Flowspec);
  const rows = ["dst 2001:db8::/33 proto tcp", "dst ::1234:0:0/64-96", "proto udp flow-label 1"].map(
    (text) => {
      const rule = flow(text);
      return table.intern(rule, 0, rule.length);
    },
  );
  assert.deepEqual(
    rows.map((id) => table.length[id]),
    [33, 0, 0],
  );
  assert.deepEqual(
    rows.map((id) => table.hasDestination(id)),
    [true, false, false],
  );
  const address = new Uint8Array(16).fill(255);
  table.writeAddress(rows[0], address, 0);
  assert.equal(hexOf(address), "20010db8000000000000000000000000");
  table.writeAddress(rows[1], address, 0);
  assert.equal(hexOf(address), "0".repeat(32));
});

test("places of rules that are gone are used again, also of the longest", () => {
  const table = new FlowTable(ipv4Flowspec);
  const longest = new Uint8Array(flowBytesMax).fill(1);
  longest[0] = 200; // a component that nobody knows, to the end
  const short = flow("proto udp");
  for (let i = 0; i < 50; i++) {
    for (const rule of [longest, short]) table.remove(table.intern(rule, 0, rule.length));
  }
  const before = table.memoryBytes();
  for (let i = 0; i < 5000; i++) {
    longest[1] = i;
    longest[2] = i >> 8;
    table.remove(table.intern(longest, 0, longest.length));
  }
  assert.equal(table.memoryBytes(), before);
  assert.equal(table.count, 0);
});

test("many rules over several growths, with markers between them", () => {
  const table = new FlowTable(ipv4Flowspec);
  const rules = Array.from({ length: 6000 }, (_, i) =>
    flow(`dst 10.${i >> 8}.${i & 255}.0/24 port ${i + 1}`),
  );
  const marker = table.addMarker();
  const ids = rules.map((rule) => table.intern(rule, 0, rule.length));
  assert.equal(new Set([...ids, marker]).size, 6001);
  for (const [i, rule] of rules.entries()) assert.equal(table.find(rule, 0, rule.length), ids[i]);
  assert.equal(inOrder(table).length, 6000);
  for (const id of ids.filter((_, i) => i % 2 === 0)) table.remove(id);
  assert.equal(inOrder(table).length, 3000);
  table.removeMarker(marker);
});
