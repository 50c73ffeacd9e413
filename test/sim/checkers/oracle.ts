/**
 * Import, best path and export once more, by the book: plain values, straight loops, nothing shared with src/rib or
 * src/state but the codecs. Compared with the tables of a speaker that is at rest.
 */
import { formatIp } from "../../../src/base/ip.ts";
import type { PolicySpec } from "../../../src/gen/cairn/v1/policy_service_pb.ts";
import type { RouteTable } from "../../../src/rib/route-table.ts";
import type { Core } from "../../../src/state/core.ts";
import type { NeighborRecord } from "../../../src/state/neighbor-record.ts";
import type { NeighborConfig } from "../../../src/state/session-port.ts";
import { decodeBlock, encodeBlock } from "../../../src/wire/block.ts";
import { MessageWriter } from "../../../src/wire/message-writer.ts";
import type { PathAttributes } from "../../../src/wire/path-attributes.ts";
import { SegmentType } from "../../../src/wire/path-attributes.ts";
import { AttributeBlock } from "../../../src/wire/scratch.ts";
import { type OracleContext, runOracle } from "../../property/policy-oracle.ts";
import { toHex } from "../../support/wire.ts";
import { violated } from "../failure.ts";
import type { Speaker } from "../speaker.ts";
import { prefixOf } from "./symmetry.ts";

/** A path as the oracle sees it. */
interface Candidate {
  readonly path: number;
  readonly attributes: PathAttributes;
  /** Undefined for a route of our own. */
  readonly from: NeighborRecord | undefined;
  readonly time: number;
}

const noSets = {
  prefixes: new Map(),
  asPaths: new Map(),
  communities: new Map(),
  neighbors: new Map(),
  asns: new Map(),
  nextHops: new Map(),
};
const noExport = 0xffffff01;
const noAdvertise = 0xffffff02;

export function checkOracle(speaker: Speaker): void {
  const core = speaker.core!;
  const neighbors = new Map([...core.neighbors.all()].map((record) => [record.id, record]));
  for (const table of core.routing.tables) {
    for (let row = 1; row < table.prefixes.rows; row++) {
      if (table.isMarker(row)) continue;
      const prefix = prefixOf(table, row);
      const fail = (text: string): never =>
        violated("oracle", `speaker ${speaker.index}: ${prefix}: ${text}`);
      const candidates: Candidate[] = [];
      for (let path = table.head[row]; path !== 0; path = table.paths.next[path]) {
        const from = neighbors.get(table.paths.neighbor[path]);
        if (!from && table.paths.neighbor[path] !== 0) fail("a path of a neighbor that is gone");
        const kept = imported(core, table, path, prefix, from, fail);
        if (kept) candidates.push({ path, attributes: kept, from, time: table.paths.time[path] });
      }
      const best = naiveBest(core, candidates);
      if ((best?.path ?? 0) !== table.bestOf(row)) {
        fail(`the best path is ${table.bestOf(row)}, by the book it is ${best?.path ?? 0}`);
      }
      for (const record of neighbors.values()) checkExport(core, table, row, prefix, record, best, fail);
    }
  }
}

/** What import makes of a path; undefined when it may not be chosen. Compared with the table on the way. */
function imported(
  core: Core,
  table: RouteTable,
  path: number,
  prefix: string,
  from: NeighborRecord | undefined,
  fail: (text: string) => never,
): PathAttributes | undefined {
  const { paths } = table;
  const received = attributesOf(core, paths.received[path]);
  const passed = from ? naiveImport(core, from, received, prefix) : received;
  const wanted = from && passed && !nextHopCounts(core, from, passed) ? undefined : passed;
  const eligible = paths.eligible(path);
  const who = from?.config.address ?? "local";
  if (eligible !== (wanted !== undefined)) {
    fail(`the path from ${who} is ${eligible ? "accepted" : "rejected"}, by the book it is not`);
  }
  if (wanted && blockOf(wanted) !== blockText(core, paths.attr[path])) {
    fail(`import from ${who} made ${blockText(core, paths.attr[path])}, by the book ${blockOf(wanted)}`);
  }
  return wanted;
}

function naiveImport(
  core: Core,
  from: NeighborRecord,
  attributes: PathAttributes,
  prefix: string,
): PathAttributes | undefined {
  const { config, negotiated } = from;
  const asns = attributes.asPath.flatMap((segment) => segment.asns);
  const count = (own: number): number => asns.filter((asn) => asn === own).length;
  if (Math.max(count(config.localAsn), count(config.globalAsn)) > config.allowOwnAs) return undefined;
  if (config.external) {
    const [first] = attributes.asPath;
    const neighborAs = first?.type === SegmentType.sequence ? first.asns[0] : 0;
    if (config.enforceFirstAs && !config.routeServerClient && neighborAs !== config.remoteAsn)
      return undefined;
  } else {
    if (attributes.originatorId === config.routerId) return undefined;
    if (attributes.clusterList.includes(config.clusterId)) return undefined;
  }
  if (isOwnAddress(attributes.nextHop, negotiated!.localAddress)) return undefined;
  return naivePolicy(
    core,
    config,
    "import",
    attributes,
    prefix,
    config.external ? "external" : "internal",
    negotiated!.localAddress,
  );
}

