/**
 * The real daemon as a child process, for tests that nothing in between may soften: its API over plain HTTP with JSON,
 * its log, its command line. No root, loopback addresses, free ports, a state directory of its own.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

export const root: string = join(import.meta.dirname, "../..");

/** Proto3 JSON as tests look at it: 64-bit numbers are text, absent fields are defaults. */
// biome-ignore lint/suspicious/noExplicitAny: answers are checked field by field
export type Json = any;

export interface StartOptions {
  /** TOML after `[global]`, or the whole file when `wholeFile` is set. */
  readonly config?: string;
  readonly wholeFile?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Of the state directory; a new one by default. */
  readonly stateDir?: string;
  /** Listen addresses; a free port on 127.0.0.1 by default. */
  readonly listen?: readonly string[];
}

/** What a refused call answers with. */
export class CallError extends Error {
  readonly code: string;
  /** Field paths of `google.rpc.BadRequest`, or subjects of `PreconditionFailure`. */
  readonly fields: readonly string[];
  readonly reason: string;

  constructor(body: Json) {
    super(body.message ?? JSON.stringify(body));
    this.code = body.code;
    const debug = (type: string): Json =>
      body.details?.find((detail: Json) => detail.type === type)?.debug ?? {};
    this.fields = [
      ...(debug("google.rpc.BadRequest").fieldViolations ?? []).map((each: Json) => each.field),
      ...(debug("google.rpc.PreconditionFailure").violations ?? []).map((each: Json) => each.subject),
    ];
    this.reason = debug("google.rpc.ErrorInfo").reason ?? "";
  }
}

/** A call or stream that is silent so long has failed. */
const silenceMs = 15_000;

const cleanups = new WeakMap<TestContext, (() => unknown)[]>();

/** Has `undo` done when the test ends, the last asked for first. */
export function finallyDo(t: TestContext, undo: () => unknown): void {
  const list = cleanups.get(t) ?? [];
  list.push(undo);
  if (list.length > 1) return;
  cleanups.set(t, list);
  t.after(async () => {
    let failure: unknown;
    for (const each of list.toReversed()) {
      try {
        await each();
      } catch (error) {
        failure ??= error; // the rest is undone all the same
      }
    }
    if (failure) throw failure;
  });
}

/** Directory that goes when the test ends. */
export function scratch(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "cairn-e2e-"));
  finallyDo(t, () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }));
  return path;
}

export class Daemon {
  readonly stateDir: string;
  readonly log: Json[] = [];
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  /** Everything that was not a log line. */
  noise = "";
  private readonly child: ChildProcess;
  private readonly options: StartOptions;
  private readonly t: TestContext;

  /** Starts cairnd and waits until GetHealth answers. */
  static async start(t: TestContext, options: StartOptions = {}): Promise<Daemon> {
    const daemon = Daemon.spawn(t, options);
    await daemon.ready();
    return daemon;
  }

  /** Starts cairnd and waits for nothing. */
  static spawn(t: TestContext, options: StartOptions = {}): Daemon {
    return new Daemon(t, options);
  }

