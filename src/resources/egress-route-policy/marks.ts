/**
 * Marks and tables of candidates. A candidate has one number, which follows from its name: it must be the same after
 * other objects came and went, as connections bear it.
 */
import { mainTable } from "../../dataplane/netlink/route-wire.ts";
import type { EgressCandidate, EgressRoutePolicySpec } from "../../gen/cairn/v1/egress_service_pb.ts";

/** The bits of packet and connection marks that are ours. Those of others stay as they are. */
export const markMask = 0x7ff0_0000;
const markShift = 20;
/** Numbers of candidates: 1 to this. */
const markMax = 2047;
/** Tables of our own begin after this one. */
const tableBase = 67_000;

/** The number of a candidate. */
export function numberOf(policy: string, { name, mark }: EgressCandidate): number {
  if (mark !== undefined) return mark;
  // FNV-1a: names that differ in one letter are far apart.
  let hash = 0x811c_9dc5;
  for (const letter of `${policy}/${name}`)
    hash = Math.imul(hash ^ letter.codePointAt(0)!, 0x0100_0193) >>> 0;
  return 1 + (hash % markMax);
}

/** Mark of packets and connections, inside `markMask`. */
export function markOf(policy: string, candidate: EgressCandidate): number {
  return numberOf(policy, candidate) << markShift;
}

/** The table that packets with the mark are led to. */
export function tableOf(policy: string, candidate: EgressCandidate): number {
  return candidate.table ?? tableBase + numberOf(policy, candidate);
}

export const ruleDefaults = { priority: 6700, table: mainTable } as const;

/** Candidates of a policy as `POLICY/NAME` with their numbers. */
export function numbersOf(spec: EgressRoutePolicySpec): { readonly id: string; readonly number: number }[] {
  return spec.candidates.map((candidate) => ({
    id: `${spec.name}/${candidate.name}`,
    number: numberOf(spec.name, candidate),
  }));
}

export function hex32(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, "0")}`;
}

/** Statements that put our bits into a mark and leave the others, in the words of nft. */
export function setMark(what: "ct mark" | "meta mark", mark: number): string {
  return `${what} set ${what} & ${hex32(~markMask | mark)} | ${hex32(mark)}`;
}

/** Matches connections that bear this mark; 0: none of ours. */
export function hasMark(mark: number): string {
  return `ct mark & ${hex32(markMask)} == ${hex32(mark)}`;
}
