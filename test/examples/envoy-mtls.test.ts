/** examples/envoy-mtls: who gets how far through a proxy with mutual TLS. HAProxy runs; Envoy's file says the same. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { finallyDo, type Json, root, run } from "../e2e/harness.ts";
import { Example, env, missing, printed, until } from "./rig.ts";

const folder = join(root, "examples/envoy-mtls");

test("examples/envoy-mtls with HAProxy", {
  skip: missing("haproxy", "openssl", "curl"),
  timeout: 120_000,
}, async (t) => {
  const example = await Example.start(t, "envoy-mtls", "router");
  const commands = example.commands();
  await example.run(commands.slice(0, 1)); // certificates

  const config = join(example.copy, "haproxy.local.cfg");
  writeFileSync(config, example.local(readFileSync(join(folder, "haproxy.cfg"), "utf8")));
  const checked = await run("haproxy", ["-c", "-f", config]);
  assert.equal(checked.code, 0, checked.err);
  assert.doesNotMatch(checked.err, /WARNING/);
  const proxy = spawn("haproxy", ["-db", "-f", config], { stdio: "ignore" });
  finallyDo(t, async () => {
    proxy.kill();
    await once(proxy, "exit");
  });
  const url = example.local("https://127.0.0.1:50443");
  await until("the proxy listens", async () => (await run("curl", ["-k", url])).code !== 7);

  const done = await example.run(commands.slice(1));
  assert.match(printed(done, "viewer.key rib"), /198\.51\.100\.0\/24/);
  assert.equal(JSON.parse(printed(done, "curl")).routes.length, 1);

  const as = (who: string): string =>
    example.local(
      `bin/cairnctl -s https://127.0.0.1:50443 --tls-ca /tmp/certs/ca.crt ${who} rib add 192.0.2.0/24`,
    );
  const refused = async (who: string): Promise<string> => {
    const { code, err } = await run("sh", ["-c", as(who)], { cwd: root, env });
    assert.notEqual(code, 0, who);
    return err;
  };
  assert.match(
    await refused("--tls-cert /tmp/certs/viewer.crt --tls-key /tmp/certs/viewer.key"),
    /not granted/,
  );
  assert.match(await refused("--timeout 3s"), /certificate/);
  assert.match(
    await refused("--tls-cert /tmp/certs/server.crt --tls-key /tmp/certs/server.key"),
    /certificate/,
  );
  assert.deepEqual(await example.at("router").best(), ["198.51.100.0/24"]);
});

test("envoy.yaml leads to the same sockets as haproxy.cfg, with the same files", async (t) => {
  const text = readFileSync(join(folder, "envoy.yaml"), "utf8");
  const haproxy = readFileSync(join(folder, "haproxy.cfg"), "utf8");
  const router = readFileSync(join(folder, "router.toml"), "utf8");
  const { listeners, clusters } = parse(text).static_resources;
  const [listener] = listeners;
  const { address, port_value: port } = listener.address.socket_address;
  assert.ok(haproxy.includes(`bind ${address}:${port} ssl `));

  const sockets = Object.fromEntries(
    clusters.map(({ name, load_assignment: { endpoints } }: Json) => {
      return [name, endpoints[0].lb_endpoints[0].endpoint.address.pipe.path];
    }),
  );
  for (const [name, path] of Object.entries(sockets)) {
    assert.match(haproxy, new RegExp(`^backend ${name}\n {2}server cairn unix@${path} proto h2$`, "m"));
    assert.ok(router.includes(`path = "${path}"`), `cairnd has ${path}`);
  }
  const [{ filters, transport_socket: transport }] = listener.filter_chains;
  const { route_config: routes, forward_client_cert_details: header } = filters[0].typed_config;
  assert.equal(header, "SANITIZE_SET", "clients cannot name themselves");
  const { require_client_certificate: required, common_tls_context: tls } = transport.typed_config;
  assert.equal(required, true);
  for (const { filename } of [tls.tls_certificates[0].certificate_chain, tls.validation_context.trusted_ca])
    assert.match(filename, /^\/tmp\/certs\/(server|ca)\.crt$/);

  // The regular expressions match the whole header (RE2 full match).
  const to = (names: string): string | undefined => {
    const [{ routes: all }] = routes.virtual_hosts;
    const taken = all.find(({ match }: Json) => {
      const [condition] = match.headers ?? [];
      return !condition || new RegExp(`^(?:${condition.string_match.safe_regex.regex})$`).test(names);
    });
    return taken.route?.cluster ?? taken.direct_response.status;
  };
  assert.deepEqual(
    [
      "DNS=automation.example",
      "DNS=viewer.example",
      "DNS=a.b;DNS=viewer.example",
      "DNS=automation.example.org",
      "",
    ].map(to),
    ["automation", "viewer", "viewer", 403, 403],
  );

  if (missing("envoy")) return t.diagnostic(`not validated by Envoy itself: ${missing("envoy")}`);
  const validated = await run("envoy", ["--mode", "validate", "--config-path", join(folder, "envoy.yaml")]);
  assert.equal(validated.code, 0, validated.err);
});
