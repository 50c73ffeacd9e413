/**
 * Files of dumps, as the core sees them: bytes go to the shell as effects, and what the disk has not taken is counted.
 * The shell compresses, writes, and gives a file its name when it is complete.
 */
import { limits } from "../../base/limits.ts";
import { MrtCompression, type MrtDumpSpec } from "../../gen/cairn/v1/mrt_service_pb.ts";
import { MessageWriter } from "../../wire/message-writer.ts";
import type { Effects, MrtOpenEffect } from "../effects.ts";
import { durationMs } from "../schema.ts";

/** Names a file between core and shell. Never reused within a run. */
export type MrtFileId = number;

/** Buffers kept to be used again. */
const spareMax = 8;
/** Bytes handed to the shell at a time. */
const pieceBytes = 1 << 18;

const compressions: Readonly<Record<number, MrtOpenEffect["compression"]>> = {
  [MrtCompression.NONE]: "none",
  [MrtCompression.GZIP]: "gzip",
  [MrtCompression.ZSTD]: "zstd",
};

/** As declared; else what the ending says, for that is what tools go by. */
function compressionOf({ compression, path }: MrtDumpSpec): MrtOpenEffect["compression"] {
  return (
    compressions[compression] ?? (path.endsWith(".gz") ? "gzip" : path.endsWith(".zst") ? "zstd" : "none")
  );
}

/** A file that is being written. */
export class DumpFile {
  readonly id: MrtFileId;
  readonly path: string;
  readonly startedMs: number;
  /** Records are appended here. */
  readonly out = new MessageWriter(pieceBytes + (1 << 16));
  /** Bytes that the shell has and the disk has not. */
  queued = 0;
  records = 0;
  /** Records for which there was no room. */
  dropped = 0;
  /** When bytes were last handed over, monotonic milliseconds. */
  flushedMs: number;
  /** No more is written; it is on its way to its name. */
  closing = false;
  private readonly effects: Effects;
  /** Buffers that came back: a table of a gigabyte must not be a gigabyte of garbage. */
  private readonly spare: Uint8Array[] = [];

  /** @param appends keep what there is of a file that could not be completed; a table is worth nothing in part */
  constructor(
    id: MrtFileId,
    path: string,
    spec: MrtDumpSpec,
    appends: boolean,
    effects: Effects,
    nowMs: number,
  ) {
    this.id = id;
    this.path = path;
    this.effects = effects;
    this.startedMs = nowMs;
    this.flushedMs = nowMs;
    effects.push({
      kind: "mrt.open",
      file: id,
      path,
      pattern: spec.path,
      compression: compressionOf(spec),
      appends,
      maxFiles: spec.maxFiles ?? 0,
      maxAgeMs: durationMs(spec.maxAge),
    });
  }

  /** Bytes that are not on disk. */
  get waitingBytes(): number {
    return this.queued + this.out.at;
  }

  get isFull(): boolean {
    return this.waitingBytes >= limits.mrtQueueBytesMax;
  }

  /** @param bytes what was handed over, and is free again */
  taken(queued: number, bytes: Uint8Array | undefined): void {
    this.queued = queued;
    if (bytes && this.spare.length < spareMax) this.spare.push(new Uint8Array(bytes.buffer));
  }

  /** Hands over what there is when it is enough to be worth it. */
  offer(nowMs: number): void {
    if (this.out.at >= pieceBytes) this.flush(nowMs);
  }

  flush(nowMs: number): void {
    this.flushedMs = nowMs;
    if (this.out.at === 0) return;
    const { out } = this;
    const bytes = out.bytes.subarray(0, out.at);
    out.bytes = this.spare.pop() ?? new Uint8Array(out.bytes.length);
    out.reset();
    this.queued += bytes.length;
    this.effects.push({ kind: "mrt.write", file: this.id, bytes });
  }

  /** @param keep false throws away what there is */
  close(nowMs: number, keep: boolean): void {
    if (this.closing) return;
    this.closing = true;
    if (keep) this.flush(nowMs);
    this.effects.push({ kind: "mrt.close", file: this.id, keep });
  }
}
