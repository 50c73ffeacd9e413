/** What the kernel's links and routes are as artifacts. */
import { formatIp, formatPrefix } from "../base/ip.ts";
import type { Fact, Facts } from "./artifact.ts";
import { type KernelRoute, type Link, ownProtocol, protocolName } from "./kernel-model.ts";
import type { KernelFact } from "./kernel-port.ts";
import { type HopFacts, routeKey } from "./netlink/route-write.ts";

/** Artifacts of the classes link, link-setting and address. */
export function linkFacts(links: readonly Link[]): KernelFact[] {
  const byIndex = new Map(links.map((link) => [link.index, link]));
  const nameOf = (index: number): string => byIndex.get(index)?.name ?? "";
  return links.flatMap((link) => {
    const { name } = link;
    const setting = (property: string, value: Fact): KernelFact => ({
      class: "link-setting",
      key: `${name} ${property}`,
      observed: { facts: { value }, identity: "" },
    });
    return [
      {
        class: "link",
        key: name,
        observed: { facts: kindFacts(link, nameOf), identity: String(link.index) },
      },
      setting("mtu", link.mtu),
      setting("admin", link.enabled ? "up" : "down"),
      setting("master", nameOf(link.master)),
      ...(link.mac === "" ? [] : [setting("mac", link.mac)]),
      ...(link.vlans ? [setting("vlans", link.vlans)] : []),
      ...link.addresses.map(({ address, length }) => ({
        class: "address",
        key: `${name} ${formatIp(address)}/${length}`,
        observed: { facts: {}, identity: "" },
      })),
    ];
  });
}

function kindFacts({ kind, parent, data }: Link, nameOf: (index: number) => string): Facts {
  const other = nameOf(parent);
  return {
    kind,
    ...(other !== "" && (kind === "veth" ? { peer: other } : { parent: other })),
    ...data,
  };
}

export function routeFact(route: KernelRoute, nameOf: (index: number) => string): KernelFact {
  const { destination, table, metric, protocol, type, hops, source } = route;
  const facts: Record<string, Fact> = {
    protocol: protocolName(protocol),
    type,
    // A route that discards has the loopback link for a way in IPv6, which nobody asked for.
    hops: type === "unicast" ? sortedHops(hops.map((hop) => hopFacts(hop, nameOf))) : [],
  };
  if (source) facts.source = formatIp(source);
  const identity = protocol === ownProtocol ? "cairn" : protocolName(protocol);
  return {
    class: "route",
    key: routeKey(table, formatPrefix(destination), metric),
    observed: { facts, identity },
  };
}

function hopFacts(
  { link, gateway, weight }: KernelRoute["hops"][number],
  nameOf: (index: number) => string,
): HopFacts {
  const device = nameOf(link);
  return { ...(gateway && { gateway: formatIp(gateway) }), ...(device !== "" && { device }), weight };
}

/** The order of ways means nothing: the kernel has its own. */
export function sortedHops<T extends HopFacts>(hops: readonly T[]): T[] {
  const text = ({ gateway = "", device = "" }: HopFacts): string => `${gateway} ${device}`;
  return [...hops].sort((a, b) => (text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : a.weight - b.weight));
}
