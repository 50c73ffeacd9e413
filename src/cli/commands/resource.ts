/** get, describe, explain, delete: objects of any kind, in the same way. */
import type { JsonObject } from "@bufbuild/protobuf";
import { ApplyResponseSchema, ConfigService } from "../../gen/cairn/v1/config_service_pb.ts";
import {
  DescribeResourceResponseSchema,
  GetResourceResponseSchema,
  type Kind,
  type Resource,
  ResourceService,
} from "../../gen/cairn/v1/resource_service_pb.ts";
import {
  type ResourceArtifact,
  ResourcePhase,
  type ResourceStatus,
} from "../../gen/cairn/v1/resource_types_pb.ts";
import type { Context } from "../context.ts";
import { usageError } from "../exit.ts";
import { humanTime, safeText } from "../human.ts";
import { mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { listAll, writeList } from "../paging.ts";
import type { Style } from "../style.ts";
import { type Column, renderFields, renderTable, writeTable } from "../table.ts";
import type { Argument, Command, Invocation } from "../tree.ts";
import { eventLine } from "./events.ts";

const { method } = ResourceService;

const phaseWords: Readonly<Record<number, readonly [string, "good" | "warn" | "bad" | undefined]>> = {
  [ResourcePhase.PENDING]: ["pending", "warn"],
  [ResourcePhase.PROGRESSING]: ["progressing", "warn"],
  [ResourcePhase.APPLIED]: ["applied", "good"],
  [ResourcePhase.DEGRADED]: ["degraded", "warn"],
  [ResourcePhase.FAILED]: ["failed", "bad"],
  [ResourcePhase.SUPPRESSED]: ["suppressed", undefined],
};

const objectArgument: Argument = {
  name: "KIND/NAME",
  help: "The object, for example Interface/wan",
  from: "object",
};

export const getCommand: Command = {
  name: "get",
  summary: "Objects of any kind, with how they stand",
  details:
    "Without KIND all kinds. Case does not matter, and a section's name does as well: get ipv4_routes.",
  args: [
    { name: "KIND", help: "Kind, for example Interface", from: "kind", optional: true },
    { name: "NAME", help: "Only this object", optional: true },
  ],
  examples: [
    ["cairnctl get", "all kinds"],
    ["cairnctl get IPv4Route", "routes that are declared, and whether the kernel has them"],
    ["cairnctl get Interface wan -o yaml", "one of them whole"],
  ],
  run: async (context, invocation) => {
    const kind = invocation.arg("KIND");
    const name = invocation.arg("NAME");
    const client = await context.client();
    if (kind === "") {
      const response = await client.call(method.listKinds, {});
      if (!context.forPeople) return context.message(method.listKinds.output, response);
      return writeTable<Kind>(
        context,
        [
          { title: "KIND", value: (row) => row.kind },
          { title: "SECTION", value: ({ section }) => section },
          { title: "OBJECTS", value: ({ objects }) => String(objects), align: "right" },
        ],
        response.kinds,
      );
    }
    if (name !== "") {
      const response = await client.call(method.getResource, { kind, name });
      if (!context.forPeople) return context.message(GetResourceResponseSchema, response);
      return context.out.line(resourceLines(response.resource!, context.style).join("\n"));
    }
    if (!context.forPeople) return writeList(context, method.listResources, { kind });
    const { resources } = await listAll(client, method.listResources, { kind });
    if (resources.length === 0) return context.out.line(`no objects of kind ${kind}`);
    writeTable<Resource>(
      context,
      resources.some(({ status }) => status) ? statusColumns : plainColumns,
      resources,
    );
  },
};

const plainColumns: readonly Column<Resource>[] = [
  { title: "NAME", value: ({ metadata }) => metadata?.name ?? "" },
  { title: "CHANGED", value: ({ metadata }) => humanTime(metadata?.updated) },
  {
    title: "GENERATION",
    value: ({ metadata }) => String(metadata?.generation ?? 0),
    align: "right",
    drop: 2,
  },
  { title: "BY", value: ({ metadata }) => metadata?.managedBy ?? "", drop: 1 },
];

const statusColumns: readonly Column<Resource>[] = [
  plainColumns[0],
  {
    title: "PHASE",
    value: ({ status }) => phaseOf(status)[0],
    tone: ({ status }) => phaseOf(status)[1],
  },
  { title: "SINCE", value: ({ status }) => humanTime(status?.since), drop: 2 },
  { title: "MESSAGE", value: ({ status }) => status?.message ?? "", min: 16 },
];

/** The word of a phase, and its colour. */
export function phaseOf(
  status: ResourceStatus | undefined,
): readonly [string, "good" | "warn" | "bad" | undefined] {
  return (status && phaseWords[status.phase]) ?? ["", undefined];
}

export const describeCommand: Command = {
  name: "describe",
  summary: "One object in full: spec, status, what it owns in the kernel, events",
  args: [objectArgument],
  examples: [["cairnctl describe IPv4Route/default", "what it asks of the kernel, and what became of it"]],
  run: async (context, invocation) => {
    const { out, style } = context;
    const client = await context.client();
    const response = await client.call(method.describeResource, objectOf(invocation));
    if (!context.forPeople) return context.message(DescribeResourceResponseSchema, response);
    const { resource, uses, usedBy, events } = response;
    const lines = resourceLines(resource!, style);
    const { artifacts = [] } = resource!.status ?? {};
    if (artifacts.length > 0)
      lines.push("", style.bold("in the kernel"), ...artifactTable(artifacts, context));
    for (const [title, ids] of [
      ["uses", uses],
      ["used by", usedBy],
    ] as const) {
      if (ids.length > 0) lines.push("", style.bold(title), ...ids.map((id) => `  ${safeText(id)}`));
    }
    if (events.length > 0)
      lines.push("", style.bold("events"), ...events.map((event) => eventLine(event, style)));
    out.line(lines.join("\n"));
  },
};

export const explainCommand: Command = {
  name: "explain",
  summary: "Why an object is not applied",
  args: [objectArgument],
  examples: [["cairnctl explain IPv4StaticAddress/lan", "what it waits for, or what the kernel said"]],
  run: async (context, invocation) => {
    const { out, style } = context;
    const client = await context.client();
    const response = await client.call(method.describeResource, objectOf(invocation));
    if (!context.forPeople) return context.message(DescribeResourceResponseSchema, response);
    const { metadata, status } = response.resource!;
    const id = safeText(`${metadata?.kind}/${metadata?.name}`);
    if (!status) return out.line(`${id} asks nothing of the kernel: it is in force since it was declared`);
    const [word] = phaseOf(status);
    if (status.phase === ResourcePhase.APPLIED) {
      const holds = `the kernel holds all ${status.artifacts.length} that it asks for`;
      const why = safeText(status.message) || (status.artifacts.length > 0 ? holds : "");
      out.line(`${id} is ${style.good(word)}${why === "" ? "" : `: ${why}`}`);
      // What follows from it, such as what a firewall has opened by itself.
      const values = valuesOf(status);
      if (values.length > 0) out.line(renderFields(values, style).join("\n"));
      return;
    }
    const lines = [
      `${id} is ${style.warn(word)}${status.message === "" ? "" : `: ${safeText(status.message)}`}`,
    ];
    if (status.reason !== "")
      lines.push(style.dim(`reason ${safeText(status.reason)}, ${humanTime(status.since)}`));
    const open = status.artifacts.filter(({ state }) => state !== "applied");
    if (open.length > 0) lines.push("", style.bold("not as asked for"), ...artifactTable(open, context));
    // What it refers to may be what it waits for.
    for (const used of response.uses) {
      const [kind, name] = splitId(used);
      const { resource } = await client.call(method.getResource, { kind, name });
      if (resource?.status && resource.status.phase !== ResourcePhase.APPLIED) {
        lines.push(
          `it uses ${safeText(used)}, which is ${phaseOf(resource.status)[0]}: ${resource.status.message}`,
        );
      }
    }
    out.line(lines.join("\n"));
  },
};

export const deleteCommand: Command = {
  name: "delete",
  summary: "Deletes an object of any kind",
  details: "Refused while other objects refer to it. What it owns in the kernel goes with it.",
  args: [objectArgument],
  options: mutationOptions,
  examples: [["cairnctl delete IPv4Route/old --reason CHG-7", ""]],
  run: async (context, invocation) => {
    const client = await context.client();
    const response = await client.call(ConfigService.method.apply, {
      source: { source: { case: "ops", value: { delete: [objectOf(invocation)] } } },
      ...mutationFields(invocation),
    });
    await tellMutation(context, invocation, ApplyResponseSchema, response);
  },
};

function resourceLines({ metadata, spec, status }: Resource, style: Style): string[] {
  const fields = specLines(spec ?? {});
  const lines = [style.bold(safeText(`${metadata?.kind}/${metadata?.name}`))];
  lines.push(...renderFields(fields, style));
  if (!status) return lines;
  const [word, tone] = phaseOf(status);
  const text = `${word}${status.reason === "" ? "" : ` (${status.reason})`}`;
  const shown: [string, string][] = [["phase", tone ? style[tone](text) : text]];
  if (status.message !== "") shown.push(["message", safeText(status.message)]);
  shown.push(["since", humanTime(status.since)]);
  shown.push(...valuesOf(status));
  return [...lines, "", style.bold("status"), ...renderFields(shown, style)];
}

function valuesOf({ values }: ResourceStatus): [string, string][] {
  return Object.entries(values)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => [name, safeText(value)]);
}

