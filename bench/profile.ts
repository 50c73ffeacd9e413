/** `npm run profile -- [--prefixes N]`: CPU profile of cairnd during the full-table load, and its most expensive functions. */
import { parseArgs } from "node:util";
import { blast } from "./blast/blast.ts";
import { keepProfile, printProfile, profiledEnv } from "./cpu-profile.ts";

const { values } = parseArgs({ options: { prefixes: { type: "string", default: "1000000" } } });
const prefixes = Number(values.prefixes);
let out = "";
const load = { feeders: 1, prefixes, sets: Math.ceil(prefixes / 10), sinks: 1 };
const record = await blast("profile", load, profiledEnv, (directory) => {
  out = keepProfile(directory);
});
process.stdout.write(
  `${prefixes} routes in ${record.t_converged.toFixed(2)} s, ${record.cpu_settled.toFixed(2)} s of CPU (profiled)\n`,
);
printProfile(out);
process.stdout.write(`${out}\n`);
