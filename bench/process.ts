/** A daemon under test as a process: started, watched from outside through /proc, ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const startTimeoutMs = 30_000;
/** USER_HZ of /proc/*\/stat. */
const ticksPerSecond = 100;

export interface Memory {
  /** Resident now, and at most since the start; all processes of the daemon together. */
  readonly rssMb: number;
  readonly peakMb: number;
}

export class DaemonProcess {
  readonly directory: string;
  /** Seconds from start until the BGP port took connections. */
  listenS = 0;
  private readonly child: ChildProcess;

  private constructor(directory: string, command: readonly string[], env: Readonly<Record<string, string>>) {
    this.directory = directory;
    const log = openSync(join(directory, "log"), "a");
    const [program, ...words] = command;
    this.child = spawn(program, words, {
      stdio: ["ignore", log, log],
      env: { ...process.env, ...env },
      cwd: directory,
    });
    closeSync(log);
    this.child.on("error", () => {}); // a program that cannot be started shows as one that does not listen
  }

  /**
   * @param write writes the configuration into the directory; @returns the command and what its environment adds
   * @throws Error when the daemon does not listen on port 179 in time
   */
  static async start(
    name: string,
    write: (directory: string) => { command: readonly string[]; env?: Readonly<Record<string, string>> },
  ): Promise<DaemonProcess> {
    const directory = mkdtempSync(join(tmpdir(), `cairn-bench-${name}-`));
    const { command, env = {} } = write(directory);
    const started = performance.now();
    const daemon = new DaemonProcess(directory, command, env);
    while (!isListening()) {
      if (daemon.child.exitCode !== null || performance.now() - started > startTimeoutMs) {
        const log = daemon.log();
        await daemon.stop();
        throw new Error(`${name} does not listen: ${log}`);
      }
      await delay(2);
    }
    daemon.listenS = (performance.now() - started) / 1000;
    return daemon;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** True when the daemon has ended by itself. */
  get gone(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** The end of what it wrote to standard output and error. */
  log(): string {
    return read(join(this.directory, "log")).slice(-500);
  }

  memory(): Memory {
    const sum = { rssMb: 0, peakMb: 0 };
    for (const pid of tree(this.pid)) {
      const status = read(`/proc/${pid}/status`);
      const mb = (field: string): number =>
        Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024;
      sum.rssMb += mb("VmRSS");
      sum.peakMb += mb("VmHWM");
    }
    return sum;
  }

  /** CPU seconds of all processes and threads. */
  cpuS(): number {
    return tree(this.pid).reduce((sum, pid) => sum + cpuOf(pid), 0);
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Ends the daemon and removes what it wrote, after `collect` has looked at it. */
  async stop(collect: (directory: string) => void = () => {}): Promise<void> {
    if (!this.gone && this.child.pid !== undefined) {
      const ended = once(this.child, "exit");
      this.child.kill("SIGTERM");
      const late = setTimeout(() => this.child.kill("SIGKILL"), 10_000);
      await ended;
      clearTimeout(late);
    }
    while (isListening()) await delay(5);
    collect(this.directory);
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** CPU seconds that the whole machine has spent working. */
export function machineCpuS(): number {
  const ticks = read("/proc/stat").split("\n")[0].trim().split(/ +/).slice(1, 9).map(Number);
  const [, , , idle, ioWait] = ticks;
  return (ticks.reduce((sum, each) => sum + each, 0) - idle - ioWait) / ticksPerSecond;
}

/** Threads that live are counted to the nanosecond; those that have ended, by ticks, in what the process says. */
function cpuOf(pid: number): number {
  let threads = 0;
  for (const task of entries(`/proc/${pid}/task`)) {
    threads += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(" ")[0]) / 1e9;
  }
  // After the name, which may hold spaces: utime and stime are fields 14 and 15.
  const fields = read(`/proc/${pid}/stat`).split(") ")[1]?.split(" ") ?? [];
  const ticks = Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  return Math.max(threads, ticks / ticksPerSecond - 0.02);
}

function tree(pid: number): number[] {
  const all = [pid];
  for (const task of entries(`/proc/${pid}/task`)) {
    for (const child of read(`/proc/${pid}/task/${task}/children`).trim().split(" ")) {
      if (child !== "") all.push(...tree(Number(child)));
    }
  }
  return all;
}

/** Something in this namespace takes connections on port 179. */
function isListening(): boolean {
  return ["/proc/net/tcp", "/proc/net/tcp6"].some((file) =>
    / [0-9A-F]+:00B3 [0-9A-F]+:0000 0A /.test(read(file)),
  );
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // a process or thread that ended while we looked
  }
}

function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
