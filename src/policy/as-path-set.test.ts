import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../base/random.ts";
import { formatAsPath } from "../wire/as-path-text.ts";
import { SegmentType } from "../wire/path-attributes.ts";
import { checkPattern, PATTERN_LENGTH_MAX } from "./as-path-regex.ts";
import { compilePathMatcher, PathScanner } from "./path-scanner.ts";

test("what operators write", () => {
  const table: [pattern: string, text: string, matches: boolean][] = [
    ["_65001_", "65001", true],
    ["_65001_", "1 65001 2", true],
    ["_65001_", "165001", false],
    ["_65001_", "1 {65001 65002}", true],
    ["_65001_", "(65001 3) 4", true],
    ["_65001_", "[65001] 4", true],
    ["^65001_", "65001 65002", true],
    ["^65001_", "65002 65001", false],
    ["_65001$", "65002 65001", true],
    ["_65001$", "65001 65002", false],
    ["^$", "", true],
    ["^$", "1", false],
    [".*", "", true],
    ["_", "", true],
    ["_^_$", "", true],
    ["^65001( 65001)*$", "65001 65001 65001", true],
    ["^[0-9]+$", "65001", true],
    ["^[0-9]+$", "65001 65002", false],
    ["^[0-9]+ [0-9]+$", "65001 65002", true],
    ["_6451[2-9]_|_645[2-9][0-9]_", "1 64515 2", true],
    ["[^0-9 ]", "1 2", false],
    ["[^0-9 ]", "1 {2}", true],
    ["\\(65001", "(65001 65002)", true],
    ["{1", "{1 2}", true],
    ["^1?2$", "12", true],
    ["^1?2$", "2", true],
  ];
  for (const [pattern, text, matches] of table) {
    assert.equal(checkPattern(pattern), undefined, pattern);
    assert.equal(compilePathMatcher([pattern]).matches(text), matches, `${pattern} on "${text}"`);
  }
  assert.equal(compilePathMatcher([]).matches("1"), false);
  assert.equal(compilePathMatcher(["_1$", "^2_"]).matches("2 3"), true);
});

test("bad expressions are told with their column", () => {
  const table: [pattern: string, column: number][] = [
    ["", 1],
    ["65001(", 6],
    ["65001)", 6],
    ["*1", 1],
    ["1**", 3],
    ["1[", 2],
    ["1[]", 3],
    ["[9-0]", 2],
    ["_a_", 2],
    ["1\\", 2],
    ["1".repeat(PATTERN_LENGTH_MAX + 1), PATTERN_LENGTH_MAX + 1],
    ["(".repeat(60), 51],
  ];
  for (const [pattern, column] of table) assert.equal(checkPattern(pattern)?.column, column, pattern);
});

test("agrees with JavaScript's expressions", () => {
  const atom = fc.constantFrom("1", "2", " ", "_", "^", "$", ".", "[12]", "[^1]", "[0-9]", "{", "\\(");
  const { pattern } = fc.letrec<{ pattern: string; piece: string }>((tie) => ({
    piece: fc.oneof(
      { depthSize: "small" },
      atom,
      fc
        .tuple(fc.constantFrom("1", "2", " ", ".", "[12]", "_"), fc.constantFrom("*", "+", "?"))
        .map((p) => p.join("")),
      fc
        .tuple(tie("pattern"), fc.constantFrom("", "*", "+", "?"))
        .map(([inner, sign]) => `(${inner})${sign}`),
    ),
    pattern: fc.oneof(
      { depthSize: "small" },
      fc.array(tie("piece"), { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join("")),
      fc.tuple(tie("pattern"), tie("pattern")).map(([a, b]) => `${a}|${b}`),
    ),
  }));
  const text = fc
    .array(fc.constantFrom("1", "2", " ", "{", "(", "12"), { maxLength: 8 })
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(pattern, fc.array(text, { minLength: 1, maxLength: 5 }), (source, texts) => {
      const set = compilePathMatcher([source]);
      const oracle = new RegExp(source.replaceAll("{", "\\{").replaceAll("_", "(?:^|$|[ ,{}()[\\]])"));
      for (const sample of texts) assert.equal(set.matches(sample), oracle.test(sample), `"${sample}"`);
    }),
    { numRuns: 500 },
  );
});

