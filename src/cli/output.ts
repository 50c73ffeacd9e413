/** Standard output with big chunks, backpressure, and quiet when its reader is gone. */
import type { Writable } from "node:stream";
import { OutputClosed } from "./exit.ts";
import { TextBuffer } from "./text-buffer.ts";

const chunkBytes = 1 << 18;

export class Output {
  /** What waits to go out. Who writes to it directly calls `flowing` after at most a few hundred kilobytes. */
  readonly buffer = new TextBuffer();
  readonly #stream: Writable;
  #closed = false;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") process.stderr.write(`cairnctl: cannot write output: ${error.message}\n`);
      this.#closed = true;
      stream.emit("drain"); // frees who waits in #drained
    });
  }

  /** Adds text; goes out in chunks. Follow with `flowing()` in loops over much data. */
  write(text: string): void {
    this.buffer.text(text);
    if (this.buffer.length >= chunkBytes) this.#push();
  }

  line(text = ""): void {
    this.write(`${text}\n`);
  }

  /** Waits until the reader has taken enough. @throws OutputClosed when it is gone */
  async flowing(): Promise<void> {
    if (this.buffer.length >= chunkBytes) this.#push();
    if (!this.#closed && this.#stream.writableNeedDrain) {
      await new Promise<void>((resolve) => this.#stream.once("drain", resolve));
    }
    if (this.#closed) throw new OutputClosed();
  }

  /** Sends out what is buffered; for streams that are followed live. @throws OutputClosed */
  async flush(): Promise<void> {
    this.#push();
    await this.flowing();
  }

  /** Resolves when everything was taken by the system, or the reader is gone. */
  async finish(): Promise<void> {
    this.#push();
    if (this.#closed) return;
    await new Promise<void>((resolve) => {
      this.#stream.once("drain", () => this.#closed && resolve());
      this.#stream.write("", () => resolve());
    });
  }

  #push(): void {
    if (this.buffer.length === 0) return;
    if (this.#closed) this.buffer.length = 0;
    else this.#stream.write(this.buffer.take());
  }
}
