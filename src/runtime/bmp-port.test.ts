/** Connections to collectors over real sockets: plain, with TLS, to the wrong one, and to nobody. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import tls from "node:tls";
import type { BmpInput } from "../state/bmp-inputs.ts";
import type { ClientTls } from "../state/client-tls.ts";
import { BmpPort } from "./bmp-port.ts";

const skip =
  spawnSync("openssl", ["version"]).status !== 0 && "openssl is not installed: no certificates to test with";
const folder = mkdtempSync(join(tmpdir(), "cairn-bmp-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A port whose inputs can be waited for. */
class Station {
  readonly inputs: BmpInput[] = [];
  private wake: () => void = () => {};
  readonly port = new BmpPort((input) => {
    this.inputs.push(input);
    this.wake();
  });

  async next<K extends BmpInput["kind"]>(kind: K): Promise<Extract<BmpInput, { kind: K }>> {
    for (;;) {
      const at = this.inputs.findIndex((input) => input.kind === kind);
      if (at >= 0) return this.inputs.splice(at, 1)[0] as Extract<BmpInput, { kind: K }>;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.wake = resolve;
      await promise;
    }
  }

  connect(port: number, secure?: Partial<ClientTls>): void {
    const none = { ca: "", cert: "", key: "", serverName: "collector.test" };
    this.port.apply({
      ...{ kind: "bmp.connect", conn: 1, host: "127.0.0.1", port, localAddress: "" },
      tls: secure && { ...none, ...secure },
    });
  }
}

function portOf(server: net.Server): number {
  return (server.address() as net.AddressInfo).port;
}

async function talk(station: Station, server: net.Server): Promise<void> {
  const heard = Promise.withResolvers<string>();
  server.on(server instanceof tls.Server ? "secureConnection" : "connection", (socket: net.Socket) => {
    let text = "";
    socket.on("data", (data) => {
      text += data;
    });
    socket.on("end", () => heard.resolve(text));
    socket.write("you should not hear this");
  });
  const { systemName, systemDescription } = await station.next("bmp.connected");
  assert.notEqual(systemName, "");
  assert.match(systemDescription, /^cairn /);
  station.port.apply({ kind: "bmp.send", conn: 1, bytes: Buffer.from("abc") });
  station.port.apply({ kind: "bmp.send", conn: 1, bytes: Buffer.from("def") });
  let queued = 1;
  while (queued > 0) ({ queued } = await station.next("bmp.sent"));
  assert.equal((await station.next("bmp.bytes")).count, 24);
  station.port.apply({ kind: "bmp.close", conn: 1, abort: false });
  assert.equal(await heard.promise, "abcdef");
  server.close();
}

test("bytes go out, are counted when the kernel has them, and a close waits for them", async () => {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const station = new Station();
  station.connect(portOf(server));
  await talk(station, server);
});

test("an attempt that fails is told of, with its reason", async () => {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  server.close();
  await once(server, "close");
  const station = new Station();
  station.connect(port);
  assert.equal((await station.next("bmp.closed")).error, "ECONNREFUSED");
  station.connect(port, { ca: join(folder, "none.pem") });
  assert.match((await station.next("bmp.closed")).error ?? "", /none\.pem/);
});

test("with TLS the collector's name is checked, and our certificate is shown", { skip }, async () => {
  const openssl = (...args: string[]): void =>
    void execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
  const subject = "/CN=collector.test";
  openssl(
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
    ...[
      "-subj",
      subject,
      "-addext",
      "subjectAltName=DNS:collector.test",
      "-keyout",
      "key.pem",
      "-out",
      "cert.pem",
    ],
  );
  const [cert, key] = ["cert.pem", "key.pem"].map((name) => join(folder, name));
  const files = { cert: readFileSync(cert), key: readFileSync(key) };
  const server = tls.createServer({ ...files, ca: files.cert, requestCert: true, rejectUnauthorized: true });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const other = new Station();
  other.connect(portOf(server), { ca: cert, serverName: "other.test" });
  assert.match((await other.next("bmp.closed")).error ?? "", /other\.test|ALTNAME/);
  const station = new Station();
  station.connect(portOf(server), { ca: cert, cert, key });
  await talk(station, server);
});
