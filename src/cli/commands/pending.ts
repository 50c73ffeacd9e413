/** confirm, abort, pending: the change that waits for its confirmation. */
import {
  AbortResponseSchema,
  ConfigService,
  ConfirmResponseSchema,
  GetPendingResponseSchema,
} from "../../gen/cairn/v1/config_service_pb.ts";
import { pendingLines } from "../config-source.ts";
import { usageError } from "../exit.ts";
import { safeText } from "../human.ts";
import { mutationFields, tellMutation } from "../mutate.ts";
import type { Argument, Command, Invocation, Option } from "../tree.ts";

const { method } = ConfigService;
const generationArgument: Argument = {
  name: "GEN",
  help: "Generation that is meant; without it the one that waits",
  optional: true,
};
const reasonOption: Option = { name: "reason", value: "TEXT", help: "Why; kept with the record" };

function request(invocation: Invocation): { generation: bigint; reason: string; requestId: string } {
  const text = invocation.arg("GEN");
  if (text !== "" && !/^\d{1,18}$/.test(text)) throw usageError(`"${text}" is not a generation`);
  const { reason, requestId } = mutationFields(invocation);
  return { generation: BigInt(text === "" ? 0 : text), reason, requestId };
}

export const confirmCommand: Command = {
  name: "confirm",
  summary: "Keeps the change that waits for confirmation",
  args: [generationArgument],
  options: [reasonOption],
  examples: [["cairnctl confirm", "the change stays"]],
  run: async (context, invocation) => {
    const response = await (await context.client()).call(method.confirm, request(invocation));
    if (!context.forPeople) return context.message(ConfirmResponseSchema, response);
    context.out.line(`generation ${response.generation} is confirmed`);
  },
};

export const abortCommand: Command = {
  name: "abort",
  summary: "Takes back the change that waits for confirmation",
  args: [generationArgument],
  options: [reasonOption],
  examples: [["cairnctl abort", "back to what was before"]],
  run: async (context, invocation) => {
    const response = await (await context.client()).call(method.abort, request(invocation));
    await tellMutation(context, invocation, AbortResponseSchema, response);
  },
};

export const pendingCommand: Command = {
  name: "pending",
  summary: "The change that waits for confirmation",
  examples: [["cairnctl pending", "who changed what, and when it is taken back"]],
  run: async (context) => {
    const response = await (await context.client()).call(method.getPending, {});
    if (!context.forPeople) return context.message(GetPendingResponseSchema, response);
    const { pending } = response;
    if (!pending) return context.out.line("no change waits for confirmation");
    const why = pending.reason === "" ? "" : `: ${safeText(pending.reason)}`;
    context.out.line(`changed by ${safeText(pending.principal)}${why}`);
    context.out.line(pendingLines(pending, context).join("\n"));
  },
};
