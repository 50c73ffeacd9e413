/** Real sockets, and clients that are not ours. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, existsSync, renameSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createClient } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { ControlService } from "../gen/cairn/v1/control_service_pb.ts";
import { NeighborService } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { RibService } from "../gen/cairn/v1/rib_service_pb.ts";
import type { ListenerOptions } from "./listener-options.ts";
import { checkListener } from "./listener-options.ts";
import { onSockets, scratchDirectory } from "./testing/harness.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const buf = join(root, "node_modules/.bin/buf");
const loopback: ListenerOptions = { kind: "tcp", address: "127.0.0.1", port: 0, plaintext: true };

async function onUnix(t: TestContext, options: Parameters<typeof onSockets>[2] = {}) {
  const path = join(scratchDirectory(t), "grpc.sock");
  return { path, ...(await onSockets(t, [{ kind: "unix", path }], options)) };
}

/** A Connect JSON call over HTTP/1.1 on a Unix socket. */
function post(socketPath: string, rpc: string, body: string, headers: http.OutgoingHttpHeaders = {}) {
  return new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    const request = http.request({
      socketPath,
      path: `/${rpc}`,
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
    });
    request.on("error", reject).on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response
        .on("data", (chunk) => (text += chunk))
        .on("end", () => resolve({ status: response.statusCode, text }));
    });
    request.end(body);
  });
}

test("buf curl with reflection: gRPC and gRPC-Web over the Unix socket", async (t) => {
  const { path } = await onUnix(t, { routes: 100 });
  const curl = async (protocol: string, rpc: string, data: string): Promise<string> => {
    const args = [
      "curl",
      "--protocol",
      protocol,
      "--http2-prior-knowledge",
      "--unix-socket",
      path,
      "-d",
      data,
    ];
    return (await run(buf, [...args, `http://localhost/${rpc}`], { cwd: path.slice(0, -10) })).stdout;
  };
  const found = JSON.parse(
    await curl("grpc", "cairn.v1.NeighborService/GetNeighbor", '{"address":"192.0.2.1"}'),
  );
  assert.equal(found.neighbor.state.sessionState, "SESSION_STATE_ESTABLISHED");
  const web = await curl("grpcweb", "cairn.v1.RibService/StreamBestRoutes", "{}");
  assert.equal(JSON.parse(web).routes.length, 98);
  await assert.rejects(curl("grpc", "cairn.v1.NeighborService/GetNeighbor", '{"address":"x y"}'), (error) => {
    const refusal = JSON.parse((error as { stderr: string }).stderr);
    assert.equal(refusal.code, "invalid_argument");
    assert.deepEqual(
      refusal.details.map(({ type }: { type: string }) => type),
      ["google.rpc.ErrorInfo", "google.rpc.BadRequest"],
    );
    return true;
  });
});

test("HTTP/1.1 with JSON on the same socket, whatever the Host header says", async (t) => {
  const { path } = await onUnix(t, { routes: 0 });
  for (const host of ["localhost", "%2Frun%2Fcairn.sock", "a b", ""]) {
    const { status, text } = await post(path, "cairn.v1.ControlService/GetHealth", "{}", { host });
    assert.deepEqual([status, JSON.parse(text).healthy], [200, true], host);
  }
  const typo = await post(path, "cairn.v1.NeighborService/AddNeighbor", '{"spec":{"adress":"192.0.2.9"}}');
  assert.deepEqual([typo.status, /"adress\\" is unknown/.test(typo.text)], [400, true]);
  const junk = await post(path, "cairn.v1.ControlService/GetHealth", "{");
  assert.equal(junk.status, 400);
  const large = await post(path, "cairn.v1.ControlService/GetHealth", " ".repeat(5 << 20));
  assert.deepEqual([large.status, JSON.parse(large.text).code], [429, "resource_exhausted"]);
  assert.equal((await post(path, "cairn.v1.None/None", "{}")).status, 404);
});

