/** Reads events in steps, older ones from the archive and newer ones from memory, as one sequence. */
import type { Event, EventFilter } from "../gen/cairn/v1/event_service_pb.ts";
import { matches } from "../state/event-log.ts";
import type { ServiceContext } from "./context.ts";

export interface EventStep {
  readonly events: Event[];
  /** Id up to which (backward: down to which) everything was looked at. */
  readonly scannedTo: number;
  readonly atEnd: boolean;
}

/** Events looked at in one step. */
const stepEvents = 512;

export class EventReader {
  readonly #services: ServiceContext;
  readonly #filter: EventFilter | undefined;
  readonly #matches: (event: Event) => boolean;

  constructor(services: ServiceContext, filter: EventFilter | undefined) {
    this.#services = services;
    this.#filter = filter;
    this.#matches = eventMatcher(filter);
  }

  /** Id of the oldest event that is retained anywhere (the next id when none is). */
  async oldest(): Promise<number> {
    const inArchive = await this.#services.archive.first();
    const { first } = this.#services.owner.view.eventRange();
    return inArchive > 0 ? Math.min(inArchive, first) : first;
  }

  /** At most `max` events after `afterId`, oldest first. */
  async forward(afterId: number, max: number): Promise<EventStep> {
    const { view } = this.#services.owner;
    const { first, last } = view.eventRange();
    if (afterId >= last) return { events: [], scannedTo: afterId, atEnd: true };
    if (afterId + 1 < first) {
      const step = Math.min(max, stepEvents);
      const found = await this.#services.archive.read(afterId, first, false, step);
      const scannedTo = found.length < step ? first - 1 : Number(found[found.length - 1].id);
      return { events: found.filter(this.#matches), scannedTo, atEnd: false };
    }
    const { events, scannedTo } = view.events(afterId, this.#filter, Math.min(max, stepEvents));
    return { events, scannedTo, atEnd: scannedTo >= last };
  }

  /** At most `max` events before `beforeId` and after `downTo`, newest first. */
  async back(beforeId: number, downTo: number, max: number): Promise<EventStep> {
    const { view } = this.#services.owner;
    const { first } = view.eventRange();
    const step = Math.min(max, stepEvents);
    if (beforeId > first && first > 0) {
      const from = Math.max(first, beforeId - step, downTo + 1);
      const events: Event[] = [];
      for (let cursor = from - 1; cursor < beforeId - 1; ) {
        const part = view.events(cursor, this.#filter, beforeId - 1 - cursor);
        for (const event of part.events) if (Number(event.id) < beforeId) events.push(event);
        cursor = Math.max(cursor + 1, part.scannedTo);
      }
      return { events: events.reverse(), scannedTo: from, atEnd: false };
    }
    const found = await this.#services.archive.read(downTo, beforeId, true, step);
    const atEnd = found.length < step;
    const scannedTo = atEnd ? downTo + 1 : Number(found[found.length - 1].id);
    return { events: found.filter(this.#matches), scannedTo, atEnd };
  }
}

/** A test for the filter: archived events are chosen as the core chooses those in memory. */
export function eventMatcher(filter: EventFilter | undefined): (event: Event) => boolean {
  if (!filter) return () => true;
  return ({ topic, object, severity, summary, facts }) => {
    return matches({ id: 0, time: 0, generation: 0, topic, object, severity, summary, facts }, filter);
  };
}
