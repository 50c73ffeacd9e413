/** Tables of other implementations for origin validation, ASPA, RTR PDUs and files of VRPs. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { formatIp, parsePrefix } from "../../src/base/ip.ts";
import { aspaStateNames, RouteKey, rpkiStateNames } from "../../src/policy/route-key.ts";
import { directionOf, Hop, verifyPath } from "../../src/rpki/aspa.ts";
import { AspaTable } from "../../src/rpki/aspa-table.ts";
import { parseVrpFile } from "../../src/rpki/json-records.ts";
import { decodePdu, Pdu, PduType } from "../../src/rpki/pdu.ts";
import { parseSlurm } from "../../src/rpki/slurm.ts";
import { noOrigin, VrpTable } from "../../src/rpki/vrp-table.ts";
import { bgpRoleNames } from "../../src/wire/bgp-role.ts";
import { unicastFamily } from "../../src/wire/family.ts";
import { SegmentType } from "../../src/wire/path-attributes.ts";
import { fromHex } from "../support/wire.ts";
import { eachRow, sharedFolder, type VectorRow, vectorTest } from "./support.ts";

interface VrpJson {
  readonly prefix: string;
  readonly maxLength: number;
  readonly asn: number;
}

function keyOf(text: string): RouteKey {
  const prefix = parsePrefix(text);
  assert.ok(typeof prefix !== "string", text);
  return new RouteKey().setNlri(unicastFamily(prefix.bytes.length), prefix.bytes, 0, prefix.length);
}

function tableOf(vrps: readonly VrpJson[]): VrpTable {
  const table = new VrpTable();
  for (const { prefix, maxLength, asn } of vrps)
    assert.equal(table.announce(0, keyOf(prefix), maxLength, asn), "done");
  table.activate(1, 0);
  return table;
}

function field<T>(row: VectorRow, name: string): T {
  return (row as unknown as Record<string, T>)[name];
}

/** The origin of a path as text: the last AS, none for a set. */
function originOf(path: string): number {
  const last = path.split(" ").at(-1)!;
  return last.startsWith("{") ? noOrigin : Number(last);
}

vectorTest("RFC 6811: OpenBGPD's table", ["rpki/openbgpd-rov-5.jsonl"], (rows) => {
  const file = readFileSync(join(sharedFolder, "vectors/rpki/openbgpd-vrps-5.jsonl"), "utf8");
  const table = tableOf((JSON.parse(file.split("\n")[0]) as { vrps: VrpJson[] }).vrps);
  assert.ok(rows.length > 30);
  eachRow(rows, (row) => {
    const { prefix, origin_as: asn } = field<{ prefix: string; origin_as: number }>(row, "input");
    assert.equal(rpkiStateNames[table.stateOf(keyOf(prefix), asn)], row.expect.state, row.name);
  });
});

vectorTest("RFC 6811: GoBGP's cases", ["rpki/gobgp-rov.jsonl"], (rows) => {
  let sets = 0;
  eachRow(rows, (row) => {
    const { prefix, as_path: path } = field<{ prefix: string; as_path: string }>(row, "input");
    const state = rpkiStateNames[tableOf(field(row, "vrps")).stateOf(keyOf(prefix), originOf(path))];
    // GoBGP says not-found of a path that ends with a set. RFC 6811 2.1: the origin NONE is matched by no VRP, so a
    // route that one covers is invalid.
    if (path.includes("{")) sets++;
    assert.equal(state, path.includes("{") ? "invalid" : row.expect.state, row.name);
  });
  assert.equal(sets, 3);
});

function aspaTable(): AspaTable {
  const file = readFileSync(join(sharedFolder, "vectors/aspa/openbgpd-aspa-table.jsonl"), "utf8");
  const { aspas } = JSON.parse(file.split("\n")[0]) as { aspas: { customer: number; providers: number[] }[] };
  const table = new AspaTable();
  for (const { customer, providers } of aspas) table.announce(0, customer, Uint32Array.from(providers));
  table.activate(1, 0, new Set());
  return table;
}

vectorTest("ASPA: OpenBGPD's hops", ["aspa/openbgpd-aspa-hops.jsonl"], (rows) => {
  const table = aspaTable();
  const names = {
    [Hop.noAttestation]: "no-attestation",
    [Hop.provider]: "provider",
    [Hop.notProvider]: "not-provider",
  };
  eachRow(rows, (row) => {
    const { customer, provider } = field<{ customer: number; provider: number }>(row, "input");
    assert.equal(names[table.hop(customer, provider)], row.expect.result, row.name);
  });
});

