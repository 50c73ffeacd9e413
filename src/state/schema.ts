/**
 * What can be said of a spec from its descriptor alone. The field options of options.proto are the only description
 * of a field: bounds, text form, references, impact and secrecy are read from there, so a new field of a spec is one
 * line in its .proto. Changes between two specs are in schema-diff.ts, text forms in schema-formats.ts.
 */
import {
  clearField,
  create,
  type DescField,
  type DescMessage,
  getOption,
  isFieldSet,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { nearestName, type Problem } from "../base/problem.ts";
import { type FieldRule, Format, field as fieldOption } from "../gen/cairn/v1/options_pb.ts";
import { canonicalText, utf8Bytes } from "./schema-formats.ts";

/** A field of a spec with its options. */
export interface FieldInfo {
  readonly desc: DescField;
  /** snake_case, as in .proto, field masks, paths and configuration files. */
  readonly name: string;
  readonly rule: FieldRule;
  /** Inclusive bounds of numbers, seconds of durations, bytes of strings. */
  readonly min: number;
  readonly max: number;
}

/** A field that names another object. */
export interface Reference {
  /** Field path inside the spec, for example `import[0]`. */
  readonly path: string;
  readonly kind: string;
  readonly name: string;
}

/** Longest string in UTF-8 bytes where a field gives no bound of its own. */
const stringBytesMax = 4096;
const durationType = "google.protobuf.Duration";

const fieldCache = new WeakMap<DescMessage, readonly FieldInfo[]>();

/** The fields of a message with their options, in the order of the .proto file. */
export function fieldsOf(desc: DescMessage): readonly FieldInfo[] {
  let fields = fieldCache.get(desc);
  if (!fields) {
    fields = desc.fields.map(fieldInfo);
    fieldCache.set(desc, fields);
  }
  return fields;
}

const namedCache = new WeakMap<DescMessage, ReadonlyMap<string, FieldInfo>>();

/** The field called `name` (snake_case), if the message has one. */
export function fieldNamed(desc: DescMessage, name: string): FieldInfo | undefined {
  let named = namedCache.get(desc);
  if (!named) {
    named = new Map(fieldsOf(desc).map((info) => [info.name, info]));
    namedCache.set(desc, named);
  }
  return named.get(name);
}

function fieldInfo(desc: DescField): FieldInfo {
  const rule = getOption(desc, fieldOption);
  const isText = desc.scalar === ScalarType.STRING;
  return {
    desc,
    name: desc.name,
    rule,
    min: rule.min === undefined ? (isDuration(desc) ? 0 : Number.NEGATIVE_INFINITY) : Number(rule.min),
    max: rule.max === undefined ? (isText ? stringBytesMax : Number.POSITIVE_INFINITY) : Number(rule.max),
  };
}

/** True for a singular or repeated google.protobuf.Duration. */
export function isDuration(desc: DescField): boolean {
  return desc.message?.typeName === durationType;
}

/** The value of a field as the generated type holds it. */
export function fieldValue(message: Message, info: FieldInfo): unknown {
  return (message as unknown as Record<string, unknown>)[info.desc.localName];
}

/** Sets a field to a value of its generated type, or clears it when `value` is undefined. */
export function setFieldValue(message: Message, info: FieldInfo, value: unknown): void {
  if (value === undefined) clearField(message, info.desc);
  else (message as unknown as Record<string, unknown>)[info.desc.localName] = value;
}

/** True when the field has a value: present, or not zero where presence is not tracked, or a list that is not empty. */
export function isSet(message: Message, info: FieldInfo): boolean {
  return isFieldSet(message, info.desc);
}

/** Milliseconds of a duration; 0 when it is absent. */
export function durationMs(duration: Duration | undefined): number {
  return duration ? Number(duration.seconds) * 1000 + Math.trunc(duration.nanos / 1_000_000) : 0;
}

/** Calls `visit` for each single value of `message` and of the messages within it. */
function eachValue(
  desc: DescMessage,
  message: Message,
  path: string,
  visit: (info: FieldInfo, value: unknown, path: string, replace: (value: unknown) => void) => void,
): void {
  for (const info of fieldsOf(desc)) {
    if (!isSet(message, info)) continue;
    const at = path === "" ? info.name : `${path}.${info.name}`;
    const value = fieldValue(message, info);
    const nested = info.desc.message !== undefined && !isDuration(info.desc) ? info.desc.message : undefined;
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) {
        if (nested) eachValue(nested, value[i] as Message, `${at}[${i}]`, visit);
        else visit(info, value[i], `${at}[${i}]`, (next) => (value[i] = next));
      }
    } else if (nested) {
      eachValue(nested, value as Message, at, visit);
    } else {
      visit(info, value, at, (next) => setFieldValue(message, info, next));
    }
  }
}

