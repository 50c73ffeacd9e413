import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { KernelOperation } from "../kernel-port.ts";
import { artifactsOf, chainHooks, emptyRuleset, normalRule, type Ruleset, readRuleset } from "./ruleset.ts";
import { type Command, transaction } from "./transaction.ts";

const asAsked = (text: string): string => text;

const listing = `table inet cairn { # handle 1
	set AddressSet.lan.v4 { # handle 4
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/8, 172.16.0.0/13,
			     192.168.1.2 }
	}

	set AddressSet.lan.v6 { # handle 5
		type ipv6_addr
		flags interval
	}

	chain postrouting { # handle 1
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr @AddressSet.lan.v4 oifname { "wan0", "eth0" } counter packets 3 bytes 180 masquerade comment "500.01000 NAT44Rule/a" # handle 6
		counter packets 1 bytes 60 accept # handle 9
		oifname "wan1" counter packets 2 bytes 120 masquerade comment "500.01000 NAT44Rule/b" # handle 7
	}
}
`;

describe("the table as nft prints it", () => {
  it("is read into sets and groups, with what stands between in the group behind it", () => {
    const artifacts = artifactsOf(readRuleset(listing), asAsked);
    assert.deepEqual(Object.fromEntries([...artifacts].map(([key, { facts }]) => [key, facts])), {
      "set AddressSet.lan.v4": {
        type: "ipv4_addr",
        elements: ["10.0.0.0/8", "172.16.0.0/13", "192.168.1.2"],
      },
      "set AddressSet.lan.v6": { type: "ipv6_addr", elements: [] },
      "postrouting 500.01000 NAT44Rule/a": {
        rules: ['ip saddr @AddressSet.lan.v4 oifname { "eth0", "wan0" } counter masquerade'],
        packets: 3,
        bytes: 180,
      },
      "postrouting 500.01000 NAT44Rule/b": {
        rules: ["counter accept", 'oifname "wan1" counter masquerade'],
        packets: 3,
        bytes: 180,
      },
    });
  });

  it("has no groups in a chain that is called elsewhere, or not at all", () => {
    for (const hook of ["type nat hook postrouting priority 5; policy accept;", ""]) {
      const other = listing.replace("type nat hook postrouting priority srcnat; policy accept;", hook);
      assert.deepEqual(
        [...artifactsOf(readRuleset(other), asAsked).keys()].filter((key) => !key.startsWith("set ")),
        [],
      );
    }
  });

  it("shows a group that stands at the wrong place as not what was asked for", () => {
    const swapped = listing.replace("NAT44Rule/a", "NAT44Rule/c");
    const { facts } = artifactsOf(readRuleset(swapped), asAsked).get("postrouting 500.01000 NAT44Rule/b")!;
    assert.deepEqual(facts.rules, []);
  });
});

describe("a transaction", () => {
  it("touches the rules of a group that changes, and puts new ones in front of the next group", () => {
    const held = readRuleset(listing);
    const operations = [
      group("update", "postrouting 500.01000 NAT44Rule/a", ["accept", "drop"]),
      group("create", "postrouting 500.02000 NAT44Rule/a", ["drop"]),
    ];
    assert.deepEqual(
      transaction(held, operations, asAsked).map(({ text, operation }) => `${operation ?? "-"} ${text}`),
      [
        "- add table inet cairn",
        "0 delete rule inet cairn postrouting handle 6",
        '0 insert rule inet cairn postrouting handle 9 accept comment "500.01000 NAT44Rule/a"',
        '0 insert rule inet cairn postrouting handle 9 drop comment "500.01000 NAT44Rule/a"',
        '1 add rule inet cairn postrouting drop comment "500.02000 NAT44Rule/a"',
      ],
    );
  });

  it("changes a set by what came and what went", () => {
    const facts = { type: "ipv4_addr", elements: ["10.0.0.0/8", "192.0.2.1", "192.168.1.2"] };
    const change: KernelOperation = {
      class: "nft",
      key: "set AddressSet.lan.v4",
      verb: "update",
      facts,
      before: undefined,
    };
    assert.deepEqual(
      transaction(readRuleset(listing), [change], asAsked).map(({ text }) => text),
      [
        "add table inet cairn",
        "delete element inet cairn AddressSet.lan.v4 { 172.16.0.0/13 }",
        "add element inet cairn AddressSet.lan.v4 { 192.0.2.1 }",
      ],
    );
  });

  it("from any table to any other leaves what is asked for, in order, and touches nothing else", () => {
    const places = ["100.00001 A/a", "500.00001 A/a", "500.00001 B/b", "500.00002 A/a", "900.00000 C/c"];
    const keys = ["postrouting", "input", "forward"].flatMap((chain) => places.map((at) => `${chain} ${at}`));
    const wish = fc.uniqueArray(
      fc.record({
        key: fc.constantFrom(...keys, "set s", "set t"),
        rules: fc.array(fc.constantFrom("accept", "drop", "counter accept"), { minLength: 1, maxLength: 3 }),
        elements: fc.uniqueArray(fc.constantFrom("192.0.2.1", "192.0.2.2", "192.0.2.3")),
      }),
      { selector: ({ key }) => key, maxLength: 9 },
    );
    fc.assert(
      fc.property(fc.array(wish, { minLength: 1, maxLength: 4 }), fc.boolean(), (wishes, hasStranger) => {
        const table = new Table();
        let held = new Map<string, string>();
        for (const wanted of [...wishes, []]) {
          const next = new Map(wanted.map((each) => [each.key, JSON.stringify(factsOf(each))]));
          const operations: KernelOperation[] = [];
          for (const each of wanted) {
            const before = held.get(each.key);
            if (before === next.get(each.key)) continue;
            const verb = before === undefined ? "create" : "update";
            operations.push({ class: "nft", key: each.key, verb, facts: factsOf(each), before: undefined });
          }
          for (const key of held.keys()) if (!next.has(key)) operations.push(group("delete", key, []));
          const untouched = table.handles([...next].filter(([key, facts]) => held.get(key) === facts));
          table.run(transaction(table.list(), operations, asAsked));
          const now = artifactsOf(table.list(), asAsked);
          assert.deepEqual(
            new Map(
              [...now].map(
                ([
                  key,
                  {
                    facts: { packets, bytes, ...facts },
                  },
                ]) => [key, JSON.stringify(facts)],
              ),
            ),
            new Map([...next].sort(([a], [b]) => [...now.keys()].indexOf(a) - [...now.keys()].indexOf(b))),
          );
          for (const handle of untouched)
            assert.ok(table.has(handle), "a rule that did not change was touched");
          held = next;
          // Another hand at the end of a chain that is ours.
          if (hasStranger) table.stranger();
          if (hasStranger) for (const [chain] of table.list().chains) table.repaired(chain);
        }
        assert.deepEqual(table.list(), emptyRuleset);
      }),
      { numRuns: Number(process.env.CAIRN_NFT_RUNS ?? 300) },
    );
  });
});

