/**
 * Trying a policy over the live tables before it is applied: candidates in a copy of the library, each route run
 * through the import (or export) code that would run it, and what came out held against what is there. In steps, and
 * nothing is changed: hits are not counted either.
 */
import { create, type Message } from "@bufbuild/protobuf";
import type { Problem, Result } from "../base/problem.ts";
import type { GlobalSpec } from "../gen/cairn/v1/global_service_pb.ts";
import type { NeighborSpec } from "../gen/cairn/v1/neighbor_service_pb.ts";
import type { PeerGroupSpec } from "../gen/cairn/v1/peer_group_service_pb.ts";
import {
  PolicyAction,
  PolicyAttachPoint,
  type PolicyDifference,
  PolicyDifferenceSchema,
  PolicyDirection,
  type PolicyStats,
  PolicyStatsSchema,
  type PolicyTestCounts,
  PolicyTestCountsSchema,
  type TestPolicyRequest,
} from "../gen/cairn/v1/policy_service_pb.ts";
import { describeChanges } from "../policy/explain.ts";
import type { PolicyLibrary } from "../policy/library.ts";
import { parsePolicyText } from "../policy/text/parse.ts";
import type { AttrId } from "../rib/attribute-store.ts";
import { pathReason } from "../rib/export-gates.ts";
import { Exporter } from "../rib/exporter.ts";
import { isAccepted } from "../rib/path-flags.ts";
import type { RouteTable } from "../rib/route-table.ts";
import { decodeBlock } from "../wire/block.ts";
import { type Family, families, familyByName } from "../wire/family.ts";
import type { PathAttributes } from "../wire/path-attributes.ts";
import { AttributeBlock } from "../wire/scratch.ts";
import type { Core } from "./core.ts";
import type { MutationOp } from "./mutation.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import type { Specs } from "./objects.ts";
import { CandidateSpecs } from "./plan-neighbors.ts";
import type { Policies } from "./policies.ts";
import { keepsRejected } from "./rejected.ts";
import { resolveNeighbor } from "./resolve.ts";
import { prefixText } from "./route-message.ts";
import type { NeighborConfig } from "./session-port.ts";
import type { PolicyTrial } from "./view.ts";

const differencesDefault = 1000;

/** Checks the candidates and the attach point, and starts. */
export function startTrial(core: Core, request: TestPolicyRequest): Result<PolicyTrial> {
  const problems: Problem[] = [];
  const ops = candidateOps(request, problems);
  const mutation = { ops, expectedGeneration: 0, dryRun: true, reason: "", requestId: "" };
  const prepared = core.objects.prepare({ ...mutation, principal: "", source: "trial" }, core.wallMs);
  if (!prepared.ok) problems.push(...prepared.problems);
  const records = recordsOf(core, request.neighbors, problems);
  const family = request.family === "" ? undefined : familyByName(request.family);
  if (request.family !== "" && !family) {
    const message = `"${request.family}" is not an address family`;
    problems.push({ code: "INVALID", path: "family", message, value: request.family });
  }
  if (!prepared.ok) return { ok: false, problems };
  const { touched } = prepared.value;
  const policies = core.policies.fork(touched);
  request.chain.forEach((name, i) => {
    if (policies.library.policy(name)) return;
    problems.push({
      code: "REF_MISSING",
      path: `chain[${i}]`,
      message: `there is no Policy ${name}`,
      value: name,
    });
  });
  if (request.attach === PolicyAttachPoint.PEER_GROUP && !core.objects.spec("PeerGroup", request.peerGroup)) {
    const message = `there is no PeerGroup ${request.peerGroup}`;
    problems.push({ code: "REF_MISSING", path: "peer_group", message, value: request.peerGroup });
  }
  if (problems.length > 0) return { ok: false, problems };
  const specs = core.dynamic.dynamic.over(new CandidateSpecs(core.objects, touched));
  const attached = new AttachedSpecs(specs, request);
  const units = records.filter(attached.concerns).flatMap((record) => {
    const tried: NeighborRecord = { ...record, config: attached.config(record.config) };
    return (family ? [family] : families).map((each) => ({ record, tried, family: each }));
  });
  return { ok: true, value: new Trial(core, policies, request, units) };
}

