import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeQuery, readReply, recordType } from "./dns-message.ts";
import type { DnsExpectation } from "./messages.ts";

const asked: DnsExpectation = { name: "example.com", type: 1, answer: "" };

/** An answer by hand: header, the question of the query, and records whose owner points to it. */
function reply(
  query: Uint8Array,
  flags: number,
  records: readonly (readonly [type: number, data: number[]])[],
): Uint8Array {
  const bytes = [...query];
  bytes[2] = flags >> 8;
  bytes[3] = flags & 255;
  bytes[7] = records.length;
  for (const [type, data] of records)
    bytes.push(
      0xc0,
      12,
      type >> 8,
      type & 255,
      0,
      1,
      0,
      0,
      0,
      60,
      data.length >> 8,
      data.length & 255,
      ...data,
    );
  return Uint8Array.from(bytes);
}

function judge(expected: DnsExpectation, bytes: Uint8Array, id = 7): unknown {
  return readReply(bytes, bytes.length, expected, id);
}

describe("DNS probes", () => {
  it("write a question as RFC 1035 has it", () => {
    const bytes = encodeQuery(asked, 0x1234);
    const name = [7, ...Buffer.from("example"), 3, ...Buffer.from("com"), 0];
    assert.deepEqual([...bytes], [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name, 0, 1, 0, 1]);
    assert.deepEqual([...encodeQuery({ ...asked, name: "", type: 2 }, 0)].slice(12), [0, 0, 2, 0, 1]);
  });

  it("know record types by name and number", () => {
    assert.deepEqual(["a", "AAAA", "65", "0", "65536", "AXFR!"].map(recordType), [
      1,
      28,
      65,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("take any answer without an error, and none with one", () => {
    const query = encodeQuery(asked, 7);
    assert.deepEqual(judge(asked, reply(query, 0x8180, [])), { ok: true });
    assert.deepEqual(judge(asked, reply(query, 0x8183, [])), {
      ok: false,
      reason: "DNS_NXDOMAIN",
      message: "the server answers NXDOMAIN",
    });
    assert.deepEqual(judge(asked, reply(query, 0x8182, [])), {
      ok: false,
      reason: "DNS_SERVFAIL",
      message: "the server answers SERVFAIL",
    });
  });

  it("pass over what is no answer to them", () => {
    const query = encodeQuery(asked, 7);
    assert.equal(judge(asked, reply(query, 0x8180, []), 8), undefined);
    assert.equal(judge(asked, query), undefined);
    assert.equal(
      judge(asked, reply(encodeQuery({ ...asked, name: "example.net" }, 7), 0x8180, [])),
      undefined,
    );
    assert.equal(judge(asked, reply(encodeQuery({ ...asked, type: 28 }, 7), 0x8180, [])), undefined);
  });

  it("ignore the case of names, and compression", () => {
    const expected: DnsExpectation = { name: "Example.COM", type: 5, answer: "WWW.example.com." };
    const query = encodeQuery({ ...expected, name: "example.com" }, 7);
    const data = [3, ...Buffer.from("www"), 0xc0, 12];
    assert.deepEqual(judge(expected, reply(query, 0x8180, [[5, data]])), { ok: true });
  });

  it("compare addresses and texts", () => {
    const query = encodeQuery(asked, 7);
    const answer = reply(query, 0x8180, [
      [5, [0]],
      [1, [192, 0, 2, 1]],
      [1, [192, 0, 2, 2]],
    ]);
    assert.deepEqual(judge({ ...asked, answer: "192.0.2.2" }, answer), { ok: true });
    assert.deepEqual(judge({ ...asked, answer: "192.0.2.3" }, answer), {
      ok: false,
      reason: "DNS_ANSWER",
      message: "the answer is 192.0.2.1, 192.0.2.2 and not 192.0.2.3",
    });
    const text: DnsExpectation = { name: "example.com", type: 16, answer: "all is well" };
    const told = reply(encodeQuery(text, 7), 0x8180, [
      [16, [4, ...Buffer.from("all "), 7, ...Buffer.from("is well")]],
    ]);
    assert.deepEqual(judge(text, told), { ok: true });
    assert.equal((judge({ ...text, answer: "All is well" }, told) as { ok: boolean }).ok, false);
  });

  it("survive any bytes", () => {
    const query = encodeQuery(asked, 7);
    const whole = reply(query, 0x8180, [[1, [192, 0, 2, 1]]]);
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 100 }),
        fc.array(fc.tuple(fc.nat(200), fc.nat(255))),
        (noise, pokes) => {
          judge(asked, noise);
          const bytes = whole.slice();
          for (const [at, value] of pokes) if (at < bytes.length) bytes[at] = value;
          for (const answer of ["", "192.0.2.1"]) {
            const verdict = judge({ ...asked, answer }, bytes) as { ok: boolean } | undefined;
            if (pokes.length === 0) assert.deepEqual(verdict, { ok: true });
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it("end on names that point in a circle", () => {
    const query = encodeQuery(asked, 7);
    const bytes = reply(query, 0x8180, [[1, [192, 0, 2, 1]]]);
    bytes[12] = 0xc0;
    bytes[13] = 12;
    assert.equal(judge({ ...asked, answer: "192.0.2.1" }, bytes), undefined);
  });
});
