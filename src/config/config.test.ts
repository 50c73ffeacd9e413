// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${NAME} is what configuration files hold
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { seededRandom } from "../base/random.ts";
import { AccessClass } from "../gen/cairn/v1/options_pb.ts";
import { kinds } from "../state/kinds.ts";
import { type Config, parseConfig, renderProblems } from "./config.ts";
import { parseDurationMs } from "./decode.ts";

const root = join(import.meta.dirname, "../..");
const samples = ["config/minimal.toml", "config/full.toml", "config/route-server.yaml"].map((file) => ({
  file,
  text: readFileSync(join(root, file), "utf8"),
}));

function parse(text: string, file = "test.toml", env: Record<string, string> = {}): Config {
  const readFile = (path: string, what: string): string =>
    what === "policy" ? readFileSync(join(root, "config", path), "utf8") : `content of ${path}\n`;
  return parseConfig({ text, file, env: (name) => env[name], readFile });
}

/** Kind and JSON of each object. */
const plain = (config: Config): unknown[] =>
  config.objects.map(({ kind, spec }) => [kind, toJson(kinds.get(kind)!.desc, spec)]);

/** `line:column message` of each problem. */
const told = (config: Config): string[] =>
  config.problems.map((problem) => `${problem.line}:${problem.column} ${problem.message}`);

const head = '[global]\nasn = 65001\nrouter_id = "192.0.2.1"\n';

for (const { file, text } of samples) {
  test(`${file} has no problems`, () => {
    const config = parse(text, file);
    assert.equal(renderProblems(config.problems, false), "");
    assert.ok(config.objects.length >= 2);
  });
}

test("config/full.toml names every key there is", () => {
  const { text } = samples[1];
  const missing = [...kinds.values()].flatMap((kind) => {
    if (kind.name === "PeerGroup") return []; // its fields are those of neighbors
    return kind.desc.fields
      .map((field) => field.name)
      .filter((name) => !new RegExp(`\\b${name}\\b`).test(text));
  });
  assert.deepEqual(missing, []);
});

test("policy files are part of the file: what is wrong in them is told with their own places", () => {
  const text = `policy_files = ["a.policy", "missing.policy", 7]
[global]
asn = 65001
router_id = "192.0.2.1"
[[policies]]
name = "top"
statements = [{ call = "sub", action = "accept" }, { action = "reject" }]
[[policies.tests]]
name = "nobody gets by"
cases = [
  { given = { prefix = "198.51.100.0/24" }, expect = "accept" },
]
`;
  const sub = "policy sub {\n  if prefix in nets then accept;\n  default reject;\n}\n";
  const parsed = (policy: string, file: string, content: string): Config =>
    parseConfig({
      text: content,
      file,
      env: () => undefined,
      readFile: (path) => {
        if (path !== "a.policy") throw new Error("no such file");
        return policy;
      },
    });
  const places = (problems: Config["problems"]): string[] =>
    problems.map(({ file, line, column, message }) => `${file}:${line}:${column} ${message}`);
  const broken = parsed("policy sub { if prefx then accept; }", "etc/x.toml", text);
  assert.deepEqual(places(broken.problems), [
    "etc/x.toml:1:29 missing.policy cannot be read: no such file",
    "etc/x.toml:1:47 must be a text, not a number",
    'etc/a.policy:1:17 "prefx" is not a condition: did you mean prefix?',
  ]);
  const good = text.replace(', "missing.policy", 7', "");
  const unknown = parsed(sub, "x.toml", good);
  assert.deepEqual(places(unknown.problems), ["a.policy:2:16 there is no PrefixSet nets"]);
  const config = parsed(`prefix-set nets { 10.0.0.0/8+; }\n${sub}`, "x.toml", good);
  assert.equal(renderProblems(config.problems, false), "");
  assert.deepEqual(
    config.objects.map(({ kind }) => kind),
    ["Global", "Policy", "Policy", "PrefixSet"],
  );
  assert.deepEqual(places(config.failedTests), [
    'x.toml:11:3 test "nobody gets by", 198.51.100.0/24: it was rejected by policy sub, default action',
  ]);
  assert.deepEqual(places(config.warnings), [
    "x.toml:7:40 policy sub decides every route, so this action never does",
    "x.toml:7:52 no route gets here: statement 1 takes them all",
  ]);
});

