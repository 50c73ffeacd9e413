/**
 * Interop suites: `interop/run.ts [SUITE...] [--scenario TEXT] [--jobs N] [--keep] [--again]`. Prints a line per check and, at
 * last, the tally; exits 1 when a check failed. Needs root for network namespaces; a daemon that is not installed is
 * skipped loudly. Folders of failed scenarios (configurations, logs) are kept and named.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { addPath } from "./add-path/suite.ts";
import { aigpWithBird } from "./as-options/aigp.ts";
import { asOptions } from "./as-options/suite.ts";
import { frrPrograms } from "./bfd/frr.ts";
import { bfdWith } from "./bfd/suite.ts";
import { bird } from "./bird/peer.ts";
import { bmp } from "./bmp/suite.ts";
import { confederation } from "./confederation/suite.ts";
import { dampsLikeFrr } from "./damping/suite.ts";
import { carriesAThousand, isolatesTrouble, noticesOtherHands, survivesAnyStep } from "./dataplane/proofs.ts";
import { ownsItsPart, waitsForDevices, withoutPrivilege } from "./dataplane/suite.ts";
import { inFullKernel } from "./dataplane/vm.ts";
import { comeAndGo } from "./dynamic/suite.ts";
import { exabgp } from "./exabgp/peer.ts";
import { twoOctets } from "./exabgp/two-octets.ts";
import { extendedNextHop } from "./extended-next-hop/suite.ts";
import { fib } from "./fib/suite.ts";
import { flowspecFromExaBgp, flowspecWith } from "./flowspec/suite.ts";
import { filtersFlows, takesAnyRule } from "./flowspec-filter/suite.ts";
import { frr } from "./frr/peer.ts";
import { gobgp } from "./gobgp/peer.ts";
import { healthChecks, withoutCapabilities } from "./health/suite.ts";
import { Checks } from "./lib/checks.ts";
import type { PeerKind } from "./lib/peer.ts";
import { programsOf, type RouterKind } from "./lib/router.ts";
import { type Scenario, scenarios } from "./lib/scenarios.ts";
import { actionsOfLimits } from "./limits/suite.ts";
import { multiWan } from "./multi-wan/suite.ts";
import { multipath } from "./multipath/suite.ts";
import { letsNobodyOut, withoutPrivilege as natWithoutPrivilege, seesFlows } from "./nat-firewall/flows.ts";
import { keepsOut, translates } from "./nat-firewall/suite.ts";
import { nextHopTracking } from "./next-hop/suite.ts";
import { openbgpd } from "./openbgpd/peer.ts";
import { filtersBothWays } from "./orf/suite.ts";
import { daemons } from "./policy/situation.ts";
import { policySituations } from "./policy/suite.ts";
import { protects } from "./protection/suite.ts";
import { redistribute } from "./redistribute/suite.ts";
import { betweenReflectors, cairnIsClient as clientOfReflector, reflects } from "./reflection/suite.ts";
import { restarts } from "./restart/suite.ts";
import { negotiate, onlyToCustomer } from "./roles/suite.ts";
import { cairnIsClient as clientOfServer, serves, servesRealClient } from "./route-server/suite.ts";
import { rpki } from "./rpki/suite.ts";
import { sameAddressTwice, unnumberedWithFrr } from "./unnumbered/suite.ts";
import { gracefulShutdownAndBlackhole } from "./well-known/suite.ts";

interface Suite {
  readonly name: string;
  /** Prints what is tested against. */
  readonly version?: readonly string[];
  readonly scenarios: readonly {
    readonly name: string;
    /** Programs that must exist. */
    readonly programs: readonly string[];
    run(checks: Checks, folder: string): Promise<void>;
  }[];
}

/** A module of FRR is a package of its own. */
const frrModule = (name: string): string => `/usr/lib/x86_64-linux-gnu/frr/modules/${name}`;

