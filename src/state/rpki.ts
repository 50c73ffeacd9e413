/**
 * RPKI in the core: the caches and files that are declared, the machines that talk to them, and what follows when what
 * they say changes. The data itself is in `src/rpki/sources.ts`.
 *
 *   rtr.bytes -> RtrClient -> RpkiSources.take ... commit -> step (sweep) -> Revalidation
 *   rpki.file ------------------^
 */
import { limits } from "../base/limits.ts";
import type { GlobalSpec } from "../gen/cairn/v1/global_service_pb.ts";
import type { RpkiCacheSpec } from "../gen/cairn/v1/rpki_service_pb.ts";
import { RtrClient, type RtrHost, type RtrNews, type RtrSettings } from "../rpki/client.ts";
import { decodePdu, encodeAspa, encodePrefix, latestVersion, Pdu } from "../rpki/pdu.ts";
import { emptySlurm, joinSlurm, type Slurm } from "../rpki/slurm.ts";
import { type RpkiChanges, RpkiSources, type Source } from "../rpki/sources.ts";
import { clientTls } from "./client-tls.ts";
import type { Effects } from "./effects.ts";
import type { Specs } from "./objects.ts";
import type { Inputs } from "./part.ts";
import type { RpkiEffect, RpkiInput } from "./rpki-inputs.ts";
import { durationMs } from "./schema.ts";

export interface RpkiHost {
  readonly effects: Effects;
  nowMs(): number;
  wallMs(): number;
  event(
    topic: string,
    object: string,
    severity: 1 | 2 | 3,
    summary: string,
    facts: Readonly<Record<string, string>>,
  ): void;
  /** What is in force is another set now. */
  changed(changes: RpkiChanges): void;
}

/** What is declared, by kind. */
export interface DeclaredObjects extends Specs {
  entries(kind: string): readonly { readonly name: string; readonly spec: unknown }[];
}

/** A declared cache and the session with it. */
export interface CacheRecord {
  readonly name: string;
  spec: RpkiCacheSpec;
  readonly source: Source;
  readonly client: RtrClient;
  /** Connection in use; 0 for none. */
  conn: number;
  /** A set of data waits for a free slot. */
  wanted: "full" | "difference" | undefined;
  /** Wall-clock milliseconds of the last complete set or difference; 0 for none. */
  updatedMs: number;
}

/** A declared file. */
export interface FileRecord {
  readonly path: string;
  readonly kind: "vrps" | "slurm";
  /** Of files of VRPs. */
  readonly source: Source | undefined;
  slurm: Slurm | undefined;
  error: string;
  /** Wall-clock milliseconds; 0 as long as it was never read. */
  updatedMs: number;
}

/** PDUs that are put into a source over several turns, and then take the place of what it had. */
interface Load {
  readonly source: Source;
  readonly bytes: Uint8Array;
  at: number;
  begun: boolean;
  readonly done: () => void;
}

const defaultPreference = 100;
const ports = { tcp: 323, tls: 324 };
/** Rows of the long walks per turn, for each microsecond of its budget. */
const rowsPerMicro = 8;
/** Severity of what a session tells. */
const severities: Readonly<Record<RtrNews, 1 | 2>> = {
  synchronized: 1,
  version: 1,
  lost: 2,
  error: 2,
  expired: 2,
};

export class Rpki {
  readonly sources = new RpkiSources();
  readonly caches = new Map<string, CacheRecord>();
  readonly files = new Map<string, FileRecord>();
  /** Changes of what is in force since the start. */
  changes = 0;
  private readonly host: RpkiHost;
  private readonly assertions: Source;
  private readonly loads: Load[] = [];
  private readonly byConn = new Map<number, CacheRecord>();
  private nextConn = 1;
  private readonly pdu = new Pdu();
  private watched = JSON.stringify([[], []]);
  readonly arrivals: Inputs = {
    "rtr.connected": ({ conn }) => this.byConn.get(conn)?.client.connected(this.host.nowMs()),
    "rtr.bytes": ({ conn, bytes }) => this.byConn.get(conn)?.client.bytes(bytes),
    "rtr.closed": ({ conn, error }) => {
      const record = this.byConn.get(conn);
      if (!record) return;
      const nowMs = this.host.nowMs();
      this.byConn.delete(conn);
      record.conn = 0;
      // What came before the end counts, as far as it is whole.
      while (record.client.hasWork && record.client.state !== "receiving") record.client.pump(64, nowMs);
      record.client.closed(error, nowMs);
    },
    "rpki.file": (input) => this.file(input),
  };

  constructor(host: RpkiHost) {
    this.host = host;
    this.assertions = this.sources.add("slurm", "slurm");
  }

  // ------------------------------------------------------------------------------------------------- what is declared

