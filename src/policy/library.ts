/**
 * All policies and sets by name, compiled when first needed and shared by everything that names them. Replacing one
 * set compiles that set alone; chains that use it are linked anew on the next request, while programs in use keep what
 * they were built from, so the swap is atomic for whoever asks for the chain again.
 */
import { equals } from "@bufbuild/protobuf";
import type {
  AsnSetSpec,
  AsPathSetSpec,
  CommunitySetSpec,
  NeighborSetSpec,
  NextHopSetSpec,
  PolicySpec,
  PrefixSetSpec,
} from "../gen/cairn/v1/policy_service_pb.ts";
import { PolicyAction, PolicySpecSchema } from "../gen/cairn/v1/policy_service_pb.ts";
import type { Direction, PolicyContext } from "./actions.ts";
import type { AddressSet } from "./address-set.ts";
import { compileAddressSet } from "./address-set.ts";
import type { AsPathSet } from "./as-path-set.ts";
import { compileAsPathSet } from "./as-path-set.ts";
import type { AsnSet } from "./asn-set.ts";
import { compileAsnSet } from "./asn-set.ts";
import type { AttributeTable } from "./attribute-table.ts";
import { builtinPolicies } from "./builtins.ts";
import type { CommunitySet } from "./community-set.ts";
import { compileCommunitySet } from "./community-set.ts";
import type { Chain, ChainSource } from "./compile.ts";
import { compileChain } from "./compile.ts";
import type { NeighborSet } from "./neighbor-set.ts";
import { compileNeighborSet } from "./neighbor-set.ts";
import type { PrefixSet } from "./prefix-set.ts";
import { compilePrefixSet } from "./prefix-set.ts";
import { contextKey, Program } from "./program.ts";

/** The kinds that a library holds, with their specs. All specs put in have passed `validate.ts`. */
export interface LibrarySpecs {
  Policy: PolicySpec;
  PrefixSet: PrefixSetSpec;
  AsPathSet: AsPathSetSpec;
  CommunitySet: CommunitySetSpec;
  NeighborSet: NeighborSetSpec;
  AsnSet: AsnSetSpec;
  NextHopSet: NextHopSetSpec;
}
export type LibraryKind = keyof LibrarySpecs;

/** Programs kept for sharing per chain; past it, programs are made anew and no longer shared. */
const SHARED_PROGRAMS_MAX = 1024;

export class PolicyLibrary implements ChainSource {
  private readonly policies = new Map<string, { spec: PolicySpec; counters: Float64Array }>();
  private readonly prefixSets = new Map<string, Lazy<PrefixSetSpec, PrefixSet>>();
  private readonly asPathSets = new Map<string, Lazy<AsPathSetSpec, AsPathSet>>();
  private readonly communitySets = new Map<string, Lazy<CommunitySetSpec, CommunitySet>>();
  private readonly neighborSets = new Map<string, Lazy<NeighborSetSpec, NeighborSet>>();
  private readonly asnSets = new Map<string, Lazy<AsnSetSpec, AsnSet>>();
  private readonly nextHopSets = new Map<string, Lazy<NextHopSetSpec, AddressSet>>();
  private readonly chains = new Map<string, { chain: Chain; programs: Map<string, Program> }>();

  constructor() {
    for (const policy of builtinPolicies) this.put("Policy", policy);
  }

  /** Adds or replaces an object. Chains that use it are compiled anew when next asked for. */
  put<K extends LibraryKind>(kind: K, spec: LibrarySpecs[K]): void {
    switch (kind) {
      case "Policy":
        this.putPolicy(spec as PolicySpec);
        return;
      case "PrefixSet":
        this.prefixSets.set(
          spec.name,
          new Lazy(spec as PrefixSetSpec, (set) => compilePrefixSet(set.prefixes)),
        );
        break;
      case "AsPathSet":
        this.asPathSets.set(
          spec.name,
          new Lazy(spec as AsPathSetSpec, (set) => compileAsPathSet(set.patterns)),
        );
        break;
      case "CommunitySet": {
        const lazy = new Lazy(spec as CommunitySetSpec, (set) => compileCommunitySet(set.communities));
        this.communitySets.set(spec.name, lazy);
        break;
      }
      case "NeighborSet":
        this.neighborSets.set(spec.name, new Lazy(spec as NeighborSetSpec, compileNeighborSet));
        break;
      case "AsnSet":
        this.asnSets.set(spec.name, new Lazy(spec as AsnSetSpec, (set) => compileAsnSet(set.asns)));
        break;
      case "NextHopSet": {
        const lazy = new Lazy(spec as NextHopSetSpec, (set) => compileAddressSet(set.addresses));
        this.nextHopSets.set(spec.name, lazy);
        break;
      }
    }
    this.invalidate(kind, spec.name);
  }

  /** Removes an object that nothing refers to any more. */
  delete(kind: LibraryKind, name: string): void {
    this.mapOf(kind).delete(name);
    this.invalidate(kind, name);
  }

  /**
   * The compiled chain of these policies. The same object as before as long as nothing that it uses has changed, so
   * `!==` tells whether routes must be run through it again.
   */
  chain(
    names: readonly string[],
    direction: Direction,
    defaultAction: PolicyAction = PolicyAction.REJECT,
  ): Chain {
    return this.entry(names, direction, defaultAction).chain;
  }

