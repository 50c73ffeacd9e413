import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { KeyEffect } from "../state/effects.ts";
import type { TcpAoKey } from "../state/session-port.ts";
import { native } from "./native.ts";
import { parseNetstat } from "./refused-segments.ts";
import {
  encodeAoAdd,
  encodeAoCurrent,
  encodeAoDel,
  encodeMd5,
  hostAbilities,
  KeyTable,
} from "./socket-options.ts";
import { type TcpInput, TcpPort } from "./tcp.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const zeros = (count: number): string => "00".repeat(count);

describe("layouts of include/uapi/linux/tcp.h", () => {
  test("struct tcp_md5sig: address, flags, prefix length, key length, interface, key", () => {
    const bytes = encodeMd5("192.0.2.0", 24, "key");
    assert.equal(hex(bytes), `02000000c0000200${zeros(120)}01180300${zeros(4)}6b6579${zeros(77)}`);
    const six = encodeMd5("2001:db8::", 32, undefined);
    const address = `0a000000${zeros(4)}20010db8${zeros(16)}`;
    assert.equal(hex(six), `${address}${zeros(100)}01200000${zeros(84)}`);
  });
  test("struct tcp_ao_add, tcp_ao_del and tcp_ao_info_opt", () => {
    const key: TcpAoKey = { sendId: 7, receiveId: 9, algorithm: "hmac-sha-1-96", secret: "abc" };
    const place = `02000000c0000201${zeros(120)}`;
    const algorithm = Buffer.from("hmac(sha1)").toString("hex").padEnd(128, "0");
    assert.equal(
      hex(encodeAoAdd("192.0.2.1", 32, key, true)),
      `${place}${algorithm}${zeros(4)}03000000${zeros(2)}2007090c0003616263${zeros(77)}`.replace(
        "0c0003",
        "0c0003",
      ),
    );
    assert.equal(hex(encodeAoDel("192.0.2.1", 32, key)), `${place}${zeros(10)}200709${zeros(3)}`);
    assert.equal(hex(encodeAoCurrent(key)), `03${zeros(5)}0709${zeros(40)}`);
    assert.equal(encodeAoAdd("192.0.2.1", 32, key, false).length, 288);
  });
  test("the longest prefix has the key", () => {
    const table = new KeyTable();
    const key = (address: string, length: number, md5: string | undefined): void =>
      void table.set({ address, length, md5, ao: [] });
    key("10.0.0.0", 8, "wide");
    key("10.0.0.0", 23, "closer");
    key("2001:db8::", 32, "six");
    const found = (address: string): string | undefined => table.find(address)?.md5;
    assert.deepEqual(["10.0.1.1", "10.0.2.1", "11.0.0.1", "2001:db8::1%eth0", "2001:db9::1"].map(found), [
      "closer",
      "wide",
      undefined,
      "six",
      undefined,
    ]);
    key("10.0.0.0", 23, undefined);
    assert.equal(found("10.0.1.1"), "wide");
  });
  test("counters of refused segments; those that the kernel lacks are 0", () => {
    const text = "TcpExt: A TCPMD5NotFound TCPMD5Failure\nTcpExt: 1 2 3\nIpExt: A\nIpExt: 9\n";
    const counts = parseNetstat(text);
    assert.deepEqual([counts?.md5Missing, counts?.md5Wrong, counts?.aoWrong], [2, 3, 0]);
    assert.equal(parseNetstat("nothing"), undefined);
  });
});

const noMd5 = native ? hostAbilities().md5 : "no native addon";

describe("TCP MD5 on live sockets", { skip: noMd5 !== "" && noMd5, timeout: 30_000 }, () => {
  const md5 = (password: string | undefined): KeyEffect => ({
    ...{ kind: "tcp.key", address: "127.0.0.0", length: 8, md5: password, ao: [] },
  });

  function end() {
    const inputs: TcpInput[] = [];
    let wake = (): void => {};
    const post = (input: TcpInput): void => {
      inputs.push(input.kind === "tcp.bytes" ? { ...input, bytes: input.bytes.slice() } : input);
      wake();
    };
    const port = new TcpPort(post, (_level, message) => void inputs.push({ log: message } as never));
    after(() => port.close());
    const text = (): string =>
      inputs.map((each) => (each.kind === "tcp.bytes" ? Buffer.from(each.bytes).toString() : "")).join("");
    const until = async (done: () => boolean): Promise<void> => {
      while (!done()) await new Promise<void>((resolve) => (wake = resolve));
    };
    return { port, inputs, text, until };
  }

  async function pair(password: string) {
    const [a, b] = [end(), end()];
    for (const each of [a, b]) each.port.apply(md5(password));
    await b.port.listen(["127.0.0.1:0"]);
    b.port.accept();
    const { port } = b.port.listening[0];
    a.port.apply({
      ...{ kind: "tcp.connect", conn: 1, remoteAddress: "127.0.0.1", remotePort: port },
      ...{ localAddress: undefined, ttl: 0, minTtl: 0 },
    });
    await b.until(() => b.inputs.some(({ kind }) => kind === "tcp.accepted"));
    return { a, b, port };
  }

  const say = (from: ReturnType<typeof end>, text: string): void =>
    from.port.apply({ kind: "tcp.send", conn: 1, bytes: new TextEncoder().encode(text) });

  test("a key that changes on both sides leaves the connection as it is", async () => {
    const { a, b } = await pair("one");
    say(a, "before ");
    await b.until(() => b.text() === "before ");
    for (const each of [a, b]) each.port.apply(md5("two"));
    say(a, "after");
    await b.until(() => b.text() === "before after");
    assert.deepEqual(
      [...a.inputs, ...b.inputs].filter((each) => each.kind === "tcp.closed" || "log" in each),
      [],
    );
  });

  test("while keys differ nothing passes; what was said comes once they agree", async () => {
    const { a, b } = await pair("one");
    b.port.apply(md5("two"));
    say(a, "late");
    await new Promise((resolve) => setTimeout(resolve, 250));
    assert.equal(b.text(), "");
    a.port.apply(md5("two"));
    await b.until(() => b.text() === "late");
  });

  test("a connection that is older than the key is not let in", async () => {
    const [a, b] = [end(), end()];
    await b.port.listen(["127.0.0.1:0"]);
    a.port.apply({
      ...{ kind: "tcp.connect", conn: 1, remoteAddress: "127.0.0.1", remotePort: b.port.listening[0].port },
      ...{ localAddress: undefined, ttl: 0, minTtl: 0 },
    });
    await a.until(() => a.inputs.some(({ kind }) => kind === "tcp.connected"));
    b.port.apply(md5("one"));
    b.port.accept();
    await b.until(() => b.inputs.some(({ kind }) => kind === "tcp.accepted"));
    say(a, "unsigned");
    await new Promise((resolve) => setTimeout(resolve, 250));
    assert.equal(b.text(), "");
  });
});
