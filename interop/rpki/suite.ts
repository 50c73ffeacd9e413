/**
 * Validation of origins beside FRR (its module is rtrlib) and rtrlib's own tool, all with StayRTR as their cache: the
 * same VRPs, the same routes, the same states. StayRTR's data changes, it dies, it comes back as another, it speaks TLS.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { call } from "../../bench/daemons/cairn.ts";
import { type Checks, eventually } from "../lib/checks.ts";
import type { Daemon, Lab, Namespace } from "../lib/lab.ts";
import type { Router } from "../lib/router.ts";
import { type RouterPlan, type SpeakerPlan, withScene } from "../lib/scene.ts";
import type { WireRoute } from "../lib/wire.ts";

const sessions = [
  { name: "cairn", asn: 65010, local: "10.0.1.2" },
  { name: "frr", asn: 65010, local: "10.0.2.2" },
  { name: "sink", asn: 65030, local: "10.0.3.2" },
] as const satisfies readonly SpeakerPlan[];
const ports = { plain: 8282, tls: 8283 };

interface Roa {
  readonly prefix: string;
  readonly maxLength: number;
  readonly asn: number;
}
const roa = (prefix: string, maxLength: number, asn: number): Roa => ({ prefix, maxLength, asn });

const roas: readonly Roa[] = [
  roa("192.0.2.0/24", 24, 65010),
  roa("192.0.2.0/24", 26, 65020),
  roa("198.18.0.0/15", 20, 65100),
  roa("198.18.0.0/16", 24, 65101),
  roa("198.19.0.0/16", 16, 0),
  roa("203.0.113.0/24", 32, 65200),
  roa("100.127.0.0/16", 16, 4_200_000_000),
];

/** Every prefix with every origin: exact, longer, shorter, beside, and with AS 0. */
const prefixes = [
  ...["192.0.2.0/24", "192.0.2.0/26", "192.0.2.64/27", "192.0.0.0/16", "198.18.0.0/15", "198.18.0.0/16"],
  ...[
    "198.18.7.0/24",
    "198.18.7.128/25",
    "198.19.0.0/16",
    "198.19.4.0/24",
    "203.0.113.128/25",
    "100.64.0.0/10",
  ],
];
const origins = [65010, 65020, 65100, 65101, 65200];

/** Each prefix is announced with one of the origins. */
const announced = prefixes.map((prefix, i) => ({ prefix, origin: origins[i % origins.length] }));

