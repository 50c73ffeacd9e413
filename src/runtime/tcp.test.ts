import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { after, describe, test } from "node:test";
import type { ConnId } from "../state/inputs.ts";
import { native } from "./native.ts";
import { type TcpInput, TcpPort } from "./tcp.ts";

/** A port with its inputs kept, and a way to wait for one. */
function harness() {
  const inputs: TcpInput[] = [];
  const logs: string[] = [];
  let wake = (): void => {};
  const port = new TcpPort(
    (input) => {
      // As the core does: copy before returning.
      inputs.push(input.kind === "tcp.bytes" ? { ...input, bytes: input.bytes.slice() } : input);
      wake();
    },
    (level, message) => logs.push(`${level} ${message}`),
  );
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) await new Promise<void>((resolve) => (wake = resolve));
  };
  const next = async <K extends TcpInput["kind"]>(kind: K): Promise<Extract<TcpInput, { kind: K }>> => {
    const find = () => inputs.find((input) => input.kind === kind);
    await until(() => find() !== undefined);
    return inputs.splice(inputs.indexOf(find()!), 1)[0] as Extract<TcpInput, { kind: K }>;
  };
  const received = (conn: ConnId): string =>
    Buffer.concat(
      inputs.flatMap((input) => (input.kind === "tcp.bytes" && input.conn === conn ? [input.bytes] : [])),
    ).toString("latin1");
  after(() => port.close());
  return { port, inputs, logs, until, next, received };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const connect = (conn: ConnId, remoteAddress: string, remotePort: number, localAddress?: string, ttl = 0) =>
  ({ kind: "tcp.connect", conn, remoteAddress, remotePort, localAddress, ttl, minTtl: 0 }) as const;

/** Two ends of one connection, both of them ours. */
async function pair(address = "127.0.0.1", localAddress?: string) {
  const a = harness();
  const b = harness();
  await b.port.listen([address.includes(":") ? `[${address}]:0` : `${address}:0`]);
  b.port.accept();
  a.port.apply(connect(1, address, b.port.listening[0].port, localAddress));
  const [connected, accepted] = await Promise.all([a.next("tcp.connected"), b.next("tcp.accepted")]);
  return { a, b, connected, accepted, dialled: 1, answered: accepted.conn };
}

