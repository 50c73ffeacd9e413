/**
 * A client inside, a server outside, and between them a host that cairnd owns: link0 leads to the client, link1 to the
 * server. Servers answer with the address that they see.
 */
import { Host } from "../dataplane/host.ts";
import { type Daemon, Lab, type Namespace, pause } from "../lib/lab.ts";

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

/** Answers on its port with the address of whoever connects, and on the next with the number of bytes that it got. */
const program = `
const net = require("node:net");
const port = Number(process.argv[1]);
const plain = (address) => String(address).replace("::ffff:", "");
net.createServer((socket) => { socket.on("error", () => {}); socket.end(plain(socket.remoteAddress) + "\\n"); })
  .listen(port, "::");
net.createServer({ allowHalfOpen: true }, (socket) => {
  let bytes = 0;
  socket.on("data", (part) => { bytes += part.length; });
  socket.on("end", () => socket.end(bytes + "\\n"));
  socket.on("error", () => {});
}).listen(port + 1, "::", () => console.log("ready"));
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

  static async open(lab: Lab): Promise<Network> {
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
    const network = new Network(lab, Host.in(lab, router), client, server);
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
    const namespace = from === "client" ? this.#client : this.#server;
    const bind = source === "" ? "" : `localAddress:"${source}",`;
    const script = `
      const s = require("node:net").connect({${bind}host:"${address}",port:${port},timeout:1500});
      s.on("data", (d) => process.stdout.write(d)).on("error", (e) => console.log(e.code))
        .on("timeout", () => { console.log("timeout"); s.destroy(); });`;
    return (await this.#lab.try(namespace, [process.execPath, "-e", script])).stdout.trim();
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

export async function withNetwork(folder: string, body: (network: Network) => Promise<void>): Promise<void> {
  const lab = new Lab(folder);
  try {
    await body(await Network.open(lab));
  } finally {
    await lab.close();
  }
}
