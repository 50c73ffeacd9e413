/**
 * MRT dumps as declared: tables when they are due or asked for, in slices of the core's turns and never faster than the
 * disk; UPDATEs as they come, with a bound beyond which they are dropped and counted. Costs one comparison per UPDATE
 * while nothing is declared.
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Problem } from "../../base/problem.ts";
import {
  MrtContent,
  type MrtDumpSpec,
  type MrtDumpState,
  MrtDumpStateSchema,
} from "../../gen/cairn/v1/mrt_service_pb.ts";
import { expandName } from "../../mrt/file-name.ts";
import { writeMessage, writeStateChange } from "../../mrt/writer.ts";
import type { Effects } from "../effects.ts";
import type { CallId, Input } from "../inputs.ts";
import { updatesIntervalMs } from "../kinds/mrt-dump.ts";
import type { NeighborRecord } from "../neighbor-record.ts";
import type { Neighbors } from "../neighbors.ts";
import type { ObjectStore, Touched } from "../objects.ts";
import type { Inputs } from "../part.ts";
import type { Routing } from "../routing.ts";
import { durationMs } from "../schema.ts";
import type { SessionHost } from "../session-port.ts";
import { DumpFile, type MrtFileId } from "./dump-files.ts";
import { carriesPathIds, endsOf } from "./message-record.ts";
import { TableDump } from "./table-dump.ts";

/** Updates that are few go to the file this long after they came. */
const flushAfterMs = 1_000;
/** A route costs about a third of a microsecond. */
const routesPerMicro = 2;
/** A file of updates that failed is followed by another one after this time. */
const retryAfterMs = 10_000;

/** What a dump on demand has come to. */
export interface DumpResult {
  readonly path: string;
  readonly routes: number;
  readonly records: number;
  readonly bytes: number;
  readonly durationMs: number;
}

export interface MrtDumpsHost {
  readonly objects: ObjectStore;
  readonly routing: Routing;
  readonly neighbors: Neighbors;
  readonly effects: Effects;
  nowMs(): number;
  wallMs(): number;
  /** Number of a neighbor's session state, 1 (Idle) to 6 (Established). */
  stateOf(neighbor: number): number;
  readonly event: SessionHost["event"];
}

/** One declared dump. */
interface Dump {
  readonly name: string;
  spec: MrtDumpSpec;
  /** 0: only on demand. */
  intervalMs: number;
  /** When the next file is due, wall clock; Infinity for never. */
  dueMs: number;
  file: DumpFile | undefined;
  /** The walk, for a table. */
  walk: TableDump | undefined;
  /** Who waits for the file. */
  callers: CallId[];
  readonly done: { lastFile: string; lastTimeMs: number; lastRecords: number; lastRoutes: number };
  lastBytes: number;
  lastError: string;
  files: number;
  failures: number;
  records: number;
  dropped: number;
}

export class MrtDumps {
  private readonly host: MrtDumpsHost;
  readonly inputs: Inputs = {
    "mrt.taken": (input) => this.taken(input),
    "mrt.closed": (input) => this.closed(input),
  };
  private readonly dumps = new Map<string, Dump>();
  /** Those of UPDATEs. */
  private taps: Dump[] = [];
  /** Files of dumps that are no more, or were declared anew, on their way to their names. */
  private readonly leaving = new Map<MrtFileId, { readonly name: string; readonly file: DumpFile }>();
  private nextFile = 1;
  private nextDueMs = Number.POSITIVE_INFINITY;
  private states = new Uint8Array(64);

  constructor(host: MrtDumpsHost) {
    this.host = host;
  }

  /** Takes what is declared at start. */
  start(): void {
    for (const { name, spec } of this.host.objects.entries("MrtDump"))
      this.declared(name, spec as MrtDumpSpec);
  }

  apply(touched: readonly Touched[]): void {
    for (const { kind, name, after } of touched) {
      if (kind !== "MrtDump") continue;
      if (after) this.declared(name, after as MrtDumpSpec);
      else this.forget(name);
    }
  }

