/** Runs into tables: medians with their spread, ratios to the reference daemon of the same session, targets. */
import type { Scenario, Target } from "./scenarios/scenario.ts";

export interface RunRecord {
  readonly scenario: string;
  readonly daemon: string;
  readonly size: number;
  /** Every route was right at every sink, and nothing else came. */
  readonly ok: boolean;
  readonly error: string;
  /** By name; the end of the name is the unit. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** Ratios of cairn to the reference, by metric. */
export type Ratios = Readonly<Record<string, number>>;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Columns beside those that a scenario compares. */
const otherColumns = ["loop_p99_ms", "loop_max_ms", "sent_messages", "sent_bytes", "foreign_cores"] as const;

/** All scenarios of the records, each as a table in Markdown, readable as text, with its targets below. */
export function table(
  records: readonly RunRecord[],
  scenarios: readonly Scenario[],
  reference: string,
): string {
  const groups = Map.groupBy(records, ({ scenario, size }) => `${scenario} ${size}`);
  const parts = [...groups.values()].map((runs) => {
    const scenario = scenarios.find(({ name }) => name === runs[0].scenario);
    if (!scenario) return "";
    const size = runs[0].size === scenario.size ? "" : ` [size ${runs[0].size}]`;
    return `\n### ${scenario.name}${size}\n\n${scenario.title}\n\n${one(runs, scenario, reference)}`;
  });
  return parts.join("\n");
}

function one(runs: readonly RunRecord[], scenario: Scenario, reference: string): string {
  const byDaemon = Map.groupBy(runs, ({ daemon }) => daemon);
  const all = (daemon: string, metric: string): number[] =>
    (byDaemon.get(daemon) ?? []).flatMap(({ ok, metrics }) => (ok ? (metrics[metric] ?? []) : []));
  const columns = [...new Set([...scenario.compared, "peak_mb", ...otherColumns])].filter((metric) =>
    [...byDaemon.keys()].some((daemon) => all(daemon, metric).length > 0),
  );
  const isCompared = (metric: string): boolean => scenario.compared.includes(metric) || metric === "peak_mb";
  const head = [
    "daemon",
    "runs",
    ...columns.flatMap((metric) => (isCompared(metric) ? [metric, `x ${reference}`] : [metric])),
  ];
  const lines = [...byDaemon].map(([daemon, mine]) => {
    const good = mine.filter(({ ok }) => ok).length;
    const count = good === mine.length ? String(good) : `${good} of ${mine.length}`;
    if (good === 0) return [daemon, count, mine[0].error];
    const cells = columns.flatMap((metric) => {
      const text = spread(all(daemon, metric));
      if (!isCompared(metric)) return [text];
      const base = all(reference, metric);
      const known = text !== "" && base.length > 0;
      return [text, known ? (median(all(daemon, metric)) / median(base)).toFixed(2) : ""];
    });
    return [daemon, count, ...cells];
  });
  const told = scenario.targets.flatMap((target) => judge(target, all) ?? []);
  return [markdown([head, ...lines]), ...(told.length > 0 ? ["", ...told] : [])].join("\n");
}

/** Whether cairn keeps a promise; nothing when one of the two did not run. */
function judge(
  { metric, of, most, plus }: Target,
  all: (daemon: string, metric: string) => number[],
): string[] {
  const mine = all("cairn", metric);
  const base = of === undefined ? [] : all(of, metric);
  if (mine.length === 0 || (of !== undefined && base.length === 0)) return [];
  const bound = (of === undefined ? 0 : (most ?? 1) * median(base)) + (plus ?? 0);
  const value = median(mine);
  const terms = [of === undefined ? "" : `${most ?? 1} x ${of}`, plus === undefined ? "" : String(plus)];
  const text = `${metric} at most ${terms.filter((term) => term !== "").join(" + ")}`;
  const ratio = of === undefined ? "" : ` (${(value / median(base)).toFixed(3)} x)`;
  // Times measured beside other work are shown and not judged.
  const isUnsure =
    isWallTime(metric) && all("cairn", "foreign_cores").some((cores) => cores > foreignCoresMax);
  const verdict = isUnsure ? "busy  " : value <= bound ? "met   " : "MISSED";
  return [`- ${verdict} ${text}: ${number(value)}${ratio}`];
}

function spread(values: readonly number[]): string {
  if (values.length === 0) return "";
  const [least, middle, most] = [Math.min(...values), median(values), Math.max(...values)].map(number);
  return least === most ? middle : `${middle} (${least}-${most})`;
}

function number(value: number): string {
  if (Math.abs(value) >= 10_000) return `${(value / 1e6).toFixed(2)}M`;
  if (Math.abs(value) >= 100) return value.toFixed(0);
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

function markdown(all: readonly (readonly string[])[]): string {
  const widths = all[0].map((title, i) =>
    Math.max(title.length, ...all.filter(({ length }) => length > 3).map((line) => (line[i] ?? "").length)),
  );
  const text = (line: readonly string[]): string =>
    `| ${widths.map((width, i) => (line[i] ?? "").padEnd(width)).join(" | ")} |`;
  const [head, ...lines] = all;
  return [text(head), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...lines.map(text)].join(
    "\n",
  );
}

/** Cores kept busy by other processes above which times say little; CPU seconds and memory still do. */
const foreignCoresMax = 0.3;

/** What `--check` holds against the baseline: CPU seconds, which work beside the bench disturbs least. */
const checked = "cpu_s";

/**
 * CPU seconds of cairn by those of the reference, of each the best round: what another process does to the caches only ever
 * makes a round worse. Scenarios without both are left out.
 */
export function ratiosOf(
  records: readonly RunRecord[],
  scenarios: readonly Scenario[],
  reference: string,
): Record<string, Ratios> {
  const found: Record<string, Ratios> = {};
  for (const { name, compared } of scenarios) {
    if (!compared.includes(checked)) continue;
    const best = (daemon: string): number =>
      Math.min(
        ...records
          .filter((run) => run.ok && run.scenario === name && run.daemon === daemon)
          .map(({ metrics }) => metrics[checked] ?? Number.POSITIVE_INFINITY),
      );
    const [mine, theirs] = [best("cairn"), best(reference)];
    if (!Number.isFinite(mine + theirs) || theirs <= 0) continue;
    found[name] = { [checked]: Number((mine / theirs).toPrecision(3)) };
  }
  return found;
}

function isWallTime(metric: string): boolean {
  return /_m?s$/.test(metric) && !metric.includes("cpu");
}

/** What is worse than the baseline by more than `tolerance` (0.25: a quarter). */
export function regressions(
  now: Readonly<Record<string, Ratios>>,
  baseline: Readonly<Record<string, Ratios>>,
  tolerance: number,
): string[] {
  const found: string[] = [];
  for (const [scenario, before] of Object.entries(baseline)) {
    for (const [metric, was] of Object.entries(before)) {
      const is = now[scenario]?.[metric];
      if (is === undefined || is <= was * (1 + tolerance)) continue;
      found.push(`${scenario}: ${metric} is ${is.toFixed(2)} times the reference's, was ${was.toFixed(2)}`);
    }
  }
  return found;
}
