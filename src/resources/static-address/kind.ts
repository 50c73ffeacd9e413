/** IPv4StaticAddress and IPv6StaticAddress: an address on a link. */
import type { Message } from "@bufbuild/protobuf";
import { parseIp } from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import {
  type InterfaceSpec,
  InterfaceType,
  type IPv4StaticAddressSpec,
  type IPv6StaticAddressSpec,
} from "../../gen/cairn/v1/link_kinds_pb.ts";
import { deviceOf, ifnameOf } from "../interface/kind.ts";
import {
  artifact,
  type Changed,
  type Derivation,
  invalid,
  type ResourceKind,
  type Surroundings,
} from "../kind.ts";
import { eachOverlap } from "./overlap.ts";

type Spec = IPv4StaticAddressSpec | IPv6StaticAddressSpec;

export const ipv4StaticAddressKind = kindOf("IPv4StaticAddress", 4);
export const ipv6StaticAddressKind = kindOf("IPv6StaticAddress", 16);

function kindOf(kind: string, bytes: 4 | 16): ResourceKind {
  return {
    kind,
    inherits: ["Interface"],
    checkAll: (changed, objects) => overlaps(kind, changed, objects),
    check(message: Message): Problem[] {
      const [text] = (message as Spec).address.split("/");
      const address = parseIp(text);
      if (!address) return [];
      if (address.length !== bytes) {
        const other = bytes === 4 ? "IPv6StaticAddress" : "IPv4StaticAddress";
        return [
          invalid("address", `${text} is not an IPv${bytes === 4 ? 4 : 6} address`, `declare an ${other}`),
        ];
      }
      const isMulticast = bytes === 4 ? address[0] >= 224 : address[0] === 0xff;
      if (isMulticast || address.every((byte) => byte === 0)) {
        return [invalid("address", `${text} is not the address of a host`)];
      }
      return [];
    },

    derive(message: Message, around: Surroundings): Derivation {
      const spec = message as Spec;
      const device = deviceOf(spec.interface, around);
      const link = around.link(device);
      if (!link) {
        return {
          artifacts: [],
          pending: { reason: "DEVICE_MISSING", message: `link ${device} is not there` },
        };
      }
      const values = { device, address: spec.address.split("/")[0], prefix: spec.address };
      return { artifacts: [artifact(spec, "address", `${device} ${spec.address}`, {})], values };
    },
  };
}

/** Prefixes that lie on two links of one routing domain. Of two addresses the one that the transaction brings is wrong. */
function overlaps(
  kind: string,
  changed: Changed,
  objects: (kind: string) => Iterable<Message>,
): { name: string; problem: Problem }[] {
  const links = new Map(
    [...objects("Interface")].map((each) => [(each as InterfaceSpec).name, each as InterfaceSpec]),
  );
  const domains = domainsOf(links);
  const isNew = (name: string, on: string): boolean => changed(kind, name) || changed("Interface", on);
  const specs = new Map([...objects(kind)].map((each) => [(each as Spec).name, each as Spec]));
  const placed = [...specs.values()].map(({ name, interface: on, address, allowOverlap }) => {
    const link = links.get(on);
    return { name, address, allowOverlap, device: link ? ifnameOf(link) : on, domain: domains.get(on) ?? "" };
  });
  const found: { name: string; problem: Problem }[] = [];
  eachOverlap(placed, (outer, inner) => {
    const [one, other] = isNew(inner.name, specs.get(inner.name)!.interface)
      ? [inner, outer]
      : [outer, inner];
    if (!isNew(one.name, specs.get(one.name)!.interface)) return;
    const message = `${one.address} on ${one.device} overlaps with ${other.address} of ${kind}/${other.name} on ${other.device}`;
    found.push({ name: one.name, problem: invalid("address", message, "set allow_overlap if it is meant") });
  });
  return found;
}

/** The VRF of each interface that belongs to one, said by itself or by the VRF. */
function domainsOf(links: ReadonlyMap<string, InterfaceSpec>): Map<string, string> {
  const domains = new Map<string, string>();
  for (const { name, type, master, members } of links.values()) {
    if (links.get(master)?.type === InterfaceType.VRF) domains.set(name, master);
    if (type !== InterfaceType.VRF) continue;
    domains.set(name, name);
    for (const member of members) domains.set(member, name);
  }
  return domains;
}
