/** Runs one load on cairnd with our own generator: feeders, sinks that check every route, and a probe on the side. */
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { CairnDaemon, dutAs, firstPeerAs, type PeerOptions } from "../daemon.ts";
import type { ProbeData, ProbeResult } from "../probe.ts";
import type { RunRecord } from "../report.ts";
import { RouteSet, type TableShape } from "./routes.ts";
import { Session } from "./session.ts";
import { Sink } from "./sink.ts";

export interface Load extends TableShape {
  readonly sinks: number;
}

const timeoutMs = 180_000;
/** Work that goes on after the last route arrived is measured too. */
const settleMs = 1000;

/** @param collect looks at the daemon's directory after it has ended (CPU profiles) */
export async function blast(
  scenario: string,
  load: Load,
  env: Readonly<Record<string, string>> = {},
  collect?: (directory: string) => void,
): Promise<RunRecord> {
  const routes = new RouteSet(load);
  const count = load.feeders + load.sinks + 1;
  const peers = Array.from(
    { length: count },
    (_, i): PeerOptions => ({ address: `127.0.${1 + (i >> 7)}.${1 + (i & 127)}`, asn: firstPeerAs + i }),
  );
  const tables = peers.slice(0, load.feeders).map(({ asn }, feeder) => routes.encode(feeder, asn));
  const daemon = await CairnDaemon.start(peers, { env });
  const sessions: Session[] = [];
  try {
    const connect = (i: number, sink?: Sink): Session => {
      const { address: localAddress, asn } = peers[i];
      const update = sink && ((bytes: Buffer, start: number, end: number) => sink.update(bytes, start, end));
      const session = new Session({
        host: "127.0.0.1",
        port: daemon.port,
        localAddress,
        asn,
        holdTimeS: 240,
        update,
      });
      sessions.push(session);
      return session;
    };
    const feeders = tables.map((_, i) => connect(i));
    const sinks = Array.from({ length: load.sinks }, () => new Sink(routes, dutAs, firstPeerAs));
    for (const [i, sink] of sinks.entries()) connect(load.feeders + i, sink);
    await Promise.all(sessions.map((session) => session.established));
    const probe = await startProbe({
      socket: daemon.socket,
      port: daemon.port,
      localAddress: peers[count - 1].address,
      asn: peers[count - 1].asn,
    });
    await delay(settleMs);
    const idle = daemon.memory();
    const cpuBefore = daemon.cpuS();
    const started = performance.now();
    const fed = Promise.all(feeders.map((feeder, i) => feeder.sendAll(tables[i])));
    const finished = (): boolean =>
      sinks.every((sink) => sink.complete) ||
      sinks.some((sink) => sink.fault !== "") ||
      sessions.some((session) => session.error !== "") ||
      performance.now() - started > timeoutMs;
    while (!finished()) await delay(2);
    await delay(settleMs);
    const { rssMb, peakMb } = daemon.memory();
    const probed = await probe();
    const error =
      sinks.map((sink) => sink.fault).find((fault) => fault !== "") ??
      sessions.map((session) => session.error).find((reason) => reason !== "") ??
      (sinks.every((sink) => sink.complete) ? probed.sessionError : "not all routes arrived");
    const complete = Math.max(...sinks.map((sink) => sink.completeMs));
    if (error === "") await fed;
    return {
      dut: "cairn",
      scenario,
      generator: "own",
      ok: error === "",
      error,
      t_listen: daemon.listenS,
      t_converged: (complete - started) / 1000,
      cpu_settled: daemon.cpuS() - cpuBefore,
      rss_idle_mb: idle.rssMb,
      rss_conv_mb: rssMb,
      rss_peak_mb: peakMb,
      ...probed,
    };
  } finally {
    for (const session of sessions) session.close();
    await daemon.stop(collect);
  }
}

/** Start and memory of a daemon that has nothing to do. */
export async function idle(): Promise<RunRecord> {
  const daemon = await CairnDaemon.start([]);
  await delay(2000);
  const { rssMb, peakMb } = daemon.memory();
  const cpu_settled = daemon.cpuS();
  await daemon.stop();
  return {
    ...{ dut: "cairn", scenario: "idle", generator: "own", ok: true, error: "" },
    ...{
      t_listen: daemon.listenS,
      t_converged: daemon.listenS,
      cpu_settled,
      rss_idle_mb: rssMb,
      rss_peak_mb: peakMb,
    },
  };
}

/** Starts the probe. @returns ends it and gives what it saw */
async function startProbe(data: ProbeData): Promise<() => Promise<ProbeResult>> {
  const worker = new Worker(new URL("../probe.ts", import.meta.url), { workerData: data });
  const message = <T>(): Promise<T> =>
    new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  await message();
  return async () => {
    const result = message<ProbeResult>();
    worker.postMessage("stop");
    const value = await result;
    await worker.terminate();
    return value;
  };
}
