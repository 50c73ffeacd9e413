/** Neighbor: one BGP neighbor. Rules look at what it inherits too, so they run again when group or Global change. */
import type { Message } from "@bufbuild/protobuf";
import { formatIp, parseIp } from "../../base/ip.ts";
import { isLinkLocalAddress, parsePeer } from "../../base/peer-address.ts";
import type { Problem } from "../../base/problem.ts";
import type { GlobalSpec } from "../../gen/cairn/v1/global_service_pb.ts";
import { type NeighborSpec, RemoteAs } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import type { PeerGroupSpec } from "../../gen/cairn/v1/peer_group_service_pb.ts";
import { durationMs } from "../schema.ts";
import { sessionAses } from "../session-ases.ts";
import { remoteAsOf } from "./remote-as.ts";
import { type HostAbilities, invalid, type KindRules, type SpecLookup } from "./rules.ts";
import { checkSessionFields } from "./session-fields.ts";

export const neighborRules: KindRules = {
  inherits: ["Global", "PeerGroup"],
  deleteResets: true,
  sortKey: addressKey,
  check(message: Message, lookup: SpecLookup, host: HostAbilities): Problem[] {
    const spec = message as NeighborSpec;
    return [
      ...checkAddresses(spec, lookup),
      ...checkSessionFields(spec, host),
      ...checkInherited(spec, lookup),
    ];
  },
};

/** Orders IPv4 before IPv6, each by number. */
function addressKey(name: string): string {
  const peer = parsePeer(name);
  if (!peer?.bytes) return name;
  const { bytes, zone } = peer;
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${bytes.length === 4 ? "4" : "6"}${digits}${zone}`;
}

function checkAddresses(spec: NeighborSpec, lookup: SpecLookup): Problem[] {
  const peer = parsePeer(spec.address);
  if (!peer) return [];
  const { bytes, zone } = peer;
  const problems: Problem[] = [];
  const refuse = (why: string, fix?: string): number =>
    problems.push(invalid("address", `${spec.address} ${why}`, fix));
  if (bytes?.every((byte) => byte === 0)) refuse("is not the address of a neighbor");
  if (bytes?.length === 4 && bytes[0] >= 224) refuse("is not a unicast address");
  if (bytes?.length === 16) {
    if (bytes[0] === 0xff) refuse("is not a unicast address");
    if (isLinkLocalAddress(bytes) && zone === "") {
      refuse("is link-local and needs its interface", `write ${spec.address}%eth0`);
    }
    if (formatIp(bytes).startsWith("::ffff:") && bytes.subarray(0, 10).every((byte) => byte === 0)) {
      refuse("is an IPv4 address written as IPv6", `write ${formatIp(bytes, 12)}`);
    }
  }
  const local = spec.localAddress ?? groupOf(spec, lookup)?.localAddress;
  const localBytes = local === undefined ? undefined : parseIp(local);
  if (localBytes && localBytes.length !== (bytes?.length ?? 16)) {
    const from = spec.localAddress === undefined ? ` (from peer group ${spec.peerGroup})` : "";
    problems.push(
      invalid("local_address", `local_address ${local}${from} is not of the same family as ${spec.address}`),
    );
  } else if (localBytes && bytes && formatIp(localBytes) === formatIp(bytes)) {
    problems.push(invalid("local_address", `local_address is the neighbor's own address`));
  }
  if (zone !== "" && (spec.multihopTtl ?? groupOf(spec, lookup)?.multihopTtl)) {
    problems.push(invalid("multihop_ttl", `${spec.address} is on a link of ours: no hops lie between`));
  }
  return problems;
}

