/**
 * TCP between the speakers, as their shells see it: ordered byte streams with latency, windows, segments of any size,
 * stalls, resets, connections that one side has forgotten, and partitions of either direction.
 *
 *   shell queue --window--> flying --latency--> arrived --(reader not paused)--> tcp.bytes
 */
import type { Effect } from "../../src/state/effects.ts";
import type { ConnId, Input } from "../../src/state/inputs.ts";
import type { Clock } from "./clock.ts";
import type { Dice } from "./dice.ts";

export type TcpEffect = Extract<Effect, { kind: `tcp.${string}` }>;
export type TcpInput = Extract<Input, { kind: `tcp.${string}` }>;

export interface NetFaults {
  readonly latencyMsMin: number;
  readonly latencyMsMax: number;
  /** Bytes of one segment at most. */
  readonly segmentMax: number;
  /** Bytes on the way and not yet read, per direction. */
  readonly windowBytes: number;
  /** Share of connection attempts that are refused. */
  refuse: number;
}

/** A machine with one speaker. */
export interface Host {
  readonly address: string;
  /** The machine answers. */
  readonly up: boolean;
  /** The process is there. */
  readonly alive: boolean;
  /** The process runs now: it takes what arrives. */
  readonly reading: boolean;
  post(input: TcpInput): void;
}

const connectTimeoutMs = 30_000;
const lingerMs = 3000;
const port = 179;
const keepaliveBytes = 19;

class Pipe {
  queue: Uint8Array[] = [];
  queuedBytes = 0;
  /** Bytes in flight or arrived and unread. */
  heldBytes = 0;
  arrived: Uint8Array[] = [];
  lastArrivalMs = 0;
  stalledUntilMs = 0;
  /** A FIN follows what is queued. */
  fin: "none" | "queued" | "flying" | "arrived" = "none";
}

class End {
  readonly link: Link;
  readonly host: number;
  conn: ConnId = 0;
  /** The process holds the socket and has not been told of its end. */
  open = false;
  /** The process let go in good order; the kernel still sends what is left and reads on. */
  lingers = false;
  paused = false;
  sentDue = false;
  readonly out = new Pipe();
  peer!: End;

  constructor(link: Link, host: number) {
    this.link = link;
    this.host = host;
  }
}

class Link {
  gone = false;
  readonly a: End;
  readonly b: End;

  constructor(a: number, b: number) {
    this.a = new End(this, a);
    this.b = new End(this, b);
    this.a.peer = this.b;
    this.b.peer = this.a;
  }
}

export class Net {
  readonly faults: NetFaults;
  private readonly clock: Clock;
  private readonly dice: Dice;
  private readonly hosts: readonly Host[];
  private readonly links = new Set<Link>();
  private readonly ends: Map<ConnId, End>[];
  private readonly accepts: number[];
  private ports = 20_000;
  /** Directions that carry nothing, as `from > to`. */
  readonly blocked = new Set<string>();

  constructor(clock: Clock, dice: Dice, hosts: readonly Host[], count: number, faults: NetFaults) {
    this.clock = clock;
    this.dice = dice;
    this.hosts = hosts;
    this.faults = faults;
    this.ends = Array.from({ length: count }, () => new Map<ConnId, End>());
    this.accepts = Array.from({ length: count }, () => 0);
  }

  /** Carries out an effect of a host's process. */
  apply(host: number, effect: TcpEffect): void {
    if (effect.kind === "tcp.connect") {
      this.connect(host, effect.conn, effect.remoteAddress);
      return;
    }
    // This network has no keys, and every packet comes from next door.
    if (effect.kind === "tcp.key" || effect.kind === "tcp.listen-ttl") return;
    const end = this.ends[host].get(effect.conn);
    if (!end?.open) return;
    switch (effect.kind) {
      case "tcp.send":
        end.out.queue.push(effect.bytes);
        end.out.queuedBytes += effect.bytes.length;
        this.transfer(end);
        break;
      case "tcp.pause":
        end.paused = effect.paused;
        if (!effect.paused) this.read(end);
        break;
      case "tcp.close":
        this.close(end, effect.abort);
        break;
      default:
    }
  }