  /**
   * The chain bound to a context and to the one attribute table that this library serves. Contexts that the chain cannot
   * tell apart share one program, so again `!==` tells whether anything changed.
   */
  program(
    names: readonly string[],
    direction: Direction,
    table: AttributeTable,
    context: PolicyContext,
    defaultAction: PolicyAction = PolicyAction.REJECT,
  ): Program {
    const { chain, programs } = this.entry(names, direction, defaultAction);
    const key = contextKey(chain, context);
    let program = programs.get(key);
    if (!program) {
      program = new Program(chain, table, context);
      if (programs.size < SHARED_PROGRAMS_MAX) programs.set(key, program);
    }
    return program;
  }

  /** A copy to try changes on. Compiled sets are shared with it, counters and programs are not. */
  fork(): PolicyLibrary {
    const copy = new PolicyLibrary();
    for (const { spec } of this.policies.values()) copy.put("Policy", spec);
    for (const [name, set] of this.prefixSets) copy.prefixSets.set(name, set);
    for (const [name, set] of this.asPathSets) copy.asPathSets.set(name, set);
    for (const [name, set] of this.communitySets) copy.communitySets.set(name, set);
    for (const [name, set] of this.neighborSets) copy.neighborSets.set(name, set);
    for (const [name, set] of this.asnSets) copy.asnSets.set(name, set);
    for (const [name, set] of this.nextHopSets) copy.nextHopSets.set(name, set);
    return copy;
  }

  /**
   * Evaluations in which each statement of a policy matched, since the policy last changed; the last number is how
   * often its default action decided. Undefined when there is no such policy.
   */
  hits(policy: string): Float64Array | undefined {
    for (const { programs } of this.chains.values())
      for (const program of programs.values()) program.foldHits();
    return this.policies.get(policy)?.counters.slice();
  }

  policy(name: string): PolicySpec | undefined {
    return this.policies.get(name)?.spec;
  }

  counters(name: string): Float64Array {
    return this.policies.get(name)?.counters ?? new Float64Array(0);
  }

  prefixSet(name: string): PrefixSet | undefined {
    return this.prefixSets.get(name)?.value;
  }

  asPathSet(name: string): AsPathSet | undefined {
    return this.asPathSets.get(name)?.value;
  }

  communitySet(name: string): CommunitySet | undefined {
    return this.communitySets.get(name)?.value;
  }

  neighborSet(name: string): NeighborSet | undefined {
    return this.neighborSets.get(name)?.value;
  }

  asnSet(name: string): AsnSet | undefined {
    return this.asnSets.get(name)?.value;
  }

  nextHopSet(name: string): AddressSet | undefined {
    return this.nextHopSets.get(name)?.value;
  }

  /** Names of all policies, built-in ones too. */
  policyNames(): string[] {
    return [...this.policies.keys()];
  }

  private putPolicy(spec: PolicySpec): void {
    const old = this.policies.get(spec.name);
    const bare = (policy: PolicySpec): PolicySpec => ({ ...policy, description: "", tests: [] });
    if (old && equals(PolicySpecSchema, bare(old.spec), bare(spec))) {
      old.spec = spec; // a new description or test is no reason to run routes again
      return;
    }
    this.policies.set(spec.name, { spec, counters: new Float64Array(spec.statements.length + 1) });
    this.invalidate("Policy", spec.name);
  }

  private entry(
    names: readonly string[],
    direction: Direction,
    defaultAction: PolicyAction,
  ): { chain: Chain; programs: Map<string, Program> } {
    const key = `${direction} ${defaultAction} ${names.join(" ")}`;
    let entry = this.chains.get(key);
    if (!entry) {
      entry = { chain: compileChain(names, this, direction, defaultAction), programs: new Map() };
      this.chains.set(key, entry);
    }
    return entry;
  }

  private invalidate(kind: LibraryKind, name: string): void {
    for (const [key, { chain, programs }] of this.chains) {
      if (!chain.uses.has(`${kind}/${name}`)) continue;
      for (const program of programs.values()) program.foldHits();
      this.chains.delete(key);
    }
  }

  private mapOf(kind: LibraryKind): Map<string, unknown> {
    const maps = {
      Policy: this.policies,
      PrefixSet: this.prefixSets,
      AsPathSet: this.asPathSets,
      CommunitySet: this.communitySets,
      NeighborSet: this.neighborSets,
      AsnSet: this.asnSets,
      NextHopSet: this.nextHopSets,
    };
    return maps[kind] as Map<string, unknown>;
  }
}

/** A spec and what it compiles to, made when first asked for. */
class Lazy<Spec, Compiled> {
  private readonly spec: Spec;
  private readonly compile: (spec: Spec) => Compiled;
  private compiled: Compiled | undefined;

  constructor(spec: Spec, compile: (spec: Spec) => Compiled) {
    this.spec = spec;
    this.compile = compile;
  }

  get value(): Compiled {
    this.compiled ??= this.compile(this.spec);
    return this.compiled;
  }
}
