/**
 * The core: one owner of everything declared, of all sessions and all routes. Inputs go in (`handle`), a turn does a
 * bounded piece of work, effects come out. No clock, no randomness, no I/O: the same core runs in production, in the
 * simulator and under replay.
 *
 *   turn   timers -> urgent inputs -> parts, in the order of their list -> rows to persist
 */
import { limits } from "../base/limits.ts";
import type { Result } from "../base/problem.ts";
import type { Random } from "../base/random.ts";
import type { Family } from "../wire/family.ts";
import type { FilterRequest } from "../wire/orf.ts";
import { RefreshSubtype } from "../wire/refresh.ts";
import { Verdict } from "../wire/verdict.ts";
import { Bfd } from "./bfd.ts";
import { Collectors } from "./bmp/collectors.ts";
import { Changes, type ChangesHost } from "./changes.ts";
import { conditionHost } from "./condition-host.ts";
import { Damping } from "./damping.ts";
import { Deferral, isRestart } from "./deferral.ts";
import { Discovery } from "./discovery.ts";
import { DurableSpecs } from "./durable-specs.ts";
import { Dynamic } from "./dynamic.ts";
import { DynamicNeighbors } from "./dynamic-neighbors.ts";
import { Effects } from "./effects.ts";
import { egressHost } from "./egress/egress-host.ts";
import { EgressPolicies, egressClass } from "./egress/egress-policies.ts";
import { EventLog } from "./event-log.ts";
import { Expiry } from "./expiry.ts";
import { fibHost } from "./fib/fib-host.ts";
import { FibTables, fibClass } from "./fib/fib-tables.ts";
import { FirewallLog } from "./firewall-log.ts";
import { FlowRules } from "./flow-filters/flow-rules.ts";
import { FlowValidation } from "./flowspec/flow-validation.ts";
import { Groups } from "./groups.ts";
import { HealthChecks } from "./health/health-checks.ts";
import { healthHost } from "./health/health-host.ts";
import { familiesOf, Importer } from "./importer.ts";
import { Injection } from "./injection.ts";
import type { CallId, Input } from "./inputs.ts";
import { Jobs } from "./jobs.ts";
import { type Dataplane, KernelWatch } from "./kernel-watch.ts";
import { MrtDumps } from "./mrt/mrt-dumps.ts";
import { type NeighborRecord, objectOf } from "./neighbor-record.ts";
import { Neighbors } from "./neighbors.ts";
import { ObjectStore, type Prepared } from "./objects.ts";
import type { Operation } from "./operation.ts";
import { operate } from "./operations.ts";
import { OutboundFilters } from "./outbound-filters.ts";
import { type Part, Parts } from "./part.ts";
import { Policies } from "./policies.ts";
import { failedTests } from "./policy-tests.ts";
import { PrefixLimits } from "./prefix-limits.ts";
import { Reaper } from "./reaper.ts";
import { redistributeHost } from "./redistribute/redistribute-host.ts";
import { Redistributions } from "./redistribute/redistributions.ts";
import { Refreshes } from "./refreshes.ts";
import { RefusedLog } from "./refused-segments.ts";
import { Resources } from "./resources.ts";
import { RouteValidation } from "./route-validation.ts";
import { Routing } from "./routing.ts";
import type { StoredAudit, StoredEvent, StoredState, StoreRow } from "./rows.ts";
import { SessionKeys } from "./session-keys.ts";
import type { NeighborConfig } from "./session-port.ts";
import { Sessions } from "./sessions.ts";
import { Watchers } from "./watchers.ts";

/** Empty state, for a first start and for tests. */
export const emptyState: StoredState = {
  generation: 0,
  objects: [],
  injected: [],
  ledger: [],
  lastEventId: 0,
  events: [],
  requests: [],
};

/** Microseconds of work that a turn is given by default; the runtime adapts it to the slice it wants. */
export const defaultBudget = 6000;

/** About 12 received bytes make one route, and a route costs about a microsecond; half of the time is left to others. */
const receivedPerMicro = 6;

