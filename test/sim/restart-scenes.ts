/**
 * Graceful restart on a small stage: A announces through B to C, and A, or A and B, go away and come back while the
 * network delays, refuses and resets. A seed draws the details. What must hold at every turn:
 *
 * - C loses a route that A still declares only for a reason that the RFCs give: it was stale already when B lost A again
 *   (RFC 4724 4.2), a time ran out, the other side came back without it, or it restarted together with B;
 * - nothing is stale after its time;
 * - long-lived routes are marked when C hears of them, and do not go before their time.
 *
 * In the end C has what A declares, nothing is stale, and the tables hold nothing that nobody uses.
 */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parsePrefix } from "../../src/base/ip.ts";
import { GlobalSpecSchema } from "../../src/gen/cairn/v1/global_service_pb.ts";
import { InjectedPathSchema } from "../../src/gen/cairn/v1/injection_service_pb.ts";
import { GracefulRestart, NeighborSpecSchema } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import { AttributeFlag } from "../../src/wire/attribute-flags.ts";
import { ipv4Unicast } from "../../src/wire/family.ts";
import { checkResources } from "./checkers/resources.ts";
import { checkRestarts } from "./checkers/restarts.ts";
import { Clock } from "./clock.ts";
import { Dice } from "./dice.ts";
import { Failure, violated } from "./failure.ts";
import { Hash } from "./hash.ts";
import { Journal } from "./journal.ts";
import { Net, type TcpEffect } from "./net.ts";
import { Speaker, type SpeakerWorld } from "./speaker.ts";

/** One restart under loss; a second one at any moment of the first; A and B at once; A away for longer than it said. */
export const sceneKinds = ["loss", "double", "both", "long-lived"] as const;
export type SceneKind = (typeof sceneKinds)[number];

export interface SceneResult {
  readonly failure: Failure | undefined;
  /** Routes that C lost for a good reason although A still declares them. */
  readonly lost: number;
  readonly hash: string;
}

/** @param tamper for sentinels: true swallows the effect */
export function runScene(
  kind: SceneKind,
  seed: number,
  tamper: (speaker: Speaker, effect: Parameters<SpeakerWorld["tamper"]>[1]) => boolean = () => false,
): SceneResult {
  const scene = new Scene(kind, seed, tamper);
  let failure: Failure | undefined;
  try {
    scene.play();
  } catch (error) {
    failure =
      error instanceof Failure
        ? error
        : new Failure("crash", "exception", error instanceof Error ? (error.stack ?? "") : String(error));
  }
  return { failure, lost: scene.lost, hash: scene.hash.toString() };
}

const prefixes = Array.from({ length: 24 }, (_, n) => `100.64.${n}.0/24`);
/** A says that its restart takes so long; with long-lived routes short, so that it is longer away. */
const restartS = { loss: 120, double: 120, both: 120, "long-lived": 10 } as const;
const longLivedS = 60;
const asn = (index: number): number => 64_501 + index;
/** Work of a turn that is due takes a moment. */
const lateMs = 2000;

class Scene implements SpeakerWorld {
  readonly clock = new Clock();
  readonly hash = new Hash();
  readonly dice: Dice;
  readonly journals: readonly Journal[];
  readonly speakers: Speaker[];
  lost = 0;
  readonly tamper: SpeakerWorld["tamper"];
  private readonly net: Net;
  private readonly kind: SceneKind;
  /** What C has, as of its last turn. */
  private seen = new Set<string>();
  /** What was stale at each speaker as of its last turn. */
  private readonly stale = [[], [], []] as string[][];
  /** Routes that C may lose: what A takes back, and what was stale when A was lost again. */
  private readonly excused = new Set<string>();
  private readonly retracted = new Set<string>();
  private allExcused = false;
  private readonly heard = [0, 0, 0];
  private lostAtMs = Number.POSITIVE_INFINITY;
  private turns = 0;
  private checking = false;

  constructor(kind: SceneKind, seed: number, tamper: SpeakerWorld["tamper"]) {
    this.kind = kind;
    this.tamper = tamper;
    this.dice = new Dice(seed);
    const { clock, dice } = this;
    this.journals = [0, 1, 2].map(
      () => new Journal(clock, dice, { commitMsMax: dice.skewed(1, 50), slow: 0, fail: 0 }),
    );
    this.speakers = [0, 1, 2].map(
      (index) => new Speaker(this, index, { budgetMin: 50, budgetMax: 6000, tracked: false }),
    );
    this.net = new Net(clock, dice, this.speakers, 3, {
      ...{ latencyMsMin: 1, latencyMsMax: dice.pick([2, 40, 400]) },
      ...{ segmentMax: dice.skewed(40, 4000), windowBytes: dice.skewed(2048, 65_536), refuse: 0 },
    });
  }

