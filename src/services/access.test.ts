import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  Code,
  type ConnectError,
  createContextValues,
  createHandlerContext,
  type HandlerContext,
} from "@connectrpc/connect";
import { AccessClass } from "../gen/cairn/v1/options_pb.ts";
import {
  type AccessLevel,
  accessClassOf,
  accessGate,
  accessLevels,
  type GateOptions,
  type Peer,
  peerKey,
} from "./access.ts";
import { callerKey } from "./context.ts";
import { TokenFile } from "./files.ts";
import { TokenBucket } from "./rate.ts";
import { scratchDirectory, servedMethods } from "./testing/harness.ts";

test("every RPC has an access class", () => {
  for (const [name, method] of servedMethods()) {
    const accessClass = accessClassOf(method);
    assert.ok(
      accessClass !== undefined && accessClass !== AccessClass.UNSPECIFIED,
      `${name} has no access class`,
    );
  }
});

test("RPCs that change something are not readable ones", () => {
  for (const [name, method] of servedMethods()) {
    const reads =
      /\/(Get|List|Watch|Stream|Lookup|Explain|Test|Check|Plan|Diff|Export|Validate|Blame|Describe|Verify|ServerReflectionInfo)/.test(
        name,
      );
    const accessClass = accessClassOf(method);
    assert.equal(accessClass === AccessClass.READ || accessClass === AccessClass.SENSITIVE_READ, reads, name);
  }
});

/** Calls the gate as a listener does; answers OK, or the code and reason of the refusal, and the principal. */
function knock(options: Partial<GateOptions>, rpc: string, peer: Partial<Peer> = {}, authorization?: string) {
  const context = contextOf(rpc, peer, authorization);
  try {
    accessGate({ access: "full", roles: [], ...options })(context);
    return { answer: "OK", principal: context.values.get(callerKey).principal };
  } catch (error) {
    return { answer: Code[(error as ConnectError).code], principal: "" };
  }
}

function contextOf(rpc: string, peer: Partial<Peer>, authorization?: string): HandlerContext {
  const method = servedMethods().get(rpc);
  assert.ok(method, rpc);
  const values = createContextValues().set(peerKey, { name: "192.0.2.7", certificateNames: [], ...peer });
  const requestHeader = authorization === undefined ? {} : { authorization };
  const base = {
    method,
    service: method.parent,
    protocolName: "grpc",
    requestMethod: "POST",
    url: "http://x/",
  };
  return createHandlerContext({ ...base, contextValues: values, requestHeader });
}

const read = "cairn.v1.NeighborService/ListNeighbors";
const operate = "cairn.v1.NeighborService/HardReset";
const mutate = "cairn.v1.NeighborService/AddNeighbor";
const health = "grpc.health.v1.Health/Check";

test("a listener grants RPCs up to its level", () => {
  const allowed: Record<AccessLevel, string[]> = {
    read_only: [read],
    sensitive_read: [read],
    operate: [read, operate],
    full: [read, operate, mutate],
  };
  for (const access of Object.keys(accessLevels) as AccessLevel[]) {
    for (const rpc of [read, operate, mutate]) {
      const expected = allowed[access].includes(rpc) ? "OK" : "PermissionDenied";
      assert.equal(knock({ access }, rpc).answer, expected, `${access} ${rpc}`);
    }
  }
});

test("tokens: none, a wrong one, the right one; probes need none", (t) => {
  const path = join(scratchDirectory(t), "tokens");
  writeFileSync(path, "# people\nalice s3cret\n\nbare-token\n");
  const tokens = new TokenFile(path);
  assert.equal(knock({ tokens }, read).answer, "Unauthenticated");
  assert.equal(knock({ tokens }, read, {}, "Bearer wrong").answer, "Unauthenticated");
  assert.equal(knock({ tokens }, read, {}, "Basic s3cret").answer, "Unauthenticated");
  assert.equal(knock({ tokens }, read, {}, "Bearer").answer, "Unauthenticated");
  assert.deepEqual(knock({ tokens }, mutate, {}, "Bearer s3cret"), {
    answer: "OK",
    principal: "token:alice",
  });
  assert.deepEqual(knock({ tokens }, mutate, {}, "bearer  bare-token"), {
    answer: "OK",
    principal: "token:token",
  });
  assert.equal(
    knock({ tokens, access: "read_only" }, mutate, {}, "Bearer s3cret").answer,
    "PermissionDenied",
  );
  assert.equal(knock({ tokens }, health).answer, "OK");
  writeFileSync(path, "# nothing\n");
  assert.throws(() => new TokenFile(path), /holds no token/);
  assert.throws(() => tokens.reload(), /holds no token/);
  assert.equal(tokens.nameOf("s3cret"), "alice");
  writeFileSync(path, "bob other\n");
  tokens.reload();
  assert.deepEqual([tokens.nameOf("s3cret"), tokens.nameOf("other")], [undefined, "bob"]);
});

test("roles: the certificate's best role, never more than the listener", () => {
  const roles = [
    { certificate: "DNS:viewer.example", access: "read_only" },
    { certificate: "URI:spiffe://example/ops", access: "operate" },
    { certificate: "CN:root", access: "full" },
  ] as const;
  const as = (...certificateNames: string[]): Partial<Peer> => ({ certificateNames });
  assert.equal(knock({ roles }, read, as("DNS:stranger.example")).answer, "PermissionDenied");
  assert.equal(knock({ roles }, read, as("DNS:viewer.example")).answer, "OK");
  assert.equal(knock({ roles }, operate, as("DNS:viewer.example")).answer, "PermissionDenied");
  const both = knock({ roles }, operate, as("DNS:viewer.example", "URI:spiffe://example/ops"));
  assert.deepEqual(both, { answer: "OK", principal: "cert:URI:spiffe://example/ops" });
  assert.equal(knock({ roles }, mutate, as("CN:root")).answer, "OK");
  assert.equal(knock({ roles, access: "operate" }, mutate, as("CN:root")).answer, "PermissionDenied");
  assert.equal(knock({}, mutate, as("DNS:any.example")).principal, "cert:DNS:any.example");
  assert.equal(knock({}, mutate, { name: "unix:1000" }).principal, "unix:1000");
});

test("a token bucket lets bursts through and then the rate", () => {
  let nowMs = 0;
  const bucket = new TokenBucket(10, () => nowMs);
  const taken = (): number => {
    let count = 0;
    while (bucket.take()) count++;
    return count;
  };
  assert.equal(taken(), 10);
  nowMs += 250;
  assert.equal(taken(), 2);
  nowMs += 60_000;
  assert.equal(taken(), 10);
  const rate = new TokenBucket(1, () => 0);
  assert.equal(knock({ rate }, read).answer, "OK");
  assert.equal(knock({ rate }, read).answer, "ResourceExhausted");
});
