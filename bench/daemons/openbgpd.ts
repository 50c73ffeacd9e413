import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { daemonAddress4, daemonAddress6 } from "../namespace.ts";
import { type Adapter, daemonAs, routerId, type Setup } from "./daemon.ts";

/** Its processes give up their rights and lock themselves in here; the directory stays empty. */
const chroot = "/run/openbgpd";

export const openbgpd: Adapter = {
  name: "openbgpd",
  programs: ["/usr/sbin/bgpd", "/usr/sbin/openbgpd"],
  can: ({ filter }) => filter === undefined,
  configure(setup, directory) {
    mkdirSync(chroot, { mode: 0o755, recursive: true });
    const file = join(directory, "bgpd.conf");
    writeFileSync(file, configText(setup, directory), { mode: 0o600 });
    return { command: ["/usr/sbin/bgpd", "-d", "-f", file] };
  },
  list: (_, directory) => ["bgpctl", "-s", join(directory, "control"), "show", "rib", "selected"],
};

function configText({ peers, ipv6, routeServer, holdTimeS }: Setup, directory: string): string {
  const neighbors = peers.map(({ address, asn }) => `  neighbor ${address} { remote-as ${asn} }`);
  return `AS ${daemonAs}
router-id ${routerId}
listen on ${ipv6 ? daemonAddress6 : daemonAddress4}
socket "${join(directory, "control")}"
holdtime ${holdTimeS}
fib-update no
nexthop qualify via default
${routeServer ? "transparent-as yes" : ""}
group "peers" {
  passive
  announce ${ipv6 ? "IPv6" : "IPv4"} unicast
${neighbors.join("\n")}
}
allow from any
allow to any
match to any set nexthop ${routeServer ? "no-modify" : "self"}
`;
}