vectorTest("ASPA: OpenBGPD's paths", ["aspa/openbgpd-aspa-paths.jsonl"], (rows) => {
  const table = aspaTable();
  assert.ok(rows.length > 80);
  eachRow(rows, (row) => {
    const input = field<{ as_path: number[]; neighbor_role: (typeof bgpRoleNames)[number] }>(row, "input");
    const direction = directionOf(bgpRoleNames.indexOf(input.neighbor_role) as 0, input.as_path[0] ?? 0);
    const path = input.as_path.length === 0 ? [] : [{ type: SegmentType.sequence, asns: input.as_path }];
    assert.equal(aspaStateNames[verifyPath(path, direction!, table)], row.expect.result, row.name);
  });
});

const pduNames: Readonly<Record<string, PduType>> = {
  "serial-notify": PduType.serialNotify,
  "serial-query": PduType.serialQuery,
  "reset-query": PduType.resetQuery,
  "cache-response": PduType.cacheResponse,
  "ipv4-prefix": PduType.ipv4Prefix,
  "ipv6-prefix": PduType.ipv6Prefix,
  "end-of-data": PduType.endOfData,
  "cache-reset": PduType.cacheReset,
  "router-key": PduType.routerKey,
};

vectorTest("RTR: sessions of StayRTR in all versions", ["rpki-rtr/stayrtr-session.jsonl"], (rows) => {
  const pdu = new Pdu();
  eachRow(rows, ({ name, hex, expect }) => {
    const bytes = fromHex(hex);
    assert.equal(decodePdu(bytes, 0, bytes.length, pdu), bytes.length, name);
    // All but its last byte is not yet a PDU.
    assert.equal(decodePdu(bytes, 0, bytes.length - 1, new Pdu()), 0, name);
    assert.deepEqual([pdu.version, pdu.type], [expect.version, pduNames[expect.type as string]], name);
    if (expect.session_id !== undefined) assert.equal(pdu.session, expect.session_id, name);
    if (expect.serial !== undefined) assert.equal(pdu.serial, expect.serial, name);
    if (expect.refresh !== undefined)
      assert.deepEqual(
        [pdu.refreshS, pdu.retryS, pdu.expireS],
        [expect.refresh, expect.retry, expect.expire],
      );
    if (expect.prefix === undefined) return;
    const size = pdu.type === PduType.ipv4Prefix ? 4 : 16;
    const prefix = `${formatIp(bytes, pdu.at, size)}/${pdu.prefixLength}`;
    assert.deepEqual(
      [prefix, pdu.maxLength, pdu.asn, Number(pdu.announced)],
      [expect.prefix, expect.max_len, expect.asn, expect.flags],
      name,
    );
  });
});

/** How many VRPs and ASPAs a file of `vectors/rpki/json` holds. */
const files: readonly [file: string, vrps: number, aspas: number][] = [
  ["routinator-111.json", 1, 1],
  ["stayrtr-cache-smalltest.rpki.json", 2, 0],
  ["stayrtr-cmd-test.rpki.json", 2, 0],
];

for (const [file, vrps, aspas] of files) {
  const path = join(sharedFolder, "vectors/rpki/json", file);
  test(`files of VRPs: ${file}`, { skip: existsSync(path) ? false : `no vectors at ${path}` }, () => {
    const read = parseVrpFile(readFileSync(path, "utf8"), 0);
    assert.ok(read.ok, JSON.stringify(read));
    const pdu = new Pdu();
    const counts = { prefixes: 0, aspas: 0 };
    for (let at = 0; at < read.value.length; ) {
      const length = decodePdu(read.value, at, read.value.length, pdu);
      assert.ok(length > 0);
      if (pdu.type === PduType.aspa) counts.aspas++;
      else counts.prefixes++;
      at += length;
    }
    assert.deepEqual(counts, { prefixes: vrps, aspas });
  });
}

const slurmFolder = join(sharedFolder, "vectors/rpki/json");
const skip = existsSync(slurmFolder) ? false : `no vectors at ${slurmFolder}`;

test("SLURM: StayRTR's file with ASPAs", { skip }, () => {
  const read = parseSlurm(readFileSync(join(slurmFolder, "stayrtr-slurm.json"), "utf8"));
  assert.ok(read.ok, JSON.stringify(read));
  const { prefixFilters, prefixAssertions, aspaFilters, aspaAssertions } = read.value;
  assert.deepEqual([prefixFilters.length, prefixAssertions.length], [3, 2]);
  assert.deepEqual(aspaFilters, [64496]);
  assert.deepEqual(aspaAssertions, [{ customer: 64496, providers: [64497, 64498] }]);
  assert.deepEqual(
    prefixAssertions.map(({ maxLength }) => maxLength),
    [24, 48],
  );
});

test("SLURM: a maximum length below the prefix's refuses the file", { skip }, () => {
  const read = parseSlurm(readFileSync(join(slurmFolder, "routinator-slurm-bad_maxlen.json"), "utf8"));
  assert.ok(!read.ok);
  assert.deepEqual(
    read.problems.map(({ path }) => path),
    ["locallyAddedAssertions.prefixAssertions[0].maxPrefixLength"],
  );
});
