/** examples/docker: built where asked for; otherwise what is copied is enough to run, and the files agree. */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { root, run, scratch } from "../e2e/harness.ts";

const folder = join(root, "examples/docker");
const dockerfile = readFileSync(join(folder, "Dockerfile"), "utf8");

/** COPY of files of the repository: what, and where it goes in /opt/cairn. */
const copies = [...dockerfile.matchAll(/^COPY (?!--from)(.+) (\S+)$/gm)].flatMap(([, from, to]) =>
  from.split(" ").map((source) => ({ source, to })),
);

test("what the image holds is enough to run cairn", { timeout: 60_000 }, async (t) => {
  assert.ok(copies.length > 8);
  const admitted = readFileSync(join(folder, "Dockerfile.dockerignore"), "utf8").match(/(?<=^!).+$/gm) ?? [];
  const opt = join(scratch(t), "cairn");
  mkdirSync(opt);
  const env = { NODE_COMPILE_CACHE: join(opt, "cache") };
  for (const { source, to } of copies) {
    assert.ok(existsSync(join(root, source)), `${source} exists`);
    assert.ok(
      admitted.some((each) => `${source}/`.startsWith(`${each}/`)),
      `.dockerignore admits ${source}`,
    );
    if (to.startsWith("/etc/")) continue;
    const name = to.replace(/^\/opt\/cairn\//, "");
    const target = name.endsWith("/") && source.endsWith("/") ? name : join(name, source.split("/").at(-1)!);
    const filter = (path: string): boolean => !path.endsWith(".test.ts"); // as .dockerignore has it
    cpSync(join(root, source), join(opt, target), { recursive: true, filter });
  }
  for (const name of ["node_modules", "build"]) symlinkSync(join(root, name), join(opt, name));
  const checked = await run(join(opt, "bin/cairnd"), ["--check", join(folder, "cairn.toml")], { env });
  assert.equal(checked.code, 0, checked.out + checked.err);
  const [, health] = /^HEALTHCHECK .* CMD (\[.*\])$/m.exec(dockerfile)!;
  assert.deepEqual(JSON.parse(health), ["cairnctl", "health"]);
  const asked = await run(join(opt, "bin/cairnctl"), ["-s", join(opt, "none.sock"), "health"], { env });
  assert.match(asked.err, /no such socket/, "the command is known, and unhealthy without a daemon");
  assert.notEqual(asked.code, 0);
});

test("the two configurations are mirror images", () => {
  const [cairn, peer] = ["cairn", "peer"].map((name) => {
    return readFileSync(join(folder, `${name}.toml`), "utf8")
      .split("\n")
      .slice(1)
      .join("\n");
  });
  const mirror: Readonly<Record<string, string>> = {
    "65001": "65002",
    "65002": "65001",
    "192.0.2.1": "192.0.2.2",
    "172.31.79.12": "172.31.79.11",
  };
  assert.equal(
    peer,
    cairn.replace(/65001|65002|192\.0\.2\.1|172\.31\.79\.12/g, (text) => mirror[text]),
  );
});

test("compose.yaml agrees with the configurations", () => {
  const compose = parse(readFileSync(join(folder, "compose.yaml"), "utf8"), { merge: true });
  for (const [name, other] of [
    ["cairn", "peer"],
    ["peer", "cairn"],
  ]) {
    const { build, networks, volumes } = compose.services[name];
    assert.ok(existsSync(join(folder, build.context, build.dockerfile)));
    const config = readFileSync(join(folder, `${other}.toml`), "utf8");
    assert.ok(config.includes('listen = ["0.0.0.0:179"]'), other);
    assert.ok(config.includes(`address = "${networks.lan.ipv4_address}"`), `${other}.toml has ${name}`);
    for (const volume of volumes) {
      const [from, to] = volume.split(":");
      if (from.startsWith("./")) assert.ok(existsSync(join(folder, from)), volume);
      else assert.ok(from in compose.volumes, volume);
      assert.ok(dockerfile.includes(to), `${to} is a path of the image`);
    }
  }
});

test("the image can be built and runs", {
  skip: process.env.CAIRN_DOCKER !== "1" && "needs an engine and the network; CAIRN_DOCKER=1 builds it",
  timeout: 900_000,
}, async () => {
  const words = ["build", "--file", "examples/docker/Dockerfile", "--tag", "cairn", "."];
  const built = await run("docker", words, { cwd: root });
  assert.equal(built.code, 0, built.err);
  const checked = await run("docker", ["run", "--rm", "cairn", "--check", "/etc/cairn/cairn.toml"]);
  assert.equal(checked.code, 0, checked.err);
});
