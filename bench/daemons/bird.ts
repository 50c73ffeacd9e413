import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Filter, Question } from "../load/filter.ts";
import { daemonAddress4, daemonAddress6 } from "../namespace.ts";
import { type Adapter, daemonAs, routerId, type Setup } from "./daemon.ts";

const run = promisify(execFile);

export const bird: Adapter = {
  name: "bird",
  programs: ["/usr/sbin/bird", "/usr/local/sbin/bird"],
  can: () => true,
  configure(setup, directory) {
    const file = join(directory, "bird.conf");
    writeFileSync(file, configText(setup));
    return { command: ["bird", "-f", "-c", file, "-s", controlOf(directory), "-P", join(directory, "pid")] };
  },
  list: (_, directory) => ["birdc", "-s", controlOf(directory), "show route primary"],
  async changeFilter(setup, directory) {
    writeFileSync(join(directory, "bird.conf"), configText(setup));
    // Sees that the filter has changed and reloads the protocols that use it.
    await run("birdc", ["-s", controlOf(directory), "configure"]);
  },
};

function controlOf(directory: string): string {
  return join(directory, "control");
}

function configText({ peers, ipv6, routeServer, holdTimeS, filter, keepReceived }: Setup): string {
  const channel = (policy: string): string =>
    `${ipv6 ? "ipv6" : "ipv4"} { import ${policy}; ${keepReceived ? "import table on; " : ""}export all; ${routeServer ? "" : "next hop self; "}}`;
  const protocols = peers.map(
    ({ address, asn, feeds }, n) => `protocol bgp peer${n} {
  local ${ipv6 ? daemonAddress6 : daemonAddress4} as ${daemonAs};
  neighbor ${address} as ${asn};
  passive on;
  hold time ${holdTimeS};
  ${routeServer ? "rs client;" : ""}
  ${channel(filter && feeds ? "filter bench" : "all")};
}
`,
  );
  return `log stderr { fatal, bug, error, warning };
router id ${routerId};
protocol device { scan time 600; }
${filter ? filterText(filter) : ""}
${protocols.join("")}`;
}

function filterText({ rules, prefixes, last }: Filter): string {
  const statements = rules.map(({ when, add, localPref, reject }) => {
    const then = [
      ...(localPref === undefined ? [] : [`bgp_local_pref = ${localPref};`]),
      ...(add === undefined ? [] : [`bgp_community.add(${pair(add)});`]),
      ...(reject ? ["reject;"] : []),
    ];
    return `  if ${condition(when)} then { ${then.join(" ")} }`;
  });
  return `define bench_set = [ ${prefixes.map((prefix) => `${prefix}{${prefix.split("/")[1]},24}`).join(", ")} ];
filter bench {
${statements.join("\n")}
  bgp_community.add(${pair(last)});
  accept;
}
`;
}

function condition(when: Question): string {
  switch (when.ask) {
    case "passes":
      return `bgp_path ~ [= * ${when.asn} * =]`;
    case "pair":
      return `bgp_path ~ [= * ${when.first} ${when.second} * =]`;
    case "second":
      return `bgp_path ~ [= ? ${when.asn} * =]`;
    case "community":
      return `${pair(when.value)} ~ bgp_community`;
    case "longer-than":
      return `bgp_path.len > ${when.ases}`;
    case "prefix":
      return "net ~ bench_set";
  }
}

function pair(value: number): string {
  return `(${value >>> 16},${value & 0xffff})`;
}
