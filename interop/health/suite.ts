/**
 * Health checks with real probes: a host with two links, behind each of which the same addresses answer. Routes prefer the
 * first link, so whatever learns that the second one is dead has truly left by it.
 */
import { execFileSync } from "node:child_process";
import path from "node:path";
import { Host } from "../dataplane/host.ts";
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { Lab, type Namespace } from "../lib/lab.ts";

const node = path.join(import.meta.dirname, "../../node_modules/.bin/node");
const servers = path.join(import.meta.dirname, "servers.ts");
const far4 = "203.0.113.1";
const far6 = "2001:db8:f::1";
/** Packets of the policy rules: from this address, or with this mark, by the second link. */
const ruled = { source: "10.99.0.1", mark: 7 };

type Spec = Readonly<Record<string, unknown>>;

const probes: Readonly<Record<string, Spec>> = {
  icmp4: { targets: [far4] },
  icmp6: { targets: [far6] },
  tcp: { targets: [far4], protocol: "tcp", port: 80 },
  tcp6: { targets: [far6], protocol: "tcp" },
  dns: {
    targets: [far4],
    protocol: "dns",
    dns: { name: "example.com", type: "A", answer: "192.0.2.53" },
  },
  http: { targets: [far6], protocol: "http", http: { body: "all is well", statuses: ["200"] } },
  https: { targets: [far4], protocol: "https", http: { host: "far.example" } },
};

interface Listed {
  readonly metadata: { readonly name: string };
  readonly status?: {
    readonly phase: string;
    readonly reason?: string;
    readonly values?: Record<string, string>;
  };
}

interface World {
  readonly lab: Lab;
  readonly host: Host;
  readonly cert: string;
  /** Behind the links link0 and link1. */
  readonly far: readonly [Namespace, Namespace];
}

