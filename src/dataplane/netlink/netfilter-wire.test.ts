/** Against what a kernel really said (recorded-netfilter.json, made by scripts/record-netfilter.ts). */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { formatIp } from "../../base/ip.ts";
import { translated } from "../translations.ts";
import {
  askFlows,
  FlowStatus,
  flowMessage,
  readFlow,
  type TrackedFlow,
  writeFlowDelete,
} from "./conntrack-wire.ts";
import { askPackets, type LoggedPacket, packetMessage, readPacket } from "./packet-log-wire.ts";
import { eachMessage, NetlinkWriter } from "./wire.ts";

const { flows, packets } = JSON.parse(
  readFileSync(new URL("recorded-netfilter.json", import.meta.url), "utf8"),
) as Record<"flows" | "packets", string[]>;

function read<T>(
  recorded: readonly string[],
  type: number,
  reader: (bytes: Uint8Array, at: number, end: number) => T | undefined,
): T[] {
  const found: T[] = [];
  for (const hex of recorded) {
    const bytes = new Uint8Array(Buffer.from(hex, "hex"));
    eachMessage(bytes, bytes.length, (message) => {
      const value = message.type === type ? reader(bytes, message.at, message.end) : undefined;
      if (value) found.push(value);
    });
  }
  return found;
}

const allFlows = (wanted: number): TrackedFlow[] =>
  read(flows, flowMessage, (bytes, at, end) => readFlow(bytes, at, end, wanted));

function flowText({ original, reply, tcpState, packets: count, bytes }: TrackedFlow): string {
  const way = ({ source, sourcePort, destination, destinationPort }: TrackedFlow["original"]): string =>
    `${formatIp(source)}:${sourcePort} > ${formatIp(destination)}:${destinationPort}`;
  return `${original.protocol} ${way(original)} | ${way(reply)} | ${tcpState} ${count} ${bytes}`;
}

describe("flows", () => {
  it("are read with both directions, state and counters; those that are not translated are passed over", () => {
    assert.deepEqual(allFlows(translated).map(flowText).sort(), [
      "17 127.0.0.1:40003 > 127.0.0.1:53 | 127.0.0.1:53 > 192.0.2.1:40003 | 0 1 30",
      "6 127.0.0.1:40001 > 127.0.0.1:8080 | 127.0.0.1:8081 > 127.0.0.1:40001 | 3 5 5276",
      "6 2001:db8::1:40002 > 2001:db8::1:8080 | ::1:8081 > 2001:db8::1:40002 | 3 3 232",
    ]);
    const sources = allFlows(FlowStatus.source);
    assert.deepEqual(
      sources.map(({ original }) => original.protocol),
      [17],
    );
    assert.ok(allFlows(translated).every(({ timeoutS, zone, mark }) => timeoutS > 0 && zone + mark === 0));
  });

  it("are named for deletion as the kernel named them", () => {
    const [flow] = allFlows(translated);
    const out = new NetlinkWriter();
    writeFlowDelete(out, 7, 2, { ...flow, zone: 300 });
    const hex = Buffer.from(out.take()).toString("hex");
    assert.ok(hex.includes(Buffer.from(flow.name).toString("hex")), "the tuple");
    assert.ok(hex.includes(`08000c00${flow.id.toString(16).padStart(8, "0")}`), "the id");
    assert.ok(hex.endsWith("06001200012c0000"), "the zone");
    assert.equal(hex.slice(0, 40), `${length(hex)}02010500070000000000000002000000`);
  });

  it("are asked for by family", () => {
    const out = new NetlinkWriter();
    askFlows(out, 1, 10);
    assert.equal(Buffer.from(out.take()).toString("hex"), "140000000101010301000000000000000a000000");
  });
});

function length(hex: string): string {
  const bytes = hex.length / 2;
  return Buffer.from([bytes & 255, bytes >>> 8, 0, 0]).toString("hex");
}