  record(): void {}
  resumed(speaker: number): void {
    this.net.kick(speaker);
  }
  tcp(speaker: number, effect: TcpEffect): void {
    this.net.apply(speaker, effect);
  }
  turnNumber(): number {
    return ++this.turns;
  }

  turned(speaker: Speaker): void {
    if (!this.checking) return;
    this.hear(speaker);
    this.checkTimes(speaker);
    if (this.turns % 50 === 0) checkRestarts(speaker);
    if (speaker.index === 2) this.watchThird(speaker);
    this.stale[speaker.index] = prefixes.filter((text) => this.isStale(speaker, text));
  }

  play(): void {
    for (const speaker of this.speakers) this.configure(speaker);
    this.inject(prefixes);
    this.run(60_000);
    if (this.seen.size === 0) this.watchThird(this.speakers[2]);
    if (this.seen.size !== prefixes.length) violated("scene", `C has ${this.seen.size} routes at the start`);
    this.checking = true;
    this.misfortunes();
    this.run(60_000);
    this.net.heal();
    this.net.faults.refuse = 0;
    this.run(400_000);
    this.checkEnd();
  }

  private misfortunes(): void {
    const { dice, clock, kind, net } = this;
    const [a, b] = this.speakers;
    net.faults.refuse = dice.pick([0, 0.3]);
    const away = kind === "long-lived" ? dice.between(12_000, 90_000) : dice.between(500, 20_000);
    this.crash(a, away);
    if (kind === "double") {
      const again = away + dice.skewed(5, 20_000);
      clock.after(again, () => this.crash(a, dice.between(500, 20_000)));
    }
    if (kind === "both") clock.after(dice.between(0, 3000), () => this.crash(b, dice.between(500, 20_000)));
    if (kind !== "loss") return;
    for (let n = dice.between(2, 12); n > 0; n--) {
      const atMs = away + dice.between(0, 30_000);
      clock.after(atMs, () => (dice.chance(0.3) ? net.resetOne() : net.stallOne(dice.between(100, 5000))));
    }
  }

  private crash(speaker: Speaker, downMs: number): void {
    if (!speaker.alive) return;
    const machine = this.dice.chance(0.5);
    speaker.crash(machine);
    this.net.crash(speaker.index, machine);
    if (speaker.index === 0) this.lostAtMs = Math.min(this.lostAtMs, this.clock.nowMs);
    if (speaker.index === 1) {
      // What B kept of A is gone with it, and B does not wait for a neighbor that restarts too.
      this.allExcused = true;
    }
    this.clock.after(downMs, () => {
      speaker.start();
      // The first thing after the start, before anything is announced.
      if (speaker.index === 0) this.retract(this.dice.below(6));
    });
  }

  /** Why routes may go, as B and C tell it themselves. */
  private hear(speaker: Speaker): void {
    const { events, scannedTo } = speaker.view!.events(this.heard[speaker.index], undefined, 1000);
    this.heard[speaker.index] = scannedTo;
    const toward = `Neighbor/${this.speakers[speaker.index - 1]?.address}`;
    for (const { topic, object } of events) {
      // RFC 4724 4.2: what is stale when the session is lost again is not kept a second time.
      if (topic === "cairn.bgp.session.lost" && object === toward)
        for (const prefix of this.stale[speaker.index]) this.excused.add(prefix);
      if (topic !== "cairn.bgp.restart.expired" && topic !== "cairn.bgp.restart.dropped") continue;
      this.allExcused = true;
      const sinceS = (this.clock.nowMs - this.lostAtMs) / 1000;
      const dueS = this.kind === "long-lived" ? restartS[this.kind] + longLivedS : restartS[this.kind];
      if (topic === "cairn.bgp.restart.expired" && speaker.index === 1 && sinceS < dueS)
        violated("restarts", `routes expired after ${sinceS} s, not after ${dueS}`);
    }
  }

  private checkTimes({ core, index }: Speaker): void {
    for (const { stale, config } of core!.neighbors.all()) {
      for (const each of stale) {
        if (each && this.clock.nowMs - each.deadlineMs > lateMs)
          violated("restarts", `speaker ${index} keeps ${each.phase} routes of ${config.address} too long`);
      }
    }
  }

  private isStale(speaker: Speaker, text: string): boolean {
    const path = this.bestPath(speaker, text);
    return path !== 0 && speaker.core!.routing.table(ipv4Unicast).isStale(path);
  }

