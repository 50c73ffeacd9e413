/** What changed between two specs, field by field, and what each change does to what is running. */
import { clone, create, type DescMessage, equals, type Message, toJson } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Impact } from "../gen/cairn/v1/options_pb.ts";
import { type FieldChange, FieldChangeSchema } from "../gen/cairn/v1/types_pb.ts";
import { type FieldInfo, fieldsOf, fieldValue, isDuration, isSet, setFieldValue } from "./schema.ts";

/** Elements of one list that a diff names one by one; a longer list of changes is told as two counts. */
const listChangesMax = 100;
const secretText = "(secret)";

/** Changed fields with the worst impact among them, and the top-level fields they are in. */
export interface SpecDiff {
  readonly changes: FieldChange[];
  readonly impact: Impact;
  /** Every impact class that occurs. */
  readonly impacts: ReadonlySet<Impact>;
  readonly fields: readonly string[];
}

/** `none`, `policy`, `refresh`, `session-reset` or `restart`. */
export function impactName(impact: Impact): string {
  switch (impact) {
    case Impact.POLICY:
      return "policy";
    case Impact.REFRESH:
      return "refresh";
    case Impact.SESSION_RESET:
      return "session-reset";
    case Impact.RESTART:
      return "restart";
    default:
      return "none";
  }
}

/** The changes that turn `before` into `after`. */
export function diffSpecs(desc: DescMessage, before: Message, after: Message): SpecDiff {
  const changes: FieldChange[] = [];
  const impacts = new Set<Impact>();
  const fields: string[] = [];
  const emit: Emit = (path, info, old, next, impact) => {
    impacts.add(impact);
    changes.push(
      create(FieldChangeSchema, {
        path,
        oldValue: shown(info, old),
        newValue: shown(info, next),
        impact: impactName(impact),
      }),
    );
  };
  for (const info of fieldsOf(desc)) {
    const count = changes.length;
    diffField(info, before, after, "", Impact.NONE, emit);
    if (changes.length > count) fields.push(info.name);
  }
  let impact: Impact = Impact.NONE;
  for (const one of impacts) if (one > impact) impact = one;
  return { changes, impact, impacts, fields };
}

/** Reports one changed place. `undefined` stands for absent. */
type Emit = (path: string, info: FieldInfo, old: unknown, next: unknown, impact: Impact) => void;

function diffField(
  info: FieldInfo,
  before: Message,
  after: Message,
  prefix: string,
  inherited: Impact,
  emit: Emit,
): void {
  const path = prefix === "" ? info.name : `${prefix}.${info.name}`;
  const impact = info.rule.impact === Impact.UNSPECIFIED ? inherited : info.rule.impact;
  const old = isSet(before, info) ? fieldValue(before, info) : undefined;
  const next = isSet(after, info) ? fieldValue(after, info) : undefined;
  if (old === undefined && next === undefined) return;
  if (info.desc.fieldKind === "list") {
    diffList(info, (old as unknown[]) ?? [], (next as unknown[]) ?? [], path, impact, emit);
  } else if (!sameValue(info, old, next)) {
    const nested =
      info.desc.fieldKind === "message" && !isDuration(info.desc) ? info.desc.message : undefined;
    if (!nested || old === undefined || next === undefined) emit(path, info, old, next, impact);
    else
      for (const inner of fieldsOf(nested))
        diffField(inner, old as Message, next as Message, path, impact, emit);
  }
}

/** Equal head and tail are left out, so that one inserted element is one change. */
function diffList(
  info: FieldInfo,
  old: readonly unknown[],
  next: readonly unknown[],
  path: string,
  impact: Impact,
  emit: Emit,
): void {
  let head = 0;
  while (head < old.length && head < next.length && sameValue(info, old[head], next[head])) head++;
  let oldEnd = old.length;
  let nextEnd = next.length;
  while (oldEnd > head && nextEnd > head && sameValue(info, old[oldEnd - 1], next[nextEnd - 1])) {
    oldEnd--;
    nextEnd--;
  }
  const count = Math.max(oldEnd, nextEnd) - head;
  if (count > listChangesMax) {
    emit(path, info, countText(old.length), countText(next.length), impact);
    return;
  }
  for (let i = head; i < head + count; i++) {
    const a = i < oldEnd ? old[i] : undefined;
    const b = i < nextEnd ? next[i] : undefined;
    if (!sameValue(info, a, b)) emit(`${path}[${i}]`, info, a, b, impact);
  }
}

/** Marks a text that already is what to show. */
class Shown {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

const countText = (count: number): Shown => new Shown(JSON.stringify(`${count} entries`));

function sameValue(info: FieldInfo, a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || !info.desc.message) return false;
  return equals(info.desc.message, a as Message, b as Message);
}