/** Declared objects as they would be with the chain at its place. */
class AttachedSpecs implements Specs {
  private readonly base: Specs;
  private readonly request: TestPolicyRequest;

  constructor(base: Specs, request: TestPolicyRequest) {
    this.base = base;
    this.request = request;
  }

  /** False for neighbors that are not members of the peer group which is tried. */
  readonly concerns = ({ config }: NeighborRecord): boolean => {
    const { attach, peerGroup } = this.request;
    return attach !== PolicyAttachPoint.PEER_GROUP || config.peerGroup === peerGroup;
  };

  spec(kind: string, name: string): Message | undefined {
    const spec = this.base.spec(kind, name);
    const { attach, chain } = this.request;
    if (!spec || attach === PolicyAttachPoint.UNSPECIFIED || kind !== placeKinds[attach]) return spec;
    const isExport = this.request.direction === PolicyDirection.EXPORT;
    const copy = { ...spec };
    if (attach === PolicyAttachPoint.GLOBAL_AFTER) {
      const global = copy as GlobalSpec;
      if (isExport) global.exportAfter = chain;
      else global.importAfter = chain;
    } else {
      const holder = copy as GlobalSpec | PeerGroupSpec | NeighborSpec;
      if (isExport) holder.export = chain;
      else holder.import = chain;
    }
    return copy;
  }

  /** Settings of a neighbor with the chain and the default that are tried. */
  config(config: NeighborConfig): NeighborConfig {
    const { attach, chain, direction, defaultAction } = this.request;
    const isExport = direction === PolicyDirection.EXPORT;
    const resolved =
      attach === PolicyAttachPoint.UNSPECIFIED ? config : resolveNeighbor(this, config.address)!;
    const own = isExport ? resolved.exportPolicies : resolved.importPolicies;
    const policies = attach === PolicyAttachPoint.UNSPECIFIED && chain.length > 0 ? chain : own;
    const action = defaultAction === PolicyAction.ACCEPT ? ("accept" as const) : ("reject" as const);
    const given = defaultAction !== PolicyAction.UNSPECIFIED;
    return isExport
      ? { ...config, exportPolicies: policies, exportDefault: given ? action : config.exportDefault }
      : { ...config, importPolicies: policies, importDefault: given ? action : config.importDefault };
  }
}

const placeKinds: Readonly<Record<PolicyAttachPoint, string>> = {
  [PolicyAttachPoint.UNSPECIFIED]: "",
  [PolicyAttachPoint.GLOBAL]: "Global",
  [PolicyAttachPoint.PEER_GROUP]: "PeerGroup",
  [PolicyAttachPoint.NEIGHBOR]: "Neighbor",
  [PolicyAttachPoint.GLOBAL_AFTER]: "Global",
};

function candidateOps(request: TestPolicyRequest, problems: Problem[]): MutationOp[] {
  const ops: MutationOp[] = [];
  const put = (kind: string, specs: readonly Message[]): void => {
    for (const spec of specs) ops.push({ op: "put", kind, spec });
  };
  put("Policy", request.policies);
  put("PrefixSet", request.prefixSets);
  put("AsPathSet", request.asPathSets);
  put("CommunitySet", request.communitySets);
  put("NeighborSet", request.neighborSets);
  put("AsnSet", request.asnSets);
  put("NextHopSet", request.nextHopSets);
  if (request.text !== "") {
    const parsed = parsePolicyText(request.text);
    for (const { line, column, message } of parsed.errors) {
      problems.push({ code: "SYNTAX", path: "text", message: `line ${line}, column ${column}: ${message}` });
    }
    for (const { kind, spec } of parsed.objects) ops.push({ op: "put", kind, spec });
  }
  return ops;
}

