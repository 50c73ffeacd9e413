/** The part of ConfigService that looks back: generations, differences, export, blame, pins, audit. */
import { create, fromJson, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type AuditChain,
  AuditChainSchema,
  type ConfigFile,
  ConfigFormat,
  type ConfigService,
  type Generation,
  GenerationSchema,
  ListAuditRequestSchema,
  ListGenerationsRequestSchema,
} from "../gen/cairn/v1/config_service_pb.ts";
import { type ObjectChange, ObjectChangeSchema } from "../gen/cairn/v1/types_pb.ts";
import { changeBetween, origins } from "../state/history-view.ts";
import { kinds, nearestKind, objectName } from "../state/kinds.ts";
import type { MutationOp } from "../state/mutation.ts";
import type { StoredGeneration } from "../state/rows.ts";
import { redacted, secretsSet } from "../state/schema-diff.ts";
import { compared, unknownGeneration } from "./config-source.ts";
import type { ServiceContext } from "./context.ts";
import { Pacer } from "./pacer.ts";
import { readPage } from "./paging.ts";
import { notFound, refusal } from "./problems.ts";
import { checked, type RequestCheck } from "./request.ts";

type Handlers = Pick<
  ServiceImpl<typeof ConfigService>,
  | "listGenerations"
  | "getGeneration"
  | "diff"
  | "export"
  | "blame"
  | "pinGeneration"
  | "unpinGeneration"
  | "listAudit"
>;

interface Declared {
  readonly kind: string;
  readonly name: string;
  readonly spec: Message;
  readonly managedBy: string;
}

interface Writer {
  single(
    context: HandlerContext,
    request: { readonly reason: string; readonly requestId: string },
    op: MutationOp,
  ): Promise<unknown>;
}

/** Changes of one object that blame looks at. */
const revisionsMax = 1_000;
const verifyRows = 2_000;