export async function healthChecks(checks: Checks, folder: string): Promise<void> {
  await withWorld(folder, async ({ lab, host, far, cert }) => {
    await host.start();
    const timing = { interval: "1s", timeout: "0.9s", fall: 2 };
    const over = (name: string, more: Spec): [string, Spec][] =>
      Object.entries(probes).map(([probe, spec]) => [
        `${probe}-${name}`,
        {
          ...spec,
          ...more,
          ...timing,
          ...(probe === "https" && { http: { host: "far.example", ca: cert } }),
        },
      ]);
    const [first, second] = [over("first", { interface: "a" }), over("second", { interface: "b" })];
    const byRule: [string, Spec][] = [
      ["from-source", { ...probes.tcp, source: ruled.source, ...timing }],
      ["with-mark", { ...probes.icmp4, mark: ruled.mark, ...timing }],
      ["with-mark-http", { ...probes.http, targets: [far4], mark: ruled.mark, ...timing }],
    ];
    const unbound: [string, Spec][] = [["unbound", { ...probes.icmp4, ...timing }]];
    const slow: [string, Spec][] = [["slow", { ...probes.icmp4, interface: "b", interval: "30s" }]];
    const all = [...first, ...second, ...byRule, ...unbound, ...slow];
    const expect = (dead: readonly (readonly [string, Spec])[]): Record<string, string> =>
      Object.fromEntries(
        all.map(([name]) => [name, dead.some(([each]) => each === name) ? "unhealthy" : "healthy"]),
      );
    await host.cli("apply", "-f", lab.file("checks.yaml", yaml(all)));
    await checks.check("each kind of probe is answered over both links", () =>
      eventually("health", expect([]), () => states(host)),
    );
    await checks.check(
      "a link that is dead without a word is seen by what is bound to it, and by nothing else",
      async () => {
        await silence(lab, far[1], true);
        await eventually("health", expect([...second, ...byRule]), () => states(host));
      },
    );
    await checks.check("and by the others when it is the other link", async () => {
      await silence(lab, far[1], false);
      await silence(lab, far[0], true);
      await eventually("health", expect([...first, ...unbound]), () => states(host));
      await silence(lab, far[0], false);
      await eventually("health after that", expect([]), () => states(host));
    });
    await checks.check("a link that goes down is unhealthy at once, however long the interval", async () => {
      // The other end: what is done to ours would be put right.
      await lab.in(far[1], ["ip", "link", "set", "link1", "down"]);
      await eventually("reason", "LINK_DOWN", () => reasonOf(host, "slow"));
      await lab.in(far[1], ["ip", "link", "set", "link1", "up"]);
      await lab.in(far[1], ["ip", "address", "replace", "2001:db8:1::2/64", "dev", "link1", "nodad"]);
      await lab.in(far[1], ["ip", "route", "replace", `${ruled.source}/32`, "via", "192.0.3.1"]);
      await eventually("health", expect([]), () => states(host));
    });
    await checks.check("a check of a link that is not there waits, and goes on when it comes", async () => {
      const late: [string, Spec][] = [["late", { targets: ["10.50.0.2"], interface: "late", ...timing }]];
      const link = { kind: "Interface", name: "late", spec: { ifname: "late0" } };
      await host.cli("apply", "-f", lab.file("late.yaml", `${object(link)}\n---\n${yaml(late)}`));
      await eventually("state", "pending DEVICE_MISSING unknown", () => standing(host, "late"));
      await host.ip(
        "link",
        "add",
        "late0",
        "type",
        "veth",
        "peer",
        "name",
        "late1",
        "netns",
        String(far[0].pid),
      );
      await lab.in(far[0], ["ip", "address", "add", "10.50.0.2/24", "dev", "late1"]);
      await lab.in(far[0], ["ip", "link", "set", "late1", "up"]);
      await host.ip("address", "add", "10.50.0.1/24", "dev", "late0");
      await host.ip("link", "set", "late0", "up");
      await eventually("state", "applied healthy", () => standing(host, "late"));
      await host.ip("link", "del", "late0");
      await eventually("state", "pending DEVICE_MISSING unknown", () => standing(host, "late"));
    });
    await checks.check("what is answered otherwise than expected says so", async () => {
      const wrong: Readonly<Record<string, readonly [Spec, string]>> = {
        status: [{ ...probes.http, http: { path: "/sick" } }, "HTTP_STATUS"],
        body: [{ ...probes.http, http: { body: "all is lost" } }, "HTTP_BODY"],
        answer: [
          { ...probes.dns, dns: { name: "example.com", type: "A", answer: "192.0.2.54" } },
          "DNS_ANSWER",
        ],
        nobody: [{ ...probes.dns, dns: { name: "nobody.example", type: "A" } }, "DNS_NXDOMAIN"],
        port: [{ ...probes.tcp, port: 81 }, "ECONNREFUSED"],
        dnsport: [{ ...probes.dns, port: 5353 }, "ECONNREFUSED"],
        untrusted: [probes.https, "DEPTH_ZERO_SELF_SIGNED_CERT"],
        route: [{ targets: ["198.51.100.7"] }, "EHOSTUNREACH"],
        source: [{ ...probes.tcp, source: "192.0.2.99" }, "SOURCE_MISSING"],
      };
      const specs = Object.entries(wrong).map(([name, [spec]]): [string, Spec] => [
        `wrong-${name}`,
        { ...spec, interval: "3s", fall: 1 },
      ]);
      await host.ip("route", "add", "unreachable", "198.51.100.0/24");
      await host.cli("apply", "-f", lab.file("wrong.yaml", yaml(specs)));
      const reasons = Object.fromEntries(Object.entries(wrong).map(([name, [, reason]]) => [name, reason]));
      await eventually(
        "reasons",
        reasons,
        async () => {
          const found: Record<string, string> = {};
          for (const name of Object.keys(wrong)) found[name] = await reasonOf(host, `wrong-${name}`);
          return found;
        },
        60_000,
      );
    });
    await checks.check("after kill -9 nothing is known before it was probed", async () => {
      // What will not answer within the patience of this check: three failures are an hour away.
      const dead: [string, Spec][] = [["dead", { targets: ["192.0.2.78"], interval: "0.2s", fall: 3 }]];
      await host.cli("apply", "-f", lab.file("dead.yaml", yaml(dead)));
      await eventually("before", "unhealthy", () => stateOf(host, "dead"));
      const rare: [string, Spec][] = [["dead", { targets: ["192.0.2.78"], interval: "1200s", fall: 3 }]];
      await host.cli("apply", "-f", lab.file("rare.yaml", yaml(rare)));
      equal("settings alone change nothing", "unhealthy", await stateOf(host, "dead"));
      await host.daemon.kill();
      await host.start();
      equal("after the restart", "unknown", await stateOf(host, "dead"));
      await eventually("the others", "healthy", () => stateOf(host, "icmp4-first"));
    });
    await checks.check("changes are events, and metrics tell of each check", async () => {
      const { stdout } = await host.try("events", "--topic", "cairn.health.check.*", "--json");
      const topics = new Set([...stdout.matchAll(/"cairn\.health\.check\.(\w+)"/g)].map(([, word]) => word));
      equal("topics", ["healthy", "unhealthy", "unknown"], [...topics].sort());
    });
  });
}

