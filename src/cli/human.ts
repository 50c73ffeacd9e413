/** Values as people read them. */
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";

const units: readonly (readonly [string, number])[] = [
  ["y", 365 * 86_400],
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
  ["s", 1],
];

/** Two units at most: "2d 4h", "5m 10s", "42s"; below ten seconds with a tenth when it is not whole. */
export function humanSeconds(seconds: number): string {
  if (seconds < 0) return `-${humanSeconds(-seconds)}`;
  if (seconds < 10 && seconds % 1 >= 0.05) return `${seconds.toFixed(1)}s`;
  const whole = Math.floor(seconds);
  const first = units.findIndex(([, size]) => whole >= size);
  if (first < 0) return "0s";
  const [name, size] = units[first];
  const head = `${Math.floor(whole / size)}${name}`;
  const next = units[first + 1];
  const rest = next ? Math.floor((whole % size) / next[1]) : 0;
  return rest > 0 ? `${head} ${rest}${next[0]}` : head;
}

export function secondsOf(duration: Duration | undefined): number {
  return duration ? Number(duration.seconds) + duration.nanos / 1e9 : 0;
}

/** A span, or "-" when there is none. */
export function humanDuration(duration: Duration | undefined): string {
  return duration ? humanSeconds(secondsOf(duration)) : "-";
}

/** Local time to the second, or "-". */
export function humanTime(time: Timestamp | undefined): string {
  if (!time) return "-";
  const date = new Date(Number(time.seconds) * 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Digits in groups of three: 1,048,576. */
export function humanCount(count: bigint | number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

export function humanBytes(bytes: bigint | number): string {
  let value = Number(bytes);
  let unit = 0;
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  while (value >= 1024 && unit < names.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${names[unit]}`;
}

/** ORIGIN_IGP with prefix ORIGIN_ becomes igp; OPEN_SENT becomes open-sent. */
export function enumWord(name: string, prefix: string): string {
  return name.slice(prefix.length).toLowerCase().replaceAll("_", "-");
}

/**
 * Reads a span such as 90, 90s, 5m, 1h30m, 2d, 500ms. A number alone is seconds.
 * @returns milliseconds, or undefined when it is not a span
 */
export function parseSpanMs(text: string): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const sizes: Record<string, number> = {
    ms: 1,
    s: 1000,
    m: 60_000,
    h: 3_600_000,
    d: 86_400_000,
    w: 604_800_000,
  };
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d|w))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/g))
    total += Number(number) * sizes[unit];
  return total;
}

/** Makes control characters visible: text from neighbors must not steer the operator's terminal. */
export function safeText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (c) => {
    return `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
