import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { arbitraryActions, arbitraryFlow } from "../../../test/support/flowspec.ts";
import { fromHex, toHex } from "../../../test/support/wire.ts";
import { formatProblem } from "../../base/problem.ts";
import { formatActions } from "./action-text.ts";
import { encodeActions } from "./actions.ts";
import { decodeFlow } from "./nlri.ts";
import { formatFlow, formatRule, parseFlow } from "./text.ts";

const ip4 = { addressBytes: 4 } as const;
const ip6 = { addressBytes: 16 } as const;

/** The rule's bytes as digits, and its text. */
function parsed(text: string): { digits: string; again: string } {
  const result = parseFlow(text);
  assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("; "));
  const { flow, actions } = result.value;
  const again = actions ? formatRule(flow, result.value, actions) : formatFlow(flow, result.value);
  return { digits: toHex(flow), again };
}

function problemsOf(text: string): string[] {
  const result = parseFlow(text, "rule");
  assert.ok(!result.ok, text);
  return result.problems.map(formatProblem);
}

describe("the examples of the RFCs as text", () => {
  for (const [nlri, text, family] of [
    ["0b0118c00002038106048119", "dst 192.0.2.0/24 proto tcp port 25", ip4],
    ["120118c000020218cb0071040389458b911f90", "dst 192.0.2.0/24 src 203.0.113.0/24 port 137-139,8080", ip4],
    ["090120c00002010c8005", "dst 192.0.2.1/32 fragment dont-fragment+first-fragment", ip4],
    [
      "12016840123456789a02200020010db8038106",
      "dst ::1234:5678:9a00:0/64-104 src 2001:db8::/32 proto tcp",
      ip6,
    ],
    ["080168412468acf134", "dst ::1234:5678:9a00:0/65-104", ip6],
  ] as const) {
    it(text, () => {
      const bytes = fromHex(nlri);
      const decoded = decodeFlow(bytes, 0, bytes.length, family);
      assert.ok(decoded.ok && decoded.next === bytes.length);
      assert.equal(formatFlow(decoded.flow, family), text);
      assert.equal(parsed(text).digits, toHex(decoded.flow));
    });
  }
});