export async function rpki(checks: Checks, folder: string): Promise<void> {
  await withScene(folder, plans, sessions, async ({ lab, outside, routers, speakers }) => {
    const { cairn, frr } = routers;
    const data = path.join(lab.folder, "vrps.json");
    let serial = 0;
    const publish = (list: readonly Roa[]): void => {
      const metadata = { buildtime: new Date().toISOString(), vrps: list.length, serial: ++serial };
      const ta = "test";
      writeFileSync(data, JSON.stringify({ metadata, roas: list.map((each) => ({ ...each, ta })) }));
    };
    publish(roas);
    const certificates = makeCertificates(lab.folder);
    let cache = startCache(lab, outside, data, certificates, 1);
    await cache.start();

    const synchronized = async (): Promise<unknown> => {
      const { cache: seen } = JSON.parse(await cairn.cli("rpki", "caches", "stay", "--json"));
      return [seen.state.sessionState, Number(seen.state.ipv4Vrps)];
    };
    await checks.check("cairn and FRR have what StayRTR has", async () => {
      await eventually("cairn", ["synchronized", roas.length], synchronized);
      await eventually("frr", roas.length, () => vrpsOfFrr(frr));
    });

    const routes = (nextHop: string): WireRoute[] =>
      announced.map(({ prefix, origin }) => ({
        ...{ prefix, origin: "igp", nextHop },
        asPath: origin === 65010 ? "65010" : `65010 ${origin}`,
      }));
    await speakers.announce("cairn", routes("10.0.1.2"));
    await speakers.announce("frr", routes("10.0.2.2"));
    await checks.check("the states of all routes are FRR's", async () => {
      await eventually(
        "routes at cairn",
        prefixes.length,
        async () => Object.keys(await statesOfCairn(cairn)).length,
      );
      const wanted = await settledStatesOfFrr(frr);
      await eventually("states", wanted, () => statesOfCairn(cairn));
      await eventually("of every kind", ["invalid", "not-found", "valid"], async () =>
        [...new Set(Object.values(wanted))].sort(),
      );
    });
    await checks.check(
      `lookups say what rtrlib says of ${prefixes.length * origins.length} routes`,
      async () => {
        const pairs = prefixes.flatMap((prefix) => origins.map((origin) => ({ prefix, origin })));
        const wanted = await statesOfRtrlib(lab, outside, pairs);
        const found: States = {};
        for (const { prefix, origin } of pairs) {
          const answer = await call(`${lab.folder}/cairn/state/grpc.sock`, "RpkiService/LookupVrps", {
            ...{ prefix, asn: origin },
          });
          found[`${prefix} ${origin}`] = (answer as { state: string }).state;
        }
        await eventually("states", wanted, async () => found);
      },
    );
    const told = async (): Promise<string[]> =>
      (await speakers.routes("sink")).map(({ prefix }) => prefix).sort();
    const notInvalid = async (): Promise<string[]> =>
      Object.entries(await statesOfCairn(cairn))
        .filter(([, state]) => state !== "invalid")
        .map(([prefix]) => prefix)
        .sort();
    await checks.check("the neighbor hears of no invalid route", async () => {
      await eventually("sink", await notInvalid(), told);
    });

    // Two are valid no more, two that were invalid are; the cache looks at its file every second.
    const other = [...roas.filter(({ asn }) => asn !== 65010 && asn !== 0), roa("198.19.0.0/16", 24, 65020)];
    await checks.check("a change of the cache is followed, on the wire too", async () => {
      const before = await statesOfCairn(cairn);
      publish(other);
      await eventually("cairn", ["synchronized", other.length], synchronized);
      await eventually("frr", other.length, () => vrpsOfFrr(frr));
      const wanted = await settledStatesOfFrr(frr);
      await eventually(
        "it made a difference",
        false,
        async () => JSON.stringify(wanted) === JSON.stringify(before),
      );
      await eventually("states", wanted, () => statesOfCairn(cairn));
      await eventually("sink", await notInvalid(), told);
    });

    await checks.check(
      "the cache dies: what it said stays; it comes back as another and has other data",
      async () => {
        const before = await statesOfCairn(cairn);
        await cache.kill();
        await eventually("lost", "waiting", async () => {
          const { cache: seen } = JSON.parse(await cairn.cli("rpki", "caches", "stay", "--json"));
          return seen.state.sessionState === "connecting" ? "waiting" : seen.state.sessionState;
        });
        await eventually("states", before, () => statesOfCairn(cairn));
        publish(roas);
        cache = startCache(lab, outside, data, certificates, 2);
        await cache.start();
        await eventually("cairn", ["synchronized", roas.length], synchronized);
        await eventually(
          "of every kind again",
          "valid",
          async () => (await statesOfCairn(cairn))["192.0.2.0/24"],
        );
      },
    );

    const overTls = async (): Promise<unknown> => {
      const { cache: seen } = JSON.parse(await cairn.cli("rpki", "caches", "tls", "--json"));
      return [seen.state.sessionState, Number(seen.state.ipv4Vrps)];
    };
    const set = (...words: string[]): Promise<string> =>
      cairn.cli("rpki", "set", "tls", "--host", "10.0.1.2", "--port", String(ports.tls), ...words);
    await checks.check("TLS: with the name of its certificate, and only with that", async () => {
      await set("--tls", "--ca", certificates.ca, "--server-name", "cache.example", "--retry", "1s");
      await eventually("over TLS", ["synchronized", roas.length], overTls);
      await set("--server-name", "other.example");
      await eventually("refused", true, async () => {
        const { cache: seen } = JSON.parse(await cairn.cli("rpki", "caches", "tls", "--json"));
        return /other\.example|ALTNAME/.test(seen.state.lastError ?? "");
      });
    });
    await checks.check("metrics tell of it", async () => {
      const metrics = await cairn.cli("metrics");
      const up = /^cairn_rpki_cache_up\{cache="stay"\} (\d)/m.exec(metrics)?.[1];
      const records = /^cairn_rpki_records\{type="vrp_ipv4"\} (\d+)/m.exec(metrics)?.[1];
      await eventually("metrics", ["1", String(roas.length)], async () => [up, records]);
    });
  });
}

const end = (local: string, remote: string, asn: number) => ({ local, remote, asn });