function recordsOf(core: Core, names: readonly string[], problems: Problem[]): NeighborRecord[] {
  if (names.length === 0) return [...core.neighbors.all()];
  return names.flatMap((name, i) => {
    const record = core.neighbors.named(name);
    if (record) return [record];
    problems.push({ code: "NOT_FOUND", path: `neighbors[${i}]`, message: `there is no neighbor ${name}` });
    return [];
  });
}

/** A neighbor and family on the waiting list; `tried` is the record with the candidate chain. */
interface Waiting {
  readonly record: NeighborRecord;
  readonly tried: NeighborRecord;
  readonly family: Family;
}

/** What there is to look at for one neighbor and family. */
interface Unit {
  readonly rows: () => number;
  /** Compares what a row holds of the neighbor. */
  readonly look: (row: number) => readonly Comparison[];
  /** Lets go of what a step held. */
  readonly rest: () => void;
  readonly counts: PolicyTestCounts;
}

interface Comparison {
  readonly prefix: number;
  readonly pathId: number;
  /** Attributes before and after; 0 for none. `after` is valid until the next step. */
  readonly before: AttrId;
  readonly after: AttrId;
  readonly reason: () => string;
}

/** Paths of a prefix that are explained until the one is found that a difference is about. */
const storiesMax = 64;

class Trial implements PolicyTrial {
  private readonly core: Core;
  private readonly policies: Policies;
  private readonly request: TestPolicyRequest;
  private readonly waiting: Waiting[];
  private readonly block = new AttributeBlock();
  private unit: { readonly unit: Unit; readonly table: RouteTable } | undefined;
  private row = 1;
  private told = 0;

  constructor(core: Core, policies: Policies, request: TestPolicyRequest, waiting: Waiting[]) {
    this.core = core;
    this.policies = policies;
    this.request = request;
    this.waiting = waiting;
  }

  next(differences: PolicyDifference[], counts: PolicyTestCounts[], rows: number): boolean {
    if (!this.unit) {
      const next = this.waiting.shift();
      if (!next) return true;
      if (next.record.removed) return this.waiting.length === 0;
      const table = this.core.routing.table(next.family);
      const isExport = this.request.direction === PolicyDirection.EXPORT;
      const unit = isExport ? this.exportUnit(next, table) : this.importUnit(next, table);
      this.row = 1;
      this.told = 0;
      if (unit) this.unit = { unit, table };
      return !unit && this.waiting.length === 0;
    }
    const { unit, table } = this.unit;
    const end = Math.min(unit.rows(), this.row + rows);
    for (; this.row < end; this.row++) {
      for (const found of unit.look(this.row)) this.compare(unit, table, found, differences);
    }
    unit.rest();
    if (this.row < unit.rows()) return false;
    if (unit.counts.routes > 0n) counts.push(unit.counts);
    this.unit = undefined;
    return this.waiting.length === 0;
  }

  private compare(unit: Unit, table: RouteTable, found: Comparison, differences: PolicyDifference[]): void {
    const { counts } = unit;
    const { before, after } = found;
    counts.routes++;
    if (after === 0) counts.rejected++;
    else counts.accepted++;
    if (before === after) return;
    if (before === 0) counts.newlyAccepted++;
    else if (after === 0) counts.newlyRejected++;
    else counts.changed++;
    if (this.told++ >= (this.request.maxDifferences || differencesDefault)) return;
    const changes = before !== 0 && after !== 0 ? describeChanges(this.read(before), this.read(after)) : [];
    differences.push(
      create(PolicyDifferenceSchema, {
        neighbor: counts.neighbor,
        prefix: prefixText(table.prefixes, found.prefix),
        pathId: found.pathId,
        before: before === 0 ? "rejected" : "accepted",
        after: after === 0 ? "rejected" : "accepted",
        reason: found.reason(),
        changes,
      }),
    );
  }

  private read(attr: AttrId): PathAttributes {
    this.core.routing.attributes.block(attr, this.block);
    return decodeBlock(this.block.bytes, this.block.start, this.block.end);
  }

