import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseIp } from "../../base/ip.ts";
import type { Link } from "../../dataplane/kernel-model.ts";
import type { LedgerRow } from "../../dataplane/ledger.ts";
import {
  type EgressRoutePolicySpec,
  EgressRoutePolicySpecSchema,
} from "../../gen/cairn/v1/egress_service_pb.ts";
import { Impact } from "../../gen/cairn/v1/options_pb.ts";
import type { HealthListener, HealthState } from "../health/health.ts";
import type { Touched } from "../objects.ts";
import { EgressPolicies } from "./egress-policies.ts";

const wallMs = 1_700_000_000_000;

function link(name: string, up: boolean): Link {
  return {
    ...{
      index: 1,
      name,
      enabled: up,
      up,
      loopback: false,
      operState: up ? "up" : "down",
      mtu: 1500,
      mac: "",
    },
    ...{ kind: "", master: 0, parent: 0, data: {}, vlans: undefined },
    addresses: [{ address: parseIp("192.0.2.2")!, length: 24 }],
  };
}

/** Policies with links, checks and a disk, in virtual time. */
class Rig {
  nowMs = 1000;
  readonly specs = new Map<string, Message>();
  readonly links = new Map<string, Link>();
  readonly health = new Map<string, HealthState["health"]>();
  readonly disk = new Map<string, LedgerRow>();
  readonly events: string[] = [];
  readonly changed: string[] = [];
  isInKernel = false;
  private listener: HealthListener = () => {};
  policies: EgressPolicies;

  constructor() {
    this.links.set("eth0", link("eth0", true));
    this.links.set("eth1", link("eth1", true));
    this.policies = this.start();
  }

  start(): EgressPolicies {
    this.policies = new EgressPolicies(this.disk.values(), true, {
      specs: { spec: (_kind, name) => this.specs.get(name) },
      names: () => this.specs.keys(),
      link: (ifname) => this.links.get(ifname),
      linksKnown: () => true,
      health: {
        healthOf: (name) => ({ health: this.health.get(name) ?? "unknown", sinceMs: 0, why: "no answer" }),
        onChange: (listener) => {
          this.listener = listener;
        },
      },
      persist: ({ put, drop }) => {
        for (const row of put) this.disk.set(row.key, row);
        for (const { key } of drop) this.disk.delete(key);
        return 1;
      },
      changed: (name) => this.changed.push(name),
      isInKernel: () => this.isInKernel,
      nowMs: () => this.nowMs,
      wallMs: () => wallMs + this.nowMs,
      event: (topic, _object, severity, summary) => this.events.push(`${topic} ${severity}: ${summary}`),
    });
    return this.policies;
  }

  put(init: MessageInitShape<typeof EgressRoutePolicySpecSchema> = {}): EgressRoutePolicySpec {
    const spec = create(EgressRoutePolicySpecSchema, {
      name: "net",
      candidates: [
        { name: "fiber", interface: "eth0", gateway: "192.0.2.1", weight: 10, healthCheck: "path" },
        { name: "lte", interface: "eth1", gateway: "192.0.2.1", weight: 1 },
      ],
      upDelay: durationFromMs(5000),
      ...init,
    });
    this.specs.set("net", spec);
    this.policies.apply([touched(undefined, spec)]);
    this.run();
    return spec;
  }

  says(health: HealthState["health"]): void {
    this.health.set("path", health);
    this.listener("path", { health, sinceMs: this.nowMs, why: "" });
    this.run();
  }

  /** Turns as the core takes them: when there is work, or when it was asked for. */
  run(forMs = 0): void {
    const untilMs = this.nowMs + forMs;
    for (let turns = 0; ; turns++) {
      assert.ok(turns < 100, "it comes to rest");
      if (this.policies.hasWork) this.policies.run();
      const next = this.policies.nextMs();
      if (next > untilMs) break;
      this.nowMs = Math.max(this.nowMs, next);
      this.policies.run();
    }
    this.nowMs = untilMs;
    this.policies.run();
  }

  get chosen(): string {
    return this.policies.named("net")?.selection.chosen.join(" ") ?? "";
  }
}

function touched(before: Message | undefined, after: Message | undefined): Touched {
  return { kind: "EgressRoutePolicy", name: "net", before, after, impact: Impact.NONE, fields: [] };
}