const plans: Readonly<Record<string, RouterPlan>> = {
  cairn: {
    kind: "cairn",
    asn: 65001,
    routerId: "10.9.9.1",
    neighbors: [
      { ...end("10.0.1.1", "10.0.1.2", 65010), cairn: { import: ["rov"], enforce_first_as: false } },
      end("10.0.3.1", "10.0.3.2", 65030),
    ],
    preamble: {
      rpki_caches: [{ name: "stay", host: "10.0.1.2", port: ports.plain, retry: "1s" }],
      policies: [
        {
          name: "rov",
          statements: [{ match: { rpki_states: ["invalid"] }, action: "reject" }, { action: "accept" }],
        },
      ],
    },
  },
  frr: {
    kind: "frr",
    asn: 65001,
    routerId: "10.9.9.2",
    neighbors: [end("10.0.2.1", "10.0.2.2", 65010)],
    arguments: ["-M", "rpki"],
    preamble: [
      "rpki",
      " rpki polling_period 1",
      " rpki retry_interval 1",
      ` rpki cache 10.0.2.2 ${ports.plain} preference 1`,
      "exit",
    ].join("\n"),
  },
};

interface Certificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

function startCache(
  lab: Lab,
  outside: Namespace,
  data: string,
  { cert, key }: Certificates,
  run: number,
): Daemon {
  return lab.daemon(outside, `stayrtr-${run}`, [
    ...["stayrtr", "-cache", data, "-checktime=false", "-refresh", "1", "-rtr.refresh", "2"],
    ...["-rtr.retry", "1", "-bind", `:${ports.plain}`, "-metrics.addr", "", "-export.path", ""],
    ...["-tls.bind", `:${ports.tls}`, "-tls.cert", cert, "-tls.key", key],
  ]);
}

/** A certificate for cache.example, signed by itself. */
function makeCertificates(folder: string): Certificates {
  const cert = path.join(folder, "cache.pem");
  const key = path.join(folder, "cache.key");
  const subject = ["-subj", "/CN=cache.example", "-addext", "subjectAltName=DNS:cache.example"];
  execFileSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-days", "2", "-keyout", key, "-out", cert, ...subject],
    ],
    { stdio: "ignore" },
  );
  return { ca: cert, cert, key };
}

type States = Record<string, string>;

async function statesOfCairn(cairn: Router): Promise<States> {
  const { routes = [] } = JSON.parse(await cairn.cli("rib", "received", "10.0.1.2", "--json"));
  return sortedStates(
    routes.map((route: { prefix: string; rpkiState?: string }) => [route.prefix, route.rpkiState ?? ""]),
  );
}

/** FRR's table has the state as the first letter of each line. */
async function statesOfFrr(frr: Router): Promise<States> {
  const words: States = { V: "valid", I: "invalid", N: "not-found" };
  const table = await frr.cli("show bgp ipv4 unicast");
  const lines = [...table.matchAll(/^([VIN])\*>? *(\d\S+\/\d+) /gm)];
  return sortedStates(lines.map(([, letter, prefix]) => [prefix, words[letter]]));
}

/** FRR looks at its routes again one after the other: twice the same is taken for the end. */
async function settledStatesOfFrr(frr: Router): Promise<States> {
  let before: States = {};
  for (let same = 0, tries = 0; same < 4 && tries < 100; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    const now = await statesOfFrr(frr);
    const isSame =
      Object.keys(now).length === prefixes.length && JSON.stringify(now) === JSON.stringify(before);
    same = isSame ? same + 1 : 0;
    before = now;
  }
  return before;
}

function sortedStates(found: readonly (readonly [string, string])[]): States {
  return Object.fromEntries([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function vrpsOfFrr(frr: Router): Promise<number> {
  const text = await frr.cli("show rpki prefix-table");
  return text.split("\n").filter((line) => /^\d+\.\d+\.\d+\.\d+\s/.test(line.trim())).length;
}

/** rtrlib's rpki-rov reads routes from its standard input and writes what it thinks of them. */
async function statesOfRtrlib(
  lab: Lab,
  outside: Namespace,
  pairs: readonly { readonly prefix: string; readonly origin: number }[],
): Promise<States> {
  const questions = pairs.map(({ prefix, origin }) => `${prefix.replace("/", " ")} ${origin}`).join("\n");
  const file = lab.file("routes.txt", `${questions}\n`);
  const command = `(sleep 2; cat ${file}; sleep 1) | rpki-rov 127.0.0.1 ${ports.plain}`;
  const { stdout } = await lab.try(outside, ["sh", "-c", command]);
  const states = ["valid", "not-found", "invalid"];
  const found: States = {};
  for (const line of stdout.split("\n")) {
    const match = /^(\S+) (\d+) (\d+)\|.*\|(\d)$/.exec(line.trim());
    if (match) found[`${match[1]}/${match[2]} ${match[3]}`] = states[Number(match[4])];
  }
  return found;
}
