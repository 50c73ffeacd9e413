/**
 * From what people write (flags, JSON, YAML) to a message, guided by its descriptor alone: a new field of the schema
 * is understood here without a change. All problems are told at once.
 */
import {
  type DescField,
  type DescMessage,
  fromJson,
  type JsonValue,
  type MessageShape,
} from "@bufbuild/protobuf";
import { nearestName } from "../base/problem.ts";
import { CliError, exitCode, type Violation } from "./exit.ts";
import { enumWord, parseSpanMs } from "./human.ts";

/**
 * Reads a value into a message. Keys may be snake_case, camelCase or kebab-case; enums take their short word
 * (accept, igp); spans take 90, 90s or 5m; a message may be given as text ("10.0.0.0/8 ge 24", "family=ipv4-unicast,max=100").
 * @throws CliError (usage) with a violation for each field that is wrong
 */
export function readMessage<D extends DescMessage>(schema: D, value: unknown, what: string): MessageShape<D> {
  const problems: Violation[] = [];
  const json = readObject(schema, value, "", problems);
  if (problems.length === 0) {
    try {
      return fromJson(schema, json);
    } catch (error) {
      problems.push({ field: "", description: (error as Error).message });
    }
  }
  throw new CliError(exitCode.usage, "USAGE", `${what} cannot be understood:`, { violations: problems });
}

/** The field that a word means, whatever its spelling. */
export function findField(schema: DescMessage, word: string): DescField | undefined {
  const snake = word.replaceAll("-", "_");
  return schema.fields.find((field) => field.name === snake || field.jsonName === word);
}

/** Short words of an enum, without its zero value. */
export function enumWords(field: DescField): string[] {
  const type = field.fieldKind === "list" && field.listKind === "enum" ? field.enum : undefined;
  const found = type ?? (field.fieldKind === "enum" ? field.enum : undefined);
  if (!found) return [];
  return found.values
    .filter(({ number }) => number !== 0)
    .map(({ name }) => enumWord(name, prefixOf(found.sharedPrefix)));
}

function prefixOf(shared: string | undefined): string {
  return (shared ?? "").toUpperCase();
}

function readObject(schema: DescMessage, value: unknown, path: string, problems: Violation[]): JsonValue {
  const object = typeof value === "string" ? readText(schema, value) : value;
  if (object === undefined || object === null || typeof object !== "object" || Array.isArray(object)) {
    problems.push({ field: path, description: `${JSON.stringify(value)} is not ${describeMessage(schema)}` });
    return {};
  }
  const json: Record<string, JsonValue> = {};
  for (const [key, part] of Object.entries(object)) {
    const field = findField(schema, key);
    const at = path === "" ? key : `${path}.${key}`;
    if (!field) {
      const near = nearestName(
        key,
        schema.fields.map(({ name }) => name),
      );
      problems.push({
        field: at,
        description: `there is no such field${near ? `; did you mean ${near}` : ""}`,
      });
    } else if (part !== null) {
      json[field.jsonName] = readField(field, part, at, problems);
    }
  }
  return json;
}

function readField(field: DescField, value: unknown, path: string, problems: Violation[]): JsonValue {
  if (field.fieldKind !== "list") return readValue(field, value, path, problems);
  const items = Array.isArray(value) ? value : [value];
  return items.map((item, i) => readValue(field, item, `${path}[${i}]`, problems));
}

function readValue(field: DescField, value: unknown, path: string, problems: Violation[]): JsonValue {
  const kind = field.fieldKind === "list" ? field.listKind : field.fieldKind;
  const wrong = (expected: string): JsonValue => {
    problems.push({ field: path, description: `${JSON.stringify(value)} is not ${expected}` });
    return null;
  };
  if (kind === "message" && field.message) {
    if (field.message.typeName !== "google.protobuf.Duration")
      return readObject(field.message, value, path, problems);
    const ms = parseSpanMs(String(value));
    return ms === undefined ? wrong("a span such as 90s, 5m or 1h30m") : `${ms / 1000}s`;
  }
  if (kind === "enum" && field.enum) {
    const prefix = prefixOf(field.enum.sharedPrefix);
    const word = String(value).toUpperCase().replaceAll("-", "_");
    const found = field.enum.values.find(({ name }) => name === word || name === prefix + word);
    return found ? found.name : wrong(`one of ${enumWords(field).join(", ")}`);
  }
  if (typeof value === "object") return wrong("a single value");
  const text = String(value);
  switch (field.scalar) {
    case 9: // string
      return text;
    case 8: // bool
      if (/^(true|yes|on)$/i.test(text)) return true;
      return /^(false|no|off)$/i.test(text) ? false : wrong("true or false");
    case 12: // bytes, base64
      return text;
    case 13: // uint32
      return /^\d{1,10}$/.test(text) && Number(text) <= 0xffff_ffff
        ? Number(text)
        : (readAsDot(text) ?? wrong("a whole number from 0 to 4294967295"));
    default:
      return /^\d{1,20}$/.test(text) ? text : wrong("a whole number");
  }
}

/** AS numbers may be written AS65001, 1.10 (RFC 5396 asdot) or plain. */
function readAsDot(text: string): number | undefined {
  const plain = /^AS(\d{1,10})$/i.exec(text);
  if (plain) return Number(plain[1]) <= 0xffff_ffff ? Number(plain[1]) : undefined;
  const dotted = /^(?:AS)?(\d{1,5})\.(\d{1,5})$/i.exec(text);
  if (!dotted || Number(dotted[1]) > 65_535 || Number(dotted[2]) > 65_535) return undefined;
  return Number(dotted[1]) * 65_536 + Number(dotted[2]);
}

function describeMessage(schema: DescMessage): string {
  if (schema.name === "PrefixRule")
    return 'a prefix such as "10.0.0.0/8", "10.0.0.0/8 ge 24 le 32", "10.0.0.0/8+" or "10.0.0.0/8-"';
  return `of the form ${schema.fields.map(({ name }) => `${name}=...`).join(",")}`;
}

/** Text forms of messages: a prefix with bounds, else JSON or name=value pairs. */
function readText(schema: DescMessage, text: string): Record<string, unknown> | undefined {
  if (text.trimStart().startsWith("{")) {
    try {
      return JSON.parse(text) as Record<string, unknown>;
    } catch {
      return undefined;
    }
  }
  if (schema.name === "PrefixRule") return readPrefixRule(text);
  const pairs = text.split(",").map((pair) => pair.split("="));
  if (pairs.some((pair) => pair.length !== 2)) return undefined;
  return Object.fromEntries(pairs.map(([name, value]) => [name.trim(), value.trim()]));
}

function readPrefixRule(text: string): Record<string, unknown> | undefined {
  const match = /^([0-9a-fA-F.:]+\/\d{1,3})([+-])?((?:\s+(?:ge|le)\s+\d{1,3})*)$/.exec(text.trim());
  if (!match) return undefined;
  const rule: Record<string, unknown> = { prefix: match[1] };
  if (match[2] === "+") rule.le = match[1].includes(":") ? 128 : 32;
  if (match[2] === "-") rule.covering = true;
  for (const [, bound, length] of match[3].matchAll(/(ge|le)\s+(\d+)/g)) rule[bound] = Number(length);
  // "ge" alone means that long or longer
  if (rule.ge !== undefined && rule.le === undefined && !rule.covering)
    rule.le = match[1].includes(":") ? 128 : 32;
  return rule;
}