describe(`TcpPort ${native ? "with" : "without"} the native addon`, { timeout: 30_000 }, () => {
  test("connect and accept report both ends, in canonical text", async () => {
    const four = await pair("127.0.0.1", "127.0.0.2");
    assert.equal(four.connected.localAddress, "127.0.0.2");
    assert.equal(four.accepted.remoteAddress, "127.0.0.2");
    assert.equal(four.accepted.remotePort, four.connected.localPort);
    assert.equal(four.accepted.localAddress, "127.0.0.1");
    assert.ok(four.answered < 0, "accepted connections have negative numbers");
    const six = await pair("::1");
    assert.equal(six.accepted.remoteAddress, "::1");
  });

  test("bytes arrive in order, whatever the sizes; each send is reported as taken", async () => {
    const { a, b, answered } = await pair();
    const chunks = Array.from({ length: 50 }, (_, i) => String.fromCharCode(97 + (i % 26)).repeat(i * 997));
    for (const chunk of chunks) a.port.apply({ kind: "tcp.send", conn: 1, bytes: bytes(chunk) });
    const total = chunks.join("");
    await b.until(() => b.received(answered).length >= total.length);
    assert.equal(b.received(answered), total);
    await a.until(() => a.inputs.some((input) => input.kind === "tcp.sent" && input.queued === 0));
    assert.equal(a.inputs.filter((input) => input.kind === "tcp.sent").length, 1, "one batch, one report");
  });

  test("a paused connection stops the sender, and loses nothing", async () => {
    const { a, b, answered } = await pair();
    b.port.apply({ kind: "tcp.pause", conn: answered, paused: true });
    const block = new Uint8Array(1 << 16).fill(120);
    for (let i = 0; i < 256; i++) a.port.apply({ kind: "tcp.send", conn: 1, bytes: block });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(b.received(answered).length <= 2 * block.length);
    assert.equal(a.inputs.filter((input) => input.kind === "tcp.sent" && input.queued === 0).length, 0);
    b.port.apply({ kind: "tcp.pause", conn: answered, paused: false });
    let count = 0;
    await b.until(() => {
      for (const input of b.inputs.splice(0)) if (input.kind === "tcp.bytes") count += input.bytes.length;
      return count === 256 * block.length;
    });
  });

  test("close lets the last bytes out, even past bytes that nobody read", async () => {
    const { a, b, answered } = await pair();
    b.port.apply({ kind: "tcp.send", conn: answered, bytes: bytes("unread by a") });
    a.port.apply({ kind: "tcp.pause", conn: 1, paused: true });
    a.port.apply({ kind: "tcp.send", conn: 1, bytes: bytes("NOTIFICATION") });
    a.port.apply({ kind: "tcp.close", conn: 1, abort: false });
    const closed = await b.next("tcp.closed");
    assert.deepEqual(closed, { kind: "tcp.closed", conn: answered, error: undefined });
    assert.equal(b.received(answered), "NOTIFICATION");
    assert.equal(
      a.inputs.filter((input) => input.kind === "tcp.closed").length,
      0,
      "no report of our own close",
    );
  });

  test("abort is at once", async () => {
    const { a, b } = await pair();
    a.port.apply({ kind: "tcp.close", conn: 1, abort: true });
    const { error } = await b.next("tcp.closed");
    assert.equal(error, native ? "ECONNRESET" : undefined);
  });

  test("a peer that resets is one tcp.closed", async () => {
    const server = net.createServer((socket) => socket.resetAndDestroy()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const a = harness();
    a.port.apply(connect(7, "127.0.0.1", (server.address() as net.AddressInfo).port));
    assert.equal((await a.next("tcp.closed")).error, "ECONNRESET");
    a.port.apply({ kind: "tcp.send", conn: 7, bytes: bytes("late") });
    a.port.apply({ kind: "tcp.close", conn: 7, abort: false });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(a.inputs.filter((input) => input.kind === "tcp.closed").length, 0);
    server.close();
  });

  test("failures to connect come back after apply, with the errno name", async () => {
    const a = harness();
    const expected: [ReturnType<typeof connect>, string][] = [
      [connect(1, "127.0.0.1", 1), "ECONNREFUSED"],
      [connect(2, "127.0.0.1", 1, "192.0.2.77"), "EADDRNOTAVAIL"],
      [connect(3, "127.0.0.1", 1, "::1"), native ? "EAFNOSUPPORT" : "EINVAL"],
    ];
    for (const [effect] of expected) a.port.apply(effect);
    assert.equal(a.inputs.length, 0, "nothing is posted from within apply");
    await a.until(() => a.inputs.length === expected.length);
    for (const [effect, error] of expected) {
      const input = a.inputs.find((each) => each.conn === effect.conn);
      assert.deepEqual(input, { kind: "tcp.closed", conn: effect.conn, error });
    }
  });

  test("TTL settings are taken before connect and on accepted connections", { skip: !native }, async () => {
    const { a, b, answered } = await pair();
    b.port.apply({ kind: "tcp.configure", conn: answered, ttl: 1, minTtl: 0 });
    a.port.apply(connect(9, "127.0.0.1", b.port.listening[0].port, undefined, 255));
    await a.next("tcp.connected");
    assert.deepEqual([...a.logs, ...b.logs], []);
  });

  test("listen says why it failed and leaves nothing open", async () => {
    const a = harness();
    const b = harness();
    await a.port.listen(["127.0.0.1:0", "[::1]:0"]);
    const taken = a.port.listening[0].port;
    await assert.rejects(b.port.listen(["127.0.0.1:0", `127.0.0.1:${taken}`]), {
      message: new RegExp(`^cannot listen on 127.0.0.1:${taken}: the address is in use`),
    });
    assert.equal(b.port.listening.length, 0);
    await assert.rejects(b.port.listen(["192.0.2.77:0"]), /no interface has this address/);
    await assert.rejects(b.port.listen(["nonsense"]), /not ADDRESS:PORT/);
  });

  test("the same port on IPv4 and IPv6 wildcard addresses", async () => {
    const a = harness();
    await a.port.listen(["0.0.0.0:0"]);
    await a.port.listen([`[::]:${a.port.listening[0].port}`]);
    assert.equal(a.port.listening.length, 2);
  });

  test("who connects before accept waits, and is taken then", async () => {
    const b = harness();
    await b.port.listen(["127.0.0.1:0"]);
    const client = net.connect(b.port.listening[0].port, "127.0.0.1");
    client.on("error", () => {});
    await once(client, "connect");
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(b.inputs.length, 0, "an early connection met a daemon that knows no neighbors");
    b.port.accept();
    await b.next("tcp.accepted");
    client.destroy();
    await b.port.close();
  });

  test("a thousand connections that come and go leave nothing behind", async () => {
    const b = harness();
    await b.port.listen(["127.0.0.1:0"]);
    b.port.accept();
    const clients = Array.from({ length: 500 }, () => net.connect(b.port.listening[0].port, "127.0.0.1"));
    for (const client of clients) client.on("error", () => {});
    await b.until(() => b.inputs.filter((input) => input.kind === "tcp.accepted").length === 500);
    for (const client of clients) client.resetAndDestroy();
    await b.until(() => b.inputs.filter((input) => input.kind === "tcp.closed").length === 500);
    await b.port.close();
  });
});

test("the same without the addon", { skip: !native, timeout: 60_000 }, () => {
  const env = { ...process.env, CAIRN_NATIVE: "off", NODE_TEST_CONTEXT: undefined };
  execFileSync(process.execPath, ["--test", import.meta.filename], { env, stdio: "pipe" });
});