function specLines(spec: JsonObject): [string, string][] {
  return Object.entries(spec)
    .filter(([name]) => name !== "name")
    .map(([name, value]) => [
      name.replaceAll("_", " "),
      safeText(typeof value === "object" ? JSON.stringify(value) : String(value)),
    ]);
}

/** What an object asks of the kernel. */
export function artifactTable(
  artifacts: readonly ResourceArtifact[],
  { style, width }: Pick<Context, "style" | "width">,
): string[] {
  const columns: Column<ResourceArtifact>[] = [
    { title: "CLASS", value: (row) => row.class },
    { title: "KEY", value: ({ key }) => key, min: 16 },
    {
      title: "STATE",
      value: ({ state }) => state,
      tone: ({ state }) => (state === "applied" ? "good" : state === "failed" ? "bad" : "warn"),
    },
    { title: "DETAIL", value: ({ error, detail }) => [error, detail].filter(Boolean).join(": "), min: 10 },
  ];
  return renderTable(columns, artifacts, width, style);
}

function objectOf(invocation: Invocation): { kind: string; name: string } {
  const [kind, name] = splitId(invocation.arg("KIND/NAME"));
  return { kind, name };
}

function splitId(text: string): [string, string] {
  const at = text.indexOf("/");
  if (at < 1) throw usageError(`"${text}" is not KIND/NAME, for example Interface/wan`);
  return [text.slice(0, at), text.slice(at + 1)];
}
