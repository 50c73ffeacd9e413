/** FRR with its BFD daemon: bgpd asks bfdd by way of zebra, so all three run. */
import { chmodSync, readFileSync } from "node:fs";
import path from "node:path";
import { type Daemon, type Lab, type Namespace, pause } from "../lib/lab.ts";

/** Programs that must be installed. */
export const frrPrograms = ["/usr/lib/frr/zebra", "/usr/lib/frr/bfdd", "/usr/lib/frr/bgpd", "vtysh"] as const;

export class FrrWithBfd {
  readonly #lab: Lab;
  readonly #namespace: Namespace;
  readonly #folder: string;
  readonly #daemons: Daemon[];

  /** @param bgp configuration of bgpd. @param bfd of bfdd */
  constructor(lab: Lab, namespace: Namespace, bgp: string, bfd: string) {
    this.#lab = lab;
    this.#namespace = namespace;
    this.#folder = path.join(lab.folder, namespace.name);
    // zebra and bfdd insist on a user of this group; root is to be one here, and nowhere else on the host.
    const text = readFileSync("/etc/group", "utf8").replace(/^(frrvty:.*:)(.*)$/m, "$1root");
    const groups = lab.file(`${namespace.name}/group`, text, 0o644);
    const configs = { zebra: "log stdout\n", bfdd: `log stdout\n${bfd}`, bgpd: bgp };
    this.#daemons = Object.entries(configs).map(([name, text]) => {
      const config = lab.file(`${namespace.name}/${name}.conf`, text);
      const sockets = ["-z", `${this.#folder}/zserv.api`, "--vty_socket", this.#folder];
      const more = name === "bfdd" ? ["--bfdctl", `${this.#folder}/bfdd.sock`] : [];
      return lab.daemon(namespace, `${namespace.name}-${name}`, [
        ...["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/group && exec "$@"', groups],
        ...[`/usr/lib/frr/${name}`, "-f", config, "-i", `${this.#folder}/${name}.pid`],
        ...["-u", "root", "-g", "root", "-P", "0", ...sockets, ...more],
      ]);
    });
    chmodSync(this.#folder, 0o755);
  }

  async start(): Promise<void> {
    for (const daemon of this.#daemons) {
      await daemon.start();
      await pause(300);
    }
    for (let tries = 0; ; tries++) {
      const text = await this.cli("show bfd peers json").catch(() => "");
      if (text.trim().startsWith("[")) return;
      const ended = this.#daemons.find(({ running }) => !running);
      if (ended || tries > 100) throw new Error(`FRR does not answer:\n${ended?.log.slice(-2000) ?? text}`);
      await pause(100);
    }
  }

  /** Lines of one configuration command, or one line that shows something. */
  cli(...lines: readonly string[]): Promise<string> {
    const commands = lines.flatMap((line) => ["-c", line]);
    return this.#lab.in(this.#namespace, ["vtysh", "--vty_socket", this.#folder, ...commands]);
  }
}
