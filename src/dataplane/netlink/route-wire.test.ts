/** Against what a kernel really said (recorded.json, made by scripts/record-netlink.ts). */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { formatIp, formatPrefix, parseIp } from "../../base/ip.ts";
import type { KernelRoute } from "../kernel-model.ts";
import {
  AddressFamily,
  askAddresses,
  askLinks,
  askRoutes,
  askRouteTo,
  mainTable,
  RouteMessage,
  readAddress,
  readDestination,
  readLink,
  readRoute,
} from "./route-wire.ts";
import { eachMessage, type Message, MessageType, NetlinkWriter, readAcknowledgement } from "./wire.ts";

const { recorded } = JSON.parse(readFileSync(new URL("recorded.json", import.meta.url), "utf8")) as {
  recorded: Record<string, string[]>;
};

/** What `read` makes of the messages of one type. */
function read<T>(
  name: string,
  type: number,
  reader: (bytes: Uint8Array, at: number, end: number) => T | undefined,
): T[] {
  const found: T[] = [];
  each(name, (bytes, message) => {
    const value = message.type === type ? reader(bytes, message.at, message.end) : undefined;
    if (value) found.push(value);
  });
  return found;
}

function each(name: string, visit: (bytes: Uint8Array, message: Message) => void): void {
  for (const hex of recorded[name]) {
    const bytes = new Uint8Array(Buffer.from(hex, "hex"));
    assert.ok(eachMessage(bytes, bytes.length, (message) => visit(bytes, message)));
  }
}

/** As `ip route` writes it; links by index. */
function routeText(route: KernelRoute): string {
  const { destination, type, hops, metric, protocol, nextHopObject } = route;
  const ways = hops.map(
    ({ gateway, link, weight }) => `${gateway ? formatIp(gateway) : "-"}@${link}x${weight}`,
  );
  const object = nextHopObject === 0 ? [] : [`nhid ${nextHopObject}`];
  return [formatPrefix(destination), type, `proto ${protocol}`, `metric ${metric}`, ...object, ...ways].join(
    " ",
  );
}

const routeTo = (address: string) =>
  read(`route to ${address}`, RouteMessage.newRoute, readRoute).map(routeText);

