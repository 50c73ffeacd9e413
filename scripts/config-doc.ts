/**
 * Writes docs/configuration.md: its introduction, then every field of every kind from the .proto files. With --check it
 * only says whether the file is current. Run: node scripts/config-doc.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { DescMessage } from "@bufbuild/protobuf";
import { fieldComments } from "../src/cli/spec-flags.ts";
import { Format, Impact } from "../src/gen/cairn/v1/options_pb.ts";
import { kinds } from "../src/state/kinds.ts";
import { type FieldInfo, fieldsOf, isDuration } from "../src/state/schema.ts";

const file = new URL("../docs/configuration.md", import.meta.url);
const introduction = new URL("../docs/configuration.intro.md", import.meta.url);

/** The whole page as Markdown. */
export function configDoc(): string {
  const lines = [
    "<!-- Written by scripts/config-doc.ts from docs/configuration.intro.md and proto/; do not edit. -->",
    "",
    readFileSync(introduction, "utf8").trimEnd(),
    "",
    "## Objects",
    "",
    "Bounds are inclusive: of numbers, of seconds for times, of bytes for texts. A field without a default may stay unset.",
  ];
  const parts: DescMessage[] = [];
  for (const { name, section, key, desc } of kinds.values()) {
    const shape = key ? `\`[[${section}]]\`, named by \`${key.name}\`` : `\`[${section}]\``;
    lines.push("", `### ${name}`, "", [`${shape}.`, messageComment(desc)].join(" ").trimEnd(), "");
    lines.push(...fieldTable(desc, "none"));
    collectParts(desc, parts);
  }
  for (const desc of parts) {
    lines.push("", `### ${desc.name}`, "");
    const comment = messageComment(desc);
    if (comment) lines.push(comment, "");
    lines.push(...fieldTable(desc, ""));
  }
  return `${lines.join("\n")}\n`;
}

/** Messages that fields of `desc` hold, each once, outer ones first. */
function collectParts(desc: DescMessage, into: DescMessage[]): void {
  for (const { message, parent } of desc.fields) {
    if (!message || message.typeName.startsWith("google.") || into.includes(message)) continue;
    if (parent === message) continue;
    into.push(message);
    collectParts(message, into);
  }
}

function fieldTable(desc: DescMessage, impactUnset: string): string[] {
  const comments = fieldComments(desc);
  const rows = fieldsOf(desc).map((info) => {
    const { name, rule } = info;
    const impact = rule.impact === Impact.UNSPECIFIED ? impactUnset : impacts[rule.impact];
    const value = rule.required ? "required" : rule.default === "" ? "" : `\`${rule.default}\``;
    const cells = [`\`${name}\``, typeOf(info), value, boundsOf(info), impact, comments.get(name) ?? ""];
    return `| ${cells.map((cell) => cell.replace(/[|<>]/g, "\\$&")).join(" | ")} |`;
  });
  return ["| field | type | default | bounds | impact | |", "|---|---|---|---|---|---|", ...rows];
}

function typeOf(info: FieldInfo): string {
  const { desc, rule } = info;
  const repeated = desc.fieldKind === "list" ? "list of " : "";
  if (rule.ref) return `${repeated}${rule.ref} name${repeated && "s"}`;
  if (isDuration(desc)) return `${repeated}time`;
  if (desc.message) return `${repeated}[${desc.message.name}](#${desc.message.name.toLowerCase()})`;
  if (desc.enum) {
    const words = desc.enum.values
      .filter(({ number }) => number !== 0)
      .map(({ localName }) => wordOf(localName));
    return repeated + words.map((word) => `\`${word}\``).join(", ");
  }
  if (rule.format !== Format.UNSPECIFIED) return repeated + formats[rule.format];
  const scalar = desc.scalar === undefined ? "" : scalars[desc.scalar];
  return repeated + scalar;
}

const impacts: Readonly<Record<number, string>> = {
  [Impact.NONE]: "none",
  [Impact.POLICY]: "policy",
  [Impact.REFRESH]: "refresh",
  [Impact.SESSION_RESET]: "session-reset",
  [Impact.RESTART]: "restart",
};

const formats: Readonly<Record<number, string>> = {
  [Format.IP]: "IP address",
  [Format.ROUTER_ID]: "dotted quad",
  [Format.PREFIX]: "prefix",
  [Format.LISTEN]: "`ADDRESS:PORT`",
  [Format.FAMILY]: "address family",
  [Format.NAME]: "name",
  [Format.COMMUNITY]: "community",
  [Format.PATH]: "path",
  [Format.NEXT_HOP]: "next hop",
  [Format.POLICY_COMMUNITY]: "community",
  [Format.NEIGHBOR]: "neighbor",
  [Format.IFNAME]: "name of a link",
  [Format.INTERFACE_ADDRESS]: "address with length",
  [Format.SYSCTL]: "sysctl",
  [Format.MAC]: "hardware address",
  [Format.WIREGUARD_KEY]: "key in base64",
};

/** By ScalarType: uint64, uint32, bool, string. */
const scalars: Readonly<Record<number, string>> = { 4: "number", 13: "number", 8: "true/false", 9: "text" };

function boundsOf({ rule }: FieldInfo): string {
  if (rule.min === undefined && rule.max === undefined) return "";
  return `${rule.min ?? 0} to ${rule.max ?? ""}`.trimEnd();
}

function wordOf(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}

/** The comment above a message in its .proto file. */
function messageComment(desc: DescMessage): string {
  const url = new URL(`../proto/${desc.file.name}.proto`, import.meta.url);
  const lines = readFileSync(url, "utf8").split("\n");
  const comment: string[] = [];
  for (let at = lines.indexOf(`message ${desc.name} {`) - 1; lines[at]?.startsWith("//"); at--) {
    comment.unshift(lines[at].slice(2).trim());
  }
  return comment.join(" ");
}

if (import.meta.main) {
  const text = configDoc();
  if (process.argv.includes("--check")) {
    const current = readFileSync(file, "utf8") === text;
    if (!current) console.error("docs/configuration.md is not current: node scripts/config-doc.ts");
    process.exitCode = current ? 0 : 1;
  } else {
    writeFileSync(file, text);
  }
}
