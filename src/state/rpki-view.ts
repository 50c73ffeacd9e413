/** What the API tells of caches, files, VRPs and ASPAs, and of single routes. Messages are built here. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { parsePrefix } from "../base/ip.ts";
import { limits } from "../base/limits.ts";
import type { Problem, Result } from "../base/problem.ts";
import { type RouteValidation, RouteValidationSchema } from "../gen/cairn/v1/rib_service_pb.ts";
import {
  type Aspa,
  AspaSchema,
  type GetRpkiSummaryResponse,
  GetRpkiSummaryResponseSchema,
  type LookupVrpsResponse,
  LookupVrpsResponseSchema,
  type RpkiCacheState,
  RpkiCacheStateSchema,
  type RpkiFile,
  RpkiFileSchema,
  type VerifyAsPathResponse,
  VerifyAsPathResponseSchema,
  type Vrp,
  VrpSchema,
} from "../gen/cairn/v1/rpki_service_pb.ts";
import { AspaState, aspaStateNames, RouteKey, RpkiState, rpkiStateNames } from "../policy/route-key.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { directionOf, Hop, hopsOf, verifyPath } from "../rpki/aspa.ts";
import { vrpPrefixText } from "../rpki/sources.ts";
import { noOrigin } from "../rpki/vrp-table.ts";
import { parseAsPath } from "../wire/as-path-text.ts";
import { type BgpRole, bgpRoleNames } from "../wire/bgp-role.ts";
import { ipv4Unicast, ipv6Unicast, unicastFamily } from "../wire/family.ts";
import type { Core } from "./core.ts";
import type { FileRecord } from "./rpki.ts";

/** Which VRPs are asked for. */
export interface VrpQuery {
  /** Canonical text; empty for all. */
  readonly prefix: string;
  readonly asn: number | undefined;
  /** Name of a cache or file; empty for all. */
  readonly source: string;
  /** Also those that are not in force. */
  readonly all: boolean;
}

/** A part of a list. `position` is empty at the end. */
export interface RpkiPage<T> {
  readonly items: readonly T[];
  readonly position: string;
}

export interface RpkiView {
  /** Undefined for a cache that is shut down, or none. */
  cache(name: string): RpkiCacheState | undefined;
  summary(): GetRpkiSummaryResponse;
  /** VRPs in the order of their prefixes, at most about `max` and as many as one step finds. */
  vrps(query: VrpQuery, position: string, max: number): RpkiPage<Vrp>;
  /** ASPAs by customer, of one AS as customer or provider when it is given. */
  aspas(asn: number | undefined, position: string, max: number): RpkiPage<Aspa> & { readonly total: number };
  /** @param prefix canonical text */
  lookup(prefix: string, asn: number | undefined): LookupVrpsResponse;
  /** @returns problems of path and role */
  verify(asPath: string, role: string): Result<VerifyAsPathResponse>;
}

/** Position in a list of VRPs at which IPv4 is done and IPv6 not begun. */
const secondFamily = "ipv6";
/** Prefixes looked at in one step of a list. */
const prefixesPerStep = 4_096;

export class CoreRpkiView implements RpkiView {
  private readonly core: Core;

  constructor(core: Core) {
    this.core = core;
  }

  private get sources() {
    return this.core.validation.rpki.sources;
  }

  cache(name: string): RpkiCacheState | undefined {
    const record = this.core.validation.rpki.caches.get(name);
    if (!record) return undefined;
    const { client, source, updatedMs } = record;
    const { counts } = source;
    const seconds = (value: number) => durationFromMs(value * 1000);
    const expiresInMs = client.expiresMs - this.core.nowMs;
    return create(RpkiCacheStateSchema, {
      sessionState: client.state,
      inUse: this.sources.counts(source),
      version: client.version,
      ...(client.session && { sessionId: client.session.id, serial: client.session.serial }),
      ipv4Vrps: BigInt(counts.vrps4),
      ipv6Vrps: BigInt(counts.vrps6),
      aspas: BigInt(counts.aspas),
      ...(updatedMs > 0 && { updated: timestampFromMs(updatedMs) }),
      ...(source.hasData &&
        Number.isFinite(expiresInMs) && {
          expires: timestampFromMs(Math.round(this.core.wallMs + expiresInMs)),
        }),
      refresh: seconds(client.refreshS),
      retry: seconds(client.retryS),
      expire: seconds(client.expireS),
      lastError: client.lastError,
      connections: BigInt(client.counts.connections),
      resets: BigInt(client.counts.resets),
      updates: BigInt(client.counts.updates),
      announced: BigInt(client.counts.announced),
      withdrawn: BigInt(client.counts.withdrawn),
      errorsSent: BigInt(client.counts.errorsSent),
      errorsReceived: BigInt(client.counts.errorsReceived),
    });
  }