test("patterns that make backtracking matchers explode cost steps linear in the text", () => {
  const nasty = [
    "^((1+)+)+2$",
    "(1|1 )*(1|1 )*(1|1 )*3",
    "1.?.?.?.?.?.?.?.?.?.?.?.?.?.?2$",
    "(((((1*)*)*)*)*)*3",
    "^(1?){1}(1?)(1?)(1?)(1?)(1?)(1?)1111113",
    // To know whether one of the last 13 characters was a 1 takes more states than are kept: all is found anew.
    "1............3",
  ];
  const random = seededRandom(7);
  for (const pattern of nasty) {
    const set = compilePathMatcher([pattern]);
    /** Steps for a text of a length that nothing has been learned from. */
    const cost = (length: number): number => {
      const before = set.steps;
      const text = Array.from({ length }, () => (random() < 0.5 ? "1" : random() < 0.5 ? " " : "2")).join("");
      assert.equal(set.matches(`${text}4`), false);
      return set.steps - before;
    };
    // Each character looks at each instruction a few times at most; an expression has some four per character.
    const perCharacter = 1 + 4 * 4 * pattern.length;
    for (const length of [1_000, 4_000, 16_000]) assert.ok(cost(length) <= length * perCharacter, pattern);
  }
});

test("more states than are kept give the same answers", () => {
  // Whether one of the last 12 characters was a 1 takes 4096 states to know.
  const set = compilePathMatcher(["1............$"]);
  fc.assert(
    fc.property(fc.stringMatching(/^[12]{20,200}$/), (text) => {
      assert.equal(set.matches(text), text[text.length - 13] === "1");
    }),
  );
});

test("a scanner finds in one pass what each expression finds alone", () => {
  const expression = fc.constantFrom(
    "_1_",
    "_2_",
    "^1_",
    "_12$",
    "^$",
    "_1_2_",
    "{2",
    "_\\(",
    "^[0-9]+_2_",
    "1.+1",
  );
  const asns = fc.array(fc.constantFrom(0, 1, 2, 12, 121, 4_294_967_295), { minLength: 1, maxLength: 4 });
  const segment = fc.record({ type: fc.constantFrom(...Object.values(SegmentType)), asns });
  const groups = fc.array(fc.array(expression, { minLength: 1, maxLength: 3 }), {
    minLength: 1,
    maxLength: 6,
  });
  fc.assert(
    fc.property(
      groups,
      fc.array(fc.array(segment, { maxLength: 3 }), { minLength: 1, maxLength: 4 }),
      (all, paths) => {
        const scanner = new PathScanner();
        const numbers = all.map((each) => scanner.add(each));
        for (const path of paths) {
          const found = Uint8Array.from(scanner.scan(path));
          for (const [i, each] of all.entries()) {
            const alone = compilePathMatcher(each).matches(formatAsPath(path));
            assert.equal(found[numbers[i]] === 1, alone, `${each} in "${formatAsPath(path)}"`);
          }
        }
      },
    ),
  );
});

test("expressions that need too many states together are divided, and answer as before", () => {
  const scanner = new PathScanner();
  const distances = [11, 12, 13];
  const groups = distances.map((distance) => scanner.add([`1${".".repeat(distance)}$`]));
  fc.assert(
    fc.property(fc.stringMatching(/^[12]{100,400}$/), (text) => {
      const found = scanner.scanText(text);
      for (const [i, distance] of distances.entries()) {
        assert.equal(found[groups[i]] === 1, text[text.length - 1 - distance] === "1");
      }
    }),
  );
});
