/** Links and next hops as messages of the API. */
import { create } from "@bufbuild/protobuf";
import { formatIp } from "../base/ip.ts";
import { type Link as LinkMessage, LinkSchema } from "../gen/cairn/v1/interface_service_pb.ts";
import { type NextHop, NextHopSchema } from "../gen/cairn/v1/rib_service_pb.ts";
import type { Links } from "./links.ts";
import type { TrackedNextHop } from "./next-hop-tracker.ts";

/** Links by index. */
export function linkMessages(links: Links): LinkMessage[] {
  const all = [...links.all()].sort((a, b) => a.index - b.index);
  return all.map(({ master, addresses, loopback: _, operState, ...link }) =>
    create(LinkSchema, {
      ...link,
      state: operState,
      master: master === 0 ? "" : (links.get(master)?.name ?? String(master)),
      addresses: addresses.map(({ address, length }) => `${formatIp(address)}/${length}`),
    }),
  );
}

/** @param paths accepted paths that have it */
export function nextHopMessage(hop: TrackedNextHop, paths: number, nowMs: number): NextHop {
  const { way } = hop;
  return create(NextHopSchema, {
    address: hop.text,
    reachable: way?.reachable ?? false,
    connected: way?.onLink ?? false,
    metric: way?.metric ?? 0,
    exits: (way?.out ?? []).map(({ interface: name, gateway }) => {
      return { interface: name, gateway: gateway ? formatIp(gateway) : "" };
    }),
    prefix: way?.prefix ?? "",
    protocol: way?.protocol ?? "",
    through: [...(way?.through ?? [])],
    reason: way ? way.why : "not looked up yet",
    paths: BigInt(paths),
    held: hop.notBeforeMs > nowMs,
  });
}