test("TOML and YAML of the same objects are equal", () => {
  const toml = `${head}
[[neighbors]]
address = "2001:DB8::2"
remote_asn = 65002
hold_time = "1m30s"
families = ["ipv4-unicast", "ipv6-unicast"]
remove_private_as = "replace"
import = ["in"]
[[neighbors.prefix_limits]]
family = "ipv4-unicast"
max = 10
action = "restart"
[peer_groups.g]
passive = true
[[prefix_sets]]
name = "s"
prefixes = ["10.0.0.0/8+", "10.0.0.0/8 ge 9 le 24", { prefix = "192.0.2.0/24", ge = 25 }]
[[resources]]
apiVersion = "net.cairn/v1alpha1"
kind = "Policy"
metadata = { name = "in" }
spec = { default_action = "accept" }
[telemetry]
metrics = "127.0.0.1:9179"
`;
  const yaml = `
global: { asn: 65001, router_id: 192.0.2.1 }
telemetry: { metrics: "127.0.0.1:9179" }
neighbors:
  - address: 2001:db8:0::2
    remote_asn: 65002
    hold_time: 90
    families: &both [ipv4-unicast, ipv6-unicast]
    remove_private_as: REMOVE_PRIVATE_AS_REPLACE
    import: [in]
    prefix_limits:
      - { family: ipv4-unicast, max: 10, action: restart }
peer_groups:
  - { name: g, passive: true }
---
apiVersion: net.cairn/v1alpha1
kind: Policy
metadata: { name: in }
spec: { default_action: accept }
---
apiVersion: net.cairn/v1alpha1
kind: PrefixSet
metadata: { name: s }
spec:
  prefixes:
    - { prefix: 10.0.0.0/8, le: 32 }
    - 10.0.0.0/8 ge 9 le 24
    - 192.0.2.0/24 ge 25
`;
  const a = parse(toml);
  const b = parse(yaml, "test.yaml");
  assert.deepEqual([told(a), told(b)], [[], []]);
  assert.deepEqual(plain(a), plain(b));
  assert.deepEqual(a.settings, b.settings);
});

test("every problem is told at its place, with a hint", () => {
  const text = `${head}hold_tme = 3
[[neighbors]]
address = "198.51.100.2"
hold_time = 2
import = ["acept-all"]
[[neighbors]]
address = "198.51.100.2"
remote_asn = "1"
[[prefix_sets]]
name = "x"
prefixes = ["10.0.0.1/8"]
[neighbours]
`;
  const config = parse(text);
  assert.deepEqual(told(config), [
    '4:1 unknown key "hold_tme"',
    "5:3 remote_asn is missing",
    "7:13 hold_time must be 0 or at least 3 seconds (RFC 4271 4.2)",
    "8:11 there is no Policy acept-all",
    "10:11 Neighbor/198.51.100.2 is declared a second time",
    "11:14 must be a number, not a text",
    '14:13 "10.0.0.1/8" has host bits set',
    '15:2 unknown key "neighbours"',
  ]);
  assert.equal(
    renderProblems(config.problems.slice(0, 1), false),
    'test.toml:4:1: error: unknown key "hold_tme"\n  4 | hold_tme = 3\n    | ^^^^^^^^ did you mean hold_time\n',
  );
  assert.ok(renderProblems(config.problems, true).includes("\u001b[1;31m"));
});

test("syntax errors have the parser's words and a place", () => {
  assert.deepEqual(told(parse("[global\nasn = 1")).length, 1);
  assert.match(told(parse("[global]\nasn = ")).join(), /^2:\d+ not valid TOML/);
  assert.match(told(parse("global: [1", "x.yaml")).join(), /not valid YAML/);
  assert.match(told(parse(`a = ${"[".repeat(50_000)}`)).join(), /not valid TOML/);
  assert.match(told(parse(`a: ${"[".repeat(50_000)}`, "x.yml")).join(), /not valid YAML/);
  const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"];
  for (let i = 0; i < 8; i++)
    bomb.push(`${"bcdefghi"[i]}: &${"bcdefghi"[i]} [${`*${"abcdefgh"[i]},`.repeat(9)}]`);
  assert.match(told(parse(bomb.join("\n"), "x.yaml")).join(), /not valid YAML/);
});

test("the environment fills in texts and numbers; what is not set is a problem", () => {
  const text = '[global]\nasn = "${ASN}"\nrouter_id = "${ID}"\nname = "$${ID}"\n';
  const config = parse(text, "test.toml", { ASN: "65001", ID: "192.0.2.1" });
  assert.deepEqual(plain(config), [["Global", { asn: 65001, routerId: "192.0.2.1", name: "${ID}" }]]);
  assert.match(
    told(parse(text, "test.toml", { ASN: "65001" })).join(),
    /3:13 the environment variable ID is not set/,
  );
});

