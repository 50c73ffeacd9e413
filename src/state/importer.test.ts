import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { parsePrefix } from "../base/ip.ts";
import { limits } from "../base/limits.ts";
import { GlobalSpecSchema } from "../gen/cairn/v1/global_service_pb.ts";
import { NeighborSpecSchema } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { NeighborFlag } from "../rib/neighbor-columns.ts";
import { RejectReason, rejectReasonText } from "../rib/path-flags.ts";
import { sequence } from "../rib/rib-fixture.ts";
import { ipv4Unicast } from "../wire/family.ts";
import { emptyAttributes, type PathAttributes } from "../wire/path-attributes.ts";
import { encodeUpdate } from "../wire/update-simple.ts";
import { noDamping } from "./damping.ts";
import { Importer } from "./importer.ts";
import { type NeighborRecord, newNeighborRecord } from "./neighbor-record.ts";
import { resolveNeighbor } from "./resolve.ts";
import { Routing } from "./routing.ts";

const address = "192.0.2.9";

/** AS paths of an external neighbor 65002, and why a speaker in AS 65001 refuses them. */
const external: [Partial<PathAttributes>, string][] = [
  [{ asPath: sequence(65002, 7) }, ""],
  [{ asPath: sequence(65002) }, ""],
  [{ asPath: sequence(65002, 65001, 7) }, "own AS"],
  [{ asPath: sequence(65003) }, "first AS"],
  [{ asPath: sequence(65002), nextHop: Uint8Array.of(192, 0, 2, 1) }, "our own address"],
];

/** What an internal neighbor sends a reflector with router id 10.0.0.1, which is its cluster id too. */
const internal: [Partial<PathAttributes>, string][] = [
  [{ asPath: sequence(7), localPref: 100 }, ""],
  [{ asPath: sequence(), localPref: 100, originatorId: 5, clusterList: [6] }, ""],
  [{ asPath: sequence(7), localPref: 100, originatorId: 0x0a000001 }, "ORIGINATOR_ID"],
  [{ asPath: sequence(7), localPref: 100, clusterList: [6, 0x0a000001] }, "CLUSTER_LIST"],
];

class Scene {
  readonly routing = new Routing();
  readonly table = this.routing.table(ipv4Unicast);
  readonly record: NeighborRecord;
  readonly importer: Importer;
  requirePolicy = false;
  limits: [number, boolean][] = [];

  constructor(remoteAsn: number, softReconfiguration: boolean) {
    const specs = new Map<string, unknown>([
      ["Global", create(GlobalSpecSchema, { asn: 65001, routerId: "10.0.0.1" })],
      ["Neighbor", create(NeighborSpecSchema, { address, remoteAsn, softReconfiguration })],
    ]);
    const config = resolveNeighbor({ spec: (kind) => specs.get(kind) as never }, address)!;
    const limit = { max: 3, action: "warn" as const, restartAfterMs: 0, warningPercent: 60 };
    this.record = newNeighborRecord(1, { ...config, prefixLimits: [limit, undefined] });
    this.record.decode = { fourOctetAs: true, addPath: 0, external: config.external, families: 1 };
    this.record.negotiated = { localAddress: Uint8Array.of(192, 0, 2, 1) } as never;
    this.routing.neighbors.flags[1] = config.external ? NeighborFlag.external : 0;
    this.importer = new Importer(this.routing, {
      nowS: () => 0,
      requirePolicy: () => this.requirePolicy,
      prefixLimit: (_record, _family, count, over) => this.limits.push([count, over]),
      prefixRoom: () => {},
      malformed: (_record, text) => assert.fail(text),
      endOfRib: () => {},
      flows: { verdict: () => RejectReason.none, describe: () => "" },
      damping: noDamping,
    });
  }

  update(reach: readonly string[], withdrawn: readonly string[], attributes: Partial<PathAttributes>): void {
    const parse = (text: string) => {
      const prefix = parsePrefix(text);
      assert(typeof prefix !== "string");
      return prefix;
    };
    const whole = { ...emptyAttributes(), nextHop: Uint8Array.of(192, 0, 2, 9), ...attributes };
    const bytes = encodeUpdate({
      reach: reach.map(parse),
      withdrawn: withdrawn.map(parse),
      attributes: whole,
    })!;
    for (let at = 0; at < bytes.length; ) {
      const end = at + ((bytes[at + 16] << 8) | bytes[at + 17]);
      assert.equal(this.importer.update(this.record, bytes, at, end), undefined);
      at = end;
    }
  }

