/** Runs into a table: medians with their spread, and ratios to the reference daemon of the same session. */

/** One run. Times in seconds, memory in MB; names are those of ../shared/bench, so that results can be mixed. */
export interface RunRecord {
  readonly dut: string;
  readonly scenario: string;
  /** "own": bench/blast; "shared": ../shared/bench. Runs of the two are not comparable. */
  readonly generator: string;
  readonly ok: boolean;
  readonly error: string;
  /** From start of the daemon until its BGP port takes connections. */
  readonly t_listen: number;
  /** From the first UPDATE byte until every sink holds every route. */
  readonly t_converged: number;
  /** CPU from the first UPDATE byte until a second after convergence. */
  readonly cpu_settled: number;
  /** Before the first UPDATE, and the highest. */
  readonly rss_idle_mb: number;
  readonly rss_conv_mb?: number;
  readonly rss_peak_mb: number;
  readonly healthCalls?: number;
  readonly healthP50Ms?: number;
  readonly healthP99Ms?: number;
  readonly healthMaxMs?: number;
  readonly lagP99Ms?: number;
  readonly silenceMs?: number;
  readonly sessionError?: string;
  /** Cores kept busy by unrelated processes. */
  readonly foreign?: number;
}

/** Ratios of cairn to the reference in one scenario. */
export interface Ratios {
  readonly time: number;
  readonly cpu: number;
  readonly memory: number;
}

export const reference = "bird";

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

interface Row {
  readonly scenario: string;
  readonly generator: string;
  readonly dut: string;
  readonly runs: readonly RunRecord[];
}

function rowsOf(records: readonly RunRecord[]): Row[] {
  const groups = Map.groupBy(records, ({ scenario, generator, dut }) => `${scenario} ${generator} ${dut}`);
  return [...groups.values()].map((all) => {
    const { scenario, generator, dut } = all[0];
    return { scenario, generator, dut, runs: all.filter((run) => run.ok) };
  });
}

const of = (row: Row, field: "t_converged" | "cpu_settled" | "rss_peak_mb"): number =>
  median(row.runs.map((run) => run[field]));

function referenceOf(rows: readonly Row[], row: Row): Row | undefined {
  return rows.find(
    ({ scenario, generator, dut, runs }) =>
      scenario === row.scenario && generator === row.generator && dut === reference && runs.length > 0,
  );
}

/** Ratios of cairn to the reference, by scenario; scenarios without both are left out. */
export function ratiosOf(records: readonly RunRecord[]): Record<string, Ratios> {
  const rows = rowsOf(records);
  const ratios: Record<string, Ratios> = {};
  for (const row of rows) {
    const other = referenceOf(rows, row);
    if (row.dut !== "cairn" || row.runs.length === 0 || !other) continue;
    ratios[row.scenario] = {
      time: of(row, "t_converged") / of(other, "t_converged"),
      cpu: of(row, "cpu_settled") / of(other, "cpu_settled"),
      memory: of(row, "rss_peak_mb") / of(other, "rss_peak_mb"),
    };
  }
  return ratios;
}

/** A table in Markdown, readable as text. */
export function table(records: readonly RunRecord[]): string {
  const rows = rowsOf(records);
  const head = [
    "scenario",
    "daemon",
    "runs",
    "time s (min-max)",
    `x ${reference}`,
    "CPU s",
    `x ${reference}`,
    "idle MB",
    "peak MB",
    "listen s",
    "health p99 ms (lag)",
  ];
  const lines = rows.map((row) => {
    const failed = records.filter((run) => !run.ok && run.dut === row.dut && run.scenario === row.scenario);
    if (row.runs.length === 0)
      return [row.scenario, row.dut, `0 of ${failed.length}`, failed[0]?.error ?? ""];
    const other = referenceOf(rows, row);
    const times = row.runs.map((run) => run.t_converged);
    const ratio = (field: "t_converged" | "cpu_settled"): string =>
      other ? (of(row, field) / of(other, field)).toFixed(2) : "";
    const health = row.runs.flatMap(({ healthP99Ms }) => healthP99Ms ?? []);
    const lag = row.runs.flatMap(({ lagP99Ms }) => lagP99Ms ?? []);
    return [
      `${row.scenario}${row.generator === "own" ? "*" : ""}`,
      row.dut,
      failed.length > 0 ? `${row.runs.length}, ${failed.length} failed` : String(row.runs.length),
      `${median(times).toFixed(2)} (${Math.min(...times).toFixed(2)}-${Math.max(...times).toFixed(2)})`,
      ratio("t_converged"),
      of(row, "cpu_settled").toFixed(2),
      ratio("cpu_settled"),
      median(row.runs.map((run) => run.rss_idle_mb)).toFixed(0),
      of(row, "rss_peak_mb").toFixed(0),
      median(row.runs.map((run) => run.t_listen)).toFixed(2),
      health.length > 0 ? `${median(health).toFixed(0)} (${median(lag).toFixed(0)})` : "",
    ];
  });
  const all = [head, ...lines];
  const widths = head.map((_, i) => Math.max(...all.map((line) => (line[i] ?? "").length)));
  const text = (line: readonly string[]): string =>
    `| ${widths.map((width, i) => (line[i] ?? "").padEnd(width)).join(" | ")} |`;
  return [text(head), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...lines.map(text)].join(
    "\n",
  );
}

/** What is worse than the baseline by more than `tolerance` (0.25: a quarter). */
export function regressions(
  now: Readonly<Record<string, Ratios>>,
  baseline: Readonly<Record<string, Ratios>>,
  tolerance: number,
): string[] {
  const found: string[] = [];
  for (const [scenario, ratios] of Object.entries(now)) {
    const before = baseline[scenario];
    if (!before) continue;
    for (const what of ["time", "cpu", "memory"] as const) {
      if (ratios[what] <= before[what] * (1 + tolerance)) continue;
      found.push(
        `${scenario}: ${what} is ${ratios[what].toFixed(2)} times that of ${reference}, was ${before[what].toFixed(2)}`,
      );
    }
  }
  return found;
}
