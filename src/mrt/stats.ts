/** What an MRT file holds, in numbers: records by kind, peers, prefixes, routes, distinct attribute sets. */
import { formatIp } from "../base/ip.ts";
import type { DecodedBody } from "./decode.ts";
import { familyText } from "./json.ts";
import { ribPrefix, updateRoutes } from "./routes.ts";
import { type MrtHeader, MrtType } from "./types.ts";

const typeNames: Readonly<Record<number, string>> = {
  [MrtType.tableDump]: "TABLE_DUMP",
  [MrtType.tableDumpV2]: "TABLE_DUMP_V2",
  [MrtType.bgp4mp]: "BGP4MP",
  [MrtType.bgp4mpEt]: "BGP4MP_ET",
};

/** What is counted of one peer. */
export interface PeerCounts {
  readonly address: string;
  readonly asn: number;
  /** Routes in tables, or announced. */
  routes: number;
  withdrawn: number;
  messages: number;
  stateChanges: number;
}

/** Attribute sets and prefixes that are told apart; beyond that the counts are lower bounds. */
const distinctMax = 1 << 22;

export class MrtStats {
  /** By type and subtype, such as `TABLE_DUMP_V2/2`. */
  readonly records = new Map<string, number>();
  readonly peers = new Map<string, PeerCounts>();
  /** Routes by family. */
  readonly routes = new Map<string, number>();
  withdrawn = 0;
  /** Records and attribute sections that could not be read. */
  faults = 0;
  firstS = 0;
  lastS = 0;
  private readonly prefixHashes = new Set<string>();
  private readonly attributeHashes = new Set<number>();

  get prefixes(): number {
    return this.prefixHashes.size;
  }

  get attributeSets(): number {
    return this.attributeHashes.size;
  }

  /** True when there was more than could be told apart. */
  get isLowerBound(): boolean {
    return this.prefixHashes.size >= distinctMax || this.attributeHashes.size >= distinctMax;
  }

  add(header: MrtHeader, body: DecodedBody): void {
    const kind = `${typeNames[header.type] ?? header.type}/${header.subtype}`;
    this.records.set(kind, (this.records.get(kind) ?? 0) + 1);
    if (this.firstS === 0 || header.timeS < this.firstS) this.firstS = header.timeS;
    if (header.timeS > this.lastS) this.lastS = header.timeS;
    if (body.kind === "fault") this.faults++;
    else if (body.kind === "peer-index") {
      for (const { address, asn } of body.peers) this.peer(address, asn);
    } else if (body.kind === "state") this.peer(body.peerAddress, body.peerAsn).stateChanges++;
    else if (body.kind === "rib") {
      const { prefixes, raw } = ribPrefix(body);
      const family = familyText(body.afi, body.safi);
      this.prefix(raw ? `${family} ${raw.join()}` : prefixes[0].text);
      for (const { peer, attributes } of body.entries) {
        if (peer) this.peer(peer.address, peer.asn).routes++;
        this.countRoutes(family, 1);
        this.attributes(attributes, 0, attributes.length);
      }
    } else {
      const counts = this.peer(body.peerAddress, body.peerAsn);
      counts.messages++;
      const { sets, faults } = updateRoutes(body);
      if (faults.length > 0) this.faults++;
      for (const { afi, safi, prefixes, attributes } of sets) {
        if (attributes) {
          counts.routes += prefixes.length;
          this.countRoutes(familyText(afi, safi), prefixes.length);
          for (const { text } of prefixes) this.prefix(text);
        } else {
          counts.withdrawn += prefixes.length;
          this.withdrawn += prefixes.length;
        }
      }
    }
  }

  private countRoutes(family: string, count: number): void {
    this.routes.set(family, (this.routes.get(family) ?? 0) + count);
  }

  private peer(address: Uint8Array, asn: number): PeerCounts {
    const text = formatIp(address);
    const key = `${text} ${asn}`;
    let counts = this.peers.get(key);
    if (!counts) {
      counts = { address: text, asn, routes: 0, withdrawn: 0, messages: 0, stateChanges: 0 };
      this.peers.set(key, counts);
    }
    return counts;
  }

  private prefix(text: string): void {
    if (this.prefixHashes.size < distinctMax) this.prefixHashes.add(text);
  }

  /** Two hashes of 26 bits in one number: of a million sets, hardly one is taken for another. */
  private attributes(bytes: Uint8Array, at: number, end: number): void {
    let a = 0x811c9dc5;
    let b = end - at;
    for (let i = at; i < end; i++) {
      a = Math.imul(a ^ bytes[i], 0x01000193);
      b = Math.imul(b ^ bytes[i], 0x9e3779b1) ^ (b >>> 15);
    }
    if (this.attributeHashes.size >= distinctMax) return;
    this.attributeHashes.add((a >>> 6) * 0x400_0000 + (b >>> 6));
  }
}
