/** Responses as JSON, YAML or lines, without any change of form. */
import { type DescMessage, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";
import type { Format } from "./context.ts";
import type { Output } from "./output.ts";

/** Writes one response; ndjson gives it on one line. */
export async function writeMessage<D extends DescMessage>(
  out: Output,
  format: Format,
  schema: D,
  message: MessageShape<D>,
): Promise<void> {
  const json = toJson(schema, message);
  if (format === "yaml") out.write(await yamlText(json));
  else out.line(format === "ndjson" ? JSON.stringify(json) : JSON.stringify(json, undefined, 2));
}

/** A YAML document of a JSON value. */
export async function yamlText(json: JsonValue): Promise<string> {
  const { stringify } = await import("yaml");
  return stringify(json, { lineWidth: 0, aliasDuplicateObjects: false });
}