  /** Brings caches and files to what is declared now. */
  settle(objects: DeclaredObjects): void {
    const declared = new Map(
      objects.entries("RpkiCache").map(({ name, spec }) => [name, spec as RpkiCacheSpec] as const),
    );
    for (const [name, record] of this.caches) {
      const spec = declared.get(name);
      if (spec && !spec.shutdown) this.configure(record, spec);
      else this.remove(record);
    }
    for (const [name, spec] of declared) if (!spec.shutdown && !this.caches.has(name)) this.add(name, spec);
    const options = (objects.spec("Global", "global") as GlobalSpec | undefined)?.rpki;
    this.settleFiles(options?.files ?? [], options?.slurm ?? []);
  }

  private add(name: string, spec: RpkiCacheSpec): void {
    if (this.caches.size >= limits.rpkiCachesMax) {
      const summary = `RPKI cache ${name} is not used: there are ${limits.rpkiCachesMax} already`;
      this.host.event("cairn.rpki.cache.error", `RpkiCache/${name}`, 2, summary, {});
      return;
    }
    const source = this.sources.add(name, "cache", spec.preference ?? defaultPreference);
    const record: CacheRecord = {
      ...{ name, spec, source, conn: 0, wanted: undefined, updatedMs: 0 },
      client: new RtrClient(
        settingsOf(spec),
        this.clientHost(() => record),
      ),
    };
    this.caches.set(name, record);
  }

  private configure(record: CacheRecord, spec: RpkiCacheSpec): void {
    const before = record.spec;
    record.spec = spec;
    const nowMs = this.host.nowMs();
    this.sources.setPreference(record.source, spec.preference ?? defaultPreference);
    if (connectionKey(before) !== connectionKey(spec)) record.client.reset(nowMs);
    record.client.configure(settingsOf(spec), nowMs);
  }

  private remove(record: CacheRecord): void {
    record.client.stop();
    this.sources.remove(record.source);
    this.caches.delete(record.name);
  }

  private clientHost(owner: () => CacheRecord): RtrHost {
    const { sources, host } = this;
    const send = (effect: RpkiEffect): void => host.effects.push(effect);
    return {
      connect: () => this.connect(owner()),
      send: (bytes) => send({ kind: "rtr.send", conn: owner().conn, bytes }),
      disconnect: () => this.disconnect(owner()),
      pause: (paused) => send({ kind: "rtr.pause", conn: owner().conn, paused }),
      begin: (full) => {
        const record = owner();
        record.wanted = sources.begin(record.source, full) ? undefined : full ? "full" : "difference";
      },
      ready: () => {
        const record = owner();
        if (record.wanted && sources.begin(record.source, record.wanted === "full"))
          record.wanted = undefined;
        return record.wanted === undefined && sources.isReady(record.source);
      },
      take: (pdu, bytes) => sources.take(owner().source, pdu, bytes),
      commit: () => {
        const record = owner();
        record.updatedMs = host.wallMs();
        sources.commit(record.source);
      },
      abandon: () => {
        const record = owner();
        record.wanted = undefined;
        sources.abandon(record.source);
      },
      expired: () => sources.drop(owner().source),
      tell: (what, text) => {
        const object = `RpkiCache/${owner().name}`;
        const summary = `RPKI cache ${owner().name}: ${text}`;
        host.event(`cairn.rpki.cache.${what}`, object, severities[what], summary, { text });
      },
    };
  }

  private connect(record: CacheRecord): void {
    const { spec } = record;
    record.conn = this.nextConn++;
    this.byConn.set(record.conn, record);
    this.host.effects.push({
      kind: "rtr.connect",
      conn: record.conn,
      host: spec.host,
      port: spec.port ?? (spec.tls ? ports.tls : ports.tcp),
      localAddress: spec.localAddress,
      tls: clientTls(spec),
    });
  }

  private disconnect(record: CacheRecord): void {
    if (record.conn === 0) return;
    this.host.effects.push({ kind: "rtr.close", conn: record.conn });
    this.byConn.delete(record.conn);
    record.conn = 0;
  }

  private settleFiles(vrps: readonly string[], slurm: readonly string[]): void {
    const watched = JSON.stringify([vrps, slurm]);
    if (watched === this.watched) return;
    this.watched = watched;
    const wanted = new Map<string, FileRecord["kind"]>();
    for (const path of vrps) wanted.set(path, "vrps");
    for (const path of slurm) wanted.set(path, "slurm");
    for (const [path, file] of this.files) {
      if (wanted.get(path) === file.kind) continue;
      if (file.source) this.sources.remove(file.source);
      this.files.delete(path);
    }
    for (const [path, kind] of wanted) {
      if (this.files.has(path)) continue;
      const source = kind === "vrps" ? this.sources.add(path, "file") : undefined;
      this.files.set(path, { path, kind, source, slurm: undefined, error: "", updatedMs: 0 });
    }
    this.host.effects.push({ kind: "rpki.watch", vrps, slurm });
    this.settleSlurm();
  }