  // Connecting

  private connect(from: number, conn: ConnId, address: string): void {
    const to = this.hosts.findIndex((host) => host.address === address);
    if (to < 0) {
      this.fail(from, conn, "EHOSTUNREACH", 1);
      return;
    }
    const link = new Link(from, to);
    const { a } = link;
    a.conn = conn;
    a.open = true;
    this.ends[from].set(conn, a);
    this.links.add(link);
    this.syn(link, this.clock.nowMs + connectTimeoutMs);
  }

  private fail(host: number, conn: ConnId, error: string, delayMs: number): void {
    this.clock.after(delayMs, () => {
      this.ends[host].delete(conn);
      this.hosts[host].post({ kind: "tcp.closed", conn, error });
    });
  }

  private syn(link: Link, deadlineMs: number): void {
    const { a, b } = link;
    this.clock.after(this.latency(), () => {
      if (link.gone || !a.open) return;
      const target = this.hosts[b.host];
      if (this.isBlocked(a.host, b.host) || !target.up) {
        if (this.clock.nowMs < deadlineMs) this.clock.after(1000, () => this.syn(link, deadlineMs));
        else this.end(a, "ETIMEDOUT");
        return;
      }
      if (!target.alive || this.dice.chance(this.faults.refuse)) {
        this.clock.after(this.latency(), () => this.end(a, "ECONNREFUSED"));
        return;
      }
      this.accept(link);
    });
  }

  private accept(link: Link): void {
    const { a, b } = link;
    b.conn = --this.accepts[b.host];
    b.open = true;
    this.ends[b.host].set(b.conn, b);
    const localPort = this.ports++;
    const server = this.hosts[b.host];
    const client = this.hosts[a.host];
    server.post({
      kind: "tcp.accepted",
      conn: b.conn,
      localAddress: server.address,
      localPort: port,
      remoteAddress: client.address,
      remotePort: localPort,
    });
    this.synAck(link, client.address, localPort, this.clock.nowMs + connectTimeoutMs);
  }

  private synAck(link: Link, localAddress: string, localPort: number, deadlineMs: number): void {
    const { a, b } = link;
    this.clock.after(this.latency(), () => {
      if (link.gone) return;
      if (!a.open) {
        this.reset(b, "ECONNRESET");
        return;
      }
      if (this.isBlocked(b.host, a.host)) {
        if (this.clock.nowMs < deadlineMs) {
          this.clock.after(1000, () => this.synAck(link, localAddress, localPort, deadlineMs));
        } else this.end(a, "ETIMEDOUT");
        return;
      }
      this.hosts[a.host].post({ kind: "tcp.connected", conn: a.conn, localAddress, localPort });
      this.connected.add(a);
      this.read(a);
      this.transfer(a);
    });
  }

  /** Client ends whose process knows that they are connected; before that nothing is delivered to it. */
  private readonly connected = new WeakSet<End>();

  // Carrying

  private transfer(end: End): void {
    const { out, link } = end;
    const { faults, dice } = this;
    let moved = false;
    while (out.queue.length > 0 && out.heldBytes < faults.windowBytes) {
      const room = Math.min(faults.windowBytes - out.heldBytes, dice.skewed(1, faults.segmentMax) + 18);
      const bytes = take(out, room);
      moved = true;
      this.fly(end, bytes);
    }
    if (out.fin === "queued" && out.queue.length === 0) {
      out.fin = "flying";
      this.fly(end, undefined);
    }
    if (moved && end.open && !end.sentDue) {
      end.sentDue = true;
      this.clock.after(dice.between(0, 2), () => {
        end.sentDue = false;
        if (end.open && !link.gone) {
          this.hosts[end.host].post({ kind: "tcp.sent", conn: end.conn, queued: out.queuedBytes });
        }
      });
    }
  }

