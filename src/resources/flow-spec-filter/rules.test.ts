import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { arbitraryFlow } from "../../../test/support/flowspec.ts";
import { normalRule } from "../../dataplane/nft/ruleset.ts";
import type { FlowTerm } from "../../wire/flowspec/nlri.ts";
import { parseFlow } from "../../wire/flowspec/text.ts";
import {
  bitmaskValues,
  complement,
  type Interval,
  intersection,
  meetsBitmask,
  numericValues,
} from "./intervals.ts";
import { dscpName } from "./match.ts";
import { type FlowHook, translate } from "./rules.ts";

const early: FlowHook = { devices: [], fragments: true };

function translated(text: string, hook = early): readonly string[] | string {
  const parsed = parseFlow(text);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const { addressBytes, flow, actions } = parsed.value;
  const found = translate({ addressBytes, flow, actions: actions! }, hook);
  return found.ok ? found.rules : found.why;
}

describe("a flow specification in nftables matches what it says", () => {
  for (const [text, match] of [
    ["dst 192.0.2.0/24 proto udp dst-port 123", "ip daddr 192.0.2.0/24 udp dport 123"],
    ["dst 192.0.2.1 src 0.0.0.0/0", "ip daddr 192.0.2.1"],
    ["src 2001:db8::/32", "ip6 saddr 2001:db8::/32"],
    ["dst ::1234:5678:9a00:0/64-104", "ip6 daddr & ::ffff:ffff:ff00:0 == ::1234:5678:9a00:0"],
    ["dst 0.0.0.0/0", "meta nfproto ipv4"],
    ["dst ::/0", "meta nfproto ipv6"],
    ["proto tcp,udp", "meta nfproto ipv4 meta l4proto { tcp, udp }"],
    ["proto <6,>6", "meta nfproto ipv4 meta l4proto { 0-5, 7-255 }"],
    ["proto true", "meta nfproto ipv4"],
    ["ipv6 proto 89", "meta nfproto ipv6 meta l4proto 89"],
    ["proto tcp dst-port 80 src-port >=1024", "meta nfproto ipv4 tcp dport 80 tcp sport 1024-65535"],
    ["dst-port 53", "meta nfproto ipv4 meta l4proto { 132, 136, 33, tcp, udp } th dport 53"],
    [
      "proto udp port 53",
      "meta nfproto ipv4 udp dport . udp sport { 0-52 . 53, 53 . 0-65535, 54-65535 . 53 }",
    ],
    ["proto tcp port >=0", "meta nfproto ipv4 meta l4proto tcp"],
    ["icmp-type 8", "icmp type echo-request"],
    ["icmp-type 8,<3 icmp-code !=0", "icmp type { 0-2, echo-request } icmp code 1-255"],
    ["ipv6 icmp-type 128", "icmpv6 type echo-request"],
    ["icmp-type true", "meta nfproto ipv4 meta l4proto icmp"],
    ["tcp-flags syn&!ack", "meta nfproto ipv4 tcp flags & (syn | ack) == syn"],
    ["tcp-flags syn+ack", "meta nfproto ipv4 tcp flags & (syn | ack) != 0x0"],
    ["tcp-flags =syn+ack", "meta nfproto ipv4 tcp flags & (syn | ack) == syn | ack"],
    ["pkt-len 64-128,!=100", "meta nfproto ipv4"],
    ["pkt-len 64-128&!=100", "meta nfproto ipv4 meta length { 101-128, 64-99 }"],
    ["dscp 46,8", "meta nfproto ipv4 @nh,8,8 { 0x20-0x23, 0xb8-0xbb }"],
    ["dscp <8", "meta nfproto ipv4 @nh,8,8 0x0-0x1f"],
    ["ipv6 dscp 46,8", "meta nfproto ipv6 @nh,0,16 { 0x6200-0x623f, 0x6b80-0x6bbf }"],
    ["dst 2001:db8::/32 dscp 10", "ip6 daddr 2001:db8::/32 ip6 dscp af11"],
    ["fragment dont-fragment&!is-fragment&!first-fragment", "ip frag-off { 16384, 49152 }"],
    ["fragment is-fragment&!dont-fragment", "ip frag-off { 1-8191, 32769-40959, 40961-49151, 8193-16383 }"],
    ["ipv6 fragment is-fragment", "frag frag-off != 0"],
    ["ipv6 fragment first-fragment", "frag frag-off 0 frag more-fragments 1"],
    ["ipv6 fragment !is-fragment&!first-fragment", "exthdr frag missing"],
    ["ipv6 fragment last-fragment", "frag frag-off != 0 frag more-fragments 0"],
    ["flow-label 5-9", "ip6 flowlabel 5-9"],
    ["flow-label !=5", "ip6 flowlabel != 5"],
  ] as const) {
    it(text, () => {
      const rules = translated(`${text} -> drop`);
      assert.ok(typeof rules !== "string", String(rules));
      assert.deepEqual(rules.map(normalRule), [`${match} counter drop`]);
    });
  }

  it("and is refused where there are no words for it, or no packets", () => {
    for (const [text, why] of [
      ["proto icmp dst-port 53 -> drop", "only TCP, UDP, DCCP and SCTP have ports"],
      ["proto udp tcp-flags syn -> drop", "only TCP has TCP flags"],
      ["proto udp icmp-type 8 -> drop", "only ICMP has types and codes"],
      ["proto false -> drop", "no protocol is meant"],
      ["port >5&<6 -> drop", "no port is meant"],
      ["tcp-flags syn&!syn -> drop", "no TCP flags are meant"],
      ["tcp-flags ae -> drop", "nftables cannot look at TCP flags above CWR"],
      ["pkt-len <0 -> drop", "no value is meant"],
      ["fragment is-fragment&!is-fragment -> drop", "no value is meant"],
      ["ipv6 fragment !first-fragment -> drop", "nftables cannot say which fragments of IPv6 are meant"],
      ["flow-label 5,7 -> drop", "nft cannot hold several flow labels in one rule"],
      ["flow-label >0xffffffff -> drop", "no flow label is meant"],
      ["other 0x0e -> drop", "component 14 is not known"],
      ["port 1 -> redirect 64500:1", "redirect to a VRF is not done on this host"],
      ["port 1 -> redirect-ip 192.0.2.1 drop", "redirect to an address is not done on this host"],
    ]) {
      assert.equal(translated(text), why, text);
    }
    const hook = { devices: [], fragments: false };
    assert.equal(
      translated("fragment is-fragment -> drop", hook),
      "fragments are put together before this hook",
    );
  });
});

