/** Mutual TLS: who gets in, as whom, and certificates that change while we run. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import tls from "node:tls";
import { Code, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { ControlService } from "../gen/cairn/v1/control_service_pb.ts";
import { NeighborService } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { failure, onSockets, scratchDirectory } from "./testing/harness.ts";

const noOpenssl =
  spawnSync("openssl", ["version"]).status !== 0 && "openssl is not installed: no certificates to test with";

/** A certificate authority in a directory. */
class Authority {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
    this.#openssl(
      "req",
      "-x509",
      ...key("ca"),
      "-out",
      "ca.crt",
      "-days",
      "2",
      "-subj",
      "/CN=test authority",
    );
  }

  /** Makes `NAME.crt` and `NAME.key` with this subject alternative name. */
  issue(name: string, san: string): { cert: string; key: string } {
    this.#openssl("req", ...key(name), "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    writeFileSync(this.path(`${name}.ext`), `subjectAltName=${san}\n`);
    const signed = [
      "-CA",
      "ca.crt",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-days",
      "1",
      "-extfile",
      `${name}.ext`,
    ];
    this.#openssl("x509", "-req", "-in", `${name}.csr`, "-out", `${name}.crt`, ...signed);
    return { cert: this.path(`${name}.crt`), key: this.path(`${name}.key`) };
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  #openssl(...args: string[]): void {
    execFileSync("openssl", args, { cwd: this.directory, stdio: "ignore" });
  }
}

function key(name: string): string[] {
  return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", `${name}.key`];
}

async function onTls(t: TestContext) {
  const authority = new Authority(scratchDirectory(t));
  const server = authority.issue("server", "IP:127.0.0.1");
  const { running, ...rest } = await onSockets(
    t,
    [
      {
        kind: "tcp",
        address: "127.0.0.1",
        port: 0,
        certFile: server.cert,
        keyFile: server.key,
        clientCaFile: authority.path("ca.crt"),
        roles: [
          { certificate: "DNS:ops.example", access: "full" },
          { certificate: "URI:spiffe://example/viewer", access: "read_only" },
        ],
      },
    ],
    { routes: 0 },
  );
  const baseUrl = `https://${running.addresses[0]}`;
  const ca = readFileSync(authority.path("ca.crt"));
  const as = (files: { cert: string; key: string } | undefined) => {
    const own = files && { cert: readFileSync(files.cert), key: readFileSync(files.key) };
    return createGrpcTransport({ baseUrl, nodeOptions: { ca, ...own } });
  };
  return { authority, running, baseUrl, ca, as, ...rest };
}

test("a client certificate is needed, and its name decides what is granted", {
  skip: noOpenssl,
}, async (t) => {
  const { authority, as, owner, baseUrl, ca } = await onTls(t);
  const ops = authority.issue("ops", "DNS:ops.example,DNS:other.example");
  const viewer = authority.issue("viewer", "URI:spiffe://example/viewer");
  const stranger = authority.issue("stranger", "DNS:stranger.example");
  const foreign = new Authority(scratchDirectory(t)).issue("ops", "DNS:ops.example");

  await failure(createClient(ControlService, as(undefined)).getHealth({}));
  await failure(createClient(ControlService, as(foreign)).getHealth({}));
  const health = await failure(createClient(ControlService, as(stranger)).getHealth({}));
  assert.equal(health.code, Code.PermissionDenied);
  assert.ok((await createClient(ControlService, as(viewer)).getHealth({})).healthy);
  const denied = await failure(
    createClient(NeighborService, as(viewer)).disableNeighbor({ address: "192.0.2.1" }),
  );
  assert.equal(denied.code, Code.PermissionDenied);
  await createClient(NeighborService, as(ops)).disableNeighbor({ address: "192.0.2.1" });
  assert.deepEqual(
    owner.mutations.map(({ principal }) => principal),
    ["cert:DNS:ops.example"],
  );

  const own = { cert: readFileSync(ops.cert), key: readFileSync(ops.key) };
  const http1 = createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions: { ca, ...own } });
  assert.ok((await createClient(ControlService, http1).getHealth({})).healthy);
});

test("certificates are reloaded; files that do not fit are not", { skip: noOpenssl }, async (t) => {
  const { authority, running, logLines, ca } = await onTls(t);
  const ops = authority.issue("ops", "DNS:ops.example");
  const port = Number(running.addresses[0].split(":")[1]);
  const serial = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const own = { cert: readFileSync(ops.cert), key: readFileSync(ops.key) };
      const socket = tls.connect({ host: "127.0.0.1", port, ca, ...own }, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.on("error", reject);
    });
  const logged = async (level: string): Promise<void> => {
    while (!logLines.some((line) => line.level === level && /changed files/.test(line.message)))
      await pause(5);
  };
  const first = await serial();
  const renewed = authority.issue("renewed", "IP:127.0.0.1");
  writeFileSync(authority.path("server.key"), "not a key");
  await logged("error");
  assert.equal(await serial(), first);
  copyFileSync(renewed.cert, authority.path("server.crt"));
  copyFileSync(renewed.key, authority.path("server.key"));
  await logged("info");
  assert.notEqual(await serial(), first);
});

test("a listener whose files do not fit is refused at the start", { skip: noOpenssl }, async (t) => {
  const authority = new Authority(scratchDirectory(t));
  const one = authority.issue("one", "IP:127.0.0.1");
  const other = authority.issue("other", "IP:127.0.0.1");
  const tcp = { kind: "tcp", address: "127.0.0.1", port: 0, clientCaFile: authority.path("ca.crt") } as const;
  await assert.rejects(onSockets(t, [{ ...tcp, certFile: one.cert, keyFile: other.key }]), /key|KEY/);
  await assert.rejects(
    onSockets(t, [{ ...tcp, certFile: one.cert, keyFile: authority.path("none") }]),
    /ENOENT.*none/,
  );
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
