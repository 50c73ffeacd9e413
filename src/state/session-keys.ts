/**
 * What protects sessions on the sockets: keys for TCP MD5 and TCP-AO by address or range, and the lowest TTL that
 * listeners take. Tells the shell what differs from what it was told before; it puts that on listening sockets and on
 * live connections.
 */
import { formatIp } from "../base/ip.ts";
import type { Range } from "./dynamic.ts";
import type { Effects, KeyEffect } from "./effects.ts";
import type { NeighborConfig } from "./session-port.ts";

type Secrets = Pick<NeighborConfig, "password" | "keys">;

export class SessionKeys {
  private readonly effects: Effects;
  /** JSON of what the shell knows, by `ADDRESS/LENGTH`. */
  private readonly told = new Map<string, string>();
  private readonly byRange = new Map<string, string>();
  private toldTtl = ["", ""];

  constructor(effects: Effects) {
    this.effects = effects;
  }

  /** The keys of a declared neighbor as they are now; without a config it is gone. */
  setNeighbor(addressBytes: Uint8Array, config: Secrets | undefined): void {
    this.set(addressBytes, addressBytes.length * 8, config);
  }

  /** All ranges as they are now, with what their groups give. */
  setRanges(ranges: readonly { readonly range: Range; readonly secrets: Secrets }[]): void {
    const gone = new Map(this.byRange);
    this.byRange.clear();
    for (const { range, secrets } of ranges) {
      if (!range.prefix) continue;
      const { bytes, length } = range.prefix;
      const id = `${formatIp(bytes)}/${length}`;
      // A neighbor of its own stands for the whole of a range of one address.
      if (length === bytes.length * 8 && this.told.has(id) && !gone.has(id)) continue;
      this.byRange.set(id, id);
      gone.delete(id);
      this.set(bytes, length, secrets);
    }
    for (const id of gone.keys()) {
      if (this.told.delete(id)) this.effects.push({ ...parts(id), kind: "tcp.key", md5: undefined, ao: [] });
    }
  }

  /**
   * GTSM on listeners holds for everybody who connects, so it is set where all neighbors of a family agree to it, to
   * the lowest TTL that one of them may have.
   * @param minTtls of all neighbors and ranges of the family
   */
  setListenTtl(family: 4 | 6, minTtls: readonly number[]): void {
    const any = minTtls.some((ttl) => ttl > 0);
    const minTtl = minTtls.length === 0 ? 0 : minTtls.reduce((least, ttl) => Math.min(least, ttl), 255);
    // A neighbor that checks TTLs looks at our SYN-ACK too, which the listener sends.
    const ttl = any ? 255 : 0;
    const text = `${minTtl} ${ttl}`;
    const at = family === 4 ? 0 : 1;
    if (this.toldTtl[at] === text || (this.toldTtl[at] === "" && !any)) return;
    this.toldTtl[at] = text;
    this.effects.push({ kind: "tcp.listen-ttl", family, ttl, minTtl });
  }

  private set(bytes: Uint8Array, length: number, secrets: Secrets | undefined): void {
    const address = formatIp(bytes);
    const id = `${address}/${length}`;
    const isKeyed = secrets !== undefined && (secrets.password !== undefined || secrets.keys.length > 0);
    if (!isKeyed && !this.told.has(id)) return;
    const effect: KeyEffect = {
      kind: "tcp.key",
      address,
      length,
      md5: isKeyed ? secrets.password : undefined,
      ao: isKeyed ? secrets.keys : [],
    };
    const text = JSON.stringify(effect);
    if (this.told.get(id) === text) return;
    if (isKeyed) this.told.set(id, text);
    else this.told.delete(id);
    this.effects.push(effect);
  }
}

function parts(id: string): { readonly address: string; readonly length: number } {
  const slash = id.indexOf("/");
  return { address: id.slice(0, slash), length: Number(id.slice(slash + 1)) };
}
