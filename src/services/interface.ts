/** InterfaceService: the host's links. */
import { create, equals } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type Prefix, parseIp, parsePrefix } from "../base/ip.ts";
import {
  type InterfaceService,
  type Link,
  LinkCountersSchema,
  LinkSchema,
  type SimulatedLink,
  type SimulatedRoute,
  type WatchLinksResponse,
  WatchLinksResponseSchema,
  WatchLinksResponse_Type as WatchType,
} from "../gen/cairn/v1/interface_service_pb.ts";
import type { ServiceContext } from "./context.ts";
import { operate } from "./mutations.ts";
import { checked, type RequestCheck } from "./request.ts";
import { Wake } from "./watchers.ts";

/** Entries of a simulated kernel. */
const entriesMax = 100_000;
const routeTypes = ["unicast", "blackhole", "unreachable", "prohibit"] as const;

export function interfaceService(services: ServiceContext): ServiceImpl<typeof InterfaceService> {
  return {
    listLinks({ name }) {
      const links = services.owner.view.links();
      return { links: counted(services, named(links, name)), observed: links !== undefined };
    },

    watchLinks: ({ name }, context) => watchLinks(services, name, context.signal),

    async simulateKernel({ links, routes }) {
      const kernel = checked((check) => {
        if (links.length + routes.length > entriesMax) {
          const message = `has ${links.length + routes.length} entries, at most ${entriesMax} are possible`;
          check.add({ code: "INVALID", path: "routes", message });
        }
        return {
          links: links.map((link, i) => readLink(check, `links[${i}]`, link)),
          routes: routes.map((route, i) => readRoute(check, `routes[${i}]`, route)),
        };
      });
      await operate(services, { op: "simulate-kernel", kernel });
      return {};
    },
  };
}

function named(links: readonly Link[] | undefined, name: string): Link[] {
  return (links ?? []).filter((link) => name === "" || link.name === name);
}

function counted({ control }: ServiceContext, links: readonly Link[]): Link[] {
  const counters = links.length === 0 ? undefined : control.linkCounters?.();
  return links.map((link) => {
    const count = counters?.get(link.name);
    return count ? { ...link, counters: create(LinkCountersSchema, count) } : link;
  });
}

/** A snapshot, a bookmark, then what is otherwise than it was told; the state seen is always the latest. */
async function* watchLinks(
  services: ServiceContext,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<WatchLinksResponse> {
  const { view } = services.owner;
  const slot = services.watchers.take("links", signal);
  const wake = new Wake();
  slot.onRelease(view.subscribe("links", wake.notify));
  /** By index, without counters. */
  let told = new Map<number, Link>();
  try {
    for (let isFirst = true; ; isFirst = false) {
      const links = view.links();
      const present = new Map(named(links, name).map((link) => [link.index, link]));
      for (const [index, link] of told) {
        if (!present.has(index)) yield create(WatchLinksResponseSchema, { type: WatchType.DELETED, link });
      }
      const changed = [...present.values()].filter((link) => {
        const before = told.get(link.index);
        return !before || !equals(LinkSchema, before, link);
      });
      told = present;
      const type = isFirst ? WatchType.SNAPSHOT : WatchType.CHANGED;
      for (const link of counted(services, changed)) yield create(WatchLinksResponseSchema, { type, link });
      if (isFirst) {
        const observed = links !== undefined;
        yield create(WatchLinksResponseSchema, { type: WatchType.BOOKMARK, observed });
      }
      await wake.wait(signal);
    }
  } finally {
    slot.release();
  }
}

function readLink(check: RequestCheck, path: string, { name, down, addresses }: SimulatedLink) {
  check.required(`${path}.name`, name);
  return {
    name,
    up: !down,
    addresses: addresses.map((text, i) => readInterfaceAddress(check, `${path}.addresses[${i}]`, text)),
  };
}

function readRoute(
  check: RequestCheck,
  path: string,
  { prefix, metric, link, gateway, type }: SimulatedRoute,
) {
  const destination = parsePrefix(prefix);
  if (typeof destination === "string") {
    check.add({ code: "INVALID", path: `${path}.prefix`, message: destination, value: prefix });
  }
  const known = routeTypes.find((name) => name === (type || "unicast"));
  if (!known) {
    const message = `"${type}" is not one of ${routeTypes.join(", ")}`;
    check.add({ code: "INVALID", path: `${path}.type`, message, value: type });
  }
  if (gateway !== "") check.address(`${path}.gateway`, gateway);
  if (known === "unicast" && link === "" && gateway === "") {
    check.add({ code: "INVALID", path: `${path}.gateway`, message: "a route needs a link or a gateway" });
  }
  return {
    destination: typeof destination === "string" ? nothing : destination,
    metric,
    type: known ?? "unicast",
    link,
    gateway: gateway === "" ? undefined : parseIp(gateway),
  };
}

const nothing: Prefix = { bytes: new Uint8Array(4), length: 0 };

/** ADDRESS/LENGTH in which the host's own bits stand. */
function readInterfaceAddress(check: RequestCheck, path: string, text: string): Prefix {
  const slash = text.lastIndexOf("/");
  const bytes = parseIp(text.slice(0, Math.max(0, slash)));
  const length = Number(text.slice(slash + 1));
  if (bytes && Number.isInteger(length) && length >= 0 && length <= bytes.length * 8)
    return { bytes, length };
  const message = `"${text}" is not an address with the length of its prefix`;
  check.add({ code: "INVALID", path, message, value: text, fix: "for example 192.0.2.1/24" });
  return nothing;
}
