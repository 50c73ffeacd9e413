/**
 * The composition root: store, core, loop, sockets, API and metrics, put together in the order in which each needs the
 * other, and taken apart in the reverse order.
 */
import { flushCompileCache } from "node:module";
import { hostname } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { limits } from "../base/limits.ts";
import { formatProblem } from "../base/problem.ts";
import type { DaemonSettings } from "../config/config.ts";
import { defaultSettings } from "../config/settings.ts";
import type { GlobalSpec } from "../gen/cairn/v1/global_service_pb.ts";
import { AccessClass } from "../gen/cairn/v1/options_pb.ts";
import type { AccessLevel } from "../services/access.ts";
import type { ListenerOptions } from "../services/listener-options.ts";
import { type LookingGlass, startLookingGlass } from "../services/looking-glass/listener.ts";
import { CairnMetrics } from "../services/metrics.ts";
import { type MetricsListener, startMetricsListener } from "../services/metrics-listener.ts";
import { type RunningServices, startServices } from "../services/server.ts";
import { Core } from "../state/core.ts";
import { noTranslations, type TranslationTable } from "../state/translation-message.ts";
import { openStore, type Store } from "../store/store.ts";
import { BfdThread } from "./bfd-thread.ts";
import { BmpPort } from "./bmp-port.ts";
import { describeChanges, fileMutation, type LoadedFile } from "./config-file.ts";
import { configText, parserThread } from "./config-text.ts";
import { type DataplanePort, openDataplane } from "./dataplane.ts";
import { Failpoint } from "./failpoint.ts";
import { FibThread } from "./fib-thread.ts";
import { HealthProbes } from "./health/probes.ts";
import { hostAddresses } from "./host-addresses.ts";
import { linkCounters } from "./link-counters.ts";
import type { Log } from "./log.ts";
import { OwnerLoop } from "./loop.ts";
import { MrtFiles } from "./mrt-files.ts";
import { native } from "./native.ts";
import { NetfilterThread } from "./netfilter-thread.ts";
import type { DaemonOptions } from "./options.ts";
import { peerUid } from "./peer-uid.ts";
import { readRefusedSegments } from "./refused-segments.ts";
import { RouteThread } from "./route-thread.ts";
import { RouterDiscovery } from "./router-discovery.ts";
import { RpkiFiles } from "./rpki-files.ts";
import { RtrPort } from "./rtr-port.ts";
import { notifySystemd, type ServiceState } from "./sd-notify.ts";
import { hostAbilities } from "./socket-options.ts";
import { TcpPort } from "./tcp.ts";
import { version } from "./version.ts";

/** How often the host's addresses are looked at. */
const addressPollMs = 5_000;

/** How often it is looked how late the event loop runs: at 10 ms these wake-ups were all that an idle daemon did, 1.2 % of a core. */
const loopProbeMs = 40;

/** How long after the start the memory that only the start needed is given back. */
const giveBackAfterMs = 1_000;

/** A sentence for the operator: the daemon cannot start. */
export class StartError extends Error {
  override readonly name = "StartError";
}

export class Daemon {
  private readonly options: DaemonOptions;
  private readonly log: Log;
  private readonly store: Store;
  private readonly loop: OwnerLoop;
  private readonly tcp: TcpPort;
  private readonly rtr: RtrPort;
  private readonly bmp: BmpPort;
  private readonly rpkiFiles: RpkiFiles;
  private readonly routers: RouterDiscovery;
  private readonly bfd: BfdThread;
  private readonly fib: FibThread;
  private readonly netfilter: NetfilterThread;
  private readonly health: HealthProbes;
  private readonly routes: RouteThread;
  private readonly mrtFiles: MrtFiles;
  private readonly metrics: CairnMetrics;
  private readonly dataplane: DataplanePort | undefined;
  private services: RunningServices | undefined;
  private telemetry: MetricsListener | undefined;
  private lookingGlass: LookingGlass | undefined;
  private addressTimer: NodeJS.Timeout | undefined;
  private seenAddresses = "";
  private seenRefusals = "";
  private ended: ((code: number) => void) | undefined;
  /** Resolves with the exit code when the daemon has ended. */
  readonly done: Promise<number> = new Promise((resolve) => {
    this.ended = resolve;
  });

  /** @throws StartError */
  static async start(options: DaemonOptions, file: LoadedFile | undefined, log: Log): Promise<Daemon> {
    const store = await openStore(options.stateDir, { reseed: options.reseed }).catch((error: unknown) => {
      throw new StartError(error instanceof Error ? error.message : String(error));
    });
    let daemon: Daemon | undefined;
    try {
      daemon = new Daemon(options, log, store);
      await daemon.bootstrap(file);
      await daemon.open(file?.config.settings ?? defaultSettings);
      return daemon;
    } catch (error) {
      await daemon?.close();
      if (!daemon) await store.close();
      throw error instanceof StartError
        ? error
        : new StartError(error instanceof Error ? error.message : String(error));
    }
  }

