/** The listeners of the configuration file, through the binary: read-only, tokens, mutual TLS with roles, telemetry. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Daemon, neighborToml, root, run, scratch } from "./harness.ts";

const noOpenssl =
  spawnSync("openssl", ["version"]).status !== 0 && "openssl is not installed: no certificates to test with";

test("listeners of the file: read-only, tokens, mutual TLS with roles, telemetry", {
  skip: noOpenssl,
}, async (t) => {
  const directory = scratch(t);
  const file = (name: string): string => join(directory, name);
  certificates(directory, { server: "IP:127.0.0.1", viewer: "DNS:viewer.example", ops: "DNS:ops.example" });
  writeFileSync(file("tokens"), "ci s3cret\n");
  chmodSync(file("tokens"), 0o600);
  const config = `
${neighborToml("127.0.0.2", 65_002)}
[[api.unix]]
path = "${file("ro.sock")}"
access = "read_only"
[[api.tcp]]
listen = "127.0.0.1:0"
plaintext = true
token_file = "${file("tokens")}"
[[api.tcp]]
listen = "127.0.0.1:0"
cert = "${file("server.crt")}"
key = "${file("server.key")}"
client_ca = "${file("ca.crt")}"
roles = { "viewer.example" = "read_only", "DNS:ops.example" = "mutate" }
[telemetry]
metrics = "127.0.0.1:0"
`;
  const daemon = await Daemon.start(t, { config });
  const ready = daemon.log.find(({ msg }) => msg === "ready");
  const [, , plain, secure] = ready.api.split(",");

  writeFileSync(file("token"), "s3cret\n");
  chmodSync(file("token"), 0o600);
  const ctl = async (address: string, ...words: string[]): Promise<string> => {
    const { code, err } = await run(join(root, "bin/cairnctl"), ["-s", address, "--json", ...words]);
    return code === 0 ? "ok" : JSON.parse(err).error.code;
  };
  const as = (name: string): string[] => [
    ...["--tls-ca", file("ca.crt"), "--tls-cert", file(`${name}.crt`), "--tls-key", file(`${name}.key`)],
  ];
  const disable = ["neighbor", "disable", "127.0.0.2"];
  const readOnly = `unix://${file("ro.sock")}`;
  assert.equal(await ctl(readOnly, "neighbor"), "ok");
  assert.equal(await ctl(readOnly, ...disable), "PERMISSION_DENIED");
  assert.equal(await ctl(plain, "neighbor"), "UNAUTHENTICATED");
  assert.equal(await ctl(plain, "neighbor", "--token-file", file("token")), "ok");
  assert.equal(await ctl(`https://${secure}`, "neighbor", ...as("viewer")), "ok");
  assert.equal(await ctl(`https://${secure}`, ...disable, ...as("viewer")), "PERMISSION_DENIED");
  assert.equal(await ctl(`https://${secure}`, "neighbor", "--tls-ca", file("ca.crt")), "NO_CONNECTION");
  assert.equal(await ctl(secure, "neighbor"), "NO_CONNECTION");
  assert.equal((await daemon.call("ControlService/GetHealth")).generation, "1", "nothing was changed so far");
  assert.equal(await ctl(`https://${secure}`, ...disable, ...as("ops")), "ok");

  const get = async (path: string): Promise<[number, string]> => {
    const response = await fetch(`http://${ready.metrics}${path}`);
    return [response.status, await response.text()];
  };
  assert.deepEqual(await get("/livez"), [200, "ok\n"]);
  assert.deepEqual(await get("/readyz"), [200, "ok\n"]);
  assert.match((await get("/metrics"))[1], /^cairn_generation 2$/m);
});

/** An authority, and a certificate it signed for each name. */
function certificates(directory: string, names: Readonly<Record<string, string>>): void {
  const openssl = (...args: string[]): void =>
    void execFileSync("openssl", args, { cwd: directory, stdio: "ignore" });
  const request = (name: string): string[] => [
    ...["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    ...["-keyout", `${name}.key`, "-subj", `/CN=${name}`],
  ];
  openssl(...request("ca"), "-x509", "-out", "ca.crt", "-days", "2");
  for (const [name, san] of Object.entries(names)) {
    openssl(...request(name), "-out", `${name}.csr`);
    writeFileSync(join(directory, `${name}.ext`), `subjectAltName=${san}\n`);
    const signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", `${name}.ext`];
    openssl("x509", "-req", "-in", `${name}.csr`, "-out", `${name}.crt`, "-days", "1", ...signed);
  }
}
