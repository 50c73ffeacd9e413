/** One run: a daemon, its peers, the oracle, and what is measured while routes flow. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseIp } from "../../src/base/ip.ts";
import { delayFile } from "../daemons/cairn.ts";
import type { Adapter, Peer, Setup } from "../daemons/daemon.ts";
import { peerAddress } from "../namespace.ts";
import { DaemonProcess, machineCpuS } from "../process.ts";
import type { Filter } from "./filter.ts";
import { Session } from "./session.ts";
import { Oracle, Sink } from "./sink.ts";
import { firstPeerAs, Table, type TableShape } from "./table.ts";
import { encodeTable } from "./updates.ts";

export interface RigShape extends TableShape {
  /** Peers that only receive; they stand behind the feeders. */
  readonly sinks: number;
  /** Peers that are configured, but connect only when told. */
  readonly late?: number;
  readonly routeServer?: boolean;
  /** Feeders are sinks too. */
  readonly feedersReceive?: boolean;
  readonly keepReceived?: boolean;
  readonly rpki?: Setup["rpki"];
  readonly unwatched?: boolean;
  /** Default 240. */
  readonly holdTimeS?: number;
  readonly oneCore?: boolean;
  /** Import policy of the feeders, for this table. */
  filter?(table: Table): Filter;
}

/** What a run came to: seconds, megabytes, milliseconds, counts; the unit is the end of the name. */
export type Metrics = Record<string, number>;

/** Work that goes on after the last route arrived counts as CPU of the run. */
const settleMs = 1000;
const timeoutS = 300;
/** Sessions that come up together; some daemons have a short queue. */
const connectAtOnce = 50;

export class Rig {
  readonly adapter: Adapter;
  readonly table: Table;
  readonly oracle: Oracle;
  readonly daemon: DaemonProcess;
  readonly setup: Setup;
  readonly feeders: Session[] = [];
  readonly sinks: Sink[] = [];
  readonly sessions: Session[] = [];
  private readonly shape: RigShape;
  /** Seconds from the start of the daemon until all sessions were up. */
  upS = 0;
  private idleMb = 0;
  private startedMs = 0;
  private cpuBefore = 0;
  private machineBefore = 0;
  private ownBefore = 0;

  private constructor(adapter: Adapter, shape: RigShape, table: Table, setup: Setup, daemon: DaemonProcess) {
    this.adapter = adapter;
    this.shape = shape;
    this.table = table;
    this.setup = setup;
    this.daemon = daemon;
    this.oracle = new Oracle(table, setup.peers.length, shape.routeServer ?? false);
  }

  /** Starts the daemon; all peers but the late ones get their sessions up, and it is left in peace for a second. */
  static async start(adapter: Adapter, shape: RigShape): Promise<Rig> {
    const table = new Table(shape);
    const ipv6 = shape.ipv6 ?? false;
    const count = shape.feeders + shape.sinks + (shape.late ?? 0);
    const peers = Array.from(
      { length: count },
      (_, n): Peer => ({ address: peerAddress(n, ipv6), asn: firstPeerAs + n, feeds: n < shape.feeders }),
    );
    const { routeServer = false, holdTimeS = 240, keepReceived, unwatched, oneCore, rpki } = shape;
    const filter = shape.filter?.(table);
    const setup = { peers, ipv6, routeServer, holdTimeS, keepReceived, unwatched, oneCore, filter, rpki };
    const startedMs = performance.now();
    const daemon = await DaemonProcess.start(adapter.name, (directory) => {
      const started = adapter.configure(setup, directory);
      return oneCore ? { ...started, command: ["taskset", "-c", "0", ...started.command] } : started;
    });
    const rig = new Rig(adapter, shape, table, setup, daemon);
    try {
      await delay(300 + count * 3); // a daemon may listen before it knows all of its neighbors
      rig.idleMb = daemon.memory().rssMb;
      for (let n = 0; n < shape.feeders + shape.sinks; n += connectAtOnce) {
        const upTo = Math.min(n + connectAtOnce, shape.feeders + shape.sinks);
        for (let peer = n; peer < upTo; peer++) rig.connect(peer);
        await Promise.all(rig.sessions.map(({ established }) => established));
      }
      rig.upS = (performance.now() - startedMs) / 1000;
      await delay((adapter.warmUpS ?? 1) * 1000);
      rig.loopDelay(); // what came before does not count
      return rig;
    } catch (error) {
      const log = daemon.log();
      await rig.stop();
      throw new Error(`${error instanceof Error ? error.message : error} ${log}`);
    }
  }

  /** Connects a peer. @returns its session */
  connect(n: number): Session {
    const { address, asn, feeds } = this.setup.peers[n];
    const sink = feeds && !this.shape.feedersReceive ? undefined : new Sink(this.oracle, n);
    if (sink) this.sinks.push(sink);
    const session = new Session({
      address,
      asn,
      ipv6: this.setup.ipv6,
      holdTimeS: this.setup.holdTimeS,
      routerId: (10 << 24) + (98 << 16) + n + 1,
      update: sink && ((bytes, start, end) => sink.update(bytes, start, end)),
    });
    this.sessions.push(session);
    if (feeds) this.feeders.push(session);
    return session;
  }

