/** Reads messages out of inboxes, round robin, and turns them into events. UPDATEs go straight to the core. */
import { limits } from "../base/limits.ts";
import { events } from "../fsm/events.ts";
import { isNotice, type Notice, negotiate } from "../fsm/negotiate.ts";
import { familyByCode } from "../wire/family.ts";
import { Frame, Framer } from "../wire/framer.ts";
import { MessageType, noData, readU16 } from "../wire/message.ts";
import { decodeNotification } from "../wire/notification.ts";
import { decodeOpen, isWireError } from "../wire/open.ts";
import { decodeFilters } from "../wire/orf.ts";
import { decodeRefresh, RefreshSubtype } from "../wire/refresh.ts";
import type { Connection } from "./sessions-connection.ts";
import { awaitsOpen, type Engine, maxMessageBytes, noticeFacts } from "./sessions-engine.ts";
import type { Attempt } from "./sessions-peer.ts";
import { noticeText, transportText } from "./sessions-text.ts";

/** What one connection may use up before the next one has its turn. */
const quantumBytes = 65_536;

export class Intake {
  private readonly engine: Engine;
  private readonly framer = new Framer();
  /** Connections with a whole message, an error or their end in the inbox, oldest first. */
  private ready: Connection[] = [];
  private readyAt = 0;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  hasWork(): boolean {
    return this.readyAt < this.ready.length;
  }

  /** Puts a connection on the list when there is something to do for it. */
  list(connection: Connection): void {
    if (connection.listed || !connection.attempt) return;
    if (!connection.closed && !this.hasMessage(connection)) return;
    connection.listed = true;
    this.ready.push(connection);
  }

  /** True when a whole message (or a broken one) is in the inbox. */
  hasMessage(connection: Connection): boolean {
    const { attempt, inbox, readAt, writeAt } = connection;
    if (!attempt) return false;
    return this.framer.next(inbox, readAt, writeAt, maxMessageBytes(attempt)) !== Frame.incomplete;
  }

  /** Works until `budgetBytes` are used up, `expired` says so, or nothing is left. */
  pump(budgetBytes: number, expired: (() => boolean) | undefined): void {
    let left = budgetBytes;
    while (this.hasWork() && left > 0 && !expired?.()) {
      const connection = this.ready[this.readyAt++];
      if (this.readyAt > 64 && this.readyAt * 2 > this.ready.length) this.compact();
      connection.listed = false;
      left -= this.read(connection, Math.min(left, quantumBytes));
      this.list(connection);
    }
    if (!this.hasWork()) this.compact();
  }

  private compact(): void {
    this.ready = this.ready.slice(this.readyAt);
    this.readyAt = 0;
  }

  /** @returns bytes used up */
  private read(connection: Connection, quantum: number): number {
    const { attempt } = connection;
    if (!attempt) return 0;
    const { engine, framer } = this;
    let used = 0;
    let updates = 0;
    while (used < quantum && connection.attempt === attempt) {
      const frame = framer.next(
        connection.inbox,
        connection.readAt,
        connection.writeAt,
        maxMessageBytes(attempt),
      );
      if (frame === Frame.incomplete) break;
      if (frame === Frame.error) {
        connection.consumed(connection.writeAt);
        engine.dispatch(attempt, { kind: "header.error", notice: framer.error as Notice });
        break;
      }
      const { type, start, end } = framer;
      used += end - start;
      attempt.peer.received.bytes += end - start;
      if (type === MessageType.update && attempt.session.state === "Established") {
        updates++;
        this.update(connection, attempt, start, end);
      } else {
        this.message(attempt, type, connection.inbox, start, end);
      }
      connection.consumed(end);
    }
    if (updates > 0 && connection.attempt === attempt) engine.dispatch(attempt, events.update);
    if (updates === 0) connection.shrink();
    this.settle(connection, attempt);
    return used;
  }

  private update(connection: Connection, attempt: Attempt, start: number, end: number): void {
    const { engine } = this;
    attempt.peer.received.updates++;
    engine.hold();
    const result = engine.host.update(attempt.peer.id, connection.inbox, start, end);
    if (result) engine.dispatch(attempt, { kind: "update.error", notice: result });
    engine.release();
  }

  /** After reading: reading again, and the end of the connection once everything before it was looked at. */
  private settle(connection: Connection, attempt: Attempt): void {
    if (connection.attempt !== attempt) return;
    if (connection.paused && connection.inboxBytes < limits.connInboxBytesMax / 2) {
      connection.paused = false;
      this.engine.effects.push({ kind: "tcp.pause", conn: connection.id, paused: false });
    }
    if (connection.closed && !this.hasMessage(connection)) this.end(connection);
  }