/**
 * Checks a spec against its field options.
 * @returns all problems; paths are inside the spec, for example `prefix_limits[0].max`
 */
export function validateSpec(desc: DescMessage, spec: Message): Problem[] {
  const problems: Problem[] = [];
  requireFields(desc, spec, "", problems);
  eachValue(desc, spec, "", (info, value, path) => checkValue(info, value, path, problems));
  return problems;
}

function requireFields(desc: DescMessage, message: Message, path: string, problems: Problem[]): void {
  for (const info of fieldsOf(desc)) {
    const at = path === "" ? info.name : `${path}.${info.name}`;
    if (!isSet(message, info)) {
      if (info.rule.required)
        problems.push({ code: "REQUIRED", path: at, message: `${info.name} is missing` });
      continue;
    }
    if (!info.desc.message || isDuration(info.desc)) continue;
    const value = fieldValue(message, info);
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++)
        requireFields(info.desc.message, value[i], `${at}[${i}]`, problems);
    } else {
      requireFields(info.desc.message, value as Message, at, problems);
    }
  }
}

function checkValue(info: FieldInfo, value: unknown, path: string, problems: Problem[]): void {
  const wrong = (message: string, text: string, fix?: string): void => {
    problems.push({ code: "INVALID", path, message, value: text, ...(fix ? { fix } : {}) });
  };
  if (isDuration(info.desc)) {
    checkDuration(info, value as Duration, wrong);
  } else if (typeof value === "string") {
    checkText(info, value, wrong);
  } else if (info.desc.enum) {
    const names = info.desc.enum.values.filter((entry) => entry.number !== 0);
    if (names.some((entry) => entry.number === value)) return;
    wrong(
      `${info.name} has no value ${value}`,
      String(value),
      `one of ${names.map((n) => n.name).join(", ")}`,
    );
  } else if (typeof value === "number" || typeof value === "bigint") {
    const number = Number(value);
    if (number < info.min || number > info.max) wrong(boundsText(info, ""), String(value));
  }
}

function checkDuration(
  info: FieldInfo,
  value: Duration,
  wrong: (message: string, text: string, fix?: string) => void,
): void {
  const seconds = Number(value.seconds) + value.nanos / 1e9;
  if (
    value.nanos <= -1e9 ||
    value.nanos >= 1e9 ||
    (value.seconds !== 0n && value.nanos < 0 !== value.seconds < 0n && value.nanos !== 0)
  ) {
    wrong(`${info.name} is not a valid duration`, `${value.seconds}s ${value.nanos}ns`);
  } else if (seconds < info.min || seconds > info.max) {
    wrong(boundsText(info, " seconds"), `${seconds}s`);
  }
}

function checkText(
  info: FieldInfo,
  value: string,
  wrong: (message: string, text: string, fix?: string) => void,
): void {
  const bytes = utf8Bytes(value);
  // A secret is not repeated, be it wrong.
  const told = info.rule.secret ? "" : value.slice(0, 64);
  if (bytes < info.min || bytes > info.max) {
    wrong(`${boundsText(info, " bytes long")}, not ${bytes}`, told);
    return;
  }
  if (info.rule.format === Format.UNSPECIFIED) return;
  const canonical = canonicalText(info.rule.format, value);
  if (!canonical.ok) wrong(canonical.message, info.rule.secret ? told : value, canonical.fix);
}