export class Core {
  readonly effects = new Effects();
  readonly routing: Routing;
  readonly jobs = new Jobs();
  readonly objects: ObjectStore;
  readonly policies: Policies;
  readonly groups: Groups;
  readonly sessions: Sessions;
  readonly bfd: Bfd;
  readonly neighbors: Neighbors;
  readonly dynamic: DynamicNeighbors;
  readonly refusals: RefusedLog;
  readonly injection: Injection;
  readonly changes: Changes;
  readonly events: EventLog;
  readonly watchers: Watchers;
  readonly importer: Importer;
  readonly flows: FlowValidation;
  readonly kernel: KernelWatch;
  readonly resources: Resources;
  readonly fib: FibTables;
  readonly firewallLog: FirewallLog;
  readonly health: HealthChecks;
  readonly redistributions: Redistributions;
  readonly egress: EgressPolicies;
  readonly flowRules: FlowRules;
  readonly deferral: Deferral;
  readonly refreshes: Refreshes;
  readonly mrt: MrtDumps;
  readonly bmp: Collectors;
  readonly validation: RouteValidation;
  readonly outboundFilters: OutboundFilters;
  readonly damping: Damping;
  readonly discovery: Discovery;
  private readonly limits: PrefixLimits;
  private readonly parts: Parts;
  nowMs = 0;
  wallMs = 0;
  /** Urgent inputs of this turn: RPCs and answers of the store. */
  private urgent: Input[] = [];
  private rows: StoreRow[] = [];
  private audits: StoredAudit[] = [];
  private nextSeq = 1;
  /** Error of the last write that failed; empty while the store is well. */
  storeError = "";
  private shutDown: { exitAtMs: number } | undefined;

  /**
   * @param stored what the last run left
   * @param dataplane whether next hops are looked up
   * @returns problems when the database holds what this version cannot read
   */
  static create(
    stored: StoredState,
    random: Random,
    nowMs: number,
    wallMs: number,
    dataplane: Dataplane = "none",
  ): Result<Core> {
    const objects = ObjectStore.load(stored.objects, stored.generation, stored.hash);
    if (!objects.ok) return objects;
    const { pending } = stored;
    let reverted: Prepared | undefined;
    if (pending && pending.deadline <= wallMs) {
      // Before anything runs: sessions never see what was not confirmed in time.
      const undone = objects.value.prepareUndo(pending.undo, wallMs);
      if (!undone.ok) return undone;
      reverted = undone.value;
      objects.value.commit(reverted);
    }
    return { ok: true, value: new Core(objects.value, stored, random, nowMs, wallMs, reverted, dataplane) };
  }

