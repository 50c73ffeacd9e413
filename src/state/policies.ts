/** Declared policies and sets, compiled, and bound to neighbors. */
import type { Message } from "@bufbuild/protobuf";
import type { PolicyContext } from "../policy/actions.ts";
import { type LibraryKind, type LibrarySpecs, PolicyLibrary } from "../policy/library.ts";
import type { Program } from "../policy/program.ts";
import type { NeighborRecord } from "./neighbor-record.ts";
import type { ObjectStore, Touched } from "./objects.ts";
import type { Routing } from "./routing.ts";

const libraryKinds: readonly LibraryKind[] = [
  "PrefixSet",
  "AsPathSet",
  "CommunitySet",
  "NeighborSet",
  "Policy",
];

export class Policies {
  readonly library = new PolicyLibrary();
  private readonly routing: Routing;
  private readonly ids = new WeakMap<Program, number>();
  private nextId = 1;

  constructor(objects: ObjectStore, routing: Routing) {
    this.routing = routing;
    for (const kind of libraryKinds) for (const entry of objects.entries(kind)) this.put(kind, entry.spec);
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
    const { importPolicies } = record.config;
    if (importPolicies.length === 0) return undefined;
    const local = record.negotiated?.localAddress;
    return this.library.program(importPolicies, "import", this.routing.attributes, contextOf(record, local));
  }

  /** Export policy toward a neighbor, with our own next hop of the family on its session. */
  bindExport(record: NeighborRecord, selfNextHop: Uint8Array | undefined): Program | undefined {
    const { exportPolicies } = record.config;
    if (exportPolicies.length === 0) return undefined;
    return this.library.program(
      exportPolicies,
      "export",
      this.routing.attributes,
      contextOf(record, selfNextHop),
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

function contextOf(record: NeighborRecord, self: Uint8Array | undefined): PolicyContext {
  const { config } = record;
  return {
    neighbor: { address: config.addressBytes, asn: config.remoteAsn, peerGroup: config.peerGroup },
    localAs: config.localAsn,
    ...(self?.length === 4 ? { self4: self } : {}),
    ...(self && self.length > 4 ? { self6: self } : {}),
  };
}
