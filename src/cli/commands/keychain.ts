/** keychain: keys for TCP-AO. */
import {
  type Keychain,
  KeychainService,
  KeychainSpecSchema,
  SetKeychainResponseSchema,
} from "../../gen/cairn/v1/keychain_service_pb.ts";
import { usageError } from "../exit.ts";
import { mutationFields, mutationOptions, tellMutation } from "../mutate.ts";
import { deleteVerb, getVerb, tellSpec } from "../named.ts";
import { listAll, writeList } from "../paging.ts";
import { fileOption, readDocument } from "../read-file.ts";
import { readSpec, specFromFlags, specOptions } from "../spec-flags.ts";
import { writeTable } from "../table.ts";
import type { Argument, Command } from "../tree.ts";

const { method } = KeychainService;
const nameArgument: Argument = { name: "NAME", help: "Name of the keychain", from: "keychain" };

const listCommand: Command = {
  name: "list",
  summary: "All keychains; secrets are never shown",
  examples: [["cairnctl keychain list", ""]],
  run: async (context) => {
    if (!context.forPeople) return writeList(context, method.listKeychains, {});
    const { keychains } = await listAll(await context.client(), method.listKeychains, {});
    if (keychains.length === 0)
      return context.out.line("no keychains: cairnctl keychain set NAME --keys ...");
    writeTable<Keychain>(
      context,
      [
        { title: "KEYCHAIN", value: ({ spec }) => spec?.name ?? "" },
        { title: "KEYS", value: ({ spec }) => spec?.keys.map(({ id }) => id).join(", ") ?? "", min: 8 },
        { title: "DESCRIPTION", value: ({ spec }) => spec?.description ?? "", min: 10, drop: 1 },
      ],
      keychains,
    );
  },
};

const getCommand: Command = getVerb(
  method.getKeychain,
  nameArgument,
  {
    summary: "One keychain without its secrets",
    examples: [["cairnctl keychain get core -o yaml", "to change and send back: hidden secrets are kept"]],
  },
  (context, { keychain }) => {
    if (keychain?.spec) tellSpec(context, KeychainSpecSchema, keychain.spec);
  },
);

const setCommand: Command = {
  name: "set",
  summary: "Creates or replaces a keychain",
  details:
    "The first key is used for sending, all are accepted. To roll over without a reset: add the new key at the end on " +
    "both sides, move it to the front on both, delete the old one. A key without secret keeps the one it has.",
  args: [nameArgument],
  options: [...specOptions(KeychainSpecSchema, ["name"]), { ...fileOption }, ...mutationOptions],
  examples: [
    ["cairnctl keychain set core --keys id=a,send_id=1,receive_id=1,secret=s3cret", "one key, hmac-sha-1-96"],
    ["cairnctl keychain set core -f core.yaml", "secrets from a file that others cannot read"],
  ],
  run: async (context, invocation) => {
    const file = invocation.option("file");
    const { value, mask } = specFromFlags(KeychainSpecSchema, invocation);
    if ((file === undefined) === (mask.length === 0)) throw usageError("give -f FILE or flags, one of them");
    const base = file === undefined ? {} : await readDocument(context, file);
    const spec = readSpec(KeychainSpecSchema, { ...base, ...value, name: invocation.arg("NAME") });
    const client = await context.client();
    const response = await client.call(method.setKeychain, { spec, ...mutationFields(invocation) });
    await tellMutation(context, invocation, SetKeychainResponseSchema, response);
  },
};

const deleteCommand: Command = deleteVerb(method.deleteKeychain, nameArgument, {
  summary: "Deletes a keychain that nobody uses",
  examples: [["cairnctl keychain delete core", "refused while neighbors or groups use it"]],
});

export const keychainCommand: Command = {
  name: "keychain",
  summary: "Keys for TCP-AO",
  details: "Alone it lists the keychains.",
  examples: listCommand.examples,
  commands: [listCommand, getCommand, setCommand, deleteCommand],
  run: listCommand.run,
};
