/** NeighborService: neighbors with their state, and what an operator does to a session. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { limits } from "../base/limits.ts";
import { canonicalPeer, parsePeer } from "../base/peer-address.ts";
import {
  type DynamicRangeSpec,
  ListDynamicRangesRequestSchema,
  ListNeighborsRequestSchema,
  type Neighbor,
  NeighborSchema,
  type NeighborService,
  NeighborSpecSchema,
  SessionStateSchema,
  type WatchNeighborsResponse,
  WatchNeighborsResponseSchema,
  WatchNeighborsResponse_Type as WatchType,
} from "../gen/cairn/v1/neighbor_service_pb.ts";
import type { PeerGroupSpec } from "../gen/cairn/v1/peer_group_service_pb.ts";
import type { MutationOp } from "../state/mutation.ts";
import type { ServiceContext } from "./context.ts";
import { changeSet, mutate, operate, specPaths } from "./mutations.ts";
import { kindHandlers, listByName, readObjectPage } from "./objects.ts";
import { Pacer } from "./pacer.ts";
import { notFound, refusal } from "./problems.ts";
import { checked, type RequestCheck } from "./request.ts";
import { Wake } from "./watchers.ts";

const kind = "Neighbor";
const specFields = NeighborSpecSchema.fields.map((field) => field.name);
/** Neighbors in one message of a watch. */
const watchBatch = 64;
/** RFC 9003 section 2. */
const shutdownTextBytesMax = 255;

export function neighborService(services: ServiceContext): ServiceImpl<typeof NeighborService> {
  const { view } = services.owner;
  const ranges = kindHandlers<DynamicRangeSpec, typeof ListDynamicRangesRequestSchema>(
    services,
    "DynamicRange",
    ListDynamicRangesRequestSchema,
  );
  const addressOf = (address: string): string => checked((check) => check.neighbor("address", address));
  return {
    async addNeighbor(request, context) {
      const spec = checked((check) => {
        const given = check.present("spec", request.spec);
        // A bad address is for the core to refuse, together with all else that is wrong with the spec.
        return { ...given, address: canonicalPeer(given.address) };
      });
      const ops = [{ op: "put", kind, spec, mode: "create" }] as const;
      return changeSet(await mutate(services, context, request, ops, specPaths(kind, spec.address)));
    },

    async updateNeighbor(request, context) {
      const spec = checked((check) => {
        check.mask("update_mask", request.updateMask, specFields, "address");
        const given = check.present("spec", request.spec);
        return { ...given, address: check.neighbor("spec.address", given.address) };
      });
      refuseDynamic(services, spec.address);
      const mask = request.updateMask;
      const op: MutationOp =
        mask.length === 0
          ? { op: "put", kind, spec, mode: "replace" }
          : { op: "patch", kind, name: spec.address, spec, mask };
      return changeSet(await mutate(services, context, request, [op], specPaths(kind, spec.address)));
    },

    async deleteNeighbor(request, context) {
      const name = addressOf(request.address);
      if (isDynamic(services, name)) {
        if (!request.dryRun) await operate(services, { op: "forget", address: name });
        return { generation: BigInt(view.generation), changes: [] };
      }
      return changeSet(await mutate(services, context, request, [{ op: "delete", kind, name }]));
    },

    getNeighbor(request) {
      const address = addressOf(request.address);
      const neighbor = view.neighbor(address);
      if (!neighbor) throw notFound(kind, address);
      return { neighbor };
    },

    async listNeighbors(request) {
      const page = checked((check) => readObjectPage(check, ListNeighborsRequestSchema, request));
      const find = (name: string): Neighbor | undefined => view.neighbor(name);
      const list = await listByName(
        view.neighborNames(),
        compareAddresses,
        page,
        request.filter,
        find,
        searchText,
      );
      return { neighbors: list.items, ...list.page };
    },

    watchNeighbors: ({ resumeFrom }, context) => watchNeighbors(services, Number(resumeFrom), context.signal),

    async enableNeighbor(request, context) {
      const address = addressOf(request.address);
      if (isDynamic(services, address)) {
        if (!request.dryRun) await operate(services, { op: "clear-hold", address });
        return { generation: BigInt(view.generation), changes: [] };
      }
      const mask = ["shutdown", "shutdown_message"];
      // A group that is shut down itself would win over a field that is only cleared.
      const shutdown = inheritsShutdown(services, address) ? false : undefined;
      const spec = create(NeighborSpecSchema, { address, shutdown });
      const outcome = await mutate(services, context, request, [
        { op: "patch", kind, name: address, spec, mask },
      ]);
      if (!request.dryRun) await operate(services, { op: "clear-hold", address });
      return changeSet(outcome);
    },

    async disableNeighbor(request, context) {
      const address = checked((check) => {
        check.textBytes("message", request.message, shutdownTextBytesMax);
        return check.neighbor("address", request.address);
      });
      refuseDynamic(services, address);
      const mask = ["shutdown", "shutdown_message"];
      const shutdownMessage = request.message === "" ? undefined : request.message;
      const spec = create(NeighborSpecSchema, { address, shutdown: true, shutdownMessage });
      const op: MutationOp = { op: "patch", kind, name: address, spec, mask };
      return changeSet(await mutate(services, context, request, [op]));
    },

    async softResetIn({ address, families, refresh }) {
      const target = checked((check) => sessionTarget(check, address, families));
      await operate(services, { op: "soft-reset-in", address: target, families, refresh });
      return {};
    },

    async softResetOut({ address, families }) {
      const target = checked((check) => sessionTarget(check, address, families));
      await operate(services, { op: "soft-reset-out", address: target, families });
      return {};
    },

    async addDynamicRange(request, context) {
      const spec = checked((check) => check.present("spec", request.spec));
      const ops = [{ op: "put", kind: "DynamicRange", spec, mode: "create" }] as const;
      return changeSet(await mutate(services, context, request, ops, specPaths("DynamicRange", spec.name)));
    },
    setDynamicRange: ranges.set,
    deleteDynamicRange: ranges.delete,
    getDynamicRange(request) {
      const range = ranges.get(request.name);
      return { dynamicRange: { ...range, state: view.dynamicRange(request.name) } };
    },
    async listDynamicRanges(request) {
      const { items, page } = await ranges.list(request);
      const dynamicRanges = items.map((item) => ({ ...item, state: view.dynamicRange(item.spec.name) }));
      return { dynamicRanges, ...page };
    },

    async hardReset({ address, message }) {
      const target = checked((check) => {
        check.textBytes("message", message, shutdownTextBytesMax);
        return check.neighbor("address", address);
      });
      await operate(services, { op: "hard-reset", address: target, message });
      return {};
    },
  };
}

