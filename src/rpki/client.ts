/**
 * The router's end of a session with an RPKI cache (RFC 6810, 8210, and 8210bis for version 2), as a pure machine: time
 * and bytes come in, calls to `RtrHost` go out.
 *
 *   waiting -> connecting -> querying -> receiving -> synchronized -> querying ...
 *
 * What a cache has told stays in force until it expires or the cache has told all of something newer: a lost
 * connection, a cache that lies, or an answer that breaks off changes nothing. After a lie the session is dropped, with
 * an Error Report, and everything is asked for anew.
 */
import {
  decodePdu,
  encodeErrorReport,
  encodeResetQuery,
  encodeSerialQuery,
  headerBytes,
  latestVersion,
  Pdu,
  PduType,
  RtrError,
  rtrErrorNames,
} from "./pdu.ts";
import { compareSerials } from "./serial.ts";
import type { VrpOutcome } from "./vrp-table.ts";

export type RtrState = "waiting" | "connecting" | "querying" | "receiving" | "synchronized";

export interface RtrSettings {
  /** Highest version to offer. */
  readonly maxVersion: number;
  /** Instead of what the cache says, seconds; 0 takes the cache's. */
  readonly refreshS: number;
  readonly retryS: number;
  readonly expireS: number;
}

/** What the machine asks of its owner. */
export interface RtrHost {
  connect(): void;
  send(bytes: Uint8Array): void;
  disconnect(): void;
  /** Stop, or go on, to hand in bytes. */
  pause(paused: boolean): void;
  /** A set of data begins: all of it, or what differs from what there is. */
  begin(full: boolean): void;
  /** False: data cannot be taken yet; `pump` is to be called again. */
  ready(): boolean;
  take(pdu: Pdu, bytes: Uint8Array): VrpOutcome;
  /** The set is complete. */
  commit(): void;
  /** The set breaks off. */
  abandon(): void;
  /** What there is has expired. */
  expired(): void;
  /** Something that an operator should know. */
  tell(what: RtrNews, text: string): void;
}

/** What `tell` is about. */
export type RtrNews = "synchronized" | "lost" | "error" | "expired" | "version";

/** What to do with an interval that a cache sends out of bounds: the bound (RFC 8210 6). */
const bounds = {
  refresh: { least: 1, most: 86_400, fallback: 3_600 },
  retry: { least: 1, most: 7_200, fallback: 600 },
  expire: { least: 600, most: 172_800, fallback: 7_200 },
} as const;

/** A cache that accepts a query and says nothing for so long is gone. */
const silenceMs = 60_000;
/** Waits after connections that failed one after the other; the retry interval bounds them. */
const firstWaitMs = 1_000;
const inboxPauseBytes = 1 << 18;
const inboxResumeBytes = 1 << 16;
/** Of a PDU that is complained about, so much is sent back. */
const complaintBytesMax = 128;

export class RtrClient {
  state: RtrState = "waiting";
  /** Version in use, or to be offered. */
  version: number;
  /** The cache answered in this version. */
  agreed = false;
  /** Session id and serial of the data that there is; undefined before the first, and after what makes them void. */
  session: { readonly id: number; readonly serial: number } | undefined;
  /** Monotonic milliseconds; 0 for never. */
  updatedMs = 0;
  expiresMs = Number.POSITIVE_INFINITY;
  refreshS: number = bounds.refresh.fallback;
  retryS: number = bounds.retry.fallback;
  expireS: number = bounds.expire.fallback;
  /** What went wrong last; empty once the cache is synchronized again. */
  lastError = "";
  /** Since the start. */
  readonly counts = {
    connections: 0,
    resets: 0,
    updates: 0,
    announced: 0,
    withdrawn: 0,
    errorsSent: 0,
    errorsReceived: 0,
  };
  private settings: RtrSettings;
  private readonly host: RtrHost;
  private readonly pdu = new Pdu();
  private inbox: Uint8Array = new Uint8Array(4096);
  private start = 0;
  private end = 0;
  private paused = false;
  /** When something is to be done in this state. */
  private dueMs = 0;
  private failures = 0;
  private heard = false;
  private full = true;
  private begun = false;
  /** A Serial Notify came while an answer was on its way. */
  private notified = false;

  constructor(settings: RtrSettings, host: RtrHost) {
    this.settings = settings;
    this.version = Math.min(settings.maxVersion, latestVersion);
    this.host = host;
  }

  /** Takes other settings. The session goes on unless its version is not offered any more. */
  configure(settings: RtrSettings, nowMs: number): void {
    const versionChanged = settings.maxVersion !== this.settings.maxVersion;
    this.settings = settings;
    if (versionChanged) this.reset(nowMs);
    else if (this.updatedMs > 0) this.schedule(this.updatedMs);
  }

