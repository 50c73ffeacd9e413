import assert from "node:assert/strict";
import { test } from "node:test";
import { readCounters } from "./link-counters.ts";

const titles = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
`;

test("counters of links by name; names hold colons, and lines that are cut off are left out", () => {
  const text = `${titles}    lo:     100       2    3    4    0     0          0         0      500       6    7    8    0     0       0          0
eth0:1: 18446744073709551615 1 0 0 0 0 0 0 2 3 0 0 0 0 0 0
  eth1:     100       2    3
`;
  const counters = readCounters(text);
  assert.deepEqual([...counters.keys()], ["lo", "eth0:1"]);
  assert.deepEqual(counters.get("lo"), {
    ...{ rxBytes: 100n, rxPackets: 2n, rxErrors: 3n, rxDropped: 4n },
    ...{ txBytes: 500n, txPackets: 6n, txErrors: 7n, txDropped: 8n },
  });
  assert.equal(counters.get("eth0:1")?.rxBytes, 2n ** 64n - 1n);
});
