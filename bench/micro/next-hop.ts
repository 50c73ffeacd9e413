/**
 * Micro-benchmark of next-hop tracking: `node bench/micro/next-hop.ts`. A core in virtual time takes a full table from
 * one internal neighbor, with tracking and without; then one next hop of a thousand flaps. CPU of this process.
 */
import { parseIp } from "../../src/base/ip.ts";
import type { SimulatedRoute } from "../../src/dataplane/simulated-kernel.ts";
import { CoreRig, type Peer } from "../../test/rfc/core-rig.ts";
import { attributesHex, nlriHex } from "../../test/rfc/wire-text.ts";
import { update } from "../../test/support/wire.ts";

const hops = 1_000;
const perHop = 1_000;
const perUpdate = 500;

const hopAddress = (hop: number): string => `172.16.${hop >> 8}.${hop & 255}`;

/** The table as UPDATEs, in the order of arrival of a real one: next hops mixed. */
const updates: Uint8Array[] = [];
for (let part = 0; part < perHop / perUpdate; part++) {
  for (let hop = 0; hop < hops; hop++) {
    const prefixes: string[] = [];
    for (let i = 0; i < perUpdate; i++) {
      const n = (hop * perHop + part * perUpdate + i) * 256 + 0x0100_0000;
      prefixes.push(`${n >>> 24}.${(n >> 16) & 255}.${(n >> 8) & 255}.0/24`);
    }
    const route = { origin: "igp", path: "65010 65020", nextHop: hopAddress(hop), localPref: 100 } as const;
    updates.push(update(attributesHex(route, 4), nlriHex(prefixes)));
  }
}

/** All next hops behind one gateway; one of them is discarded. */
function routes(discarded?: number): SimulatedRoute[] {
  const base = { metric: 10, link: "eth1", gateway: parseIp("10.0.0.9") };
  const all: SimulatedRoute = {
    ...base,
    ...{ destination: { bytes: parseIp("172.16.0.0")!, length: 12 }, type: "unicast" },
  };
  if (discarded === undefined) return [all];
  const destination = { bytes: parseIp(hopAddress(discarded))!, length: 32 };
  return [all, { ...base, destination, type: "blackhole" }];
}

const links = [{ name: "eth1", up: true, addresses: [{ bytes: parseIp("10.0.0.1")!, length: 24 }] }];

function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function load(dataplane: "none" | "memory"): { rig: CoreRig; peer: Peer; ms: number } {
  const rig = new CoreRig({}, undefined, dataplane);
  if (dataplane === "memory") rig.simulate({ links, routes: routes() });
  const peer = rig.peer("10.0.0.5", { remoteAsn: 65001 });
  const ms = cpuMs(() => {
    for (const bytes of updates) peer.send(bytes);
  });
  return { rig, peer, ms };
}

const line = (what: string, value: string): void =>
  void process.stdout.write(`${what.padEnd(58)} ${value.padStart(12)}\n`);

load("none");
for (const round of [1, 2, 3]) {
  const off = load("none");
  const on = load("memory");
  const count = hops * perHop;
  line(`${round}: ${count} routes, not tracked`, `${off.ms.toFixed(0)} ms`);
  line(`${round}: the same, tracked`, `${on.ms.toFixed(0)} ms`);
  const table = on.rig.core.routing.tables[0];
  const before = { ...on.rig.view.nextHopCounts()!, changes: table.changes.changes };
  const flap = cpuMs(() => on.rig.simulate({ links, routes: routes(7) }));
  const settled = on.rig.view.nextHopCounts()!.pathsSettled - before.pathsSettled;
  line(`${round}: one of ${hops} next hops goes`, `${flap.toFixed(1)} ms`);
  line(`${round}:   paths looked at`, String(settled));
  line(`${round}:   prefixes that changed`, String(table.changes.changes - before.changes));
}