  summary(): GetRpkiSummaryResponse {
    const { rpki, revalidation, lastMs } = this.core.validation;
    const { sources } = this;
    const readers = this.core.validation.readers();
    const caches = [...rpki.caches.values()];
    return create(GetRpkiSummaryResponseSchema, {
      ipv4Vrps: BigInt(sources.vrps.inForce[4]),
      ipv6Vrps: BigInt(sources.vrps.inForce[16]),
      aspas: BigInt(sources.aspas.customers().length),
      files: [...rpki.files.values()].map((file) => fileMessage(file)),
      caches: caches.length,
      cachesSynchronized: caches.filter(({ client }) => client.state === "synchronized").length,
      preference: sources.preferred,
      originsUsed: readers.rankOrigins || readers.importOrigins || readers.exportOrigins,
      pathsUsed: readers.rankPaths || readers.importPaths || readers.exportPaths,
      changes: BigInt(rpki.changes),
      revalidated: BigInt(revalidation.total),
      memoryBytes: BigInt(sources.memoryBytes()),
      revalidating: revalidation.isRunning,
      ...(lastMs !== undefined && { lastDuration: durationFromMs(Math.round(lastMs)) }),
    });
  }

  vrps(query: VrpQuery, position: string, max: number): RpkiPage<Vrp> {
    const { vrps } = this.sources;
    const items: Vrp[] = [];
    const asked = query.prefix === "" ? undefined : keyOf(query.prefix);
    const after = position === "" || position === secondFamily ? undefined : keyOf(position);
    const families = asked ? [asked.family] : [ipv4Unicast, ipv6Unicast];
    if (position === secondFamily) families.shift();
    let left = prefixesPerStep;
    for (const family of families) {
      if (after && family.index < after.family.index) continue;
      const within = asked ?? new RouteKey().setNlri(family, new Uint8Array(16), 0, 0);
      const last = vrps.walk(
        within,
        after?.family === family ? after : undefined,
        (row) => {
          const vrp = vrps.read(row);
          if (!query.all && !vrp.inForce) return;
          if (query.asn !== undefined && vrp.asn !== query.asn) return;
          const message = this.vrpMessage(row);
          if (query.source === "" || message.sources.includes(query.source)) items.push(message);
        },
        () => left-- > 0 && items.length < max,
      );
      if (last) return { items, position: textOf(last) };
      // The other family begins with the next step, where this one took it all.
      if (family === ipv4Unicast && families.length > 1 && (left <= 0 || items.length >= max))
        return { items, position: secondFamily };
    }
    return { items, position: "" };
  }

  aspas(asn: number | undefined, position: string, max: number): RpkiPage<Aspa> & { total: number } {
    const { aspas } = this.sources;
    const customers = aspas.customers();
    const items: Aspa[] = [];
    let last = "";
    for (const customer of customers) {
      if (position !== "" && customer <= Number(position)) continue;
      const providers = [...(aspas.providersOf(customer) ?? [])];
      if (asn !== undefined && customer !== asn && !providers.includes(asn)) continue;
      if (items.length === max) return { items, position: last, total: customers.length };
      const sources = this.sources.namesOf(aspas.sourcesOf(customer));
      items.push(create(AspaSchema, { customer, providers, sources }));
      last = String(customer);
    }
    return { items, position: "", total: asn === undefined ? customers.length : items.length };
  }

  lookup(prefix: string, asn: number | undefined): LookupVrpsResponse {
    const key = keyOf(prefix);
    const rows = this.sources.vrps.covering(key, limits.vrpsPerPrefixMax);
    const covering = rows.slice(0, limits.pathsToldMax).map((row) => this.vrpMessage(row));
    const omitted = rows.length - covering.length;
    if (asn === undefined) {
      const text = covering.length === 0 ? `no VRP covers ${prefix}` : `${rows.length} VRPs cover ${prefix}`;
      return create(LookupVrpsResponseSchema, { prefix, text, covering, omitted });
    }
    const state = this.sources.vrps.stateOf(key, asn);
    const text = originText(key, asn, state, covering);
    return create(LookupVrpsResponseSchema, {
      prefix,
      state: rpkiStateNames[state],
      text,
      covering,
      omitted,
    });
  }

  verify(asPath: string, role: string): Result<VerifyAsPathResponse> {
    const path = parseAsPath(asPath);
    const index = (bgpRoleNames as readonly string[]).indexOf(role);
    const problems: Problem[] = [];
    if (!path)
      problems.push({ code: "INVALID", path: "as_path", message: "this is no AS path", value: asPath });
    if (index < 0) {
      const message = `"${role}" is none of ${bgpRoleNames.join(", ")}`;
      problems.push({ code: "INVALID", path: "role", message, value: role });
    }
    if (!path || index < 0) return { ok: false, problems };
    const hops = hopsOf(path);
    const direction = directionOf(index as BgpRole, hops?.[0] ?? 0)!;
    const { aspas } = this.sources;
    const state = verifyPath(path, direction, aspas);
    const told: { customer: number; provider: number; result: string }[] = [];
    const tell = (customer: number, provider: number): void => {
      told.push({ customer, provider, result: hopNames[aspas.hop(customer, provider)] });
    };
    if (hops) {
      for (let i = hops.length - 1; i > 0; i--) tell(hops[i], hops[i - 1]);
      if (direction.downstream) for (let i = 0; i < hops.length - 1; i++) tell(hops[i], hops[i + 1]);
    }
    const text = hops ? pathText(state, direction.downstream) : "the path has a set in it, so nothing holds";
    return {
      ok: true,
      value: create(VerifyAsPathResponseSchema, { state: aspaStateNames[state], text, hops: told }),
    };
  }