export function historyHandlers(services: ServiceContext, writer: Writer): Handlers {
  const { owner, history } = services;
  const pin = async (
    request: { readonly generation: bigint; readonly reason: string; readonly requestId: string },
    context: HandlerContext,
    pinned: boolean,
  ): Promise<Record<string, never>> => {
    const { generation } = await generationNumbered(services, Number(request.generation));
    await writer.single(context, request, { op: "pin", generation, pinned });
    return {};
  };

  return {
    async listGenerations(request) {
      const { page, object } = checked((check) => ({
        page: readPage(check, ListGenerationsRequestSchema, request),
        object: objectFilter(check, request.object),
      }));
      const { principal } = request;
      const before = Number(page.position || 0);
      const found = await history.generations({ before, max: page.size + 1, object, principal });
      const shown = found.slice(0, page.size);
      const more = found.length > page.size;
      const last = shown[shown.length - 1];
      const span = await history.span();
      return {
        generations: shown.map((generation) => generationMessage(services, generation)),
        nextPageToken: more ? page.token(String(last.generation), page.before + shown.length) : "",
        totalSize: BigInt(span.count),
        oldest: BigInt(span.oldest),
      };
    },

    async getGeneration(request) {
      const stored = await generationNumbered(services, Number(request.generation));
      const generation = generationMessage(services, stored);
      generation.changes = (stored.changes as JsonValue[]).map((json) => fromJson(ObjectChangeSchema, json));
      return { generation };
    },

    async diff(request) {
      const from = Number(request.from) || owner.view.generation;
      const { target } = request;
      if (target.case === "file") return diffFile(services, from, target.value);
      const to = Number(target.value ?? 0n) || owner.view.generation;
      const { differences } = await compared(services, from, to);
      const changes: ObjectChange[] = [];
      for (const difference of differences) {
        const kind = kinds.get(difference.kind)!;
        const [a, b] = [difference.from, difference.to].map((each) => each && fromJson(kind.desc, each.spec));
        const change = changeBetween(kind, difference.name, a ?? undefined, b ?? undefined);
        if (change) changes.push(change);
      }
      const [fromHash, toHash] = await Promise.all([hashOf(services, from), hashOf(services, to)]);
      return { from: BigInt(from), to: BigInt(to), changes, fromHash, toHash };
    },

    async export(request) {
      const wanted = new Set(request.kinds);
      checked((check) => {
        request.kinds.forEach((name, i) => {
          if (kinds.has(name)) return;
          const near = nearestKind(name);
          const problem = { path: `kinds[${i}]`, message: `there is no kind ${name}`, value: name };
          check.add({ code: "UNKNOWN_KIND", ...problem, ...(near ? { fix: `did you mean ${near}` } : {}) });
        });
      });
      const number = Number(request.generation) || owner.view.generation;
      const live = number === owner.view.generation;
      const configHash = live ? owner.view.configHash : await hashOf(services, number);
      const objects = live ? declared(services) : await declaredAt(services, number);
      const hidden: string[] = [];
      const shown: Declared[] = [];
      for (const object of objects) {
        if (wanted.size > 0 && !wanted.has(object.kind)) continue;
        const { desc } = kinds.get(object.kind)!;
        for (const field of secretsSet(desc, object.spec))
          hidden.push(`${object.kind}/${object.name}.${field}`);
        shown.push({ ...object, spec: redacted(desc, object.spec) });
      }
      const format = request.format === ConfigFormat.YAML ? "yaml" : "toml";
      const content = services.configText.write(shown, format);
      return { content, generation: BigInt(number), configHash, hidden };
    },

    async blame(request) {
      const object = owner.view.object(request.kind, request.name || request.kind.toLowerCase());
      const kind = kinds.get(request.kind);
      if (!object || !kind) throw notFound(request.kind, request.name);
      const { metadata, spec } = object;
      const names = { useProtoFieldName: true } as const;
      const revisions = await history.revisions(kind.name, metadata.name, revisionsMax);
      const found = origins(
        kind,
        spec,
        toJson(kind.desc, spec, names),
        revisions.map((revision) => {
          const { before } = revision;
          return {
            ...revision,
            json: before ? toJson(kind.desc, fromJson(kind.desc, before.spec), names) : null,
          };
        }),
      );
      const { field } = request;
      return {
        metadata,
        lines: found
          .filter(({ path }) => isBelow(path, field))
          .map(({ path, value, older, generation }) => ({
            path,
            value,
            older,
            generation: BigInt(generation?.generation ?? 0),
            ...(generation ? { time: timestampFromMs(generation.time) } : {}),
            principal: generation?.principal ?? "",
            source: generation?.source ?? "",
            reason: generation?.reason ?? "",
          })),
      };
    },

    pinGeneration: (request, context) => pin(request, context, true),
    unpinGeneration: (request, context) => pin(request, context, false),

    async listAudit(request) {
      const page = checked((check) => readPage(check, ListAuditRequestSchema, request));
      const { principal, refusedOnly, oldestFirst } = request;
      const from = Number(page.position || 0);
      const query = { from, max: page.size + 1, principal, refusedOnly, oldestFirst };
      const { entries, total } = await history.audit(query);
      const shown = entries.slice(0, page.size);
      const more = entries.length > page.size;
      const last = shown[shown.length - 1];
      return {
        entries: shown.map(({ id, time, generation, ...entry }) => ({
          ...entry,
          id: BigInt(id),
          time: timestampFromMs(time),
          generation: BigInt(generation),
        })),
        nextPageToken: more ? page.token(String(last.id), page.before + shown.length) : "",
        totalSize: BigInt(total),
        ...(request.verify ? { chain: await verified(services) } : {}),
      };
    },
  };
}

