/** A daemon with a configuration that a suite wrote whole. For what every daemon is asked alike, see peer.ts. */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { type Daemon, type Lab, type Namespace, pause } from "./lab.ts";

export type RouterKind = "cairn" | "frr" | "bird" | "gobgp" | "openbgpd";

interface Starter {
  /** Name of the configuration file, whose ending some daemons read. */
  readonly file: string;
  readonly command: (config: string, folder: string, routes: boolean) => readonly string[];
  /** Its command line, put before a command. */
  readonly cli: (folder: string) => readonly string[];
  /** A command that succeeds as soon as it answers. */
  readonly ready: readonly string[];
}

const bin = path.join(import.meta.dirname, "../../bin");

const starters: Readonly<Record<RouterKind, Starter>> = {
  cairn: {
    file: "cairn.yaml",
    command: (config, folder, routes) => [
      ...[`${bin}/cairnd`, config, "--state-dir", `${folder}/state`],
      ...["--dataplane", routes ? "linux" : "none", "--log-level", "info"],
    ],
    cli: (folder) => [`${bin}/cairnctl`, "-s", `unix://${folder}/state/grpc.sock`],
    ready: ["health", "--json"],
  },
  frr: {
    file: "bgpd.conf",
    command: (config, folder) => [
      ...["/usr/lib/frr/bgpd", "-Z", "-S", "-f", config, "-i", `${folder}/bgpd.pid`],
      ...["--vty_socket", folder, "-u", "root", "-g", "root", "-P", "0"],
    ],
    cli: (folder) => ["vtysh", "--vty_socket", folder, "-d", "bgpd", "-c"],
    ready: ["show version"],
  },
  bird: {
    file: "bird.conf",
    command: (config, folder) => [
      ...["bird", "-f", "-c", config, "-s", `${folder}/bird.ctl`, "-P", `${folder}/bird.pid`],
    ],
    cli: (folder) => ["birdc", "-s", `${folder}/bird.ctl`],
    ready: ["show", "status"],
  },
  gobgp: {
    file: "gobgpd.json",
    command: (config) => [
      ...["gobgpd", "-t", "json", "-f", config, "--api-hosts", "127.0.0.1:50051"],
      ...["--pprof-disable", "-p"],
    ],
    cli: () => ["gobgp"],
    ready: ["global"],
  },
  openbgpd: {
    file: "bgpd.conf",
    command: (config) => ["/usr/sbin/bgpd", "-d", "-v", "-f", config],
    cli: (folder) => ["bgpctl", "-s", `${folder}/bgpd.ctl`],
    ready: ["show"],
  },
};

/** FRR's other half, for what ends up in the kernel: bgpd then leaves out -Z. It only runs as the user frr. */
const zebra = {
  program: "/usr/lib/frr/zebra",
  command: (folder: string) => [
    ...["/usr/lib/frr/zebra", "-f", "/dev/null", "-i", `${folder}/zebra.pid`, "-z", `${folder}/zserv.api`],
    ...["--vty_socket", folder, "-u", "frr", "-g", "frr", "-P", "0"],
  ],
  bgpd: (command: readonly string[], folder: string) => [
    ...command.filter((word) => word !== "-Z"),
    ...["-z", `${folder}/zserv.api`],
  ],
};

/** Programs that must be installed. */
export const programsOf: Readonly<Record<RouterKind, readonly string[]>> = {
  cairn: [],
  frr: ["/usr/lib/frr/bgpd", zebra.program, "vtysh"],
  bird: ["bird", "birdc"],
  gobgp: ["gobgpd", "gobgp"],
  openbgpd: ["/usr/sbin/bgpd", "bgpctl"],
};

/** FRR takes seconds of CPU to read a thousand lines, on a busy machine many times as long. */
const startPatienceMs = 60_000;

export class Router {
  readonly kind: RouterKind;
  daemon: Daemon;
  /** Its configuration file. */
  readonly config: string;
  readonly #lab: Lab;
  readonly #namespace: Namespace;
  readonly #folder: string;
  readonly #zebra: Daemon | undefined;
  readonly #routes: boolean;

