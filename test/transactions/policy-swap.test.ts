/**
 * Policies changed on a running router. While routes come and go, a neighbor sees per prefix the old or the new outcome
 * and nothing else, and hears nothing of a prefix whose outcome is the same. Afterwards everything is as on a router
 * that was started with the new policy.
 *
 * `CAIRN_SWAP_ROUTES` routes, default 8,000 (the whole: 50,000); `CAIRN_SWAP_POLICIES` random policies, default 30 (300).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { seededRandom } from "../../src/base/random.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import { CoreRig, type Peer } from "../rfc/core-rig.ts";
import { attributesHex, nlriHex } from "../rfc/wire-text.ts";
import { update } from "../support/wire.ts";
import { Lab, putOf } from "./matrix-lab.ts";
import { same, seenText } from "./matrix-seen.ts";
import { labObjects, samples } from "./samples.ts";

const routes = Number(process.env.CAIRN_SWAP_ROUTES ?? 8_000);
const policies = Number(process.env.CAIRN_SWAP_POLICIES ?? 30);

/** Four kinds of prefixes: same under both policies, other attributes, accepted before, accepted after. */
const classes = ["10.0.0.0/10", "10.64.0.0/10", "10.128.0.0/10", "10.192.0.0/10"];

function prefixOf(i: number): string {
  const n = i >> 2;
  return `10.${(i & 3) * 64 + (n >> 8)}.${n & 255}.0/24`;
}

type Outcome = string | undefined;

/** Communities of an announced route as policy number `swaps` leaves them; undefined when it is refused. */
function outcome(i: number, swaps: number): Outcome {
  const isNew = swaps % 2 === 1;
  if ((i & 3) === 0) return "65001:1";
  if ((i & 3) === 1) return isNew ? "65001:3" : "65001:2";
  return ((i & 3) === 2) === isNew ? undefined : "65001:4";
}

function policyOf(swaps: number): MutationOp {
  const statements = classes.map((prefix, i): JsonObject => {
    const communities = outcome(i, swaps);
    const match = { prefixes: [{ prefix, le: 24 }] };
    if (!communities) return { match, action: "POLICY_ACTION_REJECT" };
    return { match, set: { communities_add: [communities] }, action: "POLICY_ACTION_ACCEPT" };
  });
  return putOf("Policy/swapped", { name: "swapped", statements });
}

for (const direction of ["import", "export"] as const) {
  test(`${direction} policy swapped under churn of ${routes} routes: old or new outcome, nothing for what is equal`, (t) => {
    const rig = new CoreRig();
    rig.mutate(policyOf(0));
    const source = rig.peer("192.0.2.2", {
      remoteAsn: 65002,
      ...(direction === "import" ? { import: ["swapped"] } : {}),
    });
    const observer = rig.peer("192.0.2.3", {
      remoteAsn: 65003,
      ...(direction === "export" ? { export: ["swapped"] } : {}),
    });
    const all = Array.from({ length: routes }, (_, i) => i);
    for (let i = 0; i < routes; i += 700) source.announce(all.slice(i, i + 700).map(prefixOf), { med: 0 });
    const watch = new Watch(source, observer);
    watch.holdsExactly(0);
    const churn = new Churn(source, seededRandom(7));
    let messages = 0;
    for (let swaps = 1; swaps <= 4; swaps++) {
      watch.begin(swaps, churn);
      const mutation = {
        ops: [policyOf(swaps)],
        expectedGeneration: 0,
        dryRun: false,
        reason: "",
        requestId: "",
      };
      const input = {
        kind: "mutate",
        call: 0,
        mutation: { ...mutation, principal: "t", source: "api" },
      } as const;
      rig.core.handle(input, rig.nowMs, rig.wallMs);
      let turns = 0;
      for (; rig.turn(routes / 200); turns++) {
        if (turns < 60) churn.step();
        watch.look();
      }
      assert.ok(turns >= 4, `the sweep took ${turns} turns: churn met it half done`);
      rig.run();
      watch.look();
      watch.holdsExactly(swaps);
      messages += watch.messages;
    }
    t.diagnostic(`${churn.changed} routes changed meanwhile, ${messages} UPDATEs`);
  });
}

/** Routes that come, go and change while policies do. */
class Churn {
  /** MED by route now; undefined: withdrawn. */
  readonly med: (string | undefined)[];
  readonly touched = new Set<number>();
  changed = 0;
  private readonly source: Peer;
  private readonly random: () => number;

  constructor(source: Peer, random: () => number) {
    this.source = source;
    this.random = random;
    this.med = Array.from({ length: routes }, () => "0");
  }

  step(): void {
    const some = Array.from({ length: 20 }, () => Math.floor(this.random() * routes));
    this.changed += some.length;
    for (const i of some) this.touched.add(i);
    const prefixes = nlriHex([...new Set(some)].map(prefixOf));
    if (this.random() < 0.3) {
      this.source.post(update("", "", prefixes));
      for (const i of some) this.med[i] = undefined;
      return;
    }
    const med = Math.floor(this.random() * 1000);
    this.source.post(
      update(attributesHex({ origin: "igp", path: "65002", nextHop: "192.0.2.2", med }, 4), prefixes),
    );
    for (const i of some) this.med[i] = String(med);
  }
}

