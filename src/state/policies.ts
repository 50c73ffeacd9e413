/** Declared policies and sets, compiled, and bound to neighbors. */
import type { Message } from "@bufbuild/protobuf";
import { PolicyAction } from "../gen/cairn/v1/policy_service_pb.ts";
import type { Direction, PolicyContext } from "../policy/actions.ts";
import { type LibraryKind, type LibrarySpecs, PolicyLibrary } from "../policy/library.ts";
import type { Program } from "../policy/program.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import type { ObjectStore, Touched } from "./objects.ts";
import type { Routing } from "./routing.ts";

/** Kinds of which policies are made, what they name before them. */
export const libraryKinds: readonly LibraryKind[] = [
  "PrefixSet",
  "AsPathSet",
  "CommunitySet",
  "NeighborSet",
  "AsnSet",
  "NextHopSet",
  "Policy",
];

/** Numbers of programs in a fork begin here. */
const forkedIds = 2 ** 32;

/** What export and update groups need of policies. */
export interface ExportPolicies {
  bindExport(record: NeighborRecord, selfNextHop: Uint8Array | undefined): Program | undefined;
  idOf(program: Program | undefined): number;
}

export class Policies implements ExportPolicies {
  readonly library: PolicyLibrary;
  private readonly routing: Routing;
  private readonly ids = new WeakMap<Program, number>();
  private nextId = 1;

  constructor(objects: ObjectStore | undefined, routing: Routing, library = new PolicyLibrary()) {
    this.routing = routing;
    this.library = library;
    for (const kind of libraryKinds) {
      for (const entry of objects?.entries(kind) ?? []) this.put(kind, entry.spec);
    }
  }

  /** A copy to try a transaction on. Its programs have numbers of their own. */
  fork(touched: readonly Touched[]): Policies {
    const copy = new Policies(undefined, this.routing, this.library.fork());
    copy.nextId = forkedIds;
    copy.refresh(touched);
    return copy;
  }

  /** True when a chain of these policies rests on one of the objects (`KIND/NAME`). */
  rests(names: readonly string[], direction: Direction, ids: ReadonlySet<string>): boolean {
    if (names.some((name) => ids.has(`Policy/${name}`))) return true;
    for (const id of this.library.chain(names, direction).uses) if (ids.has(id)) return true;
    return false;
  }

  private put(kind: LibraryKind, spec: Message): void {
    this.library.put(kind, spec as LibrarySpecs[typeof kind]);
  }

  /** Takes over what a commit changed. Programs asked for afterwards are new where they differ, and the same elsewhere. */
  refresh(touched: readonly Touched[]): void {
    for (const { kind, name, after } of touched) {
      const known = libraryKinds.find((other) => other === kind);
      if (!known) continue;
      if (after) this.put(known, after);
      else this.library.delete(known, name);
    }
  }

  /** Import policy of a neighbor; undefined when none is attached. */
  bindImport(record: NeighborRecord): Program | undefined {
    const { importPolicies, importDefault } = record.config;
    if (importPolicies.length === 0) return undefined;
    const local = record.negotiated?.localAddress;
    return this.library.program(
      importPolicies,
      "import",
      this.routing.attributes,
      policyContext(record, local),
      actionOf(importDefault),
    );
  }

  /** Export policy toward a neighbor, with our own next hop of the family on its session. */
  bindExport(record: NeighborRecord, selfNextHop: Uint8Array | undefined): Program | undefined {
    const { exportPolicies, exportDefault } = record.config;
    if (exportPolicies.length === 0) return undefined;
    return this.library.program(
      exportPolicies,
      "export",
      this.routing.attributes,
      policyContext(record, selfNextHop),
      actionOf(exportDefault),
    );
  }

  /** A number that is equal for equal programs: part of what an update group has in common. */
  idOf(program: Program | undefined): number {
    if (!program) return 0;
    let id = this.ids.get(program);
    if (id === undefined) {
      id = this.nextId++;
      this.ids.set(program, id);
    }
    return id;
  }
}

/** The action of a chain's default. */
export function actionOf(word: "accept" | "reject"): PolicyAction {
  return word === "accept" ? PolicyAction.ACCEPT : PolicyAction.REJECT;
}

/** What policy knows of a neighbor. @param self our next hop of the family, or our address on the session */
export function policyContext(record: NeighborRecord, self: Uint8Array | undefined): PolicyContext {
  const { config } = record;
  return {
    neighbor: { address: config.addressBytes, asn: config.remoteAsn, peerGroup: config.peerGroup },
    localAs: config.localAsn,
    ...(self?.length === 4 ? { self4: self } : {}),
    ...(self && self.length > 4 ? { self6: self } : {}),
  };
}