  /** Drops the session and begins anew with the highest version; what there is stays. */
  reset(nowMs: number): void {
    this.drop();
    this.session = undefined;
    this.agreed = false;
    this.version = Math.min(this.settings.maxVersion, latestVersion);
    this.state = "waiting";
    this.dueMs = nowMs;
    this.failures = 0;
  }

  /** Asks for what is new, as a Serial Notify makes it. */
  refresh(nowMs: number): void {
    if (this.state === "synchronized") this.query(nowMs);
    else if (this.state === "waiting") this.dueMs = nowMs;
  }

  /** Ends for good. */
  stop(): void {
    this.drop();
    this.state = "waiting";
    this.dueMs = Number.POSITIVE_INFINITY;
    this.expiresMs = Number.POSITIVE_INFINITY;
  }

  /** When `tick` is wanted next. */
  nextMs(): number {
    return Math.min(this.dueMs, this.expiresMs);
  }

  tick(nowMs: number): void {
    if (nowMs >= this.expiresMs) this.expire();
    if (nowMs < this.dueMs) return;
    switch (this.state) {
      case "waiting":
        this.state = "connecting";
        this.heard = false;
        this.dueMs = Number.POSITIVE_INFINITY; // the host ends an attempt that takes too long
        this.host.connect();
        break;
      case "synchronized":
        this.query(nowMs);
        break;
      case "querying":
      case "receiving":
        // Bytes that wait to be worked on are no silence.
        if (this.end - this.start > 0) this.dueMs = nowMs + silenceMs;
        else this.lose(`no answer within ${silenceMs / 1000} s`, nowMs);
        break;
      default:
    }
  }

  private expire(): void {
    this.expiresMs = Number.POSITIVE_INFINITY;
    this.session = undefined;
    this.agreed = this.agreed && this.state !== "waiting";
    if (!this.agreed) this.version = Math.min(this.settings.maxVersion, latestVersion);
    this.host.expired();
    this.host.tell("expired", `its data expired after ${this.expireS} s without news`);
  }

  connected(nowMs: number): void {
    if (this.state !== "connecting") return;
    this.counts.connections++;
    this.query(nowMs);
  }

  /** The connection ended or never came about. */
  closed(error: string | undefined, nowMs: number): void {
    if (this.state === "waiting") return;
    const before = this.state;
    const isSilent = before === "querying" && !this.heard && !this.agreed;
    if (isSilent && this.version > 0) {
      this.version--;
      this.host.tell("version", `it closed the connection without a word; next with version ${this.version}`);
    } else if (isSilent) this.version = Math.min(this.settings.maxVersion, latestVersion);
    const what = before === "connecting" ? "no connection" : "connection lost";
    this.lose(error ? `${what}: ${error}` : what, nowMs, true);
  }

  /** Takes received bytes; they are copied. `pump` works on them. */
  bytes(chunk: Uint8Array): void {
    if (this.state === "waiting" || this.state === "connecting") return;
    if (this.end + chunk.length > this.inbox.length) this.makeRoom(chunk.length);
    this.inbox.set(chunk, this.end);
    this.end += chunk.length;
    this.isStuck = false;
    if (!this.paused && this.end - this.start > inboxPauseBytes) {
      this.paused = true;
      this.host.pause(true);
    }
  }

  private makeRoom(bytes: number): void {
    const held = this.inbox.subarray(this.start, this.end);
    const needed = held.length + bytes;
    const next = needed * 2 <= this.inbox.length ? this.inbox : new Uint8Array(needed * 2);
    next.set(held);
    this.inbox = next;
    this.start = 0;
    this.end = held.length;
  }

  /** True when `pump` would find something to do. */
  get hasWork(): boolean {
    return this.end - this.start >= headerBytes && !this.isStuck;
  }

  /** What is there is the beginning of a PDU whose rest has not come. */
  private isStuck = false;

  /** Works on up to `max` received PDUs. */
  pump(max: number, nowMs: number): void {
    this.isStuck = false;
    for (let n = 0; n < max; n++) {
      if (this.begun && !this.host.ready()) return;
      const length = decodePdu(this.inbox, this.start, this.end, this.pdu);
      if (length === 0) {
        this.isStuck = true;
        break;
      }
      const at = this.start;
      if (length < 0) {
        // Never an Error Report about an Error Report (RFC 8210 5.11).
        if (this.pdu.type === PduType.errorReport) this.lose("a malformed error report", nowMs);
        else this.fail(this.pdu.error, this.pdu.problem, at, nowMs);
        return;
      }
      this.heard = true;
      this.process(at, nowMs);
      if (this.state === "waiting") return;
      this.start += length;
    }
    if (this.start === this.end) this.start = this.end = 0;
    if (this.paused && this.end - this.start < inboxResumeBytes) {
      this.paused = false;
      this.host.pause(false);
    }
    if (this.state === "receiving") this.dueMs = nowMs + silenceMs;
  }

