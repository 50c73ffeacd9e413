/** Micro-benchmark of the RIB: `node bench/micro/rib.ts`. Prints nanoseconds per operation, the best of several rounds. */

import { BestGroup } from "../../src/rib/best-group.ts";
import { ExportCache } from "../../src/rib/export-cache.ts";
import { Exporter } from "../../src/rib/exporter.ts";
import { RouteHistory } from "../../src/rib/history.ts";
import { PrefixTable4 } from "../../src/rib/prefix-table.ts";
import { RibFixture, sequence } from "../../src/rib/rib-fixture.ts";
import { UpdateBatch } from "../../src/rib/update-batch.ts";
import type { UpdateGroup } from "../../src/rib/update-group.ts";
import { UpdateWriter } from "../../src/rib/update-writer.ts";
import { AttributeBlock } from "../../src/wire/scratch.ts";
import { UpdateEncoder } from "../../src/wire/update-encode.ts";

const prefixCount = 200_000;
const setCount = 20_000;
const rounds = 8;

const best = new Map<string, number>();

/** Runs `work` once and keeps the best time per operation. */
function measure(name: string, operations: number, work: () => void): void {
  const started = process.hrtime.bigint();
  work();
  const each = Number(process.hrtime.bigint() - started) / operations;
  best.set(name, Math.min(each, best.get(name) ?? Number.POSITIVE_INFINITY));
}

/** Addresses of /24s in scattered order. */
const addresses = new Uint8Array(prefixCount * 4);
for (let i = 0; i < prefixCount; i++) {
  new DataView(addresses.buffer).setUint32(i * 4, 0x0100_0000 + ((i * 7919) % prefixCount) * 256);
}

for (let round = 0; round < rounds; round++) {
  run();
  runRemembered();
}
for (const [name, nanoseconds] of best) {
  const unit = name.includes("bytes") ? "bytes" : "ns";
  process.stdout.write(`${name.padEnd(40)} ${nanoseconds.toFixed(0).padStart(6)} ${unit}\n`);
}

function run(): void {
  const prefixes = new PrefixTable4();
  measure("intern a new prefix", prefixCount, () => {
    for (let i = 0; i < prefixCount; i++) prefixes.intern(addresses, i * 4, 24);
  });
  measure("find a prefix", prefixCount, () => {
    for (let i = 0; i < prefixCount; i++) prefixes.find(addresses, i * 4, 24);
  });

  const rib = new RibFixture();
  const { attributes, table } = rib;
  const sets = Array.from({ length: setCount }, (_, i) =>
    rib.intern({ asPath: sequence(100, 200, i), communities: [i, i + 1] }),
  );
  const longer = sets.map((_, i) => rib.intern({ asPath: sequence(300, 200, 100, i), communities: [i] }));
  const block = new AttributeBlock();
  measure("intern a known attribute set", setCount, () => {
    for (const id of sets) {
      attributes.block(id, block);
      attributes.release(attributes.intern(block.bytes, block.start, block.end));
    }
  });

  const group = makeGroup(rib);
  group.join(9, "10.0.0.9");
  const rows = Array.from({ length: prefixCount }, (_, i) => table.prefix(addresses, i * 4, 24));
  const announce = (neighbor: number, ids: readonly number[]): void => {
    for (let i = 0; i < prefixCount; i++) {
      const id = ids[Math.floor(i / 10) % setCount];
      table.announce(neighbor, rows[i], 0, id, id, 0, 0);
    }
  };
  const drain = (): void => {
    while (group.hasWork()) group.run();
  };
  measure("announce a first path", prefixCount, () => announce(1, sets));
  measure("export and encode, one member", prefixCount, drain);
  measure("announce a second path that loses", prefixCount, () => announce(2, longer));
  measure("withdraw the best path, choose the other", prefixCount, () => {
    for (const row of rows) table.withdraw(1, row, 0);
  });
  measure("export a changed best path", prefixCount, drain);
}

/** The same changes with the journal on: what each costs more, and what the journal takes for it. */
function runRemembered(): void {
  const rib = new RibFixture();
  const { attributes, neighbors, table } = rib;
  for (const neighbor of [1, 2]) neighbors.setAddress(neighbor, Uint8Array.of(10, 0, 0, neighbor));
  const history = new RouteHistory(attributes, neighbors, () => [table]);
  history.configure(prefixCount * 2);
  history.at(1_700_000_000_000);
  const sets = Array.from({ length: setCount }, (_, i) => rib.intern({ asPath: sequence(100, 200, i) }));
  const longer = sets.map((_, i) => rib.intern({ asPath: sequence(300, 200, 100, i) }));
  const rows = Array.from({ length: prefixCount }, (_, i) => table.prefix(addresses, i * 4, 24));
  const announce = (neighbor: number, ids: readonly number[]): void => {
    for (let i = 0; i < prefixCount; i++) {
      const id = ids[Math.floor(i / 10) % setCount];
      table.announce(neighbor, rows[i], 0, id, id, 0, 0);
    }
  };
  measure("remembered: a first path", prefixCount, () => announce(1, sets));
  measure("remembered: a second path that loses", prefixCount, () => announce(2, longer));
  measure("remembered: the best path goes", prefixCount, () => {
    for (const row of rows) table.withdraw(1, row, 0);
  });
  best.set("journal, bytes a change", history.memoryBytes() / history.count);
}

function makeGroup(rib: RibFixture): UpdateGroup {
  const { table, attributes, neighbors } = rib;
  const own = { external: true, routeServerClient: false, localAsn: 65000, globalAsn: 65000, clusterId: 1 };
  const exporter = new Exporter(table, attributes, neighbors, new ExportCache(attributes), {
    ...own,
    ...{
      removePrivateAs: "none",
      reflectorClient: false,
      bilateralPeer: false,
      role: undefined,
      gracefulShutdown: false,
      perClient: 0,
      longLived: false,
      longLivedPartial: false,
      confederationMember: false,
      localAsReplaces: false,
      overriddenAsn: 0,
      aigp: false,
      nextHopSelf: true,
    },
    ...{ selfNextHop: Uint8Array.of(10, 0, 0, 254), onLinkBits: 0, program: undefined },
    ...{
      role: undefined,
      gracefulShutdown: false,
      perClient: 0,
      addPath: undefined,
      outboundFilter: undefined,
      extendedNextHop: false,
    },
    ...{ acceptWithoutPolicy: true, defaultOriginate: false, installed: undefined },
  });
  const session = { fourOctetAs: true, addPath: 0, maxMessageBytes: 4096 };
  const writer = new UpdateWriter(table, attributes, new UpdateEncoder(), session);
  const host = { send: () => {}, queuedBytes: () => 0, endOfRib: () => {}, oversize: () => {} };
  return new BestGroup(1, { table, exporter, attributes, batch: new UpdateBatch(attributes), writer, host });
}