  private constructor(
    objects: ObjectStore,
    stored: StoredState,
    random: Random,
    nowMs: number,
    wallMs: number,
    reverted: Prepared | undefined,
    dataplane: Dataplane,
  ) {
    this.routing = new Routing(dataplane !== "none");
    this.nowMs = nowMs;
    this.wallMs = wallMs;
    this.routing.history.at(wallMs);
    this.objects = objects;
    this.events = new EventLog(stored.lastEventId, stored.events);
    this.watchers = new Watchers(this.routing);
    this.deferral = new Deferral({
      nowMs: () => this.nowMs,
      selected: (family, missing) => this.selected(family, missing),
      finished: () => this.sessions.setRestarting(false),
    });
    this.refreshes = new Refreshes({
      mark: (record, family, subtype) => this.sessions.refresh(record.id, family, this.nowMs, subtype),
      send: (record, bytes) => this.sendUpdates(record.id, bytes),
      stateChanged: (record) => this.watchers.neighborChanged(record.config.address),
      nowMs: () => this.nowMs,
      event: this.event,
    });
    this.kernel = new KernelWatch({
      dataplane,
      routing: this.routing,
      jobs: this.jobs,
      effects: this.effects,
      event: this.event,
      nowMs: () => this.nowMs,
      nowS: () => Math.floor(this.wallMs / 1000),
      neighbors: () => this.neighbors,
      sessions: () => this.sessions,
      linksChanged: (names) => this.parts.linksChanged(names),
      moved: (hop) => this.fib.hopMoved(hop),
    });
    this.discovery = new Discovery({
      effects: this.effects,
      changed: (name) => this.neighbors.linkChanged(name),
      lost: (name) => this.neighbors.linkLost(name),
    });
    this.refusals = new RefusedLog({ event: this.event, nowMs: () => this.nowMs });
    this.policies = new Policies(objects, this.routing);
    this.limits = new PrefixLimits({
      event: this.event,
      reached: (record, family, limit) =>
        this.sessions.prefixLimitReached(record.id, family, limit, this.nowMs),
    });
    this.damping = new Damping({
      routing: this.routing,
      nowMs: () => this.nowMs,
      record: (id) => this.neighbors.find(id),
      settle: (record, table, path) => this.importer.settle(record, table, path),
      prefixText: (table, prefix) => this.watchers.prefixText(table, prefix),
      event: this.event,
    });
    this.flows = new FlowValidation(this.routing, {
      neighbor: (id) => this.neighbors.find(id),
      reimport: (record, table, path) => this.importer.settle(record, table, path),
    });
    this.importer = new Importer(this.routing, {
      nowS: () => Math.floor(this.wallMs / 1000),
      requirePolicy: () => this.neighbors.requirePolicy,
      prefixLimit: (record, family, count, over, accepted) =>
        this.limits.check(record, family, count, over, accepted),
      prefixRoom: (record, family) => this.neighbors.settleLimits(record, family, false),
      malformed: (record, text, verdict) => {
        const what = verdict >= Verdict.treatAsWithdraw ? "treated as withdraw" : "attribute discarded";
        const rare = record.treatAsWithdraw + record.attributeDiscard;
        // The first hundred one by one, then one in a hundred: a neighbor's fault must not wash out the event log.
        if (rare > 100 && rare % 100 !== 0) return;
        this.event("cairn.bgp.update.malformed", objectOf(record), 2, `malformed UPDATE, ${what}: ${text}`, {
          text,
        });
      },
      flows: this.flows,
      damping: this.damping,
      endOfRib: (record, family) => {
        record.endOfRibReceived[family.index] = true;
        this.neighbors.restarts.endOfRib(record, family);
        this.deferral.heard(record, family);
        this.bmp.endOfRib(record, family);
        this.watchers.neighborChanged(record.config.address);
      },
    });
    this.groups = new Groups(this.routing, this.policies, {
      send: (neighbor, bytes) => this.sendUpdates(neighbor, bytes),
      queuedBytes: (neighbor) => this.sessions.queuedBytes(neighbor),
      endOfRib: (group, neighbor) => this.refreshes.ended(this.neighbors.get(neighbor), group),
      oversize: (group, prefix) => {
        const text = this.watchers.prefixText(group.table, prefix);
        const summary = `${text} is not announced to update group ${group.id}: its attributes fit no message`;
        this.event("cairn.bgp.route.oversize", "", 2, summary, { prefix: text, group: String(group.id) });
      },
    });
    this.sessions = new Sessions(
      {
        established: (id, negotiated) => {
          this.dynamic.established(this.neighbors.addressOf(id));
          this.neighbors.established(id, negotiated);
          this.deferral.established(this.neighbors.get(id), negotiated);
          this.bmp.established(this.neighbors.get(id));
        },
        stranger: (address, localAddress) => this.dynamic.stranger(address, localAddress),
        identify: (id, asn) => this.identify(id, asn),
        swapLocalAs: (id) => this.neighbors.swapLocalAs(id),
        locate: (id, address) => this.locate(id, address),
        down: (id, reset, kept, notification) => {
          this.bmp.down(this.neighbors.get(id), reset, notification);
          this.neighbors.down(id, kept);
          this.deferral.changed(this.neighbors.get(id));
        },
        update: (id, bytes, start, end) => {
          const record = this.neighbors.get(id);
          if (this.mrt.isTapping) this.mrt.update(record, bytes, start, end);
          const malformed = record.treatAsWithdraw;
          const result = this.importer.update(record, bytes, start, end);
          if (this.bmp.wantsMirror) {
            const errored = result !== undefined || record.treatAsWithdraw !== malformed;
            this.bmp.mirror(id, bytes, start, end, errored);
          }
          return result;
        },
        refresh: (id, family, subtype, filters) =>
          this.refreshed(this.neighbors.get(id), family, subtype, filters),
        writable: () => {},
        stateChanged: (id) => {
          const address = this.neighbors.addressOf(id);
          const record = this.neighbors.named(address);
          if (record) this.mrt.stateChanged(record);
          this.dynamic.touched(address);
          this.watchers.neighborChanged(address);
        },
        event: this.event,
      },
      this.effects,
      random,
    );
    const durable = new DurableSpecs(objects);
    const dynamic = new Dynamic(objects, durable);
    this.dynamic = new DynamicNeighbors(dynamic, {
      settle: (address) => this.neighbors.settle(address),
      isActive: (address) => this.isActive(address),
      isEstablished: (address) => this.neighbors.named(address)?.negotiated !== undefined,
      event: this.event,
      nowMs: () => this.nowMs,
      wallMs: () => this.wallMs,
    });
    this.outboundFilters = new OutboundFilters({
      durable,
      jobs: this.jobs,
      join: (record, family) => this.neighbors.join(record, family),
      resend: (record, family) => this.refreshes.asked(record, family),
      send: (record, messages) => this.sessions.sendFilter(record.id, messages, this.nowMs),
      stateChanged: (record) => this.watchers.neighborChanged(record.config.address),
      event: this.event,
    });
    this.bfd = new Bfd({
      effects: this.effects,
      random,
      event: this.event,
      nowMs: () => this.nowMs,
      gate: (record, why) => this.sessions.gate(record.id, why, this.nowMs),
      down: (record, why, keep) => this.sessions.bfdDown(record.id, why, keep, this.nowMs),
      drop: (record, why) => this.neighbors.restarts.drop(record, why),
      stateChanged: (record) => this.watchers.neighborChanged(record.config.address),
    });
    this.neighbors = new Neighbors({
      objects,
      durable: dynamic,
      dynamic,
      keys: new SessionKeys(this.effects),
      routing: this.routing,
      policies: this.policies,
      groups: this.groups,
      outboundFilters: this.outboundFilters,
      damping: this.damping,
      discovery: this.discovery,
      importer: this.importer,
      jobs: this.jobs,
      sessions: this.sessions,
      bfd: this.bfd,
      effects: this.effects,
      nowMs: () => this.nowMs,
      event: this.event,
      stateChanged: (record) => {
        this.deferral.changed(record);
        this.dynamic.touched(record.config.address);
        this.watchers.neighborChanged(record.config.address);
      },
    });
    this.mrt = new MrtDumps({
      objects,
      routing: this.routing,
      neighbors: this.neighbors,
      effects: this.effects,
      event: this.event,
      nowMs: () => this.nowMs,
      wallMs: () => this.wallMs,
      stateOf: (id) => this.sessions.stateNumber(id),
    });
    this.bmp = new Collectors({
      objects,
      routing: this.routing,
      neighbors: this.neighbors,
      sessions: this.sessions,
      watchers: this.watchers,
      effects: this.effects,
      event: this.event,
      nowMs: () => this.nowMs,
      wallMs: () => this.wallMs,
    });
    this.validation = new RouteValidation({
      objects,
      routing: this.routing,
      jobs: this.jobs,
      effects: this.effects,
      event: this.event,
      nowMs: () => this.nowMs,
      wallMs: () => this.wallMs,
      neighbors: () => this.neighbors,
      groups: () => this.groups,
      importer: () => this.importer,
    });
    this.injection = new Injection(this.routing);
    this.changes = new Changes(
      {
        objects,
        durable,
        injection: this.injection,
        conditions: conditionHost(this),
        requests: stored.requests,
        pending: stored.pending,
        revertedAtStart: reverted,
      },
      this.changesHost(),
    );
    const ownLedgers = [fibClass, egressClass];
    const ledger = Map.groupBy(stored.ledger, (row) => (ownLedgers.includes(row.class) ? row.class : ""));
    this.resources = new Resources(ledger.get("") ?? [], dataplane !== "none", {
      specs: durable,
      names: (kind) => objects.entries(kind).map(({ name }) => name),
      link: (ifname) => this.kernel.links.named(ifname),
      links: () => this.kernel.links.all(),
      egress: (policy, spec) => this.egress.selection(policy, spec),
      flowRules: () => this.flowRules.current(),
      linksKnown: () => this.kernel.links.known,
      persist: (change) => this.persist([{ table: "ledger", ...change }]),
      watch: (watch, unwatch) => this.effects.push({ kind: "dataplane.watch", watch, unwatch }),
      apply: (batch, operations) => this.effects.push({ kind: "dataplane.apply", batch, operations }),
      standing: (kind, name) =>
        kind === "FibTable"
          ? this.fib.standing(name)
          : kind === "HealthCheck"
            ? this.health.standing(name)
            : kind === "Redistribute"
              ? this.redistributions.standing(name)
              : undefined,
      nowMs: () => this.nowMs,
      wallMs: () => this.wallMs,
      event: this.event,
    });
    this.fib = new FibTables(ledger.get(fibClass) ?? [], dataplane !== "none", fibHost(this, durable));
    this.health = new HealthChecks(dataplane !== "none", healthHost(this, durable, random));
    this.redistributions = new Redistributions(dataplane !== "none", redistributeHost(this, durable));
    const egress = egressHost(this, durable, this.health);
    this.egress = new EgressPolicies(ledger.get(egressClass) ?? [], dataplane !== "none", egress);
    this.flowRules = new FlowRules({
      routing: this.routing,
      isNeeded: () => dataplane !== "none" && objects.count("FlowSpecFilter") > 0,
      isDeferred: (family) => this.deferral.isDeferred(family),
      record: (neighbor) => this.neighbors.find(neighbor),
      changed: () => this.resources.flowRulesChanged(),
      nowMs: () => this.nowMs,
    });
    this.firewallLog = new FirewallLog({
      dataplane,
      effects: this.effects,
      event: this.event,
      nowMs: () => this.nowMs,
      specs: (kind) => [...objects.entries(kind)].flatMap(({ name }) => durable.spec(kind, name) ?? []),
      around: () => this.resources.surroundings(),
      link: (index) => this.kernel.links.get(index),
    });
    this.parts = this.allParts();
    const expired = this.injection.load(stored.injected, wallMs);
    if (expired.length > 0) this.rows.push({ table: "injected", put: [], drop: expired });
    this.neighbors.start();
    this.mrt.start();
    this.bmp.start();
    this.validation.start();
    this.firewallLog.start();
    this.health.start();
    this.redistributions.start();
    this.afterRestart(stored);
  }

