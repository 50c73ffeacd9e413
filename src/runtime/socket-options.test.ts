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

const abilities = hostAbilities();

function end() {
  const inputs: TcpInput[] = [];
  let wake = (): void => {};
  const post = (input: TcpInput): void => {
    inputs.push(input.kind === "tcp.bytes" ? { ...input, bytes: input.bytes.slice() } : input);
    wake();
  };
  const logs: string[] = [];
  const port = new TcpPort(post, (_level, message, fields) => logs.push(`${message} ${fields?.error ?? ""}`));
  after(() => port.close());
  const text = (): string =>
    inputs.map((each) => (each.kind === "tcp.bytes" ? Buffer.from(each.bytes).toString() : "")).join("");
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) await new Promise<void>((resolve) => (wake = resolve));
  };
  return { port, inputs, logs, text, until };
}

type End = ReturnType<typeof end>;
type Keys = Pick<KeyEffect, "md5" | "ao">;

const loopback = { "127.0.0.1": "127.0.0.0/8", "::1": "::1/128" } as const;
type Address = keyof typeof loopback;

/** Keys of a range that holds the loopback address. */
function use(each: End, address: Address, keys: Keys): void {
  const [prefix, length] = loopback[address].split("/");
  each.port.apply({ kind: "tcp.key", address: prefix, length: Number(length), ...keys });
}

/** Both ends with keys; `b` listens and `a` has begun to connect. */
async function ends(address: Address, ours: Keys, theirs: Keys): Promise<{ a: End; b: End }> {
  const [a, b] = [end(), end()];
  use(a, address, ours);
  await b.port.listen([address === "::1" ? "[::1]:0" : `${address}:0`]);
  use(b, address, theirs);
  b.port.accept();
  const remotePort = b.port.listening[0].port;
  const rest = { localAddress: undefined, ttl: 0, minTtl: 0 };
  a.port.apply({ kind: "tcp.connect", conn: 1, remoteAddress: address, remotePort, ...rest });
  return { a, b };
}

const accepted = (b: End) => (): boolean => b.inputs.some(({ kind }) => kind === "tcp.accepted");
const connected = (a: End) => (): boolean => a.inputs.some(({ kind }) => kind === "tcp.connected");
const say = (from: End, text: string): void =>
  from.port.apply({ kind: "tcp.send", conn: 1, bytes: new TextEncoder().encode(text) });
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const troubles = (...all: End[]): unknown[] =>
  all.flatMap(({ inputs, logs }) => [...inputs.filter(({ kind }) => kind === "tcp.closed"), ...logs]);

describe("TCP MD5 on live sockets", { skip: abilities.md5 !== "" && abilities.md5, timeout: 120_000 }, () => {
  const md5 = (password: string | undefined): Keys => ({ md5: password, ao: [] });

  for (const address of ["127.0.0.1", "::1"] as const) {
    test(`a key that changes on both sides leaves the connection as it is, ${address}`, async () => {
      const { a, b } = await ends(address, md5("one"), md5("one"));
      await b.until(accepted(b));
      say(a, "before ");
      await b.until(() => b.text() === "before ");
      for (const each of [a, b]) use(each, address, md5("two"));
      say(a, "after");
      await b.until(() => b.text() === "before after");
      assert.deepEqual(troubles(a, b), []);
    });
  }

  test("a connection that is older than the key of its listener is refused, and the next one is signed", async () => {
    const [a, b] = [end(), end()];
    await b.port.listen(["127.0.0.1:0"]);
    const remotePort = b.port.listening[0].port;
    const dial = (conn: number): void =>
      a.port.apply({
        ...{ kind: "tcp.connect", conn, remoteAddress: "127.0.0.1", remotePort },
        ...{ localAddress: undefined, ttl: 0, minTtl: 0 },
      });
    dial(1);
    await a.until(connected(a));
    use(b, "127.0.0.1", md5("late"));
    b.port.accept();
    await a.until(() => a.inputs.some(({ kind }) => kind === "tcp.closed"));
    assert.deepEqual(b.inputs, []);
    use(a, "127.0.0.1", md5("late"));
    dial(2);
    await b.until(accepted(b));
  });

  test("while keys differ nothing passes; what was said comes once they agree", async () => {
    const { a, b } = await ends("127.0.0.1", md5("one"), md5("one"));
    await b.until(accepted(b));
    use(b, "127.0.0.1", md5("two"));
    say(a, "late");
    await pause(250);
    assert.equal(b.text(), "");
    use(a, "127.0.0.1", md5("two"));
    await b.until(() => b.text() === "late");
  });

  test("with another key, or none on one side, nobody gets in", async () => {
    const cases = [md5("two"), md5(undefined)].map((theirs) => ends("127.0.0.1", md5("one"), theirs));
    const all = [...(await Promise.all(cases)), await ends("127.0.0.1", md5(undefined), md5("one"))];
    await pause(250);
    assert.deepEqual(
      all.map(({ a, b }) => [connected(a)(), accepted(b)()]),
      all.map(() => [false, false]),
    );
  });
});