/** JSON text of a single value; empty when it is absent. */
function shown(info: FieldInfo, value: unknown): string {
  if (value === undefined) return "";
  if (value instanceof Shown) return value.text;
  if (info.rule.secret) return JSON.stringify(secretText);
  if (isDuration(info.desc)) return JSON.stringify(toJson(DurationSchema, value as Duration));
  if (info.desc.message) return specText(info.desc.message, value as Message);
  if (info.desc.enum) return JSON.stringify(info.desc.enum.value[value as number]?.name ?? value);
  return typeof value === "bigint" ? JSON.stringify(value.toString()) : JSON.stringify(value);
}

/** JSON text of a whole message with its secrets hidden. */
export function specText(desc: DescMessage, spec: Message): string {
  return JSON.stringify(toJson(desc, redacted(desc, spec), { useProtoFieldName: true }));
}

const secretCache = new WeakMap<DescMessage, boolean>();

function hasSecrets(desc: DescMessage): boolean {
  let known = secretCache.get(desc);
  if (known === undefined) {
    secretCache.set(desc, false);
    known = fieldsOf(desc).some(
      (info) => info.rule.secret || (info.desc.message !== undefined && hasSecrets(info.desc.message)),
    );
    secretCache.set(desc, known);
  }
  return known;
}

/** The spec with "(secret)" in place of each secret that is set; the spec itself when its kind has no secrets. */
export function redacted<T extends Message>(desc: DescMessage, spec: T): T {
  if (!hasSecrets(desc)) return spec;
  const copy = clone(desc, spec) as T;
  hideSecrets(desc, copy);
  return copy;
}

function hideSecrets(desc: DescMessage, message: Message): void {
  for (const info of fieldsOf(desc)) {
    if (!isSet(message, info)) continue;
    const value = fieldValue(message, info);
    if (info.rule.secret) {
      setFieldValue(message, info, Array.isArray(value) ? value.map(() => secretText) : secretText);
    } else if (info.desc.message && hasSecrets(info.desc.message)) {
      for (const inner of Array.isArray(value) ? value : [value])
        hideSecrets(info.desc.message, inner as Message);
    }
  }
}

/** Calls `visit` for each secret field of a message and of the messages in it, with its path. */
function eachSecret(
  desc: DescMessage,
  message: Message,
  path: string,
  visit: (info: FieldInfo, holder: Message, path: string) => void,
): void {
  if (!hasSecrets(desc)) return;
  for (const info of fieldsOf(desc)) {
    const at = path === "" ? info.name : `${path}.${info.name}`;
    if (info.rule.secret) visit(info, message, at);
    else if (info.desc.message && isSet(message, info)) {
      const value = fieldValue(message, info);
      const isList = Array.isArray(value);
      for (const [i, each] of (isList ? value : [value]).entries())
        eachSecret(info.desc.message, each as Message, isList ? `${at}[${i}]` : at, visit);
    }
  }
}

/** Paths of fields that hold the text which reads show in place of a secret. */
export function hiddenSecrets(desc: DescMessage, spec: Message): string[] {
  const hidden: string[] = [];
  eachSecret(desc, spec, "", (info, holder, path) => {
    if (isSet(holder, info) && fieldValue(holder, info) === secretText) hidden.push(path);
  });
  return hidden;
}

/** Paths of the secret fields that are set. */
export function secretsSet(desc: DescMessage, spec: Message): string[] {
  const set: string[] = [];
  eachSecret(desc, spec, "", (info, holder, path) => {
    if (isSet(holder, info)) set.push(path);
  });
  return set;
}

/**
 * Secrets are write-only, so a whole spec that a client read, changed and sent back lacks them: those that `after`
 * omits (or sends as "(secret)") are taken over from `before`. Elements of a list are the same when their first fields
 * are. An optional secret that is sent empty is cleared.
 */
export function keepSecrets(desc: DescMessage, before: Message, after: Message): void {
  if (!hasSecrets(desc)) return;
  for (const info of fieldsOf(desc)) {
    if (info.rule.secret) keepSecret(info, before, after);
    else if (info.desc.message && hasSecrets(info.desc.message)) {
      const inner = info.desc.message;
      if (!isSet(before, info) || !isSet(after, info)) continue;
      const [old, next] = [fieldValue(before, info), fieldValue(after, info)];
      if (!Array.isArray(old) || !Array.isArray(next)) {
        keepSecrets(inner, old as Message, next as Message);
        continue;
      }
      const [key] = fieldsOf(inner);
      for (const each of next as Message[]) {
        const same = (old as Message[]).find((one) => fieldValue(one, key) === fieldValue(each, key));
        if (same) keepSecrets(inner, same, each);
      }
    }
  }
}

function keepSecret(info: FieldInfo, before: Message, after: Message): void {
  if (!isSet(after, info) || fieldValue(after, info) === secretText)
    setFieldValue(after, info, isSet(before, info) ? fieldValue(before, info) : undefined);
  else if (fieldValue(after, info) === "") setFieldValue(after, info, undefined);
}
