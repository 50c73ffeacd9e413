/** List, get, set and delete of a kind whose objects are named by their spec's `name`. */
import type { DescMessage, Message, MessageShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { formatProblem } from "../base/problem.ts";
import type { Metadata, ObjectChange } from "../gen/cairn/v1/types_pb.ts";
import type { ServiceContext } from "./context.ts";
import { changeSet, type MutationFields, mutate, specPaths } from "./mutations.ts";
import { Pacer } from "./pacer.ts";
import { type Page, readPage } from "./paging.ts";
import { notFound } from "./problems.ts";
import { checked, filterBytesMax, type RequestCheck } from "./request.ts";

type NamedSpec = Message & { readonly name: string };

interface Declared<Spec> {
  metadata: Metadata;
  spec: Spec;
}

interface ListRequest {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly filter: string;
}

export interface PageAnswer {
  nextPageToken: string;
  totalSize: bigint;
}

export interface KindHandlers<Spec extends NamedSpec, ListDesc extends DescMessage> {
  list(request: MessageShape<ListDesc> & ListRequest): Promise<{ items: Declared<Spec>[]; page: PageAnswer }>;
  get(name: string): Declared<Spec>;
  set(
    request: MutationFields & { readonly spec?: Spec },
    context: HandlerContext,
  ): Promise<{ generation: bigint; changes: ObjectChange[]; warnings: string[] }>;
  delete(
    request: MutationFields & { readonly name: string },
    context: HandlerContext,
  ): Promise<{ generation: bigint; changes: ObjectChange[] }>;
}

/** The four verbs for one kind. */
export function kindHandlers<Spec extends NamedSpec, ListDesc extends DescMessage>(
  services: ServiceContext,
  kind: string,
  listDesc: ListDesc,
): KindHandlers<Spec, ListDesc> {
  const { owner } = services;
  const find = (name: string): Declared<Spec> | undefined => {
    const object = owner.view.object(kind, name);
    return object && { metadata: object.metadata, spec: object.spec as Spec };
  };
  return {
    async list(request) {
      const page = checked((check) => readObjectPage(check, listDesc, request));
      const names = [...owner.view.objects(kind)].map((object) => object.metadata.name);
      return listByName(names, compareText, page, request.filter, find, ({ spec }) => searchText(spec));
    },

    get(name) {
      checked((check) => check.required("name", name));
      const found = find(name);
      if (!found) throw notFound(kind, name);
      return found;
    },

    async set(request, context) {
      const spec = checked((check) => {
        const given = check.present("spec", request.spec);
        check.required("spec.name", given.name);
        return given;
      });
      const ops = [{ op: "put", kind, spec }] as const;
      const rename = specPaths(kind, spec.name);
      const outcome = await mutate(services, context, request, ops, rename);
      const told = (outcome.warnings ?? []).map((each) => ({ ...each, path: rename(each.path) }));
      return { ...changeSet(outcome), warnings: told.map(formatProblem) };
    },

    async delete(request, context) {
      const name = checked((check) => check.required("name", request.name));
      return changeSet(await mutate(services, context, request, [{ op: "delete", kind, name }]));
    },
  };
}

/** Reads page and filter of a request for a list of objects. */
export function readObjectPage<Desc extends DescMessage>(
  check: RequestCheck,
  desc: Desc,
  request: MessageShape<Desc> & ListRequest,
): Page {
  check.textBytes("filter", request.filter, filterBytesMax);
  return readPage(check, desc, request);
}

/**
 * One page of objects in the order of their names. It is stable under change: an object that is there all the time is
 * listed once. Rests between steps, so objects may come and go meanwhile.
 */
export async function listByName<T>(
  names: readonly string[],
  compare: (a: string, b: string) => number,
  page: Page,
  filter: string,
  find: (name: string) => T | undefined,
  text: (item: T) => string,
): Promise<{ items: T[]; page: PageAnswer }> {
  const pacer = new Pacer();
  const words = filterWords(filter);
  const items: T[] = [];
  let total = 0;
  let last = "";
  let more = false;
  for (const name of [...names].sort(compare)) {
    const after = page.position === "" || compare(name, page.position) > 0;
    if (words.length > 0 || (after && items.length < page.size)) {
      await pacer.rest();
      const item = find(name);
      if (item === undefined || !holdsWords(text(item), words)) continue;
      if (after && items.length < page.size) {
        items.push(item);
        last = name;
      } else if (after) more = true;
    } else if (after) more = true;
    total++;
  }
  const nextPageToken = more ? page.token(last, page.before + items.length) : "";
  return { items, page: { nextPageToken, totalSize: BigInt(total) } };
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function filterWords(filter: string): string[] {
  return filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
}

function holdsWords(text: string, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const lower = text.toLowerCase();
  return words.every((word) => lower.includes(word));
}

function searchText(spec: NamedSpec & { readonly description?: unknown }): string {
  return typeof spec.description === "string" ? `${spec.name} ${spec.description}` : spec.name;
}