  private constructor(options: DaemonOptions, log: Log, store: Store) {
    this.options = options;
    this.log = log;
    this.store = store;
    const { dataplane } = options;
    const core = Core.create(store.load(Date.now()), Math.random, performance.now(), Date.now(), dataplane);
    if (!core.ok) {
      const [first] = core.problems;
      if (first.code === "DAMAGED") throw new StartError(store.damaged(first.message));
      throw new StartError(
        `the database holds what this version cannot read: ${core.problems.map(formatProblem).join("; ")}`,
      );
    }
    this.tcp = new TcpPort(
      (input) => this.loop.post(input),
      (level, message, fields) => log.write(level, message, fields),
    );
    this.bfd = new BfdThread(
      (input) => this.loop.post(input),
      (level, message, fields) => log.write(level, message, fields),
    );
    this.fib = new FibThread(
      (input) => this.loop.post(input),
      (level, message, fields) => log.write(level, message, fields),
    );
    this.health = new HealthProbes((input) => this.loop.post(input));
    this.routes = new RouteThread(
      (input) => this.loop.post(input),
      (level, message, fields) => log.write(level, message, fields),
    );
    this.netfilter = new NetfilterThread(
      (input) => this.loop.post(input),
      (level, message, fields) => log.write(level, message, fields),
    );
    this.mrtFiles = new MrtFiles(join(options.stateDir, "mrt"), (input) => this.loop.post(input));
    this.routers = new RouterDiscovery((input) => this.loop.post(input));
    this.rtr = new RtrPort((input) => this.loop.post(input));
    this.bmp = new BmpPort((input) => this.loop.post(input));
    this.rpkiFiles = new RpkiFiles((input) => this.loop.post(input));
    const failpoint = new Failpoint();
    this.loop = new OwnerLoop(core.value, {
      links: (effect) => this.routers.apply(effect),
      tcp: (effect) => this.tcp.apply(effect),
      rpki: (effect) => {
        if (effect.kind === "rpki.watch") this.rpkiFiles.watch(effect);
        else this.rtr.apply(effect);
      },
      bmp: (effect) => this.bmp.apply(effect),
      bfd: (effect) => this.bfd.apply(effect),
      kernel: (effect) => this.dataplane?.apply(effect),
      fib: (effect) => (this.dataplane?.fib ?? this.fib).apply(effect),
      health: (effect) => (this.dataplane?.health ?? this.health).apply(effect),
      routes: (effect) => (this.dataplane?.routes ?? this.routes).apply(effect),
      dataplane: (effect) => this.dataplane?.apply(effect),
      firewall: (effect) => this.netfilter.apply(effect),
      mrt: (effect) => this.mrtFiles.apply(effect),
      persist: (seq, rows) => {
        failpoint.persisted(seq, rows);
        store.persist(seq, rows);
      },
      log: ({ level, message, fields }) => log.write(level, message, fields),
      exit: (code) => void this.close().then(() => this.ended?.(code)),
      turned: (ms) => {
        if (ms > limits.turnSliceMs * 2) this.metrics.countSliceOverrun();
      },
    });
    this.dataplane = openDataplane(
      options.dataplane,
      {
        links: (changed, gone) => {
          this.loop.post({ kind: "kernel.links", changed, gone });
          this.postAddresses();
        },
        routes: (answers) => this.loop.post({ kind: "kernel.routes", answers }),
        fib: (input) => this.loop.post(input),
        health: (input) => this.loop.post(input),
        redistribute: (input) => this.loop.post(input),
        facts: (all, facts) => this.loop.post({ kind: "dataplane.facts", all, facts }),
        applied: (batch, outcomes) => this.loop.post({ kind: "dataplane.applied", batch, outcomes }),
      },
      failpoint,
    );
    this.metrics = new CairnMetrics(this.loop, version);
    this.metrics.kernelCounts = () => this.dataplane?.counts();
    store.listen({
      committed: (seq) => {
        failpoint.committed(seq);
        this.metrics.countFlush();
        this.loop.post({ kind: "store.committed", seq });
      },
      failed: (seq, error) => {
        this.loop.post({ kind: "store.failed", seq, error });
        store.resume(this.loop.lastSeq);
      },
    });
  }

