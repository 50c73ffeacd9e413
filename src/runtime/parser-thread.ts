/**
 * A thread that reads large configuration files, so that the owner's thread does not stand still meanwhile. It is
 * started when it is needed and ends after a while without work. Objects come back in their binary form.
 */
import { Worker } from "node:worker_threads";
import { fromBinary } from "@bufbuild/protobuf";
import type { FilePlace, ParsedFile } from "../services/context.ts";
import { Pacer } from "../services/pacer.ts";
import { kinds } from "../state/kinds.ts";
import type { SentFile } from "./config-text.ts";
import type { FromParser, PackedObjects, RpkiData, ToParser } from "./parser-worker.ts";

const idleMs = 30_000;

interface Waiting {
  readonly resolve: (answer: FromParser) => void;
  readonly reject: (error: Error) => void;
}

export class ParserThread {
  private worker: Worker | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 1;
  private idle: NodeJS.Timeout | undefined;

  /** What a client sent. */
  async parse(file: SentFile): Promise<ParsedFile> {
    const { objects, problems = [] } = await this.ask((id) => ({ id, ask: "parse", file }));
    return { objects: await unpacked(objects), problems, locate: (paths) => this.locate(file, paths) };
  }

  /** A file of this host with what it refers to: the same as `loadFile`, without its settings. */
  async load(path: string): Promise<{ objects: ParsedFile["objects"]; report: string }> {
    const { objects, report = "" } = await this.ask((id) => ({ id, ask: "load", path }));
    return { objects: await unpacked(objects), report };
  }

  /** A file of VRPs or local exceptions on this host. @throws Error with what is wrong with it */
  async rpki(path: string, kind: "vrps" | "slurm"): Promise<RpkiData> {
    const { rpki = {} } = await this.ask((id) => ({ id, ask: "rpki", path, kind }));
    return rpki;
  }

  /** Reads the file once more: a refusal is rare, and what it is about need not be kept for all. */
  private async locate(
    file: SentFile,
    paths: readonly string[],
  ): Promise<readonly (FilePlace | undefined)[]> {
    const { places = [] } = await this.ask((id) => ({ id, ask: "locate", file, paths }));
    return places;
  }

  private ask(question: (id: number) => ToParser): Promise<FromParser> {
    clearTimeout(this.idle);
    const id = this.nextId++;
    const { worker = this.start() } = this;
    worker.ref();
    return new Promise<FromParser>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      worker.postMessage(question(id));
    }).finally(() => {
      if (this.waiting.size > 0) return;
      worker.unref();
      this.idle = setTimeout(() => this.end(), idleMs);
      this.idle.unref();
    });
  }

  private start(): Worker {
    const worker = new Worker(new URL("./parser-worker.ts", import.meta.url));
    worker.on("message", (answer: FromParser) => {
      const waiting = this.waiting.get(answer.id);
      this.waiting.delete(answer.id);
      if (answer.error === undefined) waiting?.resolve(answer);
      else waiting?.reject(new Error(answer.error));
    });
    worker.on("error", (error) =>
      this.breakDown(worker, error instanceof Error ? error : new Error(String(error))),
    );
    worker.on("exit", () => this.breakDown(worker, new Error("the thread that reads files ended")));
    this.worker = worker;
    return worker;
  }

  /** The next file gets a new thread. */
  private breakDown(worker: Worker, error: Error): void {
    if (this.worker !== worker) return;
    this.worker = undefined;
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  private end(): void {
    const { worker } = this;
    this.worker = undefined;
    void worker?.terminate();
  }
}

async function unpacked({ kinds: names, ends, bytes }: PackedObjects): Promise<ParsedFile["objects"]> {
  const pacer = new Pacer();
  const objects: { kind: string; spec: ParsedFile["objects"][number]["spec"] }[] = [];
  let start = 0;
  for (const [i, kind] of names.entries()) {
    await pacer.rest();
    objects.push({ kind, spec: fromBinary(kinds.get(kind)!.desc, bytes.subarray(start, ends[i])) });
    start = ends[i];
  }
  return objects;
}
