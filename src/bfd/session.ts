/**
 * The BFD session machine, RFC 5880 6.8, asynchronous mode: a function of what the session was, of what happens and of
 * when. Packets to send are its second answer. Intervals are in microseconds as on the wire, times in milliseconds.
 *
 * A change of intervals while Up is announced by a Poll Sequence. Until the neighbor has answered, the old transmit
 * interval stays when the new one is longer, and the old receive interval stays when the new one is shorter (6.8.3).
 */
import type { Random } from "../base/random.ts";
import { BfdState, type ControlPacket, Diagnostic } from "./packet.ts";

/** What may change while the session runs. */
export interface Settings {
  readonly minTxUs: number;
  readonly minRxUs: number;
  readonly multiplier: number;
  /** Says nothing before the neighbor has. */
  readonly passive: boolean;
}

/** What the neighbor last said of itself. */
export interface Remote {
  /** 0: nothing was heard of it for a detection time. */
  readonly discriminator: number;
  readonly state: BfdState;
  readonly diagnostic: number;
  readonly minTxUs: number;
  readonly minRxUs: number;
  readonly multiplier: number;
  readonly demand: boolean;
  readonly independent: boolean;
}

/** Why a session left Up. */
export type DownCause =
  | "detection-time"
  | "neighbor-down"
  /** The neighbor took BFD away; that says nothing of the path. */
  | "neighbor-admin-down"
  | "admin-down";

export interface Session {
  readonly settings: Settings;
  /** bfd.LocalDiscr: unique and not 0. */
  readonly discriminator: number;
  readonly state: BfdState;
  readonly diagnostic: number;
  readonly remote: Remote;
  /** A Poll Sequence is under way; `again`: another one follows, for what changed meanwhile. */
  readonly poll: "none" | "sent" | "again";
  /** Intervals in force, which a change may leave behind until its Poll Sequence has ended. */
  readonly txUs: number;
  readonly rxUs: number;
  /** When the last periodic packet went out, and when the next one does; Infinity while nothing is sent by itself. */
  readonly sentAtMs: number;
  readonly sendAtMs: number;
  /** When the neighbor is missed; Infinity while nothing is expected. */
  readonly detectAtMs: number;
  /** Why it last left Up; undefined as long as it never was. */
  readonly cause: DownCause | undefined;
}

export type SessionEvent =
  /** A packet for this session that passed all checks. */
  | { readonly kind: "packet"; readonly packet: ControlPacket }
  /** Whatever is due. */
  | { readonly kind: "time" }
  | { readonly kind: "settings"; readonly settings: Settings }
  /** BFD is taken away: the neighbor is told so (6.8.16). */
  | { readonly kind: "admin-down" };

export type Step = readonly [session: Session, packets: readonly ControlPacket[]];

/** RFC 5880 6.8.3: not more often than once a second while the session is not Up. */
export const slowUs = 1_000_000;
const never = Number.POSITIVE_INFINITY;

const unheard: Remote = {
  discriminator: 0,
  state: BfdState.down,
  diagnostic: Diagnostic.none,
  minTxUs: 0,
  minRxUs: 1,
  multiplier: 0,
  demand: false,
  independent: false,
};

/** A session in Down that sends its first packet at once, unless it is passive. */
export function newSession(discriminator: number, settings: Settings, nowMs: number): Session {
  return {
    settings,
    discriminator,
    state: BfdState.down,
    diagnostic: Diagnostic.none,
    remote: unheard,
    poll: "none",
    txUs: Math.max(slowUs, settings.minTxUs),
    rxUs: settings.minRxUs,
    sentAtMs: Number.NEGATIVE_INFINITY,
    sendAtMs: settings.passive ? never : nowMs,
    detectAtMs: never,
    cause: undefined,
  };
}

/** Interval between our packets before jitter. */
export function transmitUs({ txUs, remote }: Session): number {
  return Math.max(txUs, remote.minRxUs);
}

/** Time without a packet after which the neighbor is missed (6.8.4); 0 before anything was heard. */
export function detectionUs({ rxUs, remote }: Session): number {
  return remote.multiplier * Math.max(rxUs, remote.minTxUs);
}

/** When `step` wants to be called with the event `time`; Infinity for never. */
export function dueMs(session: Session): number {
  return Math.min(session.sendAtMs, session.detectAtMs);
}

/** @param random for the jitter of the next packet (6.8.7) */
export function step(session: Session, event: SessionEvent, nowMs: number, random: Random): Step {
  switch (event.kind) {
    case "packet":
      return receive(session, event.packet, nowMs, random);
    case "time":
      return passTime(session, nowMs, random);
    case "settings":
      return send(withSettings(session, event.settings), nowMs, random);
    case "admin-down":
      return send(
        leave(session, BfdState.adminDown, Diagnostic.administrativelyDown, "admin-down"),
        nowMs,
        random,
      );
  }
}

/** 6.8.6, from where the session is known. */
function receive(before: Session, packet: ControlPacket, nowMs: number, random: Random): Step {
  const remote: Remote = {
    discriminator: packet.myDiscriminator,
    state: packet.state,
    diagnostic: packet.diagnostic,
    minTxUs: packet.desiredMinTxUs,
    minRxUs: packet.requiredMinRxUs,
    multiplier: packet.multiplier,
    demand: packet.demand,
    independent: packet.independent,
  };
  let session: Session = { ...before, remote };
  if (packet.final) session = endPoll(session);
  if (session.state === BfdState.adminDown) return [session, []];
  session = transition(session, packet);
  session = { ...session, detectAtMs: nowMs + detectionUs(session) / 1000 };
  const answers = packet.poll ? [controlOf(session, true)] : [];
  // Intervals may have changed either way, and a session that was silent may have to speak now.
  if (session.state !== before.state) {
    const [told, packets] = send(session, nowMs, random);
    return [told, [...answers, ...packets]];
  }
  if (isSilent(session)) return [{ ...session, sendAtMs: never }, answers];
  if (session.sendAtMs === never || transmitUs(session) !== transmitUs(before)) {
    const next = session.sentAtMs + jittered(session, random);
    session = { ...session, sendAtMs: Math.max(nowMs, next) };
  }
  return [session, answers];
}

