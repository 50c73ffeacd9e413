/**
 * A worker thread beside the load: asks GetHealth every 10 ms, and holds a session with a hold time of 3 seconds.
 * It is a thread of its own, so that the load generator's work is not measured as the daemon's.
 */
import { setTimeout as delay } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { Session } from "./blast/session.ts";
import { callUnix } from "./daemon.ts";

export interface ProbeData {
  readonly socket: string;
  readonly port: number;
  readonly localAddress: string;
  readonly asn: number;
}

export interface ProbeResult {
  readonly healthCalls: number;
  readonly healthP50Ms: number;
  readonly healthP99Ms: number;
  readonly healthMaxMs: number;
  /** How much later than asked this thread itself was woken: what the machine, not the daemon, adds to the above. */
  readonly lagP99Ms: number;
  /** Longest silence of the daemon on the session with a hold time of 3 s. */
  readonly silenceMs: number;
  /** Why that session ended; empty when it stayed up. */
  readonly sessionError: string;
}

if (parentPort) {
  const { socket, port, localAddress, asn } = workerData as ProbeData;
  const session = new Session({ host: "127.0.0.1", port, localAddress, asn, holdTimeS: 3 });
  await session.established;
  let running = true;
  parentPort.once("message", () => {
    running = false;
  });
  parentPort.postMessage("ready");
  const times: number[] = [];
  const lags: number[] = [];
  while (running) {
    const started = performance.now();
    await callUnix(socket, "ControlService/GetHealth");
    times.push(performance.now() - started);
    const asleep = performance.now();
    await delay(10);
    lags.push(performance.now() - asleep - 10);
  }
  const share = (values: number[], part: number): number =>
    values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))];
  const result: ProbeResult = {
    healthCalls: times.length,
    healthP50Ms: share(times, 0.5),
    healthP99Ms: share(times, 0.99),
    healthMaxMs: share(times, 1),
    lagP99Ms: share(lags, 0.99),
    silenceMs: session.longestSilenceMs,
    sessionError: session.error,
  };
  session.close();
  parentPort.postMessage(result);
}
