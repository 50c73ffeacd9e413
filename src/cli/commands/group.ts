/** group: settings that several neighbors share. */

import { toJson } from "@bufbuild/protobuf";
import {
  AttachNeighborResponseSchema,
  DetachNeighborResponseSchema,
  type PeerGroup,
  PeerGroupService,
  PeerGroupSpecSchema,
  SetPeerGroupResponseSchema,
} from "../../gen/cairn/v1/peer_group_service_pb.ts";
import { CliError, usageError } from "../exit.ts";
import { mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { deleteVerb, getVerb, tellSpec } from "../named.ts";
import { listAll, writeList } from "../paging.ts";
import { fileOption, readDocument } from "../read-file.ts";
import { clearedFields, clearOption, isSecret, readSpec, specFromFlags, specOptions } from "../spec-flags.ts";
import { writeTable } from "../table.ts";
import type { Argument, Command } from "../tree.ts";

const { method } = PeerGroupService;
const nameArgument: Argument = { name: "NAME", help: "Name of the group", from: "group" };
const addressArgument: Argument = { name: "ADDR", help: "Address of the neighbor", from: "neighbor" };

const listCommand: Command = {
  name: "list",
  summary: "All groups",
  examples: [["cairnctl group list", "with their members"]],
  run: async (context) => {
    if (!context.forPeople) return writeList(context, method.listPeerGroups, {});
    const { peerGroups } = await listAll(await context.client(), method.listPeerGroups, {});
    if (peerGroups.length === 0) return context.out.line("no groups: cairnctl group set NAME ...");
    writeTable<PeerGroup>(
      context,
      [
        { title: "GROUP", value: ({ spec }) => spec?.name ?? "" },
        { title: "AS", value: ({ spec }) => String(spec?.remoteAsn ?? "-"), align: "right" },
        { title: "MEMBERS", value: ({ members }) => String(members.length), align: "right" },
        { title: "ADDRESSES", value: ({ members }) => members.join(", "), wide: true },
        { title: "IMPORT", value: ({ spec }) => spec?.import.join(", ") ?? "", min: 8 },
        { title: "EXPORT", value: ({ spec }) => spec?.export.join(", ") ?? "", min: 8 },
        { title: "DESCRIPTION", value: ({ spec }) => spec?.description ?? "", min: 10, drop: 1 },
      ],
      peerGroups,
    );
  },
};

const getCommand: Command = getVerb(
  method.getPeerGroup,
  nameArgument,
  {
    summary: "One group with its members",
    examples: [["cairnctl group get transit", "settings and members"]],
  },
  (context, { peerGroup }) => {
    if (!peerGroup?.spec) return;
    const { members, spec } = peerGroup;
    tellSpec(context, PeerGroupSpecSchema, spec);
    const { out, style } = context;
    out.line(members.length === 0 ? style.dim("  no members") : `  members: ${members.join(", ")}`);
  },
);

const setCommand: Command = {
  name: "set",
  summary: "Creates a group, or changes the settings that are named",
  details:
    "With flags the other settings stay; with -f the file replaces the whole group. Members take the change at once.",
  args: [nameArgument],
  options: [
    ...specOptions(PeerGroupSpecSchema, ["name"]),
    clearOption,
    { ...fileOption },
    ...mutationOptions,
  ],
  examples: [
    ["cairnctl group set transit --import bogons,transit-in --export mine-only", "policies for all members"],
    ["cairnctl group get transit -o yaml | cairnctl group set transit -f -", "as a file"],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const name = invocation.arg("NAME");
    const file = invocation.option("file");
    const { value, mask } = specFromFlags(PeerGroupSpecSchema, invocation);
    const cleared = clearedFields(PeerGroupSpecSchema, invocation);
    if (file !== undefined && (mask.length > 0 || cleared.length > 0))
      throw usageError("give -f FILE or flags, not both");
    let base: Record<string, unknown>;
    if (file !== undefined) {
      base = await readDocument(context, file);
    } else {
      if (mask.length === 0 && cleared.length === 0)
        throw usageError("nothing to set", "give flags, or a file with -f");
      const response = await ifFound(client.call(method.getPeerGroup, { name }));
      base = response?.peerGroup?.spec
        ? (toJson(PeerGroupSpecSchema, response.peerGroup.spec, { useProtoFieldName: true }) as Record<
            string,
            unknown
          >)
        : {};
      for (const field of cleared) {
        // A secret that is left out is kept; one that is sent empty goes.
        if (isSecret(PeerGroupSpecSchema, field)) base[field] = "";
        else delete base[field];
      }
    }
    const spec = readSpec(PeerGroupSpecSchema, { ...base, ...value, name });
    const response = await client.call(method.setPeerGroup, { spec, ...mutationFields(invocation) });
    await tellMutation(context, invocation, SetPeerGroupResponseSchema, response);
  },
};

/** The answer, or undefined when the daemon says NOT_FOUND. */
export async function ifFound<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof CliError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
}

const deleteCommand: Command = deleteVerb(method.deletePeerGroup, nameArgument, {
  summary: "Deletes a group that has no members",
  examples: [["cairnctl group delete transit", "refused while neighbors belong to it"]],
});

const attachCommand: Command = {
  name: "attach",
  summary: "Puts a neighbor into a group",
  args: [nameArgument, addressArgument],
  options: mutationOptions,
  examples: [["cairnctl group attach transit 192.0.2.1", "it inherits from now on"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const request = {
      peerGroup: invocation.arg("NAME"),
      address: invocation.arg("ADDR"),
      ...mutationFields(invocation),
    };
    const response = await client.call(method.attachNeighbor, request);
    await tellMutation(context, invocation, AttachNeighborResponseSchema, response);
  },
};

const detachCommand: Command = {
  name: "detach",
  summary: "Takes a neighbor out of its group",
  args: [addressArgument],
  options: mutationOptions,
  examples: [["cairnctl group detach 192.0.2.1", "it keeps only its own settings"]],
  run: async (context, invocation) => {
    const client = await context.client();
    const request = { address: invocation.arg("ADDR"), ...mutationFields(invocation) };
    const response = await client.call(method.detachNeighbor, request);
    await tellMutation(context, invocation, DetachNeighborResponseSchema, response);
  },
};

export const groupCommand: Command = {
  name: "group",
  summary: "Peer groups",
  details: "Alone it lists the groups.",
  examples: listCommand.examples,
  commands: [listCommand, getCommand, setCommand, deleteCommand, attachCommand, detachCommand],
  run: listCommand.run,
};
