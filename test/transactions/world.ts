/** A daemon without sockets in this process: a real store in a directory, the core, its loop, and all services. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, createRouterTransport } from "@connectrpc/connect";
import { configText } from "../../src/runtime/config-text.ts";
import { OwnerLoop } from "../../src/runtime/loop.ts";
import { auditInterceptor } from "../../src/services/audit.ts";
import { callInterceptor } from "../../src/services/calls.ts";
import { CairnMetrics } from "../../src/services/metrics.ts";
import { serviceRoutes } from "../../src/services/routes.ts";
import { WatcherSlots } from "../../src/services/watchers.ts";
import { Core } from "../../src/state/core.ts";
import { type OpenOptions, openStore, type Store } from "../../src/store/store.ts";

export class World {
  readonly dir: string;
  readonly store: Store;
  readonly loop: OwnerLoop;
  readonly metrics: CairnMetrics;
  private readonly transport: ReturnType<typeof createRouterTransport>;

  private static readonly running = new Set<World>();
  private stopped: Promise<void> | undefined;

  static async start(dir: string, options: OpenOptions = {}): Promise<World> {
    const world = new World(dir, await openStore(dir, options));
    World.running.add(world);
    return world;
  }

  /** What a test that failed has left. */
  static async stopAll(): Promise<void> {
    for (const world of World.running) await world.stop();
  }

  private constructor(dir: string, store: Store) {
    this.dir = dir;
    this.store = store;
    const core = Core.create(store.load(Date.now()), Math.random, performance.now(), Date.now());
    if (!core.ok) throw new Error(JSON.stringify(core.problems));
    this.loop = new OwnerLoop(core.value, {
      tcp: () => {},
      bfd: () => {},
      persist: (seq, rows) => store.persist(seq, rows),
      log: () => {},
      exit: () => {},
      turned: () => {},
    });
    store.listen({
      committed: (seq) => void this.loop.post({ kind: "store.committed", seq }),
      failed: (seq, error) => {
        this.loop.post({ kind: "store.failed", seq, error });
        store.resume(this.loop.lastSeq);
      },
    });
    const owner = this.loop;
    this.metrics = new CairnMetrics(owner, "test");
    const log = (): void => {};
    const services = {
      owner,
      archive: store,
      history: store,
      configText,
      metrics: this.metrics,
      watchers: new WatcherSlots(),
      log,
      control: { setLogLevel: () => "info" as const },
      version: "test",
    };
    this.transport = createRouterTransport(serviceRoutes(services), {
      router: {
        interceptors: [callInterceptor(log), auditInterceptor(owner)],
        jsonOptions: { ignoreUnknownFields: false },
      },
    });
  }

  client<T extends DescService>(service: T): Client<T> {
    return createClient(service, this.transport);
  }

  /** Ends as a daemon does on SIGTERM; `again` goes on with what is on disk. */
  stop(): Promise<void> {
    World.running.delete(this);
    this.loop.stop();
    this.stopped ??= this.store.close();
    return this.stopped;
  }

  /** Lets what was noted beside a reply reach the disk. */
  async rest(): Promise<void> {
    for (let i = 0; i < 4; i++) await setImmediate();
  }

  async again(): Promise<World> {
    await this.stop();
    return World.start(this.dir);
  }
}

export function stateDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "cairn-tx-"));
  t.after(async () => {
    await World.stopAll();
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

export const base = `
[global]
asn = 65001
router_id = "192.0.2.1"

[[policies]]
name = "in"
default_action = "accept"

[[neighbors]]
address = "198.51.100.2"
remote_asn = 65002
import = ["in"]
export = ["accept-all"]

[[neighbors]]
address = "198.51.100.3"
remote_asn = 65003
`;

export function file(content: string, prune = false, name = "cairn.toml") {
  return { source: { source: { case: "file" as const, value: { name, content, prune } } } };
}

export function put(
  ...objects: [kind: string, spec: Record<string, string | number | boolean | string[]>][]
) {
  const put = objects.map(([kind, spec]) => ({ kind, spec }));
  return { source: { source: { case: "ops" as const, value: { put, delete: [] } } } };
}

export function remove(kind: string, name: string) {
  return { source: { source: { case: "ops" as const, value: { put: [], delete: [{ kind, name }] } } } };
}

/** The code and message of a call that has to fail. */
export async function failure(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error("the call did not fail");
}
