/** Nanoseconds per policy evaluation. `node bench/micro/policy.ts` */
import { create } from "@bufbuild/protobuf";
import { formatIp4 } from "../../src/base/ip.ts";
import { seededRandom } from "../../src/base/random.ts";
import {
  AsPathSetSpecSchema,
  PolicySpecSchema,
  PrefixSetSpecSchema,
  StatementSchema,
} from "../../src/gen/cairn/v1/policy_service_pb.ts";
import { FakeAttributeTable } from "../../src/policy/fake-table.ts";
import { PolicyLibrary } from "../../src/policy/library.ts";
import { RouteKey } from "../../src/policy/route-key.ts";
import { SegmentType } from "../../src/wire/path-attributes.ts";

const random = seededRandom(1);
const ROUTES = 1_000_000;
const SETS = 20_000;

const table = new FakeAttributeTable();
const attrs = Array.from({ length: SETS }, (_, i) =>
  table.add({
    asPath: [{ type: SegmentType.sequence, asns: [65_001, 1 + Math.floor(random() * 400_000), 1000 + i] }],
    nextHop: Uint8Array.of(192, 0, 2, 1),
    communities: [65_001 * 65_536 + (i & 255)],
  }),
);
const route = Uint32Array.from({ length: ROUTES }, () => Math.floor(random() * 2 ** 24) * 256);
const attrOf = Uint32Array.from({ length: ROUTES }, (_, i) => attrs[((i / 4) % SETS) | 0]);

const library = new PolicyLibrary();
const prefixes = Array.from({ length: 10_000 }, () => ({
  prefix: `${formatIp4((Math.floor(random() * 65_536) * 65_536) >>> 0)}/16`,
  le: 24,
}));
library.put("PrefixSet", create(PrefixSetSpecSchema, { name: "customers", prefixes }));
library.put(
  "AsPathSet",
  create(AsPathSetSpecSchema, { name: "tier", patterns: ["_6451[2-9]_", "^65001_3356_"] }),
);
const filler = Array.from({ length: 24 }, (_, i) => [
  create(StatementSchema, { match: { communities: [`65002:${i}`] }, set: { localPref: 100 + i } }),
  create(StatementSchema, { match: { asPaths: [`_${64_600 + i}_`] }, action: 2 }),
]).flat();
const change = create(StatementSchema, { set: { localPref: 200, communitiesAdd: ["65001:999"] }, action: 1 });
const byPrefix = create(StatementSchema, {
  match: { prefixSets: ["customers"] },
  set: { localPref: 300 },
  action: 1,
});
const byPath = create(StatementSchema, { match: { asPathSets: ["tier"] }, action: 2 });
library.put(
  "Policy",
  create(PolicySpecSchema, { name: "attributes", statements: [...filler, byPath, change] }),
);
library.put(
  "Policy",
  create(PolicySpecSchema, { name: "prefixes", statements: [...filler, byPath, byPrefix, change] }),
);

const context = {
  neighbor: { address: Uint8Array.of(192, 0, 2, 1), asn: 65_001, peerGroup: "" },
  localAs: 65_000,
};
for (const name of ["accept-all", "attributes", "prefixes"]) {
  const program = library.program([name], "import", table, context);
  const key = new RouteKey();
  const held: number[] = [];
  for (const pass of ["cold", "warm", "warm"]) {
    const started = performance.now();
    for (let i = 0; i < ROUTES; i++) {
      key.setIp4(route[i], 24);
      const out = program.evaluate(attrOf[i], key);
      // The first pass keeps its results, as a table would.
      if (out !== 0 && pass === "cold") held.push(out);
      else if (out !== 0) table.references[out]--;
    }
    const ns = ((performance.now() - started) * 1e6) / ROUTES;
    console.log(
      `${name.padEnd(12)} ${pass}  ${ns.toFixed(1)} ns per evaluation, memo ${program.memoBytes} bytes`,
    );
  }
}
