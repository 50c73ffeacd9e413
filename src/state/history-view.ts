/** What history shows: the change between two states of an object, and who set each of its fields. */
import { create, type JsonObject, type JsonValue, type Message } from "@bufbuild/protobuf";
import { Impact } from "../gen/cairn/v1/options_pb.ts";
import {
  FieldChangeSchema,
  type ObjectChange,
  ObjectChange_Action,
  ObjectChangeSchema,
} from "../gen/cairn/v1/types_pb.ts";
import type { Kind } from "./kinds.ts";
import type { StoredGeneration, StoredRevision } from "./rows.ts";
import { diffSpecs, impactName, secretsSet, specText } from "./schema-diff.ts";

/** The change from one spec to the other, undefined when there is none. Absent specs: the object comes or goes. */
export function changeBetween(
  kind: Kind,
  name: string,
  before: Message | undefined,
  after: Message | undefined,
): ObjectChange | undefined {
  const identity = { kind: kind.name, name };
  if (before && after) {
    const { changes } = diffSpecs(kind.desc, before, after);
    if (changes.length === 0) return undefined;
    return create(ObjectChangeSchema, { ...identity, action: ObjectChange_Action.UPDATE, fields: changes });
  }
  if (!before && !after) return undefined;
  const impact = before && kind.rules.deleteResets ? Impact.SESSION_RESET : Impact.NONE;
  const field = create(FieldChangeSchema, {
    oldValue: before ? specText(kind.desc, before) : "",
    newValue: after ? specText(kind.desc, after) : "",
    impact: impactName(impact),
  });
  const action = after ? ObjectChange_Action.CREATE : ObjectChange_Action.DELETE;
  return create(ObjectChangeSchema, { ...identity, action, fields: [field] });
}

/** A value of a spec and the change that put it there. */
export interface Origin {
  /** Path in the spec, for example `prefix_limits[0]`. */
  readonly path: string;
  /** JSON text; "(secret)" for a secret. */
  readonly value: string;
  /** Undefined when the change is no longer retained. */
  readonly generation: StoredGeneration | undefined;
  /** It was set in or before `generation`. */
  readonly older: boolean;
}

/**
 * Who set each value of a spec. An element of a list counts as a whole, wherever in the list it stood.
 * @param json the spec in proto3 JSON with the names of the .proto
 * @param revisions changes of the object, newest first, with what it was before each in the same form
 */
export function origins(
  kind: Kind,
  spec: Message,
  json: JsonValue,
  revisions: readonly (StoredRevision & { readonly json: JsonValue })[],
): Origin[] {
  const secrets = new Set(secretsSet(kind.desc, spec));
  const found: Origin[] = [];
  eachLeaf(json, "", (path, parts, value) => {
    const origin = revisions.find((revision) => !holds(revision.json, parts, value));
    const field = parts[0] as string;
    found.push({
      path,
      value: JSON.stringify(secrets.has(path) || secrets.has(field) ? "(secret)" : value),
      generation: origin?.generation,
      older: origin === undefined || origin.folded,
    });
  });
  return found;
}

/** Calls `visit` for each value that is no table. The last part is undefined for an element of a list. */
function eachLeaf(
  value: JsonValue,
  path: string,
  visit: (path: string, parts: readonly (string | undefined)[], value: JsonValue) => void,
  parts: readonly (string | undefined)[] = [],
): void {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) visit(`${path}[${i}]`, [...parts, undefined], value[i]);
  } else if (isTable(value)) {
    for (const [name, inner] of Object.entries(value))
      eachLeaf(inner, path === "" ? name : `${path}.${name}`, visit, [...parts, name]);
  } else visit(path, parts, value);
}

function holds(json: JsonValue, parts: readonly (string | undefined)[], value: JsonValue): boolean {
  let at: JsonValue | undefined = json;
  const text = JSON.stringify(value);
  for (const part of parts) {
    if (part === undefined) return Array.isArray(at) && at.some((item) => JSON.stringify(item) === text);
    if (at === undefined || !isTable(at)) return false;
    at = at[part];
  }
  return JSON.stringify(at) === text;
}

function isTable(value: JsonValue): value is JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
