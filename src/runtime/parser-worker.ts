/** The thread of parser-thread.ts: reads one file after the other. */
import { readFileSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { type Message, toBinary } from "@bufbuild/protobuf";
import { assert } from "../base/assert.ts";
import { formatProblem, type Result } from "../base/problem.ts";
import { parseVrpFile } from "../rpki/json-records.ts";
import { parseSlurm, type Slurm } from "../rpki/slurm.ts";
import type { FilePlace, FileProblem } from "../services/context.ts";
import { kinds } from "../state/kinds.ts";
import { loadFile } from "./config-file.ts";
import { parseSent, type SentFile } from "./config-text.ts";

export type ToParser =
  | { readonly id: number; readonly ask: "parse"; readonly file: SentFile }
  | {
      readonly id: number;
      readonly ask: "locate";
      readonly file: SentFile;
      readonly paths: readonly string[];
    }
  | { readonly id: number; readonly ask: "load"; readonly path: string }
  | { readonly id: number; readonly ask: "rpki"; readonly path: string; readonly kind: "vrps" | "slurm" };

/** Objects one after the other in `bytes`: the kind of each and where it ends. */
export interface PackedObjects {
  readonly kinds: readonly string[];
  readonly ends: readonly number[];
  readonly bytes: Uint8Array;
}

export interface FromParser {
  readonly id: number;
  readonly objects: PackedObjects;
  readonly problems?: readonly FileProblem[];
  readonly places?: readonly (FilePlace | undefined)[];
  readonly report?: string;
  readonly rpki?: RpkiData;
  /** The file could not be read at all; a sentence. */
  readonly error?: string;
}

/** A file of VRPs as PDUs, or of local exceptions. */
export interface RpkiData {
  readonly pdus?: Uint8Array;
  readonly slurm?: Slurm;
}

const none: PackedObjects = { kinds: [], ends: [], bytes: new Uint8Array() };

const port = parentPort;
assert(port, "parser-worker runs as a worker thread only");
port.on("message", (question: ToParser) => {
  try {
    port.postMessage(answerTo(question));
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    port.postMessage({ id: question.id, objects: none, error: text } satisfies FromParser);
  }
});

function answerTo(question: ToParser): FromParser {
  const { id } = question;
  if (question.ask === "rpki") return { id, objects: none, rpki: readRpki(question.path, question.kind) };
  if (question.ask === "load") {
    const { config, report } = loadFile(question.path, false);
    return { id, objects: packed(config.objects), report };
  }
  const { objects, problems, locate } = parseSent(question.file);
  if (question.ask === "locate") return { id, objects: none, places: question.paths.map(locate) };
  return { id, objects: packed(objects), problems };
}

/** Problems told of a file that is refused. */
const problemsTold = 3;

function readRpki(path: string, kind: "vrps" | "slurm"): RpkiData {
  const text = readFileSync(path, "utf8");
  if (kind === "slurm") return { slurm: taken(parseSlurm(text)) };
  return { pdus: taken(parseVrpFile(text, Date.now() / 1000)) };
}

function taken<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  const { problems } = result;
  const more = problems.length > problemsTold ? `; and ${problems.length - problemsTold} more` : "";
  throw new Error(problems.slice(0, problemsTold).map(formatProblem).join("; ") + more);
}

function packed(objects: readonly { readonly kind: string; readonly spec: Message }[]): PackedObjects {
  const each = objects.map(({ kind, spec }) => toBinary(kinds.get(kind)!.desc, spec));
  let end = 0;
  const ends = each.map((bytes) => (end += bytes.length));
  return { kinds: objects.map(({ kind }) => kind), ends, bytes: Buffer.concat(each) };
}