/** Without capabilities: what needs none works, and the rest says what is missing. */
export async function withoutCapabilities(checks: Checks, folder: string): Promise<void> {
  const drop = ["setpriv", "--bounding-set=-net_admin,-net_raw", "--inh-caps=-net_admin,-net_raw"];
  const lab = new Lab(folder);
  try {
    const host = await Host.open(lab, drop);
    const cert = certificate(lab);
    await serve(lab, host.namespace, "own", cert, "192.0.2.2");
    await host.start();
    const specs: [string, Spec][] = [
      ["icmp", { targets: ["192.0.2.2"], interval: "0.5s" }],
      ["marked", { targets: ["192.0.2.2"], protocol: "tcp", port: 80, mark: 7, interval: "0.5s" }],
      ["tcp", { targets: ["192.0.2.2"], protocol: "tcp", port: 80, interval: "0.5s" }],
      ["dns", { targets: ["192.0.2.2"], protocol: "dns", interval: "0.5s" }],
    ];
    await host.cli("apply", "-f", lab.file("checks.yaml", yaml(specs)));
    await checks.check("each check says which capability it lacks, or works", async () => {
      const said = async (): Promise<Record<string, string>> => {
        const found: Record<string, string> = {};
        for (const [name] of specs)
          found[name] = (await host.cli("explain", `HealthCheck/${name}`)).split(/\n| within/)[0].trim();
        return found;
      };
      const expected = {
        icmp: "HealthCheck/icmp is failed: cairnd needs the capability CAP_NET_RAW for icmp probes",
        marked: "HealthCheck/marked is failed: cairnd needs the capability CAP_NET_ADMIN to mark packets",
        tcp: "HealthCheck/tcp is applied: answered",
        dns: "HealthCheck/dns is applied: answered",
      };
      await eventually("explanations", expected, said);
    });
    await checks.check("ping sockets need none, where the system allows them", async () => {
      const range = "/proc/sys/net/ipv4/ping_group_range";
      await lab.in(host.namespace, ["sh", "-c", `echo '0 0' > ${range}`]);
      await eventually("state", "healthy", () => stateOf(host, "icmp"));
    });
  } finally {
    await lab.close();
  }
}

async function withWorld(folder: string, body: (world: World) => Promise<void>): Promise<void> {
  const lab = new Lab(folder);
  try {
    const here = await lab.namespace("host");
    const far = [await lab.namespace("far-a"), await lab.namespace("far-b")] as const;
    const cert = certificate(lab);
    for (const [i, there] of far.entries()) {
      await lab.link(here, [`192.0.${2 + i}.1/24`, `2001:db8:${i}::1/64`], there, [
        `192.0.${2 + i}.2/24`,
        `2001:db8:${i}::2/64`,
      ]);
      await lab.in(there, ["ip", "address", "add", `${far4}/32`, "dev", "lo"]);
      await lab.in(there, ["ip", "address", "add", `${far6}/128`, "dev", "lo", "nodad"]);
      await lab.in(there, ["ip", "route", "add", `${ruled.source}/32`, "via", `192.0.${2 + i}.1`]);
      await serve(lab, there, `servers-${i}`, cert, far4);
    }
    const host = Host.in(lab, here);
    await host.ip("address", "add", `${ruled.source}/32`, "dev", "lo");
    await host.ip("route", "add", far4, "via", "192.0.2.2", "metric", "10");
    await host.ip("-6", "route", "add", far6, "via", "2001:db8:0::2", "metric", "10");
    await secondRoutes(host);
    await host.ip("rule", "add", "from", ruled.source, "lookup", "100");
    await host.ip("rule", "add", "fwmark", String(ruled.mark), "lookup", "100");
    const path = "/proc/sys/net/ipv4/conf";
    for (const name of ["all", "link0", "link1"])
      await lab.in(here, ["sh", "-c", `echo 0 > ${path}/${name}/rp_filter`]);
    await body({ lab, host, far, cert });
  } finally {
    await lab.close();
  }
}

