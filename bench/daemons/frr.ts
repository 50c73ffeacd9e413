import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { daemonAddress4, daemonAddress6 } from "../namespace.ts";
import { type Adapter, daemonAs, routerId, type Setup } from "./daemon.ts";

const program = "/usr/lib/frr/bgpd";

export const frr: Adapter = {
  name: "frr",
  programs: [program],
  can: ({ filter }) => filter === undefined,
  // Its update groups of a route server gather for a while after the last session came up.
  warmUpS: 8,
  configure(setup, directory) {
    const file = join(directory, "bgpd.conf");
    writeFileSync(file, configText(setup));
    chmodSync(directory, 0o755);
    const listen = setup.ipv6 ? daemonAddress6 : daemonAddress4;
    // Without zebra (-Z) and as root (-S), so that nothing is installed and nothing outside is touched.
    const words = ["-Z", "-S", "-f", file, "-i", join(directory, "pid"), "--vty_socket", directory];
    return { command: [program, ...words, "-u", "root", "-g", "root", "-P", "0", "-l", listen] };
  },
  list: ({ ipv6 }, directory) => {
    const show = `show bgp ${ipv6 ? "ipv6" : "ipv4"} unicast json`;
    return ["vtysh", "--vty_socket", directory, "-d", "bgpd", "-c", show];
  },
};

function configText({ peers, ipv6, routeServer, holdTimeS }: Setup): string {
  const neighbors = peers.map(
    ({ address, asn }) => ` neighbor ${address} remote-as ${asn}\n neighbor ${address} peer-group peers\n`,
  );
  const transparent = "  neighbor peers route-server-client\n  neighbor peers attribute-unchanged next-hop\n";
  return `frr version 8.4
frr defaults traditional
router bgp ${daemonAs}
 bgp router-id ${routerId}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 neighbor peers peer-group
 neighbor peers timers ${holdTimeS / 3} ${holdTimeS}
 neighbor peers passive
${neighbors.join("")} address-family ${ipv6 ? "ipv6" : "ipv4"} unicast
  neighbor peers activate
${routeServer ? transparent : ""} exit-address-family
`;
}
