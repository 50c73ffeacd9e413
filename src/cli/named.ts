/** Verbs that are the same for every kind whose objects have a name: get and delete. */
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { Context } from "./context.ts";
import { safeText } from "./human.ts";
import { type MutationResponse, mutationFields, mutationOptions, tellMutation } from "./mutate.ts";
import { specFields } from "./spec-fields.ts";
import { renderFields } from "./table.ts";
import type { Argument, Command, Invocation } from "./tree.ts";

type Words = Pick<Command, "summary" | "details" | "examples">;

/**
 * @param rpc Get of the kind; the name is field 1 of its request
 * @param tell writes the answer for people; other formats get the message as it is
 */
export function getVerb<I extends DescMessage, O extends DescMessage>(
  rpc: DescMethodUnary<I, O>,
  argument: Argument,
  words: Words,
  tell: (context: Context, response: MessageShape<O>) => void,
): Command {
  return {
    name: "get",
    ...words,
    args: [argument],
    run: async (context, invocation) => {
      const client = await context.client();
      const response = await client.call(rpc, named(rpc, argument, invocation));
      if (context.forPeople) tell(context, response);
      else await context.message(rpc.output, response);
    },
  };
}

/** @param rpc Delete of the kind; the name is field 1 of its request */
export function deleteVerb<I extends DescMessage, O extends DescMessage>(
  rpc: DescMethodUnary<I, O>,
  argument: Argument,
  words: Words,
): Command {
  return {
    name: "delete",
    ...words,
    args: [argument],
    options: mutationOptions,
    run: async (context, invocation) => {
      const client = await context.client();
      const request = { ...named(rpc, argument, invocation), ...mutationFields(invocation) };
      const response = await client.call(rpc, request as MessageInitShape<I>);
      await tellMutation(context, invocation, rpc.output, response as MessageShape<O> & MutationResponse);
    },
  };
}

/** A spec in full under its name. */
export function tellSpec<D extends DescMessage>(
  { out, style }: Context,
  schema: D,
  spec: MessageShape<D> & { readonly name: string },
): void {
  out.line(style.bold(safeText(spec.name)));
  out.line(renderFields(specFields(schema, spec, ["name"]), style).join("\n"));
}

function named<I extends DescMessage>(
  rpc: DescMethodUnary<I>,
  argument: Argument,
  invocation: Invocation,
): MessageInitShape<I> {
  const key = rpc.input.fields.find(({ number }) => number === 1);
  return { [key?.localName ?? "name"]: invocation.arg(argument.name) } as MessageInitShape<I>;
}
