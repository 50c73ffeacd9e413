/** dynamic: ranges from which whoever connects becomes a neighbor. */
import { toJson } from "@bufbuild/protobuf";
import {
  AddDynamicRangeResponseSchema,
  type DynamicRange,
  DynamicRangeSpecSchema,
  NeighborService,
  SetDynamicRangeResponseSchema,
} from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { usageError } from "../exit.ts";
import { humanCount, safeText } from "../human.ts";
import { mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { deleteVerb, getVerb, tellSpec } from "../named.ts";
import { listAll, writeList } from "../paging.ts";
import { clearedFields, clearOption, readSpec, specFromFlags, specOptions } from "../spec-flags.ts";
import { writeTable } from "../table.ts";
import type { Argument, Command } from "../tree.ts";

const { method } = NeighborService;
const nameArgument: Argument = { name: "NAME", help: "Name of the range", from: "dynamic-range" };

const listCommand: Command = {
  name: "list",
  summary: "All ranges with the neighbors they have",
  examples: [["cairnctl dynamic list", "how full each is"]],
  run: async (context) => {
    if (!context.forPeople) return writeList(context, method.listDynamicRanges, {});
    const { dynamicRanges } = await listAll(await context.client(), method.listDynamicRanges, {});
    if (dynamicRanges.length === 0)
      return context.out.line("no ranges: cairnctl dynamic add NAME --prefix PREFIX --group GROUP");
    const refused = ({ state }: DynamicRange): bigint =>
      (state?.refusedLimit ?? 0n) + (state?.refusedRate ?? 0n);
    writeTable<DynamicRange>(
      context,
      [
        { title: "RANGE", value: ({ spec }) => spec?.name ?? "" },
        { title: "PREFIX", value: ({ spec }) => spec?.prefix || "any" },
        { title: "INTERFACE", value: ({ spec }) => spec?.interface || "any", drop: 2 },
        { title: "GROUP", value: ({ spec }) => spec?.peerGroup ?? "" },
        { title: "AS", value: ({ spec }) => spec?.remoteAsns.join(", ") || "the group's", min: 8 },
        { title: "NEIGHBORS", value: ({ state }) => String(state?.neighbors ?? 0), align: "right" },
        { title: "UP", value: ({ state }) => String(state?.established ?? 0), align: "right" },
        { title: "REFUSED", value: (range) => humanCount(refused(range)), align: "right", drop: 3 },
        { title: "DESCRIPTION", value: ({ spec }) => spec?.description ?? "", min: 10, drop: 1 },
      ],
      dynamicRanges,
    );
  },
};

const getCommand: Command = getVerb(
  method.getDynamicRange,
  nameArgument,
  {
    summary: "One range in full",
    examples: [["cairnctl dynamic get leaves", "settings and counts"]],
  },
  (context, { dynamicRange }) => {
    const { spec, state } = dynamicRange ?? {};
    if (!spec) return;
    tellSpec(context, DynamicRangeSpecSchema, spec);
    if (!state) return;
    const { out, style } = context;
    const counts = [
      `${state.neighbors} neighbors, ${state.established} established`,
      `${state.accepted} connections taken`,
      `${state.refusedLimit} refused by the limit, ${state.refusedRate} by the rate`,
    ];
    out.line(`  ${counts.join("; ")}`);
    out.line(style.dim(`  its neighbors: cairnctl neighbor --filter "dynamic ${safeText(spec.name)}"`));
  },
);

const addCommand: Command = {
  name: "add",
  summary: "Adds a range",
  details:
    "Whoever connects from it becomes a neighbor with the settings of the group, until some time after its session ended.",
  args: [{ name: "NAME", help: "Name of the range" }],
  options: [...specOptions(DynamicRangeSpecSchema, ["name"], "", false), ...mutationOptions],
  examples: [
    [
      "cairnctl dynamic add leaves --prefix 10.0.0.0/24 --group leaves --remote-asns 64512-65534",
      "a fabric's leaves",
    ],
    ["cairnctl dynamic add lab --interface eth1 --group lab --remote-asns any", "whoever is on that link"],
  ],
  run: async (context, invocation) => {
    const { value } = specFromFlags(DynamicRangeSpecSchema, invocation);
    const spec = readSpec(DynamicRangeSpecSchema, { ...value, name: invocation.arg("NAME") });
    const client = await context.client();
    const response = await client.call(method.addDynamicRange, { spec, ...mutationFields(invocation) });
    await tellMutation(context, invocation, AddDynamicRangeResponseSchema, response);
  },
};

const setCommand: Command = {
  name: "set",
  summary: "Changes the settings that are named",
  details: "Neighbors that no longer match end with Cease / Peer De-configured.",
  args: [nameArgument],
  options: [...specOptions(DynamicRangeSpecSchema, ["name"]), clearOption, ...mutationOptions],
  examples: [["cairnctl dynamic set leaves --max-neighbors 500", "make room"]],
  run: async (context, invocation) => {
    const { value, mask } = specFromFlags(DynamicRangeSpecSchema, invocation);
    const cleared = clearedFields(DynamicRangeSpecSchema, invocation);
    if (mask.length + cleared.length === 0) throw usageError("nothing to set", "name at least one field");
    const client = await context.client();
    const name = invocation.arg("NAME");
    const { dynamicRange } = await client.call(method.getDynamicRange, { name });
    const base = dynamicRange?.spec
      ? (toJson(DynamicRangeSpecSchema, dynamicRange.spec, { useProtoFieldName: true }) as Record<
          string,
          unknown
        >)
      : {};
    for (const field of cleared) delete base[field];
    const spec = readSpec(DynamicRangeSpecSchema, { ...base, ...value, name });
    const response = await client.call(method.setDynamicRange, { spec, ...mutationFields(invocation) });
    await tellMutation(context, invocation, SetDynamicRangeResponseSchema, response);
  },
};

const deleteCommand: Command = deleteVerb(method.deleteDynamicRange, nameArgument, {
  summary: "Deletes a range and ends the sessions of its neighbors",
  details:
    "To remove one neighbor only: cairnctl neighbor delete ADDR. It may come again as long as the range is there.",
  examples: [["cairnctl dynamic delete leaves --dry-run", "look first"]],
});

export const dynamicCommand: Command = {
  name: "dynamic",
  summary: "Ranges of dynamic neighbors",
  details: "Alone it lists the ranges.",
  examples: listCommand.examples,
  commands: [listCommand, getCommand, addCommand, setCommand, deleteCommand],
  run: listCommand.run,
};