  /** See `validationOf`. */
  explain(table: RouteTable, path: number): RouteValidation | undefined {
    const { states } = this.core.validation;
    if (!states.hasData) return undefined;
    const { received, prefix, neighbor } = table.paths;
    const key = states.keyOf(table, prefix[path]);
    const origin = states.originOf(received[path]);
    const covering = this.sources.vrps.covering(key, limits.pathsToldMax).map((row) => this.vrpMessage(row));
    const rpki = this.sources.vrps.stateOf(key, origin);
    const rpkiText = originText(key, origin, rpki, covering);
    const direction = states.directionFrom(neighbor[path]);
    const aspa = states.path(received[path], neighbor[path]);
    return create(RouteValidationSchema, {
      rpkiState: rpkiStateNames[rpki],
      rpkiText,
      covering,
      aspaState: aspaStateNames[aspa],
      aspaText: direction
        ? pathText(aspa, direction.downstream)
        : "paths are verified on eBGP sessions with a role",
    });
  }

  private vrpMessage(row: number): Vrp {
    const vrp = this.sources.vrps.read(row);
    return create(VrpSchema, {
      prefix: vrpPrefixText(vrp),
      maxLength: vrp.maxLength,
      asn: vrp.asn,
      sources: this.sources.namesOf(vrp.slots),
      filtered: vrp.filtered,
      inForce: vrp.inForce,
    });
  }
}

/** What validation says of a path of a table as received; undefined while nothing is known. */
export function validationOf(core: Core, table: RouteTable, path: number): RouteValidation | undefined {
  return new CoreRpkiView(core).explain(table, path);
}

const hopNames: Readonly<Record<Hop, string>> = {
  [Hop.noAttestation]: "no-attestation",
  [Hop.provider]: "provider",
  [Hop.notProvider]: "not-provider",
};

/** @param prefix checked text */
function keyOf(prefix: string): RouteKey {
  const parsed = parsePrefix(prefix);
  if (typeof parsed === "string") throw new Error(`unchecked prefix ${prefix}`);
  return new RouteKey().setNlri(unicastFamily(parsed.bytes.length), parsed.bytes, 0, parsed.length);
}

function textOf({ family, w0, w1, w2, w3, length }: RouteKey): string {
  return vrpPrefixText({ family, words: [w0, w1, w2, w3], length });
}

/** One sentence on the state of an origin. */
function originText(key: RouteKey, origin: number, state: RpkiState, covering: readonly Vrp[]): string {
  const prefix = textOf(key);
  const from =
    origin === noOrigin ? "its path ends with a set, so it has no origin" : `its origin is AS ${origin}`;
  if (state === RpkiState.notFound) return `no VRP covers ${prefix}`;
  if (state === RpkiState.valid) {
    const vrp = covering.find((each) => each.asn === origin && each.maxLength >= key.length);
    return vrp
      ? `a VRP for ${vrp.prefix} up to /${vrp.maxLength} allows AS ${origin}`
      : `a VRP allows AS ${origin}`;
  }
  const sameAs = covering.find((each) => each.asn === origin && origin !== 0);
  if (sameAs) {
    return `AS ${origin} may announce ${sameAs.prefix} up to /${sameAs.maxLength}, and ${prefix} is longer`;
  }
  const others = [...new Set(covering.map(({ asn }) => asn))];
  const only =
    others.length === 1 && others[0] === 0 ? "nobody may" : `only AS ${others.slice(0, 5).join(", ")} may`;
  return `${only} announce ${prefix}; ${from}`;
}

function pathText(state: AspaState, downstream: boolean): string {
  const way = downstream ? "up to a top and down again" : "up from customer to provider only";
  if (state === AspaState.valid) return `every hop is attested: it goes ${way}`;
  if (state === AspaState.unknown)
    return `nothing speaks against it going ${way}, but not every hop is attested`;
  return `it cannot have gone ${way}: an AS says that the next one is not its provider, or the first AS is not the neighbor`;
}

function fileMessage({ path, kind, source, slurm, error, updatedMs }: FileRecord): RpkiFile {
  const counts = source?.counts;
  return create(RpkiFileSchema, {
    path,
    kind,
    loaded: updatedMs > 0,
    ...(updatedMs > 0 && { updated: timestampFromMs(updatedMs) }),
    error,
    ipv4Vrps: BigInt(
      counts?.vrps4 ?? slurm?.prefixAssertions.filter(({ prefix }) => prefix.bytes.length === 4).length ?? 0,
    ),
    ipv6Vrps: BigInt(
      counts?.vrps6 ?? slurm?.prefixAssertions.filter(({ prefix }) => prefix.bytes.length === 16).length ?? 0,
    ),
    aspas: BigInt(counts?.aspas ?? slurm?.aspaAssertions.length ?? 0),
    filters: BigInt((slurm?.prefixFilters.length ?? 0) + (slurm?.aspaFilters.length ?? 0)),
  });
}
