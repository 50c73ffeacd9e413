/** What BFD means for BGP: RFC 5882, RFC 9384, and the strict mode of draft-ietf-idr-bgp-bfd-strict-mode. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { BfdState as Wire } from "../../src/bfd/packet.ts";
import type { Remote } from "../../src/bfd/session.ts";
import type { SessionPlan, SessionReport } from "../../src/bfd/table.ts";
import { BfdState } from "../../src/gen/cairn/v1/bfd_service_pb.ts";
import { type BfdSchema, GracefulRestart, SessionState } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import type { Effect } from "../../src/state/effects.ts";
import { CoreRig, Peer, type PeerOptions } from "./core-rig.ts";

type BfdInit = MessageInitShape<typeof BfdSchema>;

const address = "192.0.2.2";
const cease10 = "6/10";

/** A router whose thread of BFD is the test. */
class Rig extends CoreRig {
  readonly plans = new Map<number, SessionPlan>();
  private readonly last = new Map<number, SessionReport>();

  /** Takes the effects of BFD out before the rig carries out the others. */
  override run(): void {
    const { list } = this.core.effects;
    const push = list.push.bind(list);
    list.push = (...effects: Effect[]): number => {
      for (const effect of effects) {
        if (effect.kind === "bfd.set") this.plans.set(effect.plan.discriminator, effect.plan);
        if (effect.kind === "bfd.remove") this.plans.delete(effect.discriminator);
      }
      return push(...effects);
    };
    super.run();
  }

  get plan(): SessionPlan {
    assert.equal(this.plans.size, 1);
    return [...this.plans.values()][0];
  }

  /** The thread says this; what is not given is as it was. */
  report(change: Partial<Omit<SessionReport, "remote">> & { remote?: Partial<Remote> }): void {
    const { discriminator } = this.plan;
    const before = this.last.get(discriminator) ?? fresh(discriminator);
    const report = {
      ...before,
      changedAtMs: this.wallMs,
      ...change,
      remote: { ...before.remote, ...change.remote },
    };
    this.last.set(discriminator, report);
    this.input({
      kind: "bfd.news",
      reports: [report],
      counters: new Float64Array(),
      discards: undefined,
      failures: [],
    });
  }

  bfdUp(remote: Partial<Remote> = {}): void {
    const { ups } = this.last.get(this.plan.discriminator) ?? { ups: 0 };
    this.report({
      state: Wire.up,
      diagnostic: 0,
      ups: ups + 1,
      remote: { state: Wire.up, discriminator: 7, ...remote },
    });
  }

  bfdDown(change: Partial<SessionReport> = {}): void {
    const { downs, remote } = this.last.get(this.plan.discriminator)!;
    this.report({
      state: Wire.down,
      diagnostic: 1,
      downs: downs + 1,
      cause: "detection-time",
      downAtMs: this.wallMs,
      downRemoteIndependent: remote.independent,
      ...change,
    });
  }

  get neighborState() {
    return this.view.neighbor(address)!.state!;
  }

  bfdTopics(): string[] {
    const { events } = this.view.events(0, undefined, 1000);
    return events.filter(({ topic }) => topic.startsWith("cairn.bfd.")).map(({ topic }) => topic.slice(18));
  }
}

function fresh(discriminator: number): SessionReport {
  const remote = { discriminator: 0, state: Wire.down, diagnostic: 0, minTxUs: 0, minRxUs: 1, multiplier: 0 };
  return {
    ...{
      discriminator,
      state: Wire.down,
      diagnostic: 0,
      transmitUs: 1_000_000,
      detectionUs: 0,
      polling: false,
    },
    ...{ ups: 0, downs: 0, changedAtMs: 0, downAtMs: 0, cause: undefined },
    ...{ downRemoteDiagnostic: 0, downRemoteIndependent: false },
    remote: { ...remote, demand: false, independent: false },
  };
}

function started(bfd: BfdInit = {}, options: PeerOptions = {}, more: object = {}): { rig: Rig; peer: Peer } {
  const rig = new Rig();
  const peer = rig.peer(address, { bfd, ...more }, options);
  return { rig, peer };
}

const restartable: PeerOptions = {
  capabilities: [
    {
      kind: "graceful-restart",
      restarting: false,
      notification: false,
      restartTimeS: 120,
      families: [{ afi: 1, safi: 1, forwarding: true }],
    },
  ],
};

