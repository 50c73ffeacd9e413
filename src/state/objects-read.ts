/** Objects as rows hold them, back to messages. */
import { fromJson, toJson } from "@bufbuild/protobuf";
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

/** An entry as rows hold it. */
export function storedOf({ kind, spec, ...entry }: ObjectEntry): StoredObject {
  return { ...entry, kind: kind.name, spec: toJson(kind.desc, spec) };
}
