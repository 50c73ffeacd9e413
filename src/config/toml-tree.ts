/** TOML text to a tree. */
import { type AST, ParseError, parseTOML } from "toml-eslint-parser";
import type { MapEntry, MapNode, ProblemList, Span, TreeNode } from "./tree.ts";

/** @returns the tree, or undefined after the syntax error was added to `problems` */
export function parseTomlTree(text: string, problems: ProblemList): MapNode | undefined {
  try {
    return buildTree(parseTOML(text, { tomlVersion: "1.0" }).body[0]);
  } catch (error) {
    const at = error instanceof ParseError ? error.index : 0;
    const message =
      error instanceof ParseError ? error.message : "the text is nested too deeply or cannot be parsed";
    problems.add(
      { start: at, end: at + 1 },
      { code: "SYNTAX", path: "", message: `not valid TOML: ${message}` },
    );
    return undefined;
  }
}

interface MutableMap extends MapNode {
  readonly byKey: Map<string, MapEntry>;
}

const spanOf = (node: AST.HasLocs): Span => ({ start: node.range[0], end: node.range[1] });
const newMap = (span: Span): MutableMap => ({ type: "map", entries: [], span, byKey: new Map() });

function buildTree(top: AST.TOMLTopLevelTable): MapNode {
  const root = newMap({ start: 0, end: 0 });
  for (const node of top.body) {
    if (node.type === "TOMLKeyValue") addKeyValue(root, node);
    else for (const child of node.body) addKeyValue(openTable(root, node), child);
    if (node.type === "TOMLTable" && node.body.length === 0) openTable(root, node);
  }
  return root;
}

/** The map that `[a.b]` or `[[a.b]]` is about, made on first sight. */
function openTable(root: MutableMap, table: AST.TOMLTable): MutableMap {
  let here: MutableMap = root;
  const span = spanOf(table.key);
  let keyIndex = 0;
  for (let i = 0; i < table.resolvedKey.length; i++) {
    const key = table.resolvedKey[i];
    if (typeof key === "number") continue;
    const next = table.resolvedKey[i + 1];
    here = step(
      here,
      key,
      spanOf(table.key.keys[keyIndex++]),
      typeof next === "number" ? next : undefined,
      span,
    );
  }
  return here;
}

function step(
  map: MutableMap,
  key: string,
  keySpan: Span,
  index: number | undefined,
  span: Span,
): MutableMap {
  let entry = map.byKey.get(key);
  if (!entry) {
    entry = { key, keySpan, value: index === undefined ? newMap(span) : { type: "list", items: [], span } };
    map.entries.push(entry);
    map.byKey.set(key, entry);
  }
  const { value } = entry;
  if (value.type === "list") {
    const at = index ?? value.items.length - 1;
    if (at >= value.items.length) value.items.push(newMap(span));
    return value.items[at] as MutableMap;
  }
  return value as MutableMap;
}

function addKeyValue(map: MutableMap, node: AST.TOMLKeyValue): void {
  const { keys } = node.key;
  let here = map;
  for (const key of keys.slice(0, -1)) here = step(here, keyText(key), spanOf(key), undefined, spanOf(key));
  const last = keys[keys.length - 1];
  const entry = { key: keyText(last), keySpan: spanOf(last), value: convert(node.value) };
  here.entries.push(entry);
  here.byKey.set(entry.key, entry);
}

const keyText = (key: AST.TOMLBare | AST.TOMLQuoted): string =>
  key.type === "TOMLBare" ? key.name : key.value;

function convert(node: AST.TOMLContentNode): TreeNode {
  const span = spanOf(node);
  if (node.type === "TOMLArray") return { type: "list", items: node.elements.map(convert), span };
  if (node.type === "TOMLInlineTable") {
    const map = newMap(span);
    for (const child of node.body) addKeyValue(map, child);
    return map;
  }
  if (node.value instanceof Date) return { type: "other", what: "a date", span };
  const value = node.kind === "integer" ? node.bigint : node.value;
  return { type: "scalar", value: typeof value === "bigint" ? plainNumber(value) : value, span };
}

function plainNumber(value: bigint): number | bigint {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER)
    ? Number(value)
    : value;
}
