import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Artifact, ArtifactClass, Observed } from "./artifact.ts";
import type { LedgerPhase, LedgerRow } from "./ledger.ts";
import { decide, inOrder, type Verb } from "./planner.ts";

const entry: ArtifactClass = { name: "route", order: 1, nature: "entry" };
const setting: ArtifactClass = { name: "sysctl", order: 1, nature: "setting" };
const name = { class: "route", key: "k" };
const wish = (value: string, adopt: boolean): Artifact => ({
  ...name,
  facts: { value },
  adopt,
  repair: true,
});
const held = (value: string, identity: string): Observed => ({ facts: { value, more: 1 }, identity });
const row = (value: string, phase: LedgerPhase, identity: string, before?: string): LedgerRow => ({
  ...name,
  owner: "K/n",
  phase,
  facts: { value },
  identity,
  ...(before !== undefined && { before: { value: before } }),
});

describe("planner", () => {
  it("touches no entry that the ledger does not name, unless it was asked to adopt it", () => {
    for (const asked of [undefined, wish("a", false)]) {
      for (const value of ["a", "b"]) {
        for (const known of [undefined, row("a", "confirmed", "7"), row("b", "intended", "7")]) {
          const { verb } = decide(entry, asked, held(value, "9"), known);
          const expected: Verb = asked ? "conflict" : known ? "forget" : "keep";
          assert.equal(verb, expected, `${asked?.key} ${value} ${known?.phase}`);
        }
      }
    }
    assert.equal(decide(entry, wish("a", true), held("a", "9"), undefined).verb, "adopt");
    assert.equal(decide(entry, wish("a", true), held("b", "9"), undefined).verb, "update");
  });

  it("leaves nothing that nobody asks for where all entries are ours", () => {
    const exclusive = { ...entry, exclusive: true };
    assert.deepEqual(decide(exclusive, undefined, held("a", ""), undefined), {
      verb: "delete",
      drift: false,
    });
    assert.equal(decide(exclusive, undefined, undefined, undefined).verb, "keep");
    assert.equal(decide(exclusive, undefined, held("a", ""), row("a", "confirmed", "")).verb, "delete");
    assert.equal(decide(exclusive, wish("a", true), held("a", ""), undefined).verb, "adopt");
  });

  it("follows its table for entries that are ours", () => {
    const phases: LedgerPhase[] = ["intended", "confirmed", "removing"];
    for (const phase of phases) {
      for (const identity of ["", "7"]) {
        const ours = row("a", phase, identity);
        assert.equal(decide(entry, wish("a", false), held("a", "7"), ours).verb, "keep");
        assert.equal(decide(entry, undefined, held("a", "7"), ours).verb, "delete");
        assert.equal(decide(entry, undefined, held("b", "7"), ours).verb, "delete");
        assert.equal(decide(entry, undefined, undefined, ours).verb, "forget");
        const lost = decide(entry, wish("a", false), undefined, ours);
        assert.deepEqual(lost, { verb: "create", drift: phase === "confirmed" });
        const altered = decide(entry, wish("a", false), held("b", "7"), ours);
        assert.deepEqual(altered, { verb: "update", drift: phase === "confirmed" });
        // Another thing is asked for, and the kernel holds what we put there: no drift.
        assert.deepEqual(decide(entry, wish("b", false), held("a", "7"), ours), {
          verb: "update",
          drift: false,
        });
      }
    }
    assert.equal(decide(entry, undefined, undefined, undefined).verb, "keep");
    assert.deepEqual(decide(entry, wish("a", false), undefined, undefined), { verb: "create", drift: false });
  });

  it("gives settings back as they were found, unless somebody has altered them since", () => {
    const ours = row("a", "confirmed", "", "b");
    assert.equal(decide(setting, undefined, held("a", ""), ours).verb, "restore");
    assert.equal(decide(setting, undefined, held("c", ""), ours).verb, "forget");
    assert.equal(decide(setting, undefined, held("a", ""), row("a", "confirmed", "", "a")).verb, "forget");
    assert.equal(decide(setting, undefined, held("b", ""), row("a", "intended", "", "b")).verb, "forget");
    assert.equal(decide(setting, wish("a", false), held("b", ""), undefined).verb, "update");
    assert.equal(decide(setting, wish("a", false), held("a", ""), undefined).verb, "adopt");
    assert.deepEqual(decide(setting, wish("a", false), held("c", ""), ours), { verb: "update", drift: true });
    assert.equal(decide(setting, wish("a", false), undefined, undefined).verb, "unsupported");
    assert.equal(decide(setting, undefined, undefined, ours).verb, "forget");
  });

  it("makes anew what the kernel does not alter, and holds what it alters by itself for what was written", () => {
    const fixed: ArtifactClass = { ...entry, needsNew: (a, b) => a.value !== b.value };
    const moving: ArtifactClass = { ...entry, moving: ["value"] };
    for (const phase of ["intended", "confirmed", "removing"] as const) {
      const ours = row("a", phase, "7");
      assert.equal(decide(fixed, wish("b", false), held("a", "7"), ours).verb, "remake");
      assert.equal(decide(fixed, wish("a", false), held("a", "7"), ours).verb, "keep");
      assert.equal(decide(fixed, wish("b", false), held("a", "9"), ours).verb, "conflict");
      const moved = decide(moving, wish("a", false), held("c", "7"), ours);
      assert.deepEqual(moved, { verb: phase === "confirmed" ? "keep" : "update", drift: false });
      assert.equal(decide(moving, wish("b", false), held("c", "7"), ours).verb, "update");
      assert.equal(decide(moving, wish("a", false), undefined, ours).verb, "create");
    }
    assert.equal(decide(fixed, wish("b", true), held("a", "9"), undefined).verb, "remake");
  });

  it("makes before it breaks, and takes things away in the order opposite to that of making", () => {
    const nature = "entry" as const;
    const classes = new Map<string, ArtifactClass>([
      ["nft", { name: "nft", order: 0, nature, together: true }],
      ["link", { name: "link", order: 1, nature }],
      ["address", { name: "address", order: 2, nature }],
      ["route", { name: "route", order: 3, nature }],
    ]);
    const operations = (["delete", "create"] as const).flatMap((verb) =>
      ["route", "nft", "link", "address"].map((each) => ({ verb, class: each, key: "k" })),
    );
    assert.deepEqual(
      inOrder(operations, (each) => classes.get(each)!).map(({ verb, class: each }) => `${verb} ${each}`),
      [
        ...["delete nft", "create nft", "create link", "create address", "create route"],
        ...["delete route", "delete address", "delete link"],
      ],
    );
  });
});