const suites: readonly Suite[] = [
  peerSuite(bird, scenarios),
  peerSuite(frr, scenarios),
  peerSuite(gobgp, scenarios),
  peerSuite(openbgpd, scenarios),
  peerSuite(exabgp, [...scenarios, twoOctets]),
  { name: "policy", scenarios: routerScenarios((kind) => kind, daemons, policySituations) },
  {
    name: "reflection",
    scenarios: [
      ...routerScenarios((kind) => `${kind} reflects`, ["cairn", "frr", "bird"], reflects),
      ...routerScenarios((kind) => `cairn and ${kind} reflect`, ["frr", "bird"], betweenReflectors),
      ...routerScenarios((kind) => `${kind} reflects to cairn`, ["frr", "bird"], clientOfReflector),
    ],
  },
  {
    name: "route-server",
    scenarios: [
      ...routerScenarios((kind) => `${kind} serves`, ["cairn", "frr", "bird"], serves),
      ...routerScenarios((kind) => `cairn serves ${kind}`, ["frr", "bird"], servesRealClient),
      ...routerScenarios((kind) => `${kind} serves cairn`, ["frr", "bird"], clientOfServer),
    ],
  },
  {
    name: "roles",
    scenarios: [
      ...routerScenarios((kind) => `pairs with ${kind}`, ["bird", "openbgpd"], negotiate),
      ...(["provider", "customer"] as const).flatMap((role) =>
        routerScenarios(
          (kind) => `cairn is ${role} of ${kind}`,
          ["bird", "openbgpd"],
          (checks, kind, folder) => onlyToCustomer(checks, kind, folder, role),
        ),
      ),
    ],
  },
  ...(["bird", "frr", "gobgp"] as const).map((kind) => ({
    name: `restart-${kind}`,
    scenarios: routerScenarios((each) => `cairn and ${each}`, [kind], restarts),
  })),
  {
    name: "extended-next-hop",
    scenarios: routerScenarios((kind) => `cairn and ${kind}`, ["frr", "bird"], extendedNextHop),
  },
  {
    name: "confederation",
    scenarios: (
      [
        ["frr", "cairn", "frr"],
        ["cairn", "frr", "cairn"],
        ["bird", "cairn", "bird"],
      ] as const
    ).map((kinds) => ({
      name: kinds.join(", "),
      programs: [...programsOf[kinds[0]], ...programsOf[kinds[1]]],
      run: (checks, folder) => confederation(checks, kinds, folder),
    })),
  },
  {
    name: "as-options",
    scenarios: [
      ...routerScenarios((kind) => kind, ["cairn", "frr"], asOptions),
      { name: "aigp with bird", programs: programsOf.bird, run: aigpWithBird },
    ],
  },
  { name: "add-path", scenarios: routerScenarios((kind) => `cairn and ${kind}`, ["frr", "bird"], addPath) },
  {
    name: "multipath",
    scenarios: routerScenarios((kind) => `cairn as ${kind}`, ["frr", "bird"], multipath),
  },
  {
    name: "dataplane",
    scenarios: [
      { name: "objects", programs: ["ip"], run: ownsItsPart },
      { name: "no privilege", programs: ["ip", "setpriv"], run: withoutPrivilege },
      { name: "late devices", programs: ["ip"], run: waitsForDevices },
      { name: "other hands", programs: ["ip"], run: noticesOtherHands },
      { name: "crash at any step", programs: ["ip"], run: survivesAnyStep },
      { name: "a thousand objects", programs: ["ip"], run: carriesAThousand },
      { name: "trouble", programs: ["ip"], run: isolatesTrouble },
      { name: "full kernel in a VM", programs: [], run: inFullKernel },
    ],
  },
  {
    name: "health",
    scenarios: [
      { name: "two links", programs: ["ip", "nft", "openssl"], run: healthChecks },
      { name: "no privilege", programs: ["ip", "setpriv", "openssl"], run: withoutCapabilities },
    ],
  },
  {
    name: "redistribute",
    scenarios: [{ name: "to BIRD", programs: programsOf.bird, run: redistribute }],
  },
  { name: "fib", scenarios: [{ name: "two BIRDs and a client", programs: programsOf.bird, run: fib }] },
  {
    name: "nat-firewall",
    scenarios: [
      { name: "NAT", programs: ["ip", "nft"], run: translates },
      { name: "firewall", programs: ["ip", "nft"], run: keepsOut },
      { name: "flows", programs: ["ip", "nft", "ss"], run: seesFlows },
      { name: "lock-out", programs: ["ip", "nft", "openssl"], run: letsNobodyOut },
      { name: "no privilege", programs: ["ip", "nft", "setpriv"], run: natWithoutPrivilege },
    ],
  },
  {
    name: "flowspec",
    scenarios: [
      ...routerScenarios((kind) => `cairn and ${kind}`, ["frr", "bird", "gobgp"], flowspecWith),
      { name: "exabgp sends", programs: ["exabgp"], run: flowspecFromExaBgp },
    ],
  },
  {
    name: "flowspec-filter",
    scenarios: [
      { name: "what passes", programs: ["ip", "nft"], run: filtersFlows },
      { name: "any rule", programs: ["ip", "nft"], run: takesAnyRule },
    ],
  },
  {
    name: "multi-wan",
    scenarios: [{ name: "two uplinks", programs: [...programsOf.bird, "ip", "nft"], run: multiWan }],
  },
  { name: "next-hop", scenarios: routerScenarios((kind) => kind, ["cairn", "frr"], nextHopTracking) },
  {
    name: "rpki",
    scenarios: [
      {
        name: "beside FRR and rtrlib",
        programs: [...programsOf.frr, "stayrtr", "rpki-rov", "openssl", frrModule("bgpd_rpki.so")],
        run: rpki,
      },
    ],
  },
  {
    name: "bmp",
    scenarios: [{ name: "read by tshark", programs: [...programsOf.bird, "tcpdump", "tshark"], run: bmp }],
  },
  { name: "protection", scenarios: routerScenarios((kind) => kind, ["frr", "bird"], protects) },
  {
    name: "dynamic",
    scenarios: [{ name: "neighbors come and go", programs: programsOf.bird, run: comeAndGo }],
  },
  {
    name: "bfd",
    scenarios: [
      {
        name: "cairn and frr",
        programs: [...frrPrograms, "nft"],
        run: (checks, folder) => bfdWith(checks, "frr", folder),
      },
      {
        name: "cairn and bird",
        programs: [...programsOf.bird, "nft"],
        run: (checks, folder) => bfdWith(checks, "bird", folder),
      },
    ],
  },
  {
    name: "damping",
    scenarios: [{ name: "beside frr", programs: programsOf.frr, run: dampsLikeFrr }],
  },
  {
    name: "orf",
    scenarios: [{ name: "both ways with frr", programs: programsOf.frr, run: filtersBothWays }],
  },
  {
    name: "unnumbered",
    scenarios: [
      { name: "by interface with frr", programs: programsOf.frr, run: unnumberedWithFrr },
      { name: "one address on three links", programs: programsOf.bird, run: sameAddressTwice },
    ],
  },
  {
    name: "limits",
    scenarios: [{ name: "actions", programs: programsOf.bird, run: actionsOfLimits }],
  },
  {
    name: "well-known",
    scenarios: routerScenarios((kind) => `cairn and ${kind}`, ["frr"], gracefulShutdownAndBlackhole),
  },
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scenario: { type: "string", default: "" },
    jobs: { type: "string", default: "2" },
    keep: { type: "boolean", default: false },
    again: { type: "boolean", default: false },
  },
});

