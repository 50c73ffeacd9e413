/** Flags from the fields of a spec message: a new field of the schema is a new flag. */
import { readFileSync } from "node:fs";
import { type DescField, type DescMessage, getOption, type MessageShape } from "@bufbuild/protobuf";
import { type FieldRule, Format, field as fieldRule, Impact } from "../gen/cairn/v1/options_pb.ts";
import { usageError } from "./exit.ts";
import { enumWords, findField, readMessage } from "./message-input.ts";
import type { Invocation, Option, ValueSource } from "./tree.ts";

/** Names that people expect beside the schema's own. */
const aliases: Readonly<Record<string, readonly string[]>> = {
  remote_asn: ["asn"],
  peer_group: ["group"],
  families: ["family"],
  prefix_limits: ["prefix-limit"],
};

/**
 * One option per field, in the schema's order.
 * @param prefix put before the name, for example "match-"
 * @param impacts say in the help what a change does to what is running; not for objects that are new
 */
export function specOptions(
  schema: DescMessage,
  skip: readonly string[] = [],
  prefix = "",
  impacts = true,
): Option[] {
  const fields = schema.fields.filter(({ name }) => !skip.includes(name));
  return fields.map((field) => fieldOption(schema, field, prefix, impacts));
}

/**
 * The spec fields that were given as flags.
 * @returns json-like value by field name, and the names, for an update mask
 */
export function specFromFlags(
  schema: DescMessage,
  invocation: Invocation,
  prefix = "",
  skip: readonly string[] = [],
): { readonly value: Record<string, unknown>; readonly mask: string[] } {
  const value: Record<string, unknown> = {};
  for (const field of schema.fields) {
    const given = invocation.options(flagName(field, prefix));
    if (given.length === 0 || skip.includes(field.name)) continue;
    value[field.name] =
      field.fieldKind === "list"
        ? given.flatMap((text) => splitList(field, text))
        : ruleOf(field).secret
          ? secretText(flagName(field, prefix), given.at(-1)!)
          : given.at(-1);
  }
  return { value, mask: Object.keys(value) };
}

