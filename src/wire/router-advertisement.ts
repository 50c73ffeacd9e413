/**
 * Router advertisements (RFC 4861 4.2), as far as neighbors on a link need them to find each other: we say that we are
 * there and offer nothing (no default router, no prefixes), and of others we look at where they are.
 */

export const routerAdvertisementType = 134;
/** RFC 4861 6.1.2: any other value means that the packet came from beyond the link. */
export const onLinkHopLimit = 255;

const fixedBytes = 16;

/** The ICMPv6 message without its checksum, which the kernel fills in. A lifetime of 0: nobody takes us for a default router. */
export function encodeRouterAdvertisement(): Uint8Array {
  const bytes = new Uint8Array(fixedBytes);
  bytes[0] = routerAdvertisementType;
  return bytes;
}

/**
 * Judges an ICMPv6 message by RFC 4861 6.1.2; the kernel has checked the checksum.
 * @param hopLimit of the packet; @param isLinkLocal whether its source address is
 * @returns true for a router advertisement from a neighbor on the link
 */
export function isRouterAdvertisement(
  bytes: Uint8Array,
  length: number,
  hopLimit: number,
  isLinkLocal: boolean,
): boolean {
  if (length < fixedBytes || bytes[0] !== routerAdvertisementType || bytes[1] !== 0) return false;
  if (hopLimit !== onLinkHopLimit || !isLinkLocal) return false;
  for (let at = fixedBytes; at < length; ) {
    const optionBytes = at + 1 < length ? bytes[at + 1] * 8 : 0;
    if (optionBytes === 0 || at + optionBytes > length) return false;
    at += optionBytes;
  }
  return true;
}
