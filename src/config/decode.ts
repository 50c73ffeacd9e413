/**
 * A tree to a spec, by the descriptor of its message: nothing here knows any particular field. What the field options
 * say about values is checked later, by the same code that checks the API's requests; here it is types and names.
 */
import { create, type DescEnum, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { nearestName } from "../base/problem.ts";
import { type PrefixRule, PrefixRuleSchema } from "../gen/cairn/v1/policy_service_pb.ts";
import { type FieldInfo, fieldNamed, fieldsOf, isDuration, setFieldValue } from "../state/schema.ts";
import {
  type ConfigContext,
  type MapNode,
  nodeKind,
  type ProblemList,
  type Span,
  substitute,
  type TreeNode,
} from "./tree.ts";

/** A spec with the places of its fields, by path inside the spec; "" is the object itself. */
export interface Decoded {
  readonly spec: Message;
  readonly spans: Map<string, Span>;
}

export class Decoder {
  readonly #context: ConfigContext;
  readonly #problems: ProblemList;

  constructor(context: ConfigContext, problems: ProblemList) {
    this.#context = context;
    this.#problems = problems;
  }

  /** The message that `map` describes. What is wrong becomes a problem and stays unset. */
  object(desc: DescMessage, map: MapNode, id: string): Decoded {
    const spans = new Map<string, Span>([["", map.span]]);
    return { spec: this.#message(desc, map, "", id, spans), spans };
  }

  /** A text with `${ENV}` filled in; undefined after a problem. */
  text(node: TreeNode, path: string): string | undefined {
    if (node.type !== "scalar" || typeof node.value !== "string") {
      const fix = node.type === "scalar" && typeof node.value === "number" ? "put it in quotes" : undefined;
      return this.#wrong(node, path, `must be a text, not ${nodeKind(node)}`, fix);
    }
    const filled = substitute(node.value, this.#context.env);
    if ("text" in filled) {
      if (filled.text.isWellFormed()) return filled.text;
      return this.#wrong(node, path, "is not valid Unicode text");
    }
    return this.#wrong(
      node,
      path,
      `the environment variable ${filled.missing} is not set`,
      "write $${ for a plain ${",
    );
  }

  /** A whole number; undefined after a problem. */
  integer(node: TreeNode, path: string, max: number): number | undefined {
    const value = node.type === "scalar" ? this.#numeric(node.value) : undefined;
    if (value === undefined) return this.#wrong(node, path, `must be a number, not ${nodeKind(node)}`);
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max) return value;
    return this.#wrong(node, path, `must be a whole number from 0 to ${max}, not ${value}`);
  }

  boolean(node: TreeNode, path: string): boolean | undefined {
    if (node.type === "scalar" && typeof node.value === "boolean") return node.value;
    return this.#wrong(node, path, `must be true or false, not ${nodeKind(node)}`);
  }

  unknownKey(key: string, span: Span, path: string, names: readonly string[]): void {
    const near = nearestName(key, names);
    const fix = near
      ? `did you mean ${near}`
      : names.length <= 12
        ? `known here: ${names.join(", ")}`
        : undefined;
    const message = `unknown key "${key.slice(0, 64)}"`;
    this.#problems.add(span, { code: "UNKNOWN_FIELD", path, message, value: key, ...(fix ? { fix } : {}) });
  }

  #message(desc: DescMessage, map: MapNode, path: string, id: string, spans: Map<string, Span>): Message {
    const message = create(desc);
    for (const entry of map.entries) {
      const info = fieldNamed(desc, entry.key);
      const at = path === "" ? entry.key : `${path}.${entry.key}`;
      if (!info) {
        this.unknownKey(
          entry.key,
          entry.keySpan,
          `${id}.${at}`,
          fieldsOf(desc).map((field) => field.name),
        );
        continue;
      }
      spans.set(at, entry.value.span);
      const value = this.#field(info, entry.value, at, id, spans);
      if (value !== undefined) setFieldValue(message, info, value);
    }
    return message;
  }

  #field(info: FieldInfo, node: TreeNode, path: string, id: string, spans: Map<string, Span>): unknown {
    if (info.desc.fieldKind !== "list") return this.#value(info, node, path, id, spans);
    if (node.type !== "list")
      return this.#wrong(
        node,
        `${id}.${path}`,
        `${info.name} must be a list, not ${nodeKind(node)}`,
        "put it in [ ]",
      );
    const values: unknown[] = [];
    for (const item of node.items) {
      const at = `${path}[${values.length}]`; // its place in the list as decoded, which leaves out what is wrong
      spans.set(at, item.span);
      const value = this.#value(info, item, at, id, spans);
      if (value !== undefined) values.push(value);
    }
    return values;
  }

  #value(info: FieldInfo, node: TreeNode, path: string, id: string, spans: Map<string, Span>): unknown {
    const where = `${id}.${path}`;
    const { desc } = info;
    if (isDuration(desc)) return this.#duration(node, where);
    if (desc.enum) return this.#enum(desc.enum, node, where);
    if (desc.message) {
      if (node.type === "map") return this.#message(desc.message, node, path, id, spans);
      if (desc.message.typeName === PrefixRuleSchema.typeName) return this.#prefixRule(node, where);
      return this.#wrong(node, where, `${info.name} must be a table, not ${nodeKind(node)}`);
    }
    if (desc.scalar === ScalarType.STRING) {
      const text = this.text(node, where);
      return text !== undefined && info.rule.secret ? this.#secret(text, node, where) : text;
    }
    return desc.scalar === ScalarType.BOOL
      ? this.boolean(node, where)
      : this.integer(node, where, 0xffff_ffff);
  }

  /** Numbers, and texts from the environment that are numbers. */
  #numeric(value: unknown): number | bigint | undefined {
    if (typeof value === "number" || typeof value === "bigint") return value;
    if (typeof value !== "string" || !value.includes("${")) return undefined;
    const filled = substitute(value, this.#context.env);
    return "text" in filled && /^[0-9]{1,15}$/.test(filled.text) ? Number(filled.text) : undefined;
  }

  #duration(node: TreeNode, path: string): unknown {
    if (node.type === "scalar" && typeof node.value === "number") {
      if (node.value >= 0 && node.value <= 1e9) return durationFromMs(Math.round(node.value * 1000));
      return this.#wrong(node, path, `must be 0 to 1000000000 seconds, not ${node.value}`);
    }
    const text = node.type === "scalar" && typeof node.value === "string" ? this.text(node, path) : "";
    if (text === undefined) return undefined;
    const ms = parseDurationMs(text);
    if (ms !== undefined) return durationFromMs(ms);
    return this.#wrong(
      node,
      path,
      `must be a time span, not ${text === "" ? nodeKind(node) : `"${text}"`}`,
      'write seconds, or text such as "90s", "5m" or "1h30m"',
    );
  }

  #enum(desc: DescEnum, node: TreeNode, path: string): unknown {
    const text = this.text(node, path);
    if (text === undefined) return undefined;
    const names = new Map(
      desc.values
        .filter((value) => value.number !== 0)
        .map((value) => [shortName(desc, value.name), value.number] as const),
    );
    const wanted = text.toLowerCase().replaceAll("-", "_");
    const found = names.get(wanted) ?? names.get(shortName(desc, text.toUpperCase()));
    if (found !== undefined) return found;
    const near = nearestName(wanted, names.keys());
    return this.#wrong(
      node,
      path,
      `"${text}" is not one of ${[...names.keys()].join(", ")}`,
      near && `did you mean ${near}`,
    );
  }

  #prefixRule(node: TreeNode, path: string): PrefixRule | undefined {
    const text = this.text(node, path);
    if (text === undefined) return undefined;
    const match = /^(\S+?)([+-])?(?:\s+ge\s+(\d{1,3}))?(?:\s+le\s+(\d{1,3}))?$/.exec(text.trim());
    if (!match || (match[2] === "+" && (match[3] || match[4]))) {
      const fix = 'write "10.0.0.0/8", "10.0.0.0/8 ge 24 le 32", "10.0.0.0/8+" or "10.0.0.0/8-"';
      return this.#wrong(node, path, `"${text}" is not a prefix with bounds`, fix);
    }
    const [, prefix, sign, ge, le] = match;
    return create(PrefixRuleSchema, {
      prefix,
      covering: sign === "-",
      ...(ge ? { ge: Number(ge) } : {}),
      ...(le ? { le: Number(le) } : sign === "+" ? { le: prefix.includes(":") ? 128 : 32 } : {}),
    });
  }

  /** `file:PATH` stands for what is in the file, without the newline at its end. */
  #secret(text: string, node: TreeNode, path: string): string | undefined {
    if (!text.startsWith("file:")) return text;
    const file = text.slice("file:".length);
    try {
      return this.#context.readFile(file, "secret").replace(/\r?\n$/, "");
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return this.#wrong(node, path, `the secret in ${file} cannot be read: ${reason}`);
    }
  }

  #wrong(node: TreeNode, path: string, message: string, fix?: string): undefined {
    this.#problems.add(node.span, { code: "INVALID", path, message, ...(fix ? { fix } : {}) });
    return undefined;
  }
}

/** `REMOVE_PRIVATE_AS_ALL` as `all`. */
function shortName(desc: DescEnum, name: string): string {
  const prefix = desc.values[0].name.replace(/UNSPECIFIED$/, "");
  return (name.startsWith(prefix) ? name.slice(prefix.length) : name).toLowerCase();
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `90s`, `1h30m`, `500ms`; undefined when the text is not of that form. */
export function parseDurationMs(text: string): number | undefined {
  if (!/^(?:\d{1,9}(?:\.\d{1,3})?(?:ms|s|m|h|d))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g))
    total += Number(number) * unitMs[unit];
  return Math.round(total);
}