  /** What every sink must have from now on, by prefix; what it must have now may be seen on the way. */
  expect(prints: Uint32Array): void {
    const { oracle, table } = this;
    for (const print of new Set(oracle.target)) oracle.passing.add(print);
    for (let number = 0; number < table.count; number++) oracle.retarget(number, prints[number]);
  }

  /** Our own next hop in what peer `n` announces. */
  nextHop(n: number): Uint8Array {
    return parseIp(this.setup.peers[n].address) as Uint8Array;
  }

  /** Time and CPU count from now on. */
  begin(): void {
    this.machineBefore = machineCpuS();
    this.ownBefore = ownCpuS();
    this.cpuBefore = this.daemon.cpuS();
    this.startedMs = performance.now();
  }

  /** All feeders announce their tables, whose bytes are made before the clock starts. */
  async feed(): Promise<void> {
    const tables = this.feeders.map((_, n) => encodeTable(this.table, n, this.nextHop(n)));
    this.begin();
    await Promise.all(this.feeders.map((feeder, n) => feeder.sendAll(tables[n])));
  }

  /**
   * Waits until every sink holds every route, and another second in which it must stay so.
   * @returns seconds since `begin`, and CPU seconds of the daemon, the second after included
   * @throws Error when a route is wrong, a session is lost, or time runs out
   */
  async converged(sinks: readonly Sink[] = this.sinks): Promise<{ timeS: number; cpuS: number }> {
    const deadline = performance.now() + timeoutS * 1000;
    while (!sinks.every(({ complete }) => complete)) {
      this.check();
      if (performance.now() > deadline) {
        const missing = sinks.reduce((sum, sink) => sum + sink.missing, 0);
        throw new Error(`${missing} routes did not arrive in ${timeoutS} s`);
      }
      await delay(2);
    }
    const timeS = (Math.max(...sinks.map(({ completeMs }) => completeMs)) - this.startedMs) / 1000;
    await delay(settleMs);
    this.check();
    if (!sinks.every(({ complete }) => complete)) throw new Error("routes were lost after they had arrived");
    return { timeS, cpuS: this.daemon.cpuS() - this.cpuBefore };
  }

  /** Waits until no session was sent anything but keepalives for two seconds: feeders are not checked as sinks are. */
  async quiet(): Promise<void> {
    const updates = (): number => this.sessions.reduce((sum, { updatesIn }) => sum + updatesIn, 0);
    for (let before = -1; before !== updates(); await delay(2000)) {
      this.check();
      before = updates();
    }
  }

  /** @throws Error when something is wrong already */
  check(): void {
    for (const { fault } of this.sinks) if (fault !== "") throw new Error(fault);
    for (const { error } of this.sessions) {
      if (error !== "" && error !== "closed by us") throw new Error(`session: ${error}`);
    }
    if (this.daemon.gone) throw new Error("the daemon ended");
  }

  /** What is told of every run. */
  common(): Metrics {
    const { rssMb, peakMb } = this.daemon.memory();
    const sum = (read: (session: Session) => number): number =>
      this.sessions.reduce((total, session) => total + read(session), 0);
    const delays = this.loopDelay();
    const generator = ownCpuS() - this.ownBefore;
    const ours = this.daemon.cpuS() - this.cpuBefore + generator;
    const foreign = machineCpuS() - this.machineBefore - ours;
    return {
      listen_s: this.daemon.listenS,
      idle_mb: this.idleMb,
      rss_mb: rssMb,
      peak_mb: peakMb,
      sent_bytes: sum(({ bytesIn }) => bytesIn),
      sent_messages: sum(({ updatesIn }) => updatesIn),
      sent_routes: this.sinks.reduce((total, { announcements }) => total + announcements, 0),
      echoed_routes: this.sinks.reduce((total, { echoes }) => total + echoes, 0),
      generator_cpu_s: generator,
      foreign_cores: Math.max(0, foreign / ((performance.now() - this.startedMs) / 1000)),
      ...(delays ? { loop_p99_ms: delays.p99Ms, loop_max_ms: delays.maxMs } : {}),
    };
  }

  /** How late cairn's event loop ran since the last call; undefined for other daemons. */
  loopDelay(): { p99Ms: number; maxMs: number } | undefined {
    if (this.adapter.name !== "cairn" || this.setup.unwatched || this.daemon.gone) return undefined;
    const file = join(this.daemon.directory, delayFile);
    const before = stamp(file);
    this.daemon.signal("SIGUSR2");
    const deadline = performance.now() + 2000;
    while (stamp(file) === before && performance.now() < deadline) Atomics.wait(pause, 0, 0, 2);
    return JSON.parse(readFileSync(file, "utf8"));
  }

  /** Ends sessions and daemon. @param collect looks at the daemon's directory first */
  async stop(collect?: (directory: string) => void): Promise<void> {
    for (const session of this.sessions) session.close();
    await this.daemon.stop(collect);
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4));

function ownCpuS(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function stamp(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