  /** Everything that takes part in turns, in the order of its work. */
  private allParts(): Parts {
    const { injection, changes } = this;
    const received: Part = {
      run: (micros) => this.sessions.pump(this.nowMs, micros * receivedPerMicro),
      nextMs: () => this.sessions.nextTimerMs(),
    };
    return new Parts([
      changes,
      this.neighbors,
      new Expiry({ injection, changes, nowMs: () => this.nowMs, wallMs: () => this.wallMs }),
      received,
      this.kernel,
      this.health,
      this.redistributions,
      this.egress,
      this.flowRules,
      this.resources,
      this.fib,
      this.firewallLog,
      this.validation,
      this.flows,
      this.groups,
      this.bmp,
      this.jobs,
      this.mrt,
      this.watchers,
      this.importer,
      this.dynamic,
      this.bfd,
      this.discovery,
      this.refusals,
      this.neighbors.restarts,
      this.deferral,
      this.damping,
      new Reaper(this.routing, (table) => this.parts.passed(table)),
    ]);
  }

  private changesHost(): ChangesHost {
    return {
      persist: (rows) => this.persist(rows),
      reply: (call, outcome) => this.effects.push({ kind: "reply", call, outcome }),
      consequences: (touched, done) =>
        this.neighbors.carryOut(touched, () => {
          this.parts.apply(touched);
          done();
        }),
      failedTests: (touched) => failedTests(this.policies, touched),
      lockOut: (touched, client) => this.resources.lockOut(touched, this.objects, client),
      receipt: (prefix, pathId, changed) =>
        this.injection.receipt(prefix, pathId, changed, (family, row) =>
          this.neighbors.advertisedTo(family, row),
        ),
      holdEvent: (event) =>
        this.events.hold({ ...event, time: this.wallMs, generation: this.objects.generation }),
      releaseEvent: (event, instead) => {
        const { time } = event;
        this.events.release(event.id, instead && { ...instead, time, generation: this.objects.generation });
        this.logEvent(instead ?? event);
      },
      audit: (entry) => this.audit(entry),
      nowMs: () => this.nowMs,
      wallMs: () => this.wallMs,
    };
  }

