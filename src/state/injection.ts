/** Routes put in over the API: checked, turned into attribute blocks, kept with their owners and ends of life. */
import { create, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { MinHeap } from "../base/heap.ts";
import { parseIp } from "../base/ip.ts";
import { limits } from "../base/limits.ts";
import {
  type Injected,
  type InjectedFlowSpec,
  InjectedFlowSpecSchema,
  type InjectedPath,
  InjectedPathSchema,
  InjectedSchema,
  type PathReceipt,
  PathReceiptSchema,
} from "../gen/cairn/v1/injection_service_pb.ts";
import type { Route } from "../gen/cairn/v1/types_pb.ts";
import type { AttrId } from "../rib/attribute-store.ts";
import { ChangeCause } from "../rib/history.ts";
import { RejectReason } from "../rib/path-flags.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { encodeBlock } from "../wire/block.ts";
import { type Family, families } from "../wire/family.ts";
import { formatRule } from "../wire/flowspec/text.ts";
import { MessageWriter } from "../wire/message-writer.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { actionsOf, checkInjectedFlow, communitiesBesideActions } from "./flowspec/flow-message.ts";
import { type CheckedPath, checkInjectedPath } from "./injection-parse.ts";
import { routeMessage } from "./route-batch.ts";
import { nameOfRow } from "./route-message.ts";
import { type RouteName, readName, shownName, storedName } from "./route-name.ts";
import type { Routing } from "./routing.ts";
import type { StoredInjection } from "./rows.ts";

/** What is kept of an injected path beside its row. Records that are equal are shared. */
interface InjectionRecord {
  readonly owner: string;
  readonly principal: string;
  readonly created: number;
  readonly expires: number;
}

/** A path whose time is over and that is still there is tried again after this. */
const expiryRetryMs = 3_000;
/** Records looked at in one step of a list. */
const rowsPerList = 8_192;

/** Neighbor number of the local speaker. */
const local = 0;

export class Injection {
  private readonly routing: Routing;
  /** By family index: record of each path row. */
  private readonly records: Map<number, InjectionRecord>[] = families.map(() => new Map());
  private readonly writer = new MessageWriter(1024);
  private lastRecord: InjectionRecord | undefined;
  /** Ends of life in wall-clock milliseconds; entries may be outdated and are checked when due. */
  private readonly expiries = new MinHeap<{ family: Family; path: number; record: InjectionRecord }>();

  constructor(routing: Routing) {
    this.routing = routing;
  }

  get count(): number {
    return this.records.reduce((sum, records) => sum + records.size, 0);
  }

  /** True when so many more paths would be too many. */
  wouldOverflow(more: number): boolean {
    return this.count + more > limits.injectedMax;
  }

  /** Attribute set of a checked path, with one reference. */
  intern(attributes: PathAttributes): AttrId {
    this.writer.reset();
    encodeBlock(attributes, this.writer);
    return this.routing.attributes.intern(this.writer.bytes, 0, this.writer.at);
  }

  /** Whether a rule has room; prefixes always do. */
  hasRoom({ family, address, length }: CheckedPath): boolean {
    const { rules } = this.routing.table(family);
    return !rules || rules.hasRoomFor(length) || rules.find(address, 0, length) !== 0;
  }

  /** True when the very same path is there already. */
  isPresent(path: CheckedPath): boolean {
    const row = this.row({ ...path, bytes: path.address }, path.pathId);
    if (row === 0 || path.ttlMs !== 0) return false;
    const record = this.records[path.family.index].get(row);
    const attr = this.intern(path.attributes);
    const same = this.routing.table(path.family).paths.attr[row] === attr;
    this.routing.attributes.release(attr);
    return same && record?.owner === path.owner && record.expires === 0;
  }

  private row({ family, bytes, length }: RouteName, pathId: number): number {
    const table = this.routing.table(family);
    const prefix = table.prefixes.find(bytes, 0, length);
    return prefix === 0 ? 0 : table.find(local, prefix, pathId);
  }

  /** @param name as `readName` takes it */
  has(name: string, pathId: number): boolean {
    const read = readName(name);
    return read !== undefined && this.row(read, pathId) !== 0;
  }

  /** What the store keeps of a path. */
  stored(
    path: CheckedPath,
    message: InjectedPath | InjectedFlowSpec,
    wallMs: number,
    principal: string,
  ): StoredInjection {
    const expires = path.ttlMs === 0 ? 0 : Math.round(wallMs + path.ttlMs);
    const isRule = message.$typeName === InjectedFlowSpecSchema.typeName;
    return {
      prefix: storedName({ ...path, bytes: path.address }),
      pathId: path.pathId,
      path: (isRule
        ? toJson(InjectedFlowSpecSchema, message as InjectedFlowSpec)
        : toJson(InjectedPathSchema, message as InjectedPath)) as JsonValue,
      created: wallMs,
      expires,
      principal,
    };
  }

  /** Puts a checked path into the table. */
  put(path: CheckedPath, created: number, expires: number, principal: string): void {
    const table = this.routing.table(path.family);
    const attr = this.intern(path.attributes);
    const prefix = table.prefix(path.address, 0, path.length);
    table.announce(local, prefix, path.pathId, attr, attr, RejectReason.none, Math.floor(created / 1000));
    this.routing.attributes.release(attr);
    const row = table.find(local, prefix, path.pathId);
    const record = this.shared({ owner: path.owner, principal, created, expires });
    this.records[path.family.index].set(row, record);
    if (expires !== 0) this.expiries.push(expires, { family: path.family, path: row, record });
  }

  private shared(record: InjectionRecord): InjectionRecord {
    const last = this.lastRecord;
    const same =
      last?.owner === record.owner &&
      last.principal === record.principal &&
      last.created === record.created &&
      last.expires === record.expires;
    return same ? last : (this.lastRecord = record);
  }

  /** Takes a path back. @param name as `readName` takes it; @returns false when it was not there */
  drop(name: string, pathId: number): boolean {
    const read = readName(name);
    const row = read ? this.row(read, pathId) : 0;
    if (!read || row === 0) return false;
    this.records[read.family.index].delete(row);
    this.routing.table(read.family).removePath(row, ChangeCause.withdrawn);
    return true;
  }

  /** Loads what the store kept; what has expired meanwhile is left out and named in the answer. */
  load(rows: Iterable<StoredInjection>, wallMs: number): { prefix: string; pathId: number }[] {
    const expired: { prefix: string; pathId: number }[] = [];
    for (const row of rows) {
      if (row.expires !== 0 && row.expires <= wallMs) {
        expired.push({ prefix: row.prefix, pathId: row.pathId });
        continue;
      }
      const options = { ignoreUnknownFields: true };
      const checked =
        readName(row.prefix)?.family.nlri === "flow"
          ? checkInjectedFlow(fromJson(InjectedFlowSpecSchema, row.path, options), "flow_spec")
          : checkInjectedPath(fromJson(InjectedPathSchema, row.path, options), "path");
      if (checked.ok) this.put(checked.value, row.created, row.expires, row.principal);
    }
    return expired;
  }

  /** Wall-clock time of the next end of life; Infinity for none. */
  nextExpiry(): number {
    return this.expiries.least;
  }

  /** Paths whose time is over, at most `max`, to be retracted like any other. */
  due(wallMs: number, max: number): { prefix: string; pathId: number }[] {
    const due: { prefix: string; pathId: number }[] = [];
    while (due.length < max && this.expiries.least <= wallMs) {
      const { family, path, record } = this.expiries.pop()!;
      if (this.records[family.index].get(path) !== record) continue;
      // Until it is gone it comes up again: the retraction may be refused, or lost with the disk.
      this.expiries.push(wallMs + expiryRetryMs, { family, path, record });
      const table = this.routing.table(family);
      const prefix = storedName(nameOfRow(table, table.paths.prefix[path]));
      due.push({ prefix, pathId: table.paths.idOf(path) });
    }
    return due;
  }

  ownerOf(family: Family, path: number): string {
    return this.records[family.index].get(path)?.owner ?? "";
  }

  /** Stage by stage what became of an injected path. @param name as `readName` takes it */
  receipt(
    name: string,
    pathId: number,
    changed: boolean,
    advertisedTo: (family: Family, prefix: number) => string[],
  ): PathReceipt {
    const read = readName(name);
    const family = read?.family;
    const path = read ? this.row(read, pathId) : 0;
    const table = family && this.routing.table(family);
    const row = path !== 0 && table ? table.paths.prefix[path] : 0;
    return create(PathReceiptSchema, {
      prefix: family?.nlri === "flow" ? shownName(read!) : name,
      pathId,
      accepted: path !== 0,
      selected: path !== 0 && table?.bestOf(row) === path,
      advertisedTo: path !== 0 && family && table?.bestOf(row) === path ? advertisedTo(family, row) : [],
      changed,
    });
  }

  /** Injected paths in row order, at most `max`; `position` is empty when these are the last. */
  list(
    owner: string,
    only: Family | undefined,
    selects: (table: RouteTable, path: number) => boolean,
    position: string,
    max: number,
    nowMs: number,
    advertisedTo: (family: Family, prefix: number) => string[],
  ): { paths: Injected[]; position: string; total: number } {
    const [startFamily, startRow] = position === "" ? [0, 1] : position.split(".").map(Number);
    const paths: Injected[] = [];
    let total = 0;
    let left = rowsPerList;
    for (const family of families) if (!only || only === family) total += this.records[family.index].size;
    for (let f = startFamily; f < families.length; f++) {
      const family = families[f];
      if (only && only !== family) continue;
      const records = this.records[f];
      const table = this.routing.table(family);
      for (let row = f === startFamily ? startRow : 1; row < table.paths.rows; row++) {
        const record = records.get(row);
        if (!record || (owner !== "" && record.owner !== owner)) continue;
        if (paths.length === max || left-- === 0) return { paths, position: `${f}.${row}`, total };
        if (!selects(table, row)) continue;
        paths.push(this.message(family, row, record, nowMs, advertisedTo));
      }
    }
    return { paths, position: "", total };
  }

  private message(
    family: Family,
    row: number,
    record: InjectionRecord,
    nowMs: number,
    advertisedTo: (family: Family, prefix: number) => string[],
  ): Injected {
    const table = this.routing.table(family);
    const name = nameOfRow(table, table.paths.prefix[row]);
    const injected = create(InjectedSchema, {
      created: timestampFromMs(record.created),
      expires: record.expires === 0 ? undefined : timestampFromMs(record.expires),
      principal: record.principal,
    });
    const ttl = record.expires === 0 ? undefined : durationFromMs(Math.max(0, record.expires - nowMs));
    const route = routeMessage(this.routing, table, row, table.paths.attr[row]);
    injected.receipt = this.receipt(storedName(name), route.pathId, false, advertisedTo);
    if (table.rules) {
      injected.flowSpec = flowSpecOf(name, route, record.owner, ttl);
      return injected;
    }
    const isSelf = parseIp(route.nextHop)?.every((byte) => byte === 0) ?? true;
    injected.path = create(InjectedPathSchema, {
      prefix: route.prefix,
      pathId: route.pathId,
      nextHop: isSelf ? "" : route.nextHop,
      origin: route.origin,
      asPath: route.asPath,
      asPathText: "",
      localPref: route.localPref,
      med: route.med,
      communities: route.communities,
      extendedCommunities: route.extendedCommunities,
      largeCommunities: route.largeCommunities,
      atomicAggregate: route.atomicAggregate,
      aggregator: route.aggregator,
      owner: record.owner,
      ttl,
    });
    return injected;
  }
}

/** An injected rule as it could be injected again. */
function flowSpecOf(
  name: RouteName,
  route: Route,
  owner: string,
  ttl: Duration | undefined,
): InjectedFlowSpec {
  const actions = actionsOf(route);
  return create(InjectedFlowSpecSchema, {
    family: name.family.name,
    rule: actions.length === 0 ? route.prefix : formatRule(name.bytes, name.family, actions),
    pathId: route.pathId,
    origin: route.origin,
    localPref: route.localPref,
    med: route.med,
    communities: route.communities,
    extendedCommunities: communitiesBesideActions(route.extendedCommunities),
    largeCommunities: route.largeCommunities,
    asPathText: route.asPathText,
    owner,
    ttl,
  });
}
