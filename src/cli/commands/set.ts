/** set prefix|aspath|community|neighbor|asn|nexthop: the sets that policies match on. One code path for all kinds. */
import { type DescMessage, type DescMethodUnary, type Message, toJson } from "@bufbuild/protobuf";
import {
  AsnSetSpecSchema,
  AsPathSetSpecSchema,
  CommunitySetSpecSchema,
  NeighborSetSpecSchema,
  NextHopSetSpecSchema,
  PolicyService,
  PrefixSetSpecSchema,
} from "../../gen/cairn/v1/policy_service_pb.ts";
import type { ObjectChange } from "../../gen/cairn/v1/types_pb.ts";
import { usageError } from "../exit.ts";
import { safeText } from "../human.ts";
import { findField, readMessage } from "../message-input.ts";
import { mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { listAll, writeList } from "../paging.ts";
import { fileOption, readDocument } from "../read-file.ts";
import { valueText } from "../spec-fields.ts";
import { specFromFlags, specOptions } from "../spec-flags.ts";
import { renderTable } from "../table.ts";
import type { Argument, Command, SetSource } from "../tree.ts";
import { ifFound } from "./group.ts";

const { method } = PolicyService;

interface SetKind {
  readonly word: string;
  readonly source: SetSource;
  readonly noun: string;
  readonly spec: DescMessage;
  /** Field that the words after NAME go to. */
  readonly entries: string;
  readonly entryHelp: string;
  readonly example: string;
  readonly list: DescMethodUnary;
  readonly get: DescMethodUnary;
  readonly set: DescMethodUnary;
  readonly remove: DescMethodUnary;
}

const kinds: readonly SetKind[] = [
  {
    word: "prefix",
    source: "prefix-set",
    noun: "prefix set",
    spec: PrefixSetSpecSchema,
    entries: "prefixes",
    entryHelp: 'A prefix: 10.0.0.0/8, "10.0.0.0/8 ge 24 le 32", or 10.0.0.0/8+ for all inside it',
    example: 'bogons 10.0.0.0/8+ "192.0.2.0/24 le 32"',
    list: method.listPrefixSets,
    get: method.getPrefixSet,
    set: method.setPrefixSet,
    remove: method.deletePrefixSet,
  },
  {
    word: "aspath",
    source: "aspath-set",
    noun: "AS path set",
    spec: AsPathSetSpecSchema,
    entries: "patterns",
    entryHelp: "A regular expression over the path, where _ is any boundary, for example _65010$",
    example: "customers '_65010$' '_65011$'",
    list: method.listAsPathSets,
    get: method.getAsPathSet,
    set: method.setAsPathSet,
    remove: method.deleteAsPathSet,
  },
  {
    word: "community",
    source: "community-set",
    noun: "community set",
    spec: CommunitySetSpecSchema,
    entries: "communities",
    entryHelp: "A standard, extended or large community; parts may be * or a range 100-199",
    example: "blackhole 65535:666 '65001:9*'",
    list: method.listCommunitySets,
    get: method.getCommunitySet,
    set: method.setCommunitySet,
    remove: method.deleteCommunitySet,
  },
  {
    word: "neighbor",
    source: "neighbor-set",
    noun: "neighbor set",
    spec: NeighborSetSpecSchema,
    entries: "addresses",
    entryHelp: "An address or prefix",
    example: "ix 203.0.113.0/24 --asns 65010",
    list: method.listNeighborSets,
    get: method.getNeighborSet,
    set: method.setNeighborSet,
    remove: method.deleteNeighborSet,
  },
  {
    word: "asn",
    source: "asn-set",
    noun: "AS number set",
    spec: AsnSetSpecSchema,
    entries: "asns",
    entryHelp: "An AS number, or a range such as 64512-65534",
    example: "customers 65010 65020-65029",
    list: method.listAsnSets,
    get: method.getAsnSet,
    set: method.setAsnSet,
    remove: method.deleteAsnSet,
  },
  {
    word: "nexthop",
    source: "nexthop-set",
    noun: "next hop set",
    spec: NextHopSetSpecSchema,
    entries: "addresses",
    entryHelp: "An address or prefix",
    example: "ix 203.0.113.0/24 2001:db8::1",
    list: method.listNextHopSets,
    get: method.getNextHopSet,
    set: method.setNextHopSet,
    remove: method.deleteNextHopSet,
  },
];

export const setCommand: Command = {
  name: "set",
  summary: "Prefix, AS path, community, neighbor, AS number and next hop sets for policies",
  examples: [
    ["cairnctl set prefix list", "all prefix sets"],
    ["cairnctl set prefix set bogons 10.0.0.0/8+ 192.168.0.0/16+", "create or replace one"],
    ["cairnctl set prefix add bogons 100.64.0.0/10+", "add to it"],
  ],
  commands: kinds.map(kindCommand),
};

function kindCommand(kind: SetKind): Command {
  const name: Argument = { name: "NAME", help: `Name of the ${kind.noun}`, from: kind.source };
  const entry: Argument = { name: "ENTRY", help: kind.entryHelp, repeat: true, optional: true };
  const others = specOptions(kind.spec, ["name", kind.entries]);
  const head = `cairnctl set ${kind.word}`;
  const list = listCommand(kind);
  return {
    name: kind.word,
    summary: `The ${kind.noun}s`,
    details: "Alone it lists them.",
    examples: [[`${head} list`, "all of them"]],
    run: list.run,
    commands: [
      list,
      getCommand(kind, name),
      {
        name: "set",
        summary: `Creates or replaces a ${kind.noun}`,
        args: [name, entry],
        options: [fileOption, ...others, ...mutationOptions],
        examples: [[`${head} set ${kind.example}`, "these entries and no others"]],
        run: editRun(kind, "set"),
      },
      {
        name: "add",
        summary: `Adds entries to a ${kind.noun}`,
        args: [name, entry],
        options: [...others, ...mutationOptions],
        examples: [[`${head} add ${kind.example}`, "the rest stays"]],
        run: editRun(kind, "add"),
      },
      {
        name: "remove",
        summary: `Takes entries out of a ${kind.noun}`,
        args: [name, entry],
        options: [...others, ...mutationOptions],
        examples: [[`${head} remove ${kind.example}`, "the rest stays"]],
        run: editRun(kind, "remove"),
      },
      {
        name: "delete",
        summary: `Deletes a ${kind.noun} that no policy uses`,
        args: [name],
        options: mutationOptions,
        examples: [[`${head} delete ${kind.example.split(" ")[0]}`, "refused while a policy names it"]],
        run: async (context, invocation) => {
          const client = await context.client();
          const request = { name: invocation.arg("NAME"), ...mutationFields(invocation) };
          const response = await client.call(kind.remove, request as Record<string, unknown>);
          await tellMutation(context, invocation, kind.remove.output, response as MutationResponse);
        },
      },
    ],
  };
}

type MutationResponse = Message & { generation: bigint; changes: ObjectChange[] };

/** The set object in a response of Get or an element of List, as proto-named JSON. */
interface SetJson {
  readonly spec: Record<string, unknown> & { readonly name: string };
  readonly metadata?: { readonly generation?: string };
}

function listCommand(kind: SetKind): Command {
  return {
    name: "list",
    summary: `All ${kind.noun}s`,
    examples: [[`cairnctl set ${kind.word} list -o wide`, "with all entries"]],
    run: async (context) => {
      if (!context.forPeople) return writeList(context, kind.list, {});
      const merged = await listAll(await context.client(), kind.list, {});
      const json = toJson(kind.list.output, merged, { useProtoFieldName: true }) as Record<string, unknown>;
      const rows = (Object.values(json).find(Array.isArray) ?? []) as SetJson[];
      if (rows.length === 0)
        return context.out.line(`no ${kind.noun}s: cairnctl set ${kind.word} set NAME ENTRY...`);
      const lines = renderTable<SetJson>(
        [
          { title: kind.noun.toUpperCase(), value: ({ spec }) => spec.name },
          { title: "ENTRIES", value: ({ spec }) => String(entryTexts(kind, spec).length), align: "right" },
          { title: "", value: ({ spec }) => entryTexts(kind, spec).join(", "), min: 10 },
        ],
        rows,
        context.width,
        context.style,
      );
      context.out.line(lines.join("\n"));
    },
  };
}

function getCommand(kind: SetKind, name: Argument): Command {
  return {
    name: "get",
    summary: `One ${kind.noun}`,
    args: [name],
    examples: [[`cairnctl set ${kind.word} get ${kind.example.split(" ")[0]}`, "one entry a line"]],
    run: async (context, invocation) => {
      const client = await context.client();
      const response = await client.call(kind.get, { name: invocation.arg("NAME") } as Record<
        string,
        unknown
      >);
      if (!context.forPeople) return context.message(kind.get.output, response);
      const { spec } = setOf(kind, response);
      context.out.line(context.style.bold(safeText(spec.name)));
      for (const text of entryTexts(kind, spec)) context.out.line(`  ${text}`);
    },
  };
}

function setOf(kind: SetKind, response: Message): SetJson {
  const json: unknown = toJson(kind.get.output, response, { useProtoFieldName: true });
  return Object.values(json as Record<string, SetJson>)[0];
}

function entryTexts(kind: SetKind, spec: Record<string, unknown>): string[] {
  return kind.spec.fields
    .filter(({ name, fieldKind }) => name !== "name" && fieldKind === "list")
    .flatMap((field) => {
      const values = (spec[field.name] ?? []) as string[];
      const label =
        field.name === kind.entries ? "" : `${field.name.replace(/s$/, "").replaceAll("_", " ")} `;
      return values.map((value) => label + valueText(field, value));
    });
}

function editRun(kind: SetKind, how: "set" | "add" | "remove"): Command["run"] {
  return async (context, invocation) => {
    const client = await context.client();
    const name = invocation.arg("NAME");
    const file = invocation.option("file");
    const { value } = specFromFlags(kind.spec, invocation);
    const words = invocation.args("ENTRY");
    const given: Record<string, unknown> =
      words.length === 0 ? { ...value } : { ...value, [kind.entries]: words };
    if (file !== undefined) Object.assign(given, await readDocument(context, file));
    if (Object.keys(given).length === 0 && how !== "set")
      throw usageError(`name the entries to ${how}`, kind.entryHelp);
    let next = canonical(kind, { ...given, name });
    if (how !== "set") {
      const found = await ifFound(client.call(kind.get, { name } as Record<string, unknown>));
      const before = found ? setOf(kind, found).spec : { name };
      next = how === "add" ? added(before, next) : removed(kind, before, next);
    }
    const spec = readMessage(kind.spec, next, "the command line");
    const response = await client.call(kind.set, { spec, ...mutationFields(invocation) } as Record<
      string,
      unknown
    >);
    await tellMutation(context, invocation, kind.set.output, response as MutationResponse);
  };
}

function canonical(kind: SetKind, value: Record<string, unknown>): Record<string, unknown> {
  const message = readMessage(kind.spec, value, "the command line");
  return toJson(kind.spec, message, { useProtoFieldName: true }) as Record<string, unknown>;
}

function added(before: Record<string, unknown>, more: Record<string, unknown>): Record<string, unknown> {
  const next = { ...before };
  for (const [field, values] of Object.entries(more)) {
    if (!Array.isArray(values)) continue;
    const present = new Set(((before[field] ?? []) as unknown[]).map((entry) => JSON.stringify(entry)));
    next[field] = [
      ...((before[field] ?? []) as unknown[]),
      ...values.filter((entry) => !present.has(JSON.stringify(entry))),
    ];
  }
  return next;
}

function removed(
  kind: SetKind,
  before: Record<string, unknown>,
  less: Record<string, unknown>,
): Record<string, unknown> {
  const next = { ...before };
  for (const [name, values] of Object.entries(less)) {
    if (!Array.isArray(values)) continue;
    const gone = new Set(values.map((entry) => JSON.stringify(entry)));
    const present = (before[name] ?? []) as unknown[];
    const kept = present.filter((entry) => !gone.has(JSON.stringify(entry)));
    const field = findField(kind.spec, name);
    if (field && kept.length === present.length) {
      throw usageError(
        `none of these is in the set: ${valueText(field, values)}`,
        `see: cairnctl set ${kind.word} get NAME`,
      );
    }
    next[name] = kept;
  }
  return next;
}