  /**
   * @param config text of the whole file; for OpenBGPD without `socket`
   * @param more further words on its command line
   * @param routes FRR puts its routes into the kernel of the namespace; FRR and cairn look there for ways to next hops
   */
  constructor(
    lab: Lab,
    namespace: Namespace,
    kind: RouterKind,
    config: string,
    routes = false,
    more: readonly string[] = [],
  ) {
    this.kind = kind;
    this.#lab = lab;
    this.#routes = routes;
    this.#namespace = namespace;
    this.#folder = path.join(lab.folder, namespace.name);
    const starter = starters[kind];
    const socket = kind === "openbgpd" ? `socket "${this.#folder}/bgpd.ctl"\n` : "";
    const file = lab.file(`${namespace.name}/${starter.file}`, socket + config);
    this.config = file;
    chmodSync(this.#folder, 0o755);
    if (kind === "openbgpd") mkdirSync("/run/openbgpd", { recursive: true, mode: 0o755 }); // chroot
    const command = [...starter.command(file, this.#folder, routes), ...more];
    const zebraFolder = `${this.#folder}/zebra`;
    const withZebra = routes && kind === "frr";
    if (withZebra) {
      mkdirSync(zebraFolder, { recursive: true });
      execFileSync("chown", ["frr:frr", zebraFolder]);
    }
    this.#zebra = withZebra
      ? lab.daemon(namespace, `${namespace.name}-zebra`, zebra.command(zebraFolder))
      : undefined;
    const whole = withZebra ? zebra.bgpd(command, zebraFolder) : command;
    this.daemon = lab.daemon(namespace, namespace.name, whole);
  }

  async start(): Promise<void> {
    const { ready } = starters[this.kind];
    await this.#zebra?.start();
    await this.daemon.start();
    const deadline = performance.now() + startPatienceMs;
    for (;;) {
      const { code, stderr, stdout } = this.#mayAnswer()
        ? await this.#lab.try(this.#namespace, this.#command(ready))
        : { code: -1, stderr: "", stdout: "" };
      if (code === 0 && !/unable to connect/i.test(stdout + stderr)) return;
      if (!this.daemon.running) throw new Error(`${this.kind} ended:\n${this.daemon.log.slice(-4000)}`);
      if (performance.now() > deadline) throw new Error(`${this.kind} does not answer: ${stderr}`);
      await pause(100);
    }
  }

  /** Starts it again after its end, with more arguments. */
  async startAgain(...more: readonly string[]): Promise<void> {
    const command = starters[this.kind].command(this.config, this.#folder, this.#routes);
    this.daemon = this.#lab.daemon(this.#namespace, this.#namespace.name, [...command, ...more]);
    await this.start();
  }

  /** Starts it again after its end, without a capability that root has otherwise. */
  async startWithout(capability: string): Promise<void> {
    const command = starters[this.kind].command(this.config, this.#folder, this.#routes);
    const without = ["setpriv", "--bounding-set", `-${capability}`, "--inh-caps", `-${capability}`];
    this.daemon = this.#lab.daemon(this.#namespace, this.#namespace.name, [...without, ...command]);
    await this.start();
  }

  async stop(): Promise<void> {
    await this.daemon.stop();
    await this.#zebra?.stop();
  }

  /** Runs one of the daemon's own commands. FRR's is one word: the whole line. */
  cli(...command: readonly string[]): Promise<string> {
    return this.#lab.in(this.#namespace, this.#command(command));
  }

  /** Writes a file beside its configuration and answers with its path. */
  file(name: string, text: string): string {
    return this.#lab.file(`${this.#namespace.name}/${name}`, text);
  }

  /** Runs a program beside the daemon. */
  inside(...command: readonly string[]): Promise<string> {
    return this.#lab.in(this.#namespace, command);
  }

  /**
   * Hands FRR a configuration while it runs. It commits each line of the file that it starts with by itself, which takes
   * longer with every line, but at once what vtysh reads from a file.
   * @throws Error that names the first line that it does not know
   */
  async loadFrr(config: string): Promise<void> {
    const file = this.#lab.file(`${this.#namespace.name}/loaded.conf`, config);
    const vtysh = ["vtysh", "--vty_socket", this.#folder, "-d", "bgpd", "-f", file];
    await this.#lab.in(this.#namespace, vtysh);
  }

  /** cairnctl takes half a second of CPU to say that there is no socket yet. */
  #mayAnswer(): boolean {
    return this.kind !== "cairn" || existsSync(`${this.#folder}/state/grpc.sock`);
  }

  #command(command: readonly string[]): string[] {
    return [...starters[this.kind].cli(this.#folder), ...command];
  }
}
