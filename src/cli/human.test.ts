import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultAddress, parseAddress } from "./address.ts";
import { humanBytes, humanCount, humanSeconds, parseSpanMs, safeText } from "./human.ts";

test("spans read well", () => {
  const cases: [number, string][] = [
    [0, "0s"],
    [0.25, "0.3s"],
    [42, "42s"],
    [60, "1m"],
    [310, "5m 10s"],
    [3600, "1h"],
    [187_200, "2d 4h"],
    [34_000_000, "1y 28d"],
    [-5, "-5s"],
  ];
  for (const [seconds, text] of cases) assert.equal(humanSeconds(seconds), text);
});

test("spans are read in the same words", () => {
  assert.equal(parseSpanMs("90"), 90_000);
  assert.equal(parseSpanMs("1h30m"), 5_400_000);
  assert.equal(parseSpanMs("500ms"), 500);
  assert.equal(parseSpanMs("2w"), 1_209_600_000);
  for (const bad of ["", "s", "5 m", "-1s", "1y", "soon"]) assert.equal(parseSpanMs(bad), undefined, bad);
});

test("numbers", () => {
  assert.equal(humanCount(1_048_576n), "1,048,576");
  assert.equal(humanCount(999), "999");
  assert.equal(humanBytes(1023), "1023 B");
  assert.equal(humanBytes(1536), "1.5 KiB");
  assert.equal(humanBytes(3n << 30n), "3.0 GiB");
});

test("terminal escapes become visible", () => {
  assert.equal(safeText("ok \u001b]0;pwned\u0007"), "ok \\x1b]0;pwned\\x07");
});

test("addresses in all their forms", () => {
  assert.deepEqual(parseAddress("unix:///run/x.sock").grpc, "unix:/run/x.sock");
  assert.deepEqual(parseAddress("/run/x.sock").socketPath, "/run/x.sock");
  assert.deepEqual(parseAddress("localhost:50051"), {
    address: "localhost:50051",
    grpc: "localhost:50051",
    tls: false,
  });
  assert.equal(parseAddress("https://[2001:db8::1]:443").grpc, "[2001:db8::1]:443");
  assert.equal(parseAddress("https://router.example:443/").tls, true);
  for (const bad of ["", "host", "host:0", "host:70000", "ftp://x:1", "unix:", "a b:1/"]) {
    assert.throws(() => parseAddress(bad), bad);
  }
  assert.equal(defaultAddress({ HOME: "/home/a" }, 0), "unix:///var/lib/cairn/grpc.sock");
  assert.equal(defaultAddress({ HOME: "/home/a" }, 1000), "unix:///home/a/.local/state/cairn/grpc.sock");
  assert.equal(defaultAddress({ XDG_STATE_HOME: "/s" }, 1000), "unix:///s/cairn/grpc.sock");
});