  /** Prefix and why it is refused, of everything that is kept. */
  kept(): Map<string, string> {
    const { paths, prefixes } = this.table;
    const out = new Map<string, string>();
    for (let path = 1; path < paths.rows; path++) {
      if (paths.received[path] === 0) continue;
      const bytes = new Uint8Array(4);
      prefixes.writeAddress(paths.prefix[path], bytes, 0);
      const reason = rejectReasonText[paths.flags[path] & 0x0f];
      out.set(`${bytes.join(".")}/${prefixes.length[paths.prefix[path]]}`, reason);
    }
    return out;
  }
}

const prefixes = fc.uniqueArray(
  fc.constantFrom("10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16", "192.0.2.0/24", "0.0.0.0/0"),
);
const step = fc.record({ reach: prefixes, withdrawn: prefixes, variant: fc.nat(9) });

suite("Importer", () => {
  for (const [name, remoteAsn, variants] of [
    ["external", 65002, external],
    ["internal", 65001, internal],
  ] as const) {
    test(`${name}: what is kept, accepted and refused, with and without soft reconfiguration`, () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 30 }), fc.boolean(), (steps, keeps) => {
          const scene = new Scene(remoteAsn, keeps);
          const model = new Map<string, string>();
          for (const { reach, withdrawn, variant } of steps) {
            const [attributes, reason] = variants[variant % variants.length];
            scene.update(reach, withdrawn, attributes);
            for (const prefix of withdrawn) model.delete(prefix);
            for (const prefix of reach) {
              model.set(prefix, reason);
            }
            const kept = scene.kept();
            assert.deepEqual([...kept.keys()].sort(), [...model.keys()].sort());
            for (const [prefix, text] of kept)
              assert(text.includes(model.get(prefix)!), `${prefix}: ${text}`);
            assert.equal(scene.table.received[1], model.size);
            assert.equal(scene.table.accepted[1], [...model.values()].filter((text) => text === "").length);
          }
          scene.update([], [...model.keys()], {});
          assert.equal(scene.routing.attributes.count, 0, "no reference is left");
        }),
      );
    });
  }

  test("without soft reconfiguration the first refused routes are kept, up to a bound", () => {
    const scene = new Scene(65002, false);
    const many = Array.from(
      { length: limits.rejectedKeptMax + 50 },
      (_, i) => `10.${i >> 8}.${i & 255}.0/24`,
    );
    const [accepted] = external[0];
    const [refused] = external.find(([, reason]) => reason !== "")!;
    const counts = (): number[] => [scene.table.received[1], scene.table.accepted[1]];
    scene.update(["192.0.2.0/24"], [], accepted);
    for (let at = 0; at < many.length; at += 100) scene.update(many.slice(at, at + 100), [], refused);
    assert.deepEqual(counts(), [limits.rejectedKeptMax + 1, 1]);
    scene.update(["192.0.2.0/24"], [], refused);
    assert.deepEqual(counts(), [limits.rejectedKeptMax, 0], "what was accepted goes");
    scene.update([], many.slice(0, 10), {});
    scene.update([many[3]], [], refused);
    assert.deepEqual(counts(), [limits.rejectedKeptMax - 9, 0], "there is room again");
    scene.update([many[20]], [], accepted);
    assert.deepEqual(counts(), [limits.rejectedKeptMax - 9, 1], "what was refused comes in");
    scene.update([], many, {});
    assert.equal(scene.routing.attributes.count, 0);
  });

  test("import is run again over what is kept, in pieces, both ways", () => {
    const scene = new Scene(65002, true);
    const all = ["10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"];
    scene.update(all, [], external[0][0]);
    scene.update(["192.0.2.0/24"], [], external[2][0]);
    const again = (): void => {
      for (let from = 1; from !== 0; ) from = scene.importer.reimport(scene.record, scene.table, from, 2);
    };
    scene.requirePolicy = true;
    again();
    assert.equal(scene.table.accepted[1], 0);
    assert.equal(scene.table.received[1], 4);
    scene.requirePolicy = false;
    again();
    assert.equal(scene.table.accepted[1], 3);
    scene.update([], [...all, "192.0.2.0/24"], {});
    assert.equal(scene.routing.attributes.count, 0);
  });

  test("prefix limits hear of every UPDATE that adds beyond the warning", () => {
    const scene = new Scene(65002, true);
    for (const prefix of ["10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16", "192.0.2.0/24", "192.0.2.0/24"]) {
      scene.update([prefix], [], external[0][0]);
    }
    assert.deepEqual(scene.limits, [
      [2, false],
      [3, false],
      [4, true],
    ]);
  });
});
