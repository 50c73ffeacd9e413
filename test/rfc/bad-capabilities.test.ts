/**
 * Capabilities that are malformed, repeated, contradictory or unknown: what becomes of the session, and where an
 * operator sees it. The same table for people is docs/bad-input.md.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Negotiated, NeighborConfig } from "../../src/state/session-port.ts";
import { ipv4Unicast, ipv6Unicast } from "../../src/wire/family.ts";
import { keepaliveBytes, message, Rig } from "./rig.ts";

const as4 = [65, 4, 0, 0, 0xfd, 0xea];
const mp4 = [1, 4, 0, 1, 0, 1];
const mp6 = [1, 4, 0, 2, 0, 1];

/** An OPEN of AS 65002 with these capabilities, each in a parameter of its own. */
function open(...capabilities: readonly (readonly number[])[]): Uint8Array {
  const parameters = capabilities.flatMap((each) => [2, each.length, ...each]);
  const fixed = [4, 0xfd, 0xea, 0, 90, 10, 0, 0, 2, parameters.length];
  return message(1, Uint8Array.from([...fixed, ...parameters]));
}

function answered(change: Partial<NeighborConfig>, ...capabilities: readonly (readonly number[])[]): Rig {
  const rig = new Rig().add({ families: [ipv4Unicast, ipv6Unicast], ...change });
  const conn = rig.connect();
  rig.receive(conn, open(...capabilities), keepaliveBytes);
  return rig;
}

function agreed(
  change: Partial<NeighborConfig>,
  ...capabilities: readonly (readonly number[])[]
): Negotiated {
  const rig = answered(change, mp4, mp6, as4, ...capabilities);
  assert.equal(rig.state(), "Established", rig.view().lastResetReason);
  return rig.negotiated!;
}

describe("malformed", () => {
  const rows: readonly (readonly [string, readonly number[]])[] = [
    ["multiprotocol of three bytes", [1, 3, 0, 1, 0]],
    ["multiprotocol of five bytes", [1, 5, 0, 1, 0, 1, 0]],
    ["extended next hop with half an entry", [5, 3, 0, 1, 0]],
    ["role of no byte", [9, 0]],
    ["role of two bytes", [9, 2, 0, 0]],
    ["graceful restart of one byte", [64, 1, 0]],
    ["graceful restart with half a family", [64, 4, 0, 60, 0, 1]],
    ["four-octet AS of three bytes", [65, 3, 0, 0, 1]],
    ["Add-Path with half an entry", [69, 3, 0, 1, 1]],
    ["long-lived graceful restart with half an entry", [71, 6, 0, 1, 1, 0, 0, 0]],
    ["FQDN whose name runs past the end", [73, 2, 9, 65]],
  ];
  for (const [name, capability] of rows) {
    test(`${name}: 2/0 with the capability, which the reset shows`, () => {
      const rig = answered({}, mp4, as4, capability);
      assert.equal(rig.notification(), `2/0 ${Buffer.from(capability).toString("hex")}`);
      const [reset] = rig.view().resets;
      assert.deepEqual([reset.code, reset.subcode, reset.local, reset.attempts], [2, 0, true, 1]);
      assert.deepEqual([...reset.data], capability);
      assert.match(reset.text, new RegExp(`capability ${capability[0]} is malformed`));
    });
  }
  test("one that runs past its parameter: 2/0", () => {
    const rig = new Rig().add();
    rig.receive(rig.connect(), open(as4, [64, 9, 0, 60]));
    assert.match(rig.notification()!, /^2\/0/);
    assert.match(rig.view().lastResetReason, /capability 64 runs past the end/);
  });
  test("a value where presence is all: taken", () => {
    agreed({}, [2, 2, 1, 2], [6, 1, 0], [70, 3, 0, 0, 0]);
  });
});