  private process(at: number, nowMs: number): void {
    const { pdu } = this;
    if (pdu.type === PduType.errorReport) {
      this.reported(nowMs);
      return;
    }
    if (!this.agrees(at, nowMs)) return;
    switch (pdu.type) {
      case PduType.serialNotify:
        this.notify(at, nowMs);
        break;
      case PduType.cacheResponse:
        this.response(at, nowMs);
        break;
      case PduType.cacheReset:
        if (this.state !== "querying" || this.full) {
          this.fail(RtrError.corruptData, "a Cache Reset that nobody asked for", at, nowMs);
          return;
        }
        this.session = undefined;
        this.query(nowMs);
        break;
      case PduType.ipv4Prefix:
      case PduType.ipv6Prefix:
      case PduType.aspa:
      case PduType.routerKey:
        this.data(at, nowMs);
        break;
      case PduType.endOfData:
        this.completed(at, nowMs);
        break;
      default:
        this.fail(RtrError.corruptData, `PDU type ${pdu.type}, which caches do not send`, at, nowMs);
    }
  }

  /** Settles the version with the first answer (RFC 8210 7), and holds the cache to it. */
  private agrees(at: number, nowMs: number): boolean {
    const { pdu } = this;
    if (pdu.version === this.version) {
      this.agreed = true;
      return true;
    }
    // Before the first answer a cache may notify in any version.
    if (!this.agreed && pdu.type === PduType.serialNotify) return true;
    if (!this.agreed && pdu.version < this.version) {
      this.version = pdu.version;
      this.agreed = true;
      this.host.tell("version", `it speaks version ${this.version}`);
      return true;
    }
    const text = `a PDU of version ${pdu.version} in a session of version ${this.version}`;
    this.fail(RtrError.unexpectedVersion, text, at, nowMs);
    return false;
  }

  private reported(nowMs: number): void {
    const { pdu } = this;
    this.counts.errorsReceived++;
    const name = rtrErrorNames[pdu.session] ?? `error ${pdu.session}`;
    if (pdu.session === RtrError.unsupportedVersion && this.version > 0 && !this.agreed) {
      this.version = Math.min(this.version - 1, pdu.version);
      this.host.tell("version", `it does not know our version; next with version ${this.version}`);
      this.drop();
      this.wait(nowMs, 0);
      return;
    }
    // What it has may be other than what we think, except where it only has nothing yet.
    if (pdu.session !== RtrError.noDataAvailable) this.session = undefined;
    this.lose(`the cache reports: ${name}${pdu.text === "" ? "" : `: ${pdu.text}`}`, nowMs);
  }

  private notify(at: number, nowMs: number): void {
    const { session, pdu } = this;
    if (this.state === "querying" || this.state === "receiving") {
      this.notified = true;
      return;
    }
    if (!session) return;
    if (pdu.session !== session.id) {
      const text = `a Serial Notify of session ${pdu.session} in session ${session.id}`;
      this.fail(RtrError.corruptData, text, at, nowMs);
    } else if (compareSerials(pdu.serial, session.serial) > 0) this.query(nowMs);
  }

  private response(at: number, nowMs: number): void {
    const { pdu, session } = this;
    if (this.state !== "querying") {
      this.fail(RtrError.corruptData, "a Cache Response that nobody asked for", at, nowMs);
      return;
    }
    if (!this.full && session && pdu.session !== session.id) {
      const text = `an answer of session ${pdu.session} to a query of session ${session.id}`;
      this.fail(RtrError.corruptData, text, at, nowMs);
      return;
    }
    this.responseSession = pdu.session;
    this.state = "receiving";
    this.begun = true;
    this.host.begin(this.full);
  }

  /** Session id of the answer under way. */
  private responseSession = 0;

  private data(at: number, nowMs: number): void {
    const { pdu } = this;
    if (this.state !== "receiving") {
      this.fail(RtrError.corruptData, "data outside of an answer", at, nowMs);
      return;
    }
    if (pdu.type === PduType.routerKey) return; // BGPsec keys are of no use to us
    const outcome = this.host.take(pdu, this.inbox);
    if (outcome === "done") {
      if (pdu.announced) this.counts.announced++;
      else this.counts.withdrawn++;
    } else if (outcome === "duplicate")
      this.fail(RtrError.duplicateAnnouncement, "it announces what it announced before", at, nowMs);
    else if (outcome === "unknown")
      this.fail(RtrError.withdrawalOfUnknown, "it withdraws what it did not announce", at, nowMs);
    else this.fail(RtrError.internalError, "it announces more than we can take", at, nowMs);
  }

