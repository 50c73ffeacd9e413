/** AS paths and extended communities against FRR's unit tests. */
import assert from "node:assert/strict";
import { formatAsPath } from "../../src/wire/as-path-text.ts";
import { DerivedAttributes, decodeBlock, deriveBlock } from "../../src/wire/block.ts";
import { formatExtendedCommunity, parseExtendedCommunity } from "../../src/wire/community-text.ts";
import { UpdateScratch } from "../../src/wire/scratch.ts";
import { decodeUpdate } from "../../src/wire/update-decode.ts";
import { Verdict } from "../../src/wire/verdict.ts";
import { update } from "../support/wire.ts";
import { eachRow, Tally, vectorTest } from "./support.ts";

const scratch = new UpdateScratch();

/** Decodes attributes of an internal two- or four-octet neighbor with one route. */
function decode(attributes: string, fourOctetAs: boolean): void {
  const bytes = update(attributes, "08 0a");
  decodeUpdate(bytes, 0, bytes.length, { fourOctetAs, addPath: 0, external: false, families: 3 }, scratch);
}

function decodePath(value: string): void {
  const length = (value.length / 2).toString(16).padStart(4, "0");
  decode(`40010100 5002${length}${value} 400304c0000201`, false);
}

function pathText(): string {
  const { bytes, start, end } = scratch.block;
  return sorted(formatAsPath(decodeBlock(bytes, start, end).asPath));
}

/** FRR sorts sets and drops duplicates in them; the order means nothing. */
function sorted(text: string): string {
  return text.replace(/([{[])([^}\]]*)([}\]])/g, (_, open: string, list: string, close: string) => {
    const numbers = [...new Set(list.split(/[ ,]+/).map(Number))].sort((a, b) => a - b);
    return open + numbers.join(" ") + close;
  });
}

vectorTest("FRR AS_PATH values", ["as-path/frr-aspath-segments.jsonl"], (rows, context) => {
  const tally = new Tally();
  eachRow(rows, (row) => {
    if (row.name.includes("asdot")) return tally.add("asdot notation is not supported");
    decodePath(row.hex);
    if (row.expect.parse === "must fail" || row.name === "BGP_AS_ZERO") {
      assert.equal(scratch.verdict, Verdict.treatAsWithdraw);
      return tally.add("malformed as expected (AS 0 by RFC 7607)");
    }
    assert.equal(scratch.verdict, Verdict.ok, scratch.problems[0]?.text);
    assert.equal(pathText(), sorted(String(row.expect.as_path)));
    const derived = new DerivedAttributes();
    deriveBlock(scratch.block.bytes, scratch.block.start, scratch.block.end, derived);
    assert.equal(derived.pathLength, row.expect.hops);
    tally.add("text and length agree");
  });
  tally.tell(context);
});

vectorTest(
  "FRR AS_PATH and AS4_PATH attributes",
  ["as-path/frr-aspath-attr-blocks.jsonl"],
  (rows, context) => {
    const tally = new Tally();
    eachRow(rows, (row) => {
      decode(row.hex, row.ctx?.as4_negotiated === true);
      if (row.expect.result !== "accept") {
        assert.equal(scratch.verdict, Verdict.treatAsWithdraw, scratch.problems[0]?.text);
        return tally.add("treated as withdraw as expected");
      }
      assert.ok(scratch.verdict <= Verdict.discardAttribute, scratch.problems[0]?.text);
      if (row.name === "4b AS4_PATH: confed") {
        assert.equal(pathText(), "8466 3 52737 4096");
        return tally.add("finding: RFC 6793 6 drops confederation segments of AS4_PATH, FRR merges them");
      }
      assert.equal(pathText(), row.expect.as_path);
      tally.add("path agrees");
    });
    tally.tell(context);
  },
);

vectorTest("FRR extended communities", ["bgp-messages/frr-ecommunity.jsonl"], (rows) => {
  eachRow(rows, (row) => {
    const text = String(row.expect.text).replace(
      /^(\w+) /,
      (_, kind: string) => `${kind === "soo" ? "ro" : kind}:`,
    );
    assert.equal(formatExtendedCommunity(row.hex), text);
    assert.equal(parseExtendedCommunity(text), row.hex);
  });
});