describe("egress policies", () => {
  it("follow health, links and time, and tell whoever looks at them", () => {
    const rig = new Rig();
    rig.put();
    assert.equal(rig.chosen, "lte", "the check has not spoken yet");
    rig.says("healthy");
    assert.equal(rig.chosen, "lte");
    rig.run(5000);
    assert.equal(rig.chosen, "fiber");
    rig.changed.length = 0;
    rig.says("unhealthy");
    assert.equal(rig.chosen, "lte");
    assert.deepEqual(rig.changed, ["net"]);
    assert.match(
      rig.events.at(-1)!,
      /egress.selected 1: net: new flows take lte instead of fiber: fiber cannot be used: path is unhealthy: no answer/,
    );
    rig.links.set("eth1", link("eth1", false));
    rig.policies.linksChanged();
    rig.run();
    assert.equal(rig.chosen, "");
    assert.match(rig.events.at(-1)!, /selected 3: net: new flows take nothing instead of lte/);
  });

  it("go on after a restart as before, until something speaks against it", () => {
    const rig = new Rig();
    rig.put();
    rig.says("healthy");
    rig.run(5000);
    rig.health.clear();
    rig.start();
    rig.changed.length = 0;
    rig.events.length = 0;
    rig.run(60_000);
    assert.equal(rig.chosen, "fiber", "nobody knows yet");
    rig.says("healthy");
    assert.deepEqual(rig.events, []);
    assert.equal(rig.policies.named("net")?.transitions, 0);
    rig.start();
    rig.says("unhealthy");
    assert.equal(rig.chosen, "lte");
  });

  it("keep a pin on disk, and refuse one of what is not there", () => {
    const rig = new Rig();
    rig.put();
    rig.says("healthy");
    rig.run(5000);
    assert.equal(rig.policies.pin("net", "none"), false);
    assert.equal(rig.policies.pin("other", "lte"), false);
    assert.equal(rig.policies.pin("net", "lte"), true);
    assert.equal(rig.chosen, "lte");
    rig.start();
    rig.run();
    assert.deepEqual([rig.chosen, rig.policies.named("net")?.selection.pinned], ["lte", "lte"]);
    rig.policies.pin("net", "");
    assert.equal(rig.chosen, "fiber");
    assert.equal(rig.policies.named("net")?.selection.reason, "no longer pinned");
  });

  it("say when the kernel was seen to hold a choice", () => {
    const rig = new Rig();
    rig.put();
    assert.equal(rig.policies.named("net")?.history[0].appliedAfterMs, undefined);
    rig.run(20);
    rig.isInKernel = true;
    rig.run();
    assert.equal(rig.policies.named("net")?.history[0].appliedAfterMs, 20);
  });

  it("tell what they would choose if they were declared otherwise, and do not do it", () => {
    const rig = new Rig();
    const spec = rig.put();
    rig.says("healthy");
    rig.run(5000);
    assert.equal(rig.policies.selection("net", spec)?.chosen[0], "fiber");
    const other = create(EgressRoutePolicySpecSchema, {
      name: "net",
      candidates: spec.candidates.map((each) => ({ ...each, weight: 11 - each.weight! })),
    });
    assert.equal(rig.policies.selection("net", other)?.chosen[0], "lte");
    const first = create(EgressRoutePolicySpecSchema, { name: "new", candidates: [spec.candidates[1]] });
    assert.equal(rig.policies.selection("new", first)?.chosen[0], "lte");
    assert.equal(rig.policies.named("new"), undefined);
    assert.equal(rig.chosen, "fiber");
  });

  it("forget what is deleted, and remember no more changes than they say", () => {
    const rig = new Rig();
    rig.put({ upDelay: durationFromMs(0) });
    for (let i = 0; i < 100; i++) rig.says(i % 2 === 0 ? "healthy" : "unhealthy");
    assert.equal(rig.policies.named("net")?.transitions, 101);
    assert.equal(rig.policies.named("net")?.history.length, 64);
    const before = rig.specs.get("net");
    rig.specs.clear();
    rig.policies.apply([touched(before, undefined)]);
    rig.run();
    assert.equal(rig.policies.named("net"), undefined);
    assert.equal(rig.disk.size, 0);
  });
});