test("Connect, gRPC and gRPC-Web clients over HTTP/1.1 and HTTP/2", async (t) => {
  const { running, metrics } = await onSockets(t, [loopback], { routes: 2_000 });
  const baseUrl = `http://${running.addresses[0]}`;
  const transports = [
    createConnectTransport({ baseUrl, httpVersion: "1.1" }),
    createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: true }),
    createGrpcTransport({ baseUrl }),
    createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
    createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
  ];
  for (const transport of transports) {
    const { neighbors } = await createClient(NeighborService, transport).listNeighbors({});
    assert.equal(neighbors.length, 5);
    let routes = 0;
    for await (const batch of createClient(RibService, transport).streamBestRoutes({}))
      routes += batch.routes.length;
    assert.equal(routes, 1_960);
  }
  assert.match(
    await metrics.text(),
    /cairn_api_calls_total\{method="cairn.v1.NeighborService\/ListNeighbors",code="OK"\} 5/,
  );
});

test("bytes that are no HTTP, half a preface and silence harm nobody", async (t) => {
  const { path, logLines } = await onUnix(t, { routes: 0 });
  for (const bytes of [
    "PR",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense",
    "\0\0\0",
    "GET / HTTP/9.9\r\n\r\n",
    "",
  ]) {
    const socket = net.connect(path);
    socket.on("error", () => undefined);
    await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
    if (bytes === "") socket.destroy();
    else socket.end(bytes);
    socket.resume();
    await new Promise<void>((resolve) => socket.once("close", () => resolve()));
  }
  assert.equal((await post(path, "cairn.v1.ControlService/GetHealth", "{}")).status, 200);
  assert.deepEqual(
    logLines.filter(({ level }) => level !== "info"),
    [],
  );
});

test("Unix socket: mode, a stale file is replaced, a live one and other files are not", async (t) => {
  const path = join(scratchDirectory(t), "grpc.sock");
  const listener: ListenerOptions = { kind: "unix", path };
  const stale = net.createServer().listen(`${path}.old`);
  await new Promise((resolve) => stale.once("listening", resolve));
  // Renamed away, the file outlives its server, as after a crash.
  renameSync(`${path}.old`, path);
  await new Promise<void>((resolve) => stale.close(() => resolve()));
  assert.ok(existsSync(path));
  const first = await onSockets(t, [listener], { routes: 0 });
  assert.equal(statSync(path).mode & 0o777, 0o660);
  await assert.rejects(onSockets(t, [listener]), /grpc\.sock is in use: another process listens there/);
  assert.equal((await post(path, "cairn.v1.ControlService/GetHealth", "{}")).status, 200);
  await first.running.close();
  assert.ok(!existsSync(path));
  writeFileSync(path, "precious");
  await assert.rejects(onSockets(t, [listener]), /exists and is not a socket/);
});

test("when one listener cannot be opened, none stays open", async (t) => {
  const path = join(scratchDirectory(t), "grpc.sock");
  const taken = net.createServer().listen(0, "127.0.0.1");
  t.after(() => taken.close());
  await new Promise((resolve) => taken.once("listening", resolve));
  const { port } = taken.address() as net.AddressInfo;
  await assert.rejects(
    onSockets(t, [
      { kind: "unix", path },
      { ...loopback, port },
    ]),
    /cannot listen for the API on 127\.0\.0\.1:\d+/,
  );
  assert.ok(!existsSync(path));
});