describe("without the native addon", { skip: native !== undefined && "it is there", timeout: 30_000 }, () => {
  test("nothing passes that should be protected, in neither direction", async () => {
    const keyed = { md5: "one", ao: [] };
    const out = await ends("127.0.0.1", keyed, { md5: undefined, ao: [] });
    await out.a.until(() => out.a.inputs.length > 0);
    assert.deepEqual(out.a.inputs, [{ kind: "tcp.closed", conn: 1, error: "ENOSYS" }]);
    const into = await ends("127.0.0.1", { md5: undefined, ao: [] }, keyed);
    await into.a.until(() => into.a.inputs.some(({ kind }) => kind === "tcp.closed"));
    assert.equal(accepted(into.b)(), false);
    assert.match(into.b.logs.join(), /does not take a key; connections from there are refused/);
  });
});

// Of the machines that this is developed on, only the VM's kernel has it: vmrun --suite trixie-backports.
describe("TCP-AO on live sockets", {
  skip: abilities.tcpAo !== "" && abilities.tcpAo,
  timeout: 60_000,
}, () => {
  const first: TcpAoKey = { sendId: 1, receiveId: 1, algorithm: "hmac-sha-1-96", secret: "first" };
  const second: TcpAoKey = { sendId: 2, receiveId: 2, algorithm: "aes-128-cmac-96", secret: "second key" };
  const ao = (...keys: TcpAoKey[]): Keys => ({ md5: undefined, ao: keys });

  for (const address of ["127.0.0.1", "::1"] as const) {
    test(`keys roll over while the connection stays, ${address}`, async () => {
      const { a, b } = await ends(address, ao(first), ao(first));
      await b.until(accepted(b));
      say(a, "1");
      await b.until(() => b.text() === "1");
      for (const keys of [[first, second], [second, first], [second]]) {
        for (const each of [a, b]) use(each, address, ao(...keys));
        const before = b.text();
        say(a, "x");
        await b.until(() => b.text() === `${before}x`);
      }
      assert.deepEqual(troubles(a, b), []);
    });
  }

  test("with the cipher of RFC 5926 and ids that cross over", async () => {
    const mine: TcpAoKey = { ...second, sendId: 7, receiveId: 9 };
    const { b } = await ends("127.0.0.1", ao(mine), ao({ ...mine, sendId: 9, receiveId: 7 }));
    await b.until(accepted(b));
  });

  test("with another secret, another id, or none on one side, nobody gets in", async () => {
    const far = [ao({ ...first, secret: "other" }), ao({ ...first, receiveId: 5 }), ao()];
    const all = await Promise.all(far.map((theirs) => ends("127.0.0.1", ao(first), theirs)));
    all.push(await ends("127.0.0.1", ao(), ao(first)));
    await pause(500);
    assert.deepEqual(
      all.map(({ a, b }) => [connected(a)(), accepted(b)()]),
      all.map(() => [false, false]),
    );
  });
});
