/**
 * What is seen of flows and packets in a real kernel: translations, packets that rules log, the MSS; and what a change may
 * not do: shut out whoever asks for it, or leave rules behind.
 */
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import path from "node:path";
import { Host } from "../dataplane/host.ts";
import { type Checks, equal, eventually } from "../lib/checks.ts";
import { Lab } from "../lib/lab.ts";
import { inside, type Network, outside, withNetwork } from "./network.ts";
import {
  base,
  type Declared,
  declare,
  forward,
  masquerade,
  privateNetworks,
  type Spec,
  yaml,
  zones,
} from "./suite.ts";

interface Translation {
  readonly protocol: string;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly translatedSource: string;
  readonly translatedDestination: string;
  readonly translatedDestinationPort: number;
  readonly state?: string;
  readonly rule?: string;
}

async function translations(network: Network, filter: object): Promise<string[]> {
  const { translations: found = [] } = await network.host.rpc<{ translations?: Translation[] }>(
    "Nat44RuleService/ListTranslations",
    { filter },
  );
  return found.map((flow) => {
    const before = `${flow.source}:${flow.sourcePort} > ${flow.destination}:${flow.destinationPort}`;
    const after = `${flow.translatedSource} > ${flow.translatedDestination}:${flow.translatedDestinationPort}`;
    return `${flow.protocol} ${before} as ${after} ${flow.state ?? ""} by ${flow.rule ?? "none"}`;
  });
}