function factsOf(each: { key: string; rules: string[]; elements: string[] }): KernelOperation["facts"] {
  return each.key.startsWith("set ")
    ? { type: "ipv4_addr", elements: [...each.elements].sort() }
    : { rules: each.rules.map(normalRule) };
}

function group(verb: KernelOperation["verb"], key: string, rules: string[]): KernelOperation {
  return { class: "nft", key, verb, facts: { rules }, before: undefined };
}

/** The table as the kernel would keep it: carries out commands, and refuses what it refuses. */
class Table {
  private exists = false;
  private handle = 1;
  private readonly chains = new Map<
    string,
    { hook: string; rules: { handle: number; text: string; comment: string }[] }
  >();
  private readonly sets = new Map<string, Set<string>>();

  list(): Ruleset {
    const counted = { packets: 0, bytes: 0 };
    return {
      chains: new Map(
        [...this.chains].map(([name, { hook, rules }]) => [
          name,
          { hook, rules: rules.map((rule) => ({ ...rule, ...counted })) },
        ]),
      ),
      sets: new Map(
        [...this.sets].map(([name, elements]) => [name, { type: "ipv4_addr", elements: [...elements] }]),
      ),
    };
  }

  run(commands: readonly Command[]): void {
    for (const { text } of commands) this.command(text);
  }

  handles(groups: readonly (readonly [string, string])[]): number[] {
    return groups.flatMap(([key]) => {
      const [chain, ...place] = key.split(" ");
      const rules = this.chains.get(chain)?.rules ?? [];
      return rules.filter(({ comment }) => comment === place.join(" ")).map(({ handle }) => handle);
    });
  }

  has(handle: number): boolean {
    return [...this.chains.values()].some(({ rules }) => rules.some((rule) => rule.handle === handle));
  }

  stranger(): void {
    for (const { rules } of this.chains.values()) {
      if (rules.length > 0) rules.push({ handle: ++this.handle, text: "accept", comment: "" });
    }
  }

  /** Takes strangers out as the update of their group would. */
  repaired(chain: string): void {
    const held = this.list();
    const asked = [...artifactsOf(held, asAsked)].filter(([key]) => key.startsWith(`${chain} `)).at(-1);
    if (!asked) return;
    const rules = (asked[1].facts.rules as string[]).slice(0, -1);
    this.run(transaction(held, [group("update", asked[0], rules)], asAsked));
  }

  private command(text: string): void {
    const [, verb, what, rest] = /^(\w+) (\w+) inet cairn ?(.*)$/.exec(text)!;
    const [name, ...more] = rest.split(" ");
    if (what === "table") {
      this.exists = verb === "add";
      if (this.exists) return;
      this.chains.clear();
      this.sets.clear();
      return;
    }
    assert.ok(this.exists, `no table for ${text}`);
    if (what === "set" && verb === "add") {
      assert.ok(!this.sets.has(name), text);
      this.sets.set(name, new Set());
    } else if (what === "set") assert.ok(this.sets.delete(name), text);
    else if (what === "element") {
      const set = this.sets.get(name)!;
      for (const element of more.join(" ").replace(/[{}]/g, "").split(",")) {
        if (verb === "add") set.add(element.trim());
        else assert.ok(set.delete(element.trim()), text);
      }
    } else if (what === "chain" && verb === "add") {
      assert.ok(!this.chains.has(name), text);
      this.chains.set(name, { hook: chainHooks[name], rules: [] });
    } else if (what === "chain") {
      const chain = this.chains.get(name);
      assert.ok(chain, text);
      chain.rules.length = 0;
      if (verb === "delete") this.chains.delete(name);
    } else this.rule(verb, name, more, text);
  }

  private rule(verb: string, name: string, words: readonly string[], text: string): void {
    const rules = this.chains.get(name)?.rules;
    assert.ok(rules, text);
    const at =
      words[0] === "handle" ? rules.findIndex(({ handle }) => handle === Number(words[1])) : rules.length;
    assert.notEqual(at, -1, text);
    if (verb === "delete") {
      rules.splice(at, 1);
      return;
    }
    const [, body, comment] = /^(.*) comment "(.*)"$/.exec(
      words.slice(words[0] === "handle" ? 2 : 0).join(" "),
    )!;
    rules.splice(at, 0, { handle: ++this.handle, text: body, comment });
  }
}