const unknown = positionals.filter((name) => !suites.some((suite) => suite.name === name));
if (unknown.length > 0) {
  console.error(
    `no such suite: ${unknown.join(", ")}; there are ${suites.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}

const folder = mkdtempSync(path.join(tmpdir(), "cairn-interop-"));
chmodSync(folder, 0o711); // daemons that are not root find their own folder
/** Scenarios that may run a second time: more than a few have a reason in common. */
const againMax = 3;
interface Run {
  readonly suite: Suite;
  readonly scenario: Suite["scenarios"][number];
  checks: Checks;
}
const runs: Run[] = [];
const waiting = suites.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
const notHere = process.getuid?.() === 0 ? undefined : "needs root for network namespaces";
await Promise.all(Array.from({ length: Number(values.jobs) }, worker));
const unsteady = values.again ? await runAgain() : [];

const sum = (count: (checks: Checks) => number): number =>
  runs.reduce((total, { checks }) => total + count(checks), 0);
const [passed, failed, skipped] = [sum((c) => c.passed), sum((c) => c.failed), sum((c) => c.skipped)];
if (failed === 0 && !values.keep) rmSync(folder, { recursive: true, force: true });
else console.log(`logs and configurations: ${folder}`);
for (const name of unsteady) console.log(`UNSTEADY  ${name}: failed beside other suites, passed alone`);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} SKIPPED` : ""}`);
process.exit(failed > 0 ? 1 : 0);

async function worker(): Promise<void> {
  for (let next = waiting.shift(); next; next = waiting.shift()) await runSuite(next);
}

async function runSuite(suite: Suite): Promise<void> {
  if (suite.version && !notHere && installed(suite.version[0])) {
    console.log(`      ${suite.name}: ${firstLine(suite.version)}`);
  }
  for (const scenario of suite.scenarios.filter((each) => each.name.includes(values.scenario!))) {
    const run = { suite, scenario, checks: new Checks(nameOf(suite, scenario)) };
    runs.push(run);
    await runScenario(run);
  }
}

async function runScenario({ suite, scenario, checks }: Run): Promise<void> {
  const missing = scenario.programs.filter((program) => !installed(program));
  const why = notHere ?? (missing.length > 0 ? `${missing.join(" and ")} is not installed` : undefined);
  if (why) {
    checks.skip("all of it", why);
    return;
  }
  const own = path.join(folder, suite.name, scenario.name.replaceAll(" ", "-"));
  try {
    await scenario.run(checks, own);
  } catch (error) {
    await checks.check("the laboratory", () => Promise.reject(error));
  }
  if (checks.failed > 0) console.log(`      ${suite.name}: ${scenario.name}: see ${own}`);
  else if (!values.keep) rmSync(own, { recursive: true, force: true });
}

/**
 * `--again`: scenarios that failed run once more, alone, and the second run counts. Timers of ten daemons meet here, and
 * a machine that looks away for a second fails one in a thousand; what fails twice is a fault.
 * @returns those that passed then
 */
async function runAgain(): Promise<string[]> {
  const failed = runs.filter(({ checks }) => checks.failed > 0);
  if (failed.length > againMax) return [];
  for (const run of failed) {
    const name = nameOf(run.suite, run.scenario);
    console.log(`AGAIN ${name}, alone`);
    rmSync(path.join(folder, run.suite.name, run.scenario.name.replaceAll(" ", "-")), {
      recursive: true,
      force: true,
    });
    run.checks = new Checks(name);
    await runScenario(run);
  }
  return failed
    .filter(({ checks }) => checks.failed === 0)
    .map(({ suite, scenario }) => nameOf(suite, scenario));
}

function nameOf({ name }: Suite, scenario: { readonly name: string }): string {
  return `${name}: ${scenario.name}`;
}

function peerSuite(kind: PeerKind, scenarios: readonly Scenario[]): Suite {
  return {
    name: kind.name,
    version: kind.version,
    scenarios: scenarios.map(({ name, run }) => ({
      name,
      programs: kind.programs,
      run: (checks, folder) => run(checks, kind, folder),
    })),
  };
}

/** The same scenario for several daemons. */
function routerScenarios<Kind extends RouterKind>(
  nameOf: (kind: Kind) => string,
  kinds: readonly Kind[],
  run: (checks: Checks, kind: Kind, folder: string) => Promise<void>,
): Suite["scenarios"] {
  return kinds.map((kind) => ({
    name: nameOf(kind),
    programs: programsOf[kind],
    run: (checks, folder) => run(checks, kind, folder),
  }));
}

function installed(program: string): boolean {
  try {
    execFileSync("sh", ["-c", 'command -v "$0"', program], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function firstLine(command: readonly string[]): string {
  try {
    const text = execFileSync("sh", ["-c", '"$@" 2>&1', "sh", ...command], { encoding: "utf8" });
    return text.trim().split("\n")[0];
  } catch (error) {
    return `version unknown (${(error as Error).message.split("\n")[0]})`;
  }
}
