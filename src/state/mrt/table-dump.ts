/**
 * A walk over all tables that writes them as TABLE_DUMP_V2. It goes on where it was, so that a dump is spread over many
 * turns: what changes behind it is in the file as it was, what changes ahead of it as it is then, as with every
 * collector. A route that is there all the time is in the file exactly once.
 */

import type { MrtPeer } from "../../mrt/types.ts";
import { entriesMax, RibWriter, writePeerIndexTable } from "../../mrt/writer.ts";
import type { PathId } from "../../rib/path-columns.ts";
import type { RouteTable } from "../../rib/route-table.ts";
import type { MessageWriter } from "../../wire/message-writer.ts";
import { AttributeBlock } from "../../wire/scratch.ts";
import type { NeighborRecord } from "../neighbor-record.ts";
import type { Neighbors } from "../neighbors.ts";
import type { Routing } from "../routing.ts";

/** Not in the PEER_INDEX_TABLE. */
const noPeer = 0xffff;
/** Rows without routes cost about a tenth of a route. */
const emptyRowCost = 0.1;

export class TableDump {
  /** Routes written, and routes left out: their neighbor came after the dump began, or they fit no entry. */
  routes = 0;
  skipped = 0;
  private readonly routing: Routing;
  private readonly neighbors: Neighbors;
  private readonly best: boolean;
  private readonly timeS: number;
  private readonly rib: RibWriter;
  /** Neighbors by place in the PEER_INDEX_TABLE, the local speaker first. */
  private readonly peers: (NeighborRecord | undefined)[] = [undefined];
  private readonly indexOf = new Uint16Array(1 << 16).fill(noPeer);
  private readonly block = new AttributeBlock();
  private readonly address = new Uint8Array(16);
  private table = 0;
  private row = 1;

  /**
   * Writes the PEER_INDEX_TABLE to `out`.
   * @param best only the best route to each prefix, as import policy left it; else all routes as they were received
   * @param timeS time of all records
   */
  constructor(routing: Routing, neighbors: Neighbors, out: MessageWriter, best: boolean, timeS: number) {
    this.routing = routing;
    this.neighbors = neighbors;
    this.best = best;
    this.timeS = timeS;
    this.rib = new RibWriter(out);
    const table: MrtPeer[] = [{ routerId: 0, address: new Uint8Array(4), asn: 0 }];
    this.indexOf[0] = 0;
    for (const record of neighbors.all()) {
      if (table.length === noPeer) break;
      const { id, config, negotiated } = record;
      this.indexOf[id] = table.length;
      this.peers.push(record);
      const asn = negotiated?.remoteAsn ?? config.remoteAsn;
      table.push({ routerId: routing.neighbors.routerId[id], address: config.addressBytes, asn });
    }
    writePeerIndexTable(out, timeS, neighbors.global?.routerId ?? 0, "", table);
  }

  /** RIB records written. */
  get records(): number {
    return this.rib.sequence;
  }

  /**
   * Goes on for about so many routes.
   * @returns true when all is written
   */
  step(routes: number): boolean {
    this.forgetPeers();
    const { tables } = this.routing;
    let left = routes;
    while (this.table < tables.length) {
      const table = tables[this.table];
      const { rows } = table.prefixes;
      // Only these are told in records of their own; there is no other family of prefixes.
      const { safi } = table.family;
      if (safi === 1 || safi === 2) {
        while (this.row < rows && left > 0) left -= this.prefix(table, this.row++);
        if (this.row < rows) return false;
      }
      this.table++;
      this.row = 1;
    }
    return true;
  }

  /** The number of a neighbor that is gone may be that of another one by now. */
  private forgetPeers(): void {
    for (let i = 1; i < this.peers.length; i++) {
      const record = this.peers[i];
      if (!record || this.neighbors.named(record.config.address) === record) continue;
      this.peers[i] = undefined;
      if (this.indexOf[record.id] === i) this.indexOf[record.id] = noPeer;
    }
  }

  /** Writes the routes of a prefix. @returns what that cost, in routes */
  private prefix(table: RouteTable, row: number): number {
    const first = this.best ? (table.isMarker(row) ? 0 : table.bestOf(row)) : table.head[row];
    if (first === 0 || table.isMarker(row)) return emptyRowCost;
    const before = this.routes;
    table.prefixes.writeAddress(row, this.address, 0);
    if (this.write(table, row, first, false)) this.write(table, row, first, true);
    return 1 + this.routes - before;
  }

  /**
   * Routes with a path identifier have a record of their own (RFC 8050).
   * @returns true when there are routes of the other kind
   */
  private write(table: RouteTable, row: number, first: PathId, withIds: boolean): boolean {
    const { rib, block, best } = this;
    const { paths, family } = table;
    const length = table.prefixes.length[row];
    let others = false;
    rib.begin(this.timeS, family.afi, family.safi, withIds, this.address, length);
    for (let path = first; path !== 0; path = best ? 0 : paths.next[path]) {
      const attr = best ? paths.attr[path] : paths.received[path];
      const pathId = paths.idOf(path);
      if ((pathId !== 0) !== withIds) {
        others = true;
        continue;
      }
      const peer = this.indexOf[paths.neighbor[path]];
      if (peer === noPeer) {
        this.skipped++;
        continue;
      }
      if (rib.entries === entriesMax) {
        rib.end();
        rib.begin(this.timeS, family.afi, family.safi, withIds, this.address, length);
      }
      this.routing.attributes.block(attr, block);
      if (rib.entry(peer, paths.time[path], pathId, block.bytes, block.start, block.end)) this.routes++;
      else this.skipped++;
    }
    rib.end();
    return others;
  }
}
