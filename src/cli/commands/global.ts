/** global and global set. */
import {
  type GetGlobalResponse,
  GetGlobalResponseSchema,
  GlobalService,
  GlobalSpecSchema,
  SetGlobalResponseSchema,
} from "../../gen/cairn/v1/global_service_pb.ts";
import type { Context } from "../context.ts";
import { usageError } from "../exit.ts";
import { humanTime, safeText } from "../human.ts";
import { mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { specFields } from "../spec-fields.ts";
import { clearedFields, clearOption, readSpec, specFromFlags, specOptions } from "../spec-flags.ts";
import { renderFields } from "../table.ts";
import type { Command } from "../tree.ts";

export const globalCommand: Command = {
  name: "global",
  summary: "The router's own settings",
  examples: [
    ["cairnctl global", "show them"],
    ["cairnctl global set --hold-time 30s --dry-run", "what a change would do"],
  ],
  commands: [
    {
      name: "set",
      summary: "Changes the settings that are named",
      options: [...specOptions(GlobalSpecSchema), clearOption, ...mutationOptions],
      examples: [["cairnctl global set --name edge1", "the name that operators see"]],
      run: async (context, invocation) => {
        const { value, mask } = specFromFlags(GlobalSpecSchema, invocation);
        const cleared = clearedFields(GlobalSpecSchema, invocation);
        const updateMask = [...mask, ...cleared];
        if (updateMask.length === 0)
          throw usageError("nothing to set", "name at least one field: see --help");
        const client = await context.client();
        const response = await client.call(GlobalService.method.setGlobal, {
          spec: readSpec(GlobalSpecSchema, value),
          updateMask,
          ...mutationFields(invocation),
        });
        await tellMutation(context, invocation, SetGlobalResponseSchema, response);
      },
    },
  ],
  run: async (context) => {
    const client = await context.client();
    const response = await client.call(GlobalService.method.getGlobal, {});
    if (!context.forPeople) return context.message(GetGlobalResponseSchema, response);
    tellGlobal(context, response);
  },
};

function tellGlobal({ out, style }: Context, { spec, metadata, generation }: GetGlobalResponse): void {
  if (!spec) {
    out.line("nothing is set yet: cairnctl global set --asn N --router-id ID");
    return;
  }
  out.line(`${style.bold(safeText(spec.name || "cairn"))}  AS ${spec.asn}, router id ${spec.routerId}`);
  const fields = specFields(GlobalSpecSchema, spec, ["name", "asn", "router_id"]);
  for (const line of renderFields(fields, style)) out.line(line);
  const by = metadata?.managedBy ? ` by ${safeText(metadata.managedBy)}` : "";
  out.line(style.dim(`generation ${generation}; last changed ${humanTime(metadata?.updated)}${by}`));
}