  /** An empty database takes the file; a full one is the truth, and says so where the file differs. */
  private async bootstrap(file: LoadedFile | undefined): Promise<void> {
    this.loop.post({ kind: "host.abilities", abilities: hostAbilities() });
    const failure = this.dataplane?.start() ?? "";
    if (failure !== "") throw new StartError(`--dataplane ${this.options.dataplane}: ${failure}`);
    const { view } = this.loop;
    if (view.generation === 0) {
      if (!file) {
        this.log.write("warn", "nothing is configured yet; set the AS number and router id first", {
          fix: "cairnctl global set --asn 65001 --router-id 192.0.2.1",
        });
        return;
      }
      await this.bindFirst(file);
      const outcome = await this.loop.mutate(fileMutation(file.config.objects, view, "first start"));
      if (!outcome.ok) throw new StartError(outcome.problems.map(formatProblem).join("\n"));
      return;
    }
    if (!file) return;
    const outcome = await this.loop.mutate(
      fileMutation(file.config.objects, view, "comparison at start", true),
    );
    if (outcome.ok && outcome.changes.length > 0) {
      this.log.write(
        "warn",
        `${file.path} differs from the database in ${outcome.changes.length} objects; the database is in force`,
        {
          generation: view.generation,
          objects: describeChanges(outcome.changes),
          fix: "send SIGHUP to apply the file, or start with --reseed",
        },
      );
    }
  }

  /**
   * Before the file becomes the truth: with an address in the database that cannot be bound, a mended file would not help.
   * The sockets stay open, so that a port which was seen listening does not go away again. Whoever connects meanwhile
   * waits in the backlog: an OPEN that came before the neighbors are known would be refused.
   * @throws Error with a sentence
   */
  private async bindFirst(file: LoadedFile): Promise<void> {
    const global = file.config.objects.find(({ kind }) => kind === "Global")?.spec as GlobalSpec | undefined;
    await this.tcp.listen(global?.listen ?? []);
  }

