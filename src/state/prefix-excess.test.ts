import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { parsePrefix } from "../base/ip.ts";
import { GlobalSpecSchema } from "../gen/cairn/v1/global_service_pb.ts";
import { NeighborSpecSchema } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { NeighborFlag } from "../rib/neighbor-columns.ts";
import { RejectReason, reasonMask } from "../rib/path-flags.ts";
import { sequence } from "../rib/rib-fixture.ts";
import { ipv4Unicast } from "../wire/family.ts";
import { emptyAttributes } from "../wire/path-attributes.ts";
import { encodeUpdate } from "../wire/update-simple.ts";
import { noDamping } from "./damping.ts";
import { Importer } from "./importer.ts";
import { newNeighborRecord } from "./neighbor-record.ts";
import { hasRoom } from "./prefix-excess.ts";
import { resolveNeighbor } from "./resolve.ts";
import { Routing } from "./routing.ts";
import type { PrefixLimitConfig } from "./session-port.ts";

const address = "192.0.2.9";

/** An eBGP neighbor of an importer, whose routes with an odd second byte have our own AS in their path. */
class Rib {
  readonly routing = new Routing();
  readonly table = this.routing.table(ipv4Unicast);
  readonly record;
  private readonly importer;

  constructor(softReconfiguration: boolean) {
    const specs = new Map<string, unknown>([
      ["Global", create(GlobalSpecSchema, { asn: 65001, routerId: "10.0.0.1", requirePolicy: false })],
      ["Neighbor", create(NeighborSpecSchema, { address, remoteAsn: 65002, softReconfiguration })],
    ]);
    this.record = newNeighborRecord(
      1,
      resolveNeighbor({ spec: (kind) => specs.get(kind) as never }, address)!,
    );
    this.record.decode = { fourOctetAs: true, addPath: 0, external: true, families: 1 };
    this.record.negotiated = { localAddress: Uint8Array.of(192, 0, 2, 1) } as never;
    this.routing.neighbors.flags[1] = NeighborFlag.external;
    this.importer = new Importer(this.routing, {
      nowS: () => 0,
      requirePolicy: () => false,
      prefixLimit: () => {},
      prefixRoom: () => {},
      malformed: (_record, text) => assert.fail(text),
      endOfRib: () => {},
      flows: { verdict: () => RejectReason.none, describe: () => "" },
      damping: noDamping,
    });
  }

  limit(before: number | undefined, after: number | undefined): void {
    const drop = (max: number | undefined): (PrefixLimitConfig | undefined)[] => [
      max === undefined ? undefined : { max, action: "drop", restartAfterMs: 0, warningPercent: 75 },
    ];
    const { config } = this.record;
    this.record.config = { ...config, prefixLimits: drop(before), acceptedLimits: drop(after) };
  }

  announce(reach: readonly string[]): void {
    for (const prefix of reach) {
      const path = isRefused(prefix) ? sequence(65002, 65001) : sequence(65002);
      this.update([prefix], [], path);
    }
  }

  withdraw(withdrawn: readonly string[]): void {
    this.update([], withdrawn, sequence(65002));
  }

  /** What neighbors.ts does in slices when there is room, or when a limit is another one. */
  settle(): void {
    for (let from = 1; from !== 0; ) from = this.importer.reimport(this.record, this.table, from, 3, true);
    if (hasRoom(this.record, this.table) && this.record.config.softReconfiguration) this.settle();
  }

  reasons(): Map<string, number> {
    const { paths, prefixes: rows } = this.table;
    const found = new Map<string, number>();
    for (let path = 1; path < paths.rows; path++) {
      if (paths.received[path] === 0) continue;
      const bytes = new Uint8Array(4);
      rows.writeAddress(paths.prefix[path], bytes, 0);
      found.set(`${bytes.join(".")}/${rows.length[paths.prefix[path]]}`, paths.flags[path] & reasonMask);
    }
    return found;
  }

  private update(
    reach: readonly string[],
    withdrawn: readonly string[],
    asPath: ReturnType<typeof sequence>,
  ): void {
    const parse = (text: string) => {
      const prefix = parsePrefix(text);
      assert(typeof prefix !== "string");
      return prefix;
    };
    const attributes = { ...emptyAttributes(), nextHop: Uint8Array.of(192, 0, 2, 9), asPath };
    const lists = { reach: reach.map(parse), withdrawn: withdrawn.map(parse), attributes };
    const bytes = encodeUpdate(lists)!;
    for (let at = 0; at < bytes.length; ) {
      const end = at + ((bytes[at + 16] << 8) | bytes[at + 17]);
      assert.equal(this.importer.update(this.record, bytes, at, end), undefined);
      at = end;
    }
  }
}

const prefixes = Array.from({ length: 12 }, (_, i) => `10.${i}.0.0/16`);
const isRefused = (prefix: string): boolean => Number(prefix.split(".")[1]) % 2 === 1;

const step = fc.record({
  reach: fc.subarray(prefixes),
  withdrawn: fc.subarray(prefixes),
  settle: fc.boolean(),
  before: fc.option(fc.integer({ min: 1, max: 8 })),
  after: fc.option(fc.integer({ min: 1, max: 8 })),
});

suite("prefix limits that drop the excess", () => {
  for (const softReconfiguration of [true, false]) {
    test(`no more than the limit is ever in, and nothing stays out without need, soft reconfiguration ${softReconfiguration ? "on" : "off"}`, () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
          const rib = new Rib(softReconfiguration);
          const announced = new Set<string>();
          for (const { reach, withdrawn, settle, before, after } of steps) {
            rib.limit(before ?? undefined, after ?? undefined);
            rib.settle();
            rib.withdraw(withdrawn);
            for (const prefix of withdrawn) announced.delete(prefix);
            rib.announce(reach);
            for (const prefix of reach) announced.add(prefix);
            if (settle) rib.settle();
            const { record, table } = rib;
            const reasons = rib.reasons();
            const counted = (reason: RejectReason): number =>
              [...reasons.values()].filter((each) => each === reason).length;
            assert.equal(table.overReceived[record.id], counted(RejectReason.prefixLimit));
            assert.equal(table.overAccepted[record.id], counted(RejectReason.acceptedLimit));
            assert.equal(table.accepted[record.id], counted(RejectReason.none));
            const inside = table.received[record.id] - table.overReceived[record.id];
            if (before !== null) assert(inside <= before, `${inside} of ${before}`);
            if (after !== null) assert(table.accepted[record.id] <= after);
            if (softReconfiguration) assert.deepEqual([...reasons.keys()].sort(), [...announced].sort());
            if (settle && softReconfiguration) {
              assert(!hasRoom(record, table), "a path is kept out although there is room");
              const limited = counted(RejectReason.prefixLimit) > 0;
              assert(!limited || inside === before, "kept out below the limit");
            }
          }
        }),
        { numRuns: Number(process.env.CAIRN_RUNS ?? 50) },
      );
    });
  }

  test("flags of a kept-out path say which limit it was", () => {
    const rib = new Rib(true);
    rib.limit(3, 1);
    rib.announce(["10.0.0.0/16", "10.2.0.0/16", "10.1.0.0/16", "10.4.0.0/16"]);
    const reasons = rib.reasons();
    assert.deepEqual(
      ["10.0.0.0/16", "10.2.0.0/16", "10.1.0.0/16", "10.4.0.0/16"].map((prefix) => reasons.get(prefix)),
      [RejectReason.none, RejectReason.acceptedLimit, RejectReason.ownAs, RejectReason.prefixLimit],
    );
    assert.equal(rib.table.paths.flags[1] & reasonMask, RejectReason.none);
  });
});
