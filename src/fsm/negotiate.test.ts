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
