/**
 * What npm run demo does: a router with six BGP neighbors and some 50,000 routes that keep changing, all on loopback, and
 * `cairnctl top` in front of it. Without a terminal, or with --once, it prints what cairnctl shows and ends.
 */
import { parseAddress } from "../../src/cli/address.ts";
import { Client } from "../../src/cli/client.ts";
import { runCli } from "../../src/cli/run.ts";
import { RibService } from "../../src/gen/cairn/v1/rib_service_pb.ts";
import { announced, cast } from "./cast.ts";
import { Network } from "./network.ts";

const loadLimitMs = 30_000;
/** cairnd counts as loaded when so much of what speakers say has arrived: they change things meanwhile. */
const loadedShare = 0.99;

const usage = `usage: npm run demo [-- --once]
  --once   print tables and exit, as without a terminal
`;

const words = process.argv.slice(2);
if (words.includes("--help") || words.includes("-h")) {
  process.stdout.write(usage);
  process.exit(0);
}
if (words.some((word) => word !== "--once")) {
  process.stderr.write(usage);
  process.exit(2);
}
const once = words.includes("--once") || !process.stdout.isTTY || !process.stdin.isTTY;
const network = new Network();
process.on("exit", () => network.kill());
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => void network.stop().then(() => process.exit(130)));
}
process.stdout.on("error", () => process.exit(0)); // the reader of a pipe is gone

try {
  await demo();
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
await network.stop();
process.exit();

async function demo(): Promise<void> {
  const begin = performance.now();
  const seconds = (): string => `${((performance.now() - begin) / 1000).toFixed(1)} s`;
  say(`Starting cairnd and ${cast.length} BGP speakers on loopback, in ${network.directory}`);
  await network.start();
  say(`cairnd is ready after ${seconds()}; BGP on 127.0.0.1:${network.port}`);
  const client = new Client(parseAddress(network.address), { timeoutMs: 5_000, streamDeadline: true });
  const paths = await loaded(client);
  const prefix = await contested(client);
  client.close();
  say(`${paths.toLocaleString("en")} routes of ${cast.length - 1} neighbors are here after ${seconds()}`);
  if (once) {
    await tables(prefix);
    say(
      `\nThis has ended. Run \`npm run demo\` in a terminal for one that stays.\n\n${suggestions(prefix).join("\n")}`,
    );
    return;
  }
  const hints = suggestions(prefix);
  process.env.CAIRN_TOP_HINTS = hints.join("\n"); // top covers what stands on the terminal
  say(`\n${hints.join("\n")}`);
  await cairnctl("top");
  say("Top has ended, and the demo with it: stopping cairnd and the speakers.");
}

/** Waits until the tables are full. @returns the number of routes */
async function loaded(client: Client): Promise<number> {
  const wanted = announced() * loadedShare;
  let paths = 0;
  for (const begin = performance.now(); performance.now() - begin < loadLimitMs; ) {
    const { families } = await client.call(RibService.method.getRibSummary, {});
    paths = families.reduce((sum, family) => sum + Number(family.paths), 0);
    if (paths >= wanted) return paths;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`only ${paths} of ${announced()} routes arrived within ${loadLimitMs / 1000} s`);
}

/** A prefix with several paths of one local preference, so that later steps decide: interesting to explain. */
async function contested(client: Client): Promise<string> {
  const { routes } = await client.call(RibService.method.listBestRoutes, { allPaths: true, pageSize: 8_000 });
  const paths = Map.groupBy(routes, (route) => route.prefix);
  let most = 0;
  let found = "0.0.0.0/0";
  for (const [prefix, of] of paths) {
    if (of.length <= most || of.some(({ localPref }) => localPref !== of[0].localPref)) continue;
    most = of.length;
    found = prefix;
  }
  return found;
}

async function tables(prefix: string): Promise<void> {
  const shown = [
    "neighbor",
    "rib summary",
    `rib ${prefix}`,
    `rib ${prefix} --explain`,
    "rib rejected 127.0.0.14",
    "rib advertised 127.0.0.11 --origin-asn 64504",
    "events -n 8",
  ];
  for (const line of shown) {
    say(`\n$ cairnctl ${line}`);
    await cairnctl(line);
  }
}

/** Five commands to try while the demo runs. */
function suggestions(prefix: string): string[] {
  const commands = [
    ["neighbor 127.0.0.14", "one neighbor in full"],
    [`rib ${prefix} --explain`, "why this path is best"],
    ["rib watch --changes", "best paths as they change"],
    ["rib add 203.0.113.0/24 --next-hop 192.0.2.7", "announce a route of your own"],
    ["neighbor disable 127.0.0.13 --reason maintenance", "take a neighbor down"],
  ];
  return [
    "Try these from this folder in another terminal while top is open:",
    `  export CAIRN_ADDR=${network.address}`,
    ...commands.map(([line, what]) => `  ${`bin/cairnctl ${line}`.padEnd(66)} # ${what}`),
  ];
}

/** Runs a command line of cairnctl's in this process. */
async function cairnctl(line: string): Promise<void> {
  const { stdout, stderr, stdin } = process;
  const env = { ...process.env, CAIRN_ADDR: network.address };
  const code = await runCli(line.split(" "), { stdout, stderr, stdin, env, uid: process.getuid?.() ?? 0 });
  if (code !== 0) throw new Error(`cairnctl ${line} ended with ${code}`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
