/** rpki: caches, what they say, and what follows for a route. */
import { toJson } from "@bufbuild/protobuf";
import {
  type Aspa,
  GetRpkiCacheResponseSchema,
  GetRpkiSummaryResponseSchema,
  LookupVrpsResponseSchema,
  type RpkiCache,
  RpkiCacheSpecSchema,
  type RpkiCacheState,
  RpkiService,
  SetRpkiCacheResponseSchema,
  VerifyAsPathResponseSchema,
  type Vrp,
} from "../../gen/cairn/v1/rpki_service_pb.ts";
import type { Context } from "../context.ts";
import { usageError } from "../exit.ts";
import { humanBytes, humanCount, humanDuration, humanTime, safeText } from "../human.ts";
import { mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { deleteVerb } from "../named.ts";
import { listAll, writeList } from "../paging.ts";
import { specFields } from "../spec-fields.ts";
import { clearedFields, clearOption, readSpec, specFromFlags, specOptions } from "../spec-flags.ts";
import { type Column, renderFields, writeTable } from "../table.ts";
import type { Argument, Command } from "../tree.ts";

const { method } = RpkiService;
const nameArgument: Argument = { name: "NAME", help: "Name of the cache", from: "rpki-cache" };
const roles = ["provider", "rs", "rs-client", "customer", "peer"] as const;

/** Caches in a table. */
export const cacheColumns: readonly Column<RpkiCache>[] = [
  { title: "CACHE", value: ({ spec }) => spec?.name ?? "" },
  {
    title: "STATE",
    value: ({ state }) => state?.sessionState ?? "shutdown",
    tone: ({ state }) => (state?.sessionState === "synchronized" ? "good" : "bad"),
  },
  { title: "USED", value: ({ state }) => (state?.inUse ? "yes" : "no"), drop: 2 },
  { title: "PREF", value: ({ spec }) => String(spec?.preference ?? 100), align: "right", drop: 4 },
  { title: "V", value: ({ state }) => (state ? String(state.version) : "-"), drop: 6 },
  { title: "SERIAL", value: ({ state }) => String(state?.serial ?? "-"), align: "right", drop: 5 },
  { title: "IPV4", value: ({ state }) => humanCount(state?.ipv4Vrps ?? 0n), align: "right" },
  { title: "IPV6", value: ({ state }) => humanCount(state?.ipv6Vrps ?? 0n), align: "right" },
  { title: "ASPA", value: ({ state }) => humanCount(state?.aspas ?? 0n), align: "right", drop: 3 },
  { title: "UPDATED", value: ({ state }) => (state?.updated ? humanTime(state.updated) : "never"), drop: 1 },
  { title: "NOTE", value: ({ state }) => state?.lastError ?? "", min: 10, drop: 7 },
];

const cachesCommand: Command = {
  name: "caches",
  summary: "Caches and how they stand, or everything about one",
  args: [{ ...nameArgument, optional: true }],
  examples: [
    ["cairnctl rpki caches", "state, serial and counts of each"],
    ["cairnctl rpki caches office", "one in full: intervals, expiry, what went wrong last"],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const name = invocation.arg("NAME");
    if (name !== "") {
      const response = await client.call(method.getRpkiCache, { name });
      if (!context.forPeople) return context.message(GetRpkiCacheResponseSchema, response);
      if (response.cache) tellCache(context, response.cache);
      return;
    }
    if (!context.forPeople) return writeList(context, method.listRpkiCaches, {});
    const { caches } = await listAll(client, method.listRpkiCaches, {});
    if (caches.length === 0) return context.out.line("no caches: cairnctl rpki set NAME --host ADDR");
    writeTable(context, cacheColumns, caches);
  },
};

function tellCache({ out, style }: Context, { spec, state }: RpkiCache): void {
  if (!spec) return;
  out.line(style.bold(safeText(spec.name)));
  out.line(renderFields(specFields(RpkiCacheSpecSchema, spec, ["name"]), style).join("\n"));
  if (!state) {
    out.line("  shut down");
    return;
  }
  for (const line of cacheStateLines(state)) out.line(`  ${line}`);
  if (state.lastError !== "") out.line(style.bad(`  ${safeText(state.lastError)}`));
}

/** How a cache stands, in sentences. */
export function cacheStateLines(state: RpkiCacheState): string[] {
  const { sessionState, version, sessionId, serial, updated, expires, inUse } = state;
  const session = sessionId === undefined ? "" : `, session ${sessionId}, serial ${serial}`;
  const lines = [`${sessionState}, version ${version}${session}; ${inUse ? "in use" : "not in use"}`];
  const count = humanCount;
  lines.push(
    `${count(state.ipv4Vrps)} IPv4 and ${count(state.ipv6Vrps)} IPv6 VRPs, ${count(state.aspas)} ASPAs`,
  );
  if (updated) lines.push(`updated ${humanTime(updated)}${expires ? `, expires ${humanTime(expires)}` : ""}`);
  lines.push(
    `refresh ${humanDuration(state.refresh)}, retry ${humanDuration(state.retry)}, expire ${humanDuration(state.expire)}`,
  );
  lines.push(
    `${count(state.connections)} connections, ${count(state.resets)} complete sets, ${count(state.updates)} differences; ` +
      `${count(state.announced)} announced, ${count(state.withdrawn)} withdrawn; ` +
      `errors ${count(state.errorsSent)} sent, ${count(state.errorsReceived)} received`,
  );
  return lines;
}

const setCommand: Command = {
  name: "set",
  summary: "Adds a cache, or changes the settings that are named",
  args: [nameArgument],
  options: [...specOptions(RpkiCacheSpecSchema, ["name"]), clearOption, ...mutationOptions],
  examples: [
    ["cairnctl rpki set office --host 192.0.2.10 --port 3323", "a cache of our own"],
    ["cairnctl rpki set far --host rtr.example.net --tls --port 324 --preference 200", "one that stands by"],
  ],
  run: async (context, invocation) => {
    const { value, mask } = specFromFlags(RpkiCacheSpecSchema, invocation);
    const cleared = clearedFields(RpkiCacheSpecSchema, invocation);
    if (mask.length + cleared.length === 0) throw usageError("nothing to set", "name at least one field");
    const client = await context.client();
    const name = invocation.arg("NAME");
    const { caches } = await listAll(client, method.listRpkiCaches, {});
    const known = caches.find(({ spec }) => spec?.name === name)?.spec;
    const base = known
      ? (toJson(RpkiCacheSpecSchema, known, { useProtoFieldName: true }) as Record<string, unknown>)
      : {};
    for (const field of cleared) delete base[field];
    const spec = readSpec(RpkiCacheSpecSchema, { ...base, ...value, name });
    const response = await client.call(method.setRpkiCache, { spec, ...mutationFields(invocation) });
    await tellMutation(context, invocation, SetRpkiCacheResponseSchema, response);
  },
};

const deleteCommand: Command = deleteVerb(method.deleteRpkiCache, nameArgument, {
  summary: "Deletes a cache and lets go of what it said",
  examples: [["cairnctl rpki delete office", ""]],
});

const refreshCommand: Command = {
  name: "refresh",
  summary: "Asks a cache for what is new",
  args: [nameArgument],
  options: [{ name: "reset", help: "Everything, in a new session; what there is stays meanwhile" }],
  examples: [["cairnctl rpki refresh office", "now, not when the refresh interval is over"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const name = invocation.arg("NAME");
    await client.call(method.refreshRpkiCache, { name, reset: invocation.flag("reset") });
    if (context.forPeople) context.out.line(`asked ${safeText(name)}`);
  },
};

const vrpColumns: readonly Column<Vrp>[] = [
  { title: "PREFIX", value: ({ prefix }) => prefix },
  { title: "MAX", value: ({ maxLength }) => String(maxLength), align: "right" },
  { title: "ORIGIN", value: ({ asn }) => `AS${asn}`, align: "right" },
  { title: "SOURCES", value: ({ sources }) => sources.map(safeText).join(", "), min: 8, drop: 2 },
  {
    title: "STATE",
    value: ({ inForce, filtered }) => (inForce ? "in force" : filtered ? "filtered" : "stands by"),
    tone: ({ inForce }) => (inForce ? "good" : "bad"),
    drop: 1,
  },
];

const vrpsCommand: Command = {
  name: "vrps",
  summary: "Validated ROA payloads in force",
  args: [{ name: "PREFIX", help: "This prefix and all inside it", optional: true }],
  options: [
    { name: "asn", value: "ASN", help: "Only of this origin" },
    { name: "source", value: "NAME", help: "Only what this cache or file has" },
    { name: "all", short: "a", help: "Also those that are filtered or stand by" },
  ],
  examples: [
    ["cairnctl rpki vrps 192.0.2.0/24", "who may announce what of it"],
    ["cairnctl rpki vrps --asn 64496 -o json", "for other tools"],
  ],
  run: async (context, invocation) => {
    const request = {
      prefix: invocation.arg("PREFIX"),
      asn: asnOption(invocation.option("asn")),
      source: invocation.option("source") ?? "",
      all: invocation.flag("all"),
    };
    if (!context.forPeople) return writeList(context, method.listVrps, request);
    const { vrps } = await listAll(await context.client(), method.listVrps, request);
    if (vrps.length === 0) return context.out.line("no VRPs");
    writeTable(context, vrpColumns, vrps);
  },
};

const aspasCommand: Command = {
  name: "aspas",
  summary: "ASPAs in force: customers and their providers",
  args: [{ name: "ASN", help: "This customer, and those that have it as a provider", optional: true }],
  examples: [["cairnctl rpki aspas 64496", "its providers, and its customers"]],
  run: async (context, invocation) => {
    const given = invocation.arg("ASN");
    const request = { asn: asnOption(given === "" ? undefined : given) };
    if (!context.forPeople) return writeList(context, method.listAspas, request);
    const { aspas } = await listAll(await context.client(), method.listAspas, request);
    if (aspas.length === 0) return context.out.line("no ASPAs");
    writeTable<Aspa>(
      context,
      [
        { title: "CUSTOMER", value: ({ customer }) => `AS${customer}`, align: "right" },
        {
          title: "PROVIDERS",
          value: ({ providers }) => providers.map((asn) => (asn === 0 ? "none" : `AS${asn}`)).join(", "),
          min: 12,
        },
        { title: "SOURCES", value: ({ sources }) => sources.map(safeText).join(", "), min: 8, drop: 1 },
      ],
      aspas,
    );
  },
};

const lookupCommand: Command = {
  name: "lookup",
  summary: "VRPs that cover a prefix, and the state of an origin",
  args: [
    { name: "PREFIX", help: "Prefix of a route" },
    { name: "ASN", help: "Its origin AS", optional: true },
  ],
  examples: [
    ["cairnctl rpki lookup 192.0.2.0/24", "who may announce it"],
    ["cairnctl rpki lookup 192.0.2.0/24 64496", "and whether this AS may"],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const given = invocation.arg("ASN");
    const request = { prefix: invocation.arg("PREFIX"), asn: asnOption(given === "" ? undefined : given) };
    const response = await client.call(method.lookupVrps, request);
    if (!context.forPeople) return context.message(LookupVrpsResponseSchema, response);
    context.out.line(response.state === "" ? response.text : `${response.state}: ${response.text}`);
    if (response.covering.length > 0) writeTable(context, vrpColumns, response.covering);
    if (response.omitted > 0) context.out.line(`and ${response.omitted} more`);
  },
};

const validateCommand: Command = {
  name: "validate",
  summary: "State of an AS path with ASPA, hop by hop",
  args: [{ name: "AS", help: "The path, the neighbor's AS first", repeat: true }],
  options: [
    {
      name: "role",
      value: "ROLE",
      help: "Our role on the session that it comes from; default customer: from a provider",
      from: roles,
    },
  ],
  examples: [["cairnctl rpki validate 64500 64496 64511 --role peer", "a path from a peer may only go up"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const request = {
      asPath: invocation.args("AS").join(" "),
      role: invocation.option("role") ?? "customer",
    };
    const response = await client.call(method.verifyAsPath, request);
    if (!context.forPeople) return context.message(VerifyAsPathResponseSchema, response);
    context.out.line(`${response.state}: ${response.text}`);
    if (response.hops.length === 0) return;
    writeTable(
      context,
      [
        { title: "CUSTOMER", value: ({ customer }) => `AS${customer}`, align: "right" },
        { title: "PROVIDER", value: ({ provider }) => `AS${provider}`, align: "right" },
        { title: "SAYS", value: ({ result }) => result.replace("-", " ") },
      ],
      response.hops,
    );
  },
};

const statusCommand: Command = {
  name: "status",
  summary: "Totals, local files, and what asks for states",
  examples: [["cairnctl rpki status", ""]],
  run: async (context) => {
    const client = await context.client();
    const summary = await client.call(method.getRpkiSummary, {});
    if (!context.forPeople) return context.message(GetRpkiSummaryResponseSchema, summary);
    const { out, style } = context;
    const { ipv4Vrps, ipv6Vrps, aspas, cachesSynchronized, caches, preference } = summary;
    out.line(
      `${humanCount(ipv4Vrps)} IPv4 and ${humanCount(ipv6Vrps)} IPv6 VRPs, ${humanCount(aspas)} ASPAs in force, ${humanBytes(summary.memoryBytes)}`,
    );
    const inUse = preference === undefined ? "" : `; those of preference ${preference} are in use`;
    out.line(`${cachesSynchronized} of ${caches} caches synchronized${inUse}`);
    const users = [...(summary.originsUsed ? ["origins"] : []), ...(summary.pathsUsed ? ["AS paths"] : [])];
    out.line(
      users.length === 0
        ? "no policy and no best-path step asks for states"
        : `policy or best path asks for states of ${users.join(" and ")}`,
    );
    const took = summary.lastDuration ? `, the last in ${humanDuration(summary.lastDuration)}` : "";
    out.line(
      `${humanCount(summary.changes)} changes, ${humanCount(summary.revalidated)} routes looked at again${took}`,
    );
    for (const file of summary.files) {
      const what =
        file.kind === "slurm"
          ? `${humanCount(file.filters)} filters, ${humanCount(file.ipv4Vrps + file.ipv6Vrps)} VRPs asserted`
          : `${humanCount(file.ipv4Vrps + file.ipv6Vrps)} VRPs, ${humanCount(file.aspas)} ASPAs`;
      out.line(`${safeText(file.path)}: ${file.loaded ? what : "not read yet"}`);
      if (file.error !== "") out.line(style.bad(`  ${safeText(file.error)}`));
    }
  },
};

export const rpkiCommand: Command = {
  name: "rpki",
  summary: "RPKI and ASPA: caches, VRPs, states of routes",
  details: "Alone it lists the caches.",
  examples: cachesCommand.examples,
  commands: [
    statusCommand,
    cachesCommand,
    setCommand,
    deleteCommand,
    refreshCommand,
    vrpsCommand,
    aspasCommand,
    lookupCommand,
    validateCommand,
  ],
  run: async (context) => {
    if (!context.forPeople) return writeList(context, method.listRpkiCaches, {});
    const { caches } = await listAll(await context.client(), method.listRpkiCaches, {});
    if (caches.length === 0) return context.out.line("no caches: cairnctl rpki set NAME --host ADDR");
    writeTable(context, cacheColumns, caches);
  },
};

/** @throws CliError (usage) */
function asnOption(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const digits = text.replace(/^AS/i, "");
  if (/^\d{1,10}$/.test(digits) && Number(digits) <= 0xffff_ffff) return Number(digits);
  throw usageError(`"${text}" is not an AS number`);
}