function checkInherited(spec: NeighborSpec, lookup: SpecLookup): Problem[] {
  const global = lookup("Global", "global") as GlobalSpec | undefined;
  if (!global) {
    const message = "a neighbor needs the router's own AS number and router id, which are not set";
    return [{ code: "REF_MISSING", path: "", message, fix: "set Global asn and router_id first" }];
  }
  const group = groupOf(spec, lookup);
  const localAsn = spec.localAsn ?? group?.localAsn ?? global.asn;
  const { asn: remoteAsn, word } = remoteAsOf(spec, group, localAsn);
  if (remoteAsn === undefined && word === RemoteAs.UNSPECIFIED) {
    const message = group
      ? `remote_asn is missing: neither the neighbor nor peer group ${spec.peerGroup} has it`
      : "remote_asn is missing";
    return [{ code: "REQUIRED", path: "remote_asn", message }];
  }
  const problems: Problem[] = [];
  const given = spec.localAsn ?? group?.localAsn;
  const { external, confederationMember } = sessionAses(remoteAsn, given, global);
  const internal = !external && !confederationMember;
  const whole = global.confederation?.identifier;
  if (whole !== undefined && remoteAsn === whole && remoteAsn !== global.asn) {
    const message = `AS ${remoteAsn} is that of our own confederation`;
    problems.push(invalid("remote_asn", message, "give the neighbor's member AS"));
  }
  if (confederationMember && given !== undefined) {
    problems.push(
      invalid("local_asn", `local_asn is not for members of our confederation, and AS ${remoteAsn} is one`),
    );
  }
  problems.push(...checkLocalAs(spec, group));
  const only = (field: string, here: boolean, wanted: string): void => {
    const from = here ? "" : ` (from peer group ${spec.peerGroup})`;
    const found = internal ? "an iBGP" : confederationMember ? "a confederation" : "an eBGP";
    problems.push(
      invalid(field, `${field}${from} is for ${wanted} only, and ${spec.address} is ${found} neighbor`),
    );
  };
  if (internal && (spec.multihopTtl ?? group?.multihopTtl ?? 0) > 0) {
    only("multihop_ttl", spec.multihopTtl !== undefined, "eBGP");
  }
  if (!external && (spec.routeServerClient ?? group?.routeServerClient)) {
    only("route_server_client", spec.routeServerClient !== undefined, "eBGP");
  }
  if (!internal && (spec.routeReflectorClient ?? group?.routeReflectorClient)) {
    only("route_reflector_client", spec.routeReflectorClient !== undefined, "iBGP");
  }
  if (!external && (spec.asOverride ?? group?.asOverride)) {
    only("as_override", spec.asOverride !== undefined, "eBGP");
  }
  if (external && (spec.longLivedPartial ?? group?.longLivedPartial)) {
    only("long_lived_partial", spec.longLivedPartial !== undefined, "iBGP");
  }
  if (!external && (spec.role ?? group?.role)) only("role", spec.role !== undefined, "eBGP");
  const strict = spec.strictRole ?? group?.strictRole;
  if (strict && !(spec.role ?? group?.role)) {
    problems.push(invalid("strict_role", "strict_role needs a role", "set role"));
  }
  return [...problems, ...checkProtection(spec, group), ...checkKeepalive(spec, group, global)];
}

/** What local_asn is told to do needs local_asn. */
function checkLocalAs(spec: NeighborSpec, group: PeerGroupSpec | undefined): Problem[] {
  if ((spec.localAsn ?? group?.localAsn) !== undefined) return [];
  const wanted = [
    ["local_as_no_prepend", spec.localAsNoPrepend],
    ["local_as_replace_as", spec.localAsReplaceAs],
    ["local_as_dual_as", spec.localAsDualAs],
  ] as const;
  return wanted
    .filter(([, isSet]) => isSet)
    .map(([field]) => invalid(field, `${field} needs local_asn`, "set local_asn"));
}

/** What cannot go together, wherever each comes from. */
function checkProtection(spec: NeighborSpec, group: PeerGroupSpec | undefined): Problem[] {
  const problems: Problem[] = [];
  if ((spec.ttlSecurity ?? group?.ttlSecurity) && (spec.multihopTtl ?? group?.multihopTtl)) {
    const fix = "ttl_security counts hops itself: leave multihop_ttl out, or set it to 0";
    problems.push(invalid("ttl_security", "ttl_security and multihop_ttl exclude each other", fix));
  }
  if ((spec.password ?? group?.password) !== undefined && (spec.keychain ?? group?.keychain)) {
    const message = "a connection has either TCP MD5 (password) or TCP-AO (keychain)";
    problems.push(invalid("keychain", message, "clear one of them"));
  }
  return problems;
}

/** A keepalive interval that is not shorter than the hold time would end the session by itself. */
function checkKeepalive(spec: NeighborSpec, group: PeerGroupSpec | undefined, global: GlobalSpec): Problem[] {
  const keepaliveMs = durationMs(spec.keepaliveTime ?? group?.keepaliveTime);
  const hold = spec.holdTime ?? group?.holdTime ?? global.holdTime;
  const holdMs = hold ? durationMs(hold) : 90_000;
  if (keepaliveMs === 0 || holdMs === 0 || keepaliveMs < holdMs) return [];
  return [
    invalid(
      "keepalive_time",
      `keepalive_time (${keepaliveMs / 1000} s) must be shorter than hold_time (${holdMs / 1000} s)`,
      "leave it out for a third of the hold time",
    ),
  ];
}

function groupOf(spec: NeighborSpec, lookup: SpecLookup): PeerGroupSpec | undefined {
  return spec.peerGroup === ""
    ? undefined
    : (lookup("PeerGroup", spec.peerGroup) as PeerGroupSpec | undefined);
}
