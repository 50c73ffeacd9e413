/** The host's interface addresses as an input of the core. */
import { networkInterfaces } from "node:os";
import { formatIp, parseIp } from "../base/ip.ts";
import type { HostAddress } from "../state/inputs.ts";

/** Addresses with the lengths of their on-link prefixes. */
export function hostAddresses(): HostAddress[] {
  const addresses: HostAddress[] = [];
  for (const [name, entries] of Object.entries(networkInterfaces())) {
    for (const entry of entries ?? []) {
      const bytes = parseIp(entry.address);
      const length = Number(entry.cidr?.split("/")[1] ?? Number.NaN);
      if (bytes && Number.isInteger(length))
        addresses.push({ address: formatIp(bytes), length, interface: name });
    }
  }
  return addresses;
}
