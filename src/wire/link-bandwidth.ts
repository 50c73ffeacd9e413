/**
 * The link bandwidth extended community (draft-ietf-idr-link-bandwidth): type 0x40 (non-transitive) or 0x00
 * (transitive), subtype 4, two octets of AS number, and bytes per second as an IEEE 754 single.
 */
import { AttributeType } from "./attributes/descriptor.ts";
import { attributeEnd, findAttribute, valueAt } from "./block-walk.ts";

const nonTransitive = 0x40;
const subtype = 0x04;
const communityBytes = 8;

const view = new DataView(new ArrayBuffer(4));

/**
 * Bandwidth of the first such community in the canonical block `bytes[start, end)`.
 * @returns whole bytes per second; 0 when there is none, or when it is no positive number
 */
export function linkBandwidth(bytes: Uint8Array, start: number, end: number): number {
  const at = findAttribute(bytes, start, end, AttributeType.extendedCommunities);
  if (at < 0) return 0;
  const stop = attributeEnd(bytes, at);
  for (let i = valueAt(bytes, at); i < stop; i += communityBytes) {
    if ((bytes[i] & ~nonTransitive) !== 0 || bytes[i + 1] !== subtype) continue;
    for (let j = 0; j < 4; j++) view.setUint8(j, bytes[i + 4 + j]);
    const rate = view.getFloat32(0);
    return rate > 0 && Number.isFinite(rate) ? Math.floor(rate) : 0;
  }
  return 0;
}