  private importUnit({ record, tried }: Waiting, table: RouteTable): Unit | undefined {
    const { core, policies } = this;
    if (table.received[record.id] === 0) return undefined;
    const { attributes } = core.routing;
    tried.importProgram = policies.bindImport(tried);
    const { paths } = table;
    const held: AttrId[] = [];
    return {
      counts: create(PolicyTestCountsSchema, {
        neighbor: record.config.address,
        family: table.family.name,
        partial: !record.config.softReconfiguration && !keepsRejected(record, table, false),
      }),
      rows: () => paths.rows,
      rest: () => {
        for (const attr of held.splice(0)) attributes.release(attr);
      },
      look: (path) => {
        if (paths.neighbor[path] !== record.id || paths.received[path] === 0) return [];
        const after = core.importer.decide(tried, table, path);
        if (after !== 0) held.push(after);
        const wasAccepted = isAccepted(paths.flags[path]);
        const comparison: Comparison = {
          prefix: paths.prefix[path],
          pathId: paths.idOf(path),
          before: wasAccepted ? paths.attr[path] : 0,
          after,
          reason: () => core.importer.explain(tried, table, path).decidedBy,
        };
        return [comparison];
      },
    };
  }

  private exportUnit({ record, tried }: Waiting, table: RouteTable): Unit | undefined {
    const { core, policies } = this;
    const group = record.groups[table.family.index];
    if (!group) return undefined;
    const { attributes, neighbors, exportCache } = core.routing;
    const { selfNextHop } = group.exporter.config;
    const config = { ...group.exporter.config, program: policies.bindExport(tried, selfNextHop) };
    const exporter = new Exporter(table, attributes, neighbors, exportCache, config);
    exporter.fits = group.exporter.fits;
    exporter.counting = false;
    for (const [address, id] of group.exporter.memberAddresses) exporter.memberAddresses.set(address, id);
    return {
      counts: create(PolicyTestCountsSchema, { neighbor: record.config.address, family: table.family.name }),
      rows: () => (group.closed ? 0 : table.prefixes.rows),
      rest: () => exporter.endBatch(),
      look: (row) => {
        if (table.isMarker(row) || group.defaultFor(row) !== 0 || table.bestOf(row) === 0) return [];
        const held = group.held(row).filter(({ source }) => source !== record.id);
        const goes = exporter.chooseAll(row).filter(({ source }) => source !== record.id);
        // Without Add-Path there is one route per prefix, whichever path it is of.
        const ids = config.addPath ? table.ranked(row) : [0];
        return ids.map((pathId) => ({
          prefix: row,
          pathId,
          before: held.find((route) => route.pathId === pathId)?.attr ?? 0,
          after: goes.find((route) => !config.addPath || route.pathId === pathId)?.attr ?? 0,
          reason: () => {
            const { paths } = exporter.explain(row, record.id, pathId === 0 ? 1 : storiesMax);
            return pathReason(paths.find(({ path }) => path === pathId) ?? paths[paths.length - 1]);
          },
        }));
      },
    };
  }
}

/** Hits of the named policy, or of all, each statement in order and the default action as number 0. */
export function policyStats(library: PolicyLibrary, name: string): Result<PolicyStats[]> {
  if (name !== "" && !library.policy(name)) {
    return {
      ok: false,
      problems: [{ code: "NOT_FOUND", path: "name", message: `there is no Policy ${name}` }],
    };
  }
  const names = name === "" ? library.policyNames().sort() : [name];
  const value = names.map((policy) => {
    const hits = library.hits(policy)!;
    const spec = library.policy(policy)!;
    const statements = spec.statements.map((statement, i) => ({
      statement: i + 1,
      name: statement.name,
      hits: BigInt(hits[i]),
    }));
    const last = { statement: 0, name: "default action", hits: BigInt(hits[spec.statements.length]) };
    return create(PolicyStatsSchema, { policy, statements: [...statements, last] });
  });
  return { ok: true, value };
}
