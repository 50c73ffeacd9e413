import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type Message } from "@bufbuild/protobuf";
import { parseIp } from "../base/ip.ts";
import type { Link } from "../dataplane/kernel-model.ts";
import type { LoggedPacket } from "../dataplane/netlink/packet-log-wire.ts";
import { FirewallRuleSpecSchema, FirewallZoneSpecSchema } from "../gen/cairn/v1/firewall_kinds_pb.ts";
import { Impact } from "../gen/cairn/v1/options_pb.ts";
import type { Surroundings } from "../resources/kind.ts";
import { Effects } from "./effects.ts";
import { FirewallLog } from "./firewall-log.ts";
import type { Dataplane } from "./kernel-watch.ts";

class Rig {
  readonly objects = new Map<string, Message>();
  readonly events: { topic: string; object: string; summary: string; facts: Record<string, string> }[] = [];
  readonly effects = new Effects();
  nowMs = 0;
  readonly log: FirewallLog;

  constructor(dataplane: Dataplane = "linux") {
    const names = (kind: string): string[] =>
      [...this.objects.keys()].filter((id) => id.startsWith(`${kind}/`)).map((id) => id.split("/")[1]);
    const around: Partial<Surroundings> = {
      names,
      spec: (kind, name) => this.objects.get(`${kind}/${name}`),
    };
    const links: Readonly<Record<number, string>> = { 2: "wan0", 3: "lan0" };
    this.log = new FirewallLog({
      dataplane,
      effects: this.effects,
      event: (topic, object, _, summary, facts) => void this.events.push({ topic, object, summary, facts }),
      nowMs: () => this.nowMs,
      specs: (kind) => names(kind).map((name) => this.objects.get(`${kind}/${name}`)!),
      around: () => around as Surroundings,
      link: (index) => (links[index] === undefined ? undefined : ({ name: links[index] } as Link)),
    });
  }

  put(kind: string, name: string, spec: Message | undefined): void {
    if (spec) this.objects.set(`${kind}/${name}`, spec);
    else this.objects.delete(`${kind}/${name}`);
    this.log.apply([{ kind, name, ...(spec && { after: spec }), impact: Impact.NONE, fields: [] }]);
  }

  /** Whether packets are asked for, of each time that this changed. */
  get asked(): boolean[] {
    return this.effects.list.map((effect) => effect.kind === "firewall.log" && effect.wanted);
  }
}

function packet(more: Partial<LoggedPacket>): LoggedPacket {
  return {
    ...{ prefix: "drop FirewallRule/telnet", inIndex: 2, outIndex: 0, protocol: 6, length: 60, sequence: 1 },
    ...{ sourcePort: 40_000, destinationPort: 23 },
    ...{ source: parseIp("198.51.100.7")!, destination: parseIp("192.0.2.2")!, ...more },
  };
}

const zone = (interfaces: string[]): Message => create(FirewallZoneSpecSchema, { name: "out", interfaces });
const rule = (log: boolean): Message => create(FirewallRuleSpecSchema, { name: "telnet", log });

describe("the log of the firewall", () => {
  it("is asked for while an object logs, and of a real kernel only", () => {
    const rig = new Rig();
    rig.log.start();
    rig.put("FirewallRule", "telnet", rule(false));
    assert.deepEqual(rig.asked, []);
    rig.put("FirewallRule", "telnet", rule(true));
    rig.put("FirewallRule", "other", rule(true));
    rig.put("FirewallRule", "telnet", undefined);
    assert.deepEqual(rig.asked, [true]);
    rig.put("FirewallRule", "other", rule(false));
    assert.deepEqual(rig.asked, [true, false]);
    const fake = new Rig("memory");
    fake.put("FirewallRule", "telnet", rule(true));
    assert.deepEqual(fake.asked, []);
  });

  it("tells of a packet with its rule, its zone and its ends", () => {
    const rig = new Rig();
    rig.put("FirewallZone", "out", zone(["wan0"]));
    rig.log.inputs["firewall.logged"]!({ kind: "firewall.logged", packets: [packet({})], dropped: 0 });
    const [{ topic, object, summary, facts }] = rig.events;
    assert.equal(topic, "cairn.firewall.packet.logged");
    assert.equal(object, "FirewallRule/telnet");
    assert.equal(
      summary,
      "FirewallRule/telnet dropped tcp 198.51.100.7:40000 to 192.0.2.2:23, from out (wan0) to the host",
    );
    assert.deepEqual(facts, {
      ...{ action: "drop", rule: "FirewallRule/telnet", zone: "out", in: "wan0", out: "", protocol: "tcp" },
      ...{ source: "198.51.100.7", destination: "192.0.2.2", source_port: "40000", destination_port: "23" },
      bytes: "60",
    });
  });

  it("follows zones that change, and knows ICMP, IPv6 and links without a zone", () => {
    const rig = new Rig();
    const told = (more: Partial<LoggedPacket>): string => {
      rig.log.inputs["firewall.logged"]!({ kind: "firewall.logged", packets: [packet(more)], dropped: 0 });
      return rig.events.at(-1)!.summary;
    };
    assert.match(told({}), /from wan0 to the host$/);
    rig.put("FirewallZone", "out", zone(["wan0"]));
    assert.match(told({}), /from out \(wan0\) to the host$/);
    rig.put("FirewallZone", "out", zone(["lan0"]));
    assert.match(told({}), /from wan0 to the host$/);
    const six = { source: parseIp("2001:db8::7")!, destination: parseIp("2001:db8::2")! };
    assert.match(
      told({ ...six, outIndex: 9 }),
      /tcp \[2001:db8::7\]:40000 to \[2001:db8::2\]:23, from wan0 to 9$/,
    );
    assert.match(told({ protocol: 1, sourcePort: 8, destinationPort: 0 }), /icmp 198.51.100.7 to 192.0.2.2,/);
    assert.equal(rig.events.at(-1)!.facts.icmp_type, "8");
    assert.match(told({ protocol: 47, sourcePort: 0, destinationPort: 0 }), /gre 198.51.100.7 to 192.0.2.2,/);
  });

  it("counts what was not told, and says so now and then", () => {
    const rig = new Rig();
    const dropped = (count: number): void =>
      rig.log.inputs["firewall.logged"]!({ kind: "firewall.logged", packets: [], dropped: count });
    dropped(5);
    dropped(7);
    rig.nowMs = 10_000;
    dropped(1);
    assert.deepEqual(
      rig.events.map(({ facts }) => facts.packets),
      ["5", "8"],
    );
    rig.log.inputs["firewall.logged"]!({
      kind: "firewall.logged",
      packets: [packet({ prefix: "IN=wan0 " }), packet({ source: new Uint8Array(0) }), packet({})],
      dropped: 0,
    });
    const { told, dropped: untold } = rig.log.state();
    assert.deepEqual([told, untold], [1, 13], "what others log to the group is no packet of ours");
  });

  it("says why nothing comes, and when it does again", () => {
    const rig = new Rig();
    rig.log.inputs["firewall.log-failed"]!({ kind: "firewall.log-failed", why: "another has it" });
    assert.equal(rig.log.state().failure, "another has it");
    rig.log.inputs["firewall.log-failed"]!({ kind: "firewall.log-failed", why: "" });
    assert.deepEqual(
      rig.events.map(({ topic }) => topic),
      ["cairn.firewall.log.failed", "cairn.firewall.log.restored"],
    );
  });
});