  /** Sends a segment, or the FIN when there are no bytes. */
  private fly(end: End, bytes: Uint8Array | undefined): void {
    const { out } = end;
    out.heldBytes += bytes?.length ?? 0;
    out.lastArrivalMs = Math.max(out.lastArrivalMs, this.clock.nowMs + this.latency());
    this.clock.at(out.lastArrivalMs, () => this.arrive(end, bytes));
  }

  private arrive(from: End, bytes: Uint8Array | undefined): void {
    const { out, peer, link } = from;
    if (link.gone) return;
    const nowMs = this.clock.nowMs;
    const target = this.hosts[peer.host];
    if (this.isBlocked(from.host, peer.host) || !target.up || out.stalledUntilMs > nowMs) {
      // Sent again until it gets through; the order of arrival is kept by re-queueing at one place.
      this.hold(from, bytes);
      return;
    }
    this.land(from, bytes);
  }

  private readonly held = new Map<End, (Uint8Array | undefined)[]>();

  private hold(from: End, bytes: Uint8Array | undefined): void {
    const waiting = this.held.get(from);
    if (waiting) {
      waiting.push(bytes);
      return;
    }
    this.held.set(from, [bytes]);
    this.retry(from);
  }

  private retry(from: End): void {
    this.clock.after(this.dice.between(200, 1500), () => {
      const { link, peer, out } = from;
      if (link.gone) {
        this.held.delete(from);
        return;
      }
      const isStuck =
        this.isBlocked(from.host, peer.host) ||
        !this.hosts[peer.host].up ||
        out.stalledUntilMs > this.clock.nowMs;
      if (isStuck) {
        this.retry(from);
        return;
      }
      const waiting = this.held.get(from)!;
      this.held.delete(from);
      for (const bytes of waiting) this.land(from, bytes);
    });
  }

  private land(from: End, bytes: Uint8Array | undefined): void {
    const { out, peer, link } = from;
    if (link.gone) return;
    const behind = this.held.get(from);
    if (behind) {
      behind.push(bytes);
      return;
    }
    if (bytes === undefined) out.fin = "arrived";
    else out.arrived.push(bytes);
    this.read(peer);
  }

  /** Hands what has arrived to the process. */
  private read(end: End): void {
    const { link, peer } = end;
    const inbound = peer.out;
    if (link.gone || (inbound.arrived.length === 0 && inbound.fin !== "arrived")) return;
    if (!end.open) {
      if (end.lingers) discard(inbound);
      else {
        // Nobody has this connection any more: a reset goes back.
        this.reset(peer, "ECONNRESET");
        return;
      }
      if (inbound.fin === "arrived") this.remove(link);
      return;
    }
    if (end === link.a && !this.connected.has(end)) return;
    const host = this.hosts[end.host];
    while (inbound.arrived.length > 0 && host.reading && !end.paused && end.open) {
      const bytes = this.dice.chance(0.5) ? inbound.arrived.shift()! : joined(inbound.arrived);
      inbound.heldBytes -= bytes.length;
      host.post({ kind: "tcp.bytes", conn: end.conn, bytes });
    }
    if (inbound.arrived.length === 0 && inbound.fin === "arrived" && host.reading && end.open) {
      this.end(end, undefined);
      return;
    }
    this.transfer(peer);
  }

  /** The host's process runs again. */
  kick(host: number): void {
    for (const end of [...this.ends[host].values()]) this.read(end);
  }

  // Ending

  private close(end: End, abort: boolean): void {
    end.open = false;
    this.ends[end.host].delete(end.conn);
    if (abort || (end === end.link.a && !this.connected.has(end))) {
      if (!end.peer.open && !end.peer.lingers) this.remove(end.link);
      else this.reset(end.peer, "ECONNRESET");
      return;
    }
    end.lingers = true;
    end.out.fin = "queued";
    this.transfer(end);
    this.read(end);
    this.clock.after(lingerMs, () => {
      end.lingers = false;
      if (end.link.gone) return;
      if (!end.peer.open) this.remove(end.link);
      else if (end.out.fin !== "arrived") this.reset(end.peer, "ECONNRESET");
    });
  }

