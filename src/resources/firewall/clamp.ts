/**
 * The MSS of TCP connections through a zone is lowered to what fits (RFC 879, RFC 6691): what leaves through its links by the MTU
 * of the way there and back, which the kernel knows; what comes in through them by the MTU of the link. The kernel only
 * ever lowers it.
 */
import type { FirewallZoneSpec } from "../../gen/cairn/v1/firewall_kinds_pb.ts";
import type { Surroundings } from "../kind.ts";
import { links, type NftGroups, orderOf, rule } from "../nft/expressions.ts";

/** Headers of IP and TCP without options, and what every host takes (RFC 9293 3.7.1, RFC 8200 5). */
const families = [
  { match: "meta nfproto ipv4", headerBytes: 40, leastMss: 536 },
  { match: "meta nfproto ipv6", headerBytes: 60, leastMss: 1220 },
] as const;

const step = 500;
const opening = "tcp flags syn / syn,rst";

/** @returns what is done, for the status; empty for nothing */
export function clampMss(
  groups: NftGroups,
  { clampMss: isWanted, mss }: FirewallZoneSpec,
  devices: readonly string[],
  around: Surroundings,
): string {
  if (!isWanted || devices.length === 0) return "";
  const out = links("oifname", devices);
  const set = (value: number | string): string => `counter tcp option maxseg size set ${value}`;
  if (mss !== undefined) {
    const rules = [out, links("iifname", devices)].map((match) => rule(match, opening, set(mss)));
    groups.rules("clamp", orderOf(step, 0), rules);
    return String(mss);
  }
  const told: string[] = [];
  const incoming = devices.flatMap((device) => {
    const mtu = around.link(device)?.mtu;
    if (mtu === undefined) return [];
    const values = families.map(({ headerBytes, leastMss }) => Math.max(leastMss, mtu - headerBytes));
    told.push(`${device} ${values.join("/")}`);
    return families.map(({ match }, i) => rule(match, links("iifname", [device]), opening, set(values[i])));
  });
  groups.rules("clamp", orderOf(step, 0), [rule(out, opening, set("rt mtu")), ...incoming]);
  return told.join(", ");
}