  private declared(name: string, spec: MrtDumpSpec): void {
    const known = this.dumps.get(name);
    const isTap = spec.content === MrtContent.UPDATES;
    const intervalMs = durationMs(spec.interval) || (isTap ? updatesIntervalMs : 0);
    const dump: Dump = known ?? {
      ...{ name, spec, intervalMs, dueMs: 0, file: undefined, walk: undefined, callers: [] },
      done: { lastFile: "", lastTimeMs: 0, lastRecords: 0, lastRoutes: 0 },
      ...{ lastBytes: 0, lastError: "", files: 0, failures: 0, records: 0, dropped: 0 },
    };
    const was = dump.spec;
    dump.spec = spec;
    dump.intervalMs = intervalMs;
    dump.dueMs = isTap ? 0 : this.boundaryAfter(intervalMs);
    this.dumps.set(name, dump);
    // A table that is being written is completed as it was begun; updates go on in a new file.
    if (dump.walk && isTap) this.answer(dump, "the dump was declared anew");
    if (dump.file && (isTap || was.content === MrtContent.UPDATES)) this.leave(dump);
    this.taps = [...this.dumps.values()].filter((each) => each.spec.content === MrtContent.UPDATES);
    this.nextDueMs = 0;
  }

  private forget(name: string): void {
    const dump = this.dumps.get(name);
    if (!dump) return;
    if (dump.walk) this.answer(dump, "the dump was deleted");
    this.leave(dump);
    this.dumps.delete(name);
    this.taps = this.taps.filter((each) => each !== dump);
  }

  /** Ends the file of a dump; of a table that is not complete nothing stays. */
  private leave(dump: Dump): void {
    const { file } = dump;
    if (!file) return;
    file.close(this.host.nowMs(), dump.walk === undefined);
    dump.records += file.records;
    dump.file = undefined;
    dump.walk = undefined;
    this.leaving.set(file.id, { name: dump.name, file });
  }

  /** Intervals are counted from midnight UTC, so that files of all routers are of the same moments. */
  private boundaryAfter(intervalMs: number): number {
    if (intervalMs === 0) return Number.POSITIVE_INFINITY;
    return (Math.floor(this.host.wallMs() / intervalMs) + 1) * intervalMs;
  }

  // Turns

  /** Begins what is due. */
  tick(): void {
    if (this.dumps.size === 0) return;
    const nowMs = this.host.nowMs();
    for (const { file } of this.taps) {
      if (file && file.out.at > 0 && nowMs - file.flushedMs >= flushAfterMs) file.flush(nowMs);
    }
    if (this.host.wallMs() < this.nextDueMs) return;
    this.nextDueMs = Number.POSITIVE_INFINITY;
    for (const dump of this.dumps.values()) {
      if (this.host.wallMs() >= dump.dueMs) this.due(dump);
      if (dump.dueMs < this.nextDueMs) this.nextDueMs = dump.dueMs;
    }
  }

  private due(dump: Dump): void {
    const isTap = dump.spec.content === MrtContent.UPDATES;
    const atMs = dump.dueMs === 0 ? this.host.wallMs() : dump.dueMs;
    dump.dueMs = this.boundaryAfter(dump.intervalMs);
    if (isTap) {
      this.leave(dump);
      this.open(dump, atMs);
    } else if (!dump.file) this.begin(dump, atMs);
    else {
      const summary = `table dump ${dump.name} is left out: the one before is not complete yet`;
      this.host.event("cairn.mrt.dump.skipped", objectOf(dump), 2, summary, { path: dump.file.path });
    }
  }

  private open(dump: Dump, atMs: number): DumpFile {
    const { spec } = dump;
    const appends = spec.content === MrtContent.UPDATES;
    const path = expandName(spec.path, atMs);
    const file = new DumpFile(this.nextFile++, path, spec, appends, this.host.effects, this.host.nowMs());
    dump.file = file;
    return file;
  }

  private begin(dump: Dump, atMs: number): void {
    const { routing, neighbors } = this.host;
    const file = this.open(dump, atMs);
    const best = dump.spec.content === MrtContent.BEST;
    dump.walk = new TableDump(routing, neighbors, file.out, best, Math.floor(atMs / 1000));
  }

  get hasWork(): boolean {
    for (const { walk, file } of this.dumps.values()) {
      if (walk && file && !file.closing && !file.isFull) return true;
    }
    return false;
  }

