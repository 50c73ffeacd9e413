/** Path attributes as names and texts, by the attribute table: for logs, explanations and tools. */
import { attributeName, attributeRows } from "./attributes/registry.ts";
import { hex } from "./message.ts";
import type { PathAttributes } from "./path-attributes.ts";

/** Every attribute that is present, in order of type codes; those that cairn does not read as hexadecimal digits. */
export function describeAttributes(
  attributes: PathAttributes,
): { type: number; name: string; value: string }[] {
  const known = attributeRows
    .filter((row) => row.format && row.present?.(attributes))
    .map((row) => ({ type: row.code, name: row.name, value: row.format?.(attributes) ?? "" }));
  const unknown = attributes.unknown.map(({ type, value }) => ({
    type,
    name: attributeName(type),
    value: hex(value),
  }));
  return [...known, ...unknown].sort((a, b) => a.type - b.type);
}
