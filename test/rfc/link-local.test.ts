/** Neighbors by link-local address and by interface: who connects where, what goes out as next hop, links that come and go. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { NeighborSpecSchema, RemoteAs } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { PeerGroupSpecSchema } from "../../src/gen/cairn/v1/peer_group_service_pb.ts";
import type { Effect } from "../../src/state/effects.ts";
import type { HostAddress } from "../../src/state/inputs.ts";
import { encodeOpen } from "../../src/wire/open.ts";
import { CoreRig } from "./core-rig.ts";

const link = (name: string): HostAddress => ({ address: "fe80::1", length: 64, interface: name });
const global: HostAddress = { address: "2001:db8:7::1", length: 64, interface: "veth1" };

type Connect = Extract<Effect, { kind: "tcp.connect" }>;

class Lab {
  readonly rig = new CoreRig();
  readonly connects: Connect[] = [];
  readonly watched: (readonly string[])[] = [];

  constructor(...addresses: readonly HostAddress[]) {
    this.rig.watch = (effect) => {
      if (effect.kind === "tcp.connect") this.connects.push(effect);
      if (effect.kind === "link.discover") this.watched.push(effect.interfaces);
    };
    this.links(...addresses);
  }

  links(...addresses: readonly HostAddress[]): void {
    this.rig.input({ kind: "host.addresses", addresses });
  }

  neighbor(init: MessageInitShape<typeof NeighborSpecSchema>): void {
    this.rig.neighbor({ passive: false, remoteAsn: init.remoteAs ? undefined : 65002, ...init });
  }

  state(name: string) {
    const { status, discovery, sessionState, remoteAsn, remoteAddress } =
      this.rig.view.neighbor(name)!.state!;
    return { status, discovery, sessionState, remoteAsn, remoteAddress };
  }

  /** Somebody connects from there; our OPEN goes out, and theirs comes in. @returns bytes that cairn sent, in hexadecimal */
  connectFrom(remoteAddress: string, asn: number): string {
    const conn = -1000 - this.connects.length - remoteAddress.length;
    let sent = "";
    const watch = this.rig.watch;
    this.rig.watch = (effect) => {
      watch?.(effect);
      if (effect.kind === "tcp.send" && effect.conn === conn)
        sent += Buffer.from(effect.bytes).toString("hex");
    };
    const zone = remoteAddress.split("%")[1];
    const local = { localAddress: `fe80::1%${zone}`, localPort: 179 };
    this.rig.input({ kind: "tcp.accepted", conn, ...local, remoteAddress, remotePort: 40_000 });
    const capabilities = [
      { kind: "four-octet-as", asn },
      { kind: "multiprotocol", afi: 2, safi: 1 },
    ] as const;
    const open = encodeOpen({ asn, holdTimeS: 90, routerId: 7, capabilities: [...capabilities] });
    const keepalive = Buffer.from(`${"ff".repeat(16)}001304`, "hex");
    this.rig.input({ kind: "tcp.bytes", conn, bytes: new Uint8Array(Buffer.concat([open, keepalive])) });
    return sent;
  }
}

describe("link-local neighbors", () => {
  test("the same address on two links is two neighbors, each connected to on its own", () => {
    const lab = new Lab(link("veth0"), link("veth1"));
    lab.neighbor({ address: "fe80::2%veth0" });
    lab.neighbor({ address: "FE80:0::2%veth1" });
    assert.deepEqual(
      lab.connects.map(({ remoteAddress }) => remoteAddress),
      ["fe80::2%veth0", "fe80::2%veth1"],
    );
    assert.deepEqual([...lab.rig.view.neighborNames()], ["fe80::2%veth0", "fe80::2%veth1"]);
  });
  test("without the interface, or with one that is down, the session waits and says why", () => {
    const lab = new Lab(link("veth1"));
    lab.neighbor({ address: "fe80::2%veth0" });
    assert.deepEqual(lab.connects, []);
    assert.equal(
      lab.state("fe80::2%veth0").status,
      "waiting for interface veth0: it is missing, down, or without a link-local address",
    );
    lab.links(link("veth0"), link("veth1"));
    assert.equal(lab.connects.length, 1);
    lab.links(link("veth1"));
    assert.match(lab.state("fe80::2%veth0").status, /^waiting for interface veth0/);
  });
  test("a link that goes down ends its session and no other, and is used again when it is back", () => {
    const lab = new Lab(link("veth0"), link("veth1"));
    for (const zone of ["veth0", "veth1"]) {
      lab.neighbor({ address: `fe80::2%${zone}`, passive: true });
      lab.connectFrom(`fe80::2%${zone}`, 65002);
    }
    const up = () => ["veth0", "veth1"].map((zone) => lab.state(`fe80::2%${zone}`).sessionState === 6);
    assert.deepEqual(up(), [true, true]);
    lab.links(link("veth1"));
    assert.deepEqual(up(), [false, true]);
    assert.match(lab.rig.view.neighbor("fe80::2%veth0")!.state!.lastResetReason, /ENETDOWN/);
  });
  test("RFC 2545 3: with a global address of the link the next hop has both, else the link-local one alone", () => {
    for (const [more, wanted] of [
      [[], "10fe800000000000000000000000000001"],
      [[global], "2020010db8000700000000000000000001fe800000000000000000000000000001"],
    ] as const) {
      const lab = new Lab(link("veth1"), ...more);
      lab.rig.inject({ prefix: "2001:db8:9::/48" });
      lab.neighbor({ address: "fe80::2%veth1", passive: true });
      const sent = lab.connectFrom("fe80::2%veth1", 65002);
      assert.ok(sent.includes(`000201${wanted}00`), sent);
    }
  });
  test("addresses that make no sense are refused", () => {
    const lab = new Lab();
    for (const address of [
      "fe80::2",
      "2001:db8::1%veth0",
      "fe80::2%",
      "fe80::2%a/b",
      "192.0.2.1%veth0",
      "0x7",
      "a b",
    ]) {
      const spec = create(NeighborSpecSchema, { address, remoteAsn: 65002 });
      assert.throws(() => lab.rig.mutate({ op: "put", kind: "Neighbor", spec }), /address/, address);
    }
    assert.throws(() => lab.neighbor({ address: "fe80::2%veth0", multihopTtl: 3 }), /multihop_ttl/);
  });
});

