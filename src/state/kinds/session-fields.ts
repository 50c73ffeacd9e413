/** Rules for the session settings that neighbors and peer groups share. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { Problem } from "../../base/problem.ts";
import type { Damping, NeighborSpec } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import type { PeerGroupSpec } from "../../gen/cairn/v1/peer_group_service_pb.ts";
import { PolicyAction } from "../../gen/cairn/v1/policy_service_pb.ts";
import { durationMs } from "../schema.ts";
import { bfdOf, checkBfd } from "./bfd.ts";
import { dampingOf } from "./damping.ts";
import { duplicates, type HostAbilities, invalid, prefixesOnly } from "./rules.ts";

/** AS number that stands for a four-octet one in two octets (RFC 6793); nobody has it. */
const asTrans = 23456;

export function checkSessionFields(spec: NeighborSpec | PeerGroupSpec, host: HostAbilities): Problem[] {
  const problems = [
    ...checkHoldTime("hold_time", spec.holdTime),
    ...checkAsn("remote_asn", spec.remoteAsn),
    ...checkAsn("local_asn", spec.localAsn),
    ...duplicates("families", spec.families, "address family"),
    ...duplicates(
      "prefix_limits",
      spec.prefixLimits.map((limit) => (limit.afterPolicy ? `accepted ${limit.family}` : limit.family)),
      "a limit for",
    ),
    ...duplicates(
      "add_path",
      spec.addPath.map(({ family }) => family),
      "Add-Path for",
    ),
    ...duplicates(
      "orf",
      spec.orf.map(({ family }) => family),
      "outbound route filtering for",
    ),
    ...prefixesOnly(
      "orf",
      spec.orf.map(({ family }) => family),
      "filters by prefix (RFC 5292)",
    ),
    ...checkDamping(spec.damping),
    ...checkBfd(spec.bfd),
    ...checkAbilities(spec, host),
  ];

  for (const field of ["importDefault", "exportDefault"] as const) {
    if ((spec[field] ?? 0) > PolicyAction.REJECT) {
      const name = field === "importDefault" ? "import_default" : "export_default";
      problems.push(invalid(name, `${name} is accept or reject`));
    }
  }
  if (durationMs(spec.keepaliveTime) % 1000 !== 0) {
    problems.push(invalid("keepalive_time", "keepalive_time must be whole seconds"));
  }
  if (spec.routeReflectorClient && spec.routeServerClient) {
    problems.push(
      invalid(
        "route_server_client",
        "route_server_client is for eBGP and route_reflector_client for iBGP: only one can be set",
      ),
    );
  }
  return problems;
}

/** Penalties have a ceiling, so that what is quiet for max_suppress is used again: it must let routes be suppressed. */
export function checkDamping(spec: Damping | undefined): Problem[] {
  const damping = dampingOf(spec);
  if (!damping) return [];
  const { reuse, suppress, ceiling } = damping;
  if (suppress <= reuse) {
    const message = `damping.suppress (${suppress}) must be more than damping.reuse (${reuse})`;
    return [invalid("damping.suppress", message)];
  }
  if (ceiling >= suppress) return [];
  const why = `with this half_life, reuse and max_suppress no penalty is above ${Math.floor(ceiling)}`;
  const fix = "make max_suppress longer or half_life shorter";
  return [invalid("damping.max_suppress", `${why}, so nothing would be suppressed at ${suppress}`, fix)];
}

/** A session that must be protected and cannot be is refused here, not run without. One that is shut down does no harm. */
function checkAbilities(spec: NeighborSpec | PeerGroupSpec, host: HostAbilities): Problem[] {
  if (spec.shutdown) return [];
  const wanted = [
    ["password", spec.password !== undefined, host.md5],
    ["ttl_security", (spec.ttlSecurity ?? 0) > 0, host.gtsm],
    ["keychain", (spec.keychain ?? "") !== "", host.tcpAo],
    ["bfd", bfdOf(spec.bfd) !== undefined, host.bfd],
  ] as const;
  return wanted
    .filter(([, isSet, missing]) => isSet && missing !== "")
    .map(([path, , missing]) => ({
      code: "WRONG_STATE",
      path,
      message: `${path} cannot be put into force here: ${missing}`,
    }));
}

/** RFC 4271 4.2: zero or at least three seconds. */
export function checkHoldTime(path: string, holdTime: Duration | undefined): Problem[] {
  if (!holdTime) return [];
  const ms = durationMs(holdTime);
  if (ms % 1000 !== 0 || holdTime.nanos % 1_000_000 !== 0)
    return [invalid(path, `${path} must be whole seconds`)];
  return ms === 1000 || ms === 2000
    ? [invalid(path, `${path} must be 0 or at least 3 seconds (RFC 4271 4.2)`)]
    : [];
}

export function checkAsn(path: string, asn: number | undefined): Problem[] {
  return asn === asTrans ? [invalid(path, `AS ${asTrans} is reserved as AS_TRANS (RFC 6793)`)] : [];
}
