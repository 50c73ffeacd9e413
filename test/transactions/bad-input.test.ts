/** What is wrong with a transaction is told as a whole, with field paths, and changes nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { limits } from "../../src/base/limits.ts";
import { seededRandom } from "../../src/base/random.ts";
import { ConfigService } from "../../src/gen/cairn/v1/config_service_pb.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
} from "../../src/gen/google/rpc/error_details_pb.ts";
import { faults, presentOf, requestOf, type Transaction } from "./random.ts";
import { base, file, put, stateDir, World } from "./world.ts";

/** By sort of fault: code, and a field that is named with a word of what is said of it. */
const expected: Readonly<Record<string, readonly [code: string, field: string, says: RegExp]>> = {
  "unknown kind": ["invalid_argument", "source.ops.put[0].kind", /no kind Neighbour .*Neighbor/],
  "unknown field": ["invalid_argument", "source.ops.put[0].spec.prefixs", /prefixs/],
  "wrong type": ["invalid_argument", "source.ops.put[0].spec.remote_asn", /number/],
  "out of bounds": ["invalid_argument", "Neighbor/10.9.9.9.remote_asn", /1 to 4294967295/],
  "wrong format": ["invalid_argument", "PrefixSet/x.prefixes[0].prefix", /host bits/],
  "missing field": ["invalid_argument", "PrefixSet/.name", /missing/],
  "dangling reference": ["failed_precondition", "PeerGroup/x.import[0]", /nobody-0/],
  "cycle of calls": ["invalid_argument", "Policy/a.statements[0].call", /a -> b -> a/],
  "put twice": ["invalid_argument", "AsnSet/x", /two operations/],
  "put and deleted": ["not_found", "AsnSet/x", /no AsnSet x/],
  "delete what is not there": ["not_found", "AsnSet/nothing", /no AsnSet nothing|does not exist|there is no/],
  "delete what cannot go": ["failed_precondition", "Global/global", /cannot be deleted|part of/],
  "delete what is referenced": ["failed_precondition", "Policy/in", /Neighbor\/198\.51\.100\.2/],
  "stale generation": ["aborted", "expected_generation", /999999/],
};

const none: Transaction = { put: [], delete: [] };

test("each sort of bad input by itself: the code, the field, and nothing changed", async (t) => {
  const world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  await config.apply(file(base));
  const { generation, configHash } = world.loop.view;
  const present = presentOf((kind) => world.loop.view.objects(kind));
  const wrong: string[] = [];
  for (const [sort, add] of Object.entries(faults)) {
    const [code, field, says] = expected[sort] ?? assert.fail(`what is to be said of "${sort}"?`);
    const { codeName, found } = await refused(config.apply(requestOf(add(none, seededRandom(1), present)!)));
    const about = found.find((each) => each.field === field);
    if (codeName !== code || !about || !says.test(about.description))
      wrong.push(`${sort}: ${codeName} ${JSON.stringify(found)}`);
  }
  assert.deepEqual(wrong, []);
  assert.deepEqual([world.loop.view.generation, world.loop.view.configHash], [generation, configHash]);
  await world.stop();
});

test("many faults in one transaction are told all at once", async (t) => {
  const world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  await config.apply(file(base));
  const random = seededRandom(1);
  const present = presentOf((kind) => world.loop.view.objects(kind));
  // What cannot be read at all is told before what is read is checked.
  const unreadable = ["unknown kind", "unknown field", "wrong type"];
  // These need a transaction or a condition of their own.
  const alone = ["delete what is referenced"];
  for (const sorts of [
    unreadable,
    Object.keys(faults).filter((sort) => ![...unreadable, ...alone].includes(sort)),
  ]) {
    let all: Transaction = none;
    for (const sort of sorts) all = faults[sort](all, random, present)!;
    const { found } = await refused(
      config.apply({
        ...requestOf(all),
        ...(sorts === unreadable
          ? {}
          : {
              confirm: {
                confirmWithin: { seconds: 60n },
                conditions: [{ expression: "bgp.establishd > 1" }],
              },
            }),
      }),
    );
    const fields = found.map(({ field }) => field);
    for (const sort of sorts) {
      const [, field] = expected[sort];
      const own = field.replace("put[0]", `put[${sorts.indexOf(sort)}]`);
      assert.ok(fields.includes(own), `${sort}: ${own} is not among ${fields.join(", ")}`);
    }
    if (sorts !== unreadable)
      assert.ok(fields.includes("confirm.conditions[0].expression"), fields.join(", "));
  }
  assert.equal(world.loop.view.generation, 1);
  await world.stop();
});

test("too large a transaction is refused by its size", async (t) => {
  const world = await World.start(stateDir(t));
  const config = world.client(ConfigService);
  await config.apply(file(base));
  const many = Array.from({ length: limits.transactionOpsMax + 1 }, (_, i): [string, { name: string }] => [
    "AsnSet",
    { name: `s${i}` },
  ]);
  const { codeName, found, text } = await refused(config.apply(put(...many)));
  assert.match(
    `${codeName} ${text}`,
    new RegExp(`(invalid_argument|resource_exhausted).*${limits.transactionOpsMax}`),
  );
  assert.ok(found.length <= 1, "not one problem for each");
  assert.equal(world.loop.view.generation, 1);
  await world.stop();
});

interface Refusal {
  readonly codeName: string;
  readonly text: string;
  readonly found: readonly { readonly field: string; readonly description: string }[];
}

async function refused(call: Promise<unknown>): Promise<Refusal> {
  const error = await call.then(
    () => assert.fail("it was not refused"),
    (reason: unknown) => ConnectError.from(reason),
  );
  const fields = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  const named = error
    .findDetails(ErrorInfoSchema)
    .map(({ metadata }) => ({ field: metadata.field ?? "", description: error.rawMessage }));
  const subjects = error.findDetails(PreconditionFailureSchema).flatMap(({ violations }) => violations);
  return {
    codeName: /^\[(\w+)\]/.exec(error.message)![1],
    text: error.rawMessage,
    found: [
      ...named,
      ...fields,
      ...subjects.map(({ subject, description }) => ({ field: subject, description })),
    ],
  };
}
