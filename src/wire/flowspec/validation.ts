/** Whether a flow specification may be used (RFC 8955 section 6, revised by RFC 9117 and RFC 8956 section 5). */
import type { Prefix } from "../../base/ip.ts";

/** What the decision looks at of a rule and its path. */
export interface FlowOrigin {
  /** As `destinationOf` finds it. */
  readonly destination: Prefix | undefined;
  /** It came over a session to another AS, or is our own. A session inside of a confederation is not external. */
  readonly source: "external" | "internal" | "own";
  /** ORIGINATOR_ID as text, or the neighbor's address where there is none: equal for equal originators. */
  readonly originator: string;
  /** The AS_PATH without segments of a confederation has no AS in it. */
  readonly isLocal: boolean;
  /** It has a component that cairn does not know. */
  readonly hasUnknown: boolean;
  /** The left-most AS of the AS_PATH, behind segments of a confederation; 0 when it is none of a sequence. */
  readonly firstAs: number;
}

/** The best route of the longest unicast prefix that covers the destination. */
export interface UnicastMatch {
  readonly originator: string;
  /** As in `FlowOrigin`; 0 for routes of our own AS. */
  readonly firstAs: number;
}

/** What is asked of the unicast table of the same AFI. */
export interface UnicastRoutes {
  bestMatch(destination: Prefix): UnicastMatch | undefined;
  /** There is a route to a longer prefix inside the destination whose `firstAs` is another one. */
  hasMoreSpecificFrom(destination: Prefix, otherThan: number): boolean;
}

/** How strict it is; all as the RFCs want it by default. */
export interface FlowChecks {
  /** Rules must have a destination (rule a, which may be relaxed; the others are then moot). */
  readonly needsDestination: boolean;
  /** Rules of our own AS need not come from where the destination does (RFC 9117 4.1 b.2). */
  readonly trustsLocal: boolean;
}

export const defaultFlowChecks: FlowChecks = { needsDestination: true, trustsLocal: true };

/** Why a rule is not used, for programs; `flowFaultTexts` has the sentences. */
export type FlowFault =
  | "unknown-component"
  | "no-destination"
  | "no-unicast-route"
  | "other-originator"
  | "other-first-as"
  | "more-specific-from-other-as";

export const flowFaultTexts: Readonly<Record<FlowFault, string>> = {
  "unknown-component": "it has a component that is not known (RFC 8955 4.2)",
  "no-destination": "it has no destination (RFC 8955 section 6 a)",
  "no-unicast-route": "no unicast route covers its destination (RFC 8955 section 6 b)",
  "other-originator": "the best route to its destination has another originator (RFC 9117 4.1 b)",
  "other-first-as": "the best route to its destination begins with another AS (RFC 9117 4.2)",
  "more-specific-from-other-as": "another AS announces a part of its destination (RFC 8955 section 6 c)",
};

/**
 * Decides about one rule. It is to be asked again whenever unicast routes that cover the destination, or are inside of it,
 * change. Rules of our own are always used: whoever may inject them may announce the routes just as well.
 * @returns why it is not used; undefined when it is
 */
export function validateFlow(
  { destination, source, originator, isLocal, hasUnknown, firstAs }: FlowOrigin,
  routes: UnicastRoutes,
  { needsDestination, trustsLocal }: FlowChecks = defaultFlowChecks,
): FlowFault | undefined {
  if (source === "own") return undefined;
  // RFC 8955 4.2 calls it malformed. Inside of our AS it is carried, as those who made it know who understands it; from
  // others it would reset the sessions of our neighbors that go by the letter.
  if (hasUnknown && source === "external") return "unknown-component";
  if (!destination) return needsDestination ? "no-destination" : undefined;
  const match = routes.bestMatch(destination);
  // An empty path over an external session says nothing of who made the rule: it has no first AS to be compared.
  const isTrusted = trustsLocal && isLocal && source === "internal";
  if (!match) return isTrusted ? undefined : "no-unicast-route";
  if (source === "external" && (firstAs === 0 || firstAs !== match.firstAs)) return "other-first-as";
  if (!isTrusted && originator !== match.originator) return "other-originator";
  return routes.hasMoreSpecificFrom(destination, match.firstAs) ? "more-specific-from-other-as" : undefined;
}
