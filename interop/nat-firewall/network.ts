/**
 * A client inside, a server outside, and between them a host that cairnd owns: link0 leads to the client, link1 to the
 * server. Servers answer with the address that they see.
 */
import { createConnection } from "node:net";
import path from "node:path";
import { Host } from "../dataplane/host.ts";
import { type Daemon, type Exit, Lab, type Namespace, pause } from "../lib/lab.ts";

export const inside = {
  host: "10.0.0.1",
  client: "10.0.0.5",
  host6: "2001:db8:1::1",
  client6: "2001:db8:1::5",
};
export const outside = {
  host: "203.0.113.1",
  server: "203.0.113.9",
  private: "192.168.9.9",
  host6: "2001:db8:f::1",
  server6: "2001:db8:f::9",
};

/**
 * Answers on its port with the address of whoever connects, and on the next with the number of bytes that it got. What
 * comes to its Unix socket it does itself: a process for each connection would cost more than all the rest.
 */
const program = `
const net = require("node:net");
const dgram = require("node:dgram");
const port = Number(process.argv[1]);
const plain = (address) => String(address).replace("::ffff:", "");
net.createServer((socket) => { socket.on("error", () => {}); socket.end(plain(socket.remoteAddress) + "\\n"); })
  .listen(port, "::");
net.createServer({ allowHalfOpen: true }, (socket) => {
  let bytes = 0;
  socket.on("data", (part) => { bytes += part.length; });
  socket.on("end", () => socket.end(bytes + "\\n"));
  socket.on("error", () => {});
}).listen(port + 1, "::");
const held = [];
const does = {
  connect({ address, port, source }, answer) {
    let text = "";
    const s = net.connect({ host: address, port, timeout: 1500, ...(source && { localAddress: source }) });
    s.on("data", (d) => { text += d; }).on("error", (e) => answer(e.code)).on("close", () => answer(text.trim()))
      .on("timeout", () => { answer(text.trim() || "timeout"); s.destroy(); });
  },
  hold({ address, port }, answer) {
    const s = net.connect({ host: address, port });
    held.push(s.resume());
    s.on("connect", () => answer(s.localPort)).on("error", (e) => answer(e.code));
  },
  burst({ address, port, count }, answer) {
    const s = dgram.createSocket(address.includes(":") ? "udp6" : "udp4");
    let left = count;
    const next = () => (left-- > 0 ? s.send("x", port, address, next) : answer(s.close() && count));
    next();
  },
};
net.createServer((c) => {
  let text = "";
  c.on("data", (d) => {
    text += d;
    if (!text.endsWith("\\n")) return;
    const { does: what, ...request } = JSON.parse(text);
    let said = false;
    does[what](request, (answer) => {
      if (!said) c.end(JSON.stringify(answer));
      said = true;
    });
  });
}).listen(process.argv[2], () => console.log("ready"));
`;

/** Sends until it gets a line on its input, and prints how many bytes it sent and how many the other side counted. */
const stream = `
const net = require("node:net");
const [host, port, ms] = process.argv.slice(1);
const socket = net.connect({ host, port: Number(port) });
let sent = 0;
let answer = "";
const block = Buffer.alloc(16384);
const until = Date.now() + Number(ms);
const timer = setInterval(() => {
  if (Date.now() > until) { clearInterval(timer); socket.end(); return; }
  if (socket.writableLength < 1 << 20) { socket.write(block); sent += block.length; }
}, 2);
socket.on("data", (part) => { answer += part; });
socket.on("close", () => { console.log(JSON.stringify({ sent, counted: Number(answer) })); });
socket.on("error", (error) => { console.log(JSON.stringify({ error: error.code })); process.exit(1); });
`;

function socketOf(whom: string): string {
  return `${whom}.sock`;
}

export class Network {
  readonly host: Host;
  readonly #lab: Lab;
  readonly #client: Namespace;
  readonly #server: Namespace;

  private constructor(lab: Lab, host: Host, client: Namespace, server: Namespace) {
    this.#lab = lab;
    this.host = host;
    this.#client = client;
    this.#server = server;
  }

