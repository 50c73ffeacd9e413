/** RFC 5291 and RFC 5292, outbound route filtering by prefix: what a neighbor's filter keeps back, and when; what we send. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { parsePrefix } from "../../src/base/ip.ts";
import { limits } from "../../src/base/limits.ts";
import { PrefixSetSpecSchema } from "../../src/gen/cairn/v1/policy_service_pb.ts";
import type { Capability } from "../../src/wire/capabilities.ts";
import { ipv4Unicast } from "../../src/wire/family.ts";
import { decodeFilters, encodeFilter, type FilterEntry } from "../../src/wire/orf.ts";
import { encodeRefresh } from "../../src/wire/refresh.ts";
import { CoreRig, type Peer } from "./core-rig.ts";

const address = "192.0.2.2";
const mode = { receive: 1, send: 2, both: 3 };
const offers = (value: number): Capability => ({
  kind: "outbound-route-filtering",
  filters: [{ afi: 1, safi: 1, type: 64, mode: value }],
});
const prefixes = ["10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16"];

function entry(text: string, sequence: number, deny = false): FilterEntry {
  const [prefix, from, to] = text.split(" ");
  const parsed = parsePrefix(prefix);
  assert.ok(typeof parsed !== "string");
  return {
    sequence,
    deny,
    ...parsed,
    minLength: Number(from ?? parsed.length),
    maxLength: Number(to ?? from ?? 32),
  };
}

const [permitLow] = [entry("10.0.0.0/15 16 16", 5)];

function lab(
  init: object = { orf: [{ family: "ipv4-unicast", receive: true }] },
  capability = offers(mode.send),
) {
  const rig = new CoreRig();
  for (const prefix of prefixes) rig.inject({ prefix });
  const other = rig.peer("192.0.2.3", { remoteAsn: 65003 });
  const peer = rig.peer(address, init, { capabilities: [capability] });
  return { rig, peer, other };
}

const filter = (...entries: readonly FilterEntry[]) => encodeFilter(ipv4Unicast, entries, false, 4096)[0];
const told = (peer: Peer) => [...peer.routes.keys()].sort();
const shown = (rig: CoreRig) => rig.view.neighbor(address)!.state!.families[0].orf!;
/** The message with its when-to-refresh set to DEFER. */
function deferred(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy[23] = 2;
  return copy;
}

describe("RFC 5291 6, receiving", () => {
  test("nothing is announced before the neighbor asks; a filter lets pass what it permits", () => {
    const { rig, peer, other } = lab();
    assert.deepEqual(peer.trail, []);
    assert.equal(shown(rig).waiting, true);
    assert.deepEqual(told(other), prefixes, "others have all of it");
    peer.send(filter(permitLow));
    assert.deepEqual(peer.trail, ["+10.1.0.0/16", "+10.0.0.0/16", "EoR"]);
    assert.equal(shown(rig).waiting, false);
    assert.deepEqual(
      shown(rig).entries.map(({ prefix, minLength, maxLength }) => [prefix, minLength, maxLength]),
      [["10.0.0.0/15", 16, 16]],
    );
  });
  test("asking without a filter gets everything; an operator can end the wait too", () => {
    const plain = lab();
    plain.peer.send(encodeRefresh(1, 1));
    assert.deepEqual(told(plain.peer), prefixes);
    const { rig, peer } = lab();
    rig.operate({ op: "soft-reset-out", address, families: [] });
    assert.deepEqual(told(peer), prefixes);
  });
  test("where it was not agreed on there is no wait, and filters are ignored", () => {
    for (const capability of [
      offers(mode.receive),
      offers(0),
      { ...offers(mode.send), filters: [] } as Capability,
    ]) {
      const { peer } = lab(undefined, capability);
      assert.deepEqual(told(peer), prefixes);
      peer.send(filter(permitLow));
      assert.deepEqual(told(peer), prefixes);
      assert.equal(peer.notification, "");
    }
  });
  test("a change takes back what is denied now, announces what is permitted, and sends the rest again", () => {
    const { peer } = lab();
    peer.send(filter(permitLow));
    peer.forget();
    const remove = encodeFilter(
      ipv4Unicast,
      [entry("10.1.0.0/16 16", 5), entry("10.2.0.0/16 16", 6)],
      true,
      4096,
    );
    peer.send(...remove);
    assert.deepEqual(told(peer), ["10.1.0.0/16", "10.2.0.0/16"]);
    assert.ok(peer.trail.includes("-10.0.0.0/16"));
    assert.ok(peer.trail.includes("+10.1.0.0/16"), "it was asked for, so it is sent again");
    assert.equal(peer.trail.at(-1), "EoR");
  });
  test("DEFER changes nothing until the neighbor asks", () => {
    const { rig, peer } = lab();
    peer.send(filter(permitLow));
    peer.forget();
    peer.send(deferred(filter(entry("10.2.0.0/16 16", 9))));
    assert.deepEqual(peer.trail, []);
    assert.equal(shown(rig).deferred, true);
    peer.send(encodeRefresh(1, 1));
    assert.deepEqual(told(peer), prefixes);
    assert.equal(shown(rig).deferred, false);
    assert.equal(shown(rig).totalEntries, 2);
  });
  test("new routes and changed ones go through the filter too", () => {
    const { rig, peer } = lab();
    peer.send(filter(entry("10.0.0.0/8 8 24", 5, true), entry("0.0.0.0/0 0 32", 6)));
    peer.forget();
    rig.inject({ prefix: "10.3.0.0/16" });
    rig.inject({ prefix: "10.3.3.128/25" });
    rig.inject({ prefix: "172.16.0.0/12" });
    assert.deepEqual(told(peer).sort(), ["10.3.3.128/25", "172.16.0.0/12"]);
  });
  test("a filter that is not understood is removed as a whole; the session stays", () => {
    const { rig, peer } = lab();
    peer.send(filter(permitLow));
    const broken = filter(entry("10.2.0.0/16 16", 9));
    broken[broken.length - 3] = 99; // the length of the prefix
    peer.send(broken);
    assert.equal(peer.notification, "");
    assert.deepEqual(told(peer), prefixes);
    assert.match(shown(rig).discarded, /an entry is cut off/);
    assert.ok(rig.topics().includes("cairn.bgp.orf.discarded"));
    peer.send(filter(permitLow));
    assert.deepEqual(told(peer), prefixes.slice(0, 2));
    assert.equal(shown(rig).discarded, "");
  });
  test("a filter with too many entries is removed, and says so", () => {
    const { rig, peer } = lab();
    const many = Array.from({ length: limits.outboundFilterMax + 1 }, (_, i) =>
      entry("10.0.0.0/16 16", i + 1),
    );
    for (const bytes of encodeFilter(ipv4Unicast, many, false, 4096)) peer.send(bytes);
    assert.match(shown(rig).discarded, /more than 10000 entries/);
    assert.deepEqual(told(peer), prefixes);
    assert.equal(peer.notification, "");
  });
  test("the filter ends with the session", () => {
    const { rig, peer } = lab();
    peer.send(filter(permitLow));
    peer.drop();
    rig.advance(5000);
    peer.reconnect({});
    assert.equal(shown(rig).totalEntries, 0);
    assert.equal(shown(rig).waiting, true);
  });
  test("an explanation and a plan know the filter", () => {
    const { rig, peer } = lab();
    peer.send(filter(permitLow));
    const why = rig.view.explainAdvertised(address, "10.2.0.0/16");
    assert.ok(why.ok);
    assert.equal(why.value.advertised, false);
    assert.equal(why.value.paths[0].gates.find(({ passed }) => !passed)?.name, "orf");
    const other = rig.view.explainAdvertised(address, "10.1.0.0/16");
    assert.ok(other.ok && other.value.advertised);
  });
  test("the other members of what would be one update group keep theirs", () => {
    const { rig, peer } = lab();
    const like = rig.peer("192.0.2.4", { remoteAsn: 65002 });
    const groups = (address: string) => rig.view.neighbor(address)!.state!.updateGroup;
    peer.send(filter(permitLow));
    assert.notEqual(groups(address), groups("192.0.2.4"));
    assert.equal(groups("192.0.2.3"), groups("192.0.2.4"));
    assert.deepEqual(told(like), prefixes);
  });
});