describe("BFD goes down", () => {
  test("the session ends at once with Cease / BFD Down, and the reason is kept", () => {
    const { rig, peer } = started();
    rig.bfdUp();
    assert.equal(rig.neighborState.bfdState, BfdState.UP);
    rig.bfdDown();
    assert.equal(peer.notification.slice(0, 4), cease10);
    const [reset] = rig.neighborState.resets;
    assert.equal(reset.text, "sent Cease/BFD Down: control detection time expired");
    assert.deepEqual([reset.local, reset.code, reset.subcode], [true, 6, 10]);
    assert.deepEqual(rig.bfdTopics(), ["up", "down"]);
    const session = rig.view.bfdSession(address)!;
    assert.equal(session.lastDown!.reason, "control detection time expired");
    assert.equal(session.downs, 1);
  });

  test("what the neighbor said of it is part of the reason", () => {
    const { rig } = started();
    rig.bfdUp();
    rig.bfdDown({ cause: "neighbor-down", diagnostic: 3, downRemoteDiagnostic: 1 });
    const told = "neighbor signaled session down: control detection time expired";
    assert.equal(rig.neighborState.lastResetReason, `sent Cease/BFD Down: ${told}`);
  });

  test("a down that was over before it was told still ends the session", () => {
    const { rig, peer } = started();
    rig.bfdUp();
    rig.report({ ups: 2, downs: 1, cause: "detection-time" });
    assert.equal(peer.notification.slice(0, 4), cease10);
    assert.deepEqual(rig.bfdTopics(), ["up", "down", "up"]);
  });

  test("AdminDown of the neighbor leaves BGP alone (RFC 5882 3.2)", () => {
    const { rig, peer } = started();
    rig.bfdUp();
    rig.bfdDown({
      cause: "neighbor-admin-down",
      diagnostic: 3,
      remote: { ...fresh(1).remote, state: 0, discriminator: 7 },
    });
    assert.equal(peer.notification, "");
    assert.equal(rig.neighborState.sessionState, SessionState.ESTABLISHED);
    const session = rig.view.bfdSession(address)!;
    assert.equal(session.lastDown!.administrative, true);
    assert.match(session.status, /BGP goes on without it/);
  });

  test("BFD that never was up keeps nobody down", () => {
    const { rig, peer } = started();
    rig.report({ state: Wire.init });
    rig.report({ state: Wire.down, diagnostic: 1 });
    assert.equal(peer.notification, "");
    assert.equal(rig.neighborState.sessionState, SessionState.ESTABLISHED);
  });

  test("a thread that starts anew says nothing of the path", () => {
    const { rig, peer } = started();
    rig.bfdUp();
    rig.report({ ...fresh(rig.plan.discriminator) });
    rig.report({ state: Wire.up, ups: 1 });
    assert.equal(peer.notification, "");
  });
});

describe("RFC 5882 4.3: graceful restart", () => {
  test("routes go with the session, as a path that died takes them", () => {
    const { rig, peer } = started({}, restartable);
    peer.announce("203.0.113.0/24");
    rig.bfdUp();
    rig.bfdDown();
    assert.equal(rig.core.routing.tables[0].prefixes.count, 0);
  });

  test("check_control_plane: without the C bit they are kept, for it may be the control plane alone", () => {
    const { rig, peer } = started({ checkControlPlane: true }, restartable);
    peer.announce("203.0.113.0/24");
    rig.bfdUp();
    rig.bfdDown();
    assert.equal(rig.neighborState.families[0].stalePhase, "restarting");
    assert.equal(peer.notification, "", "a NOTIFICATION would end it on the other side");
    assert.equal(rig.neighborState.lastResetReason, "BFD Down: control detection time expired");
  });

  test("check_control_plane: with the C bit they go", () => {
    const { rig, peer } = started({ checkControlPlane: true }, restartable);
    peer.announce("203.0.113.0/24");
    rig.bfdUp({ independent: true });
    rig.bfdDown();
    assert.equal(rig.core.routing.tables[0].prefixes.count, 0);
    assert.equal(peer.notification.slice(0, 4), cease10);
  });

  test("while a neighbor restarts, BFD that shares its fate says nothing; with the C bit the path is dead", () => {
    for (const independent of [false, true]) {
      const { rig, peer } = started({}, restartable);
      peer.announce("203.0.113.0/24");
      rig.bfdUp({ independent });
      peer.drop();
      assert.equal(rig.neighborState.families[0].stalePhase, "restarting");
      rig.bfdDown();
      assert.equal(rig.neighborState.families[0].stalePhase, independent ? "" : "restarting");
    }
  });
});

