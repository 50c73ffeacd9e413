/**
 * A scripted BGP speaker: a process inside a namespace that holds sessions, sends what it is told and records what it is
 * sent. `speaker.ts SOCKET` takes one JSON request a line and answers each with one line; see speakers.ts.
 */
import net from "node:net";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import {
  announcement,
  endOfRib,
  message,
  messageType,
  type OpenFields,
  open,
  readUpdate,
  type WireRoute,
  withdrawal,
} from "./wire.ts";

/** Who connects to whom. */
export interface SessionPlan extends OpenFields {
  readonly name: string;
  readonly local: string;
  readonly remote: string;
}

export interface SessionReport {
  readonly established: boolean;
  /** "6/2" of the last NOTIFICATION that came; empty for none. */
  readonly notification: string;
  /** Capabilities of the neighbor's OPEN, code to hexadecimal value; of several values the last. */
  readonly capabilities: Readonly<Record<string, string>>;
  readonly routes: readonly WireRoute[];
  /** UPDATE messages that came, and prefixes that they withdrew. */
  readonly updates: number;
  readonly withdrawn: number;
}

export type SpeakerRequest =
  | ({ readonly op: "open" } & SessionPlan)
  | { readonly op: "announce"; readonly name: string; readonly routes: readonly WireRoute[] }
  | { readonly op: "withdraw"; readonly name: string; readonly prefixes: readonly string[] }
  | { readonly op: "report"; readonly name: string }
  | { readonly op: "close"; readonly name: string };

const retryMs = 200;

class Session {
  readonly #plan: SessionPlan;
  readonly #routes = new Map<string, WireRoute>();
  #socket: net.Socket | undefined;
  #established = false;
  #closed = false;
  #notification = "";
  #capabilities: Record<string, string> = {};
  #updates = 0;
  #withdrawn = 0;
  #keepalives: ReturnType<typeof setInterval> | undefined;

  constructor(plan: SessionPlan) {
    this.#plan = plan;
    this.#connect();
  }

  get report(): SessionReport {
    return {
      established: this.#established,
      notification: this.#notification,
      capabilities: this.#capabilities,
      routes: [...this.#routes.values()],
      updates: this.#updates,
      withdrawn: this.#withdrawn,
    };
  }

  send(messages: readonly Buffer[]): void {
    if (!this.#established) throw new Error(`session ${this.#plan.name} is not established`);
    for (const each of messages) this.#socket!.write(each);
  }

  close(): void {
    this.#closed = true;
    this.#socket?.destroy();
  }

  #connect(): void {
    const { local, remote } = this.#plan;
    const socket = net.connect({ host: remote, port: 179, localAddress: local });
    this.#socket = socket;
    let pending = Buffer.alloc(0);
    socket.on("connect", () => socket.write(open(this.#plan)));
    socket.on("data", (bytes: Buffer) => {
      pending = Buffer.concat([pending, bytes]);
      while (pending.length >= 19 && pending.length >= pending.readUInt16BE(16)) {
        const length = pending.readUInt16BE(16);
        this.#received(pending[18], pending.subarray(19, length));
        pending = pending.subarray(length);
      }
    });
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => {
      clearInterval(this.#keepalives);
      this.#established = false;
      this.#routes.clear();
      if (!this.#closed) setTimeout(() => this.#closed || this.#connect(), retryMs);
    });
  }

  #received(type: number, body: Buffer): void {
    const keepalive = message(messageType.keepalive, Buffer.alloc(0));
    switch (type) {
      case messageType.open:
        this.#capabilities = capabilitiesOf(body);
        this.#socket!.write(keepalive);
        return;
      case messageType.keepalive:
        if (this.#established) return;
        this.#established = true;
        this.#keepalives = setInterval(() => this.#socket!.write(keepalive), 20_000);
        return;
      case messageType.notification:
        this.#notification = `${body[0]}/${body[1]}`;
        return;
      case messageType.update: {
        this.#updates++;
        const { withdrawn, announced } = readUpdate(body);
        this.#withdrawn += withdrawn.length;
        for (const prefix of withdrawn) this.#routes.delete(prefix);
        for (const route of announced) this.#routes.set(route.prefix, route);
      }
    }
  }
}

function capabilitiesOf(body: Buffer): Record<string, string> {
  const found: Record<string, string> = {};
  for (let at = 10; at < body.length; at += 2 + body[at + 1]) {
    if (body[at] !== 2) continue;
    const end = at + 2 + body[at + 1];
    for (let inner = at + 2; inner < end; inner += 2 + body[inner + 1]) {
      found[body[inner]] = body.subarray(inner + 2, inner + 2 + body[inner + 1]).toString("hex");
    }
  }
  return found;
}

/** The routes, and End-of-RIB of each family that they are of: the neighbor may not have the other one. */
function withEnds(routes: readonly WireRoute[]): Buffer[] {
  const ends = [false, true].filter((ipv6) => routes.some(({ prefix }) => prefix.includes(":") === ipv6));
  return [...routes.map(announcement), ...ends.map(endOfRib)];
}

function serve(path: string): void {
  const sessions = new Map<string, Session>();
  const answer = (request: SpeakerRequest): unknown => {
    if (request.op === "open") {
      sessions.get(request.name)?.close();
      sessions.set(request.name, new Session(request));
      return {};
    }
    const session = sessions.get(request.name);
    if (!session) throw new Error(`no session ${request.name}`);
    if (request.op === "announce") session.send(withEnds(request.routes));
    else if (request.op === "withdraw") session.send(request.prefixes.map(withdrawal));
    else if (request.op === "close") session.close();
    else return session.report;
    return {};
  };
  const server = net.createServer((client) => {
    client.on("error", () => {});
    createInterface({ input: client }).on("line", (line) => {
      try {
        client.write(`${JSON.stringify(answer(JSON.parse(line) as SpeakerRequest))}\n`);
      } catch (error) {
        client.write(`${JSON.stringify({ error: (error as Error).message })}\n`);
      }
    });
  });
  server.listen(path);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) serve(process.argv[2]);
