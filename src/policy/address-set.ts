/** Sets of addresses, such as next hops: hosts and prefixes, looked up by binary search. */

import { formatIp } from "../base/ip.ts";
import { families } from "../wire/family.ts";
import { parseHostOrPrefix } from "./neighbor-set.ts";
import { compilePrefixSet } from "./prefix-set.ts";
import { RouteKey } from "./route-key.ts";

/** A compiled, immutable set. */
export interface AddressSet {
  /** @param address 4, 16 or (RFC 2545: the global one counts) 32 bytes; none when empty */
  matches(address: Uint8Array): boolean;
}

/** Compiles texts that `readHostOrPrefix` has passed. */
export function compileAddressSet(texts: readonly string[]): AddressSet {
  const set = compilePrefixSet(
    texts.map((text) => {
      const { bytes, length } = parseHostOrPrefix(text);
      return { prefix: `${formatIp(bytes)}/${length}`, le: bytes.length * 8 };
    }),
  );
  const key = new RouteKey();
  return {
    matches(address) {
      if (address.length === 0) return false;
      const bytes = Math.min(16, address.length);
      const family = families.find(({ addressBytes }) => addressBytes === bytes);
      return family !== undefined && set.matches(key.setNlri(family, address, 0, bytes * 8));
    },
  };
}
