/** EventService: what happened, as pages and as it happens. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type Event,
  type EventFilter,
  type EventService,
  ListEventsRequestSchema,
  WatchEventsResponse_Type as Type,
  type WatchEventsRequest,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
} from "../gen/cairn/v1/event_service_pb.ts";
import type { ServiceContext } from "./context.ts";
import { EventReader } from "./event-reader.ts";
import { Pacer } from "./pacer.ts";
import { readPage } from "./paging.ts";
import { checked, conditionsMax, type RequestCheck } from "./request.ts";
import { Wake } from "./watchers.ts";

/** Events in one message of a watch. */
const watchBatch = 256;

export function eventService(services: ServiceContext): ServiceImpl<typeof EventService> {
  return {
    watchEvents: (request, { signal }) => watchEvents(services, request, signal),

    async listEvents(request) {
      const page = checked((check) => {
        checkFilter(check, request.filter);
        return readPage(check, ListEventsRequestSchema, request);
      });
      const reader = new EventReader(services, request.filter);
      const pacer = new Pacer();
      const { last } = services.owner.view.eventRange();
      const from = Number(request.fromId);
      const events: Event[] = [];
      let cursor = page.position === "" ? (request.reverse ? last + 1 : from) : Number(page.position);
      let ended = false;
      while (!ended && events.length < page.size) {
        await pacer.rest();
        const max = page.size - events.length;
        const step = request.reverse
          ? await reader.back(cursor, from, max)
          : await reader.forward(cursor, max);
        for (const event of step.events) events.push(event);
        cursor = step.scannedTo;
        ended = request.reverse ? cursor <= from + 1 || step.atEnd : step.atEnd;
      }
      const before = page.before + events.length;
      const oldest = Math.max(from + 1, await reader.oldest());
      const all = Math.max(0, services.owner.view.eventRange().last - oldest + 1);
      const total = request.filter ? (ended ? before : 0) : all;
      return {
        events,
        nextPageToken: ended ? "" : page.token(String(cursor), before),
        totalSize: BigInt(total),
      };
    },
  };
}

/**
 * Retained events after `from_id`, a bookmark, then new ones. The place of the reader is an id; when the ring in
 * memory has passed it after the bookmark, the reader is told what it missed.
 */
async function* watchEvents(
  services: ServiceContext,
  request: WatchEventsRequest,
  signal: AbortSignal,
): AsyncGenerator<WatchEventsResponse> {
  const { view } = services.owner;
  checked((check) => {
    checkFilter(check, request.filter);
    const { last } = view.eventRange();
    if (request.fromId !== undefined && request.fromId > BigInt(last)) {
      const message = `the last event is ${last}, there is no ${request.fromId} yet`;
      check.add({ code: "INVALID", path: "from_id", message, fix: "leave it out for new events, 0 for all" });
    }
  });
  const slot = services.watchers.take("events", signal);
  const wake = new Wake();
  slot.onRelease(view.subscribe("events", wake.notify));
  const reader = new EventReader(services, request.filter);
  const pacer = new Pacer();
  let cursor = request.fromId === undefined ? view.eventRange().last : Number(request.fromId);
  slot.lag = () => Math.max(0, view.eventRange().last - cursor);
  const answer = (type: Type, events: Event[] = []): WatchEventsResponse =>
    create(WatchEventsResponseSchema, { type, events, lastId: BigInt(cursor) });
  const missed = (type: Type, to: number): WatchEventsResponse => {
    const gap = { missedFrom: BigInt(cursor + 1), missedTo: BigInt(to) };
    cursor = to;
    return create(WatchEventsResponseSchema, { type, ...gap, lastId: BigInt(cursor) });
  };
  try {
    const oldest = await reader.oldest();
    // From 0 on means all that are retained, so nothing is missing then.
    if (cursor === 0) cursor = oldest - 1;
    else if (cursor + 1 < oldest) yield missed(Type.COMPACTED, oldest - 1);
    for (let atEnd = false; !atEnd; ) {
      await pacer.rest();
      signal.throwIfAborted();
      const step = await reader.forward(cursor, watchBatch);
      ({ atEnd } = step);
      cursor = step.scannedTo;
      if (step.events.length > 0) yield answer(Type.EVENTS, step.events);
    }
    yield answer(Type.BOOKMARK);
    for (;;) {
      await pacer.rest();
      signal.throwIfAborted();
      const { first, last } = view.eventRange();
      if (cursor + 1 < first) {
        services.metrics.watcherLagged.inc({ kind: "events" });
        yield missed(Type.LAGGED, first - 1);
        continue;
      }
      if (cursor >= last) {
        await wake.wait(signal);
        pacer.restart();
        continue;
      }
      const step = view.events(cursor, request.filter, watchBatch);
      cursor = Math.max(cursor + 1, step.scannedTo);
      if (step.events.length > 0) yield answer(Type.EVENTS, step.events);
    }
  } finally {
    slot.release();
  }
}

function checkFilter(check: RequestCheck, filter: EventFilter | undefined): void {
  check.count("filter.topics", filter?.topics ?? [], conditionsMax);
  filter?.topics.forEach((topic, i) => {
    if (/^[a-z0-9_.*-]{1,128}$/.test(topic)) return;
    const message = `"${topic}" is not a topic`;
    const fix = "write one like cairn.bgp.session.established or cairn.bgp.*";
    check.add({ code: "INVALID", path: `filter.topics[${i}]`, message, fix, value: topic });
  });
  for (const field of ["categories", "types"] as const) {
    check.count(`filter.${field}`, filter?.[field] ?? [], conditionsMax);
    filter?.[field].forEach((text, i) => {
      if (/^[a-z0-9_.-]{1,128}$/.test(text)) return;
      const message = `"${text}" is no part of a topic`;
      const fix = "write one like session for a category, or session.established for a type";
      check.add({ code: "INVALID", path: `filter.${field}[${i}]`, message, fix, value: text });
    });
  }
  if (filter && filter.object !== "" && !/^[^/]+\/.+$/.test(filter.object)) {
    const message = `"${filter.object}" is not KIND/NAME`;
    check.add({ code: "INVALID", path: "filter.object", message, value: filter.object });
  }
}