  private watchThird(speaker: Speaker): void {
    const table = speaker.core!.routing.table(ipv4Unicast);
    const now = new Set(prefixes.filter((text) => this.bestPath(speaker, text) !== 0));
    for (const text of this.seen) {
      if (now.has(text) || this.retracted.has(text)) continue;
      if (!this.allExcused && !this.excused.has(text))
        violated(
          "restarts",
          `C lost ${text} ${(this.clock.nowMs - this.lostAtMs) / 1000} s after A went away`,
        );
      this.lost++;
    }
    const helper = this.speakers[1].core?.neighbors.named(this.speakers[0].address);
    const stale = helper?.stale[ipv4Unicast.index];
    const longForMs =
      stale?.phase === "long-lived" ? stale.longLivedMs - (stale.deadlineMs - this.clock.nowMs) : 0;
    for (const text of longForMs > 10_000 ? now : []) {
      const path = this.bestPath(speaker, text);
      const flags = speaker.core!.routing.attributes.flags[table.paths.attr[path]];
      if ((flags & AttributeFlag.llgrStale) === 0) violated("restarts", `C has ${text} without LLGR_STALE`);
    }
    this.seen = now;
  }

  private checkEnd(): void {
    for (const speaker of this.speakers) {
      checkRestarts(speaker);
      checkResources(speaker);
      for (const { stale, config, negotiated } of speaker.core!.neighbors.all()) {
        if (!negotiated) violated("scene", `speaker ${speaker.index} has no session with ${config.address}`);
        if (stale.some(Boolean)) violated("scene", `speaker ${speaker.index} has stale routes in the end`);
      }
      const held = prefixes.filter((text) => this.bestPath(speaker, text) !== 0);
      // A retraction that A did not live to write down is none.
      const declared = [...this.journals[0].state().injected].map(({ prefix }) => prefix);
      if (held.sort().join(" ") !== declared.sort().join(" "))
        violated(
          "scene",
          `speaker ${speaker.index} has ${held.length} routes, A declares ${declared.length}`,
        );
    }
  }

  private bestPath({ core }: Speaker, text: string): number {
    const table = core!.routing.table(ipv4Unicast);
    const parsed = parsePrefix(text);
    if (typeof parsed === "string") throw new Error(parsed);
    const row = table.prefixes.find(parsed.bytes, 0, parsed.length);
    return row === 0 ? 0 : table.bestOf(row);
  }

  private run(ms: number): void {
    const until = this.clock.nowMs + ms;
    while (this.clock.step(until));
  }

  private configure(speaker: Speaker): void {
    speaker.start();
    const { index } = speaker;
    const global = create(GlobalSpecSchema, {
      ...{ asn: asn(index), routerId: `192.0.2.${index + 1}`, requirePolicy: false },
    });
    const neighbors = [index - 1, index + 1]
      .filter((other) => other >= 0 && other <= 2)
      .map((other): MutationOp => {
        const seconds = (count: number) => durationFromMs(count * 1000);
        const spec = create(NeighborSpecSchema, {
          ...{ address: this.speakers[other].address, remoteAsn: asn(other), holdTime: seconds(90) },
          ...{ connectRetryTime: seconds(1), idleHoldTime: seconds(1) },
          ...{ gracefulRestart: GracefulRestart.FULL, preserveForwarding: true },
          ...{ restartTime: seconds(restartS[this.kind]), staleTime: seconds(300) },
          ...(this.kind === "long-lived"
            ? { longLivedStaleTime: seconds(longLivedS), longLivedStaleMax: seconds(longLivedS) }
            : {}),
        });
        return { op: "put", kind: "Neighbor", spec };
      });
    this.mutate(speaker, [{ op: "put", kind: "Global", spec: global }, ...neighbors]);
  }

  private inject(list: readonly string[]): void {
    this.mutate(
      this.speakers[0],
      list.map((prefix) => ({ op: "inject", path: create(InjectedPathSchema, { prefix }) })),
    );
  }

  private retract(count: number): void {
    const list = prefixes.slice(this.retracted.size, this.retracted.size + count);
    for (const prefix of list) this.retracted.add(prefix);
    if (list.length === 0) return;
    this.mutate(
      this.speakers[0],
      list.map((prefix) => ({ op: "retract", prefix, pathId: 0 })),
    );
  }

  private mutate(speaker: Speaker, ops: readonly MutationOp[]): void {
    const origin = { reason: "", requestId: "", principal: "scene", source: "api" };
    speaker.mutate({ ops, expectedGeneration: 0, dryRun: false, ...origin }, (outcome) => {
      if (!outcome.ok) violated("scene", JSON.stringify(outcome.problems));
    });
  }
}
