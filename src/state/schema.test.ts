import assert from "node:assert/strict";
import { test } from "node:test";
import {
  create,
  createFileRegistry,
  type DescMessage,
  fromBinary,
  type Message,
  setExtension,
  toBinary,
} from "@bufbuild/protobuf";
import {
  FieldOptionsSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import {
  FieldRuleSchema,
  Format,
  field as fieldOption,
  file_cairn_v1_options,
} from "../gen/cairn/v1/options_pb.ts";
import { type PolicySpec, PolicySpecSchema, PrefixSetSpecSchema } from "../gen/cairn/v1/policy_service_pb.ts";
import { canonicaliseSpec, listReferences } from "./schema.ts";
import { diffSpecs, keepSecrets, redacted, specText } from "./schema-diff.ts";
import { canonicalText, utf8Bytes } from "./schema-formats.ts";

test("texts have one canonical form", () => {
  const cases: [Format, string, string | undefined][] = [
    [Format.IP, "2001:DB8:0:0::1", "2001:db8::1"],
    [Format.IP, "192.0.2.01", undefined],
    [Format.IP, "192.0.2.0/24", undefined],
    [Format.IP, "fe80::1%eth0", undefined],
    [Format.ROUTER_ID, "255.255.255.255", "255.255.255.255"],
    [Format.ROUTER_ID, "0.0.0.0", undefined],
    [Format.ROUTER_ID, "1", undefined],
    [Format.PREFIX, "2001:DB8::/32", "2001:db8::/32"],
    [Format.PREFIX, "10.0.0.1/8", undefined],
    [Format.LISTEN, "[0:0::0]:179", "[::]:179"],
    [Format.LISTEN, "0.0.0.0:179", "0.0.0.0:179"],
    [Format.LISTEN, "::1:179", undefined],
    [Format.LISTEN, "[127.0.0.1]:179", undefined],
    [Format.LISTEN, "127.0.0.1:65536", undefined],
    [Format.FAMILY, "IPv4-Unicast", "ipv4-unicast"],
    [Format.FAMILY, "ipv4", undefined],
    [Format.NAME, "a.b-c_9", "a.b-c_9"],
    [Format.NAME, "", undefined],
    [Format.NAME, "x".repeat(64), undefined],
    [Format.NAME, "a/b", undefined],
    [Format.COMMUNITY, "65535:65281", "no-export"],
    [Format.COMMUNITY, "65001:1:2", "65001:1:2"],
    [Format.COMMUNITY, "rt:65001:7", "rt:65001:7"],
    [Format.COMMUNITY, "65536:1", undefined],
    [Format.NEXT_HOP, "SELF", "self"],
    [Format.NEXT_HOP, "2001:DB8::1", "2001:db8::1"],
    [Format.NEXT_HOP, "me", undefined],
    [Format.PATH, "", undefined],
  ];
  for (const [format, text, wanted] of cases) {
    const found = canonicalText(format, text);
    assert.equal(found.ok ? found.text : undefined, wanted, text);
    if (!found.ok) assert.ok(found.message.length > 5);
  }
});

test("utf8Bytes counts as an encoder does", () => {
  for (const text of ["", "abc", "é", "€", "😀", "a😀é"])
    assert.equal(utf8Bytes(text), new TextEncoder().encode(text).length);
});

test("references are found wherever they stand", () => {
  const spec = create(PolicySpecSchema, {
    name: "p",
    statements: [
      { match: { prefixSets: ["a", "b"] } },
      {},
      { match: { neighborSets: ["c"] }, set: { communitiesAdd: ["65535:65281"] } },
    ],
  });
  assert.deepEqual(listReferences(PolicySpecSchema, spec), [
    { path: "statements[0].match.prefix_sets[0]", kind: "PrefixSet", name: "a" },
    { path: "statements[0].match.prefix_sets[1]", kind: "PrefixSet", name: "b" },
    { path: "statements[2].match.neighbor_sets[0]", kind: "NeighborSet", name: "c" },
  ]);
  canonicaliseSpec(PolicySpecSchema, spec);
  assert.deepEqual((spec as PolicySpec).statements[2].set?.communitiesAdd, ["no-export"]);
});

test("an inserted element is one change; a rewritten list is told as counts", () => {
  const set = (prefixes: string[]) =>
    create(PrefixSetSpecSchema, { name: "s", prefixes: prefixes.map((prefix) => ({ prefix })) });
  const diff = (a: string[], b: string[]) =>
    diffSpecs(PrefixSetSpecSchema, set(a), set(b)).changes.map((c) => [
      c.path,
      c.oldValue,
      c.newValue,
      c.impact,
    ]);
  assert.deepEqual(diff(["1.0.0.0/8", "3.0.0.0/8"], ["1.0.0.0/8", "2.0.0.0/8", "3.0.0.0/8"]), [
    ["prefixes[1]", "", '{"prefix":"2.0.0.0/8"}', "policy"],
  ]);
  assert.deepEqual(diff(["1.0.0.0/8"], ["1.0.0.0/8"]), []);
  const many = (from: number) => Array.from({ length: 150 }, (_, i) => `10.${from}.${i}.0/24`);
  assert.deepEqual(diff(many(1), many(2)), [["prefixes", '"150 entries"', '"150 entries"', "policy"]]);
});

test("secrets are never shown, and kept when an update omits them", () => {
  const desc = secretMessage();
  const spec = (password: string) =>
    Object.assign(create(desc), { name: "n", password }) as Message & { password: string };
  assert.equal(specText(desc, spec("hunter2")), '{"name":"n","password":"(secret)"}');
  assert.equal(specText(desc, spec("")), '{"name":"n"}');
  const before = spec("hunter2");
  assert.notEqual(redacted(desc, before), before);
  assert.equal(before.password, "hunter2");
  const [change] = diffSpecs(desc, before, spec("hunter3")).changes;
  assert.deepEqual([change.path, change.oldValue, change.newValue], ["password", '"(secret)"', '"(secret)"']);
  for (const sent of ["", "(secret)"]) {
    const after = spec(sent);
    keepSecrets(desc, before, after);
    assert.equal(after.password, "hunter2");
  }
  const after = spec("new");
  keepSecrets(desc, before, after);
  assert.equal(after.password, "new");
});

/** message Secretive { string name = 1; string password = 2 [(field) = { secret: true }]; } */
function secretMessage(): DescMessage {
  const options = create(FieldOptionsSchema);
  setExtension(options, fieldOption, create(FieldRuleSchema, { secret: true }));
  const text = { type: Type.STRING, label: Label.OPTIONAL };
  const file = create(FileDescriptorProtoSchema, {
    name: "secretive.proto",
    syntax: "proto3",
    messageType: [
      {
        name: "Secretive",
        field: [
          { name: "name", number: 1, jsonName: "name", ...text },
          { name: "password", number: 2, jsonName: "password", ...text, options },
        ],
      },
    ],
  });
  assert.equal(file_cairn_v1_options.name, "cairn/v1/options");
  const bytes = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [file] }));
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes)).getMessage("Secretive")!;
}
