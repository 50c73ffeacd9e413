/**
 * `npm run profile -- [--scenario NAME] [--size N]`: CPU profile of cairnd during a scenario, and its most expensive
 * functions. Without namespaces there is no laboratory, and nothing to profile.
 */
import { parseArgs } from "node:util";
import { keepProfile, printProfile, profiledEnv } from "./cpu-profile.ts";
import { cairn } from "./daemons/cairn.ts";
import { enterNamespace, whyNoNamespace } from "./namespace.ts";
import { scenarios } from "./scenarios/index.ts";
import { setCollector } from "./scenarios/scenario.ts";

const { values } = parseArgs({
  options: { scenario: { type: "string", default: "full-table" }, size: { type: "string" } },
});
const scenario = scenarios.find(({ name }) => name === values.scenario);
const why = scenario ? whyNoNamespace() : `no scenario ${values.scenario}`;
if (!scenario || why !== "") {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}
enterNamespace();
Object.assign(process.env, profiledEnv);
let out = "";
setCollector((directory) => {
  out = keepProfile(directory);
});
const metrics = await scenario.run(cairn, Number(values.size ?? scenario.size));
printProfile(out);
for (const metric of scenario.compared)
  process.stdout.write(`${metric} ${metrics[metric]?.toFixed(3)} (profiled)\n`);
process.stdout.write(`${out}\n`);
