import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { CoreRig, type Peer } from "../../test/rfc/core-rig.ts";
import { ipv4Unicast } from "../wire/family.ts";

const prefix = "203.0.113.0/24";
const address = "192.0.2.2";
const tooMany = "limit of paths per prefix (add_path.receive_max)";

function limited(receiveMax: number, more: object = {}): { rig: CoreRig; peer: Peer } {
  const rig = new CoreRig();
  const addPath = [{ family: "ipv4-unicast", receive: true, receiveMax }];
  return { rig, peer: rig.peer(address, { remoteAsn: 65002, addPath, ...more }, { addPath: true }) };
}

/** `PREFIX-ID REASON` of what is held of the neighbor; without reason for what stands. */
const held = (rig: CoreRig): string[] =>
  rig
    .routes({ table: "received", neighbor: address, prePolicy: true }, ipv4Unicast)
    .map((route) => `${route.prefix} ${route.pathId} ${route.rejectReason}`.trim())
    .sort();

suite("add_path.receive_max", () => {
  test("what is beyond the limit is refused and visible, per prefix", () => {
    const { rig, peer } = limited(2);
    peer.announce([`1 ${prefix}`, `2 ${prefix}`, `3 ${prefix}`, "1 198.51.100.0/24"]);
    assert.deepEqual(held(rig), [
      "198.51.100.0/24 1",
      `${prefix} 1`,
      `${prefix} 2`,
      `${prefix} 3 ${tooMany}`,
    ]);
    const rejected = rig.routes({ table: "rejected", neighbor: address }, ipv4Unicast);
    assert.deepEqual(
      rejected.map(({ pathId, rejectReason }) => `${pathId} ${rejectReason}`),
      [`3 ${tooMany}`],
    );
    assert.equal(peer.notification, "", "the session goes on");
    for (const [id, gates] of [
      [3, "path-limit false"],
      [2, "path-limit true"],
    ] as const) {
      const told = rig.view.explainImport(address, prefix, id);
      assert.ok(told.ok);
      assert.ok(told.value.gates.some(({ name, passed }) => `${name} ${passed}` === gates));
      assert.equal(told.value.accepted, id === 2);
    }
  });

  test("a better path is refused too: whoever is inside stays inside", () => {
    const { rig, peer } = limited(1);
    peer.announce(`5 ${prefix}`, { path: "65002 65100 65100" });
    peer.announce(`4 ${prefix}`, { path: "65002" });
    assert.deepEqual(held(rig), [`${prefix} 4 ${tooMany}`, `${prefix} 5`]);
    peer.announce(`5 ${prefix}`, { path: "65002 65200" });
    assert.deepEqual(held(rig), [`${prefix} 4 ${tooMany}`, `${prefix} 5`], "replaced in its place");
    peer.withdraw(`5 ${prefix}`);
    assert.deepEqual(held(rig), [`${prefix} 4`], "which is free now");
    peer.withdraw(`4 ${prefix}`);
    assert.deepEqual(held(rig), []);
  });

  test("a refused path takes a place as well, until it is not kept", () => {
    const { rig, peer } = limited(1);
    peer.announce(`1 ${prefix}`, { path: "65002 65001" });
    peer.announce(`2 ${prefix}`);
    assert.match(held(rig)[0], /own AS/);
    assert.equal(held(rig)[1], `${prefix} 2 ${tooMany}`);
  });

  test("without soft reconfiguration a path that waited comes in too", () => {
    const { rig, peer } = limited(1, { softReconfiguration: false });
    peer.announce(`1 ${prefix}`);
    peer.announce(`2 ${prefix}`);
    peer.withdraw(`1 ${prefix}`);
    assert.deepEqual(held(rig), [`${prefix} 2`]);
  });

  test("a neighbor that restarted with other identifiers is not refused for what it had before", () => {
    const families = [{ afi: 1, safi: 1, forwarding: true }];
    const restart = { kind: "graceful-restart", restarting: false, notification: false } as const;
    const capabilities = [{ ...restart, restartTimeS: 60, families }];
    const rig = new CoreRig();
    const addPath = [{ family: "ipv4-unicast", receive: true, receiveMax: 2 }];
    const peer = rig.peer(address, { remoteAsn: 65002, addPath }, { addPath: true, capabilities });
    peer.announce([`1 ${prefix}`, `2 ${prefix}`]);
    peer.endOfRib();
    peer.drop();
    assert.deepEqual(held(rig), [`${prefix} 1`, `${prefix} 2`], "stale");
    rig.advance(1000);
    peer.reconnect({ capabilities: [{ ...restart, restarting: true, restartTimeS: 60, families }] });
    peer.announce([`11 ${prefix}`, `12 ${prefix}`, `13 ${prefix}`]);
    assert.deepEqual(held(rig), [
      `${prefix} 1`,
      `${prefix} 11`,
      `${prefix} 12`,
      `${prefix} 13 ${tooMany}`,
      `${prefix} 2`,
    ]);
    peer.endOfRib();
    rig.advance(1000);
    assert.deepEqual(held(rig), [`${prefix} 11`, `${prefix} 12`, `${prefix} 13 ${tooMany}`]);
  });

  test("the same paths stand as in a model, whatever comes and goes", () => {
    const step = fc.record({ id: fc.nat(5), prefix: fc.nat(1), announce: fc.boolean(), length: fc.nat(2) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 40 }), (max, steps) => {
        const { rig, peer } = limited(max);
        const model = new Map<string, { inside: Set<number>; waiting: Set<number> }>();
        for (const { id, prefix: which, announce, length } of steps) {
          const target = `203.0.${which}.0/24`;
          const known = model.get(target) ?? { inside: new Set(), waiting: new Set() };
          model.set(target, known);
          if (announce) {
            peer.announce(`${id} ${target}`, { path: ["65002", ...Array(length).fill("65003")].join(" ") });
            if (!known.inside.has(id)) (known.inside.size < max ? known.inside : known.waiting).add(id);
            if (known.inside.has(id)) known.waiting.delete(id);
            continue;
          }
          peer.withdraw(`${id} ${target}`);
          known.waiting.delete(id);
          if (!known.inside.delete(id)) continue;
          const next = Math.min(...known.waiting);
          if (known.waiting.delete(next)) known.inside.add(next);
        }
        const wanted = [...model].flatMap(([target, { inside, waiting }]) => [
          ...[...inside].map((id) => `${target} ${id}`),
          ...[...waiting].map((id) => `${target} ${id} ${tooMany}`),
        ]);
        assert.deepEqual(held(rig), wanted.sort());
      }),
      { numRuns: Number(process.env.CAIRN_ADD_PATH_RUNS ?? 40) },
    );
  });
});
