/** Metrics that are read from the core's view at each scrape, and the registry that holds them. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { CoreView } from "../../state/view.ts";
import type { Pacer } from "../pacer.ts";

export interface MetricDescription {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly help: string;
}

/**
 * One area of metrics: gathers what takes long, resting between steps, and answers with what shows it at once, so that a
 * scrape never sees half of it. Series are empty when it is shown: those of what is gone disappear.
 */
export type Area = (view: CoreView, pacer: Pacer) => (() => void) | Promise<() => void>;

export class MetricSet {
  private readonly registry: Registry;
  private readonly scraped: { reset(): void }[] = [];
  readonly descriptions: MetricDescription[] = [];

  constructor(registry: Registry) {
    this.registry = registry;
  }

  /** A counter or gauge whose series are made anew at each scrape. */
  counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    const metric = this.lasting(name, help, labelNames);
    this.scraped.push(metric);
    return metric;
  }

  gauge<Label extends string>(name: string, help: string, labelNames: Label[]): Gauge<Label> {
    const metric = new Gauge({ ...this.describe("gauge", name, help, labelNames), labelNames });
    this.scraped.push(metric);
    return metric;
  }

  /** A counter that is counted where things happen, outside of the core. */
  lasting<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ ...this.describe("counter", name, help, labelNames), labelNames });
  }

  histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ ...this.describe("histogram", name, help, []), buckets });
  }

  /** Before a scrape is shown. */
  reset(): void {
    for (const metric of this.scraped) metric.reset();
  }

  private describe(type: string, name: string, help: string, labels: readonly string[]) {
    this.descriptions.push({ name: `cairn_${name}`, type, labels, help });
    return { name: `cairn_${name}`, help, registers: [this.registry] };
  }
}

/** Seconds of a duration; 0 for none. */
export function secondsOf(duration: Duration | undefined): number {
  return duration ? Number(duration.seconds) + duration.nanos / 1e9 : 0;
}
