import assert from "node:assert/strict";
import { test } from "node:test";
import { NeighborSpecSchema } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { PolicySpecSchema } from "../gen/cairn/v1/policy_service_pb.ts";
import { CliError } from "./exit.ts";
import { readMessage } from "./message-input.ts";
import { parseCommandLine } from "./parse.ts";
import { rootCommand } from "./root.ts";
import { readSpec, specFromFlags, specOptions } from "./spec-flags.ts";

async function flags(...words: string[]) {
  const { invocation } = await parseCommandLine(rootCommand, ["neighbor", "add", "192.0.2.1", ...words]);
  return specFromFlags(NeighborSpecSchema, invocation);
}

test("every field of the schema is a flag with help", () => {
  const options = specOptions(NeighborSpecSchema, ["address"]);
  assert.equal(options.length, NeighborSpecSchema.fields.length - 1);
  for (const { name, help } of options) {
    assert.match(name, /^[a-z0-9-]+$/);
    assert.ok(!help.startsWith("The "), `${name} has no comment in the .proto`);
  }
  assert.match(options.find(({ name }) => name === "remote-asn")!.help, /resets the session/);
});

test("flags become a spec and a mask", async () => {
  const { value, mask } = await flags(
    "--asn",
    "1.10",
    "--passive",
    "--no-enforce-first-as",
    "--hold-time=1m30s",
    "--import",
    "a,b",
    "--import",
    "c",
    "--remove-private-as",
    "all",
  );
  assert.deepEqual(mask.sort(), [
    "enforce_first_as",
    "hold_time",
    "import",
    "passive",
    "remote_asn",
    "remove_private_as",
  ]);
  const spec = readSpec(NeighborSpecSchema, { ...value, address: "192.0.2.1" });
  assert.equal(spec.remoteAsn, 65_546);
  assert.equal(spec.passive, true);
  assert.equal(spec.enforceFirstAs, false);
  assert.equal(spec.holdTime?.seconds, 90n);
  assert.deepEqual(spec.import, ["a", "b", "c"]);
  assert.equal(spec.removePrivateAs, 3);
});

test("an empty list clears", async () => {
  const { value, mask } = await flags("--import", "");
  assert.deepEqual([value.import, mask], [[], ["import"]]);
});

test("all wrong flags are told at once", async () => {
  const { value } = await flags(
    "--asn",
    "many",
    "--hold-time",
    "soon",
    "--remove-private-as",
    "some",
    "--prefix-limit",
    "x",
  );
  try {
    readSpec(NeighborSpecSchema, value);
    assert.fail("accepted");
  } catch (error) {
    assert.ok(error instanceof CliError);
    assert.deepEqual(error.violations.map(({ field }) => field).sort(), [
      "hold_time",
      "prefix_limits[0]",
      "remote_asn",
      "remove_private_as",
    ]);
  }
});

test("documents take any spelling of keys and words", () => {
  const spec = readMessage(
    PolicySpecSchema,
    {
      name: "p",
      "default-action": "accept",
      statements: [
        {
          match: { prefixes: ["10.0.0.0/8 ge 24"], asPaths: ["_1$"] },
          set: { local_pref: "7" },
          action: "REJECT",
        },
      ],
    },
    "file",
  );
  assert.equal(spec.defaultAction, 1);
  assert.deepEqual(spec.statements[0].match?.prefixes[0], {
    ...spec.statements[0].match?.prefixes[0],
    prefix: "10.0.0.0/8",
    ge: 24,
    le: 32,
  });
  assert.equal(spec.statements[0].set?.localPref, 7);
  assert.equal(spec.statements[0].action, 2);
});

test("options may stand anywhere, and belong to the command reached", async () => {
  const { invocation } = await parseCommandLine(rootCommand, [
    "rib",
    "-f",
    "ipv6",
    "--json",
    "received",
    "192.0.2.1",
    "-l",
  ]);
  assert.deepEqual(invocation.path, ["rib", "received"]);
  assert.equal(invocation.option("family"), "ipv6");
  assert.ok(invocation.flag("longer") && invocation.flag("json"));
  await assert.rejects(
    parseCommandLine(rootCommand, ["rib", "--explain", "summary"]),
    /--explain does not apply to "rib summary"/,
  );
  await assert.rejects(
    parseCommandLine(rootCommand, ["neighbor", "reset", "192.0.2.1", "--soft"]),
    /--soft needs a value/,
  );
});