  /** Sends whole messages of routes to a neighbor. */
  private sendUpdates(neighbor: number, bytes: Uint8Array): void {
    this.sessions.send(neighbor, bytes, this.nowMs);
    if (this.bmp.wantsSent) this.bmp.sent(neighbor, bytes);
  }

  /** Notes an attempt to change something; it is written at the end of the turn. */
  audit(entry: StoredAudit): void {
    this.audits.push(entry);
  }

  private logEvent({
    severity,
    summary,
    topic,
    object,
  }: Omit<StoredEvent, "id" | "time" | "facts" | "generation">): void {
    this.effects.log(severity === 1 ? "info" : severity === 2 ? "warn" : "error", summary, { topic, object });
  }

  /** Adds an event to the log, the stream and the journal. */
  readonly event = (
    topic: string,
    object: string,
    severity: 1 | 2 | 3,
    summary: string,
    facts: Readonly<Record<string, string>>,
  ): void => {
    this.events.add({
      time: this.wallMs,
      topic,
      object,
      severity,
      summary,
      facts,
      generation: this.objects.generation,
    });
    this.logEvent({ topic, object, severity, summary });
  };

  /** Takes an input. Bytes are copied; RPCs wait for the turn. @returns false when the mailbox is full */
  handle(input: Input, nowMs: number, wallMs: number): boolean {
    this.nowMs = nowMs;
    this.wallMs = wallMs;
    this.routing.history.at(wallMs);
    switch (input.kind) {
      // At once, as what follows them on the same connection: its bytes and its end.
      case "tcp.accepted":
        this.sessions.accepted(
          input.conn,
          input.localAddress,
          input.localPort,
          input.remoteAddress,
          input.remotePort,
          nowMs,
        );
        return true;
      case "tcp.connected":
        this.sessions.connected(input.conn, input.localAddress, input.localPort, nowMs);
        return true;
      case "tcp.bytes":
        this.sessions.bytes(input.conn, input.bytes, nowMs);
        return true;
      case "tcp.sent":
        this.sessions.sent(input.conn, input.queued, nowMs);
        return true;
      case "tcp.closed":
        this.sessions.closed(input.conn, input.error, nowMs);
        return true;
      case "mutate":
      case "operate":
        if (this.urgent.length >= limits.urgentInputsMax) return false;
        this.urgent.push(input);
        return true;
      case "store.failed":
        // Before what waits: a change that is carried out first would be taken back with the rest, but written.
        this.urgent.unshift(input);
        return true;
      default:
        if (!this.parts.arrive(input)) this.urgent.push(input);
        return true;
    }
  }

