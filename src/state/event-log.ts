/**
 * Events: what happened, for people and programs. The newest stand in a ring in memory, all go to the store; ids rise
 * by one over restarts. A reader that is lapped by the ring is told so and can read on from the archive.
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { limits } from "../base/limits.ts";
import { type Event, type EventFilter, EventSchema, Severity } from "../gen/cairn/v1/event_service_pb.ts";
import type { StoredEvent } from "./rows.ts";

export class EventLog {
  private readonly ring: StoredEvent[] = [];
  private lastId: number;
  /** Events of this turn that are not handed to the store yet. */
  private pending: StoredEvent[] = [];
  /** Numbers of events that wait for their change to be durable, in rising order. */
  private held: number[] = [];
  private released = false;

  constructor(lastId: number, newest: readonly StoredEvent[]) {
    this.lastId = lastId;
    for (const event of newest) this.keep(event);
  }

  add(event: Omit<StoredEvent, "id">): void {
    const stored = { id: ++this.lastId, ...event };
    this.keep(stored);
    this.pending.push(stored);
  }

  private keep(event: StoredEvent): void {
    this.ring[event.id % limits.eventRingMax] = event;
  }

  /**
   * Gives an event its number without handing it to the store: it is written together with the change that it tells
   * of. It and what comes after it stay unseen until `release`, so that readers meet no gap that is filled later.
   */
  hold(event: Omit<StoredEvent, "id">): StoredEvent {
    const stored = { id: ++this.lastId, ...event };
    this.keep(stored);
    this.held.push(stored.id);
    return stored;
  }

  /** A held event is durable; or nothing came of it, and `instead` takes its number. */
  release(id: number, instead?: Omit<StoredEvent, "id">): void {
    this.held = this.held.filter((other) => other !== id);
    this.released = true;
    if (!instead) return;
    const stored = { ...instead, id };
    if (id > this.lastId - limits.eventRingMax) this.keep(stored);
    this.pending.push(stored);
  }

  /** True once after events were released. */
  takeReleased(): boolean {
    const { released } = this;
    this.released = false;
    return released;
  }

  /** The last event that may be seen. */
  private get visible(): number {
    return this.held.length > 0 ? this.held[0] - 1 : this.lastId;
  }

  /** Events to persist; the log forgets that they are pending. */
  takePending(): StoredEvent[] {
    const taken = this.pending;
    if (taken.length > 0) this.pending = [];
    return taken;
  }

  range(): { first: number; last: number } {
    let first = Math.max(1, this.lastId - limits.eventRingMax + 1);
    // After a start the ring may hold fewer events than fit.
    while (first <= this.lastId && this.ring[first % limits.eventRingMax]?.id !== first) first++;
    return { first, last: this.visible };
  }

  /** Events in memory with an id after `afterId`; `scannedTo` is where to go on. */
  read(
    afterId: number,
    filter: EventFilter | undefined,
    max: number,
  ): { events: Event[]; scannedTo: number } {
    const { first, last } = this.range();
    const events: Event[] = [];
    let id = Math.max(afterId, first - 1);
    while (id < last && events.length < max) {
      id++;
      const event = this.ring[id % limits.eventRingMax];
      if (event && matches(event, filter)) events.push(eventMessage(event));
    }
    return { events, scannedTo: id };
  }
}

/** True when the event passes: one of the topic patterns, categories and types each, the object, and the severity. */
export function matches(event: StoredEvent, filter: EventFilter | undefined): boolean {
  if (!filter) return true;
  if (filter.minSeverity !== Severity.UNSPECIFIED && event.severity < filter.minSeverity) return false;
  if (filter.object !== "" && event.object !== filter.object) return false;
  const { topic } = event;
  const passes = (wanted: readonly string[], test: (text: string) => boolean): boolean => {
    return wanted.length === 0 || wanted.some(test);
  };
  return (
    passes(filter.topics, (pattern) => topicMatches(pattern, topic)) &&
    passes(filter.categories, (category) => topic.split(".").slice(1, 3).includes(category)) &&
    passes(filter.types, (type) => topic.endsWith(`.${type}`))
  );
}

/** `*` stands for any text; a pattern without one must be the whole topic or a leading part up to a dot. */
function topicMatches(pattern: string, topic: string): boolean {
  if (!pattern.includes("*")) return topic === pattern || topic.startsWith(`${pattern}.`);
  const parts = pattern.split("*");
  if (!topic.startsWith(parts[0])) return false;
  let at = parts[0].length;
  for (const part of parts.slice(1, -1)) {
    const found = topic.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  const last = parts[parts.length - 1];
  return topic.length - at >= last.length && topic.endsWith(last);
}

export function eventMessage(event: StoredEvent): Event {
  return create(EventSchema, {
    id: BigInt(event.id),
    time: timestampFromMs(event.time),
    topic: event.topic,
    object: event.object,
    severity: event.severity as Severity,
    summary: event.summary,
    facts: { ...event.facts },
    generation: BigInt(event.generation),
  });
}
