/** Settings of route-flap damping with their defaults, which are those that RFC 7196 recommends. */
import { type Damping, DampingSchema } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { type DampingParameters, penaltyCeiling } from "../../rib/damping.ts";
import { durationMs, fieldNamed } from "../schema.ts";

/** @returns undefined when routes are not damped */
export function dampingOf(spec: Damping | undefined): DampingParameters | undefined {
  if (!spec || spec.enabled === false) return undefined;
  const halfLifeMs = spec.halfLife ? durationMs(spec.halfLife) : defaultOf("half_life") * 1000;
  const maxSuppressMs = spec.maxSuppress ? durationMs(spec.maxSuppress) : defaultOf("max_suppress") * 1000;
  const reuse = spec.reuse ?? defaultOf("reuse");
  const suppress = spec.suppress ?? defaultOf("suppress");
  return { halfLifeMs, reuse, suppress, ceiling: penaltyCeiling(reuse, halfLifeMs, maxSuppressMs) };
}

/** A number, or seconds. */
function defaultOf(field: string): number {
  return Number.parseInt(fieldNamed(DampingSchema, field)!.rule.default, 10);
}
