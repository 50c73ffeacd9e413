/** How cairnctl reaches a daemon over TCP: mutual TLS, tokens, and what it says when that fails. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { onSockets, scratchDirectory } from "../../src/services/testing/harness.ts";
import { run } from "./harness.ts";

const noOpenssl = spawnSync("openssl", ["version"]).status !== 0 && "openssl is not installed";

/** ca, server and client certificates in a directory. */
function certificates(directory: string): (name: string) => string {
  const openssl = (...words: string[]) => execFileSync("openssl", words, { cwd: directory, stdio: "ignore" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=ca");
  const names = { server: "IP:127.0.0.1", client: "DNS:operator", other: "IP:127.0.0.9,DNS:cairnd.invalid" };
  for (const [name, san] of Object.entries(names)) {
    writeFileSync(join(directory, "ext"), `subjectAltName=${san}\n`);
    openssl("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    const by = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-extfile", "ext"];
    openssl("x509", "-req", "-in", `${name}.csr`, "-out", `${name}.crt`, ...by);
  }
  return (name) => join(directory, name);
}

test("mutual TLS", { skip: noOpenssl }, async (t) => {
  const path = certificates(scratchDirectory(t));
  const { running } = await onSockets(
    t,
    ["server", "other"].map((name) => ({
      kind: "tcp",
      address: "127.0.0.1",
      port: 0,
      certFile: path(`${name}.crt`),
      keyFile: path(`${name}.key`),
      clientCaFile: path("ca.crt"),
    })),
  );
  const [port, otherPort] = running.addresses.map((text) => /(\d+)$/.exec(text)![1]);
  const address = `https://127.0.0.1:${port}`;
  const own = ["--tls-cert", path("client.crt"), "--tls-key", path("client.key")];
  const all = await run(address, ["health", "--tls-ca", path("ca.crt"), ...own]);
  assert.equal(all.code, 0, all.err);
  const stranger = await run(address, ["health", ...own]);
  assert.equal(stranger.code, 4);
  assert.match(stranger.err, /--tls-ca/);
  const impostor = await run(`https://127.0.0.1:${otherPort}`, [
    "health",
    "--tls-ca",
    path("ca.crt"),
    ...own,
  ]);
  assert.equal(impostor.code, 4, "a certificate for another address");
  const anonymous = await run(address, ["health", "--tls-ca", path("ca.crt")]);
  assert.notEqual(anonymous.code, 0);
  assert.equal((await run(address, ["health", "--tls-cert", path("client.crt")])).code, 2);
  assert.equal((await run(address, ["health", "--tls-ca", "/nonexistent"])).code, 1);
  const plain = await run(`127.0.0.1:${port}`, ["health", "--tls-ca", path("ca.crt")]);
  assert.equal(plain.code, 2);
  assert.match(plain.err, /https:\/\/127\.0\.0\.1/);
});

test("bearer tokens", async (t) => {
  const directory = scratchDirectory(t);
  const tokenFile = join(directory, "tokens");
  const wrong = join(directory, "wrong");
  writeFileSync(tokenFile, "a-long-enough-token-of-the-operator\n", { mode: 0o600 });
  writeFileSync(wrong, "another-token\n", { mode: 0o600 });
  const path = join(directory, "grpc.sock");
  await onSockets(t, [{ kind: "unix", path, tokenFile }]);
  const address = `unix://${path}`;
  const good = await run(address, ["health", "--token-file", tokenFile]);
  assert.equal(good.code, 0, good.err);
  assert.equal((await run(address, ["health"], { env: { CAIRN_TOKEN_FILE: tokenFile } })).code, 0);
  for (const words of [["health"], ["health", "--token-file", wrong]]) {
    const { code, err } = await run(address, words);
    assert.equal(code, 1);
    assert.match(err, /--token-file/);
  }
});

test("a read-only listener refuses changes and says so", async (t) => {
  const path = join(scratchDirectory(t), "grpc.sock");
  await onSockets(t, [{ kind: "unix", path, access: "read_only" }]);
  assert.equal((await run(`unix://${path}`, ["neighbor"])).code, 0);
  const { code, err } = await run(`unix://${path}`, ["neighbor", "delete", "192.0.2.1"]);
  assert.equal(code, 1);
  assert.match(err, /not granted/);
});
