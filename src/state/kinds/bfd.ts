/** Settings of BFD with a neighbor: what they mean, and what cannot be. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { Problem } from "../../base/problem.ts";
import { type Bfd, BfdSchema } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { durationMs, fieldNamed } from "../schema.ts";
import type { BfdConfig } from "../session-port.ts";
import { invalid } from "./rules.ts";

/** Shorter ones cannot be kept by a process that shares its host. */
const intervalMinMs = 10;
const intervalDefaultMs = 300;

/** @returns undefined when there is to be no session */
export function bfdOf(spec: Bfd | undefined): BfdConfig | undefined {
  if (!spec || spec.enabled === false) return undefined;
  return {
    multihop: spec.multihop,
    minTxUs: intervalUs(spec.minTx),
    minRxUs: intervalUs(spec.minRx),
    multiplier: spec.multiplier ?? defaultOf("multiplier"),
    passive: spec.passive ?? false,
    minTtl: spec.minTtl ?? defaultOf("min_ttl"),
    strict: spec.strict ?? false,
    holdOffMs: durationMs(spec.holdOff),
    checkControlPlane: spec.checkControlPlane ?? false,
  };
}

export function checkBfd(spec: Bfd | undefined): Problem[] {
  if (!spec) return [];
  const problems: Problem[] = [];
  for (const [field, span] of [
    ["min_tx", spec.minTx],
    ["min_rx", spec.minRx],
  ] as const) {
    if (!span || durationMs(span) >= intervalMinMs) continue;
    const message = `bfd.${field} must be at least ${intervalMinMs} ms`;
    problems.push(invalid(`bfd.${field}`, message));
  }
  if (spec.minTtl !== undefined && spec.multihop === false) {
    const message = "bfd.min_ttl is for several hops; over one hop it is always 255 (RFC 5881 5)";
    problems.push(invalid("bfd.min_ttl", message, "leave bfd.min_ttl out"));
  }
  return problems;
}

function intervalUs(span: Duration | undefined): number {
  return span ? Number(span.seconds) * 1_000_000 + Math.trunc(span.nanos / 1000) : intervalDefaultMs * 1000;
}

function defaultOf(field: string): number {
  return Number(fieldNamed(BfdSchema, field)!.rule.default);
}
