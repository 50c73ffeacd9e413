import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { coloured, plain } from "./style.ts";
import { type Column, cutText, displayWidth, renderTable, wrapText } from "./table.ts";

interface Row {
  readonly prefix: string;
  readonly path: string;
  readonly count: number;
  readonly note: string;
}

const columns: readonly Column<Row>[] = [
  { title: "PREFIX", value: ({ prefix }) => prefix },
  { title: "AS PATH", value: ({ path }) => path, min: 10 },
  { title: "COUNT", value: ({ count }) => String(count), align: "right" },
  { title: "NOTE", value: ({ note }) => note, min: 6, drop: 1, tone: () => "good" },
  { title: "MORE", value: () => "x", wide: true },
];

const rows: readonly Row[] = [
  { prefix: "192.0.2.0/24", path: "65001 65002 65003 65004 65005 i", count: 5, note: "short" },
  { prefix: "2001:db8:1234:5678::/64", path: "65001 i", count: 12345, note: "somewhat longer note" },
];

const goldens: Record<number, readonly string[]> = {
  100: [
    "PREFIX                   AS PATH                          COUNT  NOTE",
    "192.0.2.0/24             65001 65002 65003 65004 65005 i      5  short",
    "2001:db8:1234:5678::/64  65001 i                          12345  somewhat longer note",
  ],
  70: [
    "PREFIX                   AS PATH             COUNT  NOTE",
    "192.0.2.0/24             65001 65002 65003…      5  short",
    "2001:db8:1234:5678::/64  65001 i             12345  somewhat longer n…",
  ],
  50: [
    "PREFIX                   AS PATH     COUNT  NOTE",
    "192.0.2.0/24             65001 650…      5  short",
    "2001:db8:1234:5678::/64  65001 i     12345  somew…",
  ],
  42: [
    "PREFIX                   AS PATH     COUNT",
    "192.0.2.0/24             65001 650…      5",
    "2001:db8:1234:5678::/64  65001 i     12345",
  ],
};

for (const [width, lines] of Object.entries(goldens)) {
  test(`a table in ${width} cells`, () => {
    assert.deepEqual(renderTable(columns, rows, Number(width), plain), lines);
  });
}

test("without a terminal nothing is cut, and wide shows all columns", () => {
  const lines = renderTable(columns, rows, Number.POSITIVE_INFINITY, plain, true);
  assert.match(lines[0], /MORE$/);
  assert.ok(lines[1].includes(rows[0].path));
});

test("colours add no cells", () => {
  const bare = renderTable(columns, rows, 60, plain);
  const stripped = renderTable(columns, rows, 60, coloured).map(stripVTControlCharacters);
  assert.deepEqual(stripped, bare);
});

test("cut text never takes more cells than it may, and wide characters count twice", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.nat(30), (text, width) => {
      assert.ok(displayWidth(cutText(text, width)) <= width);
    }),
  );
  assert.equal(displayWidth("日本"), 4);
  assert.equal(cutText("日本語", 5), "日本…");
});

test("control characters of others do not reach the terminal", () => {
  const lines = renderTable(
    [{ title: "T", value: (text: string) => text }],
    ["a\u001b[2Jb\u202e"],
    80,
    plain,
  );
  assert.equal(lines[1], "a\\x1b[2Jb\\x202e");
});

test("wrapped text keeps its words", () => {
  assert.deepEqual(wrapText("one two three four", 9), ["one two", "three", "four"]);
});