describe("strict", () => {
  test("no session before BFD is up; whoever connects waits", () => {
    const rig = new Rig();
    rig.neighbor({ address, remoteAsn: 65002, bfd: { strict: true } });
    const peer = new Peer(rig, address, 65002, { afis: [1] });
    peer.connect();
    rig.advance(5000);
    assert.equal(rig.neighborState.sessionState, SessionState.IDLE);
    assert.equal(rig.neighborState.status, "waiting for BFD");
    assert.match(rig.view.bfdSession(address)!.status, /waiting for BFD/);
    rig.bfdUp();
    rig.advance(1000);
    assert.equal(rig.neighborState.sessionState, SessionState.ESTABLISHED);
    rig.bfdDown();
    assert.equal(peer.notification.slice(0, 4), cease10);
    rig.advance(60_000);
    assert.equal(rig.neighborState.sessionState, SessionState.IDLE);
    assert.equal(rig.neighborState.status, "waiting for BFD");
  });

  test("an outgoing session is not even tried", () => {
    const rig = new Rig();
    rig.neighbor({ address, remoteAsn: 65002, passive: false, bfd: { strict: true } });
    rig.advance(60_000);
    assert.equal(rig.neighborState.sessionState, SessionState.IDLE);
    rig.bfdUp();
    assert.equal(rig.neighborState.sessionState, SessionState.CONNECT);
    rig.bfdDown();
    assert.equal(rig.neighborState.sessionState, SessionState.IDLE);
  });

  test("hold_off: BFD has to stay up for a while first", () => {
    const rig = new Rig();
    const bfd = { strict: true, holdOff: durationFromMs(10_000) };
    rig.neighbor({ address, remoteAsn: 65002, passive: false, bfd });
    rig.bfdUp();
    rig.advance(9_000);
    assert.equal(rig.neighborState.status, "waiting for BFD to stay up");
    rig.bfdDown();
    rig.bfdUp();
    rig.advance(9_000);
    assert.equal(rig.neighborState.sessionState, SessionState.IDLE, "it begins anew");
    rig.advance(1_100);
    assert.equal(rig.neighborState.sessionState, SessionState.CONNECT);
  });

  test("a neighbor that took its BFD down is let in (RFC 5882 4.1)", () => {
    const rig = new Rig();
    rig.neighbor({ address, remoteAsn: 65002, passive: false, bfd: { strict: true } });
    rig.report({ state: Wire.down, remote: { state: 0, discriminator: 7 } });
    assert.equal(rig.neighborState.sessionState, SessionState.CONNECT);
  });

  test("turned on and off while the session is up, it ends nothing", () => {
    const { rig, peer } = started();
    rig.neighbor({ address, remoteAsn: 65002, bfd: { strict: true } });
    assert.equal(rig.neighborState.sessionState, SessionState.ESTABLISHED);
    rig.neighbor({ address, remoteAsn: 65002 });
    assert.equal(rig.neighborState.sessionState, SessionState.ESTABLISHED);
    assert.equal(peer.notification, "");
    assert.equal(rig.neighborState.bfdState, BfdState.UNSPECIFIED);
  });

  test("another path and no strict mode at once: the session comes up", () => {
    const rig = new Rig();
    rig.neighbor({ address, remoteAsn: 65002, passive: false, bfd: { strict: true } });
    rig.neighbor({ address, remoteAsn: 65002, passive: false, bfd: { multihop: true } });
    assert.equal(rig.neighborState.sessionState, SessionState.CONNECT);
  });

  test("taken away while it keeps a session down, it lets it come up", () => {
    const rig = new Rig();
    rig.neighbor({ address, remoteAsn: 65002, passive: false, bfd: { strict: true } });
    rig.neighbor({ address, remoteAsn: 65002, passive: false });
    assert.equal(rig.neighborState.sessionState, SessionState.CONNECT);
  });
});

