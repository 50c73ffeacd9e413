/**
 * Local files of VRPs and of SLURM: read when they are asked for, and again when they change. A file is read and
 * understood in the thread that reads files, so that half a million VRPs hold up nobody.
 */
import { stat } from "node:fs/promises";
import type { RpkiEffect, RpkiInput } from "../state/rpki-inputs.ts";
import { parserThread } from "./config-text.ts";

/** How often files are looked at for changes. */
const pollMs = 5_000;

interface Watched {
  readonly kind: "vrps" | "slurm";
  /** What tells one version from the next; empty before the first. */
  seen: string;
  reading: boolean;
}

export class RpkiFiles {
  readonly #post: (input: RpkiInput) => void;
  #files = new Map<string, Watched>();
  #timer: NodeJS.Timeout | undefined;

  constructor(post: (input: RpkiInput) => void) {
    this.#post = post;
  }

  watch({ vrps, slurm }: Extract<RpkiEffect, { kind: "rpki.watch" }>): void {
    const before = this.#files;
    this.#files = new Map();
    const add = (path: string, kind: Watched["kind"]): void => {
      const known = before.get(path);
      this.#files.set(path, known?.kind === kind ? known : { kind, seen: "", reading: false });
    };
    for (const path of vrps) add(path, "vrps");
    for (const path of slurm) add(path, "slurm");
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#files.size === 0) return;
    this.#timer = setInterval(() => this.#look(), pollMs);
    this.#look();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#files.clear();
  }

  #look(): void {
    for (const [path, file] of this.#files) void this.#lookAt(path, file);
  }

  async #lookAt(path: string, file: Watched): Promise<void> {
    if (file.reading) return;
    file.reading = true;
    let input: RpkiInput | undefined;
    try {
      const { mtimeMs, size, ino } = await stat(path);
      const version = `${mtimeMs} ${size} ${ino}`;
      if (version !== file.seen) {
        file.seen = version;
        input = { kind: "rpki.file", path, ...(await parserThread.rpki(path, file.kind)), error: "" };
      }
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      input = { kind: "rpki.file", path, error: text };
    }
    file.reading = false;
    if (input && this.#files.get(path) === file) this.#post(input);
  }
}
