/** The thread of parser-thread.ts: reads one file after the other. */
import { parentPort } from "node:worker_threads";
import { type Message, toBinary } from "@bufbuild/protobuf";
import { assert } from "../base/assert.ts";
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
  | { readonly id: number; readonly ask: "load"; readonly path: string };

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
  /** The file could not be read at all; a sentence. */
  readonly error?: string;
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
  if (question.ask === "load") {
    const { config, report } = loadFile(question.path, false);
    return { id, objects: packed(config.objects), report };
  }
  const { objects, problems, locate } = parseSent(question.file);
  if (question.ask === "locate") return { id, objects: none, places: question.paths.map(locate) };
  return { id, objects: packed(objects), problems };
}

function packed(objects: readonly { readonly kind: string; readonly spec: Message }[]): PackedObjects {
  const each = objects.map(({ kind, spec }) => toBinary(kinds.get(kind)!.desc, spec));
  let end = 0;
  const ends = each.map((bytes) => (end += bytes.length));
  return { kinds: objects.map(({ kind }) => kind), ends, bytes: Buffer.concat(each) };
}
