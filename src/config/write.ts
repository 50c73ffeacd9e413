/**
 * Objects as a configuration file that reads back to the same objects. What the reader would take for a reference
 * (`${`) is escaped; secrets are whatever the caller put in their place.
 */
import { type DescField, type JsonObject, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { stringify } from "yaml";
import { kinds } from "../state/kinds.ts";
import { fieldsOf, isDuration } from "../state/schema.ts";

export interface WritableObject {
  readonly kind: string;
  readonly spec: Message;
}

type Sections = [section: string, value: JsonObject | JsonObject[]][];

/** The objects in the order of kinds and as given within a kind. */
export function writeConfig(objects: Iterable<WritableObject>, format: "toml" | "yaml"): string {
  const byKind = new Map<string, JsonObject[]>();
  for (const { kind, spec } of objects) {
    const desc = kinds.get(kind)!.desc;
    const json = plain(desc.fields, toJson(desc, spec, { useProtoFieldName: true }) as JsonObject);
    const list = byKind.get(kind);
    if (list) list.push(json);
    else byKind.set(kind, [json]);
  }
  const sections: Sections = [];
  for (const kind of kinds.values()) {
    const list = byKind.get(kind.name);
    if (list) sections.push([kind.section, kind.key ? list : list[0]]);
  }
  return format === "toml" ? toml(sections) : yaml(sections);
}

/** JSON of a message with enums as short names, durations as they are, and texts that hold no references. */
function plain(fields: readonly DescField[], json: JsonObject): JsonObject {
  const result: JsonObject = {};
  for (const field of fields) {
    const value = json[field.name];
    if (value === undefined) continue;
    result[field.name] = Array.isArray(value)
      ? value.map((item) => plainValue(field, item))
      : plainValue(field, value);
  }
  return result;
}

function plainValue(field: DescField, value: JsonValue): JsonValue {
  if (field.enum) return shortName(field.enum.values[0].name, String(value));
  if (field.message && !isDuration(field)) {
    return plain(
      fieldsOf(field.message).map((info) => info.desc),
      value as JsonObject,
    );
  }
  return typeof value === "string" ? value.replaceAll("${", () => "$${") : value;
}

function shortName(zero: string, name: string): string {
  const prefix = zero.replace(/UNSPECIFIED$/, "");
  return (name.startsWith(prefix) ? name.slice(prefix.length) : name).toLowerCase();
}

function yaml(sections: Sections): string {
  return stringify(Object.fromEntries(sections), { lineWidth: 110, version: "1.2" });
}

function toml(sections: Sections): string {
  const blocks: string[] = [];
  for (const [section, value] of sections) {
    for (const table of Array.isArray(value) ? value : [value])
      blocks.push(tomlTable(section, table, Array.isArray(value)).join("\n"));
  }
  return blocks.length === 0 ? "" : `${blocks.join("\n\n")}\n`;
}

/** A table under its header: plain values first, then lists of tables under headers of their own. */
function tomlTable(header: string, table: JsonObject, isElement: boolean): string[] {
  const lines = [isElement ? `[[${header}]]` : `[${header}]`];
  const nested: string[] = [];
  for (const [name, value] of Object.entries(table)) {
    if (Array.isArray(value) && value.length > 0 && value.every(isTable)) {
      for (const item of value) nested.push("", ...tomlTable(`${header}.${name}`, item as JsonObject, true));
    } else lines.push(`${name} = ${tomlValue(value)}`);
  }
  return [...lines, ...nested];
}

const lineMax = 100;

function tomlValue(value: JsonValue): string {
  if (typeof value === "string") return tomlText(value);
  if (Array.isArray(value)) {
    const items = value.map(tomlValue);
    const line = `[${items.join(", ")}]`;
    return line.length <= lineMax ? line : `[\n${items.map((item) => `  ${item},\n`).join("")}]`;
  }
  if (isTable(value)) {
    const entries = Object.entries(value).map(([name, inner]) => `${name} = ${tomlInline(inner)}`);
    return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
  }
  return String(value);
}

/** Inside an inline table everything stands on one line. */
function tomlInline(value: JsonValue): string {
  return Array.isArray(value) ? `[${value.map(tomlInline).join(", ")}]` : tomlValue(value);
}

function tomlText(text: string): string {
  return JSON.stringify(text).replaceAll("\u007f", "\\u007F");
}

function isTable(value: JsonValue): value is JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
