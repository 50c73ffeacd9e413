/**
 * An owner without a router behind it: a handful of neighbors, a table, events, and the refusals of the real one.
 * Tests of services and CLI run against it, and so can anything that only needs a daemon that answers.
 */

import type { Problem } from "../../base/problem.ts";
import type { Event } from "../../gen/cairn/v1/event_service_pb.ts";
import type { Mutation, MutationOutcome } from "../../state/mutation.ts";
import type { Operation, OperationOutcome } from "../../state/operation.ts";
import type { EventArchive, HistoryArchive, Owner, StoredAudit } from "../../state/view.ts";
import { FakeEvents } from "./fake-events.ts";
import { FakeObjects } from "./fake-objects.ts";
import { FakeTables } from "./fake-tables.ts";
import { FakeView } from "./fake-view.ts";

export interface FakeOwnerOptions {
  /** Prefixes in the IPv4 table; default 5,000. Each has a path from one or two neighbors. */
  readonly routes?: number;
  /** Events at the start; default 40. */
  readonly events?: number;
  /** Events held in memory; older ones are only in the archive. Default 1,000. */
  readonly eventRing?: number;
}

export class FakeOwner implements Owner {
  readonly objects = new FakeObjects();
  readonly tables: FakeTables;
  readonly events: FakeEvents;
  readonly view: FakeView;
  readonly archive: EventArchive;
  /** A history in which nothing ever happened. */
  readonly history: HistoryArchive = {
    generations: async () => [],
    span: async () => ({ newest: 0, oldest: 0, count: 0 }),
    compare: async () => undefined,
    objectsAt: async () => undefined,
    revisions: async () => [],
    audit: async () => ({ entries: [], total: 0 }),
    verifyAudit: async () => ({ checked: 0, brokenAt: 0, next: 0, hash: "" }),
  };
  /** Everything that was asked for, in order. */
  readonly mutations: Mutation[] = [];
  readonly operations: Operation[] = [];
  readonly audits: StoredAudit[] = [];
  /** When set, mutations and operations are refused with these problems. */
  refuseWith: readonly Problem[] | undefined;
  /** When set, the mailbox is full. */
  busy = false;
  readonly #startedMs = Date.now();

  constructor(options: FakeOwnerOptions = {}) {
    this.tables = new FakeTables(options.routes ?? 5_000);
    this.events = new FakeEvents(options.events ?? 40, options.eventRing ?? 1_000);
    this.view = new FakeView(this.objects, this.tables, this.events);
    this.archive = this.events.archive;
  }

  async mutate(mutation: Mutation): Promise<MutationOutcome> {
    this.#checkMailbox();
    this.mutations.push(mutation);
    if (this.refuseWith) return { ok: false, problems: this.refuseWith };
    const outcome = this.objects.mutate(mutation, this.tables);
    if (outcome.ok && outcome.changes.length > 0 && !mutation.dryRun) {
      for (const change of outcome.changes) {
        this.emit({
          topic: "cairn.config.object.changed",
          object: `${change.kind}/${change.name}`,
          summary: `${change.kind} ${change.name} changed by ${mutation.principal}`,
        });
      }
      this.objects.notify();
    }
    return outcome;
  }

  async operate(operation: Operation): Promise<OperationOutcome> {
    this.#checkMailbox();
    this.operations.push(operation);
    if (this.refuseWith) return { ok: false, problems: this.refuseWith };
    if ("address" in operation && !this.objects.get("Neighbor", operation.address)) {
      return { ok: false, problems: [this.objects.notFound("Neighbor", operation.address)] };
    }
    if (operation.op === "mrt-dump") {
      if (!this.objects.get("MrtDump", operation.name)) {
        return { ok: false, problems: [this.objects.notFound("MrtDump", operation.name)] };
      }
      return { ok: true, dump: { path: "/tmp/rib", routes: 2, records: 3, bytes: 4, durationMs: 5 } };
    }
    return { ok: true };
  }

  audit(entry: StoredAudit): void {
    this.audits.push(entry);
  }

  /** Adds an event, as the core does at the end of a turn. */
  emit(event: { topic: string; object: string; summary: string }): Event {
    return this.events.add(event.topic, event.object, event.summary, this.objects.generation);
  }

  wallMs(): number {
    return Date.now();
  }

  uptimeMs(): number {
    return Date.now() - this.#startedMs;
  }

  #checkMailbox(): void {
    if (!this.busy) return;
    const error = new Error("the mailbox is full");
    error.name = "Busy";
    throw error;
  }
}