describe("what is done with the packets", () => {
  const match = "meta nfproto ipv4 udp dport 53";
  for (const [actions, rules] of [
    ["accept", [`${match} counter accept`]],
    ["drop mark 46", [`${match} counter drop`]],
    ["rate-packets 0", [`${match} counter drop`]],
    ["terminal", [`${match} counter`]],
    ["mark 46", [`${match} counter ip dscp set ef accept`]],
    ["mark 1 terminal", [`${match} counter ip dscp set 0x01`]],
    [
      "rate 1000000",
      [`${match} limit rate over 1000000 bytes/second counter drop`, `${match} counter accept`],
    ],
    [
      "rate-packets 0.25 rate 9600.5 terminal",
      [
        `${match} limit rate over 9600 bytes/second counter drop`,
        `${match} limit rate over 1/second burst 1 packets counter drop`,
        `${match} counter`,
      ],
    ],
    ["rate 1e12", [`${match} counter accept`]],
  ] as const) {
    it(actions, () => assert.deepEqual(translated(`proto udp dst-port 53 -> ${actions}`), rules));
  }

  it("only on some links", () => {
    const hook = { devices: ["wan0", "wan1"], fragments: true };
    assert.deepEqual(translated("proto udp dst-port 53 -> drop", hook), [
      `iifname { "wan0", "wan1" } ${match} counter drop`,
    ]);
  });

  it("sampling is told of as what is left out", () => {
    const parsed = parseFlow("proto udp -> sample");
    assert.ok(parsed.ok);
    const found = translate({ ...parsed.value, actions: parsed.value.actions! }, early);
    assert.ok(found.ok && found.without === "packets are not sampled");
  });
});

