/** What explanations tell of a route that comes in: the checks in order, and what decided. Read from importer.ts. */
import type { Explanation } from "../policy/explain.ts";
import { RejectReason, rejectReasonText } from "../rib/path-flags.ts";
import { type ImportGate, importChecks } from "./import-checks.ts";
import type { NeighborConfig } from "./session-port.ts";

/** What is asked of a path, in order, with the reason that each gives. */
export const gatesInOrder: readonly ImportGate[] = [
  { name: "prefix-limit", passes: "within the prefix limit", reason: RejectReason.prefixLimit },
  {
    name: "path-limit",
    passes: "within the limit of paths per prefix",
    reason: RejectReason.pathLimit,
  },
  ...importChecks.map(({ name, passes, reason }) => ({ name, passes, reason })),
  {
    name: "flow-validation",
    passes: "unicast routes bear it out, or are not asked (flowspec_validation)",
    reason: RejectReason.flowValidation,
  },
  { name: "policy", passes: "policy accepts it", reason: RejectReason.policy },
  {
    name: "damping",
    passes: "it has not flapped too often, or has been quiet since",
    reason: RejectReason.damped,
  },
  {
    name: "prefix-limit-after-policy",
    passes: "within the prefix limit for accepted routes",
    reason: RejectReason.acceptedLimit,
  },
  { name: "next-hop", passes: "the next hop can be reached", reason: RejectReason.nextHop },
];

/** A path on its way in, told by `Importer.explain`. */
export interface ImportStory {
  /** Up to the one that refused it. */
  readonly gates: readonly (ImportGate & { readonly passed: boolean })[];
  /** What policy did; undefined when it was not asked, or there is none. */
  readonly policy: Explanation | undefined;
  readonly accepted: boolean;
  /** A check's text, the policy's statement, or that there is no policy. */
  readonly decidedBy: string;
  /** What was done after policy, a sentence each. */
  readonly changes: readonly string[];
}

/** Policy saw another path than the one that was received: told before it. */
export function tellLocalAs(gates: ImportStory["gates"][number][], config: NeighborConfig): void {
  const at = gates.findIndex(({ reason }) => reason === RejectReason.policy);
  if (!config.localAsPrepends || at < 0) return;
  const passes = `AS ${config.localAsn} is put in front of the path (local_asn)`;
  gates.splice(at, 0, { name: "local-as", passes, reason: RejectReason.none, passed: true });
}

/** What decided about a path: a check, a statement of policy, or that there is no policy. */
export function decidedBy(reason: RejectReason, policy: Explanation | undefined): string {
  if (reason !== RejectReason.none && reason !== RejectReason.policy) return rejectReasonText[reason];
  return policy?.reason ?? "no import policy: everything is accepted";
}