  /** Tells the machine that its connection is gone. */
  end(connection: Connection): void {
    const { attempt } = connection;
    if (!attempt) return;
    if (attempt === attempt.peer.main && attempt.session.state !== "Established") {
      attempt.peer.connectError = transportText(connection.closeError);
    }
    this.engine.dispatch(attempt, { kind: "tcp.failed", error: connection.closeError });
    // Connect forgets its connection without closing it.
    if (attempt.connection === connection) attempt.connection = undefined;
    this.engine.drop(connection);
  }

  private message(attempt: Attempt, type: number, bytes: Uint8Array, start: number, end: number): void {
    const { engine } = this;
    const { received } = attempt.peer;
    engine.mirror?.(attempt.peer.id, bytes, start, end);
    switch (type) {
      case MessageType.open:
        received.opens++;
        attempt.receivedOpen = bytes.slice(start, end);
        this.open(attempt, bytes, start, end);
        return;
      case MessageType.update:
        received.updates++;
        engine.dispatch(attempt, events.update);
        return;
      case MessageType.notification:
        received.notifications++;
        this.notification(attempt, bytes, start, end);
        return;
      case MessageType.keepalive:
        received.keepalives++;
        this.keepalive(attempt);
        return;
      case MessageType.routeRefresh:
        this.refresh(attempt, bytes, start, end);
        return;
    }
  }

  private open(attempt: Attempt, bytes: Uint8Array, start: number, end: number): void {
    const { engine } = this;
    const open = decodeOpen(bytes, start, end);
    if (isWireError(open)) {
      engine.dispatch(attempt, { kind: "open.error", notice: open });
      return;
    }
    const stranger = this.identify(attempt, open.asn);
    if (stranger) {
      engine.dispatch(attempt, { kind: "open.error", notice: stranger });
      return;
    }
    const agreement = negotiate(attempt.peer.config, open, readU16(bytes, start + 20), attempt.moment);
    if (isNotice(agreement)) {
      engine.dispatch(attempt, { kind: "open.error", notice: agreement });
      return;
    }
    if (awaitsOpen(attempt) && !engine.resolve(attempt, agreement.remoteRouterId, false)) return;
    engine.dispatch(attempt, { kind: "open", agreement });
  }

  /** A dynamic neighbor has the AS number that its OPEN tells, as long as no other connection of it has told one. */
  private identify(attempt: Attempt, asn: number): Notice | undefined {
    const { peer } = attempt;
    const isKnown = !peer.config.dynamic && !peer.config.learnsAsn;
    if (isKnown || peer.attempts().some((other) => other !== attempt && other.agreement)) return undefined;
    const config = this.engine.host.identify(peer.id, asn);
    if (typeof config === "string") return { code: 2, subcode: 2, data: noData, text: config };
    const isOther = config.remoteAsn !== peer.config.remoteAsn;
    peer.config = config;
    if (isOther && attempt.connection) this.engine.configure(attempt.connection, config);
    return undefined;
  }

  private keepalive(attempt: Attempt): void {
    const { engine } = this;
    const completes = attempt.session.state === "OpenConfirm";
    if (completes && !engine.resolve(attempt, attempt.agreement!.remoteRouterId, true)) return;
    engine.dispatch(attempt, events.keepalive);
  }

  private notification(attempt: Attempt, bytes: Uint8Array, start: number, end: number): void {
    const { engine } = this;
    const notice: Notice = decodeNotification(bytes, start, end);
    if (engine.audible(attempt)) {
      const summary = `received ${noticeText(notice)}`;
      engine.host.event(
        "cairn.bgp.notification.received",
        attempt.peer.object,
        2,
        summary,
        noticeFacts(notice),
      );
    }
    engine.dispatch(attempt, { kind: "notification", notice });
  }

  private refresh(attempt: Attempt, bytes: Uint8Array, start: number, end: number): void {
    const { engine } = this;
    if (attempt.session.state !== "Established") {
      engine.dispatch(attempt, events.refresh);
      return;
    }
    const refresh = decodeRefresh(bytes, start, end);
    if (isWireError(refresh)) {
      engine.dispatch(attempt, { kind: "update.error", notice: refresh });
      return;
    }
    const { request, begin, end: endMark } = RefreshSubtype;
    const isMark = refresh.subtype === begin || refresh.subtype === endMark;
    if (!isMark) attempt.peer.received.refreshes++;
    const family = familyByCode(refresh.afi, refresh.safi);
    // RFC 2918 section 4: a family that was not agreed on is ignored; RFC 7313 section 5: so is an unknown subtype.
    const agreed = family && attempt.agreement && (attempt.agreement.families & (1 << family.index)) !== 0;
    const isKnown = refresh.subtype === request || (isMark && attempt.agreement?.enhancedRefresh);
    if (!family || !agreed || !isKnown) return;
    const { filtersAt } = refresh;
    const isOurs = filtersAt !== undefined && (attempt.agreement!.orfReceive & (1 << family.index)) !== 0;
    const filters = isOurs && !isMark ? decodeFilters(bytes, filtersAt, end, family) : undefined;
    engine.host.refresh(attempt.peer.id, family, refresh.subtype, filters);
  }
}