describe("which session is asked for", () => {
  const planOf = (init: object, neighbor = address): SessionPlan => {
    const rig = new Rig();
    rig.neighbor({ address: neighbor, remoteAsn: 65002, bfd: {}, ...init });
    return rig.plan;
  };

  test("timers and their defaults", () => {
    const { minTxUs, minRxUs, multiplier, passive, local, interface: zone } = planOf({});
    assert.deepEqual([minTxUs, minRxUs, multiplier, passive], [300_000, 300_000, 3, false]);
    assert.deepEqual([local, zone], [undefined, undefined]);
    const given = { minTx: durationFromMs(50), minRx: durationFromMs(70), multiplier: 5, passive: true };
    const plan = planOf({ bfd: given, localAddress: "192.0.2.1" });
    assert.deepEqual([plan.minTxUs, plan.minRxUs, plan.multiplier, plan.passive], [50_000, 70_000, 5, true]);
    assert.equal(plan.local, "192.0.2.1");
  });

  test("one hop or several, as BGP's own settings tell", () => {
    const hops = (init: object, neighbor?: string): [boolean, number] => {
      const { multihop, minTtl } = planOf(init, neighbor);
      return [multihop, minTtl];
    };
    assert.deepEqual(hops({}), [false, 255], "eBGP");
    assert.deepEqual(hops({ multihopTtl: 5 }), [true, 1], "eBGP, multihop");
    assert.deepEqual(hops({ ttlSecurity: 1 }), [false, 255], "GTSM, next door");
    assert.deepEqual(hops({ ttlSecurity: 3 }), [true, 1], "GTSM, three hops");
    assert.deepEqual(hops({ remoteAsn: 65001 }), [false, 255], "iBGP on a link of ours");
    assert.deepEqual(hops({ remoteAsn: 65001 }, "10.9.9.9"), [true, 1], "iBGP elsewhere");
    assert.deepEqual(hops({ bfd: { multihop: true, minTtl: 250 } }), [true, 250], "as declared");
  });

  test("timers change while BGP and BFD stay; another path is another session", () => {
    const { rig, peer } = started();
    rig.bfdUp();
    const { discriminator } = rig.plan;
    rig.neighbor({ address, remoteAsn: 65002, bfd: { minTx: durationFromMs(50) } });
    assert.deepEqual([rig.plan.discriminator, rig.plan.minTxUs], [discriminator, 50_000]);
    assert.equal(peer.notification, "");
    rig.neighbor({ address, remoteAsn: 65002, bfd: { multihop: true } });
    assert.notEqual(rig.plan.discriminator, discriminator);
    assert.equal(rig.neighborState.sessionState, SessionState.ESTABLISHED);
  });

  test("none while the neighbor is shut down, turned off or gone", () => {
    const { rig } = started();
    const declare = (more: object): void => rig.neighbor({ address, remoteAsn: 65002, bfd: {}, ...more });
    declare({ shutdown: true });
    assert.equal(rig.plans.size, 0);
    declare({});
    assert.equal(rig.plans.size, 1);
    declare({ bfd: { enabled: false } });
    assert.equal(rig.plans.size, 0);
    declare({});
    rig.mutate({ op: "delete", kind: "Neighbor", name: address });
    assert.equal(rig.plans.size, 0);
  });

  test("what keeps it from running is told, in strict mode as the reason too", () => {
    const rig = new Rig();
    rig.neighbor({ address, remoteAsn: 65002, bfd: { strict: true } });
    const failures = [[rig.plan.discriminator, "UDP port 3784 cannot be opened: EADDRINUSE"]] as const;
    rig.input({ kind: "bfd.news", reports: [], counters: new Float64Array(), discards: undefined, failures });
    assert.equal(rig.view.bfdSession(address)!.status, "UDP port 3784 cannot be opened: EADDRINUSE");
    assert.deepEqual(rig.bfdTopics(), ["failed"]);
    assert.equal(
      rig.neighborState.status,
      "waiting for BFD, which does not run: UDP port 3784 cannot be opened: EADDRINUSE",
    );
  });

  test("counters and thrown-away packets are told as they come", () => {
    const { rig } = started();
    const counters = Float64Array.of(rig.plan.discriminator, 10, 11, 2, 999, 1, 1, 1);
    const discards = [{ reason: "ttl", count: 4, source: "203.0.113.1" }] as const;
    rig.input({ kind: "bfd.news", reports: [], counters, discards, failures: [] });
    const session = rig.view.bfdSession(address)!;
    assert.deepEqual(
      [session.packetsReceived, session.packetsSent, session.packetsDiscarded],
      [10n, 11n, 2n],
    );
    const [told] = rig.view.bfdDiscards();
    assert.deepEqual([told.reason, told.packets, told.lastSource], ["ttl", 4n, "203.0.113.1"]);
  });
});

test("graceful restart of ours is not in the way of Cease / BFD Down", () => {
  const { rig, peer } = started({}, restartable, { gracefulRestart: GracefulRestart.FULL });
  rig.bfdUp();
  rig.bfdDown();
  assert.equal(peer.notification.slice(0, 4), cease10);
});
