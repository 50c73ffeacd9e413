/** ResourceService: objects of any kind, in the same way. */
import { create, type JsonObject, toJson } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type EventFilter, EventFilterSchema } from "../gen/cairn/v1/event_service_pb.ts";
import {
  ListFlowSpecFilterRulesRequestSchema,
  ListResourcesRequestSchema,
  type Resource,
  ResourceSchema,
  type ResourceService,
} from "../gen/cairn/v1/resource_service_pb.ts";
import { resourceKinds } from "../resources/registry.ts";
import { type Kind, kinds, nearestKind } from "../state/kinds.ts";
import type { ObjectView } from "../state/view.ts";
import type { ServiceContext } from "./context.ts";
import { EventReader } from "./event-reader.ts";
import { compareText, listByName, readObjectPage } from "./objects.ts";
import { readPage } from "./paging.ts";
import { notFound, refusal } from "./problems.ts";
import { checked, type RequestCheck } from "./request.ts";

/** Events of an object in its description. */
const eventsDescribed = 10;

export function resourceService(services: ServiceContext): ServiceImpl<typeof ResourceService> {
  const { view } = services.owner;
  const find = (kind: Kind, name: string): Resource | undefined => {
    const object = view.object(kind.name, name);
    return object && resourceOf(kind, object);
  };
  const resourceOf = (kind: Kind, { metadata, spec }: ObjectView): Resource =>
    create(ResourceSchema, {
      metadata,
      spec: toJson(kind.desc, spec, { useProtoFieldName: true }) as JsonObject,
      status: view.resourceStatus(kind.name, metadata.name),
    });
  const named = (request: { readonly kind: string; readonly name: string }): [Kind, Resource] => {
    const kind = checked((check) => kindOf(check, request.kind));
    const name = kind.key ? request.name : kind.section;
    const found = find(kind, name);
    if (!found) throw notFound(kind.name, name);
    return [kind, found];
  };
  return {
    listKinds: () => ({
      kinds: [...kinds.values()].map((kind) => ({
        kind: kind.name,
        section: kind.section,
        objects: [...view.objects(kind.name)].length,
        message: kind.desc.typeName,
        hasStatus: resourceKinds.has(kind.name),
      })),
    }),

    async listResources(request) {
      const [kind, page] = checked((check) => {
        const of = kindOf(check, request.kind);
        return [of, readObjectPage(check, ListResourcesRequestSchema, request)] as const;
      });
      const names = [...view.objects(kind.name)].map((object) => object.metadata.name);
      const found = (name: string): Resource | undefined => find(kind, name);
      const list = await listByName(
        names,
        compareText,
        page,
        request.filter,
        found,
        ({ metadata }) => metadata!.name,
      );
      return { resources: list.items, ...list.page };
    },

    listFlowSpecFilterRules(request) {
      const page = checked((check) => readPage(check, ListFlowSpecFilterRulesRequestSchema, request));
      const { filter, faulty } = request;
      const found = view.filterRules({ filter, faulty }, page.position, page.size);
      const { rules, position } = found;
      const nextPageToken = position === "" ? "" : page.token(position, page.before + rules.length);
      return { rules, nextPageToken };
    },

    getResource: (request) => ({ resource: named(request)[1] }),

    async describeResource(request) {
      const [kind, resource] = named(request);
      const { name } = resource.metadata!;
      const filter: EventFilter = create(EventFilterSchema, { object: `${kind.name}/${name}` });
      const reader = new EventReader(services, filter);
      const { last, first } = view.eventRange();
      const { events } = await reader.back(last + 1, first - 1, eventsDescribed);
      return { resource, ...view.references(kind.name, name), events: events.slice(0, eventsDescribed) };
    },
  };
}

/** The kind of this name; case does not matter, nor does a section's name instead. */
function kindOf(check: RequestCheck, text: string): Kind {
  const wanted = text.toLowerCase();
  for (const kind of kinds.values()) {
    if (kind.name.toLowerCase() === wanted || kind.section === wanted) return kind;
  }
  if (check.required("kind", text) === "") check.finish();
  const near = nearestKind(text);
  const message = `there is no kind ${text.slice(0, 64)}`;
  const fix = near && `did you mean ${near}`;
  throw refusal([...check.problems, { code: "UNKNOWN_KIND", path: "kind", message, ...(fix && { fix }) }]);
}
