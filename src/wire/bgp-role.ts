/** Roles of RFC 9234: which pairs are right, and what they mean for ONLY_TO_CUSTOMER. */

/** Roles by their numbers on the wire (RFC 9234 4.1): the sender's own. */
export const BgpRole = { provider: 0, rs: 1, rsClient: 2, customer: 3, peer: 4 } as const;
export type BgpRole = (typeof BgpRole)[keyof typeof BgpRole];

export const bgpRoleNames = ["provider", "rs", "rs-client", "customer", "peer"] as const;

/** The role that the other side must have (RFC 9234 4.2). */
export function counterpart(role: BgpRole): BgpRole {
  return counterparts[role];
}

const counterparts: readonly BgpRole[] = [
  BgpRole.customer,
  BgpRole.rsClient,
  BgpRole.rs,
  BgpRole.provider,
  BgpRole.peer,
];

/** The neighbor is our provider, our peer or a route server: what comes from it is for customers only. */
export function isFromAbove(role: BgpRole): boolean {
  return role === BgpRole.customer || role === BgpRole.rsClient || role === BgpRole.peer;
}

/** The neighbor is our customer, our peer or a client of our route server: it may send on to customers only. */
export function isToBelow(role: BgpRole): boolean {
  return role === BgpRole.provider || role === BgpRole.rs || role === BgpRole.peer;
}
