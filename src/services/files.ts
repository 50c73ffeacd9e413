/** Files that may change while we run: token files and certificates. */
import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import type { TokenStore } from "./access.ts";
import type { Log } from "./context.ts";

/** Looks every so often whether one of the files is another than before, and calls `changed`. */
export class FileWatch {
  readonly #timer: NodeJS.Timeout;

  /** `changed` may throw: the error is logged and what was loaded before stays in force. */
  constructor(paths: readonly string[], pollMs: number, log: Log, changed: () => void) {
    let before = fingerprint(paths);
    this.#timer = setInterval(() => {
      const now = fingerprint(paths);
      if (now === before) return;
      before = now;
      try {
        changed();
        log("info", "reloaded changed files", { files: paths.join(", ") });
      } catch (error) {
        log("error", "changed files cannot be used; going on with what was loaded before", {
          files: paths.join(", "),
          error: String(error),
        });
      }
    }, pollMs);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

function fingerprint(paths: readonly string[]): string {
  return paths
    .map((path) => {
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat ? `${stat.ino} ${stat.size} ${stat.mtimeMs}` : "missing";
    })
    .join("\n");
}

/** Tokens of a file: one a line as `TOKEN` or `NAME TOKEN`; empty lines and those that start with # do not count. */
export class TokenFile implements TokenStore {
  readonly #path: string;
  #tokens: readonly { readonly name: string; readonly digest: Buffer }[] = [];

  /** Throws when the file cannot be read or holds no token. */
  constructor(path: string) {
    this.#path = path;
    this.reload();
  }

  reload(): void {
    const lines = readFileSync(this.#path, "utf8").split("\n");
    const tokens = lines.flatMap((line) => {
      const words = line.trim().split(/\s+/);
      if (words[0] === "" || words[0].startsWith("#")) return [];
      const [name, token] = words.length === 1 ? ["token", words[0]] : words;
      return [{ name, digest: digestOf(token) }];
    });
    if (tokens.length === 0) throw new Error(`${this.#path} holds no token`);
    this.#tokens = tokens;
  }

  /** Takes the same time for every token of the same length, known or not. */
  nameOf(token: string): string | undefined {
    const digest = digestOf(token);
    let found: string | undefined;
    for (const known of this.#tokens) if (timingSafeEqual(known.digest, digest)) found = known.name;
    return found;
  }
}

function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
