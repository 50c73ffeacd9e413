/** The daemons that the driver knows, the reference first. */
import { existsSync } from "node:fs";
import { bird } from "./bird.ts";
import { cairn } from "./cairn.ts";
import type { Adapter } from "./daemon.ts";
import { frr } from "./frr.ts";
import { gobgp } from "./gobgp.ts";
import { openbgpd } from "./openbgpd.ts";

export const adapters: readonly Adapter[] = [bird, frr, gobgp, openbgpd, cairn];

/** Ratios are to this one. */
export const reference = bird.name;

export function installed(): Adapter[] {
  return adapters.filter(({ programs }) => programs.some((path) => existsSync(path)));
}