/** True for a path at or below another; every path is below the empty one. */
function isBelow(path: string, above: string): boolean {
  return above === "" || (path.startsWith(above) && /^($|[.[])/.test(path.slice(above.length)));
}

function objectFilter(check: RequestCheck, text: string): { kind: string; name: string } | undefined {
  if (text === "") return undefined;
  const slash = text.indexOf("/");
  if (slash > 0) return { kind: text.slice(0, slash), name: text.slice(slash + 1) };
  check.add({ code: "INVALID", path: "object", message: `"${text}" is not KIND/NAME`, value: text });
  return undefined;
}

function generationMessage(services: ServiceContext, stored: StoredGeneration): Generation {
  const { generation, parent, time, principal, source, reason, hash, restores, pinned } = stored;
  return create(GenerationSchema, {
    generation: BigInt(generation),
    parent: BigInt(parent),
    time: timestampFromMs(time),
    principal,
    source,
    reason,
    configHash: hash,
    restores: BigInt(restores),
    pinned,
    changedObjects: stored.changedObjects,
    objects: [...stored.objects],
    pending: services.owner.view.pending()?.pending.generation === generation,
  });
}

/** The retained generation of a number, 0 for the newest durable one. Throws when there is none. */
async function generationNumbered(services: ServiceContext, number: number): Promise<StoredGeneration> {
  const before = number === 0 ? 0 : number + 1;
  const [found] = await services.history.generations({ before, max: 1, principal: "" });
  if (found && (number === 0 || found.generation === number)) return found;
  throw unknownGeneration(number, await services.history.span());
}

async function hashOf(services: ServiceContext, generation: number): Promise<string> {
  if (generation === services.owner.view.generation) return services.owner.view.configHash;
  return (await generationNumbered(services, generation)).hash;
}

/** Everything declared now. */
function* declared({ owner }: ServiceContext): Generator<Declared> {
  for (const kind of kinds.keys()) {
    for (const { metadata, spec } of owner.view.objects(kind))
      yield { kind, name: metadata.name, spec, managedBy: metadata.managedBy };
  }
}

async function declaredAt(services: ServiceContext, generation: number): Promise<Declared[]> {
  const found = await services.history.objectsAt(generation);
  if (!found) throw unknownGeneration(generation, await services.history.span());
  const order = [...kinds.keys()];
  const pacer = new Pacer();
  const objects: Declared[] = [];
  for (const { kind, name, spec, managedBy } of found.objects) {
    await pacer.rest();
    objects.push({ kind, name, spec: fromJson(kinds.get(kind)!.desc, spec), managedBy });
  }
  const key = ({ kind, name }: Declared): string => kinds.get(kind)!.rules.sortKey?.(name) ?? name;
  return objects.sort(
    (a, b) =>
      order.indexOf(a.kind) - order.indexOf(b.kind) || (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0),
  );
}

async function diffFile(services: ServiceContext, from: number, file: ConfigFile) {
  const { objects, problems } = await services.configText.parse(file.name, file.content, file.policyFiles);
  if (problems.length > 0) {
    throw refusal(
      problems.map(({ code, path, message, line, column, file: name }) => ({
        code,
        path,
        message: `${name}:${line}:${column}: ${message}`,
      })),
    );
  }
  const live = from === services.owner.view.generation;
  const before = new Map<string, Declared>();
  for (const object of live ? declared(services) : await declaredAt(services, from))
    before.set(`${object.kind}/${object.name}`, object);
  const changes: ObjectChange[] = [];
  const kept = new Set<string>();
  for (const { kind: kindName, spec } of objects) {
    const kind = kinds.get(kindName)!;
    const name = objectName(kind, spec);
    kept.add(`${kindName}/${name}`);
    const change = changeBetween(kind, name, before.get(`${kindName}/${name}`)?.spec, spec);
    if (change) changes.push(change);
  }
  if (file.prune) {
    for (const [id, { kind: kindName, name, spec, managedBy }] of before) {
      const kind = kinds.get(kindName)!;
      if (kept.has(id) || managedBy !== "file" || kind.rules.permanent) continue;
      const change = changeBetween(kind, name, spec, undefined);
      if (change) changes.push(change);
    }
  }
  return { from: BigInt(from), to: 0n, changes, fromHash: await hashOf(services, from), toHash: "" };
}

async function verified({ history }: ServiceContext): Promise<AuditChain> {
  let checkedRows = 0;
  for (let from = 0; ; ) {
    const step = await history.verifyAudit(from, verifyRows);
    checkedRows += step.checked;
    if (step.brokenAt > 0 || step.next === 0) {
      return create(AuditChainSchema, {
        intact: step.brokenAt === 0,
        checked: BigInt(checkedRows),
        brokenAt: BigInt(step.brokenAt),
        head: step.hash,
      });
    }
    from = step.next;
  }
}