describe("answers of a kernel", () => {
  test("links, without what is said of bridge ports", () => {
    const links = read("links", RouteMessage.newLink, readLink);
    assert.deepEqual(
      links.map(({ name, index, up, loopback, kind, operState, master }) => {
        return [name, index, up, loopback, kind, operState, master];
      }),
      [
        ["lo", 1, true, true, "", "unknown", 0],
        ["vb", 2, true, false, "veth", "up", 4],
        ["va", 3, true, false, "veth", "up", 0],
        ["br0", 4, false, false, "bridge", "down", 0],
      ],
    );
    const va = links[2];
    assert.deepEqual([va.mac, va.mtu, va.enabled], ["02:00:00:00:00:0a", 1500, true]);
    each("links", (bytes, message) => {
      if (message.type === MessageType.done) {
        assert.deepEqual(readAcknowledgement(bytes, message), { errno: 0, text: "" });
      }
    });
  });

  test("addresses: our own end of a point-to-point link", () => {
    const addresses = read("addresses", RouteMessage.newAddress, readAddress);
    const of = (link: number) =>
      addresses
        .filter((each) => each.link === link)
        .map(({ address, length }) => `${formatIp(address)}/${length}`);
    assert.deepEqual(of(1), ["127.0.0.1/8", "::1/128"]);
    assert.deepEqual(of(3), ["10.0.0.1/24", "172.31.0.1/32", "2001:db8::1/64", "fe80::ff:fe00:a/64"]);
  });

  test("routes of a table: discarding ones, several ways, a gateway of the other family, a nexthop object", () => {
    const four = read("routes 4", RouteMessage.newRoute, readRoute);
    assert.deepEqual(four.map(routeText), [
      "10.0.0.0/24 unicast proto 2 metric 0 -@3x1",
      "10.5.0.0/16 unicast proto 3 metric 0 nhid 7 10.0.0.7@3x1",
      "10.6.0.0/16 unicast proto 3 metric 0 2001:db8::5@3x1",
      "10.7.0.0/16 unicast proto 3 metric 0 10.0.0.3@3x1 10.0.0.4@3x3",
      "10.8.0.0/16 blackhole proto 3 metric 0",
      "10.9.0.0/16 unicast proto 186 metric 20 10.0.0.2@3x1",
      "172.31.0.2/32 unicast proto 2 metric 0 -@3x1",
    ]);
    assert.ok(four.every(({ table }) => table === mainTable));
    const bgp = read("routes bgp", RouteMessage.newRoute, readRoute).map(routeText);
    assert.deepEqual(bgp, ["10.9.0.0/16 unicast proto 186 metric 20 10.0.0.2@3x1"]);
    const six = read("routes 6", RouteMessage.newRoute, readRoute).map(routeText);
    assert.ok(six.includes("2001:db8:7::/48 unicast proto 3 metric 1024 2001:db8::3@3x1 2001:db8::4@3x2"));
    assert.ok(six.some((text) => text.startsWith("2001:db8:8::/48 unreachable")));
  });

  test("the route to an address: the entry of the table", () => {
    assert.deepEqual(routeTo("10.9.1.1"), ["10.9.0.0/16 unicast proto 186 metric 20 10.0.0.2@3x1"]);
    assert.deepEqual(routeTo("10.7.1.1"), ["10.7.0.0/16 unicast proto 3 metric 0 10.0.0.3@3x1 10.0.0.4@3x3"]);
    assert.deepEqual(routeTo("10.0.0.1"), ["10.0.0.1/32 local proto 2 metric 0 -@3x1"]);
    assert.deepEqual(routeTo("2001:db8:9::1"), [
      "2001:db8:9::/48 unicast proto 3 metric 1024 2001:db8::2@3x1",
    ]);
  });

  test("what stands in for a route that refuses, and for none", () => {
    const errnoOf = (address: string): number => {
      let errno = 0;
      each(`route to ${address}`, (bytes, message) => {
        if (message.type === MessageType.error) errno = readAcknowledgement(bytes, message).errno;
      });
      return errno;
    };
    const addresses = ["10.9.1.1", "10.8.1.1", "1.1.1.1", "2001:db8:8::1", "2001:db8:ff::1"];
    assert.deepEqual(addresses.map(errnoOf), [0, 22, 101, 113, 101]);
  });

  test("notifications say which destination they concern", () => {
    const added = read("route added", RouteMessage.newRoute, readDestination).map(formatPrefix);
    assert.ok(added.includes("10.4.0.0/16"));
    const deleted = read("route deleted", RouteMessage.delRoute, readRoute).map(routeText);
    assert.deepEqual(deleted, ["10.4.0.0/16 unicast proto 3 metric 5 10.0.0.9@3x1"]);
    const down = read("link down", RouteMessage.newLink, readLink).filter(({ name }) => name === "va");
    assert.equal(down.at(-1)!.up, false);
    assert.equal(down.at(-1)!.operState, "lowerlayerdown");
    const gone = read("link deleted", RouteMessage.delLink, readLink).map(({ name }) => name);
    assert.deepEqual(gone.sort(), ["va", "vb"]);
  });
});

test("requests are what the kernel's headers ask for", () => {
  const written = (write: (out: NetlinkWriter) => void): string => {
    const out = new NetlinkWriter();
    write(out);
    return Buffer.from(out.take()).toString("hex");
  };
  const zeros = (bytes: number): string => "00".repeat(bytes);
  assert.equal(
    written((out) => askLinks(out, 7)),
    `28000000${"1200"}0103${"07000000"}${zeros(4)}${zeros(16)}08001d0008000000`,
  );
  assert.equal(
    written((out) => askAddresses(out, 1)),
    `18000000${"1600"}0103${"01000000"}${zeros(4)}${zeros(8)}`,
  );
  assert.equal(
    written((out) => askRoutes(out, 1, AddressFamily.ip4, 254, 186)),
    `24000000${"1a00"}0103${"01000000"}${zeros(4)}0200000000ba0000${zeros(4)}08000f00fe000000`,
  );
  assert.equal(
    written((out) => askRouteTo(out, 1, parseIp("10.0.0.2")!)),
    `24000000${"1a00"}0500${"01000000"}${zeros(4)}0220000000000000002000000800${"0100"}0a000002`,
  );
});

test("an error tells what the kernel said about it", () => {
  // EINVAL, the request's header alone, and NLMSGERR_ATTR_MSG "no".
  const hex = `38000000${"0200"}0003${"05000000"}00000000${"eaffffff"}${"20000000"}${"180005000500000000000000"}${"07000100"}6e6f0000`;
  const bytes = new Uint8Array(Buffer.from(hex, "hex"));
  bytes[0] = bytes.length;
  eachMessage(bytes, bytes.length, (message) => {
    assert.deepEqual(readAcknowledgement(bytes, message), { errno: 22, text: "no" });
  });
});