/** `file:PATH` names a file, so that the secret does not stand in the list of processes. @throws CliError (usage) */
function secretText(flag: string, text: string): string {
  if (!text.startsWith("file:")) return text;
  try {
    return readFileSync(text.slice("file:".length), "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw usageError(`--${flag}: ${(error as Error).message}`, "name a file that can be read");
  }
}

/** A spec from flags over a base. @throws CliError (usage) */
export function readSpec<D extends DescMessage>(schema: D, value: Record<string, unknown>): MessageShape<D> {
  return readMessage(schema, value, "the command line");
}

/** Names of the fields given by --clear. @throws CliError (usage) */
export function clearedFields(schema: DescMessage, invocation: Invocation): string[] {
  return invocation.options("clear").flatMap((text) =>
    text.split(",").map((word) => {
      const field =
        findField(schema, word) ?? schema.fields.find(({ name }) => aliases[name]?.includes(word));
      if (!field)
        throw usageError(`--clear: there is no field "${word}"`, "see the flags in --help for the names");
      return field.name;
    }),
  );
}

export const clearOption: Option = {
  name: "clear",
  value: "FIELD",
  repeat: true,
  help: "Take a field back to what is inherited, for example --clear hold-time",
};

function fieldOption(schema: DescMessage, field: DescField, prefix: string, impacts: boolean): Option {
  const isSwitch = field.fieldKind === "scalar" && field.scalar === 8;
  const rule = ruleOf(field);
  return {
    name: flagName(field, prefix),
    aliases: aliases[field.name]?.map((name) => prefix + name),
    value: isSwitch ? undefined : placeholder(field, rule),
    repeat: field.fieldKind === "list",
    from: valueSource(field, rule),
    get help() {
      return fieldHelp(schema, field, rule, impacts);
    },
  };
}

/** True for a field that goes in and never comes out. */
export function isSecret(schema: DescMessage, name: string): boolean {
  const field = schema.fields.find((each) => each.name === name);
  return field !== undefined && ruleOf(field).secret;
}

function flagName(field: DescField, prefix: string): string {
  return prefix + field.name.replaceAll("_", "-");
}

function ruleOf(field: DescField): FieldRule {
  return getOption(field, fieldRule);
}

function placeholder(field: DescField, rule: FieldRule): string {
  const words = enumWords(field);
  if (words.length > 0) return words.join("|");
  if (field.message)
    return field.message.name === "Duration"
      ? "SPAN"
      : field.message.name === "PrefixRule"
        ? "PREFIX"
        : "K=V,...";
  if (field.name.endsWith("asn") || field.name.endsWith("asns")) return "ASN";
  if (rule.ref) return "NAME";
  const byFormat: Partial<Record<Format, string>> = {
    [Format.IP]: "ADDR",
    [Format.ROUTER_ID]: "ID",
    [Format.PREFIX]: "PREFIX",
    [Format.LISTEN]: "ADDR:PORT",
    [Format.FAMILY]: "FAMILY",
    [Format.COMMUNITY]: "COMMUNITY",
    [Format.PATH]: "FILE",
  };
  return byFormat[rule.format] ?? (field.scalar === 9 ? "TEXT" : "N");
}

function valueSource(field: DescField, rule: FieldRule): ValueSource | undefined {
  const words = enumWords(field);
  if (words.length > 0) return words;
  if (rule.format === Format.FAMILY) return "family";
  const byRef: Record<string, ValueSource> = {
    Policy: "policy",
    PeerGroup: "group",
    Keychain: "keychain",
    PrefixSet: "prefix-set",
    AsPathSet: "aspath-set",
    CommunitySet: "community-set",
    NeighborSet: "neighbor-set",
    AsnSet: "asn-set",
    NextHopSet: "nexthop-set",
  };
  return byRef[rule.ref];
}

/** Lists of names, numbers, addresses may be joined by commas; free text such as an expression may not. */
function splitList(field: DescField, text: string): string[] {
  if (text === "") return [];
  const rule = ruleOf(field);
  const joined =
    rule.format !== Format.UNSPECIFIED ||
    rule.ref !== "" ||
    field.scalar === 13 ||
    enumWords(field).length > 0;
  return joined && field.message === undefined ? text.split(",").map((part) => part.trim()) : [text];
}

function fieldHelp(schema: DescMessage, field: DescField, rule: FieldRule, impacts: boolean): string {
  const text = fieldComments(schema).get(field.name) ?? "";
  const notes: string[] = [];
  if (rule.default !== "" && !/default/i.test(text)) notes.push(`default ${rule.default}`);
  if (impacts) notes.push(...(impactNotes[rule.impact] ?? []));
  if (field.message && field.message.name !== "Duration" && field.message.name !== "PrefixRule") {
    notes.push(`as ${field.message.fields.map(({ name }) => `${name}=...`).join(",")}`);
  }
  const head = text.replace(/\.$/, "") || `The ${field.name.replaceAll("_", " ")}`;
  return notes.length > 0 ? `${head} (${notes.join("; ")})` : head;
}

const impactNotes: Partial<Record<Impact, readonly string[]>> = {
  [Impact.SESSION_RESET]: ["resets the session"],
  [Impact.RESTART]: ["takes effect at the next start of cairnd"],
  [Impact.REFRESH]: ["asks for a route refresh"],
};

const commentsBySchema = new Map<DescMessage, ReadonlyMap<string, string>>();

/** Comments of a message's fields, from the .proto file beside the sources; none where it was not shipped. */
export function fieldComments(schema: DescMessage): ReadonlyMap<string, string> {
  const known = commentsBySchema.get(schema);
  if (known) return known;
  const comments = new Map<string, string>();
  commentsBySchema.set(schema, comments);
  let lines: string[];
  try {
    lines = readFileSync(new URL(`../../proto/${schema.file.name}.proto`, import.meta.url), "utf8").split(
      "\n",
    );
  } catch {
    return comments;
  }
  let at = lines.indexOf(`message ${schema.name} {`) + 1;
  let comment: string[] = [];
  for (; at > 0 && at < lines.length && lines[at] !== "}"; at++) {
    const line = lines[at].trim();
    // What stands inside of the message for itself has comments of its own.
    if (/^(?:enum|message) \w+ \{$/.test(line)) {
      const end = `${lines[at].slice(0, lines[at].indexOf(line))}}`;
      while (at < lines.length && lines[at] !== end) at++;
      comment = [];
      continue;
    }
    const declared = /^(?:optional |repeated )?[\w.]+ (\w+) = \d+/.exec(line);
    if (line.startsWith("//")) comment.push(line.slice(2).trim());
    else if (declared) {
      comments.set(declared[1], comment.join(" "));
      comment = [];
    } else if (line === "") comment = [];
  }
  return comments;
}
