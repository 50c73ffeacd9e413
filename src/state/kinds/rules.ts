/** What a kind can add to the rules that its field options state. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import { familyByName } from "../../wire/family.ts";

/** Finds the spec of an object as it would be after the transaction; built-in objects included. */
export type SpecLookup = (kind: string, name: string) => Message | undefined;

/**
 * What the host can do for sessions: empty, or one sentence on why it cannot. It is found out once at start and told to
 * the core as an input.
 */
export interface HostAbilities {
  /** TCP MD5 (RFC 2385). */
  readonly md5: string;
  /** TTLs of packets (RFC 5082). */
  readonly gtsm: string;
  /** TCP-AO (RFC 5925). */
  readonly tcpAo: string;
  /** Packets of BFD (RFC 5881). */
  readonly bfd: string;
}

export const everyAbility: HostAbilities = { md5: "", gtsm: "", tcpAo: "", bfd: "" };

export interface KindRules {
  /**
   * Checks that need more than one field or more than one object. Called for each changed object, and again when an
   * object it inherits from changes. Must bear fields that are wrong by themselves: those have their problems already.
   * Problem paths are inside the spec.
   */
  readonly check?: (spec: Message, lookup: SpecLookup, host: HostAbilities) => Problem[];
  /**
   * Checks that need all objects of the kind. Called once when objects of it, or of kinds that it inherits from, change.
   * Problems are of objects of this kind, with paths inside their specs. What was wrong before, and is not made
   * worse, is no problem of the transaction.
   */
  readonly checkAll?: (
    changed: (kind: string, name: string) => boolean,
    objects: (kind: string) => Iterable<Message>,
  ) => { readonly name: string; readonly problem: Problem }[];
  /** Puts texts into canonical form that have no `format` option, in place. */
  readonly canonicalise?: (spec: Message) => void;
  /** Kinds whose changes make `check` run again for objects of this kind that refer to them ("Global": for all). */
  readonly inherits?: readonly string[];
  /**
   * What an operator should know before such a change, for example that it would cut the path of the management
   * session. `before` absent: it is created; `after` absent: it is deleted. `lookup` sees the state afterwards.
   */
  readonly planWarnings?: (
    before: Message | undefined,
    after: Message | undefined,
    lookup: SpecLookup,
  ) => readonly { readonly code: string; readonly message: string }[];
  /** Objects of this kind end running sessions when they are deleted. */
  readonly deleteResets?: boolean;
  /** Singletons that are part of the router and can be changed but not deleted. */
  readonly permanent?: boolean;
  /** Text that lists sort by; the name when absent. */
  readonly sortKey?: (name: string) => string;
  /** Objects that exist without being declared. */
  readonly builtins?: ReadonlyMap<string, Message>;
}

/** A problem of a field, in the form that most rules need. */
export function invalid(path: string, message: string, fix?: string): Problem {
  return { code: "INVALID", path, message, ...(fix ? { fix } : {}) };
}

/** Reports each text that stands in a list more than once. */
export function duplicates(path: string, texts: readonly (string | number)[], what: string): Problem[] {
  const seen = new Set<string | number>();
  const problems: Problem[] = [];
  texts.forEach((text, i) => {
    if (seen.has(text)) {
      problems.push({ code: "DUPLICATE", path: `${path}[${i}]`, message: `${what} ${text} is listed twice` });
    }
    seen.add(text);
  });
  return problems;
}

/** A problem for each family of a list whose NLRI are no prefixes. @param what that is for prefixes alone */
export function prefixesOnly(path: string, names: readonly string[], what: string): Problem[] {
  return names.flatMap((name, i) => {
    if (familyByName(name)?.nlri !== "flow") return [];
    const message = `${name} has rules and no prefixes: there is no ${what}`;
    return [invalid(`${path}[${i}].family`, message, "leave this family out")];
  });
}
