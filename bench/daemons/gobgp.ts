import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { daemonAddress4, daemonAddress6 } from "../namespace.ts";
import { type Adapter, daemonAs, routerId, type Setup } from "./daemon.ts";

const api = ["127.0.0.1", "50051"] as const;

export const gobgp: Adapter = {
  name: "gobgp",
  programs: ["/usr/bin/gobgpd", "/usr/local/bin/gobgpd"],
  can: ({ filter }) => filter === undefined,
  configure(setup, directory) {
    const file = join(directory, "gobgpd.toml");
    writeFileSync(file, configText(setup));
    const words = ["--api-hosts", api.join(":"), "--pprof-disable", "-l", "error", "-p"];
    return { command: ["gobgpd", "-t", "toml", "-f", file, ...words] };
  },
  list: ({ ipv6 }) => ["gobgp", "-u", api[0], "-p", api[1], "global", "rib", "-a", ipv6 ? "ipv6" : "ipv4"],
};

function configText({ peers, ipv6, routeServer, holdTimeS }: Setup): string {
  const listen = ipv6 ? daemonAddress6 : daemonAddress4;
  const neighbors = peers.map(
    ({ address, asn }) => `
[[neighbors]]
[neighbors.config]
neighbor-address = "${address}"
peer-as = ${asn}
[neighbors.transport.config]
passive-mode = true
[neighbors.timers.config]
hold-time = ${holdTimeS}
${routeServer ? "[neighbors.route-server.config]\nroute-server-client = true\n" : ""}[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "${ipv6 ? "ipv6-unicast" : "ipv4-unicast"}"
`,
  );
  return `[global.config]
as = ${daemonAs}
router-id = "${routerId}"
port = 179
local-address-list = ["${listen}"]
${neighbors.join("")}`;
}