/** Where next hops are looked up: all can be reached at rest, but that of a neighbor one hop away must be on the link. */
function nextHopCounts(core: Core, { config }: NeighborRecord, { nextHop }: PathAttributes): boolean {
  if (core.kernel.dataplane === "none" || !config.external || config.ttl !== 1) return true;
  const text = formatIp(nextHop, 0, Math.min(16, nextHop.length));
  return /^(10\.0\.0\.|2001:db8::[0-9a-f]+$)/.test(text) || nextHop.every((byte) => byte === 0);
}

/** Neighbors are on the link; whatever else is reached, is so by routes of this metric (speaker.ts). */
function metricTo(core: Core, { attributes: { nextHop }, from }: Candidate): number {
  if (core.kernel.dataplane === "none" || !from) return 0;
  const text = formatIp(nextHop, 0, Math.min(16, nextHop.length));
  return /^(10\.0\.0\.|2001:db8::[0-9a-f]+$)/.test(text) ? 0 : 10;
}

/** The speaker has one address per family, and both end in the same number. */
function isOwnAddress(nextHop: Uint8Array, local: Uint8Array): boolean {
  const text = formatIp(nextHop, 0, Math.min(16, nextHop.length));
  return text === formatIp(local) || text === ownAddress6(local);
}

function ownAddress6(local: Uint8Array): string {
  return `2001:db8::${local[3].toString(16)}`;
}

function naivePolicy(
  core: Core,
  config: NeighborConfig,
  direction: "import" | "export",
  attributes: PathAttributes,
  prefix: string,
  type: "local" | "internal" | "external",
  local: Uint8Array,
): PathAttributes | undefined {
  const names = direction === "import" ? config.importPolicies : config.exportPolicies;
  const chain = names.map((name) => core.objects.spec("Policy", name) as PolicySpec);
  const context: OracleContext = {
    address: config.address,
    asn: config.remoteAsn,
    peerGroup: "",
    localAs: config.localAsn,
    self4: formatIp(local),
    self6: ownAddress6(local),
    direction,
  };
  return runOracle(chain, noSets, context, { prefix, type }, attributes);
}

/** RFC 4271 9.1.2.2 in its own words: take away, step by step, what is not the best of what is left. */
function naiveBest(core: Core, all: readonly Candidate[]): Candidate | undefined {
  const options = core.neighbors.global!.bestPath;
  let left = [...all];
  const keep = (value: (candidate: Candidate) => number): void => {
    const least = Math.min(...left.map(value));
    left = left.filter((candidate) => value(candidate) === least);
  };
  if (left.length === 0) return undefined;
  keep(({ attributes }) => -(attributes.localPref ?? 100));
  keep(({ from }) => (from ? 1 : 0));
  if (!options.ignoreAsPathLength) keep(({ attributes }) => hops(attributes));
  keep(({ attributes }) => attributes.origin);
  const medOf = ({ attributes }: Candidate): number =>
    attributes.med ?? (options.missingMedWorst ? Number.POSITIVE_INFINITY : 0);
  left = left.filter((candidate) =>
    left.every(
      (other) =>
        medOf(other) >= medOf(candidate) ||
        (!options.alwaysCompareMed && neighborAs(other.attributes) !== neighborAs(candidate.attributes)),
    ),
  );
  keep(({ from }) => (from?.config.external ? 0 : 1));
  keep((candidate) => metricTo(core, candidate));
  if (options.preferOldest && left.every(({ from }) => from?.config.external)) keep(({ time }) => time);
  keep(({ attributes, from }) => attributes.originatorId ?? from?.negotiated?.remoteRouterId ?? 0);
  keep(({ attributes }) => attributes.clusterList.length);
  keep(({ from }) => (from ? new DataView(from.config.addressBytes.buffer).getUint32(0) : 0));
  return left[0];
}

function hops({ asPath }: PathAttributes): number {
  return asPath.reduce((sum, { type, asns }) => sum + (type === SegmentType.set ? 1 : asns.length), 0);
}

function neighborAs({ asPath }: PathAttributes): number {
  return asPath[0]?.type === SegmentType.sequence ? asPath[0].asns[0] : 0;
}

/**
 * Compares what is announced to a neighbor with the gates, the policy and the rewriting by the book. The next hop of
 * external sessions depends on who shares our subnet, and is looked at in transcripts instead.
 */
