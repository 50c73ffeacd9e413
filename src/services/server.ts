/** The API server: all services on all listeners. */
import type net from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Problem } from "../base/problem.ts";
import { formatProblem } from "../base/problem.ts";
import type { TranslationTable } from "../state/translation-message.ts";
import type { EventArchive, HistoryArchive, Owner } from "../state/view.ts";
import type { ConfigText, Log, ProcessControl, ServiceContext } from "./context.ts";
import { type Listener, openListener } from "./listener.ts";
import { checkListener, type ListenerOptions } from "./listener-options.ts";
import type { CairnMetrics } from "./metrics.ts";
import { serviceRoutes } from "./routes.ts";
import { WatcherSlots } from "./watchers.ts";

export interface ServicesOptions {
  readonly owner: Owner;
  readonly archive: EventArchive;
  readonly history: HistoryArchive;
  readonly configText: ConfigText;
  readonly listeners: readonly ListenerOptions[];
  readonly metrics: CairnMetrics;
  readonly log: Log;
  readonly control: ProcessControl;
  readonly version: string;
  /** Flows that the kernel translates; absent where no kernel is looked at. */
  readonly translations?: TranslationTable | undefined;
  /** User id at the other end of a Unix socket, where the system tells. */
  readonly peerUid?: (socket: net.Socket) => number | undefined;
  /** How often certificates and token files are looked at for changes; default 1 s. */
  readonly filePollMs?: number;
}

export interface RunningServices {
  /** Where the API listens, in the order of the options. */
  readonly addresses: readonly string[];
  /** Ends watches with UNAVAILABLE, lets other calls end for `graceMs` (default 2 s), then closes all connections. */
  close(graceMs?: number): Promise<void>;
}

/** Opens all listeners, or none: rejects with a sentence that says what is wrong. */
export async function startServices(options: ServicesOptions): Promise<RunningServices> {
  const problems = options.listeners.flatMap((listener, i): Problem[] =>
    checkListener(listener, `listeners[${i}]`),
  );
  if (problems.length > 0) throw new Error(problems.map(formatProblem).join("; "));

  const { owner, archive, history, configText, metrics, log, control, version } = options;
  const watchers = new WatcherSlots();
  metrics.showWatchers(watchers);
  const shared = { owner, archive, history, configText, metrics };
  const { translations } = options;
  const services: ServiceContext = { ...shared, watchers, log, control, version, translations };
  const shutdown = new AbortController();
  const host = {
    services,
    routes: serviceRoutes(services),
    shutdownSignal: shutdown.signal,
    filePollMs: options.filePollMs ?? 1_000,
    peerUid: options.peerUid,
  };
  const listeners: Listener[] = [];
  const close = async (graceMs = 2_000): Promise<void> => {
    shutdown.abort(new ConnectError("cairn is shutting down", Code.Unavailable));
    await Promise.all(listeners.map((listener) => listener.close(graceMs)));
  };
  try {
    for (const listener of options.listeners) listeners.push(await openListener(listener, host));
  } catch (error) {
    await close(0);
    throw error;
  }
  return { addresses: listeners.map((listener) => listener.address), close };
}