  /** @param config for cairnd, a file of the lab */
  static async open(lab: Lab, config?: string): Promise<Network> {
    const [router, client, server] = [
      await lab.namespace("host"),
      await lab.namespace("client"),
      await lab.namespace("server"),
    ];
    await lab.link(router, [`${inside.host}/24`, `${inside.host6}/64`], client, [
      `${inside.client}/24`,
      "10.0.0.6/24",
      `${inside.client6}/64`,
    ]);
    await lab.link(router, [`${outside.host}/24`, `${outside.host6}/64`], server, [
      `${outside.server}/24`,
      `${outside.private}/24`,
      `${outside.server6}/64`,
    ]);
    const network = new Network(lab, Host.in(lab, router, {}, config), client, server);
    const ip = (namespace: Namespace, ...args: string[]): Promise<string> =>
      lab.in(namespace, ["ip", ...args]);
    await ip(client, "route", "add", "default", "via", inside.host);
    await ip(client, "-6", "route", "add", "default", "via", inside.host6);
    await ip(server, "-6", "route", "add", "2001:db8:1::/64", "via", outside.host6);
    // Flows that are not translated are answered as well.
    await ip(server, "route", "add", "10.0.0.0/24", "via", outside.host);
    await ip(router, "route", "add", "192.168.9.0/24", "dev", "link1");
    await network.serve("server", server, 8000);
    await network.serve("client", client, 80);
    return network;
  }

  private async serve(name: string, namespace: Namespace, port: number): Promise<void> {
    const daemon = this.#lab.daemon(namespace, `${name}-${port}`, [
      process.execPath,
      "-e",
      program,
      String(port),
      socketOf(name),
    ]);
    await daemon.start();
    for (let tries = 0; !daemon.log.includes("ready"); tries++) {
      if (tries > 200) throw new Error(`no server in ${name}: ${daemon.log}`);
      await pause(20);
    }
  }

  /**
   * Connects from inside or outside, with time for a second SYN.
   * @returns the address that the server saw, or why there was no connection
   */
  async connect(from: "client" | "server", address: string, port: number, source = ""): Promise<string> {
    return String(await this.#ask(from, { does: "connect", address, port, source }));
  }

  /** Opens a connection and keeps it. @returns its own port */
  async hold(from: "client" | "server", address: string, port: number): Promise<number> {
    return Number(await this.#ask(from, { does: "hold", address, port }));
  }

  /** Sends so many datagrams one after the other. */
  async burst(from: "client" | "server", address: string, port: number, count: number): Promise<void> {
    await this.#ask(from, { does: "burst", address, port, count });
  }

  async #ask(whom: "client" | "server", request: object): Promise<unknown> {
    const socket = createConnection(path.join(this.#lab.folder, socketOf(whom)));
    socket.setEncoding("utf8");
    socket.write(`${JSON.stringify(request)}\n`);
    let text = "";
    for await (const part of socket) text += part;
    return JSON.parse(text);
  }

  /** Runs a command with the client or the server. */
  beside(whom: "client" | "server", ...command: readonly string[]): Promise<Exit> {
    return this.#lab.try(whom === "client" ? this.#client : this.#server, command);
  }

  /** Datagrams from the client, a hundred a second. */
  async datagrams(address: string, port: number, count: number): Promise<void> {
    const script = `
      const socket = require("node:dgram").createSocket("udp4");
      let left = ${count};
      const timer = setInterval(() => {
        if (left-- === 0) { clearInterval(timer); socket.close(); }
        else socket.send("cairn", ${port}, "${address}", () => {});
      }, 10);`;
    await this.#lab.in(this.#client, [process.execPath, "-e", script]);
  }

  /** A stream from the client to the server, which ends by itself. Its log says what became of it. */
  async stream(ms: number): Promise<Daemon> {
    const args = [process.execPath, "-e", stream, outside.server, "8001", String(ms)];
    const daemon = this.#lab.daemon(this.#client, "stream", args);
    await daemon.start();
    return daemon;
  }

  /** Packets that rules of cairn's have dropped on their way through the host. */
  async dropped(): Promise<number> {
    const rules = await this.nft("list", "chain", "inet", "cairn", "forward");
    const counts = [...rules.matchAll(/counter packets (\d+) bytes \d+ drop/g)];
    if (counts.length === 0) throw new Error(`nothing counts what is dropped:\n${rules}`);
    return counts.reduce((sum, [, count]) => sum + Number(count), 0);
  }

  nft(...args: readonly string[]): Promise<string> {
    return this.#lab.in(this.host.namespace, ["nft", ...args]);
  }

  /** All tables but cairn's, as nft prints them with handles and counters. */
  async foreign(): Promise<string> {
    const tables = (await this.nft("list", "tables"))
      .split("\n")
      .map((line) => line.replace("table ", "").trim());
    const others = tables.filter((table) => table !== "" && table !== "inet cairn");
    return (
      await Promise.all(others.map((table) => this.nft("-a", "list", "table", ...table.split(" "))))
    ).join("");
  }
}

/** @param configure writes a configuration for cairnd into the lab, and answers with its path */
export async function withNetwork(
  folder: string,
  body: (network: Network) => Promise<void>,
  configure?: (lab: Lab) => string,
): Promise<void> {
  const lab = new Lab(folder);
  try {
    await body(await Network.open(lab, configure?.(lab)));
  } finally {
    await lab.close();
  }
}
