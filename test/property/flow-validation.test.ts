/**
 * Rules of FlowSpec under churn of unicast routes: what is used at rest is what RFC 8955 section 6 and RFC 9117 say of the
 * routes that are best then, read from a list of them and not from what the core keeps to answer faster.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parsePrefix, prefixContains } from "../../src/base/ip.ts";
import { ipv4Flowspec, ipv4Unicast } from "../../src/wire/family.ts";
import { CoreRig, type Peer } from "../rfc/core-rig.ts";

const prefixes = [
  ...["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/17", "10.1.128.0/17", "10.1.1.0/24"],
  ...["10.1.1.1/32", "10.2.0.0/16", "10.2.2.0/24", "192.0.2.0/24"],
];
/** Destinations of rules, in hexadecimal NLRI, for udp. */
const destinations = [
  "10.0.0.0/8",
  "10.1.0.0/16",
  "10.1.1.0/24",
  "10.1.1.1/32",
  "10.2.0.0/16",
  "192.0.2.0/24",
];
const addresses = ["192.0.2.2", "192.0.2.3", "192.0.2.4"];

function ruleOf(prefix: string): string {
  const parsed = parsePrefix(prefix);
  assert.ok(typeof parsed !== "string");
  const length = parsed.length.toString(16).padStart(2, "0");
  const bytes = Buffer.from(parsed.bytes.subarray(0, (parsed.length + 7) >> 3)).toString("hex");
  return `flow4 01${length}${bytes}038111`;
}

type Step =
  | { readonly kind: "announce" | "withdraw"; readonly peer: number; readonly prefix: number }
  | { readonly kind: "rule" | "unrule"; readonly peer: number; readonly prefix: number }
  | { readonly kind: "bounce"; readonly peer: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom("announce" as const, "announce" as const, "withdraw" as const),
      peer: fc.nat(addresses.length - 1),
      prefix: fc.nat(prefixes.length - 1),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("rule" as const, "rule" as const, "unrule" as const),
      peer: fc.nat(addresses.length - 1),
      prefix: fc.nat(destinations.length - 1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("bounce" as const), peer: fc.nat(addresses.length - 1) }),
  },
);

function carryOut(peers: readonly Peer[], step: Step): void {
  const peer = peers[step.peer];
  if (step.kind === "bounce") {
    peer.drop();
    peer.connect();
  } else if (step.kind === "announce") peer.announce(prefixes[step.prefix]);
  else if (step.kind === "withdraw") peer.withdraw(prefixes[step.prefix]);
  else if (step.kind === "rule") peer.announceRules([ruleOf(destinations[step.prefix])]);
  else peer.withdrawRules([ruleOf(destinations[step.prefix])]);
}

/** NEIGHBOR RULE of what is used, and of what should be. */
function compare(rig: CoreRig): void {
  const best = rig
    .routes({ table: "best", paths: "best" }, ipv4Unicast)
    .map(({ prefix, neighbor, asPathText }) => {
      const parsed = parsePrefix(prefix);
      assert.ok(typeof parsed !== "string");
      return { parsed, neighbor, firstAs: asPathText.split(" ")[0] };
    });
  for (const neighbor of addresses) {
    const rules = rig.routes({ table: "received", neighbor, prePolicy: true }, ipv4Flowspec);
    for (const { prefix: rule, asPathText, rejectReason } of rules) {
      const parsed = parsePrefix(rule.split(" ")[1]);
      assert.ok(typeof parsed !== "string");
      const covering = best.filter(
        (route) => prefixContains(route.parsed, parsed.bytes) && route.parsed.length <= parsed.length,
      );
      const match = covering.sort((a, b) => b.parsed.length - a.parsed.length)[0];
      const parts = best.filter(
        (route) => route.parsed.length > parsed.length && prefixContains(parsed, route.parsed.bytes),
      );
      const isUsed =
        match !== undefined &&
        match.neighbor === neighbor &&
        match.firstAs === asPathText.split(" ")[0] &&
        parts.every(({ firstAs }) => firstAs === match.firstAs);
      assert.equal(rejectReason === "", isUsed, `${neighbor} ${rule}: ${rejectReason || "used"}`);
    }
  }
}

test("the rules that are used are those that the best routes bear out", () => {
  const numRuns = Number(process.env.FLOW_VALIDATION_RUNS ?? 15);
  fc.assert(
    fc.property(fc.array(fc.array(step, { minLength: 1, maxLength: 8 }), { maxLength: 12 }), (batches) => {
      const rig = new CoreRig();
      const families = ["ipv4-unicast", "ipv4-flowspec"];
      const peers = addresses.map((address, i) => rig.peer(address, { remoteAsn: 65002 + i, families }));
      for (const batch of batches) {
        for (const one of batch) carryOut(peers, one);
        rig.advance(50);
        compare(rig);
      }
    }),
    { numRuns },
  );
});
