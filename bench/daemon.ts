/** cairnd as the device under test: started on loopback, without root, and looked at from outside through /proc. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export const root: string = join(import.meta.dirname, "..");
/** AS of the daemon under test. */
export const dutAs = 65_000;
/** AS of the first neighbor; the others follow. */
export const firstPeerAs = 100_001;

export interface PeerOptions {
  readonly address: string;
  readonly asn: number;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Added to the configuration file. */
  readonly more?: string;
  /** Puts a database into the state directory before the start. */
  readonly prepare?: (stateDir: string, bgpPort: number) => void;
}

export class CairnDaemon {
  readonly port: number;
  readonly socket: string;
  /** Seconds from start until the BGP port took a connection. */
  listenS = 0;
  /** Seconds from start until the API took one, which it does last. */
  readyS = 0;
  private spawnedMs = 0;
  private readonly dir: string;
  private readonly child: ChildProcess;

  private constructor(port: number, peers: readonly PeerOptions[], start: StartOptions) {
    const { env, more = "", prepare } = start;
    this.port = port;
    this.dir = mkdtempSync(join(tmpdir(), "cairn-bench-"));
    this.socket = join(this.dir, "grpc.sock");
    const config = join(this.dir, "cairn.toml");
    const state = join(this.dir, "state");
    writeFileSync(config, configText(port, this.socket, peers) + more);
    prepare?.(state, port);
    this.spawnedMs = performance.now();
    const options = ["--state-dir", state, "--dataplane", "none", "--log-level", "error"];
    this.child = spawn(join(root, "bin/cairnd"), [config, ...options], {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, ...env },
      cwd: this.dir,
    });
  }

  static async start(peers: readonly PeerOptions[], start: StartOptions = {}): Promise<CairnDaemon> {
    const daemon = new CairnDaemon(await freePort(), peers, start);
    const since = (): number => (performance.now() - daemon.spawnedMs) / 1000;
    const until = async (answers: () => Promise<boolean>): Promise<void> => {
      while (!(await answers())) {
        if (daemon.child.exitCode !== null) throw new Error("cairnd did not start");
        await delay(2);
      }
    };
    await until(() => accepts({ port: daemon.port, host: "127.0.0.1" }));
    daemon.listenS = since();
    await until(() => accepts({ path: daemon.socket }));
    daemon.readyS = since();
    return daemon;
  }

  /** A unary RPC over the Connect protocol with JSON. */
  async call(rpc: string): Promise<void> {
    await callUnix(this.socket, rpc);
  }

  /** Directory of the run; files that the daemon writes to its working directory are here. */
  get directory(): string {
    return this.dir;
  }

  /** Resident memory now and at most, in MB. */
  memory(): { rssMb: number; peakMb: number } {
    const status = readFileSync(`/proc/${this.child.pid}/status`, "utf8");
    const mb = (name: string): number =>
      Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) / 1024;
    return { rssMb: mb("VmRSS"), peakMb: mb("VmHWM") };
  }

  /** CPU seconds of all threads. */
  cpuS(): number {
    const { all } = this.cpuByThread();
    return all;
  }

  /** CPU seconds of all threads, and of the owner's among them. */
  cpuByThread(): { readonly all: number; readonly owner: number } {
    let all = 0;
    let owner = 0;
    for (const task of readdirSync(`/proc/${this.child.pid}/task`)) {
      const text = readFileSync(`/proc/${this.child.pid}/task/${task}/schedstat`, "utf8");
      const seconds = Number(text.split(" ")[0]) / 1e9;
      all += seconds;
      if (Number(task) === this.child.pid) owner = seconds;
    }
    return { all, owner };
  }

  /** Ends the daemon and removes what it wrote, after `collect` has looked at it. */
  async stop(collect: (directory: string) => void = () => {}): Promise<void> {
    if (this.child.exitCode === null) {
      const gone = once(this.child, "exit");
      this.child.kill("SIGTERM");
      const late = setTimeout(() => this.child.kill("SIGKILL"), 10_000);
      await gone;
      clearTimeout(late);
    }
    collect(this.dir);
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

function configText(port: number, socket: string, peers: readonly PeerOptions[]): string {
  const head = `[global]
asn = ${dutAs}
router_id = "10.99.0.1"
listen = ["127.0.0.1:${port}"]

[api]
unix_socket = "${socket}"
`;
  const neighbors = peers.map(
    ({ address, asn }) => `
[[neighbors]]
address = "${address}"
remote_asn = ${asn}
passive = true
hold_time = 240
families = ["ipv4-unicast"]
import = ["accept-all"]
export = ["accept-all"]
next_hop_self = true
`,
  );
  return head + neighbors.join("");
}

/** A unary RPC over a Unix socket. */
export async function callUnix(socketPath: string, rpc: string): Promise<void> {
  const request = http.request({
    ...{ socketPath, path: `/cairn.v1.${rpc}`, method: "POST", agent: false },
    headers: { "content-type": "application/json", "content-length": 2, "connect-protocol-version": "1" },
  });
  request.end("{}");
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  response.resume();
  await once(response, "end");
  if (response.statusCode !== 200) throw new Error(`${rpc} answered ${response.statusCode}`);
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function accepts(to: net.NetConnectOpts): Promise<boolean> {
  const socket = net.connect(to);
  const up = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  });
  socket.destroy();
  return up;
}
