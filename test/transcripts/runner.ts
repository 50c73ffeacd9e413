/**
 * Transcripts: scripts of a few lines that several speakers act out, with what can be seen of it written under each
 * command. A line is a command; lines that begin with a space are what it printed. `--rewrite` writes them anew.
 *
 *   speaker A asn=64500 [id=ADDR]        address 10.0.0.N by order
 *   link A B [KEY=VALUE on both] [a.KEY=VALUE] [b.KEY=VALUE]    declares both neighbors (fields of NeighborSpec as JSON)
 *   policy A NAME JSON                   statements
 *   inject A PREFIX [KEY=VALUE]          fields of InjectedPath as JSON
 *   retract A PREFIX | set A B KEY=VALUE.. | operate A B OP [message]
 *   cut A B | heal | run SECONDS
 *   show sessions | show table A | show received A B | show events A | show rejected A B
 */

import { fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { GlobalSpecSchema } from "../../src/gen/cairn/v1/global_service_pb.ts";
import { InjectedPathSchema } from "../../src/gen/cairn/v1/injection_service_pb.ts";
import { NeighborSpecSchema, SessionState } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { PolicySpecSchema } from "../../src/gen/cairn/v1/policy_service_pb.ts";
import type { Route } from "../../src/gen/cairn/v1/types_pb.ts";
import type { MutationOp } from "../../src/state/mutation.ts";
import type { Operation } from "../../src/state/operation.ts";
import { RouteBatch } from "../../src/state/route-batch.ts";
import { families } from "../../src/wire/family.ts";
import { Clock } from "../sim/clock.ts";
import { Dice } from "../sim/dice.ts";
import { Hash } from "../sim/hash.ts";
import { Journal } from "../sim/journal.ts";
import { Net, type TcpEffect } from "../sim/net.ts";
import { Speaker, type SpeakerWorld } from "../sim/speaker.ts";

const namesMax = 9;

class Stage implements SpeakerWorld {
  readonly clock = new Clock();
  readonly dice = new Dice(1);
  readonly hash = new Hash();
  readonly journals: Journal[] = [];
  readonly speakers: Speaker[] = [];
  readonly names: string[] = [];
  readonly asns: number[] = [];
  readonly net: Net;
  events: number[] = [];

  constructor() {
    const faults = { latencyMsMin: 1, latencyMsMax: 1, segmentMax: 65_536, windowBytes: 1 << 20, refuse: 0 };
    this.net = new Net(this.clock, this.dice, this.speakers, namesMax, faults);
  }

  record(): void {}
  turned(): void {}
  tamper(): boolean {
    return false;
  }
  turnNumber(): number {
    return 0;
  }
  resumed(speaker: number): void {
    this.net.kick(speaker);
  }
  tcp(speaker: number, effect: TcpEffect): void {
    this.net.apply(speaker, effect);
  }

  add(name: string): Speaker {
    const index = this.speakers.length;
    this.journals.push(new Journal(this.clock, this.dice, { commitMsMax: 1, slow: 0, fail: 0 }));
    const speaker = new Speaker(this, index, { budgetMin: 6000, budgetMax: 6000, tracked: false });
    this.speakers.push(speaker);
    this.names.push(name);
    this.events.push(0);
    speaker.start();
    return speaker;
  }

  named(name: string): Speaker {
    const index = this.names.indexOf(name);
    if (index < 0) throw new Error(`no speaker ${name}`);
    return this.speakers[index];
  }

  nameOf(address: string): string {
    return this.names[this.speakers.findIndex((speaker) => speaker.address === address)] ?? address;
  }

  run(ms: number): void {
    const until = this.clock.nowMs + ms;
    while (this.clock.step(until));
  }

  mutate(speaker: Speaker, ops: readonly MutationOp[]): string[] {
    const out: string[] = [];
    const base = {
      expectedGeneration: 0,
      dryRun: false,
      reason: "",
      requestId: "",
      principal: "test",
      source: "api",
    };
    speaker.mutate({ ops, ...base }, (outcome) => {
      if (!outcome.ok) for (const { code, message } of outcome.problems) out.push(`${code}: ${message}`);
    });
    this.run(20);
    return out;
  }
}

type Command = (stage: Stage, words: readonly string[]) => string[];

const commands: Readonly<Record<string, Command>> = {
  speaker(stage, [name, ...fields]) {
    const speaker = stage.add(name);
    const { asn, id, ...more } = jsonOf(fields) as { asn: number; id?: string };
    stage.asns.push(asn);
    const routerId = id ?? `192.0.2.${speaker.index + 1}`;
    const spec = fromJson(GlobalSpecSchema, { asn, routerId, requirePolicy: false, ...more });
    return stage.mutate(speaker, [{ op: "put", kind: "Global", spec }]);
  },
  link(stage, [a, b, ...fields]) {
    const of = (side: string): JsonObject =>
      jsonOf(fields.flatMap((f) => (f.startsWith(`${side}.`) ? [f.slice(2)] : /^[ab]\./.test(f) ? [] : [f])));
    return [...declare(stage, a, b, of("a")), ...declare(stage, b, a, of("b"))];
  },
  policy(stage, [name, policy, ...rest]) {
    const spec = fromJson(PolicySpecSchema, { name: policy, ...(JSON.parse(rest.join(" ")) as JsonObject) });
    return stage.mutate(stage.named(name), [{ op: "put", kind: "Policy", spec }]);
  },
  inject(stage, [name, prefix, ...fields]) {
    const path = fromJson(InjectedPathSchema, { prefix, ...jsonOf(fields) });
    return stage.mutate(stage.named(name), [{ op: "inject", path }]);
  },
  retract(stage, [name, prefix]) {
    return stage.mutate(stage.named(name), [{ op: "retract", prefix, pathId: 0 }]);
  },
  set(stage, [name, other, ...fields]) {
    const json = jsonOf(fields);
    const address = stage.named(other).address;
    const spec = fromJson(NeighborSpecSchema, { address, ...json });
    const mask = Object.keys(json).map((key) =>
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    );
    return stage.mutate(stage.named(name), [{ op: "patch", kind: "Neighbor", name: address, spec, mask }]);
  },
  operate(stage, [name, other, op, ...text]) {
    const { address } = stage.named(other);
    const operation = { op, address, families: [], refresh: text[0] === "refresh", message: text.join(" ") };
    const out: string[] = [];
    stage.named(name).operate(operation as unknown as Operation, (outcome) => {
      if (!outcome.ok) for (const { code, message } of outcome.problems) out.push(`${code}: ${message}`);
    });
    stage.run(0);
    return out;
  },
  cut(stage, [a, b]) {
    stage.net.block(stage.named(a).index, stage.named(b).index);
    stage.net.block(stage.named(b).index, stage.named(a).index);
    return [];
  },
  heal(stage) {
    stage.net.heal();
    return [];
  },
  run(stage, [seconds]) {
    stage.run(Number(seconds) * 1000);
    return [];
  },
  show: (stage, [what, ...words]) => shows[what](stage, words),
};

const shows: Readonly<Record<string, Command>> = {
  sessions: (stage) =>
    stage.speakers.flatMap((speaker, i) =>
      [...speaker.core!.neighbors.all()].map((record) => {
        const state = speaker.core!.sessions.state(record.id, speaker.core!.nowMs, speaker.core!.wallMs);
        const name = stateName(state.sessionState);
        const why = state.sessionState === SessionState.ESTABLISHED ? "" : `: ${state.status}`;
        return `${stage.names[i]} with ${stage.nameOf(record.config.address)}  ${name}${why}`;
      }),
    ),
  table: (stage, [name]) => routes(stage, name, { table: "best", paths: "all" }),
  received: (stage, [name, other]) =>
    routes(stage, name, { table: "received", neighbor: stage.named(other).address, prePolicy: true }),
  rejected: (stage, [name, other]) =>
    routes(stage, name, { table: "rejected", neighbor: stage.named(other).address }),
  events(stage, [name]) {
    const speaker = stage.named(name);
    const { events, scannedTo } = speaker.view!.events(stage.events[speaker.index], undefined, 1000);
    stage.events[speaker.index] = scannedTo;
    const quiet = /session\.state|generation|daemon/;
    return events
      .filter((event) => !quiet.test(event.topic))
      .map(
        (event) =>
          `${stage.nameOf(event.object.replace("Neighbor/", ""))}  ${event.topic.replace("cairn.bgp.", "")}: ${event.summary}`,
      );
  },
};

function routes(
  stage: Stage,
  name: string,
  table: Parameters<NonNullable<Speaker["view"]>["walk"]>[0],
): string[] {
  const list = new RouteBatch();
  for (const family of families) {
    const walk = stage.named(name).view!.walk(table, family, undefined, "");
    if (walk.ok) while (!walk.value.next(list, 1000, 10_000));
  }
  return list
    .routes()
    .map((route) => routeLine(stage, route))
    .sort();
}

function routeLine(stage: Stage, route: Route): string {
  const parts = [
    route.prefix,
    `from ${stage.nameOf(route.neighbor)}`,
    `next hop ${route.nextHop}`,
    `path ${route.asPathText || "-"}`,
    route.localPref === undefined ? "" : `local-pref ${route.localPref}`,
    route.med === undefined ? "" : `med ${route.med}`,
    route.communities.join(" "),
    route.originatorId === "" || route.originatorId === undefined ? "" : `originator ${route.originatorId}`,
    (route.clusterList ?? []).length > 0 ? `clusters ${route.clusterList.join(" ")}` : "",
    route.best ? "best" : "",
    route.rejectReason ? `rejected: ${route.rejectReason}` : "",
  ];
  return parts.filter((part) => part !== "").join("  ");
}

function stateName(state: SessionState): string {
  const [name] = Object.entries(SessionState).find(([, value]) => value === state)!;
  return name.toLowerCase().replace("session_state_", "").replace("_", "-");
}

function declare(stage: Stage, from: string, to: string, fields: JsonObject): string[] {
  const other = stage.named(to);
  const json = { address: other.address, remoteAsn: stage.asns[other.index], holdTime: "9s", ...fields };
  const spec = fromJson(NeighborSpecSchema, json);
  return stage.mutate(stage.named(from), [{ op: "put", kind: "Neighbor", spec }]);
}

/** `key=value` words; a value that is JSON is taken as such. */
function jsonOf(words: readonly string[]): JsonObject {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf("=");
      const text = word.slice(at + 1);
      let value: JsonValue = text;
      try {
        value = JSON.parse(text) as JsonValue;
      } catch {
        // plain text
      }
      return [word.slice(0, at), value];
    }),
  );
}

/** Acts a transcript out. @returns it with what happens now */
export function perform(text: string): string {
  const stage = new Stage();
  const out: string[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith(" ")) continue;
    out.push(line);
    if (line === "" || line.startsWith("#")) continue;
    const [command, ...words] = line.split(" ");
    const known = commands[command];
    if (!known) throw new Error(`no command ${command}`);
    for (const each of known(stage, words)) out.push(`  ${each}`);
  }
  return out.join("\n");
}