function boundsText(info: FieldInfo, unit: string): string {
  const { min, max } = info;
  if (min > Number.NEGATIVE_INFINITY && max < Number.POSITIVE_INFINITY) {
    return `${info.name} must be ${min} to ${max}${unit}`;
  }
  return max < Number.POSITIVE_INFINITY
    ? `${info.name} must be at most ${max}${unit}`
    : `${info.name} must be at least ${min}${unit}`;
}

/** Puts every text of the spec that has a canonical form into it, in place. Text that is wrong stays as it is. */
export function canonicaliseSpec(desc: DescMessage, spec: Message): void {
  eachValue(desc, spec, "", (info, value, _path, replace) => {
    if (info.desc.fieldKind === "enum" && value === 0) return replace(undefined);
    if (typeof value !== "string" || info.rule.format === Format.UNSPECIFIED) return;
    const canonical = canonicalText(info.rule.format, value);
    if (canonical.ok && canonical.text !== value) replace(canonical.text);
  });
}

/** The objects that a spec names, in field order. */
export function listReferences(desc: DescMessage, spec: Message): Reference[] {
  const references: Reference[] = [];
  if (!hasReferences(desc)) return references;
  eachValue(desc, spec, "", (info, value, path) => {
    if (info.rule.ref !== "" && typeof value === "string") {
      references.push({ path, kind: info.rule.ref, name: value });
    }
  });
  return references;
}

const referenceCache = new WeakMap<DescMessage, boolean>();

/** Spares walking big sets of prefixes for references they cannot have. */
function hasReferences(desc: DescMessage): boolean {
  let known = referenceCache.get(desc);
  if (known === undefined) {
    referenceCache.set(desc, false); // a message that holds itself adds nothing new
    known = fieldsOf(desc).some(
      (info) => info.rule.ref !== "" || (info.desc.message !== undefined && hasReferences(info.desc.message)),
    );
    referenceCache.set(desc, known);
  }
  return known;
}

/**
 * Sets the fields that `mask` names in `target` to what they are in `source`; a field absent there is cleared.
 * Names are snake_case; a dot goes into a message, for example `best_path.prefer_oldest`.
 * @returns problems with names that the spec does not have; `target` is then partly changed
 */
export function applyMask(
  desc: DescMessage,
  target: Message,
  source: Message,
  mask: readonly string[],
): Problem[] {
  const problems: Problem[] = [];
  for (const path of mask) maskOne(desc, target, source, path, path.split("."), problems);
  return problems;
}

function maskOne(
  desc: DescMessage,
  target: Message,
  source: Message | undefined,
  path: string,
  parts: readonly string[],
  problems: Problem[],
): void {
  const info = fieldNamed(desc, parts[0]);
  const nested = info?.desc.fieldKind === "message" && !isDuration(info.desc) ? info.desc.message : undefined;
  if (!info || (parts.length > 1 && !nested)) {
    const names = fieldsOf(desc).map((entry) => entry.name);
    const near = nearestName(parts[0], names);
    problems.push({
      code: "UNKNOWN_FIELD",
      path: "update_mask",
      message: `update_mask names "${path}", which the spec does not have`,
      value: path,
      ...(near && near !== parts[0] ? { fix: `did you mean ${near}` } : {}),
    });
    return;
  }
  const from = source && isSet(source, info) ? fieldValue(source, info) : undefined;
  if (parts.length === 1 || !nested) {
    setFieldValue(target, info, from);
    return;
  }
  if (!isSet(target, info)) setFieldValue(target, info, create(nested));
  maskOne(
    nested,
    fieldValue(target, info) as Message,
    from as Message | undefined,
    path,
    parts.slice(1),
    problems,
  );
}