describe("repeated and contradictory", () => {
  test("the same capability ten times counts once", () => {
    const { families, routeRefresh } = agreed({}, ...Array(10).fill(mp4), ...Array(10).fill([2, 0]));
    assert.deepEqual([families, routeRefresh], [3, true]);
  });
  test("two four-octet AS numbers: one that is not the neighbor's refuses the OPEN", () => {
    const rig = answered({}, mp4, as4, [65, 4, 0, 0, 0xfd, 0xeb]);
    assert.equal(rig.notification(), "2/2");
    const other = answered({}, mp4, [65, 4, 0, 0, 0xfd, 0xeb], as4);
    assert.equal(other.notification(), "2/2");
  });
  test("two roles: 2/11, also when one of them fits", () => {
    const rig = answered({ role: 0 }, mp4, as4, [9, 1, 3], [9, 1, 4]);
    assert.match(rig.notification()!, /^2\/11/);
    assert.match(rig.view().lastResetReason, /more than one role/);
  });
  test("graceful restart twice: the last one counts", () => {
    const { restart } = agreed({}, [64, 6, 0x40, 60, 0, 1, 1, 0x80], [64, 2, 0, 9]);
    assert.deepEqual([restart.restartTimeS, restart.kept, restart.notification], [9, 0, false]);
  });
  test("long-lived without graceful restart, or for a family that it does not list: ignored", () => {
    const long = [71, 7, 0, 1, 1, 0x80, 0, 14, 16];
    const settings = { longLivedMaxS: 3600 };
    assert.equal(agreed(settings, long).restart.longLivedKept, 0);
    assert.equal(agreed(settings, [64, 6, 0, 60, 0, 2, 1, 0x80], long).restart.longLivedKept, 0);
    assert.equal(agreed(settings, [64, 6, 0, 60, 0, 1, 1, 0x80], long).restart.longLivedKept, 1);
  });
  const several = { addPath: [{ receive: true, send: undefined }] };
  test("Add-Path twice for a family: the last one counts; undefined modes count as nothing", () => {
    assert.equal(agreed(several, [69, 4, 0, 1, 1, 1], [69, 4, 0, 1, 1, 2]).addPathReceive, 1);
    assert.equal(agreed(several, [69, 4, 0, 1, 1, 2], [69, 4, 0, 1, 1, 1]).addPathReceive, 0);
    for (const mode of [0, 4, 255]) assert.equal(agreed(several, [69, 4, 0, 1, 1, mode]).addPathReceive, 0);
  });
  test("Add-Path that both only receive is shown as not in use", () => {
    const rig = answered(several, mp4, as4, [69, 4, 0, 1, 1, 1]);
    const rows = rig.view().capabilities.filter(({ code }) => code === 69);
    assert.deepEqual(
      rows.map(({ local, remote, negotiated }) => [local, remote, negotiated]),
      [
        [true, false, false],
        [false, true, false],
      ],
    );
  });
  test("Add-Path for a family that the session does not have: ignored", () => {
    const rig = answered(several, mp6, as4, [69, 4, 0, 1, 1, 3]);
    assert.deepEqual([rig.negotiated!.families, rig.negotiated!.addPathReceive], [2, 0]);
  });
  test("extended next hop of IPv6, or by IPv4: ignored", () => {
    const wanted = { extendedNextHop: true };
    assert.equal(agreed(wanted, [5, 6, 0, 2, 0, 1, 0, 2]).extendedNextHop, 0);
    assert.equal(agreed(wanted, [5, 6, 0, 1, 0, 1, 0, 1]).extendedNextHop, 0);
    assert.equal(agreed(wanted, [5, 6, 0, 1, 0, 1, 0, 2]).extendedNextHop, 1);
  });
  test("enhanced refresh without refresh: not in use", () => {
    assert.equal(agreed({}, [70, 0]).enhancedRefresh, false);
    assert.equal(agreed({}, [2, 0], [70, 0]).enhancedRefresh, true);
  });
});

describe("unknown", () => {
  test("ignored, and shown with their bytes as what only the neighbor offers", () => {
    const rig = answered({}, mp4, as4, [128, 0], [200, 2, 0xca, 0xfe]);
    assert.equal(rig.state(), "Established");
    const shown = rig
      .view()
      .capabilities.filter(({ name }) => name.startsWith("unknown"))
      .map(({ code, name, value, local, remote, negotiated }) => [
        code,
        name,
        value,
        local,
        remote,
        negotiated,
      ]);
    assert.deepEqual(shown, [
      [128, "unknown-128", "", false, true, false],
      [200, "unknown-200", "cafe", false, true, false],
    ]);
  });
  test("families that nobody knows here do not count as a family in common", () => {
    const rig = answered({}, [1, 4, 0x40, 4, 0, 71], as4);
    assert.match(rig.notification()!, /^2\/7/);
  });
});