function checkExport(
  core: Core,
  table: RouteTable,
  row: number,
  prefix: string,
  to: NeighborRecord,
  best: Candidate | undefined,
  fail: (text: string) => never,
): void {
  const group = to.groups[table.family.index];
  if (!group) return;
  const told = group.held(row).find(({ source }) => source !== to.id);
  const announced = told && attributesOf(core, told.attr);
  if (to.config.defaultOriginate && /^(0\.0\.0\.0|::)\/0$/.test(prefix)) {
    if (!announced) fail(`no default route is announced to ${to.config.address}`);
    return;
  }
  const toldNothing = !best || best.from === to;
  let wanted = toldNothing ? undefined : naiveExport(core, to, best, prefix);
  if (wanted && !best?.from) {
    // RFC 4271 5.1.3: a route of our own is not announced to the neighbor that is its next hop.
    if (policySetsNextHop(core, to.config) && !announced) return;
    if (formatIp(wanted.nextHop) === to.config.address && !announced) wanted = undefined;
    if (announced && formatIp(announced.nextHop) === to.config.address)
      fail(`announced to its next hop ${to.config.address}`);
  }
  if ((announced === undefined) !== (wanted === undefined)) {
    fail(`${announced ? "is" : "is not"} announced to ${to.config.address}, by the book the other way round`);
  }
  if (!announced || !wanted) return;
  if (to.config.external || policySetsNextHop(core, to.config)) wanted.nextHop = announced.nextHop;
  if (blockOf(announced) !== blockOf(wanted)) {
    fail(`announced to ${to.config.address} as ${blockOf(announced)}, by the book ${blockOf(wanted)}`);
  }
}

function naiveExport(
  core: Core,
  to: NeighborRecord,
  best: Candidate,
  prefix: string,
): PathAttributes | undefined {
  const { config, negotiated } = to;
  const { from } = best;
  const attributes = decodeBlock(...bytesOf(best.attributes));
  const internalFrom = from !== undefined && !from.config.external;
  const reflected = internalFrom && !config.external;
  if (reflected && !config.routeReflectorClient && !from.config.routeReflectorClient) return undefined;
  if (attributes.communities.includes(noAdvertise)) return undefined;
  if (config.external && attributes.communities.includes(noExport)) return undefined;
  const transparent = config.routeServerClient;
  if (config.external && !transparent && from) attributes.med = undefined;
  const type = from ? (from.config.external ? "external" : "internal") : "local";
  const passed = naivePolicy(core, config, "export", attributes, prefix, type, negotiated!.localAddress);
  if (!passed) return undefined;
  if (config.external) {
    passed.localPref = undefined;
    passed.originatorId = undefined;
    passed.clusterList = [];
    if (transparent) return passed;
    if (config.removePrivateAs !== "none") withoutPrivate(passed, config);
    const [first] = passed.asPath;
    if (first?.type === SegmentType.sequence) first.asns.unshift(config.localAsn);
    else passed.asPath.unshift({ type: SegmentType.sequence, asns: [config.localAsn] });
    return passed;
  }
  passed.localPref ??= 100;
  const unset = passed.nextHop.every((byte) => byte === 0);
  if (unset || (config.nextHopSelf && !reflected)) passed.nextHop = selfOf(negotiated!.localAddress, prefix);
  if (reflected) {
    passed.originatorId ??= from.negotiated!.remoteRouterId;
    passed.clusterList.unshift(config.clusterId);
  }
  return passed;
}

/** Policies with next_hop actions say by statement whether next-hop-self is off; too much for the oracle. */
function policySetsNextHop(core: Core, config: NeighborConfig): boolean {
  const specs = config.exportPolicies.map((name) => core.objects.spec("Policy", name) as PolicySpec);
  return specs.some(({ statements }) => statements.some(({ set }) => set?.nextHop !== undefined));
}

function selfOf(local: Uint8Array, prefix: string): Uint8Array {
  if (!prefix.includes(":")) return local;
  return Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, local[3]);
}

function withoutPrivate(attributes: PathAttributes, config: NeighborConfig): void {
  const isPrivate = (asn: number): boolean =>
    (asn >= 64512 && asn <= 65534) || (asn >= 4200000000 && asn <= 4294967294);
  const all = attributes.asPath.flatMap(({ asns }) => asns);
  if (config.removePrivateAs === "remove" && !all.every(isPrivate)) return;
  for (const segment of attributes.asPath) {
    segment.asns =
      config.removePrivateAs === "replace"
        ? segment.asns.map((asn) => (isPrivate(asn) ? config.localAsn : asn))
        : segment.asns.filter((asn) => !isPrivate(asn));
  }
  attributes.asPath = attributes.asPath.filter(({ asns }) => asns.length > 0);
}

const block = new AttributeBlock();

function attributesOf(core: Core, attr: number): PathAttributes {
  core.routing.attributes.block(attr, block);
  return decodeBlock(block.bytes, block.start, block.end);
}

function blockText(core: Core, attr: number): string {
  core.routing.attributes.block(attr, block);
  return toHex(block.bytes, block.start, block.end);
}

function bytesOf(attributes: PathAttributes): [Uint8Array, number, number] {
  const writer = new MessageWriter(256);
  encodeBlock(attributes, writer);
  return [writer.bytes, 0, writer.at];
}

function blockOf(attributes: PathAttributes): string {
  return toHex(...bytesOf(attributes));
}
