/**
 * The neighbors of bench/bfd.ts, in their own process and network namespace: one BFD session each, one of them a feeder
 * that loads and withdraws a table again and again, one that receives all of it, the others with a session at rest. Told
 * what to do by its argument, a JSON text; prints one line of JSON when it is done.
 */
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { parseIp } from "../../src/base/ip.ts";
import { BfdState } from "../../src/bfd/packet.ts";
import type { SessionReport } from "../../src/bfd/table.ts";
import { BfdThread } from "../../src/runtime/bfd-thread.ts";
import { daemonAddress4, peerAddress } from "../namespace.ts";
import { Session } from "./session.ts";
import { firstPeerAs, Table } from "./table.ts";
import { encodeTable } from "./updates.ts";

export interface PeersTask {
  readonly sessions: number;
  readonly prefixes: number;
  readonly intervalMs: number;
  readonly seconds: number;
}

export interface PeersResult {
  readonly ups: number;
  readonly downs: number;
  /** Times that the whole table was announced. */
  readonly loads: number;
  readonly routesReceived: number;
}

const task = JSON.parse(process.argv[2]) as PeersTask;
const reports = new Map<number, SessionReport>();
const thread = new BfdThread(
  (input) => {
    if (input.kind !== "bfd.news") return;
    for (const report of input.reports) reports.set(report.discriminator, report);
    for (const [discriminator, text] of input.failures)
      if (text !== "") fail(`session ${discriminator}: ${text}`);
  },
  (_level, message) => fail(message),
);
for (let n = 0; n < task.sessions; n++) {
  const us = task.intervalMs * 1000;
  thread.apply({
    kind: "bfd.set",
    plan: {
      ...{ discriminator: n + 1, peer: daemonAddress4, local: peerAddress(n, false), interface: undefined },
      ...{ multihop: false, minTtl: 255, minTxUs: us, minRxUs: us, multiplier: 3, passive: false },
    },
  });
}
await until(
  "BFD sessions",
  () => states().filter(({ state }) => state === BfdState.up).length === task.sessions,
);
const before = states().reduce((sum, { downs }) => sum + downs, 0);
process.stderr.write(`${task.sessions} BFD sessions are up\n`);

const table = new Table({ feeders: 1, prefixes: task.prefixes, sets: Math.ceil(task.prefixes / 10) });
const bytes = encodeTable(table, 0, parseIp(peerAddress(0, false))!);
const sessionOf = (n: number): Session =>
  new Session({
    address: peerAddress(n, false),
    asn: firstPeerAs + n,
    ipv6: false,
    holdTimeS: 240,
    routerId: (10 << 24) + (98 << 16) + n + 1,
    update: n === 1 ? () => {} : undefined,
  });
const idle: Session[] = [];
for (let n = 1; n < task.sessions; n += 50) {
  const some = Array.from({ length: Math.min(50, task.sessions - n) }, (_, i) => sessionOf(n + i));
  idle.push(...some);
  await Promise.all(some.map(({ established }) => established));
}
process.stderr.write(`${idle.length} BGP sessions are up; the table is being loaded\n`);
const endMs = performance.now() + task.seconds * 1000;
let loads = 0;
while (performance.now() < endMs) {
  const feeder = sessionOf(0);
  await feeder.established;
  await feeder.sendAll(bytes);
  loads++;
  // It works off what is in the sockets; then the loss of a neighbor with all its routes.
  for (let quiet = -1; quiet !== idle[0].updatesIn && performance.now() < endMs; await delay(2000)) {
    quiet = idle[0].updatesIn;
  }
  feeder.close();
  await delay(1000);
}
const result: PeersResult = {
  ups: states().filter(({ state }) => state === BfdState.up).length,
  downs: states().reduce((sum, { downs }) => sum + downs, 0) - before,
  loads,
  routesReceived: idle[0].updatesIn,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
// cairn is asked for its counts before the sessions end.
process.stdin.resume();
await once(process.stdin, "end");
for (const session of idle) session.close();
await thread.close();
process.exit(0);

function states(): SessionReport[] {
  return [...reports.values()];
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!holds()) {
    if (performance.now() > deadline) fail(`${what} do not come up`);
    await delay(50);
  }
}

function fail(text: string): never {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}
