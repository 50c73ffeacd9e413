/**
 * Our Loc-RIB as a collector follows it (RFC 9069): a cursor in the change list of each table. It sees the whole table
 * once, and then what changes, each prefix with its latest best route; nothing is queued for it.
 */
import { locRibPeer, type PeerBytes, type PeerUp, textTlv } from "../../bmp/encode.ts";
import { type InfoTlv, InfoType } from "../../bmp/types.ts";
import { after } from "../../rib/change-list.ts";
import type { RouteTable } from "../../rib/route-table.ts";
import { families } from "../../wire/family.ts";
import { encodeOpen } from "../../wire/open.ts";
import type { GlobalConfig } from "../resolve.ts";
import type { Routing } from "../routing.ts";
import type { RouteCursor, Watchers } from "../watchers.ts";
import type { RouteRun, RouteSink, RouteStream } from "./route-run.ts";

/** Where one table is followed. */
interface Place {
  readonly table: RouteTable;
  readonly cursor: RouteCursor;
  readonly stream: RouteStream;
  /** Rows last changed before this were never told as present, so their absence is not told either. */
  readonly startRevision: number;
  /** The whole table was told, and that it was. */
  ended: boolean;
  /** Revision of the table when there was nothing left to be told. */
  seen: number;
}

/** RFC 9069 4.4: tells the Loc-RIB of one routing instance from those of others. */
export const tableName: readonly InfoTlv[] = [textTlv(InfoType.tableName, "global")];

export class LocRibFeed {
  readonly peer: PeerBytes;
  private readonly places: readonly Place[];
  private readonly watchers: Watchers;
  private readonly run: RouteRun;

  constructor(routing: Routing, watchers: Watchers, run: RouteRun, { asn, routerId }: GlobalConfig) {
    this.watchers = watchers;
    this.run = run;
    this.peer = locRibPeer(asn, routerId);
    this.places = routing.tables.map((table) => {
      const marker = table.addMarker();
      table.changes.markHead(marker);
      const cursor: RouteCursor = { table, marker, onChange: undefined };
      watchers.addCursor(cursor);
      const stream = run.streamOf(this.peer, [0], table, { fourOctetAs: true, addPath: 0 });
      const { revision } = table.changes;
      return { table, cursor, stream, startRevision: revision, ended: false, seen: revision };
    });
  }

  /** Nobody is at the other end: both OPENs say what the routes that follow are written with (RFC 9069 5.1). */
  static peerUp({ asn, routerId }: GlobalConfig): PeerUp {
    const open = encodeOpen({
      ...{ asn, routerId, holdTimeS: 0 },
      capabilities: [
        ...families.map(({ afi, safi }) => ({ kind: "multiprotocol", afi, safi }) as const),
        { kind: "four-octet-as", asn },
      ],
    });
    return {
      ...{ localAddress: new Uint8Array(16), localPort: 0, remotePort: 0 },
      ...{ sentOpen: open, receivedOpen: open, info: tableName },
    };
  }

  get hasWork(): boolean {
    return this.places.some(hasMore);
  }

  /** The whole of all tables was told. */
  get isComplete(): boolean {
    return this.places.every(({ ended }) => ended);
  }

  /** Changes that were not told. */
  get lag(): number {
    return this.places.reduce((sum, place) => {
      const { changes } = place.table;
      const behind = (changes.revision - changes.revisionOf[place.cursor.marker]) >>> 0;
      return hasMore(place) ? sum + behind : sum;
    }, 0);
  }

  /**
   * Goes on for about so many prefixes.
   * @param ended tells that all of a table was told, with the End-of-RIB message
   * @returns prefixes looked at
   */
  step(max: number, sink: RouteSink, nowS: number, ended: (endOfRib: Uint8Array) => void): number {
    let looked = 0;
    for (const place of this.places) {
      const { table, cursor, stream, startRevision } = place;
      if (!hasMore(place)) continue;
      const { changes, paths } = table;
      let last = 0;
      let row = changes.next[cursor.marker];
      for (; row !== 0 && looked < max; row = changes.next[row], looked++) {
        last = row;
        if (table.isMarker(row)) continue;
        const best = table.bestOf(row);
        if (best !== 0) this.run.add(sink, stream, paths.attr[best], paths.time[best], row, 0);
        else if (after(changes.revisionOf[row], startRevision)) this.run.add(sink, stream, 0, nowS, row, 0);
      }
      if (last !== 0) changes.moveAfter(cursor.marker, last);
      if (row !== 0) continue;
      place.seen = changes.revision;
      if (place.ended) continue;
      place.ended = true;
      this.run.flush(sink);
      ended(stream.writer.endOfRib());
    }
    return looked;
  }

  close(): void {
    for (const { cursor } of this.places) this.watchers.removeCursor(cursor);
  }
}

function hasMore({ table, ended, seen }: Place): boolean {
  return !ended || table.changes.revision !== seen;
}
