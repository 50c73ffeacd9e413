/**
 * The filter of the policy scenario by itself, in the order in which a feeder announces: nanoseconds per route and per
 * attribute set. Then the memory and the cost of a large prefix set. `node bench/micro/policy.ts`
 */
import { create, fromJson, type JsonObject } from "@bufbuild/protobuf";
import { formatIp4 } from "../../src/base/ip.ts";
import { seededRandom } from "../../src/base/random.ts";
import { PolicySpecSchema, PrefixSetSpecSchema } from "../../src/gen/cairn/v1/policy_service_pb.ts";
import { PolicyLibrary } from "../../src/policy/library.ts";
import { compilePrefixSet } from "../../src/policy/prefix-set.ts";
import { RouteKey } from "../../src/policy/route-key.ts";
import { AttributeStore } from "../../src/rib/attribute-store.ts";
import { encodeBlock } from "../../src/wire/block.ts";
import { MessageWriter } from "../../src/wire/message-writer.ts";
import { emptyAttributes, SegmentType } from "../../src/wire/path-attributes.ts";
import { policyOf } from "../daemons/cairn.ts";
import { makeFilter } from "../load/filter.ts";
import { firstPeerAs, Table } from "../load/table.ts";

const prefixes = 1_000_000;
const sets = 100_000;
const largeSet = 100_000;

const table = new Table({ feeders: 1, prefixes, sets });
const filter = makeFilter(table, 10_000, 1);
const attributes = new AttributeStore();
const writer = new MessageWriter();
const ids = Uint32Array.from({ length: sets }, (_, set) => {
  const { path, origin, communities, largeCommunities, med } = table.attributes(0, set);
  writer.reset();
  encodeBlock(
    {
      ...emptyAttributes(),
      ...{ origin, med, communities: [...communities], largeCommunities: [...largeCommunities] },
      asPath: [{ type: SegmentType.sequence, asns: [...path] }],
      nextHop: Uint8Array.of(192, 0, 2, 1),
    },
    writer,
  );
  return attributes.intern(writer.bytes, 0, writer.at);
});

const library = new PolicyLibrary();
const rules = filter.prefixes.map((prefix) => ({ prefix, le: 24 }));
library.put("PrefixSet", create(PrefixSetSpecSchema, { name: "bench", prefixes: rules }));
library.put("Policy", fromJson(PolicySpecSchema, policyOf(filter) as unknown as JsonObject));
const neighbor = { address: Uint8Array.of(192, 0, 2, 1), asn: firstPeerAs, peerGroup: "" };
const program = library.program(["bench"], "import", attributes, { neighbor, localAs: 65_000 });
const key = new RouteKey();

for (const pass of ["first", "again", "again"]) {
  const started = process.cpuUsage();
  const begun = performance.now();
  for (let number = 0; number < prefixes; number++) {
    key.setIp4(table.key[number] << 8, table.length[number]);
    const out = program.evaluate(ids[table.setOfPrefix(number)], key);
    // The first pass keeps its results, as a table would.
    if (out !== 0 && pass !== "first") attributes.release(out);
  }
  const { user, system } = process.cpuUsage(started);
  const ns = ((performance.now() - begun) * 1e6) / prefixes;
  const cpu = ((user + system) * 1000) / prefixes;
  console.log(
    `50 statements, ${pass}  ${ns.toFixed(0).padStart(5)} ns per route (${cpu.toFixed(0)} of CPU), ` +
      `${((ns * prefixes) / sets / 1000).toFixed(1)} us per attribute set; memo ${(program.memoBytes / 1e6).toFixed(1)} MB`,
  );
}

const random = seededRandom(1);
const many = Array.from({ length: largeSet }, () => {
  const length = 16 + Math.floor(random() * 9);
  const address = (Math.floor(random() * 2 ** 32) & (-1 << (32 - length))) >>> 0;
  return { prefix: `${formatIp4(address)}/${length}`, le: 24 };
});
const compileBegun = performance.now();
const set = compilePrefixSet(many);
const compileMs = performance.now() - compileBegun;
const begun = performance.now();
let found = 0;
for (let number = 0; number < prefixes; number++) {
  if (set.matches(key.setIp4(table.key[number] << 8, table.length[number]))) found++;
}
const lookupNs = ((performance.now() - begun) * 1e6) / prefixes;
console.log(
  `prefix set of ${set.size}  ${(set.bytes / 1e6).toFixed(1)} MB in columns, compiled in ${compileMs.toFixed(0)} ms, ` +
    `${lookupNs.toFixed(0)} ns per lookup (${found} in it)`,
);