test("options: what is wrong with a listener is said, all at once", () => {
  const paths = (options: ListenerOptions): string[] => checkListener(options, "l").map(({ path }) => path);
  const tcp = { kind: "tcp", address: "192.0.2.1", port: 1 } as const;
  const files = { certFile: "c", keyFile: "k", clientCaFile: "a" };
  assert.deepEqual(paths({ ...tcp, ...files }), []);
  assert.deepEqual(paths({ ...tcp, certFile: "c" }), ["l.key", "l.client_ca"]);
  assert.deepEqual(paths(tcp), ["l.cert"]);
  assert.deepEqual(paths({ ...tcp, plaintext: true }), ["l.plaintext"]);
  assert.deepEqual(paths({ ...tcp, address: "::1", plaintext: true }), []);
  assert.deepEqual(paths({ ...tcp, address: "127.8.0.1", plaintext: true }), []);
  assert.deepEqual(paths({ ...tcp, ...files, plaintext: true }), ["l.plaintext"]);
  assert.deepEqual(paths({ ...tcp, address: "localhost", port: 70_000, plaintext: true, requestsPerS: 0 }), [
    "l.requests_per_s",
    "l.listen",
    "l.listen",
  ]);
  assert.deepEqual(paths({ ...tcp, ...files, roles: [{ certificate: "bob", access: "full" }] }), [
    "l.roles[0].certificate",
  ]);
  assert.deepEqual(paths({ kind: "unix", path: "" }), ["l.path"]);
  assert.deepEqual(paths({ kind: "unix", path: `/${"x".repeat(107)}` }), ["l.path"]);
});

test("a read-only listener with tokens, and the principal of a mutation", async (t) => {
  const directory = scratchDirectory(t);
  const path = join(directory, "ro.sock");
  const tokenFile = join(directory, "tokens");
  writeFileSync(tokenFile, "ci s3cret\n");
  chmodSync(tokenFile, 0o600);
  const open = join(directory, "open.sock");
  const { owner, logLines } = await onSockets(
    t,
    [
      { kind: "unix", path, access: "read_only", tokenFile },
      { kind: "unix", path: open },
    ],
    { routes: 0, peerUid: () => 1000 },
  );
  const list = "cairn.v1.NeighborService/ListNeighbors";
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  assert.equal((await post(path, list, "{}")).status, 401);
  assert.equal((await post(path, list, "{}", bearer("no"))).status, 401);
  assert.equal((await post(path, list, "{}", bearer("s3cret"))).status, 200);
  assert.equal((await post(path, "grpc.health.v1.Health/Check", "{}")).status, 200);
  const add = "cairn.v1.NeighborService/DisableNeighbor";
  assert.equal((await post(path, add, '{"address":"192.0.2.1"}', bearer("s3cret"))).status, 403);
  assert.equal(owner.mutations.length, 0);
  assert.equal((await post(open, add, '{"address":"192.0.2.1"}')).status, 200);
  assert.equal(owner.mutations[0].principal, "unix:1000");

  writeFileSync(tokenFile, "ci another-one\n");
  while (!logLines.some(({ message }) => message === "reloaded changed files")) await pause(5);
  assert.equal((await post(path, list, "{}", bearer("s3cret"))).status, 401);
  assert.equal((await post(path, list, "{}", bearer("another-one"))).status, 200);
});

test("a listener with a rate refuses what is beyond it", async (t) => {
  const path = join(scratchDirectory(t), "grpc.sock");
  await onSockets(t, [{ kind: "unix", path, requestsPerS: 5 }], { routes: 0 });
  const calls = Array.from({ length: 60 }, () => post(path, "cairn.v1.ControlService/GetHealth", "{}"));
  const statuses = (await Promise.all(calls)).map(({ status }) => status);
  assert.ok(statuses.filter((status) => status === 200).length >= 5);
  assert.ok(statuses.includes(429));
});

