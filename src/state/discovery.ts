/**
 * Neighbors on links: those with a link-local address, and those that are named by an interface and whose address is
 * found there, by their router advertisements or because they connect. Knows which interfaces can carry a session, and
 * says why a neighbor cannot be reached as long as it cannot.
 */
import { formatIp, parseIp } from "../base/ip.ts";
import { isLinkLocalAddress } from "../base/peer-address.ts";
import type { Effects } from "./effects.ts";
import type { HostAddress } from "./inputs.ts";
import type { Inputs } from "./part.ts";

export interface DiscoveryHost {
  readonly effects: Effects;
  /** Sessions of an interface may have become possible or not, or lead to another address; undefined: of any. */
  changed(name: string | undefined): void;
  /** An interface cannot carry sessions any more. */
  lost(name: string): void;
}

export class Discovery {
  private readonly host: DiscoveryHost;
  /** Interfaces with a link-local address of ours; undefined as long as the host has not told any. */
  private usable: ReadonlySet<string> | undefined;
  /** Address of the other end, by interface. */
  private readonly found = new Map<string, Uint8Array>();
  /** Why the host cannot look for neighbors on an interface. */
  private readonly failures = new Map<string, string>();
  private watched = "";

  readonly inputs: Inputs = {
    "host.addresses": ({ addresses }) => this.setHostAddresses(addresses),
    "link.router": ({ interface: name, address }) => {
      if (this.located(name, address)) this.host.changed(name);
    },
    "link.failed": ({ interface: name, why }) => {
      if (this.failed(name, why)) this.host.changed(name);
    },
  };

  constructor(host: DiscoveryHost) {
    this.host = host;
  }

  /** Interfaces on which a neighbor is to be found, all of them; the host looks there and makes us known. */
  watch(interfaces: Iterable<string>): void {
    const names = [...new Set(interfaces)].sort();
    const text = names.join(" ");
    if (text === this.watched) return;
    this.watched = text;
    for (const known of [this.found, this.failures])
      for (const name of known.keys()) if (!names.includes(name)) known.delete(name);
    this.host.effects.push({ kind: "link.discover", interfaces: names });
  }

  private setHostAddresses(addresses: readonly HostAddress[]): void {
    const before = this.usable;
    const usable = new Set<string>();
    for (const { address, interface: name } of addresses) {
      const bytes = parseIp(address);
      if (bytes && isLinkLocalAddress(bytes)) usable.add(name);
    }
    this.usable = usable;
    const up = [...usable].filter((name) => !before?.has(name));
    const down = [...(before ?? [])].filter((name) => !usable.has(name));
    // Another host may be at the other end when the link is back.
    for (const name of down) this.found.delete(name);
    for (const name of down) this.host.lost(name);
    // Until now all were taken for usable.
    if (before === undefined) this.host.changed(undefined);
    else for (const name of [...up, ...down]) this.host.changed(name);
  }

  /** The other end of an interface told its address. @returns true when that is news */
  located(name: string, address: string): boolean {
    const bytes = parseIp(address.split("%")[0]);
    if (!bytes || !isLinkLocalAddress(bytes)) return false;
    const known = this.found.get(name);
    this.failures.delete(name);
    if (known && formatIp(known) === formatIp(bytes)) return false;
    this.found.set(name, bytes);
    return true;
  }

  /** The host cannot look for neighbors there, or with an empty `why` can again. @returns true when that is news */
  private failed(name: string, why: string): boolean {
    if ((this.failures.get(name) ?? "") === why) return false;
    if (why === "") this.failures.delete(name);
    else this.failures.set(name, why);
    return true;
  }

  address(name: string): Uint8Array | undefined {
    return this.found.get(name);
  }

  /** Why nobody can be connected to on an interface, a sentence; empty when there is no such reason. */
  obstacle(name: string, unnumbered: boolean): string {
    if (name === "") return "";
    if (this.usable && !this.usable.has(name))
      return `waiting for interface ${name}: it is missing, down, or without a link-local address`;
    if (!unnumbered || this.found.has(name)) return "";
    const failure = this.failures.get(name);
    return failure === undefined
      ? `waiting for a router advertisement on ${name}`
      : `cannot look for the neighbor on ${name}: ${failure}`;
  }
}
