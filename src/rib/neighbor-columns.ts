/**
 * What best path and export need of each neighbor, as columns by neighbor id. Row 0 is the local speaker, the source
 * of injected routes.
 */
import { grown } from "../base/columns.ts";
import { formatIp } from "../base/ip.ts";

export const NeighborFlag = {
  external: 1,
  reflectorClient: 2,
  routeServerClient: 4,
  local: 8,
  /** In another member AS of our confederation. One that is neither this nor external nor local is internal. */
  confederationMember: 16,
  /** Its next hops must be on a link of ours: external, and one hop away. */
  connected: 64,
} as const;

export class NeighborColumns {
  private capacity = 64;
  flags = new Uint8Array(this.capacity);
  /** BGP identifier of the last OPEN. */
  routerId = new Uint32Array(this.capacity);
  /** Four words of the address for the last step of best path; IPv4 in the last word. */
  address = new Uint32Array(this.capacity * 4);
  /** Address as text. */
  readonly text: string[] = ["local"];
  /** 1 when the identifier differs from that of the session before: what is reflected and compared changes with it. */
  renamed = new Uint8Array(this.capacity);

  constructor() {
    this.flags[0] = NeighborFlag.local;
  }

  ensure(neighbor: number): void {
    while (neighbor >= this.capacity) {
      this.capacity *= 2;
      this.flags = grown(this.flags, this.capacity);
      this.routerId = grown(this.routerId, this.capacity);
      this.address = grown(this.address, this.capacity * 4);
      this.renamed = grown(this.renamed, this.capacity);
    }
  }

  /** @param name what the neighbor is called, when that is not its address alone */
  setAddress(neighbor: number, bytes: Uint8Array, name = formatIp(bytes)): void {
    this.text[neighbor] = name;
    const words = bytes.length / 4;
    for (let i = 0; i < 4; i++) {
      const at = (i - (4 - words)) * 4;
      this.address[neighbor * 4 + i] =
        at < 0 ? 0 : ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
    }
  }
}
