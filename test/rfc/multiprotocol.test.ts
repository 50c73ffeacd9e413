/** RFC 4760 and RFC 2545 (IPv6), RFC 8654 (sizes), RFC 2918 (refresh), RFC 4724 2 (End-of-RIB), through the core. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { update } from "../support/wire.ts";
import { CoreRig } from "./core-rig.ts";
import { attributesHex, nlriHex } from "./wire-text.ts";

const p = "198.51.100.0/24";
const p6 = "2001:db8:100::/48";
const both = { families: ["ipv4-unicast", "ipv6-unicast"] };

function six() {
  const rig = new CoreRig();
  return {
    rig,
    source: rig.peer("2001:db8::2"),
    external: rig.peer("2001:db8::3", { remoteAsn: 65003 }),
    internal: rig.peer("2001:db8:1::5", { remoteAsn: 65001 }),
  };
}

describe("RFC 4760", () => {
  test("3: ORIGIN and AS_PATH go with MP_REACH_NLRI, LOCAL_PREF to internal neighbors, NEXT_HOP does not", () => {
    const { source, external, internal } = six();
    source.announce6(p6, { med: 4 });
    assert.deepEqual(
      external.updates[0].types.toSorted((a, b) => a - b),
      [1, 2, 14],
    );
    assert.deepEqual(
      internal.updates[0].types.toSorted((a, b) => a - b),
      [1, 2, 4, 5, 14],
    );
    assert.equal(external.updates[0].flags[14], 0x80);
  });
  test("3: an UPDATE without NLRI in the body need not carry NEXT_HOP; one that comes is ignored", () => {
    const { rig, source } = six();
    source.send(
      update(
        attributesHex(
          {
            origin: "igp",
            path: "65002",
            nextHop: "2001:db8::2",
            mpPrefixes: nlriHex(p6),
            other: "400304c0000209",
          },
          4,
        ),
      ),
    );
    assert.equal(rig.best(p6), source.address);
  });
  test("4: MP_UNREACH_NLRI needs no other attribute", () => {
    const { source, external } = six();
    source.announce6(p6);
    source.send(update(`800f0a000201${nlriHex(p6)}`));
    assert.equal(external.has(p6), false);
    assert.deepEqual(external.updates.at(-1)?.types, [15]);
    assert.equal(external.updates.at(-1)?.flags[15], 0x80);
  });
  test("8: a family is used only when both sides offered it", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", both, { afis: [1] });
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, ...both });
    b.announce(p);
    b.announce6(p6, { nextHop: "2001:db8::3" });
    assert.deepEqual([...a.routes.keys()], [p]);
    a.announce6("2001:db8:200::/48", { nextHop: "2001:db8::2" });
    assert.equal(rig.best("2001:db8:200::/48"), undefined);
    assert.ok(a.up);
  });
  test("7: a malformed next hop length in MP_REACH_NLRI ends the session with 3/9", () => {
    const { source } = six();
    source.send(update(`40010100 4002060201 0000fdea 800e0f 000201 09 ${"20".repeat(9)} 00 00`));
    assert.match(source.notification, /^3\/9/);
  });
  test("both families in one UPDATE", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", both);
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, ...both });
    const attributes = {
      origin: "igp",
      path: "65002",
      nextHop: "2001:db8::2",
      mpPrefixes: nlriHex(p6),
      other: "400304c0000202",
    } as const;
    a.send(update(attributesHex(attributes, 4), nlriHex(p)));
    assert.deepEqual([b.route(p).nextHop, b.route(p6).nextHop], ["192.0.2.2", "2001:db8::2"]);
  });
});

describe("RFC 2545 3", () => {
  test("a next hop of 16 bytes: third party on the same link, our own elsewhere", () => {
    const { source, external, internal } = six();
    source.announce6(p6, { nextHop: "2001:db8::77" });
    assert.deepEqual(
      [external.route(p6).nextHop, internal.route(p6).nextHop],
      ["2001:db8::77", "2001:db8::77"],
    );
    source.announce6(p6, { nextHop: "2001:db8:9::1" });
    assert.equal(external.route(p6).nextHop, "2001:db8::1");
  });
  test("a next hop of 32 bytes is understood; its link-local half does not leave the link", () => {
    const { rig, source, internal, external } = six();
    source.announce6(p6, { nextHop: "2001:db8::2 fe80::2" });
    assert.equal(rig.best(p6), source.address);
    assert.equal(internal.route(p6).nextHop, "2001:db8::2");
    assert.equal(external.route(p6).nextHop, "2001:db8::2");
  });
  test("a link-local next hop alone is used here, and others get our own address", () => {
    const { rig, source, internal, external } = six();
    source.announce6(p6, { nextHop: "fe80::2" });
    assert.equal(rig.best(p6), source.address);
    assert.equal(internal.route(p6).nextHop, "2001:db8:1::1");
    assert.equal(external.route(p6).nextHop, "2001:db8::1");
    source.announce6(p6, { nextHop: ":: fe80::2" });
    assert.equal(internal.route(p6).nextHop, "2001:db8:1::1");
  });
  test("IPv6 over an IPv4 session: our IPv6 address of the same interface", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", both);
    rig.inject({ prefix: p6 });
    assert.equal(a.route(p6).nextHop, "2001:db8::1");
  });
});

describe("RFC 8654", () => {
  // A route of about 5,000 bytes of communities: more than an ordinary message holds.
  const large = Array.from(
    { length: 420 },
    (_, i) => `0000fdea00000001${i.toString(16).padStart(8, "0")}`,
  ).join("");
  test("4: messages keep to 4,096 bytes for who did not offer more; a route that fits none is withdrawn, with an event", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", {}, { extendedMessages: true });
    const ordinary = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    const extended = rig.peer("192.0.2.4", { remoteAsn: 65004 }, { extendedMessages: true });
    a.announce(p);
    assert.ok(ordinary.has(p) && extended.has(p));
    a.announce(p, { large });
    assert.equal(extended.route(p).large, large);
    assert.equal(ordinary.has(p), false);
    assert.ok(rig.topics().includes("cairn.bgp.route.oversize"));
    assert.ok(ordinary.up);
    a.announce(p);
    assert.ok(ordinary.has(p));
  });
  test("4: to the byte: 4,096 fit and 4,097 do not; with extended messages 65,535 fit and one more does not", () => {
    // Header and lengths 23, ORIGIN 4, AS_PATH 13, NEXT_HOP 7, head of the filling 4, prefix 5. Room for the longest
    // prefix is asked for, whatever the prefix is: routes of one attribute set go together.
    const host = "198.51.100.7/32";
    const filling = (bytes: number): string => {
      const length = bytes - 56;
      return `f063${length.toString(16).padStart(4, "0")}${"ab".repeat(length)}`;
    };
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", {}, { extendedMessages: true });
    const ordinary = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    const extended = rig.peer("192.0.2.4", { remoteAsn: 65004 }, { extendedMessages: true });
    const lengths: number[] = [];
    for (const peer of [ordinary, extended]) peer.listen = (bytes) => lengths.push(bytes.length);
    for (const [bytes, told] of [
      [4096, [true, true]],
      [4097, [false, true]],
      [65_535, [false, true]],
      [65_536, [false, false]],
    ] as const) {
      lengths.length = 0;
      a.announce(host, { other: filling(bytes) });
      assert.deepEqual([ordinary.has(host), extended.has(host)], told, String(bytes));
      assert.equal(lengths.filter((length) => length === bytes).length, told.filter(Boolean).length);
    }
    const told = rig.view.explainAdvertised(extended.address, host);
    assert.ok(told.ok);
    assert.match(told.value.summary, /fit no message/);
    assert.equal(rig.topics().filter((topic) => topic === "cairn.bgp.route.oversize").length, 4);
  });
  test("4: extended only when both offer it", () => {
    const rig = new CoreRig();
    const sizes = [
      rig.peer("192.0.2.2", { extendedMessages: true }, { extendedMessages: true }),
      rig.peer("192.0.2.3", { remoteAsn: 65003, extendedMessages: true }),
      rig.peer("192.0.2.4", { remoteAsn: 65004, extendedMessages: false }, { extendedMessages: true }),
    ].map(({ address }) => rig.view.neighbor(address)!.state!.maxMessageSize);
    assert.deepEqual(sizes, [65_535, 4096, 4096]);
  });
  test("5: a long message from who was not offered it is 1/2", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", { extendedMessages: false }, { extendedMessages: true });
    a.announce(p, { large });
    assert.match(a.notification, /^1\/2/);
  });
  test("many prefixes are split over messages, each within the limit, and none is lost", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2", {}, { extendedMessages: true });
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    const prefixes = Array.from({ length: 3000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
    a.announce(prefixes);
    assert.equal(b.routes.size, 3000);
    assert.ok(b.updates.length >= 3 && b.updates.length <= 6, String(b.updates.length));
  });
});

describe("RFC 4724 2: End-of-RIB", () => {
  test("after the first table, once per family, also when there is nothing to say", () => {
    const rig = new CoreRig();
    assert.equal(rig.peer("192.0.2.2", both).endsOfRib, 2);
    rig.inject({ prefix: p });
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003 });
    assert.deepEqual([b.routes.size, b.endsOfRib], [1, 1]);
  });
  test("one that comes changes no route and is shown", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2");
    a.announce(p);
    a.send(update(""));
    assert.equal(rig.best(p), a.address);
    assert.equal(rig.view.neighbor(a.address)?.state?.families[0].endOfRibReceived, true);
  });
});

describe("RFC 2918 4", () => {
  test("a request is answered with the whole Adj-RIB-Out, and nothing else", () => {
    const rig = new CoreRig();
    const a = rig.peer("192.0.2.2");
    const b = rig.peer("192.0.2.3", { remoteAsn: 65003, ...both });
    a.announce([p, "203.0.113.0/24"]);
    b.announce("10.0.0.0/8");
    b.forget();
    const request = new Uint8Array(23).fill(255, 0, 16);
    request.set([0, 23, 5, 0, 1, 0, 1], 16);
    b.send(request);
    assert.deepEqual(b.updates.flatMap(({ reach }) => reach).sort(), [p, "203.0.113.0/24"].sort());
    assert.equal(b.updates.flatMap(({ withdrawn }) => withdrawn).length, 0);
  });
});