  /** Goes on with tables. */
  run(micros: number): void {
    const routes = micros * routesPerMicro;
    for (const dump of this.dumps.values()) {
      const { walk, file } = dump;
      if (!walk || !file || file.closing) continue;
      const nowMs = this.host.nowMs();
      for (let left = routes; left > 0 && !file.isFull; left -= routesPerPiece) {
        const finished = walk.step(Math.min(left, routesPerPiece));
        file.records = walk.records + 1;
        file.offer(nowMs);
        if (!finished) continue;
        file.close(nowMs, true);
        break;
      }
    }
  }

  nextMs(): number {
    if (this.dumps.size === 0) return Number.POSITIVE_INFINITY;
    let wakeMs = this.nextDueMs - this.host.wallMs();
    for (const { file } of this.taps) {
      if (file && file.out.at > 0)
        wakeMs = Math.min(wakeMs, file.flushedMs + flushAfterMs - this.host.nowMs());
    }
    return Math.max(0, wakeMs) + this.host.nowMs();
  }

  // What neighbors send

  /** Somebody wants UPDATEs. */
  get isTapping(): boolean {
    return this.taps.length > 0;
  }

  /** A received UPDATE, `bytes[start, end)` with its header. */
  update(record: NeighborRecord, bytes: Uint8Array, start: number, end: number): void {
    const { negotiated } = record;
    if (!negotiated) return;
    const ends = endsOf(record);
    const withIds = carriesPathIds(bytes, start, end, negotiated);
    for (const dump of this.taps) {
      const file = this.room(dump);
      if (!file) continue;
      writeMessage(file.out, this.host.wallMs(), ends, negotiated.fourOctetAs, withIds, bytes, start, end);
      file.records++;
      file.offer(this.host.nowMs());
    }
  }

  /** The state of a neighbor's session may have changed. */
  stateChanged(record: NeighborRecord): void {
    const { id } = record;
    if (id >= this.states.length) {
      const grown = new Uint8Array(id * 2);
      grown.set(this.states);
      this.states = grown;
    }
    const before = this.states[id] || 1;
    const after = this.host.stateOf(id);
    this.states[id] = after;
    if (before === after) return;
    for (const dump of this.taps) {
      const file = this.room(dump);
      if (!file) continue;
      writeStateChange(file.out, this.host.wallMs(), endsOf(record), before, after);
      file.records++;
    }
  }

  /** The file for a record; undefined when it is dropped. */
  private room(dump: Dump): DumpFile | undefined {
    const { file } = dump;
    if (file && !file.isFull) return file;
    dump.dropped++;
    if (!file || file.dropped++ > 0) return undefined;
    const summary = `updates are not written to ${file.path}: the disk is too slow, ${file.waitingBytes} bytes wait`;
    this.host.event("cairn.mrt.updates.dropped", objectOf(dump), 2, summary, { path: file.path });
    return undefined;
  }

  // The shell

  private taken({ file: id, queued, bytes }: Extract<Input, { kind: "mrt.taken" }>): void {
    for (const { file } of this.dumps.values()) if (file?.id === id) file.taken(queued, bytes);
  }

  private closed({ file: id, path, bytes, error }: Extract<Input, { kind: "mrt.closed" }>): void {
    const nowMs = this.host.nowMs();
    const old = this.leaving.get(id);
    const dump = [...this.dumps.values()].find(({ file }) => file?.id === id);
    this.leaving.delete(id);
    if (!dump?.file) {
      if (old) this.left(old.name, old.file, path, bytes, error);
      return;
    }
    const { file, walk } = dump;
    const tookMs = Math.round(nowMs - file.startedMs);
    dump.file = undefined;
    dump.walk = undefined;
    dump.records += file.records;
    if (error !== "" || !walk) {
      dump.failures++;
      dump.lastError = error;
      this.failed(dump.name, file.path, error);
      this.answer(dump, error);
      if (!walk) {
        dump.dueMs = Math.min(dump.dueMs, this.host.wallMs() + retryAfterMs);
        this.nextDueMs = Math.min(this.nextDueMs, dump.dueMs);
      }
      return;
    }
    const { routes, skipped } = walk;
    this.completed(dump, path, bytes, file.records, routes);
    const seconds = (tookMs / 1000).toFixed(1);
    const left = skipped > 0 ? `, ${skipped} left out` : "";
    const summary = `table dumped into ${path}: ${routes} routes${left}, ${bytes} bytes, ${seconds} s`;
    const facts = { path, routes: String(routes), bytes: String(bytes), milliseconds: String(tookMs) };
    this.host.event("cairn.mrt.dump.completed", objectOf(dump), 1, summary, facts);
    const { callers } = dump;
    dump.callers = [];
    const result: DumpResult = { path, routes, records: file.records, bytes, durationMs: tookMs };
    for (const call of callers)
      this.host.effects.push({ kind: "reply", call, outcome: { ok: true, dump: result } });
  }