const numberOf = new Map(Array.from({ length: routes }, (_, i) => [prefixOf(i), i]));

/** What the observer hears, held against both policies. */
class Watch {
  messages = 0;
  private readonly observer: Peer;
  private swaps = 0;
  private churn: Churn | undefined;
  private readonly isNew = new Set<number>();

  constructor(_source: Peer, observer: Peer) {
    this.observer = observer;
    observer.forget();
  }

  begin(swaps: number, churn: Churn): void {
    this.swaps = swaps;
    this.churn = churn;
    churn.touched.clear();
    this.isNew.clear();
    this.messages = 0;
  }

  look(): void {
    for (const { withdrawn, reach, route } of this.observer.updates) {
      this.messages++;
      for (const prefix of withdrawn) this.heard(prefix, undefined);
      for (const prefix of reach) this.heard(prefix, route.communities);
    }
    this.observer.forget();
  }

  private heard(prefix: string, found: Outcome): void {
    const i = numberOf.get(prefix)!;
    const [before, after] = [outcome(i, this.swaps - 1), outcome(i, this.swaps)];
    const isTouched = this.churn!.touched.has(i);
    if (!isTouched) {
      assert.notEqual(before, after, `${prefix} has the same outcome and is heard of`);
      assert.equal(found, after, `${prefix} was ${before}, is ${found}`);
      assert.ok(!this.isNew.has(i), `${prefix} is heard of twice`);
    } else if (found !== undefined) {
      assert.ok(found === before || found === after, `${prefix} is ${found}: neither ${before} nor ${after}`);
      if (this.isNew.has(i)) assert.equal(found, after, `${prefix} went back to the old policy`);
    }
    if (found === after && before !== after) this.isNew.add(i);
  }

  /** The observer holds what the policy makes of what is announced. */
  holdsExactly(swaps: number): void {
    for (let i = 0; i < routes; i++) {
      const med = this.churn ? this.churn.med[i] : "0";
      const wanted = med === undefined ? undefined : outcome(i, swaps);
      const found = this.observer.routes.get(prefixOf(i));
      assert.equal(found?.communities, wanted, prefixOf(i));
    }
  }
}

test(`after ${policies} random changes of policy everything is as on a router started so`, (t) => {
  const random = seededRandom(11);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];
  const objects: Record<string, JsonObject> = {
    ...labObjects,
    "Neighbor/192.0.2.3": { ...labObjects["Neighbor/192.0.2.3"], export: ["picky", "out"] },
    "Neighbor/10.0.0.5": {
      ...labObjects["Neighbor/10.0.0.5"],
      import: ["picky", "in"],
      export: ["picky", "out"],
    },
  };
  const lab = new Lab(objects);
  let differing = 0;
  for (let changes = 0; changes < policies; ) {
    const id = "Policy/picky";
    const spec = randomPolicy(pick, random);
    const op = putOf(id, spec);
    const mutation = {
      ops: [op],
      expectedGeneration: 0,
      dryRun: true,
      reason: "",
      requestId: "",
      principal: "",
    };
    if (!lab.rig.core.objects.prepare({ ...mutation, source: "api" }, 0).ok) continue;
    changes++;
    objects[id] = spec;
    const before = seenText(lab.seen());
    lab.rig.mutate(op);
    const after = lab.seen();
    if (seenText(after) !== before) differing++;
    same(after, new Lab(objects).seen(), `with ${JSON.stringify(spec)}`);
  }
  t.diagnostic(`${differing} of ${policies} made a difference`);
  assert.ok(differing > policies / 2);
});

/** Up to three statements made of the conditions and actions that samples.ts has for each field. */
function randomPolicy(pick: <T>(list: readonly T[]) => T, random: () => number): JsonObject {
  const fieldsUnder = (path: string): [string, JsonObject[string]][] =>
    Object.entries(samples)
      .filter(([name]) => name.startsWith(`${path}.`) && !name.slice(path.length + 1).includes("."))
      .map(([name, { value }]) => [name.slice(path.length + 1), value!]);
  const some = (path: string): JsonObject => {
    const fields = fieldsUnder(path);
    return Object.fromEntries(Array.from({ length: Math.floor(random() * 3) }, () => pick(fields)));
  };
  const statements = Array.from({ length: 1 + Math.floor(random() * 3) }, () => ({
    match: some("Policy.statements.match"),
    set: some("Policy.statements.set"),
    ...pick<JsonObject>([{}, { action: "POLICY_ACTION_ACCEPT" }, { action: "POLICY_ACTION_NEXT_POLICY" }]),
  }));
  const refusing = { match: some("Policy.statements.match"), action: "POLICY_ACTION_REJECT" };
  return { name: "picky", statements: random() < 0.7 ? [...statements, refusing] : statements };
}
