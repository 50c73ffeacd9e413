/** nat: rules with their counters, flows that are translated, and making the kernel forget some. */

import { Nat44Type } from "../../gen/cairn/v1/nat_kinds_pb.ts";
import {
  EvictTranslationsResponseSchema,
  type Nat44Rule,
  Nat44RuleService,
  type Translation,
} from "../../gen/cairn/v1/nat_service_pb.ts";
import { usageError } from "../exit.ts";
import { humanBytes, humanCount } from "../human.ts";
import { listAll, writeList } from "../paging.ts";
import { type Column, writeTable } from "../table.ts";
import type { Command, Invocation, Option } from "../tree.ts";
import { phaseOf } from "./resource.ts";

const { method } = Nat44RuleService;

const typeWords: Readonly<Record<number, string>> = {
  [Nat44Type.UNSPECIFIED]: "masquerade",
  [Nat44Type.MASQUERADE]: "masquerade",
  [Nat44Type.SNAT]: "snat",
  [Nat44Type.DNAT]: "dnat",
};

const ruleColumns: readonly Column<Nat44Rule>[] = [
  { title: "RULE", value: ({ spec }) => spec?.name ?? "" },
  { title: "TYPE", value: ({ spec }) => typeWords[spec?.type ?? 0] ?? "?", drop: 3 },
  { title: "LINK", value: ({ status }) => status?.values.device ?? "", drop: 2 },
  {
    title: "PHASE",
    value: ({ status }) => phaseOf(status)[0],
    tone: ({ status }) => phaseOf(status)[1],
  },
  { title: "FLOWS", value: ({ packets }) => humanCount(packets), align: "right" },
  { title: "BYTES", value: ({ bytes }) => humanBytes(bytes), align: "right", drop: 1 },
  { title: "MESSAGE", value: ({ status }) => status?.message ?? "", min: 12, drop: 4 },
];

const translationColumns: readonly Column<Translation>[] = [
  { title: "PROTO", value: ({ protocol }) => protocol },
  { title: "FROM", value: (flow) => end(flow.source, flow.sourcePort) },
  { title: "TO", value: (flow) => end(flow.destination, flow.destinationPort) },
  {
    title: "AS FROM",
    value: (flow) =>
      changed(end(flow.translatedSource, flow.translatedSourcePort), end(flow.source, flow.sourcePort)),
  },
  {
    title: "AS TO",
    value: (flow) =>
      changed(
        end(flow.translatedDestination, flow.translatedDestinationPort),
        end(flow.destination, flow.destinationPort),
      ),
  },
  { title: "STATE", value: ({ state, answered }) => state || (answered ? "" : "unanswered"), drop: 2 },
  { title: "EXPIRES", value: ({ expiresS }) => `${expiresS}s`, align: "right", drop: 3 },
  {
    title: "BYTES",
    value: ({ bytes }) => (bytes === undefined ? "-" : humanBytes(bytes)),
    align: "right",
    drop: 4,
  },
  { title: "MARK", value: ({ mark }) => (mark === 0 ? "-" : `0x${mark.toString(16)}`), wide: true },
  { title: "RULE", value: ({ rule }) => rule || "-", drop: 1 },
];

function end(address: string, port: number): string {
  if (port === 0) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** What is as it was before is not said twice. */
function changed(after: string, before: string): string {
  return after === before ? "" : after;
}

const filterOptions: readonly Option[] = [
  { name: "host", value: "ADDR", help: "Address or prefix of either end, before or after translation" },
  { name: "source", value: "ADDR", help: "Address or prefix that the flow comes from, before translation" },
  { name: "destination", value: "ADDR", help: "Address or prefix that it goes to, before translation" },
  { name: "port", value: "PORT", help: "Port of either end, before or after translation" },
  { name: "protocol", value: "NAME", help: "tcp, udp, icmp, or a number" },
  { name: "rule", value: "NAME", help: "NAT44Rule that it comes of" },
  { name: "mark", value: "NUMBER", help: "Connection mark; 0x for hexadecimal" },
];

function filterOf(invocation: Invocation) {
  const text = (name: string): string => invocation.option(name) ?? "";
  const mark = invocation.option("mark");
  return {
    address: text("host"),
    source: text("source"),
    destination: text("destination"),
    protocol: text("protocol"),
    rule: text("rule"),
    port: numberOf("port", text("port") || "0"),
    ...(mark !== undefined && { mark: numberOf("mark", mark) }),
  };
}

function numberOf(name: string, text: string): number {
  const value = /^(?:0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : Number.NaN;
  if (value <= 0xffff_ffff) return value;
  throw usageError(`--${name} is a number, not "${text}"`);
}

const translationsCommand: Command = {
  name: "translations",
  summary: "Flows that the kernel translates at this moment",
  options: filterOptions,
  examples: [
    ["cairnctl nat translations", "all of them"],
    ["cairnctl nat translations --source 10.0.0.5 --protocol tcp", "connections of one host"],
    ["cairnctl nat translations --rule web", "who uses a forwarded port"],
  ],
  run: async (context, invocation) => {
    const request = { filter: filterOf(invocation) };
    if (!context.forPeople) return writeList(context, method.listTranslations, request);
    const { translations } = await listAll(await context.client(), method.listTranslations, request);
    if (translations.length === 0) context.out.line("no flow is translated");
    else writeTable(context, translationColumns, translations);
  },
};

const evictCommand: Command = {
  name: "evict",
  summary: "Makes the kernel forget translations",
  details:
    "The next packet of such a flow is treated as that of a new one, by the rules of now: it may get another address, and " +
    "then the connection ends. Flows that no option is about stay.",
  options: [
    ...filterOptions,
    { name: "all", help: "Every translation" },
    { name: "dry-run", help: "Only say how many" },
    { name: "reason", value: "TEXT", help: "Why, for the audit" },
  ],
  examples: [
    ["cairnctl nat evict --source 10.0.0.5 --dry-run", "how many"],
    ["cairnctl nat evict --rule old --reason CHG-7", "connections that still go by a rule that is gone soon"],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const dryRun = invocation.flag("dry-run");
    const response = await client.call(method.evictTranslations, {
      filter: filterOf(invocation),
      all: invocation.flag("all"),
      dryRun,
      reason: invocation.option("reason") ?? "",
    });
    if (!context.forPeople) return context.message(EvictTranslationsResponseSchema, response);
    if (dryRun) return context.out.line(`${humanCount(response.left)} translations would go`);
    const rest = response.left === 0n ? "" : `; ${humanCount(response.left)} are left, ask again`;
    context.out.line(`${humanCount(response.evicted)} translations evicted${rest}`);
  },
};

export const natCommand: Command = {
  name: "nat",
  summary: "Address translation: rules and what they counted, flows that are translated",
  details: "FLOWS and BYTES count the first packets of flows: the kernel asks no rule for the others.",
  examples: [
    ["cairnctl nat", "rules and how many flows each has translated"],
    ["cairnctl nat translations", "the flows"],
  ],
  commands: [translationsCommand, evictCommand],
  run: async (context) => {
    if (!context.forPeople) return writeList(context, method.listNat44Rules, {});
    const { rules } = await listAll(await context.client(), method.listNat44Rules, {});
    if (rules.length === 0) context.out.line("no NAT rules");
    else writeTable(context, ruleColumns, rules);
  },
};
