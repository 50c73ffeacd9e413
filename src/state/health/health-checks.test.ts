import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Link } from "../../dataplane/kernel-model.ts";
import type { ProbePlan, ProbeVerdict } from "../../dataplane/probe/messages.ts";
import { HealthCheckSpecSchema, HealthProtocol } from "../../gen/cairn/v1/health_kinds_pb.ts";
import { InterfaceSpecSchema } from "../../gen/cairn/v1/link_kinds_pb.ts";
import { ResourcePhaseSchema } from "../../gen/cairn/v1/resource_types_pb.ts";
import { Core, emptyState } from "../core.ts";
import type { MutationOp, MutationOutcome } from "../mutation.ts";

const wallMs = 1_700_000_000_000;

/** A core in virtual time whose probes the test answers. */
class Rig {
  readonly core: Core;
  nowMs = 0;
  readonly asked = new Map<number, ProbePlan>();
  readonly told: string[] = [];
  outcome: MutationOutcome | undefined;

  constructor() {
    const core = Core.create(emptyState, () => 0, 0, wallMs, "memory");
    assert.ok(core.ok);
    this.core = core.value;
    this.core.health.onChange((name, { health, why }) => this.told.push(`${name} ${health} ${why}`.trim()));
    this.links({ eth0: "up", eth1: "up" });
  }

  private input(input: Parameters<Core["handle"]>[0]): void {
    this.core.handle(input, this.nowMs, wallMs + this.nowMs);
  }

  links(states: Readonly<Record<string, "up" | "down" | "gone">>): void {
    const changed: Link[] = [];
    const gone: number[] = [];
    for (const [name, state] of Object.entries(states)) {
      const index = Number(name.slice(3)) + 2;
      if (state === "gone") gone.push(index);
      else changed.push({ ...plainLink, name, index, up: state === "up", operState: state });
    }
    this.input({ kind: "kernel.links", changed, gone });
    this.turns();
  }

  turns(count = 5): void {
    for (let i = 0; i < count; i++) {
      this.core.turn(this.nowMs, wallMs + this.nowMs);
      for (const effect of this.core.effects.list.splice(0)) {
        if (effect.kind === "reply") this.outcome = effect.outcome as MutationOutcome;
        if (effect.kind === "health.probe") this.asked.set(effect.probe, effect.plan);
        if (effect.kind === "health.cancel")
          for (const probe of effect.probes)
            assert.ok(this.asked.delete(probe), `probe ${probe} is under way`);
        if (effect.kind === "store.persist") this.input({ kind: "store.committed", seq: effect.seq });
      }
    }
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.turns();
  }

  /** Answers all that is asked. */
  answer(verdict: ProbeVerdict): void {
    const words = verdict === "passed" ? { reason: "", message: "" } : { reason: "NO", message: "says no" };
    for (const probe of [...this.asked.keys()]) {
      this.asked.delete(probe);
      this.input({ kind: "health.answered", probe, answer: { verdict, latencyMs: 2.5, ...words } });
    }
    this.turns();
  }

  change(...ops: MutationOp[]): void {
    const rest = { expectedGeneration: 0, dryRun: false, reason: "", requestId: "", principal: "test" };
    this.input({ kind: "mutate", call: 1, mutation: { ops, ...rest, source: "api" } });
    this.turns();
  }

  check(name: string, init: MessageInitShape<typeof HealthCheckSpecSchema>): void {
    const plain = { interval: durationFromMs(1000), timeout: durationFromMs(500), fall: 2, jitterPercent: 0 };
    const spec = create(HealthCheckSpecSchema, { name, targets: ["192.0.2.1"], ...plain, ...init });
    this.change({ op: "put", kind: "HealthCheck", spec });
    assert.ok(this.outcome?.ok, JSON.stringify(this.outcome));
  }

  link(name: string, ifname: string): void {
    this.change({ op: "put", kind: "Interface", spec: create(InterfaceSpecSchema, { name, ifname }) });
  }

  standing(name: string): string {
    const status = this.core.resources.status("HealthCheck", name);
    if (!status) return "none";
    const phase = ResourcePhaseSchema.value[status.phase].localName;
    return [phase, status.reason, status.values.state].filter((word) => word !== "").join(" ");
  }
}

const plainLink = {
  ...{ enabled: true, loopback: false, mtu: 1500, mac: "", kind: "", data: {} },
  ...{ master: 0, parent: 0, vlanId: 0, vrfTable: 0, addresses: [] },
} as unknown as Link;