  /** A reset is on its way to `end`; lost when the path is blocked, so that the connection stays half open. */
  private reset(end: End, error: string): void {
    this.clock.after(this.latency(), () => {
      if (end.link.gone) return;
      if (this.isBlocked(end.peer.host, end.host)) return;
      if (end.open) this.end(end, error);
      else if (!end.peer.open) this.remove(end.link);
    });
  }

  /** The process is told that the connection has ended. */
  private end(end: End, error: string | undefined): void {
    if (!end.open) return;
    end.open = false;
    this.ends[end.host].delete(end.conn);
    this.hosts[end.host].post({ kind: "tcp.closed", conn: end.conn, error });
    if (!end.peer.open) this.remove(end.link);
    else if (error === undefined || end.peer.conn !== 0) this.reset(end.peer, "ECONNRESET");
  }

  private remove(link: Link): void {
    link.gone = true;
    this.links.delete(link);
    this.held.delete(link.a);
    this.held.delete(link.b);
  }

  /** The process ended. @param silent the machine went with it: nobody is told */
  crash(host: number, silent: boolean): void {
    for (const end of [...this.ends[host].values()]) {
      end.open = false;
      if (!silent) this.reset(end.peer, "ECONNRESET");
      if (!end.peer.open && !end.peer.lingers) this.remove(end.link);
    }
    this.ends[host].clear();
  }

  // Faults

  private linksOf(): End[] {
    return [...this.links].filter((link) => link.a.open && link.b.open).flatMap((link) => [link.a, link.b]);
  }

  /** Resets a connection in the middle; one of the two sides may not hear of it. */
  resetOne(): void {
    const ends = this.linksOf();
    if (ends.length === 0) return;
    const end = this.dice.pick(ends);
    const halfOpen = this.dice.chance(0.3);
    this.end(end, "ECONNRESET");
    if (!halfOpen && end.peer.open) this.end(end.peer, "ECONNRESET");
  }

  /** Nothing moves in one direction of a connection for a while. */
  stallOne(ms: number): void {
    const ends = this.linksOf();
    if (ends.length > 0) this.dice.pick(ends).out.stalledUntilMs = this.clock.nowMs + ms;
  }

  block(from: number, to: number): void {
    this.blocked.add(`${from} > ${to}`);
  }

  heal(): void {
    this.blocked.clear();
    for (const link of this.links) {
      link.a.out.stalledUntilMs = 0;
      link.b.out.stalledUntilMs = 0;
    }
  }

  /** True when nothing is under way but a few KEEPALIVEs. */
  get quiet(): boolean {
    for (const { a, b } of this.links) {
      for (const { out } of [a, b]) if (out.queuedBytes + out.heldBytes > keepaliveBytes * 2) return false;
    }
    return true;
  }

  private isBlocked(from: number, to: number): boolean {
    return this.blocked.has(`${from} > ${to}`);
  }

  private latency(): number {
    return this.dice.between(this.faults.latencyMsMin, this.faults.latencyMsMax);
  }
}

/** Takes up to `max` bytes off the shell's queue. */
function take(pipe: Pipe, max: number): Uint8Array {
  const [first] = pipe.queue;
  const bytes = first.length <= max ? first : first.subarray(0, max);
  if (first.length <= max) pipe.queue.shift();
  else pipe.queue[0] = first.subarray(max);
  pipe.queuedBytes -= bytes.length;
  return bytes;
}

function joined(list: Uint8Array[]): Uint8Array {
  if (list.length === 1) return list.pop()!;
  const all = new Uint8Array(list.reduce((sum, bytes) => sum + bytes.length, 0));
  let at = 0;
  for (const bytes of list.splice(0)) {
    all.set(bytes, at);
    at += bytes.length;
  }
  return all;
}

function discard(pipe: Pipe): void {
  for (const bytes of pipe.arrived.splice(0)) pipe.heldBytes -= bytes.length;
}
