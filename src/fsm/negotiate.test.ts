import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Capability } from "../wire/capabilities.ts";
import { ipv4Unicast, ipv6Unicast } from "../wire/family.ts";
import type { Open } from "../wire/open.ts";
import { type Agreement, isNotice, type LocalSide, localCapabilities, negotiate } from "./negotiate.ts";

const local: LocalSide = {
  localAsn: 65001,
  remoteAsn: 65002,
  routerId: 1,
  holdTimeS: 90,
  keepaliveTimeS: 0,
  families: [ipv4Unicast, ipv6Unicast],
  addPath: [],
  orf: [],
  extendedNextHop: false,
  extendedMessages: true,
  enhancedRefresh: true,
  gracefulRestart: "helper",
  restartTimeS: 120,
  notificationRestart: true,
  longLivedStaleS: 0,
  longLivedMaxS: 0,
};
const four: Capability = { kind: "four-octet-as", asn: 65002 };
const v4: Capability = { kind: "multiprotocol", afi: 1, safi: 1 };
const v6: Capability = { kind: "multiprotocol", afi: 2, safi: 1 };

function answer(
  change: Partial<Open>,
  side: Partial<LocalSide> = {},
  twoOctetAsn = 65002,
): Agreement | string {
  const open: Open = {
    version: 4,
    asn: 65002,
    holdTimeS: 180,
    routerId: 2,
    capabilities: [four, v4],
    ...change,
  };
  const result = negotiate({ ...local, ...side }, open, twoOctetAsn);
  return isNotice(result) ? `${result.code}/${result.subcode}` : result;
}

function agreed(change: Partial<Open>, side: Partial<LocalSide> = {}, twoOctetAsn = 65002): Agreement {
  const result = answer(change, side, twoOctetAsn);
  assert(typeof result === "object", String(result));
  return result;
}

describe("AS numbers", () => {
  test("must be the configured one", () => assert.equal(answer({}, { remoteAsn: 65003 }), "2/2"));
  test("zero is refused in field and capability (RFC 7607)", () => {
    assert.equal(answer({ asn: 0 }), "2/2");
    assert.equal(answer({}, {}, 0), "2/2");
  });
  test("a four-octet number stands behind AS_TRANS (RFC 6793)", () => {
    const asn = 4_200_000_000;
    assert.equal(agreed({ asn }, { remoteAsn: asn }, 23456).remoteAsn, asn);
    assert.equal(answer({ asn }, { remoteAsn: asn }, 65002), "2/2");
    assert.equal(agreed({}, {}, 23456).remoteAsn, 65002);
  });
  test("AS_TRANS is nobody's number", () => {
    assert.equal(answer({ asn: 23456 }, { remoteAsn: 23456 }, 23456), "2/2");
  });
  test("a two-octet neighbor has no capability", () => {
    assert.equal(agreed({ capabilities: [v4] }).fourOctetAs, false);
  });
});

describe("identifier (RFC 6286)", () => {
  test("zero is refused", () => assert.equal(answer({ routerId: 0 }), "2/3"));
  test("ours is refused from inside, accepted from outside", () => {
    assert.equal(answer({ routerId: 1, asn: 65001 }, { remoteAsn: 65001 }, 65001), "2/3");
    assert.equal(agreed({ routerId: 1 }).remoteRouterId, 1);
  });
});

describe("families", () => {
  test("those of both sides", () => {
    assert.equal(agreed({}).families, 1);
    assert.equal(agreed({ capabilities: [four, v6] }).families, 2);
    assert.equal(agreed({ capabilities: [four, v6, v4, v6] }).families, 3);
  });
  test("no capability means IPv4 unicast", () => {
    assert.equal(agreed({ capabilities: [] }).families, 1);
    assert.equal(answer({ capabilities: [] }, { families: [ipv6Unicast] }), "2/7");
  });
  test("none in common names ours", () => {
    const result = negotiate(
      { ...local, families: [ipv6Unicast] },
      { version: 4, asn: 65002, holdTimeS: 90, routerId: 2, capabilities: [v4] },
      65002,
    );
    assert(isNotice(result));
    assert.deepEqual([...result.data], [1, 4, 0, 2, 0, 1]);
  });
  test("unknown families are ignored", () => {
    assert.equal(agreed({ capabilities: [v4, { kind: "multiprotocol", afi: 25, safi: 70 }] }).families, 1);
  });
});

