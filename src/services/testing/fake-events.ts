/** Events of the fake owner: a ring in memory, and all of them in the archive. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Event, type EventFilter, EventSchema, Severity } from "../../gen/cairn/v1/event_service_pb.ts";
import type { EventArchive } from "../../state/view.ts";
import { eventMatcher } from "../event-reader.ts";

export class FakeEvents {
  readonly #all: Event[] = [];
  readonly #ring: number;
  readonly #listeners = new Set<() => void>();
  readonly archive: EventArchive;
  /** Events that the archive has forgotten: ids up to this one. */
  forgotten = 0;

  constructor(count: number, ring: number) {
    this.#ring = ring;
    for (let i = 0; i < count; i++) {
      const address = `192.0.2.${(i % 4) + 1}`;
      this.add("cairn.bgp.session.established", `Neighbor/${address}`, `session with ${address} is up`, 1);
    }
    this.archive = {
      read: async (afterId, beforeId, reverse, max) => {
        const found = this.#all.filter(
          (e) => this.#retained(e) && Number(e.id) > afterId && Number(e.id) < beforeId,
        );
        if (reverse) found.reverse();
        return found.slice(0, max);
      },
      first: async () => this.forgotten + 1,
    };
  }

  add(topic: string, object: string, summary: string, generation: number): Event {
    const event = create(EventSchema, {
      id: BigInt(this.#all.length + 1),
      time: timestampFromMs(Date.now()),
      topic,
      object,
      severity: Severity.INFO,
      summary,
      generation: BigInt(generation),
    });
    this.#all.push(event);
    for (const listener of this.#listeners) listener();
    return event;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  range(): { first: number; last: number } {
    const last = this.#all.length;
    return { first: Math.max(1, last - this.#ring + 1), last };
  }

  read(
    afterId: number,
    filter: EventFilter | undefined,
    max: number,
  ): { events: Event[]; scannedTo: number } {
    const { first, last } = this.range();
    const passes = eventMatcher(filter);
    const events: Event[] = [];
    let id = Math.max(afterId + 1, first);
    for (; id <= last && events.length < max; id++) {
      const event = this.#all[id - 1];
      if (passes(event)) events.push(event);
    }
    return { events, scannedTo: Math.max(afterId, id - 1) };
  }

  #retained(event: Event): boolean {
    return Number(event.id) > this.forgotten;
  }
}