test("API listeners: mutual TLS whole or refused, plaintext on loopback only", () => {
  const tcp = (lines: string) => parse(`[[api.tcp]]\n${lines}\n`);
  const good = tcp('listen = "[::1]:50051"\nplaintext = true\naccess = "read_only"\ntoken_file = "/t"');
  assert.deepEqual(told(good), []);
  assert.deepEqual(good.settings.api.tcp[0], {
    host: "::1",
    port: 50051,
    access: AccessClass.READ,
    plaintext: true,
    cert: undefined,
    key: undefined,
    clientCa: undefined,
    tokenFile: "/t",
    roles: [],
  });
  const mtls = tcp(
    'listen = "192.0.2.1:1"\ncert = "c"\nkey = "k"\nclient_ca = "a"\nroles = { "x.example" = "operate" }',
  );
  assert.deepEqual(told(mtls), []);
  assert.deepEqual(mtls.settings.api.tcp[0].roles, [{ san: "DNS:x.example", access: AccessClass.OPERATE }]);
  const refused = [
    'listen = "192.0.2.1:1"\nplaintext = true',
    'listen = "127.0.0.1:1"',
    'listen = "127.0.0.1:1"\ncert = "c"\nkey = "k"',
    'listen = "127.0.0.1:1"\nplaintext = true\ncert = "c"',
    'listen = "127.0.0.1:1"\nplaintext = true\nroles = { a = "read" }',
    'listen = "localhost:1"\nplaintext = true',
    "plaintext = true",
    'listen = "127.0.0.1:1"\nplaintext = true\naccess = "root"',
  ];
  for (const lines of refused) assert.equal(tcp(lines).problems.length, 1, lines);
});

test("names of certificates in roles: bare ones get their kind, others are refused", () => {
  const roles = (name: string) =>
    parse(
      `[[api.tcp]]\nlisten = "192.0.2.1:1"\ncert = "c"\nkey = "k"\nclient_ca = "a"\nroles = { "${name}" = "read" }\n`,
    );
  const cases = {
    "noc.example": "DNS:noc.example",
    "DNS:noc.example": "DNS:noc.example",
    "spiffe://example/viewer": "URI:spiffe://example/viewer",
    "noc@example": "email:noc@example",
    "CN:noc of example": "CN:noc of example",
  };
  for (const [name, san] of Object.entries(cases)) {
    assert.deepEqual(roles(name).settings.api.tcp[0].roles, [{ san, access: AccessClass.READ }], name);
  }
  for (const name of ["", "dns:noc.example", "IP:192.0.2.1", "two words", "URI:"]) {
    assert.match(told(roles(name)).join(), /is no name in a certificate/, name);
  }
});

test("durations", () => {
  const cases: [string, number | undefined][] = [
    ["90s", 90_000],
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["500ms", 500],
    ["1.5s", 1500],
    ["90", undefined],
    ["-1s", undefined],
    ["", undefined],
    ["1 h", undefined],
  ];
  for (const [text, ms] of cases) assert.equal(parseDurationMs(text), ms, text);
});

test("keys that name objects win over names like those of Object", () => {
  for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    for (const text of [
      `[${key}]\nx = 1`,
      `[api]\n${key} = 1`,
      `[[neighbors]]\n${key} = 1`,
      `[peer_groups.${key}]\n`,
      `[[neighbors]]\naddress="192.0.2.1"\nremove_private_as="${key}"`,
    ]) {
      assert.doesNotThrow(() => parse(text), text);
    }
  }
});

test("200 mutated files: objects or problems with a place, never an exception", () => {
  const random = seededRandom(20_261_121);
  const pick = (n: number): number => Math.floor(random() * n);
  let whole = 0;
  for (let i = 0; i < 200; i++) {
    const { file, text } = samples[i % samples.length];
    const other = samples[pick(samples.length)].text.split("\n");
    let mutated = text;
    for (let rounds = 1 + pick(4); rounds > 0; rounds--) mutated = mutate(mutated, other, pick);
    let config: Config;
    try {
      config = parse(mutated, file);
    } catch (error) {
      assert.fail(`round ${i} of ${file} threw ${error instanceof Error ? error.stack : error}\n${mutated}`);
    }
    const lines = mutated.split("\n");
    if (config.problems.length === 0) whole++;
    else assert.equal(config.objects.length, 0, "objects beside problems");
    for (const problem of config.problems) {
      if (problem.file === file) assert.equal(problem.sourceLine, lines[problem.line - 1].replace(/\r$/, ""));
      assert.ok(problem.line >= 1, `line ${problem.line}`);
      assert.ok(
        problem.column >= 1 && problem.column <= [...problem.sourceLine].length + 3,
        `column ${problem.column}`,
      );
      assert.ok(problem.message.length > 3);
      assert.doesNotMatch(problem.message, /\n|\bat .*\.ts:/);
    }
    const shown = renderProblems(config.problems, false);
    assert.equal(shown.split(": error: ").length - 1 >= config.problems.length, true);
  }
  assert.ok(whole > 10 && whole < 190, `${whole} of 200 were still whole`);
});