test("a slow reader stops the producer, and leaving ends it", async (t) => {
  const { path, owner, running } = await onUnix(t, { routes: 60_000 });
  const before = process.memoryUsage().rss;
  for (const prefix of ["", "PRI"]) {
    owner.tables.rowsRead = 0;
    const socket = net.connect(path);
    socket.on("error", () => undefined);
    if (prefix === "") {
      const body = Buffer.from([0, 0, 0, 0, 2, 0x7b, 0x7d]);
      socket.write(
        `POST /cairn.v1.RibService/StreamBestRoutes HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+json\r\ncontent-length: ${body.length}\r\n\r\n`,
      );
      socket.write(body);
      socket.pause();
      while (owner.tables.rowsRead === 0) await pause(5);
      await stable(() => owner.tables.rowsRead);
      socket.destroy();
    } else {
      const abort = new AbortController();
      const transport = createGrpcTransport({
        baseUrl: "http://x",
        nodeOptions: { createConnection: () => net.connect(path) },
      });
      const stream = createClient(RibService, transport).streamBestRoutes({}, { signal: abort.signal });
      const messages = stream[Symbol.asyncIterator]();
      await messages.next();
      await stable(() => owner.tables.rowsRead);
      abort.abort();
      await messages.next().catch(() => undefined);
    }
    const read = owner.tables.rowsRead;
    assert.ok(read < 30_000, `${read} rows were read for a reader that takes none`);
    await pause(50);
    assert.equal(owner.tables.rowsRead, read);
  }
  assert.ok(process.memoryUsage().rss - before < 100 << 20);
  await running.close();
});

test("watches end when the client leaves, and with UNAVAILABLE when the server stops", async (t) => {
  const { path, owner, running, logLines } = await onUnix(t, { routes: 100 });
  const errors: unknown[][] = [];
  t.mock.method(console, "error", (...words: unknown[]) => void errors.push(words));
  const transport = createGrpcTransport({
    baseUrl: "http://x",
    nodeOptions: { createConnection: () => net.connect(path) },
  });
  const rib = createClient(RibService, transport);
  for (let i = 0; i < 3; i++) {
    const abort = new AbortController();
    const messages = rib.watchRoutes({}, { signal: abort.signal })[Symbol.asyncIterator]();
    await messages.next();
    assert.equal(owner.tables.openWatches, 1);
    abort.abort();
    await messages.next().catch(() => undefined);
    while (owner.tables.openWatches > 0) await pause(5);
  }
  const messages = rib.watchRoutes({})[Symbol.asyncIterator]();
  await messages.next();
  await messages.next();
  const end = messages.next();
  const closing = running.close();
  await assert.rejects(end, /\[unavailable\] cairn is shutting down/);
  await closing;
  assert.equal(owner.tables.openWatches, 0);
  assert.deepEqual(
    logLines.filter(({ level }) => level !== "info"),
    [],
  );
  assert.deepEqual(errors, []);
});

test("closing waits for the calls in flight, not for idle connections", async (t) => {
  const { path, owner, running } = await onUnix(t, { routes: 0 });
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  await new Promise<void>((resolve, reject) => {
    const request = http.request({ agent, socketPath: path, path: "/", method: "POST" }, (response) => {
      response.resume().on("end", () => resolve());
    });
    request.on("error", reject).end();
  });
  let finish = (): void => undefined;
  const asked = new Promise<void>((resolve) => {
    owner.mutate = () => {
      resolve();
      return new Promise((done) => {
        finish = () => done({ ok: true, generation: 2, changes: [], receipts: [], unchanged: 0 });
      });
    };
  });
  const reply = post(path, "cairn.v1.NeighborService/DeleteNeighbor", '{"address":"192.0.2.1"}');
  await asked;
  let closed = false;
  const closing = running.close(5_000).then(() => {
    closed = true;
  });
  await pause(20);
  assert.equal(closed, false);
  finish();
  assert.equal((await reply).status, 200);
  const began = performance.now();
  await closing;
  assert.ok(performance.now() - began < 2_000);
});

test("GetHealth over a transport of each kind says what runs", async (t) => {
  const { running } = await onSockets(t, [loopback], { routes: 0 });
  const transport = createConnectTransport({ baseUrl: `http://${running.addresses[0]}`, httpVersion: "1.1" });
  const health = await createClient(ControlService, transport).getHealth({});
  assert.deepEqual([health.healthy, health.asn, health.routerId], [true, 65_000, "192.0.2.254"]);
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until the value has not changed for a while. */
async function stable(value: () => number): Promise<void> {
  for (let same = 0, before = value(); same < 5; ) {
    await pause(10);
    same = value() === before ? same + 1 : 0;
    before = value();
  }
}