  /** Opens everything that others connect to. The API comes last: when it answers, the daemon is ready. */
  private async open(settings: DaemonSettings): Promise<void> {
    const api = settings.api.tcp.map(({ host, port }) => ({ host, port }));
    this.loop.post({ kind: "host.listeners", api });
    this.postAddresses();
    this.postRefusals();
    this.addressTimer = setInterval(() => {
      this.postAddresses();
      this.postRefusals();
    }, addressPollMs);
    const listen = this.loop.core.neighbors.global?.listen ?? [];
    if (this.tcp.listening.length === 0) {
      await this.tcp.listen(
        listen.map(({ host, port }) => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`)),
      );
    }
    this.tcp.accept();
    const { metrics } = settings.telemetry;
    if (metrics) {
      const { host: address, port } = metrics;
      this.telemetry = await startMetricsListener({ address, port, owner: this.loop, metrics: this.metrics });
    }
    const { lookingGlass } = settings;
    if (lookingGlass) {
      const host = { owner: this.loop, metrics: this.metrics, version };
      this.lookingGlass = await startLookingGlass(lookingGlass.listen, lookingGlass, host);
    }
    this.watchDelay();
    this.services = await startServices({
      owner: this.loop,
      archive: this.store,
      history: this.store,
      configText,
      translations: this.translations(),
      listeners: listenersOf(settings, this.options.stateDir),
      metrics: this.metrics,
      log: (level, message, fields) => this.log.write(level, message, fields),
      control: {
        setLogLevel: (level) => this.log.setLevel(level),
        ...(this.options.dataplane === "linux" && { linkCounters }),
      },
      version,
      peerUid,
    });
    const { global } = this.loop.core.neighbors;
    this.log.write("info", "ready", {
      version,
      name: global?.name || hostname(),
      asn: global?.asn ?? 0,
      generation: this.loop.view.generation,
      bgp: this.tcp.listening.map(({ address, port }) => `${address}:${port}`).join(","),
      api: this.services.addresses.join(","),
      metrics: this.telemetry?.address ?? "",
      ...(this.lookingGlass ? { lookingGlass: this.lookingGlass.address } : {}),
    });
    if (global && this.tcp.listening.length === 0) {
      this.log.write("warn", "no address accepts BGP connections; neighbors can only be connected to", {
        fix: 'set listen = ["0.0.0.0:179", "[::]:179"] in [global]',
      });
    }
    this.tellSystemd("READY=1");
    setTimeout(giveBackMemory, giveBackAfterMs).unref();
  }

  private translations(): TranslationTable | undefined {
    const { dataplane } = this.options;
    return dataplane === "linux" ? this.netfilter : dataplane === "memory" ? noTranslations : undefined;
  }

  private tellSystemd(state: ServiceState): void {
    const failure = notifySystemd(state);
    if (failure) this.log.write("warn", `systemd was not told ${state}: ${failure}`);
  }

  private postAddresses(): void {
    const addresses = hostAddresses();
    const text = JSON.stringify(addresses);
    if (text === this.seenAddresses) return;
    this.seenAddresses = text;
    this.loop.post({ kind: "host.addresses", addresses });
  }

  /** What the kernel refused, while there is protection that makes it refuse anything. */
  private postRefusals(): void {
    if (!this.tcp.isProtecting) return;
    const counts = readRefusedSegments();
    const text = JSON.stringify(counts);
    if (!counts || text === this.seenRefusals) return;
    this.seenRefusals = text;
    this.loop.post({ kind: "host.refusals", counts });
  }

  /** Feeds the loop delay histogram: the worst delay of each 100 ms. */
  private watchDelay(): void {
    const monitor = monitorEventLoopDelay({ resolution: loopProbeMs });
    monitor.enable();
    setInterval(() => {
      if (monitor.count > 0) this.metrics.observeLoopDelay(Math.max(0, monitor.max / 1e6 - loopProbeMs));
      monitor.reset();
    }, 100).unref();
  }

  /** SIGHUP: applies the start-up file as one transaction. */
  async reload(): Promise<void> {
    if (!this.options.config) {
      this.log.write("warn", "SIGHUP, but the daemon was started without a file");
      return;
    }
    try {
      const path = this.options.config;
      const { objects, report } = await parserThread.load(path);
      if (report !== "") throw new Error(`\n${report}`);
      const outcome = await this.loop.mutate(fileMutation(objects, this.loop.view, "SIGHUP"));
      if (!outcome.ok) throw new Error(outcome.problems.map(formatProblem).join("; "));
      this.log.write("info", "applied the file", {
        file: path,
        changes: outcome.changes.length,
        objects: describeChanges(outcome.changes),
        generation: outcome.generation,
      });
      for (const warning of outcome.warnings ?? [])
        this.log.write("warn", formatProblem(warning), { file: path });
    } catch (error) {
      this.log.write(
        "error",
        `the file was not applied: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  /** SIGTERM: sessions end as for a planned restart where graceful restart is configured, then the process. */
  async shutdown(): Promise<void> {
    await this.loop.operate({ op: "shutdown", message: "", hard: false, graceful: true });
  }

  private closing: Promise<void> | undefined;

  private close(): Promise<void> {
    this.closing ??= (async () => {
      this.tellSystemd("STOPPING=1");
      clearInterval(this.addressTimer);
      await Promise.all([
        this.services?.close(500),
        this.telemetry?.close(),
        this.lookingGlass?.close(),
        this.bfd.close(),
        this.fib.close(),
        this.routes.close(),
        this.netfilter.close(),
      ]);
      this.rtr.close();
      this.bmp.close();
      this.rpkiFiles.close();
      await this.tcp.close();
      this.routers.close();
      this.health.close();
      this.dataplane?.close();
      await this.mrtFiles.close();
      this.loop.stop();
      await this.store.close();
    })();
    return this.closing;
  }
}

/**
 * Of a start there remains what Node read from its compile cache, which it holds until it is written again (6 MB), and what
 * configuration and modules left between other memory: together 12 MB of 130.
 */
function giveBackMemory(): void {
  flushCompileCache();
  native?.trim?.();
}

const accessLevels: Readonly<Record<number, AccessLevel>> = {
  [AccessClass.READ]: "read_only",
  [AccessClass.SENSITIVE_READ]: "sensitive_read",
  [AccessClass.OPERATE]: "operate",
  [AccessClass.MUTATE]: "full",
};

function listenersOf(settings: DaemonSettings, stateDir: string): ListenerOptions[] {
  const { api } = settings;
  const main: ListenerOptions = { kind: "unix", path: api.unixSocket ?? join(stateDir, "grpc.sock") };
  const unix = api.unix.map(
    ({ path, access }): ListenerOptions => ({ kind: "unix", path, access: accessLevels[access] }),
  );
  const tcp = api.tcp.map(
    (each): ListenerOptions => ({
      kind: "tcp",
      address: each.host,
      port: each.port,
      access: accessLevels[each.access],
      plaintext: each.plaintext,
      certFile: each.cert,
      keyFile: each.key,
      clientCaFile: each.clientCa,
      tokenFile: each.tokenFile,
      roles: each.roles.map(({ san, access }) => ({ certificate: san, access: accessLevels[access] })),
    }),
  );
  return [main, ...unix, ...tcp];
}
