/** YAML text, one document or many, to trees. */
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  parseAllDocuments,
} from "yaml";
import type { MapEntry, ProblemList, Span, TreeNode } from "./tree.ts";

/** Bounds what aliases can blow a small file up to. */
const nodesMax = 2_000_000;
const depthMax = 64;

/** @returns the documents that are not empty, or undefined after problems were added */
export function parseYamlTrees(text: string, problems: ProblemList): TreeNode[] | undefined {
  const count = problems.problems.length;
  const syntax = (span: Span, message: string): void => {
    problems.add(span, { code: "SYNTAX", path: "", message: `not valid YAML: ${message}` });
  };
  const trees: TreeNode[] = [];
  try {
    const documents = parseAllDocuments(text, { prettyErrors: false, version: "1.2", uniqueKeys: true });
    for (const document of documents) {
      for (const error of [...document.errors, ...document.warnings]) {
        syntax({ start: error.pos[0], end: error.pos[1] }, firstLine(error.message));
      }
      if (document.errors.length > 0 || document.warnings.length > 0 || !document.contents) continue;
      const tree = new Converter(document as Document, syntax).convert(document.contents as Node, 0);
      if (tree && !(tree.type === "scalar" && tree.value === null)) trees.push(tree);
    }
  } catch (error) {
    const message = error instanceof RangeError ? "it is nested too deeply" : "it cannot be parsed";
    syntax({ start: 0, end: 1 }, message);
  }
  return problems.problems.length > count ? undefined : trees;
}

const firstLine = (message: string): string => message.split("\n")[0];

class Converter {
  readonly #document: Document;
  readonly #fail: (span: Span, message: string) => void;
  #nodes = 0;
  #gaveUp = false;

  constructor(document: Document, fail: (span: Span, message: string) => void) {
    this.#document = document;
    this.#fail = fail;
  }

  convert(
    node: Node | null | undefined,
    depth: number,
    near: Span = { start: 0, end: 1 },
  ): TreeNode | undefined {
    const span = node?.range ? { start: node.range[0], end: node.range[1] } : near;
    if (this.#gaveUp) return undefined;
    if (++this.#nodes > nodesMax || depth > depthMax) {
      this.#gaveUp = true;
      this.#fail(span, depth > depthMax ? "it is nested too deeply" : "its aliases make it too large");
      return undefined;
    }
    if (!node) return { type: "scalar", value: null, span };
    if (isAlias(node)) return this.#alias(node, depth, span);
    if (isScalar(node)) return scalar(node.value, span);
    if (isSeq(node)) {
      const items = node.items.map((item) => this.convert(item as Node, depth + 1, span));
      return { type: "list", items: items.filter((item) => item !== undefined), span };
    }
    if (!isMap(node)) return { type: "other", what: "something else", span };
    const entries: MapEntry[] = [];
    for (const pair of node.items) {
      const key = pair.key as Node;
      const keySpan = key?.range ? { start: key.range[0], end: key.range[1] } : span;
      if (!isScalar(key) || key.value === null || typeof key.value === "object") {
        this.#fail(keySpan, "a key must be a plain text");
        continue;
      }
      const value = this.convert(pair.value as Node | null, depth + 1, keySpan);
      // A key like 192.0.2.1 is text; a key like 65001 is taken as it is written.
      const text = typeof key.value === "string" ? key.value : String(key.source ?? key.value);
      if (value) entries.push({ key: text, keySpan, value });
    }
    return { type: "map", entries, span: { start: span.start, end: Math.min(span.end, span.start + 1) } };
  }

  #alias(node: Alias, depth: number, span: Span): TreeNode | undefined {
    const target = node.resolve(this.#document);
    if (target) return this.convert(target as Node, depth + 1, span);
    this.#fail(span, `there is no anchor ${node.source}`);
    return undefined;
  }
}

function scalar(value: unknown, span: Span): TreeNode {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return { type: "scalar", value, span };
    default:
      return value === null
        ? { type: "scalar", value: null, span }
        : { type: "other", what: "something else", span };
  }
}
