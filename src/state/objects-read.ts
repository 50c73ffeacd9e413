/** Objects as rows hold them, back to messages. */
import { type DescMessage, fromJson, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { assert } from "../base/assert.ts";
import type { Problem } from "../base/problem.ts";
import { kinds, nearestKind, objectName } from "./kinds.ts";
import type { ObjectEntry } from "./objects.ts";
import { objectId } from "./objects-index.ts";
import type { StoredObject } from "./rows.ts";

/** An entry of what the database or a history row holds; undefined after a problem. */
export function readEntry(row: StoredObject, problems: Problem[]): ObjectEntry | undefined {
  const kind = kinds.get(row.kind);
  const path = objectId(row.kind, row.name);
  if (!kind) {
    const near = nearestKind(row.kind);
    const message = `this version of cairn has no kind ${row.kind}; a newer one wrote it`;
    problems.push({
      code: "UNKNOWN_KIND",
      path,
      message,
      ...(near ? { fix: `the nearest is ${near}` } : {}),
    });
    return undefined;
  }
  try {
    const spec = fromJson(kind.desc, row.spec);
    assert(objectName(kind, spec) === row.name, `stored object ${path} holds another name`);
    const { name, generation, created, updated, managedBy } = row;
    return { kind, name, spec, generation, created, updated, managedBy };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `the stored spec cannot be read (${reason}); a newer version of cairn may have written it`;
    problems.push({ code: "UNKNOWN_FIELD", path, message, fix: "start the version that wrote it" });
    return undefined;
  }
}

const jsonOfSpec = new WeakMap<Message, JsonValue>();

/**
 * The spec in proto3 JSON. A transaction needs it for its rows and its hash, and the next change of the object for its
 * undo, so it is kept with the spec.
 * @param spec of an object that is declared or about to be: nobody changes it any more
 */
export function specJson(desc: DescMessage, spec: Message): JsonValue {
  let json = jsonOfSpec.get(spec);
  if (json === undefined) {
    json = toJson(desc, spec);
    jsonOfSpec.set(spec, json);
  }
  return json;
}

/** An entry as rows hold it. */
export function storedOf({
  kind,
  name,
  spec,
  generation,
  created,
  updated,
  managedBy,
}: ObjectEntry): StoredObject {
  return { kind: kind.name, name, spec: specJson(kind.desc, spec), generation, created, updated, managedBy };
}