describe("RFC 5291 6, sending", () => {
  const sends = { orf: [{ family: "ipv4-unicast", send: "wanted" }] };
  function sender(prefixes: object[], capability = offers(mode.receive)) {
    const rig = new CoreRig();
    const filters: string[][] = [];
    const declare = (rules: object[]): void =>
      rig.mutate({
        op: "put",
        kind: "PrefixSet",
        spec: create(PrefixSetSpecSchema, { name: "wanted", prefixes: rules }),
      });
    declare(prefixes);
    rig.neighbor({ address, remoteAsn: 65002, ...sends });
    const peer = rig.peer(address, sends, { capabilities: [capability] });
    const take = (bytes: Uint8Array): void => {
      if (bytes[18] !== 5 || bytes.length === 23) return;
      const { immediate, changes } = decodeFilters(bytes, 23, bytes.length, ipv4Unicast);
      filters.push([
        immediate ? "immediate" : "defer",
        ...changes.map((change) =>
          "entry" in change
            ? `${change.entry.deny ? "deny" : "permit"} ${change.entry.bytes.join(".")}/${change.entry.length} ${change.entry.minLength}-${change.entry.maxLength}`
            : change.kind,
        ),
      ]);
    };
    peer.listen = take;
    return { rig, peer, filters, declare };
  }
  test("the prefix set goes out with the session, and again when it changes", () => {
    const { rig, peer, filters, declare } = sender([{ prefix: "10.0.0.0/8", ge: 16, le: 24 }]);
    peer.drop();
    rig.advance(5000);
    peer.reconnect({});
    assert.deepEqual(filters, [["immediate", "permit 10.0.0.0/8 16-24"]]);
    filters.length = 0;
    declare([
      { prefix: "172.16.0.0/12" },
      { prefix: "2001:db8::/32" },
      { prefix: "10.128.0.0/9", ge: 8, covering: true },
    ]);
    assert.deepEqual(filters, [
      ["defer", "removeAll"],
      ["immediate", "permit 172.16.0.0/12 12-12", "permit 10.0.0.0/8 8-8", "permit 10.128.0.0/9 9-9"],
    ]);
    assert.equal(peer.up, true);
    assert.deepEqual([shown(rig).sent, shown(rig).sentEntries], ["wanted", 3]);
  });
  test("a set without a prefix of the family denies everything, as it does in a policy", () => {
    const { filters, declare } = sender([{ prefix: "10.0.0.0/8" }]);
    declare([{ prefix: "2001:db8::/32" }]);
    assert.deepEqual(filters.at(-1), ["immediate", "deny 0.0.0.0/0 0-32"]);
  });
  test("a neighbor that does not take filters gets none", () => {
    const { filters, declare, rig } = sender([{ prefix: "10.0.0.0/8" }], offers(mode.send));
    declare([{ prefix: "172.16.0.0/12" }]);
    assert.deepEqual(filters, []);
    assert.equal(rig.view.neighbor(address)!.state!.families[0].orf, undefined);
  });
});