function isDynamic({ owner }: ServiceContext, address: string): boolean {
  return (
    owner.view.object(kind, address) === undefined &&
    (owner.view.neighbor(address)?.state?.dynamicRange ?? "") !== ""
  );
}

/** Nothing is declared of a dynamic neighbor that could be changed. */
function refuseDynamic(services: ServiceContext, address: string): void {
  if (!isDynamic(services, address)) return;
  const message = `${address} is a dynamic neighbor: its settings are those of its peer group`;
  const fix = "change the group, or add the neighbor to give it settings of its own";
  throw refusal([{ code: "WRONG_STATE", path: "address", message, fix }]);
}

function sessionTarget(check: RequestCheck, address: string, families: readonly string[]): string {
  families.forEach((name, i) => {
    if (name === "") check.required(`families[${i}]`, name);
    else check.family(`families[${i}]`, name);
  });
  return check.neighbor("address", address);
}

/** A snapshot, a bookmark, then whatever changed since the last message; the state seen is always the latest. */
async function* watchNeighbors(
  services: ServiceContext,
  resumeFrom: number,
  signal: AbortSignal,
): AsyncGenerator<WatchNeighborsResponse> {
  const { view } = services.owner;
  const slot = services.watchers.take("neighbors", signal);
  const wake = new Wake();
  slot.onRelease(view.subscribe("neighbors", wake.notify));
  const pacer = new Pacer();
  const find = (address: string): Neighbor | undefined => view.neighbor(address);
  /** What was told so far; 0: nothing yet. */
  let told = resumeFrom;
  slot.lag = () => view.changedNeighbors(told)?.names.length ?? 0;
  const bookmark = (): WatchNeighborsResponse =>
    create(WatchNeighborsResponseSchema, { type: WatchType.BOOKMARK, revision: BigInt(told) });
  try {
    for (let isFirst = true; ; isFirst = false) {
      const changed = told === 0 ? undefined : view.changedNeighbors(told);
      if (changed) {
        const gone = changed.names.filter((address) => !view.neighbor(address));
        const messages = inTurn(
          batches(gone, deleted, WatchType.DELETED, pacer),
          batches(changed.names, find, WatchType.CHANGED, pacer),
        );
        yield* lastWithRevision(messages, changed.revision);
        told = changed.revision;
        if (isFirst) yield bookmark();
      } else {
        const type = isFirst ? WatchType.COMPACTED : WatchType.LAGGED;
        if (told !== 0) yield create(WatchNeighborsResponseSchema, { type });
        // The revision is taken before the snapshot: a change in between is sent twice rather than missed.
        told = view.neighborRevision();
        yield* batches(view.neighborNames(), find, WatchType.SNAPSHOT, pacer);
        yield bookmark();
      }
      await wake.wait(signal);
      pacer.restart();
    }
  } finally {
    slot.release();
  }
}

