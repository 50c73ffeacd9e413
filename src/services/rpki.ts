/** RpkiService: caches with their state, what they say, and what follows for a route. */
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type Aspa,
  ListAspasRequestSchema,
  ListRpkiCachesRequestSchema,
  ListVrpsRequestSchema,
  type RpkiCacheSpec,
  type RpkiService,
  type Vrp,
} from "../gen/cairn/v1/rpki_service_pb.ts";
import type { ServiceContext } from "./context.ts";
import { operate } from "./mutations.ts";
import { kindHandlers } from "./objects.ts";
import { Pacer } from "./pacer.ts";
import { readPage } from "./paging.ts";
import { unwrap } from "./problems.ts";
import { checked, filterBytesMax } from "./request.ts";

export function rpkiService(services: ServiceContext): ServiceImpl<typeof RpkiService> {
  const { view } = services.owner;
  const caches = kindHandlers<RpkiCacheSpec, typeof ListRpkiCachesRequestSchema>(
    services,
    "RpkiCache",
    ListRpkiCachesRequestSchema,
  );
  return {
    async listRpkiCaches(request) {
      const { items, page } = await caches.list(request);
      return { caches: items.map((item) => ({ ...item, state: view.rpki.cache(item.spec.name) })), ...page };
    },
    getRpkiCache({ name }) {
      return { cache: { ...caches.get(name), state: view.rpki.cache(name) } };
    },
    setRpkiCache: caches.set,
    deleteRpkiCache: caches.delete,
    async refreshRpkiCache(request) {
      const name = checked((check) => check.required("name", request.name));
      await operate(services, { op: "rpki-refresh", name, reset: request.reset });
      return {};
    },
    getRpkiSummary: () => view.rpki.summary(),

    async listVrps(request) {
      const { page, prefix } = checked((check) => {
        check.textBytes("source", request.source, filterBytesMax);
        const text = request.prefix === "" ? "" : check.prefix("prefix", request.prefix);
        return { page: readPage(check, ListVrpsRequestSchema, request), prefix: text };
      });
      const { asn, source, all } = request;
      const pacer = new Pacer();
      const vrps: Vrp[] = [];
      let { position } = page;
      do {
        await pacer.rest();
        const step = view.rpki.vrps({ prefix, asn, source, all }, position, page.size - vrps.length);
        vrps.push(...step.items);
        ({ position } = step);
      } while (position !== "" && vrps.length < page.size);
      const { ipv4Vrps, ipv6Vrps } = view.rpki.summary();
      const isWhole = prefix === "" && asn === undefined && source === "" && !all;
      const total = isWhole ? ipv4Vrps + ipv6Vrps : position === "" ? BigInt(page.before + vrps.length) : 0n;
      const nextPageToken = position === "" ? "" : page.token(position, page.before + vrps.length);
      return { vrps, nextPageToken, totalSize: total };
    },

    listAspas(request) {
      const page = checked((check) => readPage(check, ListAspasRequestSchema, request));
      const { items, position, total } = view.rpki.aspas(request.asn, page.position, page.size);
      const aspas: Aspa[] = [...items];
      const nextPageToken = position === "" ? "" : page.token(position, page.before + aspas.length);
      return { aspas, nextPageToken, totalSize: BigInt(total) };
    },

    lookupVrps: ({ prefix, asn }) =>
      view.rpki.lookup(
        checked((check) => check.prefix("prefix", prefix)),
        asn,
      ),

    verifyAsPath(request) {
      const [asPath, role] = checked((check) => {
        check.textBytes("as_path", request.asPath, asPathBytesMax);
        return [check.required("as_path", request.asPath), check.required("role", request.role)];
      });
      return unwrap(view.rpki.verify(asPath, role));
    },
  };
}

/** Text of an AS path that is verified: the longest path of one segment. */
const asPathBytesMax = 4_096;