describe("timers and sizes", () => {
  test("the smaller hold time, and a third of it", () => {
    assert.deepEqual([agreed({}).holdTimeS, agreed({}).keepaliveS], [90, 30]);
    assert.deepEqual([agreed({ holdTimeS: 3 }).holdTimeS, agreed({ holdTimeS: 3 }).keepaliveS], [3, 1]);
    assert.deepEqual([agreed({ holdTimeS: 0 }).holdTimeS, agreed({ holdTimeS: 0 }).keepaliveS], [0, 0]);
    assert.deepEqual(
      [agreed({}, { holdTimeS: 0 }).holdTimeS, agreed({}, { holdTimeS: 0 }).keepaliveS],
      [0, 0],
    );
  });
  test("a configured interval holds while it is shorter than a third", () => {
    assert.equal(agreed({}, { keepaliveTimeS: 10 }).keepaliveS, 10);
    assert.equal(agreed({}, { keepaliveTimeS: 60 }).keepaliveS, 30);
    assert.equal(agreed({ holdTimeS: 0 }, { keepaliveTimeS: 10 }).keepaliveS, 0);
  });
  test("long messages only when both offer them (RFC 8654)", () => {
    const extended: Capability = { kind: "extended-message" };
    assert.equal(agreed({}).maxMessageBytes, 4096);
    assert.equal(agreed({ capabilities: [extended] }).maxMessageBytes, 65535);
    assert.equal(agreed({ capabilities: [extended] }, { extendedMessages: false }).maxMessageBytes, 4096);
  });
});

test("we offer families, refresh, long messages and our AS number", () => {
  assert.deepEqual(
    localCapabilities(local).map((capability) => capability.kind),
    [
      "multiprotocol",
      "multiprotocol",
      "route-refresh",
      "enhanced-route-refresh",
      "extended-message",
      "four-octet-as",
      "graceful-restart",
    ],
  );
});

describe("Add-Path (RFC 7911)", () => {
  const both = { receive: true, send: { choice: "first", max: 2 } };
  const offer = (...modes: number[]): Capability => ({
    kind: "add-path",
    families: modes.map((mode) => ({ afi: 1, safi: 1, mode })),
  });
  const masks = (capabilities: Capability[], side: Partial<LocalSide> = { addPath: [both] }): number[] => {
    const { addPathReceive, addPathSend } = agreed({ capabilities: [four, v4, ...capabilities] }, side);
    return [addPathReceive, addPathSend];
  };
  test("one side receives what the other sends", () => {
    assert.deepEqual(masks([offer(3)]), [1, 1]);
    assert.deepEqual(masks([offer(1)]), [0, 1]);
    assert.deepEqual(masks([offer(2)]), [1, 0]);
    assert.deepEqual(masks([offer(3)], { addPath: [{ ...both, receive: false }] }), [0, 1]);
    assert.deepEqual(masks([offer(3)], { addPath: [{ receive: true, send: undefined }] }), [1, 0]);
    assert.deepEqual(masks([offer(3)], { addPath: [] }), [0, 0]);
    assert.deepEqual(masks([]), [0, 0]);
  });
  test("a mode that is not defined counts as nothing; of a family that is named twice the last one counts", () => {
    assert.deepEqual(masks([offer(0)]), [0, 0]);
    assert.deepEqual(masks([offer(7)]), [0, 0]);
    assert.deepEqual(masks([offer(1, 2)]), [1, 0]);
    assert.deepEqual(masks([offer(3), offer(1)]), [0, 1]);
    assert.deepEqual(masks([{ kind: "add-path", families: [{ afi: 2, safi: 1, mode: 3 }] }]), [0, 0]);
  });
  test("a family that is not negotiated has none", () => {
    assert.deepEqual(masks([offer(3)], { addPath: [both, both], families: [ipv4Unicast] }), [1, 1]);
    const v6Only = agreed({ capabilities: [four, v6, offer(3)] }, { addPath: [both, both] });
    assert.deepEqual([v6Only.addPathReceive, v6Only.addPathSend], [0, 0]);
  });
  test("what we offer", () => {
    const told = localCapabilities({ ...local, addPath: [both, { receive: true, send: undefined }] });
    assert.deepEqual(
      told.find(({ kind }) => kind === "add-path"),
      {
        kind: "add-path",
        families: [
          { afi: 1, safi: 1, mode: 3 },
          { afi: 2, safi: 1, mode: 1 },
        ],
      },
    );
    assert(!localCapabilities(local).some(({ kind }) => kind === "add-path"));
  });
});

describe("extended next hop (RFC 8950)", () => {
  const offer = (afi: number, nextHopAfi: number): Capability => ({
    kind: "extended-next-hop",
    families: [{ afi, safi: 1, nextHopAfi }],
  });
  const mask = (capability: Capability, extendedNextHop = true): number =>
    agreed({ capabilities: [four, v4, v6, capability] }, { extendedNextHop }).extendedNextHop;
  test("when both offer IPv6 next hops for an IPv4 family", () => {
    assert.equal(mask(offer(1, 2)), 1);
    assert.equal(mask(offer(1, 2), false), 0);
    assert.equal(mask(offer(1, 1)), 0);
    assert.equal(mask(offer(2, 2)), 0);
  });
});
