/**
 * VLANs of bridge ports (linux/if_bridge.h): a list in the facts of a port, `10 pvid untagged`, `20`, in the order of
 * their numbers, and the messages of the bridge family that tell and change it.
 */
import { RouteMessage } from "./route-wire.ts";
import { eachAttribute, MessageFlag, type NetlinkWriter, read16, read32 } from "./wire.ts";

/** AF_BRIDGE */
export const bridgeFamily = 7;

/** IFLA_AF_SPEC, IFLA_EXT_MASK, and in the former IFLA_BRIDGE_FLAGS and IFLA_BRIDGE_VLAN_INFO. */
const Attribute = { portSpec: 26, filter: 29, flags: 0, vlan: 2 };
/** RTEXT_FILTER_BRVLAN_COMPRESSED: neighboring VLANs that are alike come as a range. */
const compressed = 1 << 2;
/** BRIDGE_VLAN_INFO_* */
const Flag = { pvid: 2, untagged: 4, rangeBegin: 8, rangeEnd: 16 };
/** BRIDGE_FLAGS_SELF: of the bridge itself, and not of one of its ports. */
const self = 2;

/** One VLAN as it stands in the facts. */
export function vlanText(id: number, isPvid: boolean, isUntagged: boolean): string {
  return `${id}${isPvid ? " pvid" : ""}${isUntagged ? " untagged" : ""}`;
}

export function askBridgePorts(out: NetlinkWriter, sequence: number): void {
  out.begin(RouteMessage.getLink, MessageFlag.request | MessageFlag.dump, sequence);
  for (const word of [bridgeFamily, 0, 0, 0]) out.u32(word);
  out.attribute32(Attribute.filter, compressed);
  out.end();
}

/** Payload of RTM_NEWLINK of the bridge family; undefined when it is none. */
export function readBridgePort(
  bytes: Uint8Array,
  at: number,
  end: number,
): { readonly index: number; readonly vlans: readonly string[] } | undefined {
  if (at + 16 > end || bytes[at] !== bridgeFamily) return undefined;
  const vlans: string[] = [];
  let begin = 0;
  eachAttribute(bytes, at + 16, end, (type, from, to) => {
    if (type !== Attribute.portSpec) return;
    eachAttribute(bytes, from, to, (inner, innerFrom, innerTo) => {
      if (inner !== Attribute.vlan || innerTo - innerFrom < 4) return;
      const flags = read16(bytes, innerFrom);
      const id = read16(bytes, innerFrom + 2);
      if ((flags & Flag.rangeBegin) !== 0) {
        begin = id;
        return;
      }
      const first = (flags & Flag.rangeEnd) !== 0 && begin !== 0 ? begin : id;
      for (let each = first; each <= id && each < 4096; each++)
        vlans.push(vlanText(each, (flags & Flag.pvid) !== 0, (flags & Flag.untagged) !== 0));
    });
  });
  return { index: read32(bytes, at + 4), vlans };
}

/** Takes VLANs off a port, or puts them on it. @param isBridge it is the bridge itself */
export function writePortVlans(
  out: NetlinkWriter,
  sequence: number,
  verb: "add" | "remove",
  index: number,
  isBridge: boolean,
  vlans: readonly string[],
): void {
  const type = verb === "add" ? RouteMessage.setLink : RouteMessage.delLink;
  out.begin(type, MessageFlag.request | MessageFlag.ack, sequence);
  for (const word of [bridgeFamily, index, 0, 0]) out.u32(word);
  out.nested(Attribute.portSpec, () => {
    if (isBridge) out.attribute(Attribute.flags, new Uint8Array([self, 0]));
    for (const text of vlans) {
      const [id, ...words] = text.split(" ");
      const flags =
        (words.includes("pvid") ? Flag.pvid : 0) | (words.includes("untagged") ? Flag.untagged : 0);
      const number = Number(id);
      out.attribute(Attribute.vlan, new Uint8Array([flags, 0, number & 255, number >>> 8]));
    }
  });
  out.end();
}

/** VLANs that one message takes: an attribute holds at most 64 KiB. */
export const vlansPerMessage = 1000;