describe("neighbors by interface", () => {
  const router = (lab: Lab, address: string): void =>
    lab.rig.input({ kind: "link.router", interface: "veth0", address });

  test("found by a router advertisement, the neighbor is connected to at once", () => {
    const lab = new Lab(link("veth0"));
    lab.neighbor({ address: "veth0", remoteAs: RemoteAs.EXTERNAL });
    assert.deepEqual(lab.watched.at(-1), ["veth0"]);
    assert.deepEqual(lab.connects, []);
    assert.equal(lab.state("veth0").status, "waiting for a router advertisement on veth0");
    router(lab, "fe80::2");
    assert.deepEqual(
      lab.connects.map(({ remoteAddress }) => remoteAddress),
      ["fe80::2%veth0"],
    );
    assert.equal(lab.state("veth0").discovery, "found at fe80::2%veth0");
    router(lab, "fe80::2");
    assert.equal(lab.connects.length, 1);
    router(lab, "2001:db8::2");
    assert.equal(lab.state("veth0").discovery, "found at fe80::2%veth0", "that is no link-local address");
    lab.rig.mutate({ op: "delete", kind: "Neighbor", name: "veth0" });
    assert.deepEqual(lab.watched.at(-1), []);
  });
  test("one that connects first is taken, and its OPEN tells its AS", () => {
    const lab = new Lab(link("veth0"));
    lab.neighbor({ address: "veth0", remoteAs: RemoteAs.EXTERNAL });
    lab.connectFrom("fe80::2%veth0", 65077);
    const { sessionState, remoteAsn, remoteAddress } = lab.state("veth0");
    assert.deepEqual([sessionState, remoteAsn, remoteAddress], [6, 65077, "fe80::2%veth0"]);
    const refused = lab.connectFrom("fe80::3%veth0", 65077);
    assert.ok(refused.endsWith("030605"), "Connection Rejected: another host on the link");
  });
  test("external takes any AS but ours, internal only ours, and a group can say so", () => {
    const lab = new Lab(link("veth0"), link("veth1"));
    lab.neighbor({ address: "veth0", remoteAs: RemoteAs.EXTERNAL });
    assert.ok(lab.connectFrom("fe80::2%veth0", 65001).includes("030202"), "Bad Peer AS");
    const group = create(PeerGroupSpecSchema, { name: "inside", remoteAs: RemoteAs.INTERNAL });
    lab.rig.mutate({ op: "put", kind: "PeerGroup", spec: group });
    lab.rig.neighbor({ address: "veth1", peerGroup: "inside" });
    assert.ok(lab.connectFrom("fe80::2%veth1", 65002).includes("030202"), "Bad Peer AS");
    lab.rig.advance(5000);
    lab.connectFrom("fe80::2%veth1", 65001);
    assert.equal(lab.rig.view.neighbor("veth1")!.state!.sessionType, "internal");
  });
  test("a host that cannot look for neighbors says so; they can still connect", () => {
    const lab = new Lab(link("veth0"));
    lab.neighbor({ address: "veth0", remoteAs: RemoteAs.EXTERNAL });
    const why = "cairnd needs CAP_NET_RAW (EPERM)";
    lab.rig.input({ kind: "link.failed", interface: "veth0", why });
    assert.equal(lab.state("veth0").status, `cannot look for the neighbor on veth0: ${why}`);
    lab.connectFrom("fe80::2%veth0", 65077);
    assert.equal(lab.state("veth0").sessionState, 6);
  });
  test("another host at the other end is found anew when the link is back", () => {
    const lab = new Lab(link("veth0"));
    lab.neighbor({ address: "veth0", remoteAs: RemoteAs.EXTERNAL });
    router(lab, "fe80::2");
    lab.links();
    lab.links(link("veth0"));
    assert.equal(lab.state("veth0").status, "waiting for a router advertisement on veth0");
    router(lab, "fe80::3");
    assert.equal(lab.connects.at(-1)?.remoteAddress, "fe80::3%veth0");
  });
});
