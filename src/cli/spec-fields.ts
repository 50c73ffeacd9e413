/** A spec as label and value lines for people, by its descriptor: new fields show without a change here. */
import {
  type DescField,
  type DescMessage,
  type JsonValue,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { enumWord, humanSeconds, safeText } from "./human.ts";

/** The set fields of a message, in the schema's order, without those of `skip` (snake_case). */
export function specFields<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  skip: readonly string[] = [],
): [string, string][] {
  const json = toJson(schema, message) as Record<string, JsonValue>;
  const lines: [string, string][] = [];
  for (const field of schema.fields) {
    const value = json[field.jsonName];
    if (value !== undefined && !skip.includes(field.name))
      lines.push([field.name.replaceAll("_", " "), valueText(field, value)]);
  }
  return lines;
}

/** One field's JSON value as people read it. */
export function valueText(field: DescField, value: JsonValue): string {
  if (Array.isArray(value)) return value.map((item) => itemText(field, item)).join(", ");
  return itemText(field, value);
}

function itemText(field: DescField, value: JsonValue): string {
  const type = field.enum;
  if (type && typeof value === "string") return enumWord(value, (type.sharedPrefix ?? "").toUpperCase());
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string" && field.message?.typeName === "google.protobuf.Duration") {
    return humanSeconds(Number(value.slice(0, -1)));
  }
  if (value !== null && typeof value === "object" && !Array.isArray(value) && field.message) {
    return messageText(field.message, value);
  }
  return safeText(String(value));
}

function messageText(schema: DescMessage, value: Record<string, JsonValue | undefined>): string {
  if (schema.name === "PrefixRule") return prefixRuleText(value);
  const parts: string[] = [];
  for (const field of schema.fields) {
    const part = value[field.jsonName];
    if (part !== undefined) parts.push(`${field.name.replaceAll("_", " ")} ${valueText(field, part)}`);
  }
  return parts.join(", ");
}

/** "10.0.0.0/8 ge 24 le 32". */
export function prefixRuleText(rule: Record<string, JsonValue | undefined>): string {
  const bounds = [
    rule.ge === undefined ? "" : ` ge ${rule.ge}`,
    rule.le === undefined ? "" : ` le ${rule.le}`,
  ];
  return `${rule.prefix}${bounds.join("")}`;
}