it("whatever the rule, there are words or a reason, in plain characters", () => {
  for (const addressBytes of [4, 16] as const) {
    fc.assert(
      fc.property(arbitraryFlow(addressBytes), (flow) => {
        const found = translate({ addressBytes, flow, actions: [] }, early);
        if (!found.ok) assert.notEqual(found.why, "");
        else
          assert.ok(
            found.rules.every((rule) => /^[\x20-\x7e]+$/.test(rule) && !/\bundefined|NaN\b/.test(rule)),
          );
      }),
      { numRuns: 500 },
    );
  }
});

describe("conditions as values", () => {
  const max = 40;
  const arbitraryTerms = fc
    .array(fc.record({ and: fc.boolean(), op: fc.nat(7), value: fc.bigInt(0n, 45n) }), {
      minLength: 1,
      maxLength: 6,
    })
    .map((terms) => terms.map((term): FlowTerm => ({ ...term, width: 1 })));

  /** RFC 8955 4.2.1.1, value by value. */
  function meets(terms: readonly FlowTerm[], value: number): boolean {
    const groups: FlowTerm[][] = [];
    terms.forEach((term, i) => {
      if (i > 0 && term.and) groups.at(-1)!.push(term);
      else groups.push([term]);
    });
    const holds = ({ op, value: than }: FlowTerm): boolean =>
      ((op & 4) !== 0 && value < than) ||
      ((op & 2) !== 0 && value > than) ||
      ((op & 1) !== 0 && BigInt(value) === than);
    return groups.some((group) => group.every(holds));
  }

  function has(intervals: readonly Interval[], value: number): boolean {
    return intervals.some(([first, last]) => first <= value && value <= last);
  }

  it("of numbers are those that meet them", () => {
    fc.assert(
      fc.property(arbitraryTerms, (terms) => {
        const values = numericValues(terms, max);
        for (let value = 0; value <= max; value++) assert.equal(has(values, value), meets(terms, value));
        values.forEach(([first, last], i) => {
          assert.ok(first <= last && (i === 0 || values[i - 1][1] + 1 < first), "sorted, with gaps");
        });
        const others = complement(values, max);
        assert.deepEqual(intersection(values, others), []);
        assert.deepEqual(complement(others, max), values);
      }),
    );
  });

  it("of bits are those that meet them", () => {
    fc.assert(
      fc.property(arbitraryTerms, (terms) => {
        const values = bitmaskValues(terms, 63);
        for (let value = 0; value < 64; value++) assert.equal(has(values, value), meetsBitmask(terms, value));
      }),
    );
    const syn: FlowTerm = { and: false, op: 0, value: 2n, width: 1 };
    assert.ok(meetsBitmask([syn], 0x12) && !meetsBitmask([syn], 0x10));
    assert.ok(
      !meetsBitmask([{ ...syn, op: 1, value: 0x12n }], 2) &&
        meetsBitmask([{ ...syn, op: 1, value: 0x12n }], 0x13),
    );
    assert.ok(meetsBitmask([{ ...syn, op: 2 }], 0) && !meetsBitmask([{ ...syn, op: 2 }], 2));
    assert.ok(!meetsBitmask([syn, { ...syn, and: true, op: 2, value: 16n }], 0x12));
  });
});

it("DSCPs have the names that nft prints", () => {
  assert.deepEqual([0, 8, 10, 14, 38, 40, 46, 1, 44].map(dscpName), [
    ...["cs0", "cs1", "af11", "af13", "af43", "cs5", "ef", "0x01", "0x2c"],
  ]);
});
