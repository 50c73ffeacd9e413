/** Lines over size, one plot for each scenario and metric, as SVG. Both axes are logarithmic. */
import { median, type RunRecord } from "./report.ts";

const width = 640;
const height = 400;
const left = 70;
const bottom = 340;
const right = 520;
const top = 40;
const colours: Readonly<Record<string, string>> = {
  cairn: "#c0392b",
  bird: "#2c3e50",
  frr: "#2980b9",
  gobgp: "#27ae60",
  openbgpd: "#8e44ad",
};
const plotted = ["time_s", "cpu_s", "peak_mb", "added_cpu_s"];

export function plots(records: readonly RunRecord[]): { name: string; svg: string }[] {
  const byScenario = Map.groupBy(
    records.filter(({ ok }) => ok),
    ({ scenario }) => scenario,
  );
  return [...byScenario].flatMap(([scenario, runs]) =>
    plotted.flatMap((metric) => {
      const lines = linesOf(runs, metric);
      if (lines.every(({ points }) => points.length < 2)) return [];
      return [{ name: `${scenario}-${metric}`, svg: draw(`${scenario}: ${metric} over prefixes`, lines) }];
    }),
  );
}

interface Line {
  readonly daemon: string;
  readonly points: readonly (readonly [number, number])[];
}

function linesOf(runs: readonly RunRecord[], metric: string): Line[] {
  const byDaemon = Map.groupBy(runs, ({ daemon }) => daemon);
  return [...byDaemon].map(([daemon, mine]) => {
    const bySize = Map.groupBy(mine, ({ size }) => size);
    const points = [...bySize].flatMap(([size, some]) => {
      const values = some.flatMap(({ metrics }) => metrics[metric] ?? []);
      return values.length > 0 && median(values) > 0 ? [[size, median(values)] as const] : [];
    });
    return { daemon, points: points.toSorted((a, b) => a[0] - b[0]) };
  });
}

function draw(title: string, lines: readonly Line[]): string {
  const all = lines.flatMap(({ points }) => points);
  const x = scale(
    all.map(([size]) => size),
    left,
    right,
  );
  const y = scale(
    all.map(([, value]) => value),
    bottom,
    top,
  );
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    `<text x="${left}" y="22" font-size="15">${title}</text>`,
  ];
  for (const value of y.ticks) {
    const at = y.at(value);
    out.push(`<path d="M${left} ${at}H${right}" stroke="#ddd"/>`);
    out.push(`<text x="${left - 6}" y="${at + 4}" text-anchor="end">${label(value)}</text>`);
  }
  for (const value of x.ticks) {
    const at = x.at(value);
    out.push(`<path d="M${at} ${top}V${bottom}" stroke="#ddd"/>`);
    out.push(`<text x="${at}" y="${bottom + 18}" text-anchor="middle">${label(value)}</text>`);
  }
  for (const { daemon, points } of lines) {
    if (points.length === 0) continue;
    const colour = colours[daemon] ?? "black";
    const places = points.map(([size, value]) => `${x.at(size).toFixed(1)},${y.at(value).toFixed(1)}`);
    const [endX, endY] = places[places.length - 1].split(",").map(Number);
    out.push(`<polyline points="${places.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const place of places) {
      const [cx, cy] = place.split(",");
      out.push(`<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`);
    }
    out.push(`<text x="${endX + 8}" y="${endY + 4}" fill="${colour}">${daemon}</text>`);
  }
  return `${out.join("\n")}\n</svg>\n`;
}

function scale(values: readonly number[], from: number, to: number) {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  return {
    ticks,
    at: (value: number): number => from + ((Math.log10(value) - low) / (high - low)) * (to - from),
  };
}

function label(value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`;
  return value >= 1e3 ? `${value / 1e3}k` : String(Number(value.toPrecision(3)));
}
