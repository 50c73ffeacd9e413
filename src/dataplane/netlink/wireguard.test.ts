import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { base64Text } from "../../base/base64.ts";
import { eachAttribute, eachMessage, headerBytes, NetlinkWriter, read16, read32 } from "./wire.ts";
import { DeviceReader, deviceWrites, type PeerFacts, type WireGuardFacts } from "./wireguard.ts";

const key = (n: number): string => base64Text(new Uint8Array(32).fill(n));

/** A link as the kernel keeps it: values as they came over the wire. */
class FakeDevice {
  privateKey = new Uint8Array(32);
  port = 51820;
  mark = 0;
  readonly peers = new Map<
    string,
    {
      key: Uint8Array;
      secret: Uint8Array;
      endpoint?: Uint8Array;
      keepalive: number;
      ips: Map<string, Uint8Array>;
    }
  >();

  set(bytes: Uint8Array, at: number, end: number): void {
    eachAttribute(bytes, at + 4, end, (type, from, to) => {
      if (type === 3) this.privateKey = bytes.slice(from, to);
      else if (type === 6) this.port = read16(bytes, from);
      else if (type === 7) this.mark = read32(bytes, from);
      else if (type === 8)
        eachAttribute(bytes, from, to, (_, peerFrom, peerTo) => this.setPeer(bytes, peerFrom, peerTo));
    });
  }

  private setPeer(bytes: Uint8Array, at: number, end: number): void {
    const parts = new Map<number, Uint8Array>();
    eachAttribute(bytes, at, end, (type, from, to) => void parts.set(type, bytes.slice(from, to)));
    const id = base64Text(parts.get(1)!);
    const flags = parts.has(3) ? read32(parts.get(3)!, 0) : 0;
    if ((flags & 1) !== 0) {
      this.peers.delete(id);
      return;
    }
    const peer = this.peers.get(id) ?? {
      key: parts.get(1)!,
      secret: new Uint8Array(32),
      keepalive: 0,
      ips: new Map<string, Uint8Array>(),
    };
    this.peers.set(id, peer);
    if ((flags & 2) !== 0) peer.ips.clear();
    peer.secret = parts.get(2) ?? peer.secret;
    if (parts.has(4)) peer.endpoint = parts.get(4)!;
    if (parts.has(5)) peer.keepalive = read16(parts.get(5)!, 0);
    const ips = parts.get(9);
    if (!ips) return;
    eachAttribute(ips, 0, ips.length, (_, from, to) => {
      const text = base64Text(ips.slice(from, to));
      // A network is one peer's at a time.
      for (const other of this.peers.values()) other.ips.delete(text);
      peer.ips.set(text, ips.slice(from, to));
    });
  }

  /** The answer to a question for the device; one peer a message, and its networks one by one. */
  facts(): WireGuardFacts {
    const reader = new DeviceReader();
    const tell = (write: (out: NetlinkWriter) => void): void => {
      const out = new NetlinkWriter();
      out.begin(30, 0, 1);
      for (let i = 0; i < 4; i++) out.u8(0);
      write(out);
      out.end();
      reader.message(out.bytes, headerBytes, out.length);
    };
    tell((out) => {
      out.attribute(3, this.privateKey);
      out.attribute(6, new Uint8Array([this.port & 255, this.port >>> 8]));
      out.attribute32(7, this.mark);
    });
    for (const { key: publicKey, secret, endpoint, keepalive, ips } of this.peers.values()) {
      tell((out) =>
        out.nested(8, () =>
          out.nested(0, () => {
            out.attribute(1, publicKey);
            out.attribute(2, secret);
            if (endpoint) out.attribute(4, endpoint);
            out.attribute(5, new Uint8Array([keepalive & 255, keepalive >>> 8]));
          }),
        ),
      );
      for (const one of ips.values()) {
        tell((out) =>
          out.nested(8, () =>
            out.nested(0, () => {
              out.attribute(1, publicKey);
              out.nested(9, () => out.attribute(0, one));
            }),
          ),
        );
      }
    }
    return reader.facts();
  }
}

function apply(device: FakeDevice, asked: WireGuardFacts): number {
  const writes = deviceWrites("wg0", device.facts(), asked);
  for (const write of writes) {
    const out = new NetlinkWriter();
    write(out, 1, 30);
    eachMessage(out.bytes, out.length, ({ at, end }) => device.set(out.bytes, at, end));
  }
  return writes.length;
}

const networks = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1/32", "2001:db8::/32", "0.0.0.0/0"];
const endpoint = fc.constantFrom("192.0.2.9:51820", "[2001:db8::9]:1", "198.51.100.1:65535");
const asked: fc.Arbitrary<WireGuardFacts> = fc
  .record({
    privateKey: fc.integer({ min: 1, max: 9 }),
    listenPort: fc.integer({ min: 1, max: 65535 }),
    mark: fc.nat(0xffff_ffff),
    peers: fc.uniqueArray(
      fc.record({
        id: fc.integer({ min: 20, max: 32 }),
        keepaliveS: fc.nat(65535),
        secret: fc.option(fc.integer({ min: 40, max: 49 })),
        endpoint: fc.option(endpoint),
      }),
      { selector: ({ id }) => id, maxLength: 12 },
    ),
    owners: fc.array(fc.nat(12), { minLength: networks.length, maxLength: networks.length }),
  })
  .map(({ privateKey, listenPort, mark, peers, owners }) => {
    const sorted = [...peers].sort((a, b) => (key(a.id) < key(b.id) ? -1 : 1));
    return {
      privateKey: key(privateKey),
      listenPort,
      mark,
      peers: sorted.map(
        ({ id, keepaliveS }, i): PeerFacts => ({
          publicKey: key(id),
          allowedIps: networks.filter((_, n) => owners[n] === i).sort(),
          keepaliveS,
        }),
      ),
      presharedKeys: sorted
        .filter(({ secret }) => secret !== null)
        .map(({ id, secret }) => `${key(id)} ${key(secret!)}`),
      endpoints: Object.fromEntries(
        sorted.filter((each) => each.endpoint !== null).map((each) => [key(each.id), each.endpoint!]),
      ),
    };
  });

describe("WireGuard over netlink", () => {
  it("is brought from any keys and peers to any others", () => {
    fc.assert(
      fc.property(fc.array(asked, { minLength: 1, maxLength: 4 }), (steps) => {
        const device = new FakeDevice();
        for (const step of steps) {
          apply(device, step);
          const { endpoints, ...facts } = device.facts();
          const { endpoints: wanted, ...rest } = step;
          assert.deepEqual(facts, rest);
          // The kernel forgets no endpoint of a peer that stays.
          for (const [peer, text] of Object.entries(wanted)) assert.equal(endpoints[peer], text);
        }
      }),
    );
  });

  it("sends nothing of a peer that is as it should be, so that its session goes on", () => {
    const device = new FakeDevice();
    const peer = (n: number): PeerFacts => ({
      publicKey: key(n),
      allowedIps: [`10.0.${n}.0/24`],
      keepaliveS: 0,
    });
    const facts = { privateKey: key(1), mark: 0, presharedKeys: [], endpoints: {} };
    apply(device, { ...facts, peers: [peer(20), peer(21)] });
    assert.equal(apply(device, { ...facts, peers: [peer(20), peer(21)] }), 1);
    const before = device.peers.get(key(20))!;
    apply(device, { ...facts, peers: [peer(20)] });
    assert.equal(device.peers.get(key(20)), before);
    assert.equal(device.peers.size, 1);
  });
});
