/** IPv4StaticAddress and IPv6StaticAddress: an address on a link. */
import type { Message } from "@bufbuild/protobuf";
import { parseIp } from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import type { IPv4StaticAddressSpec, IPv6StaticAddressSpec } from "../../gen/cairn/v1/link_kinds_pb.ts";
import { deviceOf } from "../interface/kind.ts";
import { artifact, type Derivation, invalid, type ResourceKind, type Surroundings } from "../kind.ts";

type Spec = IPv4StaticAddressSpec | IPv6StaticAddressSpec;

export const ipv4StaticAddressKind = kindOf("IPv4StaticAddress", 4);
export const ipv6StaticAddressKind = kindOf("IPv6StaticAddress", 16);

function kindOf(kind: string, bytes: 4 | 16): ResourceKind {
  return {
    kind,
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
