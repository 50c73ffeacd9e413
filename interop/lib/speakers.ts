/** Scripted speakers as the suites use them: a process in a namespace, driven over its socket. */
import net from "node:net";
import path from "node:path";
import { createInterface, type Interface } from "node:readline";
import { eventually } from "./checks.ts";
import { type Lab, type Namespace, pause } from "./lab.ts";
import type { SessionPlan, SessionReport, SpeakerRequest } from "./speaker.ts";
import type { WireRoute } from "./wire.ts";

export class Speakers {
  readonly #client: net.Socket;
  readonly #lines: Interface;
  readonly #waiting: { resolve: (value: unknown) => void; reject: (error: Error) => void }[] = [];

  private constructor(client: net.Socket) {
    this.#client = client;
    this.#lines = createInterface({ input: client });
    this.#lines.on("line", (line) => {
      const answer = JSON.parse(line) as { error?: string };
      const { resolve, reject } = this.#waiting.shift()!;
      if (answer.error) reject(new Error(answer.error));
      else resolve(answer);
    });
    client.on("error", () => {}); // the next request says so
  }

  static async start(lab: Lab, namespace: Namespace): Promise<Speakers> {
    const socket = path.join(lab.folder, `speaker-${namespace.name}.sock`);
    const program = path.join(import.meta.dirname, "speaker.ts");
    const daemon = lab.daemon(namespace, `speaker-${namespace.name}`, [process.execPath, program, socket]);
    await daemon.start();
    for (let tries = 0; ; tries++) {
      const client = net.connect(socket);
      const connected = await new Promise<boolean>((resolve) => {
        client.once("connect", () => resolve(true));
        client.once("error", () => resolve(false));
      });
      if (connected) return new Speakers(client);
      if (!daemon.running || tries > 100) throw new Error(`the speaker does not answer:\n${daemon.log}`);
      await pause(50);
    }
  }

  close(): void {
    this.#client.destroy();
  }

  async open(plan: SessionPlan): Promise<void> {
    await this.#ask({ op: "open", ...plan });
  }

  async announce(name: string, routes: readonly WireRoute[]): Promise<void> {
    await this.#ask({ op: "announce", name, routes });
  }

  async withdraw(name: string, prefixes: readonly string[]): Promise<void> {
    await this.#ask({ op: "withdraw", name, prefixes });
  }

  /** Ends the session; it does not connect again. */
  async end(name: string): Promise<void> {
    await this.#ask({ op: "close", name });
  }

  report(name: string): Promise<SessionReport> {
    return this.#ask({ op: "report", name }) as Promise<SessionReport>;
  }

  /** Everything recorded of a session, sorted by prefix. */
  async routes(name: string): Promise<WireRoute[]> {
    const { routes } = await this.report(name);
    return [...routes].sort((a, b) => (a.prefix < b.prefix ? -1 : 1));
  }

  async established(name: string, withinMs?: number): Promise<void> {
    await eventually(
      `session ${name} is established`,
      true,
      async () => (await this.report(name)).established,
      withinMs,
    );
  }

  #ask(request: SpeakerRequest): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#client.write(`${JSON.stringify(request)}\n`);
    });
  }
}
