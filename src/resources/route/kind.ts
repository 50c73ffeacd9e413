/** IPv4Route and IPv6Route: a route that is declared. */
import type { Message } from "@bufbuild/protobuf";
import { parseIp } from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import { sortedHops } from "../../dataplane/artifact-facts.ts";
import { mainTable } from "../../dataplane/netlink/route-wire.ts";
import { type HopFacts, routeKey } from "../../dataplane/netlink/route-write.ts";
import {
  type IPv4RouteSpec,
  type IPv6RouteSpec,
  type RouteHop,
  RouteType,
} from "../../gen/cairn/v1/route_kinds_pb.ts";
import { chosenWays } from "../egress-route-policy/ways.ts";
import { deviceOf } from "../interface/kind.ts";
import { artifact, type Derivation, invalid, type ResourceKind, type Surroundings } from "../kind.ts";

type Spec = IPv4RouteSpec | IPv6RouteSpec;

/** What our routes are marked with, so that they are known from all others. */
const routeProtocol = "cairn";

const typeNames: Readonly<Record<number, string>> = {
  [RouteType.UNSPECIFIED]: "unicast",
  [RouteType.UNICAST]: "unicast",
  [RouteType.BLACKHOLE]: "blackhole",
  [RouteType.UNREACHABLE]: "unreachable",
  [RouteType.PROHIBIT]: "prohibit",
};

export const ipv4RouteKind = kindOf("IPv4Route", 4, 0);
export const ipv6RouteKind = kindOf("IPv6Route", 16, 1024);

function kindOf(kind: string, bytes: 4 | 16, metric: number): ResourceKind {
  return {
    kind,
    check: (message) => checkRoute(message as Spec, bytes),

    derive(message: Message, around: Surroundings): Derivation {
      const spec = message as Spec;
      const hops: HopFacts[] = [];
      for (const hop of spec.hops) {
        if (hop.egressPolicy !== "") {
          const { ways, why } = chosenWays(hop.egressPolicy, around);
          if (ways.length === 0) return { artifacts: [], pending: { reason: "NO_CANDIDATE", message: why } };
          const isOne = ways.length === 1;
          for (const { device, gateway, weight } of ways)
            hops.push({
              ...(gateway !== "" && { gateway }),
              device,
              weight: isOne ? 1 : Math.min(weight, 256),
            });
          continue;
        }
        const device = hop.interface === "" ? "" : deviceOf(hop.interface, around);
        if (device !== "" && !around.link(device)?.enabled) {
          const why = around.link(device) ? "is down" : "is not there";
          const pending = { reason: "DEVICE_MISSING", message: `link ${device} ${why}` };
          return { artifacts: [], pending };
        }
        hops.push(hopFacts(hop, device));
      }
      const facts = {
        protocol: routeProtocol,
        type: typeNames[spec.type],
        hops: sortedHops(hops),
        ...(spec.preferredSource !== "" && { source: spec.preferredSource }),
      };
      const key = routeKey(spec.table ?? mainTable, spec.destination, spec.metric ?? metric);
      return { artifacts: [artifact(spec, "route", key, facts)] };
    },
  };
}

function hopFacts(hop: RouteHop, device: string): HopFacts {
  return {
    ...(hop.gateway !== "" && { gateway: hop.gateway }),
    ...(device !== "" && { device }),
    weight: hop.weight ?? 1,
  };
}

function checkRoute(spec: Spec, bytes: 4 | 16): Problem[] {
  const problems: Problem[] = [];
  const family = bytes === 4 ? "IPv4" : "IPv6";
  const check = (path: string, text: string): void => {
    const address = text === "" ? undefined : parseIp(text.split("/")[0]);
    if (address && address.length !== bytes) problems.push(invalid(path, `${text} is not ${family}`));
  };
  check("destination", spec.destination);
  check("preferred_source", spec.preferredSource);
  const type = typeNames[spec.type];
  if (type === undefined) problems.push(invalid("type", `there is no route type ${spec.type}`));
  else if (type !== "unicast" && spec.hops.length > 0) {
    problems.push(invalid("hops", `a route of type ${type} leads nowhere`, "leave hops out"));
  } else if (type === "unicast" && spec.hops.length === 0) {
    problems.push({ code: "REQUIRED", path: "hops", message: "a unicast route needs at least one way" });
  }
  spec.hops.forEach((hop, i) => {
    const isOwn = hop.gateway !== "" || hop.interface !== "";
    if (hop.egressPolicy !== "" && isOwn) {
      const message = "an egress policy says gateway and interface";
      problems.push(invalid(`hops[${i}].egress_policy`, message, "leave them out, or the policy"));
    } else if (hop.egressPolicy === "" && !isOwn) {
      problems.push({
        code: "REQUIRED",
        path: `hops[${i}].gateway`,
        message: "a way needs a gateway, an interface or an egress policy",
      });
    }
    // An IPv4 route may have an IPv6 gateway (RTA_VIA, RFC 8950), not the other way round.
    if (bytes === 16) check(`hops[${i}].gateway`, hop.gateway);
  });
  return problems;
}
