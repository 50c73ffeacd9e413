import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { arbitraryFlow } from "../../../test/support/flowspec.ts";
import { RibFixture } from "../../rib/rib-fixture.ts";
import { type Family, ipv4Flowspec, ipv6Flowspec } from "../../wire/family.ts";
import { encodeActions } from "../../wire/flowspec/actions.ts";
import { compareFlows } from "../../wire/flowspec/compare.ts";
import { formatRule, parseFlow } from "../../wire/flowspec/text.ts";
import type { NeighborRecord } from "../neighbor-record.ts";
import type { Routing } from "../routing.ts";
import { FlowRules } from "./flow-rules.ts";

/** Tables of both families, and the rules that filters see of them. */
class Rig {
  readonly ip4 = new RibFixture(ipv4Flowspec);
  private readonly ip6 = new RibFixture(ipv6Flowspec);
  readonly rules: FlowRules;
  nowMs = 1000;
  changes = 0;
  turns = 0;
  isNeeded = true;
  isDeferred = false;

  constructor() {
    const routing = {
      table: (family: Family) => (family === ipv4Flowspec ? this.ip4.table : this.ip6.table),
      attributes: this.ip4.attributes,
    };
    this.rules = new FlowRules({
      routing: routing as unknown as Routing,
      isNeeded: () => this.isNeeded,
      isDeferred: () => this.isDeferred,
      record: (id) => ({ config: { address: `10.0.0.${id}`, peerGroup: "g" } }) as unknown as NeighborRecord,
      changed: () => this.changes++,
      nowMs: () => this.nowMs,
    });
  }

  announce(text: string, neighbor = 1): void {
    const parsed = parseFlow(text);
    assert.ok(parsed.ok);
    const { flow, actions } = parsed.value;
    const row = this.ip4.table.prefix(flow, 0, flow.length);
    const { extended } = encodeActions(actions ?? []);
    this.ip4.announce(neighbor, row, { extendedCommunities: extended });
  }

  withdraw(text: string, neighbor = 1): void {
    const parsed = parseFlow(text);
    assert.ok(parsed.ok);
    const { flow } = parsed.value;
    this.ip4.table.withdraw(neighbor, this.ip4.table.prefix(flow, 0, flow.length), 0);
  }

  /** Turns until nothing is left to do, with so much work in each. */
  settle(micros = 1000): void {
    for (let idle = 0; idle < 2; ) {
      if (this.rules.hasWork) {
        idle = 0;
        this.turns++;
        this.rules.run(micros);
      } else if (this.rules.nextMs() < Number.POSITIVE_INFINITY) this.nowMs = this.rules.nextMs();
      else idle++;
    }
  }

  texts(): string[] {
    return this.rules.current().map((rule) => formatRule(rule.flow, rule, rule.actions));
  }
}

describe("rules for filters", () => {
  it("are the best routes in the order of RFC 8955, with their actions and where they are from", () => {
    const rig = new Rig();
    rig.announce("dst 10.0.0.0/8 -> drop");
    rig.announce("dst 10.1.0.0/16 proto udp -> rate 1000 mark 46", 2);
    rig.settle();
    assert.deepEqual(rig.texts(), [
      "dst 10.1.0.0/16 proto udp -> rate 1000 mark 46",
      "dst 10.0.0.0/8 -> drop",
    ]);
    assert.deepEqual(
      rig.rules.current().map(({ neighbor, peerGroup }) => `${neighbor} ${peerGroup}`),
      ["10.0.0.2 g", "10.0.0.1 g"],
    );
    assert.equal(rig.changes, 1);
  });

  it("stay the same objects with the same labels while others come and go", () => {
    const rig = new Rig();
    rig.announce("dst 10.0.0.0/8 -> drop");
    rig.announce("dst 10.2.0.0/16 -> drop");
    rig.settle();
    const [first, second] = rig.rules.current();
    rig.announce("dst 10.1.0.0/16 -> drop");
    rig.settle();
    const after = rig.rules.current();
    assert.deepEqual(
      after.map(({ label }) => label),
      after.map(({ label }) => label).toSorted(),
    );
    assert.ok(after.includes(first) && after.includes(second));
    rig.withdraw("dst 10.1.0.0/16");
    rig.settle();
    assert.deepEqual(rig.rules.current(), [first, second]);
    rig.announce("dst 10.0.0.0/8 -> accept");
    rig.settle();
    assert.equal(rig.rules.current()[1].label, second.label, "other actions, the same place");
    assert.deepEqual(rig.texts(), ["dst 10.2.0.0/16 -> drop", "dst 10.0.0.0/8 -> accept"]);
  });

  it("are read a moment after a change, and not at every one", () => {
    const rig = new Rig();
    rig.settle();
    for (let i = 0; i < 20; i++) {
      rig.announce(`dst 10.${i}.0.0/16 -> drop`);
      if (rig.rules.hasWork) rig.rules.run(1000);
    }
    assert.equal(rig.changes, 0);
    assert.ok(!rig.rules.hasWork, "it waits");
    rig.settle();
    assert.equal(rig.changes, 1);
    assert.equal(rig.rules.current().length, 20);
    rig.settle();
    assert.equal(rig.changes, 1);
  });

  it("are not looked at while nobody needs them, or routes are not chosen yet", () => {
    const rig = new Rig();
    rig.isNeeded = false;
    rig.announce("dst 10.0.0.0/8 -> drop");
    assert.ok(!rig.rules.hasWork && rig.rules.nextMs() === Number.POSITIVE_INFINITY);
    rig.isNeeded = true;
    rig.isDeferred = true;
    assert.ok(!rig.rules.hasWork);
    rig.isDeferred = false;
    rig.settle();
    assert.equal(rig.rules.current().length, 1);
    rig.isNeeded = false;
    rig.rules.run(1000);
    assert.equal(rig.rules.current().length, 0);
  });

  it("are read in slices, also while the table changes under them", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(arbitraryFlow(4), { minLength: 5, maxLength: 40, selector: (flow) => flow.join() }),
        fc.array(fc.tuple(fc.nat(), fc.boolean()), { maxLength: 40 }),
        (flows, steps) => {
          const rig = new Rig();
          const { table } = rig.ip4;
          const held = new Set<number>();
          const toggle = (i: number): void => {
            const row = table.prefix(flows[i], 0, flows[i].length);
            if (held.has(i)) table.withdraw(1, row, 0);
            else rig.ip4.announce(1, row, {});
            if (!held.delete(i)) held.add(i);
          };
          flows.forEach((_, i) => {
            toggle(i);
          });
          for (const [at, waits] of steps) {
            toggle(at % flows.length);
            if (waits) rig.nowMs += 60;
            if (rig.rules.hasWork) rig.rules.run(20);
          }
          rig.settle(20);
          const expected = [...held].map((i) => flows[i]).sort((a, b) => compareFlows(a, b, ipv4Flowspec));
          assert.deepEqual(
            rig.rules.current().map(({ flow }) => flow),
            expected,
          );
        },
      ),
      { numRuns: 60 },
    );
  });
});
