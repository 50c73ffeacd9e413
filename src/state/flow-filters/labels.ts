/** Labels that sort as the rules that bear them, and stay with those that stay. */

/** Digits of a label. */
const digits = 12;
/** Labels are below it, and above 0. */
const end = 10 ** digits;

/**
 * @param before the labels that rules have had, in the order of the rules; undefined for new ones. Those that are there
 *   ascend
 * @returns ascending labels; the ones before where there is room for the new ones between them
 */
export function labelsFor(before: readonly (string | undefined)[]): string[] {
  const labels: number[] = [];
  let from = 0;
  for (let i = 0; i <= before.length; i++) {
    const known = i === before.length ? end : before[i];
    if (known === undefined || known === "") continue;
    const low = from === 0 ? 0 : labels[from - 1];
    if (!spread(labels, low, Number(known), i - from)) return evenly(before.length);
    if (i < before.length) labels.push(Number(known));
    from = i + 1;
  }
  return labels.map(text);
}

/** Appends so many numbers between two others. @returns false when there is no room */
function spread(labels: number[], low: number, high: number, count: number): boolean {
  const step = Math.floor((high - low) / (count + 1));
  if (step < 1) return count === 0 && high > low;
  for (let i = 1; i <= count; i++) labels.push(low + i * step);
  return true;
}

function evenly(count: number): string[] {
  const labels: number[] = [];
  spread(labels, 0, end, count);
  return labels.map(text);
}

function text(label: number): string {
  return String(label).padStart(digits, "0");
}
