/** A host that cairnd owns: a namespace with two links, seen through iproute2 and driven through cairnctl. */
import path from "node:path";
import { type Daemon, type Exit, type Lab, type Namespace, pause } from "../lib/lab.ts";
import { call } from "../lib/rpc.ts";

const bin = path.join(import.meta.dirname, "../../bin");

/** What the kernel holds of the classes that cairn writes, as sorted lines. Link-local addresses come by themselves. */
export interface KernelState {
  readonly links: readonly string[];
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
  readonly forwarding: string;
}

export class Host {
  readonly lab: Lab;
  readonly namespace: Namespace;
  readonly daemon: Daemon;
  readonly #socket: string;

  private constructor(
    lab: Lab,
    namespace: Namespace,
    prefix: readonly string[],
    env: Record<string, string> = {},
    config?: string,
  ) {
    this.lab = lab;
    this.namespace = namespace;
    const state = path.join(lab.folder, "state");
    this.#socket = `unix://${state}/grpc.sock`;
    const command = [...prefix, `${bin}/cairnd`, "--state-dir", state, "--dataplane", "linux"];
    if (config !== undefined) command.push(config);
    this.daemon = lab.daemon(namespace, "cairnd", command, env);
  }

  /** A host whose namespace has its links already. @param env for the daemon, beside the suite's own; its file */
  static in(lab: Lab, namespace: Namespace, env: Record<string, string> = {}, config?: string): Host {
    return new Host(lab, namespace, [], env, config);
  }

  /** @param prefix a command that starts the daemon with less than all capabilities */
  static async open(lab: Lab, prefix: readonly string[] = []): Promise<Host> {
    const namespace = await lab.namespace("host");
    const host = new Host(lab, namespace, prefix);
    for (const device of ["eth0", "eth1"]) {
      await host.ip("link", "add", device, "type", "veth", "peer", "name", `far-${device}`);
      await host.ip("link", "set", `far-${device}`, "up");
    }
    await host.ip("link", "set", "eth0", "up");
    await host.ip("address", "add", "192.0.2.2/24", "dev", "eth0");
    // Somebody else's, which must never change.
    await host.ip("route", "add", "203.0.113.0/24", "via", "192.0.2.9", "proto", "static");
    await host.ip("address", "add", "192.0.2.3/24", "dev", "eth0");
    return host;
  }

  async start(): Promise<void> {
    await this.daemon.start();
    for (let tries = 0; ; tries++) {
      const { code, stderr } = await this.try("health");
      if (code === 0) return;
      if (!this.daemon.running) throw new Error(`cairnd ended:\n${this.daemon.log.slice(-2000)}`);
      if (tries > 150) throw new Error(`cairnd does not answer: ${stderr}`);
      await pause(50);
    }
  }

  try(...args: readonly string[]): Promise<Exit> {
    return this.lab.try(this.namespace, [`${bin}/cairnctl`, "-s", this.#socket, ...args]);
  }

  async cli(...args: readonly string[]): Promise<string> {
    return this.lab.in(this.namespace, [`${bin}/cairnctl`, "-s", this.#socket, ...args]);
  }

  /** One call of the API. @throws Error with what the daemon said */
  rpc<T>(method: string, message: unknown): Promise<T> {
    return call<T>(this.#socket.slice("unix://".length), method, message);
  }

  /** The objects of a file as one transaction. @param prune what of these kinds the file lacks goes */
  async apply(text: string, prune = false): Promise<void> {
    const source = { file: { name: "objects.yaml", content: text, prune } };
    await this.rpc("ConfigService/Apply", { source });
  }

  /** Sum of a counter over its labels, or of those with this label: `outcome="done"`. */
  async metric(name: string, label = ""): Promise<number> {
    const { text } = await this.rpc<{ text: string }>("ControlService/GetMetrics", {});
    return text
      .split("\n")
      .filter((line) => (line.startsWith(`${name} `) || line.startsWith(`${name}{`)) && line.includes(label))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }

  async ip(...args: readonly string[]): Promise<string> {
    return this.lab.in(this.namespace, ["ip", ...args]);
  }

  /** KIND/NAME and phase of every object of these kinds. */
  async phases(kinds: readonly string[]): Promise<Record<string, string>> {
    const reasons = Object.entries(await this.reasons(kinds));
    return Object.fromEntries(reasons.map(([id, text]) => [id, text.split(" ")[0]]));
  }

  /** The same with the reason behind a space. */
  async reasons(kinds: readonly string[]): Promise<Record<string, string>> {
    const reasons: Record<string, string> = {};
    for (const kind of kinds) {
      const request = { kind, pageSize: 10_000 };
      const { resources = [] } = await this.rpc<{ resources?: Listed[] }>(
        "ResourceService/ListResources",
        request,
      );
      for (const { metadata, status } of resources) {
        const phase = status.phase.replace("RESOURCE_PHASE_", "").toLowerCase();
        reasons[`${kind}/${metadata.name}`] = `${phase} ${status.reason ?? ""}`;
      }
    }
    return reasons;
  }

  async kernel(): Promise<KernelState> {
    const links = JSON.parse(await this.ip("-j", "-d", "link")) as LinkJson[];
    const addresses = JSON.parse(await this.ip("-j", "address")) as AddressJson[];
    const routes = (await this.ip("-4", "route", "show", "table", "all")) + (await this.ip("-6", "route"));
    const { stdout } = await this.lab.try(this.namespace, ["cat", "/proc/sys/net/ipv4/ip_forward"]);
    return {
      links: links
        .map((link) => {
          const kind = link.linkinfo?.info_kind ?? "";
          const up = link.flags.includes("UP") ? "up" : "down";
          return `${link.ifname} ${kind} mtu ${link.mtu} ${up} ${link.master ?? ""}`.trim();
        })
        .sort(),
      addresses: addresses
        .flatMap(({ ifname, addr_info }) =>
          addr_info
            .filter(({ local }) => !local.startsWith("fe80"))
            .map(({ local, prefixlen }) => `${ifname} ${local}/${prefixlen}`),
        )
        .sort(),
      routes: routes
        .replace(/\n\s+/g, " ")
        .split("\n")
        .map((line) =>
          line
            .trim()
            .replace(/ pref medium| linkdown/g, "")
            .replace(/\s+/g, " "),
        )
        .filter((line) => / proto (67|static)\b/.test(line))
        .sort(),
      forwarding: stdout.trim(),
    };
  }
}

interface Listed {
  readonly metadata: { readonly name: string };
  readonly status: { readonly phase: string; readonly reason?: string };
}

interface LinkJson {
  readonly ifname: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly master?: string;
  readonly linkinfo?: { readonly info_kind?: string };
}

interface AddressJson {
  readonly ifname: string;
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[];
}