describe("health checks", () => {
  it("say what is to be sent", () => {
    const rig = new Rig();
    rig.link("wan", "eth1");
    rig.check("x", {
      ...{ protocol: HealthProtocol.HTTPS, targets: ["2001:db8::1"], interface: "wan", mark: 7 },
      ...{ source: "2001:db8::2", http: { host: "www.example", statuses: ["204", "300-399"] } },
    });
    assert.deepEqual(
      [...rig.asked.values()],
      [
        {
          ...{ protocol: "https", target: "2001:db8::1", port: 443, device: "eth1" },
          ...{ source: "2001:db8::2", mark: 7 },
          http: {
            ...{ method: "GET", path: "/", host: "www.example", body: "", ca: "", anyCertificate: false },
            statuses: [
              [204, 204],
              [300, 399],
            ],
          },
        },
      ],
    );
  });

  it("tell who listens, with the reason", () => {
    const rig = new Rig();
    rig.check("x", {});
    assert.equal(rig.standing("x"), "PROGRESSING UNKNOWN unknown");
    rig.answer("passed");
    assert.equal(rig.standing("x"), "APPLIED healthy");
    for (let i = 0; i < 2; i++) {
      rig.pass(1000);
      rig.answer("failed");
    }
    assert.equal(rig.standing("x"), "DEGRADED NO unhealthy");
    rig.change({ op: "delete", kind: "HealthCheck", name: "x" });
    assert.deepEqual(rig.told, ["x healthy", "x unhealthy says no", "x unknown there is no HealthCheck/x"]);
    assert.equal(rig.core.health.healthOf("x").health, "unknown");
    rig.pass(10_000);
    assert.equal(rig.asked.size, 0);
  });

  it("time out by the core's own clock", () => {
    const rig = new Rig();
    rig.check("x", { fall: 1 });
    assert.equal(rig.asked.size, 1);
    rig.pass(499);
    assert.equal(rig.standing("x"), "PROGRESSING UNKNOWN unknown");
    rig.pass(1);
    assert.equal(rig.standing("x"), "DEGRADED TIMEOUT unhealthy");
    assert.equal(rig.asked.size, 0);
    assert.equal(rig.core.health.nextMs(), 1000);
  });

  it("follow their link: missing is pending, down is unhealthy at once, another name is another check", () => {
    const rig = new Rig();
    rig.link("wan", "eth9");
    rig.check("x", { interface: "wan" });
    assert.equal(rig.standing("x"), "PENDING DEVICE_MISSING unknown");
    assert.equal(rig.asked.size, 0);
    rig.link("wan", "eth1");
    rig.answer("passed");
    assert.equal(rig.standing("x"), "APPLIED healthy");
    rig.links({ eth1: "down" });
    assert.equal(rig.standing("x"), "DEGRADED LINK_DOWN unhealthy");
    rig.pass(60_000);
    assert.equal(rig.asked.size, 0);
    rig.links({ eth1: "up" });
    rig.answer("passed");
    assert.equal(rig.standing("x"), "APPLIED healthy");
    rig.links({ eth1: "gone" });
    assert.equal(rig.standing("x"), "PENDING DEVICE_MISSING unknown");
    rig.link("wan", "eth0");
    assert.deepEqual(
      [...rig.asked.values()].map(({ device }) => device),
      ["eth0"],
    );
  });

  it("keep what they know over other times, and forget it over another target", () => {
    const rig = new Rig();
    rig.check("x", {});
    rig.answer("passed");
    rig.check("x", { interval: durationFromMs(5000), rise: 3 });
    assert.equal(rig.standing("x"), "APPLIED healthy");
    rig.check("x", { targets: ["192.0.2.9"] });
    assert.equal(rig.standing("x"), "PROGRESSING UNKNOWN unknown");
    assert.deepEqual(rig.told, ["x healthy", "x unknown no probe has ended yet"]);
    rig.check("x", { shutdown: true });
    assert.equal(rig.standing("x"), "PENDING SHUTDOWN unknown");
    assert.equal(rig.asked.size, 0);
  });

  it("fail as objects, and not as paths, when nothing can be sent", () => {
    const rig = new Rig();
    rig.check("x", {});
    rig.answer("blocked");
    assert.equal(rig.standing("x"), "FAILED NO unknown");
    rig.pass(1000);
    rig.answer("passed");
    assert.equal(rig.standing("x"), "APPLIED healthy");
  });

  it("refuse what cannot be meant", () => {
    const rig = new Rig();
    const refused = (init: MessageInitShape<typeof HealthCheckSpecSchema>): string => {
      const spec = create(HealthCheckSpecSchema, { name: "x", targets: ["192.0.2.1"], ...init });
      rig.change({ op: "put", kind: "HealthCheck", spec });
      const outcome = rig.outcome!;
      return outcome.ok ? "" : outcome.problems.map(({ path }) => path.replace("HealthCheck/x.", "")).join();
    };
    assert.equal(refused({ targets: [] }), "targets");
    assert.equal(refused({ targets: ["192.0.2.1", "2001:db8::1"] }), "targets[1]");
    assert.equal(refused({ targets: ["192.0.2.1", "192.0.2.1"] }), "targets[1]");
    assert.equal(refused({ targets: ["fe80::1"] }), "targets[0]");
    assert.equal(refused({ targets: ["224.0.0.1"] }), "targets[0]");
    assert.equal(refused({ quorum: 2 }), "quorum");
    assert.equal(refused({ source: "2001:db8::1" }), "source");
    assert.equal(refused({ interval: durationFromMs(50), timeout: durationFromMs(20) }), "interval");
    assert.equal(refused({ interval: durationFromMs(1000), timeout: durationFromMs(2000) }), "timeout");
    assert.equal(refused({ port: 80 }), "port");
    assert.equal(refused({ dns: { name: "example.com" } }), "dns");
    const dns = { protocol: HealthProtocol.DNS };
    assert.equal(refused({ ...dns, dns: { type: "AXFR?" } }), "dns.type");
    assert.equal(refused({ ...dns, dns: { name: `${"a".repeat(64)}.example` } }), "dns.name");
    const http = { protocol: HealthProtocol.HTTP };
    assert.equal(refused({ ...http, http: { statuses: ["299-200"] } }), "http.statuses[0]");
    assert.equal(refused({ ...http, http: { path: "/a b" } }), "http.path");
    assert.equal(refused({ ...http, http: { host: "a\r\nb" } }), "http.host");
    assert.equal(refused({ ...http, http: { method: "POST" } }), "http.method");
    assert.equal(refused({ ...http, http: { anyCertificate: true } }), "http.any_certificate");
    assert.equal(refused({}), "");
  });
});