export async function seesFlows(checks: Checks, folder: string): Promise<void> {
  await withNetwork(folder, async (network) => {
    const { host } = network;
    await host.start();
    await declare(network, [...base, privateNetworks, masquerade, forward]);
    const out = await network.hold("client", outside.server, 8001);
    const hairpin = await network.hold("client", outside.host, 8080);
    const goesOut = `tcp ${inside.client}:${out} > ${outside.server}:8001 as ${outside.host} > ${outside.server}:8001 established by out`;
    const comesBack = `tcp ${inside.client}:${hairpin} > ${outside.host}:8080 as ${inside.host} > ${inside.client}:80 time-wait by web`;
    await checks.check("translations are listed with both ends, state and rule, by filter", async () => {
      equal("by port", [goesOut], await translations(network, { port: 8001 }));
      equal("by rule", [goesOut], await translations(network, { rule: "out", protocol: "tcp" }));
      // The server inside ends its connections at once.
      await eventually("the hairpin", [comesBack], () => translations(network, { rule: "web" }));
      equal("by another address", [], await translations(network, { source: "10.0.0.77" }));
      const flows = await network.host.rpc<{ rules?: { spec: { name: string }; packets?: string }[] }>(
        "Nat44RuleService/ListNat44Rules",
        {},
      );
      equal(
        "rules",
        ["out", "web"],
        flows.rules?.map(({ spec }) => spec.name),
      );
      const counted = async (): Promise<boolean> => /^out .* 1 /m.test(await host.cli("nat"));
      await eventually("counted by the rule", true, counted);
    });
    await checks.check("some are evicted when asked, and the others stay", async () => {
      const evict = (request: object): Promise<object> =>
        host.rpc("Nat44RuleService/EvictTranslations", request);
      const filter = { rule: "web" };
      equal("asked what would go", { left: "1" }, await evict({ filter, dryRun: true }));
      equal("by people", "1 translations evicted", (await host.cli("nat", "evict", "--rule", "web")).trim());
      equal("gone", [], await translations(network, filter));
      equal("the other", [goesOut], await translations(network, { port: 8001 }));
      const { entries = [] } = await host.rpc<{ entries?: { method: string }[] }>(
        "ConfigService/ListAudit",
        {},
      );
      const noted = entries.filter(({ method }) => method.endsWith("/EvictTranslations"));
      equal("in the audit", 1, noted.length);
    });
    await checks.check("the MSS follows the smaller link, both ways", async () => {
      await host.ip("link", "set", "link1", "mtu", "1400");
      const clamped = {
        kind: "FirewallZone",
        name: "outside",
        spec: { interfaces: ["wan"], clamp_mss: true },
      };
      await declare(network, [...base, zones[0], clamped, privateNetworks, masquerade]);
      const port = await network.hold("client", outside.server, 8001);
      // Of 1400 bytes 40 are headers, and 12 are for timestamps.
      const mss = async (whom: "client" | "server", side: string): Promise<string | undefined> => {
        const { stdout } = await network.beside(whom, "ss", "-tinH", side, `:${port}`);
        return /\bmss:(\d+)/.exec(stdout)?.[1];
      };
      await eventually("what the client sends", "1348", () => mss("client", "sport"));
      await eventually("what the server sends", "1348", () => mss("server", "dport"));
      await host.ip("link", "set", "link1", "mtu", "1500");
    });
    await checks.check("what is logged becomes events, and what is too much is counted", async () => {
      const shout: Spec = {
        from_zone: "outside",
        action: "drop",
        protocol: "udp",
        rate_per_s: 1000,
        log: true,
      };
      const rule = { kind: "FirewallRule", name: "shout", spec: shout };
      const policy = { from_zone: "outside", action: "reject", log: true };
      const refuse = { kind: "FirewallPolicy", name: "refuse", spec: policy };
      await declare(network, [...base, ...zones, rule, refuse]);
      await eventually("listening", "", async () => (await logState(network)).failure);
      await network.connect("server", outside.host, 22);
      const logged = {
        ...{ action: "reject", rule: "FirewallPolicy/refuse", zone: "outside", in: "link1", out: "" },
        ...{ protocol: "tcp", source: outside.server, destination: outside.host, destination_port: "22" },
      };
      await eventually("an event", logged, async () => {
        const { events = [] } = await host.rpc<{ events?: { facts: Record<string, string> }[] }>(
          "EventService/ListEvents",
          { filter: { topics: ["cairn.firewall.packet.logged"] } },
        );
        const { source_port: _, bytes: __, ...facts } = events[0]?.facts ?? {};
        return facts;
      });
      const quiet = { kind: "FirewallPolicy", name: "refuse", spec: { ...policy, log: false } };
      await declare(network, [...base, ...zones, rule, quiet]);
      const before = await logState(network);
      await network.burst("server", outside.host, 9, 10_000);
      const counted = async (): Promise<string> => {
        const rules = await network.nft("list", "chain", "inet", "cairn", "input");
        const packets = Number(/FirewallRule\/shout" group 67 counter packets (\d+)/.exec(rules)?.[1]);
        const { told, dropped } = await logState(network);
        const seen = told + dropped - before.told - before.dropped;
        return seen === packets && dropped > before.dropped
          ? "all"
          : `${seen} of ${packets}, ${dropped} dropped`;
      };
      await eventually("told and not told are what the kernel counted", "all", counted);
    });
  });
}

interface LogState {
  readonly failure: string;
  readonly told: number;
  readonly dropped: number;
}

async function logState({ host }: Network): Promise<LogState> {
  const { log = {} } = await host.rpc<{ log?: Record<string, string> }>("FirewallService/GetFirewall", {});
  const { failure = "", told, dropped } = log;
  return { failure, told: Number(told ?? 0), dropped: Number(dropped ?? 0) };
}

/** An API on TCP towards the outside; one certificate is authority, server and client. */
function apiOutside(lab: Lab): string {
  const [key, cert] = [path.join(lab.folder, "api.key"), path.join(lab.folder, "api.crt")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const subject = ["-subj", "/CN=api", "-addext", `subjectAltName=IP:${outside.host}`];
  const files = ["-keyout", key, "-out", cert, "-days", "2"];
  execFileSync("openssl", ["req", "-x509", ...curve, ...subject, ...files], { stdio: "ignore" });
  const listener = `listen = "${outside.host}:50051"\ncert = "${cert}"\nkey = "${key}"\nclient_ca = "${cert}"\n`;
  return lab.file("cairnd.toml", `[[api.tcp]]\n${listener}`);
}

export async function letsNobodyOut(checks: Checks, folder: string): Promise<void> {
  await withNetwork(
    folder,
    async (network) => {
      const { host } = network;
      await host.start();
      await declare(network, base);
      const from = (whom: "server", ...args: readonly string[]) =>
        network.beside(whom, cairnctl, "-s", `https://${outside.host}:50051`, ...tls(host.lab), ...args);
      const file = (name: string, declared: readonly Declared[]): string =>
        host.lab.file(name, yaml(declared));
      const all: Declared = {
        kind: "NAT44Rule",
        name: "all",
        spec: { ...forward.spec, ports: "50000-50100", target_port: undefined, hairpin_interfaces: [] },
      };
      await checks.check("a firewall opens itself for the API, and the client outside goes on", async () => {
        const applied = await from("server", "apply", "-f", file("zones.yaml", [...base, ...zones]));
        equal("applied", [0, ""], [applied.code, applied.stderr]);
        equal("another connection", 0, (await from("server", "health")).code);
        equal("others", "timeout", await network.connect("server", outside.host, 22));
      });
      await checks.check("what would shut the client out is refused, or taken back by itself", async () => {
        const rules = file("all.yaml", [...base, all]);
        const refused = await from("server", "apply", "-f", rules);
        equal("code", 1, refused.code);
        const sentence = `NAT44Rule/all would send elsewhere what comes by link1 to port 50051`;
        equal("sentence", true, refused.stderr.includes(sentence));
        equal(
          "confirmed within",
          0,
          (await from("server", "apply", "-f", rules, "--confirm-within", "3s")).code,
        );
        const reached = async (): Promise<boolean> =>
          (await from("server", "--timeout", "1s", "health")).code === 0;
        await eventually("shut out", false, reached);
        await eventually("taken back", true, reached);
      });
      await checks.check(
        "rules of a ledger that was lost go, and those that are asked for stay",
        async () => {
          await host.daemon.stop();
          rmSync(path.join(host.lab.folder, "state"), { recursive: true });
          await host.start();
          await eventually("nothing is asked for", "", () =>
            network.nft("list", "table", "inet", "cairn").catch(() => ""),
          );
          await declare(network, [...base, masquerade, privateNetworks]);
          await network.nft(
            "add",
            "chain",
            "inet",
            "cairn",
            "input",
            "{ type filter hook input priority filter; }",
          );
          await network.nft(
            ...["add", "rule", "inet", "cairn", "input", "counter", "drop"],
            ...["comment", '"990.00000 FirewallZone/lost"'],
          );
          const kept = async (): Promise<string[]> =>
            [...(await network.nft("list", "table", "inet", "cairn")).matchAll(/comment "([^"]*)"/g)].map(
              ([, key]) => key,
            );
          await eventually("what is left", ["500.01000 NAT44Rule/out"], kept);
        },
      );
    },
    apiOutside,
  );
}

export async function withoutPrivilege(checks: Checks, folder: string): Promise<void> {
  const lab = new Lab(folder);
  try {
    const host = await Host.open(lab, ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]);
    await host.start();
    await checks.check("without CAP_NET_ADMIN rules, logging and translations say so", async () => {
      const wan = { kind: "Interface", name: "wan", spec: { ifname: "eth0" } };
      const zone = { kind: "FirewallZone", name: "outside", spec: { interfaces: ["wan"], log: true } };
      await host.apply(yaml([wan, zone]));
      const reasons = { "FirewallZone/outside": "failed EPERM" };
      await eventually("the zone", reasons, () => host.reasons(["FirewallZone"]));
      const logging = async (): Promise<string | undefined> => {
        const { log } = await host.rpc<{ log?: { failure?: string } }>("FirewallService/GetFirewall", {});
        return log?.failure;
      };
      const sentence = "cairnd needs the capability CAP_NET_ADMIN to";
      await eventually("logging", `${sentence} hear of logged packets`, logging);
      const { code, stderr } = await host.try("nat", "translations");
      equal("translations", [1, true], [code, stderr.includes(`${sentence} see them`)]);
      equal("health", 0, (await host.try("health")).code);
    });
  } finally {
    await lab.close();
  }
}

const cairnctl = path.join(import.meta.dirname, "../../bin/cairnctl");

function tls(lab: Lab): string[] {
  const [key, cert] = [path.join(lab.folder, "api.key"), path.join(lab.folder, "api.crt")];
  return ["--tls-ca", cert, "--tls-cert", cert, "--tls-key", key];
}