  private file(input: Extract<RpkiInput, { kind: "rpki.file" }>): void {
    const file = this.files.get(input.path);
    if (!file) return;
    if (input.error !== "") {
      if (input.error === file.error) return;
      file.error = input.error;
      const kept = file.updatedMs > 0 ? "; what was read of it before counts on" : "";
      const summary = `RPKI file ${file.path} was not taken: ${input.error}${kept}`;
      this.host.event("cairn.rpki.file.refused", "", 2, summary, { path: file.path, error: input.error });
      return;
    }
    const done = (): void => {
      file.error = "";
      file.updatedMs = this.host.wallMs();
      this.host.event("cairn.rpki.file.loaded", "", 1, `RPKI file ${file.path} was read`, {
        path: file.path,
      });
    };
    if (file.source && input.pdus) this.load(file.source, input.pdus, done);
    else if (input.slurm) {
      file.slurm = input.slurm;
      this.settleSlurm();
      done();
    }
  }

  private settleSlurm(): void {
    const slurm = joinSlurm([...this.files.values()].map((file) => file.slurm ?? emptySlurm));
    this.sources.setFilters(slurm);
    const seen = new Set<string>();
    const pdus: Uint8Array[] = [];
    for (const { prefix, maxLength, asn } of slurm.prefixAssertions) {
      const pdu = encodePrefix(latestVersion, true, prefix.bytes, prefix.length, maxLength, asn);
      const key = pdu.join();
      if (!seen.has(key)) pdus.push(pdu);
      seen.add(key);
    }
    const providers = new Map<number, Set<number>>();
    for (const { customer, providers: some } of slurm.aspaAssertions)
      providers.set(customer, new Set([...(providers.get(customer) ?? []), ...some]));
    for (const [customer, all] of providers)
      pdus.push(
        encodeAspa(
          customer,
          [...all].sort((a, b) => a - b),
        ),
      );
    this.load(this.assertions, joinBytes(pdus), () => {});
  }

  private load(source: Source, bytes: Uint8Array, done: () => void): void {
    const at = this.loads.findIndex((load) => load.source === source);
    if (at >= 0) this.loads.splice(at, 1);
    this.loads.push({ source, bytes, at: 0, begun: false, done });
  }

  // ----------------------------------------------------------------------------------------------------------- work

  get hasWork(): boolean {
    if (this.sources.hasWork || this.loads.length > 0) return true;
    for (const { client, wanted } of this.caches.values()) if (client.hasWork && !wanted) return true;
    return false;
  }

  nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { client } of this.caches.values()) next = Math.min(next, client.nextMs());
    return next;
  }

  /** Timers that are due. */
  tick(): void {
    const nowMs = this.host.nowMs();
    for (const { client } of this.caches.values()) if (client.nextMs() <= nowMs) client.tick(nowMs);
  }

  /** A piece of work of about `micros` microseconds. */
  run(micros: number): void {
    const pdus = Math.ceil(micros);
    for (const { client } of this.caches.values()) if (client.hasWork) client.pump(pdus, this.host.nowMs());
    const [load] = this.loads;
    if (load) this.goOn(load, pdus);
    if (!this.sources.hasWork) return;
    const changes = this.sources.step(Math.ceil(micros * rowsPerMicro));
    if (!changes) return;
    this.changes++;
    this.host.changed(changes);
  }

  private goOn(load: Load, pdus: number): void {
    const { source, bytes } = load;
    if (!load.begun) load.begun = this.sources.begin(source, true);
    if (!load.begun || !this.sources.isReady(source)) return;
    for (let n = 0; n < pdus && load.at < bytes.length; n++) {
      load.at += decodePdu(bytes, load.at, bytes.length, this.pdu);
      // Of a file all that fits is taken: it is the operator's own.
      this.sources.take(source, this.pdu, bytes);
    }
    if (load.at < bytes.length) return;
    this.loads.splice(this.loads.indexOf(load), 1);
    this.sources.commit(source);
    load.done();
  }

  /** Asks a cache for what is new. @returns false when there is no such cache */
  refresh(name: string, reset: boolean): boolean {
    const record = this.caches.get(name);
    if (!record) return false;
    if (reset) record.client.reset(this.host.nowMs());
    else record.client.refresh(this.host.nowMs());
    return true;
  }
}

function settingsOf({ maxVersion, refresh, retry, expire }: RpkiCacheSpec): RtrSettings {
  const seconds = (duration: typeof refresh): number => Math.ceil(durationMs(duration) / 1000);
  return {
    maxVersion: maxVersion ?? latestVersion,
    refreshS: seconds(refresh),
    retryS: seconds(retry),
    expireS: seconds(expire),
  };
}

/** What a new connection is needed for. */
function connectionKey({ host, port, tls, ca, cert, key, serverName, localAddress }: RpkiCacheSpec): string {
  return JSON.stringify([host, port, tls, ca, cert, key, serverName, localAddress]);
}

function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
