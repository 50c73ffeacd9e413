/** The candidates of an EgressRoutePolicy as ways through links, for itself and for those who follow it. */
import { maskBytes, parseIp } from "../../base/ip.ts";
import { isLinkLocalAddress } from "../../base/peer-address.ts";
import type { Link } from "../../dataplane/kernel-model.ts";
import {
  type EgressCandidate,
  EgressMode,
  type EgressRoutePolicySpec,
  IpVersion,
} from "../../gen/cairn/v1/egress_service_pb.ts";
import { deviceOf } from "../interface/kind.ts";
import type { Surroundings } from "../kind.ts";
import type { Sight } from "./selection.ts";

export interface Way {
  readonly name: string;
  /** Name of the link in the kernel; empty for none. */
  readonly device: string;
  /** Empty: destinations are on the link. */
  readonly gateway: string;
  readonly weight: number;
}

export function wayOf({ name, interface: link, gateway, weight }: EgressCandidate, around: Around): Way {
  return { name, device: link === "" ? "" : deviceOf(link, around), gateway, weight: weight ?? 100 };
}

type Around = Pick<Surroundings, "spec">;

/** Links that packets of a policy leave through, whichever is chosen; sorted. */
export function devicesOfPolicy(policy: string, around: Around): string[] {
  const spec = around.spec("EgressRoutePolicy", policy) as EgressRoutePolicySpec | undefined;
  const devices = (spec?.candidates ?? []).map((candidate) => wayOf(candidate, around).device);
  return [...new Set(devices.filter((device) => device !== ""))].sort();
}

/** Ways that new flows of a policy take at the moment. Candidates that are tables have none. */
export function chosenWays(
  policy: string,
  around: Pick<Surroundings, "spec" | "egress">,
): { readonly ways: readonly Way[]; readonly why: string } {
  const spec = around.spec("EgressRoutePolicy", policy) as EgressRoutePolicySpec | undefined;
  const selection = around.egress(policy);
  if (!spec || !selection) return { ways: [], why: `egress policy ${policy} has chosen nothing yet` };
  const ways = selection.chosen.flatMap((name) => {
    const candidate = spec.candidates.find((each) => each.name === name && each.table === undefined);
    return candidate ? [wayOf(candidate, around)] : [];
  });
  const why = ways.length > 0 ? "" : `egress policy ${policy}: ${selection.reason}`;
  return { ways: spec.mode === EgressMode.HASH ? ways : ways.slice(0, 1), why };
}

export function ipVersionOf({ ipVersion }: EgressRoutePolicySpec): 4 | 6 {
  return ipVersion === IpVersion.IPV6 ? 6 : 4;
}

/** Whether link, address and gateway of a candidate are as they must be. */
export function linkSight(candidate: EgressCandidate, version: 4 | 6, around: LinkAround): Sight {
  const no = (why: string): Sight => ({ ready: "no", why });
  if (candidate.disabled) return no("it is disabled");
  const { device, gateway } = wayOf(candidate, around);
  if (device === "") return { ready: "yes", why: "" };
  const link = around.link(device);
  if (!link) return no(`link ${device} is not there`);
  if (!link.up)
    return no(`link ${device} is ${link.enabled ? `up without a carrier (${link.operState})` : "down"}`);
  const own = addressesOf(link, version);
  if (own.length === 0) return no(`link ${device} has no IPv${version} address`);
  if (gateway !== "" && !isOnLink(link, gateway))
    return no(`gateway ${gateway} is on no network of link ${device}`);
  return { ready: "yes", why: "" };
}

type LinkAround = Pick<Surroundings, "spec" | "link">;

/** Addresses of a version that are valid beyond the link. */
export function addressesOf({ addresses }: Link, version: 4 | 6): Uint8Array[] {
  return addresses
    .map(({ address }) => address)
    .filter((address) => address.length === (version === 4 ? 4 : 16) && !isLinkLocalAddress(address));
}

/** Whether the kernel takes the gateway for a neighbor on the link. */
export function isOnLink({ addresses }: Link, gateway: string): boolean {
  const wanted = parseIp(gateway)!;
  if (wanted.length === 16 && isLinkLocalAddress(wanted)) return true;
  return addresses.some(({ address, length }) => {
    if (address.length !== wanted.length) return false;
    const [network, other] = [address.slice(), wanted.slice()];
    maskBytes(network, length);
    maskBytes(other, length);
    return network.every((byte, i) => byte === other[i]);
  });
}
