import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { maskBytes } from "../../base/ip.ts";
import { ownProtocol } from "../kernel-model.ts";
import { type KernelRule, readRule, ruleFact, ruleFacts, ruleKey, ruleOf, writeRule } from "./rule-wire.ts";
import { eachMessage, NetlinkWriter } from "./wire.ts";

/** What the kernel would read in a request. */
function passed(rule: KernelRule): KernelRule | undefined {
  const out = new NetlinkWriter();
  writeRule(out, 7, "create", rule);
  const bytes = out.take();
  let read: KernelRule | undefined;
  assert.ok(eachMessage(bytes, bytes.length, ({ at, end }) => void (read = readRule(bytes, at, end))));
  return read;
}

const rule = fc.constantFrom(4 as const, 6 as const).chain((ipVersion) => {
  const size = ipVersion === 4 ? 4 : 16;
  const prefix = fc
    .record({
      bytes: fc.uint8Array({ minLength: size, maxLength: size }),
      length: fc.integer({ min: 1, max: size * 8 }),
    })
    .map(({ bytes, length }) => {
      maskBytes(bytes, length);
      return { bytes, length };
    });
  const fields = {
    ipVersion: fc.constant(ipVersion),
    priority: fc.nat(32_765),
    from: fc.option(prefix, { nil: undefined }),
    to: fc.option(prefix, { nil: undefined }),
    iif: fc.constantFrom("", "eth0", "a-long-name-012"),
    oif: fc.constantFrom("", "wan1"),
    mark: fc.constantFrom(
      undefined,
      { value: 0x1230_0000, mask: 0x7ff0_0000 },
      { value: 1, mask: 0xffff_ffff },
    ),
    table: fc.integer({ min: 1, max: 0xffff_fffe }),
    suppress: fc.constantFrom(-1, 0, 8),
    protocol: fc.constant(ownProtocol),
  };
  return fc.record(fields, { noNullPrototype: true });
});

describe("policy rules over netlink", () => {
  it("say the same after they were written and read, and as artifacts", () => {
    fc.assert(
      fc.property(rule, (one) => {
        assert.deepEqual(passed(one), one);
        const key = ruleKey(one.ipVersion, one.priority, one);
        assert.deepEqual(ruleOf(key, ruleFacts(one.table, one.suppress)), one);
        assert.deepEqual(ruleFact(key, [one]).observed, {
          facts: ruleFacts(one.table, one.suppress),
          identity: "cairn",
        });
      }),
    );
  });

  it("are called by whom they are for", () => {
    const mark = { value: 0x1230_0000, mask: 0x7ff0_0000 };
    assert.equal(ruleKey(4, 6701, { mark }), "ip4 6701 fwmark 0x12300000/0x7ff00000");
    assert.equal(ruleKey(6, 6702, { oif: "wan0" }), "ip6 6702 oif wan0");
    assert.equal(ruleKey(4, 10, {}), "ip4 10 all");
  });

  it("are none when they do something else, select otherwise, or are cut off", () => {
    // family, to, from, tos, table, 2 unused, action; flags
    const header = (action: number, flags: number, tos = 0): number[] => [
      2,
      0,
      0,
      tos,
      254,
      0,
      0,
      action,
      flags,
      0,
      0,
      0,
    ];
    const read = (...bytes: number[]): KernelRule | undefined =>
      readRule(new Uint8Array(bytes), 0, bytes.length);
    assert.equal(read(...header(1, 0))?.table, 254);
    assert.equal(read(...header(6, 0)), undefined, "blackhole");
    assert.equal(read(...header(1, 2)), undefined, "not from");
    assert.equal(read(...header(1, 0, 8)), undefined, "tos");
    assert.equal(read(...header(1, 0), 5, 0, 22, 0, 17, 0, 0, 0), undefined, "ipproto");
    assert.equal(read(2, 0, 0), undefined);
  });

  it("of one key are one: two of ours are not what is asked for", () => {
    const one: KernelRule = { ipVersion: 4, priority: 1, table: 7, suppress: -1, protocol: ownProtocol };
    assert.equal(ruleFact("ip4 1 all", [one, { ...one, table: 8 }]).observed?.facts.table, 0);
  });
});
