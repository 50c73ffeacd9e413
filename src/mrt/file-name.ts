/** Names of dump files: a path with conversions of strftime, in UTC, and which files such a path has given rise to. */

/** What each conversion stands for: the text, and what that looks like. */
const conversions: Readonly<Record<string, readonly [text: (time: Date) => string, pattern: string]>> = {
  Y: [(time) => String(time.getUTCFullYear()).padStart(4, "0"), "[0-9]{4}"],
  m: [(time) => two(time.getUTCMonth() + 1), "[0-9]{2}"],
  d: [(time) => two(time.getUTCDate()), "[0-9]{2}"],
  H: [(time) => two(time.getUTCHours()), "[0-9]{2}"],
  M: [(time) => two(time.getUTCMinutes()), "[0-9]{2}"],
  S: [(time) => two(time.getUTCSeconds()), "[0-9]{2}"],
  y: [(time) => two(time.getUTCFullYear() % 100), "[0-9]{2}"],
  j: [(time) => String(dayOfYear(time)).padStart(3, "0"), "[0-9]{3}"],
  s: [(time) => String(Math.floor(time.getTime() / 1000)), "[0-9]{1,12}"],
  "%": [() => "%", "%"],
};

const conversion = /%(.?)/gs;

/** The path for a moment, milliseconds since 1970. */
export function expandName(pattern: string, timeMs: number): string {
  const time = new Date(timeMs);
  return pattern.replace(conversion, (whole, letter: string) => conversions[letter]?.[0](time) ?? whole);
}

/** What is wrong with a path pattern, a sentence and a fix; undefined when it is good. */
export function nameFault(pattern: string): { readonly message: string; readonly fix: string } | undefined {
  for (const [whole, letter] of pattern.matchAll(conversion)) {
    if (conversions[letter]) continue;
    return {
      message: `"${whole}" is no conversion that is known here`,
      fix: "%Y %m %d %H %M %S %y %j %s or %%",
    };
  }
  const parts = pattern.split("/");
  const isInside =
    !pattern.startsWith("/") && parts.every((part) => part !== "" && part !== "." && part !== "..");
  if (isInside && !pattern.includes("\0")) return undefined;
  return {
    message: "the path is below the daemon's directory for dumps: relative, without . and ..",
    fix: "rib.%Y%m%d.%H%M.gz, or with folders: %Y.%m/rib.%Y%m%d.%H%M.gz",
  };
}

/**
 * Expressions for the parts of the paths that a pattern gives rise to, from the outermost folder in; the last one takes
 * a number behind the name too, which tells files of the same moment apart.
 */
export function nameParts(pattern: string): RegExp[] {
  const parts = pattern.split("/");
  return parts.map((part, i) => {
    const source = part
      .split(/(%.)/s)
      .map((piece, at) => (at % 2 === 1 ? (conversions[piece[1]]?.[1] ?? escaped(piece)) : escaped(piece)))
      .join("");
    return new RegExp(`^${source}${i === parts.length - 1 ? "(?:\\.[0-9]{1,4})?" : ""}$`);
  });
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

function dayOfYear(time: Date): number {
  return Math.floor((time.getTime() - Date.UTC(time.getUTCFullYear(), 0, 1)) / 86_400_000) + 1;
}
