/** RFC 7911: path identifiers on the wire, what a neighbor may do with its own, and that ours stay. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { AddPath_Send } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { ipv4Unicast } from "../../src/wire/family.ts";
import { CoreRig, type Peer } from "./core-rig.ts";

const prefix = "203.0.113.0/24";
const both = { addPath: [{ family: "ipv4-unicast", receive: true, send: AddPath_Send.ALL }] };
const feeders = ["192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"];

/** A neighbor that sends several paths, and one that is sent all of them. */
function pair(): { rig: CoreRig; peer: Peer; third: Peer } {
  const rig = new CoreRig();
  const third = rig.peer("192.0.2.9", { remoteAsn: 65009, ...both }, { addPath: true });
  const peer = rig.peer("192.0.2.2", { remoteAsn: 65002, ...both }, { addPath: true });
  return { rig, peer, third };
}

const paths = (third: Peer): string[] => [...third.routes.values()].map(({ path }) => path ?? "").sort();
const held = (rig: CoreRig): number[] =>
  rig
    .routes({ table: "received", neighbor: "192.0.2.2", prePolicy: true }, ipv4Unicast)
    .map(({ pathId }) => pathId)
    .sort((a, b) => a - b);

describe("RFC 7911 3, identifiers of the neighbor", () => {
  test("the same prefix and identifier again replaces the path: one is held, and nothing of the old one is left", () => {
    const { rig, peer, third } = pair();
    peer.announce(`7 ${prefix}`, { path: "65002 65100" });
    peer.announce(`7 ${prefix}`, { path: "65002 65200" });
    rig.run();
    assert.deepEqual([held(rig), paths(third)], [[7], ["65001 65002 65200"]]);
  });
  test("an identifier that is taken up again for another path after a withdrawal is another path", () => {
    const { rig, peer, third } = pair();
    peer.announce(`7 ${prefix}`, { path: "65002 65100" });
    peer.announce(`8 ${prefix}`, { path: "65002 65300" });
    peer.withdraw(`7 ${prefix}`);
    peer.announce(`7 ${prefix}`, { path: "65002 65200" });
    rig.run();
    assert.deepEqual(
      [held(rig), paths(third)],
      [
        [7, 8],
        ["65001 65002 65200", "65001 65002 65300"],
      ],
    );
  });
  test("one identifier for many prefixes, 0 and the largest one are identifiers like any other", () => {
    const { rig, peer, third } = pair();
    peer.announce([`0 ${prefix}`, `4294967295 ${prefix}`, "0 198.51.100.0/24"]);
    rig.run();
    assert.deepEqual(held(rig), [0, 0, 4294967295]);
    assert.equal(third.routes.size, 3);
  });
  test("the same attributes under two identifiers are two paths, and each goes alone", () => {
    const { rig, peer, third } = pair();
    peer.announce([`1 ${prefix}`, `2 ${prefix}`]);
    peer.withdraw(`1 ${prefix}`);
    rig.run();
    assert.deepEqual([held(rig), third.routes.size], [[2], 1]);
  });
  test("a withdrawal of an identifier that was never told changes nothing", () => {
    const { rig, peer, third } = pair();
    peer.announce(`1 ${prefix}`);
    third.forget();
    peer.withdraw(`2 ${prefix}`);
    peer.withdraw("1 198.51.100.0/24");
    rig.run();
    assert.deepEqual([held(rig), third.trail, peer.notification], [[1], [], ""]);
  });
  test("the same identifier twice in one UPDATE is one path", () => {
    const { rig, peer, third } = pair();
    peer.announce([`1 ${prefix}`, `1 ${prefix}`]);
    rig.run();
    assert.deepEqual([held(rig), third.routes.size], [[1], 1]);
  });
  test("NLRI without identifiers after all is malformed, and ends the session", () => {
    const { peer } = pair();
    peer.announce(prefix);
    assert.match(peer.notification, /^3\/10/);
  });
});

const step = fc.record({
  feeder: fc.nat(feeders.length - 1),
  prefix: fc.nat(2),
  /** Of the path; 0 withdraws it. Lengths change ranks. */
  length: fc.nat(4),
});

test("an identifier that we tell belongs to one path for as long as that path is there, whatever ranks do", () => {
  const runs = Number(process.env.CAIRN_ADD_PATH_RUNS ?? 40);
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
      const rig = new CoreRig();
      const third = rig.peer("192.0.2.9", { remoteAsn: 65009, ...both }, { addPath: true });
      const peers = feeders.map((address, n) => rig.peer(address, { remoteAsn: 65002 + n }));
      const told = new Map<string, string>();
      for (const { feeder, prefix: which, length } of steps) {
        const target = `203.0.113.${which * 64}/26`;
        const asn = 65002 + feeder;
        const key = `${target} ${asn}`;
        if (length === 0) peers[feeder].withdraw(target);
        else peers[feeder].announce(target, { path: Array(length).fill(asn).join(" ") });
        rig.run();
        const now = new Map<string, string>();
        for (const [route, { path }] of third.routes) {
          const [id, prefixOf] = route.split(" ");
          const of = `${prefixOf} ${path?.split(" ")[1]}`;
          assert.ok(!now.has(of), `${of} is told twice`);
          now.set(of, id);
        }
        assert.equal(now.has(key), length > 0);
        for (const [of, id] of now) {
          if (of !== key || told.has(of)) assert.equal(id, told.get(of), `the identifier of ${of} changed`);
        }
        told.clear();
        for (const [of, id] of now) told.set(of, id);
      }
    }),
    { numRuns: runs },
  );
});
