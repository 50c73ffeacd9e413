import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type Message } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { GlobalSpecSchema } from "../gen/cairn/v1/global_service_pb.ts";
import { NeighborSpecSchema, PrefixLimit_Action } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { PeerGroupSpecSchema } from "../gen/cairn/v1/peer_group_service_pb.ts";
import type { Specs } from "./objects.ts";
import { compareConfigs, effectiveSpec, resolveGlobal, resolveNeighbor } from "./resolve.ts";
import { fieldNamed, fieldsOf } from "./schema.ts";

const address = "192.0.2.9";

function objects(neighbor: object = {}, group?: object, global: object = {}): Specs {
  const specs: Record<string, Message | undefined> = {
    "Global/global": create(GlobalSpecSchema, { asn: 65001, routerId: "10.0.0.1", ...global }),
    [`Neighbor/${address}`]: create(NeighborSpecSchema, {
      address,
      ...(group ? { peerGroup: "g" } : {}),
      ...neighbor,
    }),
    "PeerGroup/g": group && create(PeerGroupSpecSchema, { name: "g", ...group }),
  };
  return { spec: (kind, name) => specs[`${kind}/${name}`] };
}

const resolve = (...given: Parameters<typeof objects>) => resolveNeighbor(objects(...given), address)!;

test("peer group fields are those of the neighbor: number, type and options", () => {
  const skip = ["address", "peer_group", "name"];
  const group = fieldsOf(PeerGroupSpecSchema).filter((info) => !skip.includes(info.name));
  const neighbor = fieldsOf(NeighborSpecSchema).filter((info) => !skip.includes(info.name));
  assert.deepEqual(
    group.map((info) => info.name),
    neighbor.map((info) => info.name),
  );
  for (const info of group) {
    const twin = fieldNamed(NeighborSpecSchema, info.name)!;
    assert.equal(info.desc.number, twin.desc.number, info.name);
    assert.equal(info.desc.toString().split(".").pop(), twin.desc.toString().split(".").pop());
    assert.equal(info.desc.fieldKind, twin.desc.fieldKind, info.name);
    assert.equal(info.desc.scalar, twin.desc.scalar, info.name);
    assert.equal(info.desc.message?.typeName, twin.desc.message?.typeName, info.name);
    assert.equal(info.desc.enum?.typeName, twin.desc.enum?.typeName, info.name);
    assert.equal(info.desc.presence, twin.desc.presence, info.name);
    assert.deepEqual(info.rule, twin.rule, info.name);
  }
});

test("built-in defaults come from the field options", () => {
  const config = resolve({ remoteAsn: 65002 });
  assert.deepEqual(
    [config.port, config.holdTimeS, config.connectRetryMs, config.sendHoldMs, config.idleHoldMs, config.ttl],
    [179, 90, 5000, 480_000, 1000, 1],
  );
  assert.deepEqual(
    [config.external, config.enforceFirstAs, config.extendedMessages, config.softReconfiguration],
    [true, true, true, true],
  );
  assert.deepEqual(
    config.families.map((family) => family.name),
    ["ipv4-unicast"],
  );
  assert.equal(config.routerId, 0x0a000001);
  assert.equal(config.clusterId, config.routerId);
});

test("neighbor before group before Global; policy chains are joined", () => {
  const group = {
    remoteAsn: 65100,
    holdTime: durationFromMs(30_000),
    description: "g",
    import: ["b"],
    families: ["ipv6-unicast"],
  };
  const global = { holdTime: durationFromMs(60_000), import: ["a"], export: ["x"], clusterId: "10.0.0.9" };
  const config = resolve({ description: "", import: ["c"], export: ["y"] }, group, global);
  assert.equal(config.remoteAsn, 65100);
  assert.equal(config.holdTimeS, 30);
  assert.equal(config.description, "", "set to nothing is set");
  assert.deepEqual(
    [config.importPolicies, config.exportPolicies],
    [
      ["a", "b", "c"],
      ["x", "y"],
    ],
  );
  assert.deepEqual(
    config.families.map((family) => family.name),
    ["ipv6-unicast"],
  );
  assert.equal(config.clusterId, 0x0a000009);
  assert.equal(resolve({ remoteAsn: 1 }, undefined, global).holdTimeS, 60);
  assert.equal(resolve({ remoteAsn: 1, holdTime: durationFromMs(0) }, group, global).holdTimeS, 0);
});

test("TTL, local AS, send hold and limits", () => {
  assert.equal(resolve({ remoteAsn: 65001 }).ttl, 0, "iBGP");
  assert.equal(resolve({ remoteAsn: 65002, multihopTtl: 4 }).ttl, 4);
  const config = resolve({ remoteAsn: 65002, localAsn: 65002, holdTime: durationFromMs(600_000) });
  assert.deepEqual(
    [config.external, config.localAsn, config.globalAsn, config.sendHoldMs],
    [false, 65002, 65001, 1_200_000],
  );
  assert.equal(resolve({ remoteAsn: 1, sendHoldTime: durationFromMs(0) }).sendHoldMs, 0);
  const { prefixLimits } = resolve({
    remoteAsn: 1,
    prefixLimits: [{ family: "ipv6-unicast", max: 10, action: PrefixLimit_Action.RESTART }],
  });
  assert.deepEqual(
    prefixLimits.filter((limit) => limit !== undefined),
    [{ max: 10, action: "restart", restartAfterMs: 60_000, warningPercent: 75 }],
  );
  assert.ok(prefixLimits[1], "at the index of the family");
});

test("the effective spec resolves to the same configuration", () => {
  const given = objects({ remoteAsn: 65002 }, { passive: true, import: ["b"] }, { import: ["a"] });
  const spec = effectiveSpec(given, address)!;
  assert.deepEqual([spec.port, spec.passive, spec.import, spec.localAsn], [179, true, ["a", "b"], 65001]);
});

test("only what matters to the session resets it", () => {
  const base = resolve({ remoteAsn: 65002 });
  assert.deepEqual(
    compareConfigs(base, resolve({ remoteAsn: 65002, port: 179 })).fields,
    [],
    "a default spelled out",
  );
  const moved = compareConfigs(base, resolve({}, { remoteAsn: 65002 }));
  assert.deepEqual([moved.fields, moved.reset], [["peer_group"], false], "policies may ask for the group");
  const change = (after: object, global: object = {}) =>
    compareConfigs(base, resolve({ remoteAsn: 65002, ...after }, undefined, global));
  assert.equal(change({ description: "x", holdTime: durationFromMs(30_000) }).reset, false);
  assert.equal(change({ families: ["ipv4-unicast", "ipv6-unicast"] }).reset, true);
  assert.deepEqual(change({}, { routerId: "10.0.0.2" }).fields, ["global.router_id", "global.cluster_id"]);
  assert.equal(change({}, { routerId: "10.0.0.2" }).reset, true);
  assert.deepEqual(
    [change({ import: ["accept-all"] }).policy, change({ import: ["accept-all"] }).reset],
    [true, false],
  );
  assert.equal(change({ softReconfiguration: false }).refresh, true);
});

test("without Global there is nothing to resolve", () => {
  assert.equal(resolveNeighbor({ spec: () => undefined }, address), undefined);
  assert.equal(resolveGlobal({ spec: () => undefined }), undefined);
  assert.equal(resolveGlobal(objects())!.requirePolicy, true);
});
