/** What operators do and what goes wrong: one action at a time, drawn by the weights of the plan. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type InjectedPath, InjectedPathSchema } from "../../src/gen/cairn/v1/injection_service_pb.ts";
import { NeighborSpecSchema } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { Origin } from "../../src/gen/cairn/v1/types_pb.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import type { Dice } from "./dice.ts";
import { type Action, forbidden, globalSpec, neighborSpec, policySpec } from "./plan.ts";
import type { Speaker } from "./speaker.ts";
import type { World } from "./world.ts";

export class Workload {
  private readonly world: World;
  private readonly dice: Dice;

  constructor(world: World) {
    this.world = world;
    this.dice = world.dice;
  }

  /** Lets actions follow each other until `untilMs`. */
  start(untilMs: number): void {
    const { world, dice } = this;
    const next = (): void => {
      if (world.clock.nowMs >= untilMs) return;
      const action = dice.weighted(world.plan.actions);
      if (action) this.act(action);
      world.clock.after(dice.skewed(1, world.plan.actionMs * 3), next);
    };
    world.clock.after(dice.between(0, 2000), next);
  }

  private act(action: Action): void {
    const { world, dice } = this;
    const { plan, speakers, net } = world;
    const speaker = dice.pick(speakers);
    switch (action) {
      case "announce":
        world.mutate(
          speaker,
          this.many(() => ({ op: "inject", path: this.path() })),
        );
        break;
      case "withdraw":
        world.mutate(
          speaker,
          this.many(() => ({ op: "retract", prefix: this.prefix(), pathId: 0 })),
        );
        break;
      case "churn":
        this.churn(speaker);
        break;
      case "policy": {
        const name = dice.pick(["in-0", "in-1", "out-0", "out-1"]);
        world.mutate(speaker, [{ op: "put", kind: "Policy", spec: policySpec(plan, name, dice) }]);
        break;
      }
      case "neighbor": {
        const other = this.peerOf(speaker);
        const spec = neighborSpec(plan, speaker.index, other, dice, false);
        world.mutate(speaker, [{ op: "put", kind: "Neighbor", spec }]);
        break;
      }
      case "remove-neighbor":
        this.removeNeighbor(speaker);
        break;
      case "toggle":
        this.toggle(speaker);
        break;
      case "hard-reset":
        this.hardReset(speaker);
        break;
      case "soft-in":
        this.softIn(speaker);
        break;
      case "soft-out":
        speaker.operate({ op: "soft-reset-out", address: this.peerAddress(speaker), families: [] });
        break;
      case "global":
        world.mutate(speaker, [{ op: "put", kind: "Global", spec: globalSpec(plan, speaker.index, dice) }]);
        break;
      case "watch":
        world.watchers.open(speaker);
        break;
      case "read-watch":
        world.watchers.read();
        break;
      case "partition": {
        const a = dice.below(speakers.length);
        const b = dice.below(speakers.length);
        net.block(a, b);
        net.block(b, a);
        break;
      }
      case "one-way":
        net.block(dice.below(speakers.length), dice.below(speakers.length));
        break;
      case "heal":
        net.blocked.clear();
        break;
      case "stall":
        net.stallOne(dice.skewed(100, 120_000));
        break;
      case "reset":
        net.resetOne();
        break;
      case "crash":
        world.crash(speaker, dice.chance(0.4), dice.skewed(10, 60_000));
        break;
      case "planned-restart":
        world.restartAsPlanned(speaker, dice.skewed(10, 30_000));
        // The other side too, sometimes, while the first one is away.
        if (dice.chance(0.3)) {
          const other = speakers[this.peerOf(speaker)];
          world.clock.after(dice.skewed(1, 2000), () => world.crash(other, false, dice.skewed(10, 20_000)));
        }
        break;
      case "pause":
        speaker.pause(dice.skewed(1, 120_000));
        break;
      case "kernel":
        if (dice.chance(0.5)) speaker.setKernel(!speaker.lanUp, speaker.hasDefault);
        else speaker.setKernel(speaker.lanUp, !speaker.hasDefault);
        break;
      case "wall-jump":
        speaker.wallOffsetMs += dice.pick([-1, 1]) * dice.skewed(10, 3_600_000);
        break;
    }
  }

  private many(make: () => MutationOp): MutationOp[] {
    return Array.from({ length: this.dice.skewed(1, this.world.plan.burst) }, make);
  }

  /** The same prefixes announced and taken back at once, so that changes meet in the queues. */
  private churn(speaker: Speaker): void {
    const { world, dice } = this;
    const paths = this.many(() => ({ op: "inject", path: this.path() }));
    world.mutate(speaker, paths);
    const keys = paths.flatMap((op) => (op.op === "inject" ? [op.path.prefix] : []));
    world.clock.after(dice.skewed(1, 300), () => {
      world.mutate(
        speaker,
        keys.map((prefix) => ({ op: "retract", prefix, pathId: 0 })),
      );
      if (dice.chance(0.6)) world.clock.after(dice.skewed(1, 100), () => world.mutate(speaker, paths));
    });
  }

  private removeNeighbor(speaker: Speaker): void {
    const { world, dice } = this;
    const other = this.peerOf(speaker);
    world.mutate(speaker, [{ op: "delete", kind: "Neighbor", name: world.speakers[other].address }]);
    world.clock.after(dice.skewed(1, 20_000), () => {
      const spec = neighborSpec(world.plan, speaker.index, other, dice, false);
      world.mutate(speaker, [{ op: "put", kind: "Neighbor", spec }]);
    });
  }

  private toggle(speaker: Speaker): void {
    const { world, dice } = this;
    const address = this.peerAddress(speaker);
    const set = (shutdown: boolean): void => {
      const spec = create(NeighborSpecSchema, { address, shutdown, shutdownMessage: "maintenance" });
      const mask = ["shutdown", "shutdown_message"];
      world.mutate(speaker, [{ op: "patch", kind: "Neighbor", name: address, spec, mask }]);
    };
    set(true);
    world.clock.after(dice.skewed(1, 30_000), () => set(false));
  }

  private hardReset(speaker: Speaker): void {
    const { world, dice } = this;
    const other = world.speakers[this.peerOf(speaker)];
    speaker.operate({ op: "hard-reset", address: other.address, message: "try again" });
    // Both sides at once: their connections meet.
    if (dice.chance(0.5)) other.operate({ op: "hard-reset", address: speaker.address, message: "" });
  }

  private softIn(speaker: Speaker): void {
    const refresh = this.dice.chance(0.5);
    speaker.operate({ op: "soft-reset-in", address: this.peerAddress(speaker), families: [], refresh });
  }

  private peerOf(speaker: Speaker): number {
    const peers = this.world.pairs.flatMap(([a, b]) =>
      a === speaker.index ? [b] : b === speaker.index ? [a] : [],
    );
    return this.dice.pick(peers);
  }

  private peerAddress(speaker: Speaker): string {
    return this.world.speakers[this.peerOf(speaker)].address;
  }

  /** One prefix of the pool. */
  prefix(): string {
    const { plan } = this.world;
    const n = this.dice.below(plan.prefixes);
    if (n === 0) return "0.0.0.0/0";
    if (plan.ipv6 && n % 3 === 0) return `2001:db8:${(64 + (n % 4)).toString(10)}:${n.toString(16)}::/64`;
    return `100.${64 + (n % 4)}.${(n >> 2) & 255}.${(n >> 10) * 16}/28`;
  }

  private path(): InjectedPath {
    const { dice, world } = this;
    const prefix = this.prefix();
    const isIpv6 = prefix.includes(":");
    const other = dice.pick(world.speakers);
    const nextHops = isIpv6 ? ["", other.address6, "2001:db8:ffff::9"] : ["", other.address, "198.51.100.9"];
    const communities = dice.chance(0.6)
      ? []
      : [
          dice.pick([
            "65000:0",
            "65000:1",
            "65000:2",
            "65000:3",
            "no-export",
            "no-advertise",
            forbidden,
            "64502:7",
          ]),
        ];
    return create(InjectedPathSchema, {
      prefix,
      nextHop: dice.chance(0.7) ? "" : dice.pick(nextHops),
      origin: dice.pick([Origin.IGP, Origin.IGP, Origin.INCOMPLETE]),
      asPathText: dice.chance(0.7) ? "" : dice.pick(["64900", "64900 64901", "3356 {64902,64903}", "64502"]),
      localPref: dice.chance(0.85) ? undefined : 100 + dice.below(3) * 10,
      med: world.plan.meds && dice.chance(0.3) ? dice.below(5) : undefined,
      communities,
      largeCommunities: dice.chance(0.9) ? [] : ["65001:1:2"],
      owner: "sim",
      ttl: dice.chance(0.95) ? undefined : durationFromMs(dice.between(1, 300) * 1000),
    });
  }
}
