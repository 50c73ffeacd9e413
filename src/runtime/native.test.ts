import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { decodeSocketAddress, encodeSocketAddress, errnoName, native, nativeMissing, sys } from "./native.ts";

const skip = native ? false : nativeMissing;

test("socket addresses round-trip; what is no address is undefined", () => {
  for (const [address, port, scope] of [
    ["192.0.2.1", 179, 0],
    ["2001:db8::1", 65535, 0],
    ["fe80::1", 0, 3],
  ] as const) {
    assert.deepEqual(decodeSocketAddress(encodeSocketAddress(address, port, scope)!), {
      address,
      port,
      scope,
    });
  }
  assert.equal(encodeSocketAddress("localhost", 179), undefined);
  assert.equal(decodeSocketAddress(new Uint8Array(16)), undefined);
});

test("calls answer with -errno, also for arguments of the wrong kind", { skip }, () => {
  const sys0 = native!;
  assert.equal(errnoName(sys0.close(-1)), "EBADF");
  const file = openSync(import.meta.filename, "r");
  assert.equal(errnoName(sys0.bind(file, encodeSocketAddress("127.0.0.1", 0)!)), "ENOTSOCK");
  closeSync(file);
  const wrong = sys0 as unknown as Record<string, (...values: unknown[]) => number>;
  for (const name of Object.keys(wrong).filter((each) => each !== "trim")) {
    assert.ok(wrong[name]("x", {}, null, 1n) < 0, name);
    assert.ok(wrong[name]() < 0, name);
  }
});

test("options are set and read back; unconnected sockets of both families", { skip }, () => {
  const cases = [
    [sys.AF_INET, sys.IPPROTO_IP, sys.IP_TTL],
    [sys.AF_INET6, sys.IPPROTO_IPV6, sys.IPV6_UNICAST_HOPS],
  ];
  for (const [family, level, name] of cases) {
    const fd = native!.socket(family, sys.SOCK_STREAM, 0);
    assert.equal(native!.setsockopt(fd, level, name, 255), 0);
    const value = new Uint8Array(4);
    assert.equal(native!.getsockopt(fd, level, name, value), 4);
    assert.equal(value[0], 255);
    assert.equal(errnoName(native!.setsockopt(fd, level, name, 256)), "EINVAL");
    assert.equal(native!.close(fd), 0);
  }
});

const SOCK_DGRAM = 2;

test("datagrams: readiness, sender's address, TTL as a control message", { skip }, async () => {
  const IP_RECVTTL = 12;
  const [from, to] = [0, 1].map(() => native!.socket(sys.AF_INET, SOCK_DGRAM, 0));
  const address = new Uint8Array(sys.SOCKADDR_BYTES);
  assert.equal(native!.bind(to, encodeSocketAddress("127.0.0.1", 0)!), 0);
  native!.setsockopt(to, sys.IPPROTO_IP, IP_RECVTTL, 1);
  native!.setsockopt(from, sys.IPPROTO_IP, sys.IP_TTL, 77);
  native!.getsockname(to, address);
  const { port } = decodeSocketAddress(address)!;
  const ready = new Promise<number>((resolve) => {
    const handle = native!.pollOpen(to, (events) => {
      if (typeof handle !== "number") native!.pollClose(handle);
      resolve(events);
    });
    assert.equal(typeof handle === "number" ? handle : native!.pollSet(handle, sys.READABLE), 0);
  });
  assert.equal(native!.send(from, Uint8Array.of(1, 2, 3), 0, encodeSocketAddress("127.0.0.1", port)!), 3);
  assert.equal(await ready, sys.READABLE);
  const [bytes, control, lengths] = [new Uint8Array(64), new Uint8Array(64), new Uint8Array(12)];
  assert.equal(native!.recv(to, bytes, 0, address, control, lengths), 3);
  assert.deepEqual([...bytes.subarray(0, 3)], [1, 2, 3]);
  assert.equal(decodeSocketAddress(address)!.address, "127.0.0.1");
  assert.ok(lengths[4] >= 20);
  assert.equal(control[16], 77); // after the header of 16 bytes
  assert.equal(errnoName(native!.recv(to, bytes, 0)), "EAGAIN");
  for (const fd of [from, to]) native!.close(fd);
});

test("what was freed goes back to the system", { skip }, () => {
  assert.ok([0, 1].includes(native!.trim!()));
});

test("a poll handle that nobody holds goes on; closing twice is harmless", { skip }, async () => {
  const fd = native!.socket(sys.AF_INET, SOCK_DGRAM, 0);
  const handle = native!.pollOpen(fd, () => {});
  assert.ok(typeof handle === "object");
  assert.equal(native!.pollClose(handle), 0);
  assert.equal(native!.pollClose(handle), 0);
  assert.ok(native!.pollSet(handle, 1) < 0);
  native!.close(fd);
});

test("a worker that ends with an open poll handle does not take the process with it", { skip }, async () => {
  const worker = new Worker(
    `const { native, sys } = await import(${JSON.stringify(import.meta.resolve("./native.ts"))});
     const fd = native.socket(sys.AF_INET, ${SOCK_DGRAM}, 0);
     native.pollSet(native.pollOpen(fd, () => {}), sys.READABLE);
     process.exit(0);`,
    { eval: true, execArgv: ["--input-type=module"] },
  );
  assert.equal(await new Promise((resolve) => worker.once("exit", resolve)), 0);
});
