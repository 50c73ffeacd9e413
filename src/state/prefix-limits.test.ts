import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { GlobalSpecSchema } from "../gen/cairn/v1/global_service_pb.ts";
import { NeighborSpecSchema } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { ipv4Unicast } from "../wire/family.ts";
import { type NeighborRecord, newNeighborRecord } from "./neighbor-record.ts";
import { PrefixLimits } from "./prefix-limits.ts";
import { resolveNeighbor } from "./resolve.ts";
import type { PrefixLimitConfig } from "./session-port.ts";

function recordWith(limit: Partial<PrefixLimitConfig>): NeighborRecord {
  const specs = new Map<string, unknown>([
    ["Global", create(GlobalSpecSchema, { asn: 65001, routerId: "10.0.0.1" })],
    ["Neighbor", create(NeighborSpecSchema, { address: "192.0.2.9", remoteAsn: 65002 })],
  ]);
  const config = resolveNeighbor({ spec: (kind) => specs.get(kind) as never }, "192.0.2.9")!;
  const whole = { max: 100, action: "stop" as const, restartAfterMs: 0, warningPercent: 75, ...limit };
  return newNeighborRecord(1, { ...config, prefixLimits: [whole, undefined] });
}

function watch(): { limits: PrefixLimits; log: string[] } {
  const log: string[] = [];
  const limits = new PrefixLimits({
    event: (topic) => log.push(topic.slice("cairn.bgp.prefix_limit.".length)),
    reached: (record, family, { action }) => log.push(`${record.config.address} ${family.name} ${action}`),
  });
  return { limits, log };
}

suite("PrefixLimits", () => {
  test("warns once near the limit, then says once that it was passed and does what the limit says", () => {
    const { limits, log } = watch();
    const record = recordWith({});
    for (const count of [76, 77, 100]) limits.check(record, ipv4Unicast, count, false);
    for (const count of [101, 102]) limits.check(record, ipv4Unicast, count, true);
    assert.deepEqual(log, ["near", "exceeded", "192.0.2.9 ipv4-unicast stop"]);
  });

  test("a limit that only warns ends nothing; the next session starts over", () => {
    const { limits, log } = watch();
    const record = recordWith({ action: "warn" });
    limits.check(record, ipv4Unicast, 200, true);
    record.limitWarned.fill(false);
    limits.check(record, ipv4Unicast, 80, false);
    limits.check(record, ipv4Unicast, 101, true);
    assert.deepEqual(log, ["near", "exceeded", "near", "exceeded"]);
  });

  test("without a limit nothing is said", () => {
    const { limits, log } = watch();
    const record = recordWith({});
    record.config = { ...record.config, prefixLimits: [undefined, undefined] };
    limits.check(record, ipv4Unicast, 1_000_000, true);
    assert.deepEqual(log, []);
  });
});