/** Ways over the second link, which go with it. */
async function secondRoutes(host: Host): Promise<void> {
  await host.ip("route", "replace", far4, "via", "192.0.3.2", "metric", "20");
  await host.ip("route", "replace", far4, "via", "192.0.3.2", "table", "100");
  await host.ip("-6", "route", "replace", far6, "via", "2001:db8:1::2", "metric", "20");
}

/** For all kinds of probes; a name in it is checked. */
function certificate(lab: Lab): string {
  const cert = path.join(lab.folder, "cert.pem");
  execFileSync(
    "openssl",
    [
      ...[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
      ],
      ...["-subj", "/CN=far.example", "-addext", "subjectAltName=DNS:far.example"],
      ...["-keyout", path.join(lab.folder, "key.pem"), "-out", cert],
    ],
    { stdio: "ignore" },
  );
  return cert;
}

async function serve(lab: Lab, namespace: Namespace, name: string, cert: string, dns: string): Promise<void> {
  const key = path.join(lab.folder, "key.pem");
  const daemon = lab.daemon(namespace, name, [node, servers, cert, key, dns]);
  await daemon.start();
  await eventually(`${name} listen`, "ready", async () => daemon.log.trim());
}

/** Nothing that comes from the host is answered any more, and nothing says so. */
async function silence(lab: Lab, namespace: Namespace, isSilent: boolean): Promise<void> {
  if (!isSilent) {
    await lab.in(namespace, ["nft", "delete", "table", "inet", "silence"]);
    return;
  }
  await lab.in(namespace, [
    "nft",
    "add table inet silence; add chain inet silence in { type filter hook prerouting priority -300; }; " +
      "add rule inet silence in meta l4proto { icmp, tcp, udp } drop; " +
      "add rule inet silence in icmpv6 type echo-request drop",
  ]);
}

const interfaces: Readonly<Record<string, string>> = { a: "link0", b: "link1" };

function object({ kind, name, spec }: { kind: string; name: string; spec: Spec }): string {
  return JSON.stringify({ apiVersion: "net.cairn/v1alpha1", kind, metadata: { name }, spec });
}

function yaml(specs: readonly (readonly [string, Spec])[]): string {
  const used = Object.entries(interfaces).filter(([name]) =>
    specs.some(([, spec]) => spec.interface === name),
  );
  return [
    ...used.map(([name, ifname]) => object({ kind: "Interface", name, spec: { ifname } })),
    ...specs.map(([name, spec]) => object({ kind: "HealthCheck", name, spec })),
  ].join("\n---\n");
}

async function listed(host: Host): Promise<readonly Listed[]> {
  const answer = JSON.parse(await host.cli("get", "HealthCheck", "--json")) as { resources?: Listed[] };
  return answer.resources ?? [];
}

async function states(host: Host): Promise<Record<string, string>> {
  return Object.fromEntries(
    (await listed(host)).map(({ metadata, status }) => [metadata.name, status?.values?.state ?? ""]),
  );
}

async function find(host: Host, name: string): Promise<Listed["status"]> {
  return (await listed(host)).find(({ metadata }) => metadata.name === name)?.status;
}

async function stateOf(host: Host, name: string): Promise<string> {
  return (await find(host, name))?.values?.state ?? "";
}

async function reasonOf(host: Host, name: string): Promise<string> {
  return (await find(host, name))?.reason ?? "";
}

async function standing(host: Host, name: string): Promise<string> {
  const status = await find(host, name);
  const phase = status?.phase.replace("RESOURCE_PHASE_", "").toLowerCase();
  return [phase, status?.reason, status?.values?.state].filter((each) => each).join(" ");
}
