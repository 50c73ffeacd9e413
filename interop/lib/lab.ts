/**
 * Laboratory: network namespaces without names, veth links between them, and processes inside. Nothing here has a
 * global name, so labs can run side by side and a killed run leaves nothing: every process dies with the runner
 * (PR_SET_PDEATHSIG), and the kernel drops a namespace with its last process.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A network namespace, kept alive by a sleeping process. */
export interface Namespace {
  readonly name: string;
  readonly pid: number;
}

export interface Exit {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

export class Lab {
  /** Configurations, sockets, state and logs. Kept when a check failed. */
  readonly folder: string;
  readonly #processes = new Set<Daemon>();
  #links = 0;

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  async namespace(name: string): Promise<Namespace> {
    const holder = new Daemon(this, `ns-${name}`, "unshare", ["--net", "sleep", "infinity"], undefined);
    this.#processes.add(holder);
    await holder.start();
    // unshare replaces itself by sleep once the namespace is there.
    while (readFileSync(`/proc/${holder.pid}/comm`, "utf8").trim() !== "sleep") await pause(5);
    const namespace = { name, pid: holder.pid };
    await this.in(namespace, ["ip", "link", "set", "lo", "up"]);
    return namespace;
  }

  /** Joins two namespaces by a link of its own; addresses with their prefix lengths. */
  async link(
    a: Namespace,
    aAddresses: readonly string[],
    b: Namespace,
    bAddresses: readonly string[],
  ): Promise<void> {
    const device = `link${this.#links++}`;
    await run("ip", [
      ...["link", "add", device, "netns", String(a.pid), "type", "veth"],
      ...["peer", "name", device, "netns", String(b.pid)],
    ]);
    for (const [namespace, addresses] of [
      [a, aAddresses],
      [b, bAddresses],
    ] as const) {
      for (const address of addresses) {
        const nodad = address.includes(":") ? ["nodad"] : [];
        await this.in(namespace, ["ip", "address", "add", address, "dev", device, ...nodad]);
      }
      await this.in(namespace, ["ip", "link", "set", device, "up"]);
    }
  }

  /** Runs a command in a namespace to its end. @throws Error when it fails */
  async in(namespace: Namespace, command: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(namespace, command);
    if (code !== 0) throw new Error(`${command.join(" ")}: exit ${code}: ${(stderr || stdout).trim()}`);
    return stdout;
  }

  /** The same, with failure as a value. */
  async try(namespace: Namespace, command: readonly string[]): Promise<Exit> {
    try {
      const options = { maxBuffer: 1 << 28, timeout: 30_000 };
      const { stdout, stderr } = await run(
        "nsenter",
        [`--net=/proc/${namespace.pid}/ns/net`, ...command],
        options,
      );
      return { stdout, stderr, code: 0 };
    } catch (error) {
      const {
        stdout = "",
        stderr = "",
        code,
      } = error as { stdout?: string; stderr?: string; code?: unknown };
      return { stdout, stderr: stderr || String(error), code: typeof code === "number" ? code : -1 };
    }
  }

  /** A process to be started in a namespace; its output goes to `NAME.log` in the lab's folder. */
  daemon(
    namespace: Namespace,
    name: string,
    command: readonly string[],
    env: Record<string, string> = {},
  ): Daemon {
    const enter = [`--net=/proc/${namespace.pid}/ns/net`, ...command];
    const daemon = new Daemon(this, name, "nsenter", enter, env);
    this.#processes.add(daemon);
    return daemon;
  }

  /** Writes a file into the lab's folder and answers with its path. */
  file(name: string, text: string, mode = 0o600): string {
    const file = path.join(this.folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text, { mode });
    return file;
  }

  async close(): Promise<void> {
    // Namespaces last: daemons want their interfaces until they have ended.
    await Promise.all([...this.#processes].reverse().map((daemon) => daemon.stop()));
  }
}

/** A process that can be started, stopped, killed, frozen, and started again. */
export class Daemon {
  readonly logFile: string;
  readonly #command: readonly string[];
  readonly #env: Record<string, string>;
  readonly #cwd: string;
  #child: ChildProcess | undefined;

  constructor(
    lab: Lab,
    name: string,
    program: string,
    args: readonly string[],
    env: Record<string, string> | undefined,
  ) {
    this.logFile = path.join(lab.folder, `${name}.log`);
    this.#command = ["--pdeathsig", "KILL", program, ...args];
    this.#env = env ?? {};
    this.#cwd = lab.folder;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Everything it has printed, over all its starts. */
  get log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, "utf8") : "";
  }

  async start(): Promise<void> {
    const env = { ...process.env, ...this.#env };
    const child = spawn("setpriv", this.#command, { cwd: this.#cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    const log = createWriteStream(this.logFile, { flags: "a" });
    child.stdout!.pipe(log, { end: false });
    child.stderr!.pipe(log, { end: false });
    child.on("error", (error) => log.write(`${error.message}\n`));
    child.on("close", () => log.end());
    if (child.pid === undefined) await once(child, "error");
  }

  /** Asks it to end, insists after a while. */
  async stop(graceMs = 5_000): Promise<void> {
    if (!this.running) return;
    const ended = once(this.#child!, "exit");
    this.signal("SIGCONT");
    this.signal("SIGTERM");
    const insist = setTimeout(() => this.signal("SIGKILL"), graceMs);
    await ended;
    clearTimeout(insist);
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    if (!this.running) return;
    const ended = once(this.#child!, "exit");
    this.signal("SIGKILL");
    await ended;
  }

  /** To the process and its children, such as OpenBGPD's session engine. */
  signal(signal: NodeJS.Signals): void {
    for (const pid of [...childrenOf(this.pid), this.pid]) {
      try {
        process.kill(pid, signal);
      } catch {
        // It ended in the meantime.
      }
    }
  }
}

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    const own = text.trim().split(" ").filter(Boolean).map(Number);
    return own.flatMap((child) => [...childrenOf(child), child]);
  } catch {
    return [];
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
