/** Validation of routes as one part of the core: data (rpki.ts), states (validation.ts), what follows (revalidation.ts). */
import type { Groups } from "./groups.ts";
import type { Importer } from "./importer.ts";
import type { Jobs } from "./jobs.ts";
import type { Neighbors } from "./neighbors.ts";
import type { Touched } from "./objects.ts";
import type { Inputs } from "./part.ts";
import { Revalidation, type StateReaders } from "./revalidation.ts";
import type { Routing } from "./routing.ts";
import { type DeclaredObjects, Rpki, type RpkiHost } from "./rpki.ts";
import { Validation } from "./validation.ts";

export interface RouteValidationParts extends Omit<RpkiHost, "changed"> {
  readonly objects: DeclaredObjects;
  readonly routing: Routing;
  readonly jobs: Jobs;
  /** These three come later than validation, which they ask. */
  neighbors(): Neighbors;
  groups(): Groups;
  importer(): Importer;
}

export class RouteValidation {
  readonly rpki: Rpki;
  readonly states: Validation;
  readonly revalidation: Revalidation;
  /** How long the last change took until all routes were looked at again; undefined before the first. */
  lastMs: number | undefined;
  private readonly parts: RouteValidationParts;

  get arrivals(): Inputs {
    return this.rpki.arrivals;
  }

  constructor(parts: RouteValidationParts) {
    this.parts = parts;
    this.rpki = new Rpki({
      effects: parts.effects,
      nowMs: () => parts.nowMs(),
      wallMs: () => parts.wallMs(),
      event: parts.event,
      changed: (changes) => {
        const { vrps, customers } = changes;
        const summary = `RPKI: ${vrps} VRPs and ${customers.size} ASPAs changed`;
        parts.event("cairn.rpki.data.changed", "", 1, summary, {
          vrps: String(vrps),
          aspas: String(customers.size),
        });
        this.revalidation.changed(changes);
      },
    });
    this.states = new Validation(parts.routing, this.rpki.sources, {
      ownAsn: () => parts.neighbors().global?.asn ?? 0,
      neighbor: (id) => parts.neighbors().find(id),
    });
    this.revalidation = new Revalidation(parts.routing, parts.jobs, this.states, {
      readers: () => this.readers(),
      neighbor: (id) => parts.neighbors().find(id),
      reimport: (record, table, path) => parts.importer().settle(record, table, path),
      nowMs: () => parts.nowMs(),
      settled: (_looked, ms) => {
        this.lastMs = ms;
      },
    });
  }

  start(): void {
    this.rpki.settle(this.parts.objects);
  }

  /** Takes over what a commit changed. */
  apply(touched: readonly Touched[]): void {
    if (touched.some(({ kind }) => kind === "RpkiCache" || kind === "Global")) this.start();
  }

  tick(): void {
    this.rpki.tick();
  }

  run(micros: number): void {
    if (this.rpki.hasWork) this.rpki.run(micros / 2);
  }

  get hasWork(): boolean {
    return this.rpki.hasWork;
  }

  nextMs(): number {
    return this.rpki.nextMs();
  }

  /** What asks for states now. */
  readers(): StateReaders {
    const { routing } = this.parts;
    let [importOrigins, importPaths, exportOrigins, exportPaths] = [false, false, false, false];
    for (const { importProgram } of this.parts.neighbors().all()) {
      importOrigins ||= importProgram?.chain.readsRpki ?? false;
      importPaths ||= importProgram?.chain.readsAspa ?? false;
    }
    for (const { exporter } of this.parts.groups().all()) {
      exportOrigins ||= exporter.config.program?.chain.readsRpki ?? false;
      exportPaths ||= exporter.config.program?.chain.readsAspa ?? false;
    }
    return {
      ...{ rankOrigins: routing.best.asks("rpki"), rankPaths: routing.best.asks("aspa") },
      ...{ importOrigins, importPaths, exportOrigins, exportPaths },
    };
  }
}