describe("text of a rule", () => {
  for (const [text, digits] of [
    ["dst 192.0.2.0/24 proto udp dst-port 123 -> drop", "0118c00002 038111 05817b"],
    ["src-port >=1024 -> accept", "06930400"],
    ["pkt-len 64-128,!=100 -> rate 1000000", "0a 0340 4580 8664"],
    ["pkt-len 64-128&!=100 -> rate 64500:1000000", "0a 0340 4580 c664"],
    ["port >8080&<8088,3128 -> rate-packets 5000", "04 121f90 541f98 910c38"],
    ["tcp-flags syn&!ack -> rate 0.5", "09 0002 c210"],
    ["tcp-flags =syn+ack,!=fin -> sample terminal", "09 0112 8301"],
    ["tcp-flags ae -> no-action", "09 900100"],
    ["fragment is-fragment,!dont-fragment -> mark 46", "0c 0002 8201"],
    ["proto icmp icmp-type 8 icmp-code 0 -> redirect 64500:1", "038101 078108 088100"],
    ["dscp 46,true,false -> redirect 4200000000:1", "0b 012e 0700 8000"],
    ["dst-port 0x0050,0x12345678 -> drop", "05 110050 a112345678"],
    ["ipv6 proto icmpv6 flow-label 5 -> redirect [2001:db8::1]:7", "03813a 0da100000005"],
    ["ipv6 port 1 -> redirect-ip 2001:db8::1 copy-ip 192.0.2.1", "048101"],
    ["proto tcp other 0x0effff -> redirect-next-hop copy-next-hop", "038106 0effff"],
    ["proto true:5 port 0x0000000000000001 -> redirect 1L:2", "038705 04b10000000000000001"],
  ] as const) {
    it(text, () => {
      const { digits: found, again } = parsed(text);
      assert.equal(found, digits.replaceAll(" ", ""));
      assert.equal(again, text);
    });
  }

  it("is read in other spellings, orders and spacings", () => {
    for (const [text, canonical] of [
      ["destination 192.0.2.1 protocol =17", "dst 192.0.2.1/32 proto udp"],
      ["proto ==tcp dst 2001:db8::/32", "dst 2001:db8::/32 proto tcp"],
      ["dst-port  80 , 443  ->  discard", "dst-port 80,443 -> drop"],
      ["packet-length >=10&<=20", "pkt-len 10-20"],
      ["dst ::1234:0:0/96/64", "dst ::1234:0:0/64-96"],
      ["flow-label 1", "ipv6 flow-label 1"],
      ["ipv4 next-header 6", "proto tcp"],
      ["proto tcp -> terminal drop sample", "proto tcp -> sample terminal drop"],
      ["port 0x50", "port 80"],
      ["dst 10.0.0.0/0-8", "dst 10.0.0.0/8"],
    ]) {
      assert.equal(parsed(text).again, canonical);
    }
  });

  it("says of each word what is wrong with it, all at once", () => {
    assert.deepEqual(problemsOf("dst 192.0.2.1/24 dst-prot 53 port 1-70000 -> drp"), [
      'rule: dst: "192.0.2.1/24" has host bits set; did you mean 192.0.2.0/24 (write dst 192.0.2.0/24)',
      'rule: there is no component "dst-prot" (did you mean dst-port)',
      "rule: port: 70000 is above 65535 (write port 80,8000-8010)",
      'rule: there is no action "drp" (did you mean drop)',
    ]);
    for (const [text, problem] of [
      ["", "rule: a flow specification needs a component (write dst 192.0.2.0/24 proto udp)"],
      ["proto tcp ->", "rule: nothing stands behind the arrow (write -> drop)"],
      ["proto tcp port -> drop", "rule: port has no value (write port and its value)"],
      ["port 1 port 2", "rule: port occurs twice (put alternatives into one, with commas between them)"],
      [
        "dst 10.0.0.0/8 src 2001:db8::/32",
        "rule: src: 2001:db8::/32 is not IPv4, as the rest (write src 192.0.2.0/24)",
      ],
      ["ipv4 flow-label 1", "rule: flow-label is only in IPv6 (begin with ipv6)"],
      ["dst 10.0.0.0/4-8", "rule: dst: only prefixes of IPv6 have an offset (write dst 192.0.2.0/24)"],
      [
        "dst ::/64-64",
        'rule: dst: "::/64-64" does not end between its offset and 128 (write dst 2001:db8::/32)',
      ],
      [
        "dst 2001::1/64-128",
        'rule: dst: "2001::1/64-128" has bits set outside of the prefix; did you mean ::1/64-128 (write dst 2001:db8::/32)',
      ],
      ["port 80-70", 'rule: port: "80-70" ends before it begins (write port 80,8000-8010)'],
      ["port =>80", 'rule: port: "=>" is not an operator (write port 80,8000-8010)'],
      ["port 80,", "rule: port: a value is missing (write port 80,8000-8010)"],
      ["dscp 64", "rule: dscp: 64 is above 63 (write dscp 46)"],
      ["dscp 0x0001", "rule: dscp: 0x0001 takes more than a byte (write dscp 46)"],
      ["tcp-flags syn+x", 'rule: tcp-flags: "x" is not a value (write tcp-flags syn&!ack)'],
      [
        "ipv6 fragment dont-fragment",
        "rule: fragment: dont-fragment is only in IPv4 (write fragment is-fragment)",
      ],
      ["fragment 0x10", "rule: fragment: 0x10 has bits that mean nothing (write fragment is-fragment)"],
      ["other 0x05", "rule: 5 is no type of another component (write dst-port)"],
      ["other 5", "rule: other needs the bytes of its component (write other 0x0e8105)"],
      ["port 1 -> rate", "rule: rate has no value (write rate 1000000)"],
      ["port 1 -> rate fast", 'rule: rate does not take "fast" (write rate 1000000)'],
      ["port 1 -> rate 1e39", 'rule: rate does not take "1e39" (write rate 1000000)'],
      ["port 1 -> mark 64", 'rule: mark does not take "64" (write mark 46)'],
      ["port 1 -> redirect 1", 'rule: redirect does not take "1" (write redirect 64500:1)'],
      ["port 1 -> accept drop", "rule: accept stands for no action, and there are others (leave accept out)"],
    ] as const) {
      assert.deepEqual(problemsOf(text), [problem]);
    }
  });

  it("that is longer than an NLRI can be is a problem", () => {
    const ports = Array.from({ length: 2100 }, (_, i) => i % 200).join(",");
    assert.deepEqual(problemsOf(`port ${ports}`), [
      "rule: a flow specification is longer than 4095 bytes (make several of it)",
    ]);
  });
});

for (const family of [ip4, ip6]) {
  it(`text of ${family.addressBytes} bytes an address is one to one`, () => {
    fc.assert(
      fc.property(arbitraryFlow(family.addressBytes), arbitraryActions, (flow, actions) => {
        const text = formatRule(flow, family, actions);
        const result = parseFlow(text);
        assert.ok(result.ok, `${text}: ${JSON.stringify(result)}`);
        assert.equal(result.value.addressBytes, family.addressBytes, text);
        assert.equal(toHex(result.value.flow), toHex(flow), text);
        assert.deepEqual(encodeActions(result.value.actions!), encodeActions(actions), text);
        assert.equal(formatActions(result.value.actions!), formatActions(actions));
      }),
      { numRuns: 1000 },
    );
  });
}

it("whatever the text, there is a rule or there are problems", () => {
  const words = fc.constantFrom(
    ...["dst", "src", "port", "proto", "tcp-flags", "fragment", "other", "ipv6", "->", "drop", "rate"],
    ...[
      "80",
      "1-2",
      "!=",
      ">=5&<",
      "0x",
      "0x0e",
      "::/0",
      "10.0.0.0/8",
      ",",
      "&",
      "syn",
      "__proto__",
      "constructor",
    ],
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(words, fc.string({ maxLength: 6 })), { maxLength: 8 }), (list) => {
      const result = parseFlow(list.join(" "));
      assert.ok(result.ok || result.problems.length > 0);
    }),
    { numRuns: 1000 },
  );
});
