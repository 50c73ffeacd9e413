/** What the API tells of multipath: in routes, and in sentences on why a path is used or not. */
import { create, toBinary } from "@bufbuild/protobuf";
import { formatIp } from "../base/ip.ts";
import { type NextHopShare, RouteSchema } from "../gen/cairn/v1/types_pb.ts";
import type { Multipath, MultipathVerdict } from "../rib/multipath.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { forwardingOf } from "./forwarding.ts";
import type { Routing } from "./routing.ts";

const noBytes = new Uint8Array();

/** The fields of a `Route` on multipath, encoded; empty for a path that is not used side by side with others. */
export function multipathFields(routing: Routing, table: RouteTable, path: number): Uint8Array {
  const { multipath, paths } = table;
  if (path === 0 || !multipath?.has(path)) return noBytes;
  const prefix = paths.prefix[path];
  const best = table.bestOf(prefix);
  const multipathWeight = multipath.weightOf(paths, best, path);
  const nextHops = path === best ? nextHopShares(routing, table, prefix) : [];
  return toBinary(RouteSchema, create(RouteSchema, { multipath: true, multipathWeight, nextHops }));
}

function nextHopShares(
  routing: Routing,
  table: RouteTable,
  prefix: number,
): Omit<NextHopShare, "$typeName" | "$unknown">[] {
  const forwarding = forwardingOf(routing, table, prefix);
  if (forwarding.kind !== "next-hops") return [];
  return forwarding.nextHops.map(({ address, neighbor, path, weight }) => {
    const first = address.length === 32 ? 16 : address.length;
    return {
      nextHop: formatIp(address, 0, first),
      nextHopLinkLocal: address.length === 32 ? formatIp(address, 16, 16) : "",
      neighbor: routing.neighbors.text[neighbor],
      pathId: table.paths.idOf(path),
      weight,
    };
  });
}

/** Why a path is used beside the best one, or is not; empty when multipath says nothing of it. */
export function multipathText(
  routing: Routing,
  table: RouteTable,
  path: number,
  verdict: MultipathVerdict | undefined,
): string {
  if (!verdict) return "";
  const { paths } = table;
  const multipath = table.multipath!;
  const from = (other: number): string => routing.neighbors.text[paths.neighbor[other]];
  switch (verdict.kind) {
    case "used":
      return usedText(multipath, table, path);
    case "worse":
      return `not used beside the best: ${verdict.step} tells them apart`;
    case "side":
      return "not used beside the best: one is external, the other internal";
    case "neighbor-as":
      return "not used beside the best: another neighbor AS (relax_as_path is off)";
    case "as-path":
      return "not used beside the best: another AS_PATH (relax_as_path is off)";
    case "nowhere":
      return "not used beside the best: one of the two leads to no next hop";
    case "med":
      return `not used beside the best: the path from ${from(verdict.other)}, of the same neighbor AS, has a better MED`;
    case "same-next-hop":
      return `not used beside the best: the path from ${from(verdict.other)} has the same next hop`;
    case "beyond-limit": {
      const limit = multipath.limitFor(paths, table.bestOf(paths.prefix[path]));
      return `not used beside the best: ${limit} paths are used at most`;
    }
  }
}

function usedText(multipath: Multipath, table: RouteTable, path: number): string {
  const { paths } = table;
  const shares = multipath.shares(paths, table.bestOf(paths.prefix[path]));
  const weight = shares.find((share) => share.path === path)?.weight ?? 0;
  if (weight === 0) return "as good as the best, but without a link bandwidth while others have one";
  const sum = shares.reduce((total, share) => total + share.weight, 0);
  const rate = multipath.bandwidthOf(paths.attr[path]);
  const because = rate > 0 ? `, link bandwidth ${rate} bytes per second` : "";
  return `used beside the best, weight ${weight} of ${sum}${because}`;
}