  private constructor(t: TestContext, options: StartOptions) {
    this.t = t;
    this.stateDir = options.stateDir ?? join(scratch(t), "state");
    this.options = { ...options, stateDir: this.stateDir };
    const config = `${this.stateDir}.toml`;
    if (options.config !== undefined || !existsSync(config)) writeFileSync(config, configText(options));
    const words = [config, "--state-dir", this.stateDir, "--log-format", "json", ...(options.args ?? [])];
    this.child = spawn(process.execPath, [join(root, "src/runtime/main.ts"), ...words], {
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.exited = once(this.child, "exit").then(([code, signal]) => ({ code, signal }));
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      createInterface({ input: stream }).on("line", (line) => {
        if (line.startsWith('{"level"')) this.log.push(JSON.parse(line));
        else this.noise += `${line}\n`;
      });
    }
    finallyDo(t, async () => {
      this.child.kill("SIGKILL");
      await this.exited;
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  get socket(): string {
    return join(this.stateDir, "grpc.sock");
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Port of the first BGP listener. */
  get bgpPort(): number {
    return this.bgpPorts[0];
  }

  get bgpPorts(): number[] {
    const ready = this.log.find((line) => line.msg === "ready");
    return ready.bgp.split(",").map((text: string) => Number(text.slice(text.lastIndexOf(":") + 1)));
  }

  async ready(): Promise<void> {
    for (let tries = 0; ; tries++) {
      const answer = await this.call("ControlService/GetHealth").catch(() => undefined);
      if (answer?.healthy && this.log.some((line) => line.msg === "ready")) return;
      if (!this.running || tries > 1_000)
        throw new Error(`cairnd is not ready:\n${this.noise}${this.logText()}`);
      await delay(10);
    }
  }

  logText(): string {
    return this.log.map((line) => line.msg).join("\n");
  }

  /** A unary RPC over the Connect protocol with JSON and HTTP/1.1. @throws CallError */
  async call(rpc: string, request: Json = {}): Promise<Json> {
    const response = await this.post(rpc, "application/json", Buffer.from(JSON.stringify(request)));
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString() || "{}");
    if (response.statusCode !== 200) throw new CallError(body);
    return body;
  }

  /** The error of a call that must be refused. */
  async refused(rpc: string, request: Json = {}): Promise<CallError> {
    try {
      await this.call(rpc, request);
    } catch (error) {
      if (error instanceof CallError) return error;
      throw error;
    }
    throw new Error(`${rpc} was not refused`);
  }

  /** A streaming RPC: JSON messages as they come; ends with the stream, or cancels it when the loop is left. */
  async *stream(rpc: string, ...requests: Json[]): AsyncGenerator<Json, void, undefined> {
    const body = Buffer.concat(requests.map((request) => envelope(request)));
    const response = await this.post(rpc, "application/connect+json", body);
    let rest = Buffer.alloc(0);
    try {
      for await (const chunk of response) {
        rest = Buffer.concat([rest, chunk as Buffer]);
        while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
          const end = 5 + rest.readUInt32BE(1);
          const message = JSON.parse(rest.subarray(5, end).toString());
          const last = (rest[0] & 2) !== 0;
          rest = rest.subarray(end);
          if (last && message.error) throw new CallError(message.error);
          if (last) return;
          yield message;
        }
      }
    } finally {
      response.destroy();
    }
  }

  private async post(rpc: string, type: string, body: Buffer): Promise<http.IncomingMessage> {
    const path = `/${rpc.includes(".") ? rpc : `cairn.v1.${rpc}`}`;
    const request = http.request({
      ...{ socketPath: this.socket, path, method: "POST", agent: false },
      headers: { "content-type": type, "content-length": body.length, "connect-protocol-version": "1" },
    });
    request.setTimeout(silenceMs, () => request.destroy(new Error(`${rpc}: no answer for ${silenceMs} ms`)));
    request.end(body);
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    return response;
  }

  /** Runs cairnctl against this daemon. */
  async ctl(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
    const words = [join(root, "src/cli/main.ts"), "-s", `unix://${this.socket}`, ...args];
    return await run(process.execPath, words);
  }

  neighbor(address: string): Promise<Json> {
    return this.call("NeighborService/GetNeighbor", { address }).then((answer) => answer.neighbor);
  }

  /** Prefixes of the best routes, sorted. */
  async best(family = "ipv4-unicast"): Promise<string[]> {
    const { routes } = await this.call("RibService/ListBestRoutes", { family, pageSize: 10_000 });
    return (routes ?? []).map((route: Json) => route.prefix).sort();
  }

  /** Resident memory in MB. */
  rssMb(): number {
    const [, kb] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, "utf8")) ?? [];
    return Number(kb) / 1024;
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Ends it as an operator would, or as a power cut would. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<{ code: number | null; signal: string | null }> {
    this.child.kill(signal);
    return await this.exited;
  }

  /** A new daemon on the same state, once this one has ended. */
  async again(options: StartOptions = {}): Promise<Daemon> {
    await this.exited;
    return await Daemon.start(this.t, { ...this.options, config: undefined, env: {}, ...options });
  }
}

function configText(options: StartOptions): string {
  if (options.wholeFile) return options.config ?? "";
  const listen = JSON.stringify(options.listen ?? ["127.0.0.1:0"]);
  return `[global]\nasn = 65001\nrouter_id = "192.0.2.1"\nlisten = ${listen}\n${options.config ?? ""}\n`;
}

/** One neighbor as TOML. Everything goes both ways unless `keys` says otherwise. */
export function neighborToml(address: string, remoteAsn: number, keys = ""): string {
  const policy = /^(import|export) *=/m.test(keys)
    ? ""
    : 'import = ["accept-all"]\nexport = ["accept-all"]\n';
  return `[[neighbors]]\naddress = "${address}"\nremote_asn = ${remoteAsn}\npassive = true\nidle_hold_time = 0\n${policy}${keys}\n`;
}

function envelope(message: Json): Buffer {
  const json = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(json.length, 1);
  return Buffer.concat([head, json]);
}

/** Runs a program to its end. */
export function run(
  file: string,
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, NO_COLOR: "1", ...options.env };
    execFile(file, args, { env, cwd: options.cwd, maxBuffer: 1 << 26 }, (error, out, err) => {
      resolve({ code: error ? Number(error.code ?? -1) : 0, out, err });
    });
  });
}

/** Waits until `check` answers with something, at most `ms`. */
export async function until<T>(
  what: string,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  ms = 5_000,
): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false) return value as T;
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await delay(10);
  }
}