function packetText(packet: LoggedPacket): string {
  const { prefix, inIndex, outIndex, source, sourcePort, destination, destinationPort } = packet;
  const ends = `${formatIp(source)}:${sourcePort} > ${formatIp(destination)}:${destinationPort}`;
  return `${packet.sequence} ${prefix} | ${inIndex} ${outIndex} | ${packet.protocol} ${ends} | ${packet.length}`;
}

describe("logged packets", () => {
  it("are read with the rule's text, links, addresses and ports", () => {
    assert.deepEqual(read(packets, packetMessage, readPacket).map(packetText), [
      "0 reject FirewallRule/x | 1 0 | 6 127.0.0.1:40004 > 127.0.0.1:9999 | 60",
      "1 drop FirewallZone/out | 1 0 | 17 2001:db8::1:547 > 2001:db8::1:546 | 50",
    ]);
  });

  it("are read behind extension headers and in fragments", () => {
    const at = (packet: readonly number[]): string => {
      const payload = [4 + packet.length, 0, 9, 0, ...packet];
      const bytes = Uint8Array.of(0, 0, 0, 0, ...payload);
      const { protocol, sourcePort, destinationPort } = readPacket(bytes, 0, bytes.length);
      return `${protocol} ${sourcePort} ${destinationPort}`;
    };
    const six = (next: number, ...rest: number[]): number[] => [
      ...[0x60, 0, 0, 0, 0, rest.length, next, 64],
      ...new Array<number>(32).fill(1),
      ...rest,
    ];
    const four = (fragment: number, protocol: number, ...rest: number[]): number[] => [
      ...[0x45, 0, 0, 20 + rest.length, 0, 0, fragment >>> 8, fragment & 255, 64, protocol, 0, 0],
      ...[10, 0, 0, 1, 10, 0, 0, 2, ...rest],
    ];
    const ports = [0, 80, 1, 187];
    const eight = (next: number, ...rest: number[]): number[] =>
      [next, 0, ...rest, 0, 0, 0, 0, 0, 0].slice(0, 8);
    assert.equal(at(six(6, ...ports)), "6 80 443");
    assert.equal(at(six(0, ...eight(60), ...eight(17), ...ports)), "17 80 443", "hop by hop, destination");
    assert.equal(at(six(44, 6, 0, 0, 1, 0, 0, 0, 0, ...ports)), "6 80 443", "a first fragment");
    assert.equal(at(six(44, 6, 0, 0, 8, 0, 0, 0, 0, ...ports)), "6 0 0", "a later one");
    assert.equal(at(six(51, 6, 1, 0, 0, ...new Array<number>(8).fill(0), ...ports)), "6 80 443");
    assert.equal(at(four(0, 1, 8, 0, 0, 0)), "1 8 0", "type and code");
    assert.equal(at(four(0x2000, 17, ...ports)), "17 80 443");
    assert.equal(at(four(0x2001, 17, ...ports)), "17 0 0");
  });

  it("are asked for by group", () => {
    const out = new NetlinkWriter();
    askPackets(out, 1, 67);
    const hex = Buffer.from(out.take()).toString("hex");
    assert.equal(hex.slice(8, 40), "01040500010000000000000000000043");
    assert.ok(hex.includes("0a000200000000800200"), "copies 128 bytes");
  });
});

describe("whatever the kernel might say", () => {
  it("is read without a fault, cut or altered at any place", () => {
    const corpus = [...flows, ...packets].map((hex) => Buffer.from(hex, "hex"));
    fc.assert(
      fc.property(
        fc.constantFrom(...corpus),
        fc.nat({ max: 900 }),
        fc.nat({ max: 255 }),
        fc.nat({ max: 900 }),
        (recorded, place, value, cut) => {
          const bytes = new Uint8Array(recorded);
          bytes[place % bytes.length] = value;
          const end = Math.min(bytes.length, cut);
          eachMessage(bytes, end, ({ at, end: to }) => {
            readFlow(bytes, at, to, 0xffff_ffff);
            readPacket(bytes, at, to);
          });
        },
      ),
      { numRuns: 2000 },
    );
  });
});
