/** Starts and ends the demo's processes: cairnd in a temporary state directory, and the speakers around it. */
import { type ChildProcess, fork } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cast, demoConfig } from "./cast.ts";

const startLimitMs = 15_000;
const endLimitMs = 4_000;
const file = (name: string): string => join(import.meta.dirname, name);

export class Network {
  readonly directory = mkdtempSync(join(tmpdir(), "cairn-demo-"));
  /** For `cairnctl -s`. */
  readonly address = `unix://${join(this.directory, "grpc.sock")}`;
  /** cairnd's log, JSON lines. */
  readonly log = join(this.directory, "cairnd.log");
  /** Where cairnd accepts BGP; the kernel chose it. */
  port = 0;
  private readonly children: ChildProcess[] = [];

  /** Starts everything; resolves when cairnd is ready. @throws Error with a sentence for people */
  async start(): Promise<void> {
    const config = join(this.directory, "demo.toml");
    writeFileSync(config, demoConfig());
    const log = openSync(this.log, "a");
    const words = [config, "--state-dir", this.directory, "--log-format", "json"];
    const daemon = fork(file("daemon.ts"), words, { stdio: ["ignore", "ignore", log, "ipc"] });
    closeSync(log);
    this.children.push(daemon);
    const speakers = cast.map((role) =>
      fork(file("speaker.ts"), [role.name], { stdio: ["ignore", "ignore", "inherit", "ipc"] }),
    );
    this.children.push(...speakers);
    this.port = await this.ready(daemon);
    // A speaker that fails has said why on standard error; the demo goes on with the others.
    for (const speaker of speakers) if (speaker.connected) speaker.send({ port: this.port });
  }

  /** Ends all processes and removes what they left; resolves when they are gone. */
  async stop(): Promise<void> {
    const gone = this.children.map((child) => ended(child));
    for (const child of this.children) if (child.connected) child.disconnect();
    await Promise.race([Promise.all(gone), sleep(endLimitMs, undefined, { ref: false })]);
    this.kill();
  }

  /** Ends all processes at once. For exits that cannot wait. */
  kill(): void {
    for (const child of this.children) if (child.exitCode === null) child.kill("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** The port of cairnd's listener, out of the line in which it says that it is ready. */
  private async ready(daemon: ChildProcess): Promise<number> {
    for (const begin = performance.now(); performance.now() - begin < startLimitMs; await sleep(20)) {
      const text = readFileSync(this.log, "utf8");
      const line = text.split("\n").find((each) => each.includes('"msg":"ready"'));
      if (line) return Number((JSON.parse(line) as { bgp: string }).bgp.split(":")[1]);
      if (daemon.exitCode !== null) throw new Error(`cairnd ended with ${daemon.exitCode}:\n${text}`);
    }
    throw new Error(
      `cairnd was not ready within ${startLimitMs / 1000} s:\n${readFileSync(this.log, "utf8")}`,
    );
  }
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once("exit", () => resolve()));
}