function mutate(text: string, other: readonly string[], pick: (n: number) => number): string {
  const lines = text.split("\n");
  const at = pick(lines.length);
  const column = pick(Math.max(1, lines[at].length));
  const line = lines[at];
  switch (pick(8)) {
    case 0:
      lines.splice(at, 1 + pick(3));
      break;
    case 1:
      lines.splice(at, 0, line);
      break;
    case 2:
      lines[at] = line.slice(0, column) + line.slice(column + 1);
      break;
    case 3:
      lines[at] = line.slice(0, column) + String.fromCharCode(33 + pick(94)) + line.slice(column);
      break;
    case 4:
      lines.splice(at, 0, other[pick(other.length)]);
      break;
    case 5:
      lines[at] =
        line.slice(0, column) +
        String.fromCodePoint([0, 7, 0x2028, 0xfeff, 0xd800, 0x1f600, 0x200b][pick(7)]) +
        line.slice(column + 1);
      break;
    case 6:
      lines[at] = line.replace(/\d+/, () => ["-1", "99999999999999999999", "1e400", "0x", "nan"][pick(5)]);
      break;
    default:
      return text.slice(0, pick(text.length)) + text.slice(pick(text.length));
  }
  return lines.join("\n");
}

const template = join(process.env.CAIRN_SHARED ?? join(root, "../shared"), "bench/cairn.toml.tmpl");

test("the benchmark's template parses", {
  skip: existsSync(template) ? false : `${template} is missing`,
}, () => {
  const text = readFileSync(template, "utf8")
    .replace(/^#if (evpn|v6|addpath)\n[\s\S]*?^#end\n/gm, "")
    .replace(/^#(if|for|end).*$/gm, "")
    .replaceAll("${as}", "65001")
    .replaceAll("${router_id}", "192.0.2.1")
    .replaceAll("${listen}", "127.0.0.1")
    .replaceAll("${port}", "1179")
    .replaceAll("${dir}", "/tmp/x")
    .replaceAll("${peer.addr}", "127.0.0.2")
    .replaceAll("${families}", '"ipv4-unicast"');
  const external = text.replaceAll("${peer.as}", "65002").replace("route_reflector_client = true", "");
  assert.deepEqual(told(parse(external)), []);
  const internal = text.replaceAll("${peer.as}", "65001").replace("route_server_client = true", "");
  assert.deepEqual(told(parse(internal)), []);
});

test("the looking glass: its settings are read, and what is wrong with them is told", () => {
  const section = (text: string): string => `${head}\n[looking_glass]\n${text}`;
  const good = parse(
    section('listen = "[::1]:0"\nallow = ["192.0.2.0/24", "2001:db8::1"]\nrpki_community = "65001:1000"'),
  );
  assert.deepEqual(told(good), []);
  const { allow, ...rest } = good.settings.lookingGlass!;
  assert.deepEqual(
    allow.map(({ bytes, length }) => `${bytes.length} ${length}`),
    ["4 24", "16 128"],
  );
  assert.deepEqual(rest, {
    listen: { host: "::1", port: 0 },
    cacheS: 30,
    ratePerS: 100,
    rejectCommunity: undefined,
    rpkiCommunity: [65001, 1000],
  });
  assert.equal(parse(head).settings.lookingGlass, undefined);
  const bad = section(
    'allow = ["192.0.2.0/33", 7]\ncache_time = 3601\nrate_limit = 0\nreject_community = "1:4294967296"\nlisen = "x"',
  );
  const messages = told(parse(bad)).map((line) => line.replace(/^\S+ /, ""));
  assert.deepEqual(messages, [
    "listen is missing",
    '"33" is not a prefix length from 0 to 32',
    "must be a text, not a number",
    "must be a whole number from 0 to 3600, not 3601",
    "0 would answer nobody",
    '"1:4294967296" is not the start of a large community',
    'unknown key "lisen"',
  ]);
});