  /**
   * Does a bounded piece of work.
   * @param budget about so many microseconds; effects are left in `effects`
   */
  turn(nowMs: number, wallMs: number, budget = defaultBudget): void {
    this.nowMs = nowMs;
    this.wallMs = wallMs;
    this.routing.history.at(wallMs);
    this.sessions.dueTimers(nowMs);
    this.runUrgent();
    this.parts.run(budget);
    const events = this.events.takePending();
    if (events.length > 0) this.rows.push({ table: "events", events });
    if (events.length > 0 || this.events.takeReleased()) this.watchers.eventsChanged();
    if (this.audits.length > 0) {
      this.rows.push({ table: "audit", entries: this.audits });
      this.audits = [];
    }
    this.flushRows();
    this.watchers.endTurn();
    if (this.shutDown && nowMs >= this.shutDown.exitAtMs) this.effects.push({ kind: "exit", code: 0 });
  }

  private runUrgent(): void {
    if (this.urgent.length === 0) return;
    const inputs = this.urgent;
    this.urgent = [];
    for (const input of inputs) this.runInput(input);
  }

  private runInput(input: Input): void {
    switch (input.kind) {
      case "host.abilities":
        this.objects.abilities = input.abilities;
        break;
      case "mutate":
        this.changes.mutate(input.call, input.mutation);
        break;
      case "operate":
        this.operate(input.call, input.operation);
        break;
      case "audit":
        this.audit(input.entry);
        break;
      case "store.committed":
        this.storeError = "";
        this.parts.durable(input.seq);
        break;
      case "store.failed":
        this.storeError = input.error;
        this.parts.notDurable(input.seq, input.error);
        this.effects.log("error", "the journal could not be written", { error: input.error });
        break;
      default:
        this.parts.take(input);
    }
  }

  /** ROUTE-REFRESH of a neighbor: it asks for our routes, or tells when it sends all of its own (RFC 7313). */
  private refreshed(
    record: NeighborRecord,
    family: Family,
    subtype: number,
    filters: FilterRequest | undefined,
  ): void {
    const { restarts } = this.neighbors;
    if (subtype === RefreshSubtype.begin) restarts.beginRefresh(record, family);
    else if (subtype === RefreshSubtype.end) restarts.endRefresh(record, family);
    else this.outboundFilters.requested(record, family, filters);
  }