async function* inTurn<T>(...parts: readonly AsyncIterable<T>[]): AsyncGenerator<T> {
  for (const part of parts) yield* part;
}

/** Only the last of the messages names the revision: a reader that leaves earlier has not seen all of it. */
async function* lastWithRevision(
  messages: AsyncIterable<WatchNeighborsResponse>,
  revision: number,
): AsyncGenerator<WatchNeighborsResponse> {
  let held: WatchNeighborsResponse | undefined;
  for await (const message of messages) {
    if (held) yield held;
    held = message;
  }
  if (held) yield { ...held, revision: BigInt(revision) };
}

async function* batches(
  addresses: readonly string[],
  find: (address: string) => Neighbor | undefined,
  type: WatchType,
  pacer: Pacer,
): AsyncGenerator<WatchNeighborsResponse> {
  let neighbors: Neighbor[] = [];
  for (const address of addresses) {
    await pacer.rest();
    const neighbor = find(address);
    if (neighbor && neighbors.push(neighbor) === watchBatch) {
      yield create(WatchNeighborsResponseSchema, { type, neighbors });
      neighbors = [];
    }
  }
  if (neighbors.length > 0) yield create(WatchNeighborsResponseSchema, { type, neighbors });
}

function deleted(address: string): Neighbor {
  return create(NeighborSchema, { metadata: { kind, name: address }, spec: { address } });
}

function inheritsShutdown(services: ServiceContext, address: string): boolean {
  const group = services.owner.view.neighbor(address)?.spec?.peerGroup ?? "";
  const spec = services.owner.view.object("PeerGroup", group)?.spec as PeerGroupSpec | undefined;
  return spec?.shutdown === true;
}

function searchText({ spec, state }: Neighbor): string {
  const session = SessionStateSchema.value[state?.sessionState ?? 0]?.localName ?? "";
  const dynamic = state?.dynamicRange ? `dynamic ${state.dynamicRange}` : "";
  return [spec?.address, spec?.description, spec?.peerGroup, session, state?.status, dynamic].join(" ");
}

const sortKeys = new Map<string, string>();

/** Order of addresses: IPv4 before IPv6, then by value. */
export function compareAddresses(a: string, b: string): number {
  const keyA = sortKey(a);
  const keyB = sortKey(b);
  return keyA < keyB ? -1 : keyA > keyB ? 1 : 0;
}

function sortKey(address: string): string {
  let key = sortKeys.get(address);
  if (key === undefined) {
    const { bytes, zone = "" } = parsePeer(address) ?? {};
    key = bytes
      ? String(bytes.length).padStart(2, "0") + Buffer.from(bytes).toString("latin1") + zone
      : `99${address}`;
    if (sortKeys.size >= 2 * limits.neighborsMax) sortKeys.clear();
    sortKeys.set(address, key);
  }
  return key;
}