  /** A file of updates that was followed by another one, or whose dump is no more. */
  private left(name: string, file: DumpFile, path: string, bytes: number, error: string): void {
    const dump = this.dumps.get(name);
    if (error !== "") {
      if (dump) {
        dump.failures++;
        dump.lastError = error;
      }
      this.failed(name, file.path, error);
    } else if (dump && bytes > 0) this.completed(dump, path, bytes, file.records, 0);
  }

  private completed(dump: Dump, path: string, bytes: number, records: number, routes: number): void {
    Object.assign(dump.done, {
      lastFile: path,
      lastTimeMs: this.host.wallMs(),
      lastRecords: records,
      lastRoutes: routes,
    });
    dump.lastBytes = bytes;
    dump.lastError = "";
    dump.files++;
  }

  private failed(name: string, path: string, error: string): void {
    const summary = `MRT file ${path} could not be written: ${error}`;
    this.host.event("cairn.mrt.dump.failed", `MrtDump/${name}`, 3, summary, { path, error });
  }

  private answer(dump: Dump, error: string): void {
    const { callers } = dump;
    dump.callers = [];
    for (const call of callers) this.refuse(call, { code: "STORE_FAILED", path: "name", message: error });
  }

  private refuse(call: CallId, problem: Problem): void {
    this.host.effects.push({ kind: "reply", call, outcome: { ok: false, problems: [problem] } });
  }

  // The API

  /** Dumps a table now; the call is answered when the file is complete. */
  trigger(call: CallId, name: string): void {
    const dump = this.dumps.get(name);
    if (!dump) {
      this.refuse(call, { code: "NOT_FOUND", path: "name", message: `there is no MrtDump ${name}` });
      return;
    }
    if (dump.spec.content === MrtContent.UPDATES) {
      const message = `${name} is a dump of updates, which are written as they come`;
      this.refuse(call, { code: "WRONG_STATE", path: "name", message });
      return;
    }
    if (dump.file) {
      const message = `${dump.file.path} is being written`;
      this.refuse(call, { code: "BUSY", path: "name", message, fix: "wait until it is complete" });
      return;
    }
    dump.callers.push(call);
    this.begin(dump, this.host.wallMs());
  }

  state(name: string): MrtDumpState | undefined {
    const dump = this.dumps.get(name);
    if (!dump) return undefined;
    const { file, done, dueMs } = dump;
    return create(MrtDumpStateSchema, {
      writing: file?.path ?? "",
      lastFile: done.lastFile,
      lastTime: done.lastTimeMs === 0 ? undefined : timestampFromMs(Math.floor(done.lastTimeMs)),
      lastRecords: BigInt(done.lastRecords),
      lastRoutes: BigInt(done.lastRoutes),
      lastBytes: BigInt(dump.lastBytes),
      lastError: dump.lastError,
      nextTime: Number.isFinite(dueMs) ? timestampFromMs(dueMs) : undefined,
      files: BigInt(dump.files),
      failures: BigInt(dump.failures),
      records: BigInt(dump.records + (file?.records ?? 0)),
      dropped: BigInt(dump.dropped),
      queuedBytes: BigInt(file?.waitingBytes ?? 0),
    });
  }

  /** The daemon ends: files of updates are completed, tables given up. */
  end(): void {
    for (const dump of this.dumps.values()) {
      if (dump.walk) this.answer(dump, "the daemon ends");
      this.leave(dump);
    }
    this.taps = [];
  }
}

/** Routes of a table that are written between two looks at how much waits for the disk. */
const routesPerPiece = 4096;

function objectOf({ name }: Dump): string {
  return `MrtDump/${name}`;
}