  private completed(at: number, nowMs: number): void {
    const { pdu, session, full } = this;
    if (this.state !== "receiving") {
      this.fail(RtrError.corruptData, "End of Data outside of an answer", at, nowMs);
      return;
    }
    if (pdu.session !== this.responseSession) {
      const text = `End of Data of session ${pdu.session} in an answer of session ${this.responseSession}`;
      this.fail(RtrError.corruptData, text, at, nowMs);
      return;
    }
    if (!full && session && compareSerials(pdu.serial, session.serial) < 0) {
      const text = `serial ${pdu.serial} after ${session.serial}: it goes backwards`;
      this.fail(RtrError.corruptData, text, at, nowMs);
      return;
    }
    this.session = { id: pdu.session, serial: pdu.serial };
    if (this.version > 0) {
      this.told = { refreshS: pdu.refreshS, retryS: pdu.retryS, expireS: pdu.expireS };
    }
    this.begun = false;
    this.host.commit();
    if (full) this.counts.resets++;
    else this.counts.updates++;
    this.updatedMs = nowMs;
    this.state = "synchronized";
    this.failures = 0;
    const wasWell = this.lastError === "";
    this.lastError = "";
    this.schedule(nowMs);
    if (full || !wasWell) this.host.tell("synchronized", `synchronized at serial ${pdu.serial}`);
    if (this.notified) this.query(nowMs);
  }

  /** Intervals as the cache said them last. */
  private told = { refreshS: 0, retryS: 0, expireS: 0 };

  private schedule(updatedMs: number): void {
    const { told, settings } = this;
    this.refreshS = settings.refreshS || within(told.refreshS, bounds.refresh);
    this.retryS = settings.retryS || within(told.retryS, bounds.retry);
    this.expireS = settings.expireS || within(told.expireS, bounds.expire);
    if (Number.isFinite(this.expiresMs) || this.session) this.expiresMs = updatedMs + this.expireS * 1000;
    // Asked in time, even where an operator lets data expire sooner than it is refreshed.
    const refreshS = Math.min(this.refreshS, this.expireS / 2);
    if (this.state === "synchronized") this.dueMs = updatedMs + refreshS * 1000;
  }

  private query(nowMs: number): void {
    const { session, version } = this;
    this.notified = false;
    this.full = session === undefined;
    this.state = "querying";
    this.dueMs = nowMs + silenceMs;
    this.host.send(
      session ? encodeSerialQuery(version, session.id, session.serial) : encodeResetQuery(version),
    );
  }

  /** The cache did what it must not do: tell it, end the session, and ask for everything anew. */
  private fail(error: RtrError, text: string, at: number, nowMs: number): void {
    const { length } = this.pdu;
    const end = Math.min(this.end, at + Math.min(Math.max(length, headerBytes), complaintBytesMax));
    this.counts.errorsSent++;
    this.host.send(encodeErrorReport(this.version, error, this.inbox.slice(at, end), text));
    this.session = undefined;
    this.lastError = `${rtrErrorNames[error]}: ${text}`;
    this.host.tell("error", this.lastError);
    this.drop();
    this.wait(nowMs, this.nextWaitMs());
  }

  /** The session is over, by nobody's fault that we could name to the cache. */
  private lose(text: string, nowMs: number, isClosed = false): void {
    const isNews = text !== this.lastError;
    this.lastError = text;
    if (isNews) this.host.tell("lost", text);
    this.drop(isClosed);
    this.wait(nowMs, this.nextWaitMs());
  }

  private nextWaitMs(): number {
    return Math.min(firstWaitMs * 2 ** Math.min(this.failures++, 20), this.retryS * 1000);
  }

  private wait(nowMs: number, ms: number): void {
    this.state = "waiting";
    this.dueMs = nowMs + ms;
  }

  private drop(isClosed = false): void {
    const wasOpen = this.state !== "waiting" && !isClosed;
    if (this.begun) this.host.abandon();
    this.begun = false;
    this.start = this.end = 0;
    this.paused = false;
    this.notified = false;
    if (wasOpen) this.host.disconnect();
  }
}

function within(
  seconds: number,
  { least, most, fallback }: { readonly least: number; readonly most: number; readonly fallback: number },
): number {
  return seconds === 0 ? fallback : Math.min(most, Math.max(least, seconds));
}
