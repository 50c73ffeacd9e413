/** neighbor and what is below it. */
import {
  AddNeighborResponseSchema,
  DeleteNeighborResponseSchema,
  DisableNeighborResponseSchema,
  EnableNeighborResponseSchema,
  GetNeighborResponseSchema,
  HardResetResponseSchema,
  NeighborService,
  NeighborSpecSchema,
  SoftResetInResponseSchema,
  SoftResetOutResponseSchema,
  UpdateNeighborResponseSchema,
} from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { usageError } from "../exit.ts";
import { expandFamily, familyOption } from "../family.ts";
import { mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { listAll, writeList } from "../paging.ts";
import { clearedFields, clearOption, readSpec, specFromFlags, specOptions } from "../spec-flags.ts";
import type { Argument, Command } from "../tree.ts";
import { neighborPage } from "./neighbor-page.ts";
import { neighborTable } from "./neighbor-view.ts";

const { method } = NeighborService;
const addressArgument: Argument = { name: "ADDR", help: "Address of the neighbor", from: "neighbor" };

export const neighborCommand: Command = {
  name: "neighbor",
  summary: "BGP neighbors: show, add, change, reset",
  details: "Without ADDR all sessions in a table; with it everything about one.",
  args: [{ ...addressArgument, optional: true }],
  options: [
    {
      name: "filter",
      value: "WORDS",
      help: "Only neighbors with these words in address, description, group or state",
    },
  ],
  examples: [
    ["cairnctl neighbor", "all sessions"],
    ["cairnctl neighbor --filter idle", "those that are down"],
    ["cairnctl neighbor 192.0.2.1", "one in full"],
  ],
  commands: [addCommand(), setCommand(), deleteCommand(), enableCommand(), disableCommand(), resetCommand()],
  run: async (context, invocation) => {
    const client = await context.client();
    const address = invocation.arg("ADDR");
    if (address !== "") {
      const response = await client.call(method.getNeighbor, { address });
      if (!context.forPeople) return context.message(GetNeighborResponseSchema, response);
      if (response.neighbor)
        context.out.line(neighborPage(response.neighbor, context.style, context.width).join("\n"));
      return;
    }
    const request = { filter: invocation.option("filter") ?? "" };
    if (!context.forPeople) return writeList(context, method.listNeighbors, request);
    const { neighbors } = await listAll(client, method.listNeighbors, request);
    if (neighbors.length === 0) {
      context.out.line(
        request.filter
          ? `no neighbor matches "${request.filter}"`
          : "no neighbors: cairnctl neighbor add ADDR --asn N",
      );
      return;
    }
    context.out.line(
      neighborTable(neighbors, context.style, context.width, context.format === "wide").join("\n"),
    );
  },
};

function addCommand(): Command {
  return {
    name: "add",
    summary: "Adds a neighbor",
    details:
      "The session starts at once. What is not given comes from the peer group, then from the defaults.",
    args: [{ name: "ADDR", help: "Address of the neighbor" }],
    options: [...specOptions(NeighborSpecSchema, ["address"], "", false), ...mutationOptions],
    examples: [
      [
        "cairnctl neighbor add 192.0.2.1 --asn 65001 --import accept-all --export mine-only",
        "an eBGP neighbor",
      ],
      [
        "cairnctl neighbor add 2001:db8::1 --group transit --prefix-limit family=ipv6-unicast,max=200000",
        "with a limit",
      ],
    ],
    run: async (context, invocation) => {
      const { value } = specFromFlags(NeighborSpecSchema, invocation);
      const spec = readSpec(NeighborSpecSchema, { ...value, address: invocation.arg("ADDR") });
      const client = await context.client();
      const response = await client.call(method.addNeighbor, { spec, ...mutationFields(invocation) });
      await tellMutation(context, invocation, AddNeighborResponseSchema, response);
    },
  };
}

function setCommand(): Command {
  return {
    name: "set",
    summary: "Changes the settings that are named",
    details: "The rest stays as it is. A list, such as --import, is replaced as a whole.",
    args: [addressArgument],
    options: [...specOptions(NeighborSpecSchema, ["address"]), clearOption, ...mutationOptions],
    examples: [
      ["cairnctl neighbor set 192.0.2.1 --hold-time 30s", "one field"],
      ["cairnctl neighbor set 192.0.2.1 --clear hold-time", "back to what is inherited"],
    ],
    run: async (context, invocation) => {
      // --address is also cairnctl's own option for the daemon.
      const { value, mask } = specFromFlags(NeighborSpecSchema, invocation, "", ["address"]);
      const updateMask = [...mask, ...clearedFields(NeighborSpecSchema, invocation)];
      if (updateMask.length === 0) {
        throw usageError(
          "nothing to set",
          "name at least one field, for example --hold-time 30s; see --help for all",
        );
      }
      const spec = readSpec(NeighborSpecSchema, { ...value, address: invocation.arg("ADDR") });
      const client = await context.client();
      const response = await client.call(method.updateNeighbor, {
        spec,
        updateMask,
        ...mutationFields(invocation),
      });
      await tellMutation(context, invocation, UpdateNeighborResponseSchema, response);
    },
  };
}

function deleteCommand(): Command {
  return {
    name: "delete",
    summary: "Deletes a neighbor",
    details: "Ends its session with Cease / Peer De-configured and forgets its routes.",
    args: [addressArgument],
    options: mutationOptions,
    examples: [["cairnctl neighbor delete 192.0.2.1 --dry-run", "look first"]],
    run: async (context, invocation) => {
      const client = await context.client();
      const request = { address: invocation.arg("ADDR"), ...mutationFields(invocation) };
      const response = await client.call(method.deleteNeighbor, request);
      await tellMutation(context, invocation, DeleteNeighborResponseSchema, response);
    },
  };
}

function enableCommand(): Command {
  return {
    name: "enable",
    summary: "Brings a disabled or held-down neighbor up again",
    args: [addressArgument],
    options: mutationOptions,
    examples: [["cairnctl neighbor enable 192.0.2.1", "also after a prefix limit stopped it"]],
    run: async (context, invocation) => {
      const client = await context.client();
      const request = { address: invocation.arg("ADDR"), ...mutationFields(invocation) };
      const response = await client.call(method.enableNeighbor, request);
      await tellMutation(context, invocation, EnableNeighborResponseSchema, response);
    },
  };
}

function disableCommand(): Command {
  return {
    name: "disable",
    summary: "Takes a neighbor down until it is enabled again, also over restarts",
    details:
      "--reason is kept with the generation; it is also what the neighbor is told, unless --message says otherwise.",
    args: [addressArgument],
    options: [
      {
        name: "message",
        short: "m",
        value: "TEXT",
        help: "Text for the neighbor (RFC 9003), at most 255 bytes",
      },
      ...mutationOptions,
    ],
    examples: [
      [
        'cairnctl neighbor disable 192.0.2.1 --reason "fibre work until 04:00"',
        "and the other side knows why",
      ],
    ],
    run: async (context, invocation) => {
      const client = await context.client();
      const message = invocation.option("message") ?? invocation.option("reason") ?? "";
      const request = { address: invocation.arg("ADDR"), message, ...mutationFields(invocation) };
      const response = await client.call(method.disableNeighbor, request);
      await tellMutation(context, invocation, DisableNeighborResponseSchema, response);
    },
  };
}

function resetCommand(): Command {
  return {
    name: "reset",
    summary: "Resets a session, or only its routes with --soft",
    details:
      "Without --soft the session ends with Cease / Administrative Reset and starts again by itself.\n" +
      "--soft in runs import policy again (--refresh asks the neighbor to send its routes again); --soft out sends everything again.",
    args: [addressArgument],
    options: [
      { name: "soft", value: "in|out", help: "Keep the session up", from: ["in", "out"] },
      { name: "refresh", help: "With --soft in: send ROUTE-REFRESH even where received routes are kept" },
      {
        name: "message",
        short: "m",
        aliases: ["reason"],
        value: "TEXT",
        help: "Without --soft: text for the neighbor",
      },
      { ...familyOption, repeat: true, help: "With --soft: only this family" },
    ],
    examples: [["cairnctl neighbor reset 192.0.2.1 --soft in", "without a flap"]],
    run: async (context, invocation) => {
      const address = invocation.arg("ADDR");
      const soft = invocation.option("soft");
      const families = invocation
        .options("family")
        .flatMap((text) => text.split(","))
        .map(expandFamily);
      if (soft !== undefined && soft !== "in" && soft !== "out")
        throw usageError(`--soft is in or out, not "${soft}"`);
      if (soft === undefined && families.length > 0)
        throw usageError("--family needs --soft in or --soft out");
      if (soft !== undefined && invocation.option("message"))
        throw usageError("--message does not go with --soft");
      if (soft !== "in" && invocation.flag("refresh")) throw usageError("--refresh needs --soft in");
      const client = await context.client();
      if (soft === "in") {
        const response = await client.call(method.softResetIn, {
          address,
          families,
          refresh: invocation.flag("refresh"),
        });
        if (!context.forPeople) return context.message(SoftResetInResponseSchema, response);
        context.out.line(`import policy runs again over the routes of ${address}`);
      } else if (soft === "out") {
        const response = await client.call(method.softResetOut, { address, families });
        if (!context.forPeople) return context.message(SoftResetOutResponseSchema, response);
        context.out.line(`everything is sent to ${address} again`);
      } else {
        const response = await client.call(method.hardReset, {
          address,
          message: invocation.option("message") ?? "",
        });
        if (!context.forPeople) return context.message(HardResetResponseSchema, response);
        context.out.line(`the session with ${address} is reset`);
      }
    },
  };
}
