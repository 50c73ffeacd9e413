/** Translations over the API: pages, filters, eviction and its traces. The kernel itself is in interop/nat-firewall. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { parseIp } from "../base/ip.ts";
import { FlowStatus, type TrackedFlow } from "../dataplane/netlink/conntrack-wire.ts";
import { matching, PageCollector, type TranslationTable } from "../dataplane/translations.ts";
import { Nat44RuleService } from "../gen/cairn/v1/nat_service_pb.ts";
import { failure, type Harness, inProcess } from "./testing/harness.ts";

function flow(sourcePort: number, protocol = 6): TrackedFlow {
  const [source, server, as] = ["10.0.0.5", "203.0.113.9", "203.0.113.1"].map((text) => parseIp(text)!);
  return {
    ...{ status: FlowStatus.source | FlowStatus.seenReply, timeoutS: 60, mark: 0, zone: 0, id: 1 },
    ...{ tcpState: protocol === 6 ? 3 : 0, packets: 4, bytes: 400, name: new Uint8Array(0) },
    original: { source, destination: server, protocol, sourcePort, destinationPort: 443 },
    reply: { source: server, destination: as, protocol, sourcePort: 443, destinationPort: sourcePort + 1 },
  };
}

class FakeTable implements TranslationTable {
  flows = [...Array.from({ length: 7 }, (_, i) => flow(1000 + i)), flow(53, 17)];
  failure = "";

  list: TranslationTable["list"] = (query) => {
    const collector = new PageCollector(query);
    for (const each of this.failure === "" ? this.flows : []) collector.take(each);
    return Promise.resolve(collector.page(this.failure));
  };

  evict: TranslationTable["evict"] = (query, dryRun) => {
    const found = this.flows.filter((each) => matching(each, query));
    if (dryRun) return Promise.resolve({ evicted: 0, gone: 0, left: found.length, failure: "" });
    this.flows = this.flows.filter((each) => !found.includes(each));
    return Promise.resolve({ evicted: found.length, gone: 0, left: 0, failure: this.failure });
  };
}

function withTable(table: TranslationTable | undefined) {
  const harness: Harness = inProcess({ routes: 0 });
  Object.assign(harness.services, { translations: table });
  return { ...harness, nat: createClient(Nat44RuleService, harness.transport) };
}

test("pages make up the list, and say how much there is", async () => {
  const { nat } = withTable(new FakeTable());
  const seen: number[] = [];
  for (let pageToken = ""; ; ) {
    const page = await nat.listTranslations({ filter: { protocol: "tcp" }, pageSize: 3, pageToken });
    assert.equal(page.totalSize, 7n);
    seen.push(...page.translations.map(({ sourcePort }) => sourcePort));
    if (page.nextPageToken === "") break;
    pageToken = page.nextPageToken;
  }
  assert.deepEqual(seen, [1000, 1001, 1002, 1003, 1004, 1005, 1006]);
});

test("a translation has both ends, before and after", async () => {
  const { nat } = withTable(new FakeTable());
  const { translations } = await nat.listTranslations({ filter: { port: 1000 } });
  const { $typeName: _, ...told } = translations[0];
  assert.deepEqual(told, {
    ...{ protocol: "tcp", source: "10.0.0.5", sourcePort: 1000, state: "established", answered: true },
    ...{ destination: "203.0.113.9", destinationPort: 443, translatedDestination: "203.0.113.9" },
    ...{ translatedDestinationPort: 443, translatedSource: "203.0.113.1", translatedSourcePort: 1001 },
    ...{ expiresS: 60, packets: 4n, bytes: 400n, mark: 0, zone: 0, rule: "" },
  });
});

test("eviction takes what the filter finds, and is told to the owner and the audit", async () => {
  const table = new FakeTable();
  const { nat, owner } = withTable(table);
  const filter = { protocol: "udp", source: "10.0.0.0/8" };
  assert.equal((await nat.evictTranslations({ filter, dryRun: true })).left, 1n);
  assert.deepEqual([owner.operations, owner.audits], [[], []], "nothing happened");
  const { evicted, left } = await nat.evictTranslations({ filter, reason: "CHG-7" });
  assert.deepEqual([evicted, left, table.flows.length], [1n, 0n, 7]);
  assert.deepEqual(owner.operations, [
    { op: "translations-evicted", count: 1, filter, principal: "in-process" },
  ]);
  const [{ method, reason, accepted }] = owner.audits;
  assert.deepEqual(
    [method, reason, accepted],
    ["cairn.v1.Nat44RuleService/EvictTranslations", "CHG-7", true],
  );
  assert.equal((await nat.evictTranslations({ all: true })).evicted, 7n);
});

test("what keeps the kernel from telling is said, and so is a daemon without one", async () => {
  const table = new FakeTable();
  table.failure = "cairnd needs the capability CAP_NET_ADMIN to see them";
  const { nat, owner } = withTable(table);
  const error = await failure(nat.listTranslations({}));
  assert.equal(error.code, Code.FailedPrecondition);
  assert.match(error.rawMessage, /CAP_NET_ADMIN/);
  // Some went before it failed: that is told all the same.
  assert.equal((await failure(nat.evictTranslations({ all: true }))).code, Code.FailedPrecondition);
  assert.equal(owner.operations.length, 1);
  const without = withTable(undefined);
  assert.match((await failure(without.nat.listTranslations({}))).rawMessage, /--dataplane linux/);
});