/** The state machine of 6.2 and 6.8.6. */
function transition(session: Session, { state }: ControlPacket): Session {
  const was = session.state;
  if (state === BfdState.adminDown) {
    return was === BfdState.down
      ? session
      : leave(session, BfdState.down, Diagnostic.neighborSignaledDown, "neighbor-admin-down");
  }
  if (was === BfdState.down) {
    if (state === BfdState.down) return { ...session, state: BfdState.init };
    return state === BfdState.init ? rise(session) : session;
  }
  if (was === BfdState.init) return state === BfdState.down ? session : rise(session);
  return state === BfdState.down
    ? leave(session, BfdState.down, Diagnostic.neighborSignaledDown, "neighbor-down")
    : session;
}

/** To Up, with the intervals that are meant for it; a Poll Sequence makes sure that the neighbor knows them. */
function rise(session: Session): Session {
  const { minTxUs } = session.settings;
  const up: Session = { ...session, state: BfdState.up, diagnostic: Diagnostic.none, txUs: minTxUs };
  return minTxUs === session.txUs ? up : { ...up, poll: "sent" };
}

/** Away from Up or Init, back to the slow rate. */
function leave(session: Session, state: BfdState, diagnostic: number, cause: DownCause): Session {
  const { minTxUs, minRxUs } = session.settings;
  return {
    ...session,
    state,
    diagnostic,
    poll: "none",
    txUs: Math.max(slowUs, minTxUs),
    rxUs: minRxUs,
    cause: session.state === BfdState.up ? cause : session.cause,
  };
}

function passTime(session: Session, nowMs: number, random: Random): Step {
  if (session.detectAtMs > nowMs) {
    return session.sendAtMs > nowMs ? [session, []] : send(session, nowMs, random);
  }
  const silent: Session = { ...session, detectAtMs: never, remote: unheard };
  if (session.state !== BfdState.init && session.state !== BfdState.up) {
    return session.sendAtMs > nowMs ? [silentIfPassive(silent), []] : send(silent, nowMs, random);
  }
  // The packet that tells of it still has the neighbor's discriminator, by which the neighbor finds its session.
  const down = leave(session, BfdState.down, Diagnostic.detectionTimeExpired, "detection-time");
  const [sent, packets] = send({ ...down, detectAtMs: never }, nowMs, random);
  return [silentIfPassive({ ...sent, remote: unheard }), packets];
}

function silentIfPassive(session: Session): Session {
  return isSilent(session) ? { ...session, sendAtMs: never } : session;
}

function withSettings(session: Session, settings: Settings): Session {
  const changed = { ...session, settings };
  if (session.state !== BfdState.up) {
    return { ...changed, txUs: Math.max(slowUs, settings.minTxUs), rxUs: settings.minRxUs };
  }
  const { minTxUs, minRxUs } = session.settings;
  if (settings.minTxUs === minTxUs && settings.minRxUs === minRxUs) return changed;
  return {
    ...changed,
    poll: session.poll === "none" ? "sent" : "again",
    txUs: Math.min(session.txUs, settings.minTxUs),
    rxUs: Math.max(session.rxUs, settings.minRxUs),
  };
}

/** The neighbor has answered: it knows what the poll carried. */
function endPoll(session: Session): Session {
  if (session.poll === "none") return session;
  // The answer may be to a packet from before the last change.
  if (session.poll === "again") return { ...session, poll: "sent" };
  return { ...session, poll: "none", txUs: session.settings.minTxUs, rxUs: session.settings.minRxUs };
}

/** Sends now and plans the next packet; nothing while 6.8.7 wants silence. */
function send(session: Session, nowMs: number, random: Random): Step {
  if (isSilent(session)) return [{ ...session, sendAtMs: never }, []];
  const sent = { ...session, sentAtMs: nowMs, sendAtMs: nowMs + jittered(session, random) };
  return [sent, [controlOf(session, false)]];
}

/** 6.8.7: when no packets are sent but answers to polls. */
function isSilent({ settings, remote, state, poll }: Session): boolean {
  if (remote.discriminator === 0 && settings.passive) return true;
  if (remote.minRxUs === 0) return true;
  return remote.demand && state === BfdState.up && remote.state === BfdState.up && poll === "none";
}

/** 6.8.7: up to a quarter is taken off, with a multiplier of 1 at least a tenth. Milliseconds. */
function jittered(session: Session, random: Random): number {
  const span = session.settings.multiplier === 1 ? 0.15 : 0.25;
  return (transmitUs(session) / 1000) * (0.75 + span * random());
}

/** The packet that tells how things stand. Echo packets are not answered: Required Min Echo RX is 0. */
function controlOf(session: Session, final: boolean): ControlPacket {
  const { settings, state } = session;
  return {
    diagnostic: session.diagnostic,
    state,
    poll: !final && session.poll !== "none",
    final,
    independent: false,
    demand: false,
    multiplier: settings.multiplier,
    myDiscriminator: session.discriminator,
    yourDiscriminator: session.remote.discriminator,
    desiredMinTxUs: state === BfdState.up ? settings.minTxUs : Math.max(slowUs, settings.minTxUs),
    requiredMinRxUs: settings.minRxUs,
    requiredMinEchoRxUs: 0,
  };
}