  /** A start that is not the first one, with neighbors that may have kept our routes, is a restart (RFC 4724 4.1). */
  private afterRestart({ generation, restart }: StoredState): void {
    if (restart) this.rows.push({ table: "restart", restart: null });
    const { global } = this.neighbors;
    if (generation === 0 || !global || !isRestart(restart, this.neighbors.all(), this.wallMs)) return;
    if (!this.deferral.start(this.neighbors.all(), global.selectionDeferralMs)) return;
    this.groups.held = this.deferral.mask;
    this.sessions.setRestarting(true);
    const how = restart ? "as planned" : "not as planned";
    const names = familiesOf(this.deferral.mask).map(({ name }) => name);
    const summary = `cairn was restarted ${how}: ${names.join(", ")} routes wait for those of the neighbors`;
    this.event("cairn.bgp.restart.deferred", "", 1, summary, {
      families: names.join(),
      planned: String(!!restart),
    });
  }

  private selected(family: Family, missing: readonly NeighborRecord[]): void {
    this.groups.held = this.deferral.mask;
    const without = missing.map(({ config }) => config.address).join(", ");
    const summary =
      without === ""
        ? `all neighbors have sent their ${family.name} routes: ours are announced now`
        : `${family.name} routes are announced now; End-of-RIB did not come from ${without}`;
    const facts = { family: family.name, missing: without };
    this.event("cairn.bgp.restart.selected", "", without === "" ? 1 : 2, summary, facts);
    for (const record of this.neighbors.all()) this.watchers.neighborChanged(record.config.address);
  }

  private isActive(address: string): boolean {
    const record = this.neighbors.named(address);
    // A neighbor that restarts is expected back.
    return record !== undefined && (this.sessions.isActive(record.id) || record.stale.some(Boolean));
  }

  private locate(id: number, address: string): NeighborConfig {
    this.discovery.located(this.neighbors.get(id).config.interface, address);
    return this.neighbors.located(id);
  }

  private identify(id: number, asn: number): NeighborConfig | string {
    const record = this.neighbors.get(id);
    const { config } = record;
    const member = this.dynamic.dynamic.member(config.address);
    if (!member && !config.learnsAsn) return config;
    const refusal = member && this.dynamic.identify(member, asn);
    if (refusal) return refusal;
    if (config.learnsAsn && asn === config.localAsn)
      return `AS ${asn} is our own, and the neighbor is declared to be external`;
    record.learnedAsn = asn;
    return this.neighbors.identified(id);
  }

  private operate(call: CallId, operation: Operation): void {
    if (operation.op === "mrt-dump") {
      this.mrt.trigger(call, operation.name);
      return;
    }
    if (operation.op === "shutdown") this.shutdown(operation.message, operation.hard, operation.graceful);
    this.effects.push({ kind: "reply", call, outcome: operate(this, operation) });
  }

  /** Ends all sessions; the process exits a moment later, when the NOTIFICATIONs are on their way. */
  shutdown(message: string, hard: boolean, graceful: boolean): void {
    if (this.shutDown) return;
    this.event(
      "cairn.daemon.shutdown.started",
      "",
      1,
      message === "" ? "shutting down" : `shutting down: ${message}`,
      {},
    );
    const isPlanned =
      graceful && !hard && [...this.neighbors.all()].some(({ config }) => config.gracefulRestart === "full");
    const kind = isPlanned ? "planned" : "ended";
    this.rows.push({ table: "restart", restart: { kind, time: this.wallMs } });
    this.sessions.shutdownAll(message, hard, isPlanned, this.nowMs);
    this.mrt.end();
    this.bmp.end();
    this.shutDown = { exitAtMs: this.nowMs + (hard ? 0 : 200) };
  }

  persist(rows: readonly StoreRow[]): number {
    this.flushRows();
    const seq = this.nextSeq++;
    this.effects.push({ kind: "store.persist", seq, rows });
    return seq;
  }

  private flushRows(): void {
    if (this.rows.length === 0) return;
    const rows = this.rows;
    this.rows = [];
    this.effects.push({ kind: "store.persist", seq: this.nextSeq++, rows });
  }

  /** True when a turn would find something to do at once. */
  hasWork(): boolean {
    return this.urgent.length > 0 || this.sessions.hasWork() || this.parts.hasWork;
  }

  /** When the next turn is wanted if no input comes, monotonic milliseconds; Infinity for never. */
  nextWakeMs(): number {
    return Math.min(this.shutDown?.exitAtMs ?? Number.POSITIVE_INFINITY, this.parts.nextMs());
  }
}
